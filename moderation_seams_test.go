package chatroom_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"github.com/google/go-cmp/cmp"
)

// A shaky store is a MemoryBans that can fail, hang and panic, and is written to by another hand.
type shaky struct {
	chatroom.BanStore
	mood    atomic.Value // "", "fails", "hangs" or "panics"
	hand    chan chatroom.Ban
	release chan struct{} // closed when hanging calls may return
}

func newShaky(t testing.TB, bans ...chatroom.Ban) *shaky {
	s := &shaky{BanStore: chatroom.MemoryBans(bans...), hand: make(chan chatroom.Ban), release: make(chan struct{})}
	s.mood.Store("")
	t.Cleanup(func() { close(s.release) })
	return s
}

var errStore = errors.New("the disk is on fire")

func (s *shaky) feel() error {
	switch s.mood.Load() {
	case "fails":
		return errStore
	case "hangs":
		<-s.release
		return errStore
	case "panics":
		panic("the store")
	}
	return nil
}

func (s *shaky) Add(ctx context.Context, b chatroom.Ban) error {
	if err := s.feel(); err != nil {
		return err
	}
	return s.BanStore.Add(ctx, b)
}

func (s *shaky) Remove(ctx context.Context, id string) error {
	if err := s.feel(); err != nil {
		return err
	}
	return s.BanStore.Remove(ctx, id)
}

func (s *shaky) List(ctx context.Context) ([]chatroom.Ban, error) {
	if err := s.feel(); err != nil {
		return nil, err
	}
	return s.BanStore.List(ctx)
}

// Watch makes a shaky store a BanWatcher: what comes from hand was written by another program.
func (s *shaky) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case b := <-s.hand:
			if err := s.BanStore.Add(ctx, b); err != nil {
				return err
			}
			changed()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A matcher is a shaky store that answers for each member.
type matcher struct{ *shaky }

func (m matcher) Match(ctx context.Context, _ chatroom.Subject) ([]chatroom.Ban, error) {
	return m.List(ctx)
}

func TestABanThatTheStoreDoesNotTakeIsNotInForce(t *testing.T) {
	for _, mood := range []string{"fails", "hangs", "panics"} {
		t.Run(mood, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newShaky(t, chatroom.Ban{ID: "old", Kind: chatroom.BanNick, Value: "mallory"})
				srv := hostBubble(t, chatroom.WithBanStore(store))
				bob, eve := joinInside(t, srv, "bob"), joinInside(t, srv, "eve")
				store.mood.Store(mood)
				var giving sync.WaitGroup
				for _, c := range []cmd{
					chatroom.BanPerson("bob", 0, ""),
					{Verb: chatroom.VerbMute, Nick: "bob"},
					{Verb: chatroom.VerbUnban, Nick: "mallory"},
					{Verb: chatroom.VerbAllow, Nick: "mallory"},
				} {
					giving.Go(func() {
						_, err := srv.Moderate(t.Context(), c)
						wantCode(t, err, chatroom.CodeUnavailable)
					})
				}
				synctest.Wait()
				began := time.Now()
				if _, err := say(t, eve, "is anything the matter?"); err != nil || time.Since(began) > 0 {
					t.Errorf("eve speaks after %v: %v", time.Since(began), err)
				}
				joinInside(t, srv, "dan").Close()
				giving.Wait()
				if took := time.Since(began); took > 11*time.Second {
					t.Errorf("giving it up took %v", took)
				}
				if _, err := say(t, bob, "here"); err != nil {
					t.Errorf("bob: %v", err)
				}
				_, err := srv.Join(t.Context(), chatroom.Identity{Nick: "mallory"})
				wantCode(t, err, chatroom.CodeBanned)
				if got := auditLines(srv); got != "" {
					t.Errorf("recorded %s", got)
				}
				store.mood.Store("")
				if _, err := srv.Moderate(t.Context(), chatroom.BanPerson("bob", 0, "")); err != nil {
					t.Errorf("a ban by a store that is well again: %v", err)
				}
			})
		})
	}
}

