package chatroomtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"example.com/chatroom"
)

// An AuthBackend is an Authenticator to be tested, and what the test has to know of its accounts.
type AuthBackend struct {
	// Auth is tested as it is; it must not be behind chatroom.Throttle, as it is given many wrong secrets.
	Auth chatroom.Authenticator

	Account string        // the name of an account
	Nick    string        // the nick the account has; empty means the account's name
	Secret  string        // the account's password or token, at least two characters
	Role    chatroom.Role // the account's role

	// Other is a nick that belongs to another account. Empty leaves out what concerns it, for
	// backends where everybody may have any nick.
	Other string
	// Unknown is a valid nick, and the name of no account; "nobody-there" if it is empty.
	Unknown string
	// Revoke takes the account away, as the last thing in the test. It may be nil unless Auth is
	// a chatroom.Refresher.
	Revoke func() error
}

// prompt is the time that something takes at most which must not wait.
const prompt = 2 * time.Second

// patience is the time a clause has, on a slow machine with a slow backend.
const patience = 5 * time.Minute

// start is the time that Watch has for beginning to watch.
const start = 100 * time.Millisecond

// notice is the time within which a Refresher reports a change.
const notice = 15 * time.Second

// TestAuthenticator checks what a server relies on in an Authenticator, clause by clause, and in
// the add-ons Admitter and Refresher if it has them. Run it with the race detector.
func TestAuthenticator(t *testing.T, b AuthBackend) {
	for _, c := range authClauses {
		t.Run(c.name, func(t *testing.T) {
			if err := c.checked(t.Context(), b); err != nil {
				t.Errorf("the clause is: %s; but %v", c.says, err)
			}
		})
	}
}

// A clause of the contract of an Authenticator.
type clause struct {
	name, says string
	check      func(context.Context, AuthBackend) error
}

// authClauses end with the one that takes the account away.
var authClauses = []clause{
	{"good", "the right secret gives the account's name and role, and a valid nick", goodSecret},
	{"wrong", "any other secret is refused with an *Error of CodeUnauthorized", wrongSecret},
	{"missing", "without a secret the answer is ErrPasswordRequired", missingSecret},
	{"unknown", "an account that is not there is refused as a wrong secret is, in code and text", unknownAccount},
	{"guest", "a nick that is no account's, without a secret, is refused, left to others with ErrNoAccount, or let in as a guest", guest},
	{"awkward", "whatever names and secrets hold, it neither panics nor lets anybody in", awkward},
	{"secrecy", "a secret is in no error", secrecy},
	{"context", "once the context has ended it returns", endedContext},
	{"concurrent", "concurrent calls do not see each other", concurrent},
	{"rename", "with Current set it says, without a secret, whether that member may have the nick: its own, but not another account's", rename},
	{"admit", "Admit takes addresses of any kind, and nil", admit},
	{"refresh", "Refresh returns an account that has not changed as it was", refresh},
	{"watch", "Watch returns the context's error once it has ended", watch},
	{"revoke", "a revoked account is reported by Watch, refused by Refresh with an *Error, and no longer let in", revoke},
}

// checked runs the clause. A panic breaks it, and so does waiting without end.
func (c clause) checked(ctx context.Context, b AuthBackend) (err error) {
	b.Nick = cmp.Or(b.Nick, b.Account)
	b.Unknown = cmp.Or(b.Unknown, "nobody-there")
	return within(patience, "the test", func() error { return c.check(ctx, b) })
}

func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("it panicked: %v\n%s", p, debug.Stack())
	}
}

// within runs f, and returns an error if that takes longer than limit.
func within(limit time.Duration, what string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer recovered(&err)
		err = f()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("%s did not return within %v", what, limit)
	}
}

// ask asks the backend as a server does, from this machine.
func (b AuthBackend) ask(ctx context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	req.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	req.Front = "test"
	return b.Auth.Authenticate(ctx, req)
}