func TestNewFailsWithItsBanStore(t *testing.T) {
	for _, mood := range []string{"fails", "panics"} {
		store := newShaky(t)
		store.mood.Store(mood)
		srv, err := chatroom.New(chatroom.WithBanStore(store))
		if err == nil {
			srv.Close()
			t.Errorf("New with a store that %s succeeds", mood)
		}
		if mood == "fails" && !errors.Is(err, errStore) {
			t.Errorf("New: %v", err)
		}
	}
}

func TestThreat34SlowStore(t *testing.T) {
	for _, mood := range []string{"fails", "hangs", "panics"} {
		for _, open := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				store := newShaky(t, chatroom.Ban{ID: "old", Kind: chatroom.BanNick, Value: "mallory"})
				opts := []chatroom.Option{chatroom.WithBanStore(matcher{store})}
				want := chatroom.CodeUnavailable
				if open {
					opts, want = append(opts, chatroom.WithFailOpen()), ""
				}
				srv := hostBubble(t, opts...)
				bob := joinInside(t, srv, "bob")
				_, err := srv.Join(t.Context(), chatroom.Identity{Nick: "mallory"})
				wantCode(t, err, chatroom.CodeBanned)
				store.mood.Store(mood)
				began := time.Now()
				c, err := srv.Join(t.Context(), chatroom.Identity{Nick: "dan"})
				if took := time.Since(began); took > 5100*time.Millisecond { // Limits.Callback, and what is left to it after that
					t.Errorf("dan was answered after %v", took)
				}
				if wantCode(t, err, want); err == nil {
					c.Close()
				} else if told := wantCode(t, err, want); told.Retry != chatroom.RetryLater {
					t.Errorf("dan is told %+v", told)
				}
				_, err = bob.Send(t.Context(), chatroom.Rename("rob"))
				wantCode(t, err, want)
				if _, err := say(t, bob, "still here"); err != nil {
					t.Errorf("bob: %v", err)
				}
			})
		}
	}
}

func TestABanByAnotherHandHitsWhoIsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShaky(t)
		srv := hostBubble(t, chatroom.WithBanStore(store))
		bob, eve := joinInside(t, srv, "bob"), joinInside(t, srv, "eve")
		store.hand <- chatroom.Ban{ID: "x1", Kind: chatroom.BanMask, Value: "b*", Reason: "elsewhere"}
		synctest.Wait()
		store.hand <- chatroom.Ban{ID: "x2", Kind: chatroom.BanNick, Value: "eve", Effect: chatroom.EffectMute}
		synctest.Wait()
		_, end := received(bob)
		if told := wantCode(t, end, chatroom.CodeBanned); told.Ref != "x1" || !strings.Contains(told.Text, "elsewhere") {
			t.Errorf("bob is told %+v", told)
		}
		_, err := say(t, eve, "hm")
		if told := wantCode(t, err, chatroom.CodeMuted); told.Ref != "x2" {
			t.Errorf("eve is told %+v", told)
		}
		events, _ := received(eve)
		var kinds []chatroom.Kind
		for _, e := range events[len(events)-2:] {
			kinds = append(kinds, e.Kind)
		}
		if diff := cmp.Diff([]chatroom.Kind{chatroom.KindBan, chatroom.KindMute}, kinds); diff != "" {
			t.Errorf("eve received (-want +got):\n%s", diff)
		}
		store.mood.Store("fails") // what is known stays known
		store.hand <- chatroom.Ban{ID: "x3", Kind: chatroom.BanNick, Value: "dan"}
		synctest.Wait()
		_, err = srv.Join(t.Context(), chatroom.Identity{Nick: "bob"})
		wantCode(t, err, chatroom.CodeBanned)
	})
}

// An officeAuth is users whose accounts change.
type officeAuth struct {
	users
	changes chan string
	refresh func(chatroom.Identity) (chatroom.Identity, error)
}

func (o *officeAuth) Watch(ctx context.Context, changed func(string)) error {
	for {
		select {
		case account := <-o.changes:
			changed(account)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *officeAuth) Refresh(_ context.Context, id chatroom.Identity) (chatroom.Identity, error) {
	return o.refresh(id)
}

func TestAnAccountThatChangesIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		office := &officeAuth{users: users{"ann": {}, "bob": {}, "joe": {}}, changes: make(chan string)}
		srv := hostBubble(t, chatroom.WithAuthenticator(office))
		eve := joinInside(t, srv, "eve")
		members := make(map[string]chatroom.Client)
		for nick := range office.users {
			members[nick] = joinByJSON(t, srv, nick)
		}
		var asked []string
		office.refresh = func(id chatroom.Identity) (chatroom.Identity, error) {
			asked = append(asked, id.Account)
			switch id.Account {
			case "ann":
				id.Role = chatroom.RoleModerator
				return id, nil
			case "bob":
				return id, &chatroom.Error{Code: chatroom.CodeUnauthorized, Text: "you have been dismissed", Retry: chatroom.RetryNever}
			}
			return id, errors.New("the directory is down")
		}
		received(eve)
		for _, account := range []string{"ann", "bob", "joe", "nobody"} {
			office.changes <- account
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"ann", "bob", "joe"}, asked); diff != "" {
			t.Errorf("refreshed (-want +got):\n%s", diff)
		}
		events, _ := received(eve)
		if len(events) != 2 || events[0].Kind != chatroom.KindRole || events[0].Nick != "ann" || events[0].Act.Role != chatroom.RoleModerator || events[1].Kind != chatroom.KindLeave {
			t.Errorf("eve received %+v", events)
		}
		_, end := received(members["bob"])
		if told := wantCode(t, end, chatroom.CodeUnauthorized); told.Text != "you have been dismissed" {
			t.Errorf("bob is told %+v", told)
		}
		if _, err := say(t, members["joe"], "still here"); err != nil {
			t.Errorf("joe: %v", err)
		}
		received(members["ann"])
		if got := members["ann"].Self().Role; got != chatroom.RoleModerator {
			t.Errorf("ann is %v", got)
		}
		if _, err := members["ann"].Send(t.Context(), chatroom.Kick("joe", "")); err != nil {
			t.Errorf("ann kicks: %v", err)
		}
		synctest.Wait() // an act is recorded after it is acknowledged
		if got := auditLines(srv); got != "promote ann, kick joe" {
			t.Errorf("recorded %s", got)
		}
	})
}

// A bashful conn notes whether it was read from.
type bashful struct {
	net.Conn
	read atomic.Bool
}

func (b *bashful) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.Conn.Read(p)
}

func (b *bashful) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)} }

type doorman struct{ chatroom.Authenticator }

func (doorman) Admit(_ context.Context, addr net.Addr) error {
	if strings.HasPrefix(addr.String(), "192.0.2.7:") {
		return errors.New("not that one")
	}
	return nil
}

func TestAnAdmitterRefusesBeforeAByteIsRead(t *testing.T) {
	srv, err := chatroom.New(chatroom.WithAuthenticator(doorman{chatroom.OpenDoor()}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	near, far := net.Pipe()
	conn := &bashful{Conn: far}
	if err := srv.ServeConn(t.Context(), conn); err == nil || err.Error() != "not that one" || conn.read.Load() {
		t.Errorf("ServeConn: %v; read %v", err, conn.read.Load())
	}
	near.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := near.Read(make([]byte, 1)); n > 0 || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the peer reads %d bytes, %v", n, err)
	}
}

func TestReservedNicksAtTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, chatroom.WithAuthenticator(users{"admin": {}, "Server": {}}))
		for _, nick := range []string{"system", "SERVER", "аdmin", "ＡＤＭＩＮ", "admln", "NickServ", "r00t"} { // the second a is Cyrillic
			c := call(t, srv)
			c.send(`{"type":"join","nick":"` + nick + `"}`)
			if got := c.hear(); !strings.Contains(got, `"nick_invalid"`) {
				t.Errorf("%s is told %s", nick, got)
			}
		}
		bob := call(t, srv)
		bob.send(`{"type":"join","nick":"bob"}`)
		bob.hear()
		for _, nick := range []string{"admin", "Server", "аdmin"} {
			bob.send(`{"type":"nick","nick":"` + nick + `"}`)
			if got := bob.hear(); !strings.Contains(got, `"nick_invalid"`) {
				t.Errorf("bob becomes %s: %s", nick, got)
			}
		}
		for _, nick := range []string{"admin", "Server"} {
			c := call(t, srv)
			c.send(`{"type":"join","nick":"` + nick + `"}`)
			if got := c.hear(); !strings.Contains(got, `"welcome"`) {
				t.Errorf("%s, who has the account, is told %s", nick, got)
			}
		}
		joinInside(t, srv, "system").Close() // the program's own may have any
	})
}