// login asks for the account, with a secret.
func (b AuthBackend) login(ctx context.Context, secret string) (chatroom.Identity, error) {
	return b.ask(ctx, chatroom.AuthRequest{Nick: b.Nick, Account: b.Account, Secret: secret})
}

// told returns what a peer would be told: nil for errors that are the server's own.
func told(err error) *chatroom.Error {
	if errors.Is(err, chatroom.ErrNoAccount) {
		err = chatroom.ErrUnauthorized
	}
	e, _ := errors.AsType[*chatroom.Error](err)
	return e
}

// refused returns an error unless err refuses, and with that code if it is not empty.
func refused(id chatroom.Identity, err error, code chatroom.Code) error {
	switch e := told(err); {
	case err == nil:
		return fmt.Errorf("it is let in as %+v", id)
	case e == nil:
		return fmt.Errorf("the error is not an *Error but %w", err)
	case code != "" && e.Code != code:
		return fmt.Errorf("the code is %q: %w", e.Code, err)
	}
	return nil
}

func goodSecret(ctx context.Context, b AuthBackend) error {
	requests := map[string]chatroom.AuthRequest{"with the account named": {Nick: b.Nick, Account: b.Account, Secret: b.Secret}}
	if b.Nick == b.Account {
		requests["by the nick alone"] = chatroom.AuthRequest{Nick: b.Nick, Secret: b.Secret}
	}
	for how, req := range requests {
		id, err := b.ask(ctx, req)
		if err != nil {
			return fmt.Errorf("%s: %w", how, err)
		}
		if id.Account != b.Account || id.Role != b.Role {
			return fmt.Errorf("%s the account is %q with the role %v, not %q with %v", how, id.Account, id.Role, b.Account, b.Role)
		}
		if _, err := chatroom.ValidNick(id.Nick); err != nil {
			return fmt.Errorf("%s the nick is %q: %w", how, id.Nick, err)
		}
	}
	return nil
}

func wrongSecret(ctx context.Context, b AuthBackend) error {
	for what, secret := range map[string]string{
		"something else":                 "wrong",
		"the secret and more":            b.Secret + "x",
		"the secret without its end":     b.Secret[:len(b.Secret)-1],
		"the secret in the other case":   strings.Map(otherCase, b.Secret),
		"the secret and a NUL":           b.Secret + "\x00",
		"the secret with a NUL in front": "\x00" + b.Secret,
		"the secret many times":          strings.Repeat(b.Secret, 1+4000/len(b.Secret)),
		"a space":                        " ",
		"the account's name":             b.Account,
	} {
		if secret == b.Secret {
			continue
		}
		id, err := b.login(ctx, secret)
		if err := refused(id, err, chatroom.CodeUnauthorized); err != nil {
			return fmt.Errorf("with %s: %w", what, err)
		}
	}
	return nil
}