func TestSecretsInTheClear(t *testing.T) {
	tests := []struct {
		addr    string
		options []chatroom.Option
		line    string
		want    string
	}{
		{"192.0.2.7", nil, `"nick":"ann","password":"sesame"`, "denied"},
		{"192.0.2.7", nil, `"nick":"ann","password":"wrong"`, "denied"},
		{"192.0.2.7", nil, `"nick":"ann"`, "denied"}, // not even asked for
		{"192.0.2.7", nil, `"nick":"bob"`, "welcome"},
		{"2001:db8::7", nil, `"nick":"ann","password":"sesame"`, "denied"},
		{"127.0.0.1", nil, `"nick":"ann","password":"sesame"`, "welcome"},
		{"::1", nil, `"nick":"ann","password":"sesame"`, "welcome"},
		{"::ffff:127.0.0.1", nil, `"nick":"ann","password":"sesame"`, "welcome"},
		{"", nil, `"nick":"ann","password":"sesame"`, "welcome"},
		{"192.0.2.7", []chatroom.Option{chatroom.WithPlaintextSecrets()}, `"nick":"ann","password":"sesame"`, "welcome"},
		{"192.0.2.7", []chatroom.Option{chatroom.WithPlaintextSecrets()}, `"nick":"ann"`, "password_required"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			srv := hostBubble(t, append(tt.options, chatroom.WithAuthenticator(users{"ann": {secret: "sesame"}}))...)
			c := callFrom(t, srv, tt.addr)
			c.send(`{"type":"join",` + tt.line + `}`)
			if got := c.hear(); !strings.Contains(got, `"`+tt.want+`"`) {
				t.Errorf("%s from %q: %s", tt.line, tt.addr, got)
			}
		})
	}
}

// Whatever becomes of it, what was said in private is in no record, no log and no report.
func TestWhatIsPrivateAndSecretIsRecordedNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		var mu sync.Mutex
		handler := slog.NewTextHandler(&lockedBuffer{&mu, &logged}, &slog.HandlerOptions{Level: slog.LevelDebug})
		opts := append(filtered(
			step("hold", verdict(chatroom.Verdict{Decision: chatroom.DecisionHold, Evidence: "psst hold"}, "hold")),
			step("rewrite", verdict(chatroom.Verdict{Decision: chatroom.DecisionRewrite, Text: "psst again", Evidence: "psst"}, "rewrite")),
			step("refuse", verdict(chatroom.Verdict{Decision: chatroom.DecisionRefuse, Evidence: "psst"}, "refuse")),
			step("error", chatroom.FilterFunc(func(context.Context, chatroom.Draft) (chatroom.Verdict, error) {
				return chatroom.Verdict{}, errors.New("no model")
			})),
			step("mute", verdict(chatroom.Verdict{Decision: chatroom.DecisionMute, Evidence: "psst"}, "mute")),
		), chatroom.WithLogger(slog.New(handler)), chatroom.WithAuthenticator(users{"ann": {secret: "sesame", role: chatroom.RoleModerator}, "joe": {secret: "tahini"}}))
		srv := hostBubble(t, opts...)
		for _, line := range []string{`"nick":"ann","password":"sesame"`, `"nick":"joe","password":"wrong-secret"`, `"nick":"joe","account":"joe","password":"tahini"`} {
			c := call(t, srv)
			c.send(`{"type":"join",` + line + `}`)
			c.hear()
		}
		outside := callFrom(t, srv, "192.0.2.7")
		outside.send(`{"type":"join","nick":"joe","password":"tahini"}`)
		bob, eve := joinInside(t, srv, "bob"), joinInside(t, srv, "eve")
		for _, word := range []string{"hold", "rewrite", "refuse", "nothing", "mute"} {
			_, _ = bob.Send(t.Context(), chatroom.Private("eve", "psst "+word)) // most are refused
			_, _ = bob.Send(t.Context(), chatroom.Private("nobody", "psst "+word))
		}
		if _, err := srv.Moderate(t.Context(), chatroom.Kick("eve", "")); err != nil {
			t.Fatal(err)
		}
		_, _ = bob.Send(t.Context(), chatroom.Private("ann", "psst"))
		held, _ := srv.Moderate(t.Context(), cmd{Verb: chatroom.VerbHeld})
		if held.Report.Count != 0 {
			t.Errorf("held: %+v", held.Report)
		}
		eve.Close()
		mu.Lock()
		text := logged.String()
		mu.Unlock()
		recs := audits(srv)
		if len(recs) < 4 || len(text) < 500 {
			t.Fatalf("recorded %d acts, logged %d bytes", len(recs), len(text))
		}
		for _, r := range recs {
			text += r.Text + r.Reason + r.Evidence + r.Note
			for _, e := range r.Messages {
				text += e.Text
			}
		}
		for _, secret := range []string{"sesame", "tahini", "wrong-secret", "psst"} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s is recorded: …%s…", secret, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	})
}

type lockedBuffer struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func TestTheAuditIsWholeAndEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		joinInside(t, srv, "bob")
		const acts = 100
		var following sync.WaitGroup
		var all [3][]chatroom.Audit
		for i := range all {
			following.Go(func() {
				for a := range srv.Audits(context.Background()) { // ends when the server does
					all[i] = append(all[i], a)
				}
			})
		}
		var stuck []uint64
		release, holding := make(chan struct{}), make(chan struct{})
		following.Go(func() {
			for a := range srv.Audits(t.Context()) {
				if stuck = append(stuck, a.Seq); len(stuck) == 1 {
					close(holding)
					<-release
				}
				if len(stuck) == 2 {
					return
				}
			}
		})
		began := time.Now()
		var acting sync.WaitGroup
		for range 4 {
			acting.Go(func() {
				for range acts / 4 {
					if _, err := srv.Moderate(t.Context(), cmd{Verb: chatroom.VerbSlow, Every: time.Second}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		acting.Wait()
		<-holding
		synctest.Wait()
		for range 5000 { // more than are remembered
			if _, err := srv.Moderate(t.Context(), cmd{Verb: chatroom.VerbSlow}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // those who follow do
		}
		if time.Since(began) > 0 {
			t.Errorf("a subscriber that is stuck cost %v", time.Since(began))
		}
		close(release)
		srv.Close()
		following.Wait()
		for _, recs := range all {
			for i, a := range recs {
				if a.Seq != uint64(i+1) {
					t.Fatalf("record %d has the number %d", i, a.Seq)
				}
			}
			if len(recs) != acts+5000 {
				t.Errorf("%d records", len(recs))
			}
		}
		if len(stuck) != 2 || stuck[1] < acts+5000-4096 {
			t.Errorf("the stuck one received %v", stuck)
		}
		n := 0
		for range srv.Audits(context.Background()) {
			n++
		}
		if n < 4000 {
			t.Errorf("after the end %d records are left", n)
		}
	})
}

// A halfway store stores the first ban it is given, and half of the second.
type halfway struct {
	chatroom.BanStore
	added atomic.Int32
}

func (h *halfway) Add(ctx context.Context, b chatroom.Ban) error {
	if err := h.BanStore.Add(ctx, b); err != nil || h.added.Add(1) == 1 {
		return err
	}
	return errStore
}

func TestABanOnAPersonIsStoredWholeOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &halfway{BanStore: chatroom.MemoryBans()}
		srv := hostBubble(t, chatroom.WithBanStore(store))
		alice := joinInside(t, srv, "alice") // who has an account
		_, err := srv.Moderate(t.Context(), chatroom.BanPerson("alice", 0, ""))
		wantCode(t, err, chatroom.CodeUnavailable)
		if bans, _ := store.List(t.Context()); store.added.Load() != 2 || len(bans) > 0 {
			t.Errorf("after %d bans the store holds %+v", store.added.Load(), bans)
		}
		if _, err := say(t, alice, "still here"); err != nil {
			t.Errorf("alice: %v", err)
		}
	})
}