func otherCase(r rune) rune {
	if unicode.IsUpper(r) {
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}

func missingSecret(ctx context.Context, b AuthBackend) error {
	id, err := b.login(ctx, "")
	return refused(id, err, chatroom.CodePasswordRequired)
}

func unknownAccount(ctx context.Context, b AuthBackend) error {
	_, wrong := b.login(ctx, "wrong")
	want := told(wrong)
	if want == nil {
		return fmt.Errorf("a wrong secret gives %w", wrong)
	}
	for how, req := range map[string]chatroom.AuthRequest{
		"by nick":            {Nick: b.Unknown, Secret: "wrong"},
		"by account":         {Nick: b.Nick, Account: b.Unknown, Secret: "wrong"},
		"with a good secret": {Nick: b.Nick, Account: b.Unknown, Secret: b.Secret},
	} {
		id, err := b.ask(ctx, req)
		if err := refused(id, err, ""); err != nil {
			return fmt.Errorf("%s: %w", how, err)
		}
		if got := told(err); *got != *want {
			return fmt.Errorf("%s it is told %+v, and with a wrong secret %+v", how, *got, *want)
		}
	}
	return nil
}

func guest(ctx context.Context, b AuthBackend) error {
	id, err := b.ask(ctx, chatroom.AuthRequest{Nick: b.Unknown})
	if err != nil {
		return refused(id, err, "")
	}
	if id.Account != "" || id.Role != chatroom.RoleMember {
		return fmt.Errorf("it is let in as %+v", id)
	}
	_, err = chatroom.ValidNick(id.Nick)
	return err
}

// odd are strings that mean something to one backend or another.
var odd = []string{
	"\x00", "\n", "a\r\nb", "\xff\xfe", "\u200b", "\u202eann", "Å\u030a", "𝔞𝔫𝔫", "👩‍👩‍👧", "ﷺ", "İı",
	"'", `"`, "' OR '1'='1", "*", "*)(uid=*", "../../etc/passwd", "%00", "%s%n", "${x}", "{{.}}", `{"a":1}`, ",", "null", "-1",
	strings.Repeat("a", 8000), strings.Repeat("\u0301", 3000),
}

func awkward(ctx context.Context, b AuthBackend) error {
	for _, s := range odd {
		for _, req := range []chatroom.AuthRequest{
			{Nick: b.Nick, Account: b.Account, Secret: s},
			{Nick: b.Nick, Account: s, Secret: s},
			{Nick: b.Nick, Account: b.Account + s, Secret: b.Secret},
		} {
			id, err := b.ask(ctx, req)
			if err := refused(id, err, ""); err != nil {
				return fmt.Errorf("with the account %.40q and the secret %.40q: %w", req.Account, req.Secret, err)
			}
		}
	}
	return nil
}

func secrecy(ctx context.Context, b AuthBackend) error {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	const secret = "Xyzzy-4711"
	for _, req := range []chatroom.AuthRequest{
		{Nick: b.Nick, Account: b.Account, Secret: secret},
		{Nick: b.Nick, Secret: secret},
		{Nick: b.Unknown, Account: b.Unknown, Secret: secret},
		{Nick: b.Nick, Account: "a\x00b", Secret: secret},
	} {
		for _, ctx := range []context.Context{ctx, ended} {
			err := within(patience/10, "Authenticate", func() error {
				if _, err := b.ask(ctx, req); err != nil && strings.Contains(err.Error(), secret) {
					return fmt.Errorf("the error is %w", err)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func endedContext(ctx context.Context, b AuthBackend) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	for _, secret := range []string{b.Secret, "wrong", ""} {
		err := within(prompt, "Authenticate", func() error {
			_, _ = b.login(ctx, secret) // whatever it says: it says it soon
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func concurrent(ctx context.Context, b AuthBackend) error {
	errs := make(chan error, 8) // one from each
	var wg sync.WaitGroup
	for i := range cap(errs) {
		wg.Go(func() {
			var err error
			defer func() { errs <- err }()
			defer recovered(&err)
			for n := 0; n < 5 && err == nil; n++ {
				if i%2 == 0 {
					err = goodSecret(ctx, b)
					continue
				}
				id, no := b.login(ctx, "wrong")
				err = refused(id, no, chatroom.CodeUnauthorized)
			}
		})
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func rename(ctx context.Context, b AuthBackend) error {
	id, err := b.login(ctx, b.Secret)
	if err != nil {
		return err
	}
	got, err := b.ask(ctx, chatroom.AuthRequest{Nick: b.Nick, Account: id.Account, Current: &id})
	if err != nil || got.Nick != b.Nick {
		return fmt.Errorf("to its own nick %s: %+v, %w", b.Nick, got, err)
	}
	if b.Other == "" {
		return nil
	}
	guest := chatroom.Identity{Nick: b.Unknown}
	for who, current := range map[string]*chatroom.Identity{"a member with another account": &id, "a guest": &guest} {
		got, err := b.ask(ctx, chatroom.AuthRequest{Nick: b.Other, Account: current.Account, Current: current})
		if errors.Is(err, chatroom.ErrNoAccount) {
			return fmt.Errorf("%s may be called %s if somebody else allows it", who, b.Other)
		}
		if err := refused(got, err, ""); err != nil {
			return fmt.Errorf("%s becomes %s: %w", who, b.Other, err)
		}
	}
	got, err = b.ask(ctx, chatroom.AuthRequest{Nick: b.Other, Account: b.Account, Secret: b.Secret})
	if err == nil && got.Nick == b.Other {
		return fmt.Errorf("who logs in to %s becomes %s at the door", b.Account, b.Other)
	}
	return nil
}

func admit(ctx context.Context, b AuthBackend) error {
	a, ok := b.Auth.(chatroom.Admitter)
	if !ok {
		return nil
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	for _, addr := range []net.Addr{
		nil, near.RemoteAddr(), &net.UnixAddr{Name: "@", Net: "unix"}, &net.TCPAddr{},
		&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"},
	} {
		err := within(prompt, "Admit", func() error {
			_ = a.Admit(ctx, addr) // who is turned away is its own decision
			_ = a.Admit(ended, addr)
			return nil
		})
		if err != nil {
			return fmt.Errorf("with the address %v: %w", addr, err)
		}
	}
	return nil
}

func refresh(ctx context.Context, b AuthBackend) error {
	r, ok := b.Auth.(chatroom.Refresher)
	if !ok {
		return nil
	}
	id, err := b.login(ctx, b.Secret)
	if err != nil {
		return err
	}
	id.Nick = b.Unknown // as after a change of nick
	got, err := r.Refresh(ctx, id)
	if err != nil || got != id {
		return fmt.Errorf("%+v becomes %+v, %w", id, got, err)
	}
	return nil
}

func watch(ctx context.Context, b AuthBackend) error {
	r, ok := b.Auth.(chatroom.Refresher)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, start)
	defer cancel()
	return within(start+prompt, "Watch", func() error {
		if err := r.Watch(ctx, func(string) {}); ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
			return fmt.Errorf("it returned the error %v when the context's was %v", err, ctx.Err())
		}
		return nil
	})
}

func revoke(ctx context.Context, b AuthBackend) error {
	r, ok := b.Auth.(chatroom.Refresher)
	if b.Revoke == nil {
		if ok {
			return errors.New("there is no Revoke to test a Refresher with")
		}
		return nil
	}
	id, err := b.login(ctx, b.Secret)
	if err != nil {
		return err
	}
	if ok {
		err = revokeWatched(ctx, b, r, id)
	} else {
		err = b.Revoke()
	}
	if err != nil {
		return err
	}
	got, err := b.login(ctx, b.Secret)
	return refused(got, err, "")
}

// revokeWatched revokes the account of id while it is watched.
func revokeWatched(ctx context.Context, b AuthBackend, r chatroom.Refresher, id chatroom.Identity) error {
	ctx, cancel := context.WithTimeout(ctx, notice)
	watching := make(chan struct{})
	reported := false
	go func() {
		defer close(watching)
		_ = r.Watch(ctx, func(account string) { // the clause watch looks at its error
			if account == id.Account {
				_, err := r.Refresh(ctx, id)
				if reported = reported || err != nil; reported {
					cancel()
				}
			}
		})
	}()
	<-time.After(start)
	err := b.Revoke()
	if err == nil {
		<-ctx.Done() // which reporting it cancels
	}
	cancel()
	if werr := within(prompt, "Watch", func() error { <-watching; return nil }); werr != nil {
		return werr
	}
	if err != nil {
		return fmt.Errorf("revoke %s: %w", b.Account, err)
	}
	if !reported {
		return fmt.Errorf("it was not told of within %v", notice)
	}
	got, err := r.Refresh(context.WithoutCancel(ctx), id)
	return refused(got, err, "")
}
