package chatroom_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

func TestNothingButTheTokenResumes(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		ann, bob := visit(t, srv, "ann"), visit(t, srv, "bob")
		ann.cut()
		bob.send(`{"type":"private","nick":"ann","text":"secret"}`)
		token := ann.token
		for _, guess := range []string{
			token[:len(token)-1], token[1:], token + "A", token + token, " " + token, strings.ToLower(token), "x", strings.Repeat("A", 26),
			ann.seen["lobby"].Epoch, bob.token, strings.Repeat("x", 8000),
		} {
			c := call(t, srv)
			c.send(fmt.Sprintf(`{"type":"join","id":"1","nick":"ann","session":%q}`, guess))
			if s := c.hear(); !strings.HasPrefix(s, `{"type":"error","id":"1","code":"nick_in_use"`) || strings.Count(s, "\n") != 1 {
				t.Errorf("%q: %s", guess, s)
			}
		}
		want(t, ann.back(), "welcome resumed lobby 1", "join 2 bob", "private p1 bob secret")
		if token != ann.token {
			t.Error("resuming gave another token")
		}
		ann.send(`{"type":"quit"}`)
		stale := call(t, srv)
		stale.send(fmt.Sprintf(`{"type":"join","nick":"ann","session":%q}`, token))
		if s := stale.hear(); !strings.Contains(s, `"type":"welcome"`) || strings.Contains(s, "secret") || strings.Contains(s, "resumed") {
			t.Errorf("stale: %s", s)
		}
	})
}

func TestATokenWithAnotherNickIsWorthNothing(t *testing.T) {
	for _, lingering := range []bool{true, false} {
		t.Run(fmt.Sprint("lingering: ", lingering), func(t *testing.T) {
			bubble(t, func(t *testing.T, srv chatroom.Server) {
				ann, bob := visit(t, srv, "ann"), visit(t, srv, "bob")
				if lingering {
					ann.cut()
				}
				bob.send(`{"type":"private","nick":"ann","text":"secret"}`, saying("hello"))
				ann.take()
				eve := call(t, srv)
				eve.send(fmt.Sprintf(`{"type":"join","nick":"eve","resume":true,"session":%q}`, ann.token))
				if s := eve.hear(); !strings.Contains(s, `"nick":"eve","session":"`) || strings.Contains(s, ann.token) || strings.Contains(s, "secret") || strings.Contains(s, "resumed") {
					t.Errorf("eve: %s", s)
				}
				for _, nick := range []string{"", "bob", "an"} {
					eve = call(t, srv)
					eve.send(fmt.Sprintf(`{"type":"join","nick":%q,"session":%q}`, nick, ann.token))
					if s := eve.hear(); strings.Contains(s, "secret") || strings.Contains(s, "resumed") {
						t.Errorf("%q: %s", nick, s)
					}
					eve.conn.Close()
					synctest.Wait()
				}
				if lingers(srv, "ann") != lingering {
					t.Error("ann's session was touched")
				}
				ann.seen["lobby"] = chatroom.Seen{Room: "lobby", Epoch: ann.seen["lobby"].Epoch, Seq: 2}
				ann.private = 0
				want(t, ann.back()[:2], "welcome resumed lobby 4", "message 3 bob hello")
				if ann.private != 1 {
					t.Error("what was said to ann is lost")
				}
			})
		})
	}
}

func TestATokenGoesWithTheNicksItsMemberHad(t *testing.T) {
	renames := chatroom.WithAuthenticator(chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
		if req.Nick == "ann" && req.Current == nil {
			return chatroom.Identity{Nick: "Ann-Sophie", Account: "17"}, nil
		}
		return chatroom.Identity{Nick: req.Nick}, nil
	}))
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := visit(t, srv, "ann")
		resumes := func(nick string) bool {
			t.Helper()
			ann.cut()
			ann.nick = nick
			return strings.HasPrefix(ann.back()[0], "welcome resumed lobby")
		}
		for range 64 { // with the answers to as many commands on their way, the first may be all a client knows
			ann.send(`{"type":"nick","nick":"anna"}`, `{"type":"nick","nick":"annb"}`)
		}
		for i := range 64 {
			ann.send(fmt.Sprintf(`{"type":"nick","nick":"ann%d"}`, i))
		}
		ann.take()
		for _, nick := range []string{"ann63", "ann0", " ANN62 ", "ａｎｎ", "annb"} {
			if !resumes(nick) {
				t.Fatalf("%q does not resume", nick)
			}
		}
		eve := visit(t, srv, "anna") // who has it now, and it is too long ago that it was ann's
		eve.take()
		token := ann.token
		ann.cut()
		ann.caller = call(t, srv)
		ann.send(fmt.Sprintf(`{"type":"join","nick":"anna","session":%q}`, token))
		if s := ann.hear(); !strings.Contains(s, "nick_in_use") {
			t.Errorf("anna: %s", s)
		}
		if !resumes("ann") {
			t.Error("the nick asked for at first does not resume")
		}
	}, renames)
}

// A guesser is a front that joins with one guess after the other, without the time it takes to write them.
type guesser struct {
	guesses int
	guess   func(i int) string
	found   *int
}

func (guesser) Name() string                               { return "guesses" }
func (guesser) Detect(first []byte) chatroom.Detection     { return chatroom.Mine }
func (guesser) AppendEvent([]byte, *chatroom.Event) []byte { return nil }

func (g *guesser) Serve(ctx context.Context, c *chatroom.Conn) error {
	for i := range g.guesses {
		_, err := c.Join(ctx, chatroom.JoinRequest{Nick: "ann", Session: g.guess(i), Encoder: chatroom.JSONFront{}})
		if err == nil {
			*g.found++
			return nil
		}
		if !errors.Is(err, chatroom.ErrNickInUse) {
			return err
		}
	}
	return errGuessed
}

var errGuessed = errors.New("all guesses were wrong")

var guessesFlag = flag.Int("guesses", 100_000, "how often TestGuessesFindNoSession guesses")

func TestGuessesFindNoSession(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	guesses := *guessesFlag
	if testing.Short() {
		guesses = 20_000
	}
	srv, addr := host(t, brisk(chatroom.Limits{Linger: time.Hour}), chatroom.WithReservedNicks())
	ann := dial(t, addr)
	ann.send(`{"type":"join","nick":"ann","resume":true}`)
	token := field([]byte(ann.until(`"session"`)), "session")
	ann.Close()
	found := 0
	front := &guesser{guesses: guesses, found: &found}
	random := rand.New(rand.NewPCG(1, 2))
	front.guess = func(i int) string {
		guess := []byte(token)
		if i < len(guess)*len(alphabet) { // all that are one letter off
			if guess[i/len(alphabet)] == alphabet[i%len(alphabet)] {
				return "the token itself, of all things"
			}
			guess[i/len(alphabet)] = alphabet[i%len(alphabet)]
			return string(guess)
		}
		for j := range guess {
			guess[j] = alphabet[random.IntN(len(alphabet))]
		}
		return string(guess)
	}
	tries := func() error {
		near, far := net.Pipe()
		defer near.Close()
		go func() { _, _ = near.Write([]byte("x")) }()
		return srv.ServeConn(t.Context(), far, front)
	}
	if err := tries(); found != 0 || !errors.Is(err, errGuessed) {
		t.Fatalf("%d of %d guesses were right: %v", found, guesses, err)
	}
	if !lingers(srv, "ann") {
		t.Error("ann is gone")
	}
	front.guess = func(int) string { return token }
	if err := tries(); found != 1 {
		t.Errorf("the token itself was not right: %v", err)
	}
}

// Whatever happens around a session, its token is told to its member and to nobody else, once.
func TestTokensAreToldToNobodyElse(t *testing.T) {
	var text, objects bytes.Buffer
	all := &slog.HandlerOptions{Level: slog.Level(-100), AddSource: true}
	log := slog.New(slog.NewMultiHandler(slog.NewTextHandler(&text, all), slog.NewJSONHandler(&objects, all)))
	failing := chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
		switch req.Nick {
		case "fails":
			return chatroom.Identity{}, fmt.Errorf("cannot look up %+v", req)
		case "panics":
			panic(fmt.Sprintf("%+v", req))
		case "mod":
			return chatroom.Identity{Nick: "mod", Account: "mod", Role: chatroom.RoleAdmin}, nil
		}
		return chatroom.Identity{Nick: req.Nick}, nil
	})
	angry := chatroom.FilterFunc(func(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
		if d.Text == "panic" {
			panic(fmt.Sprintf("%+v", d))
		}
		return chatroom.Verdict{}, nil
	})
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		var told strings.Builder
		listening, stop := context.WithCancel(t.Context())
		defer stop()
		mod := visit(t, srv, "mod")
		person := call(t, srv)
		time.Sleep(time.Second)
		person.send("person")
		program, err := srv.Join(t.Context(), chatroom.Identity{Nick: "program"})
		if err != nil {
			t.Fatal(err)
		}
		tokens := []string{mod.token}
		for _, end := range []string{"quit", "kick", "ban", "late", "resume", "replace", "rename", "mute", "panic", "fails", "panics", "foreign"} {
			v := visit(t, srv, "v-"+end)
			tokens = append(tokens, v.token)
			v.send(saying("hello"), `{"type":"private","nick":"mod","text":"psst"}`, `{"type":"join","room":"den"}`)
			switch end {
			case "quit":
				v.send(`{"type":"quit","text":"bye"}`)
			case "kick", "ban", "mute":
				mod.send(fmt.Sprintf(`{"type":%q,"nick":"v-%s","reason":"spam"}`, end, end))
			case "late":
				v.cut()
				time.Sleep(time.Minute)
			case "resume":
				v.take()
				v.cut()
				fmt.Fprintln(&told, v.back())
			case "replace":
				old := v.caller
				v.take()
				v.back()
				fmt.Fprintln(&told, old.hear())
			case "rename":
				v.send(`{"type":"nick","nick":"v-renamed"}`)
			case "panic":
				v.send(saying("panic"))
			case "fails", "panics", "foreign":
				c := call(t, srv)
				c.send(fmt.Sprintf(`{"type":"join","id":%q,"nick":%q,"session":%q,"seen":[{"room":%[3]q,"epoch":%[3]q,"seq":1}]}`, end, end, v.token))
				fmt.Fprintln(&told, c.hear())
			}
			mod.send(`{"type":"who","room":"lobby"}`, `{"type":"rooms"}`, `{"type":"acts"}`, `{"type":"bans"}`, `{"type":"held"}`, `{"type":"history","room":"lobby","count":500}`)
			person.send("/who", "/history 500", "/rooms")
			fmt.Fprintf(&told, "%s%s%+v%+v", mod.hear(), person.hear(), srv.Stats(), srv.Rooms())
			fmt.Fprintf(&told, "%+v%+v", srv.Members("lobby"), srv.Members("den"))
		}
		stop()
		for a := range srv.Audits(listening) {
			fmt.Fprintf(&told, "%+v", a)
		}
		if err := program.Close(); err != nil {
			t.Fatal(err)
		}
		for {
			e, err := program.Receive(t.Context())
			if err != nil {
				break
			}
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&told, "%s%+v", line, e)
		}
		synctest.Wait()
		logged := text.String() + objects.String()
		for name, place := range map[string]string{"what others were told": told.String(), "the log": logged} {
			for i, token := range tokens {
				if len(token) != 26 || strings.Contains(place, token) || strings.Contains(strings.ToUpper(place), token[:10]) {
					t.Errorf("the token %d of %d is in %s", i, len(tokens), name)
				}
			}
		}
		for _, want := range []string{"member resumed", "authenticator failed", "authenticator panicked", "member left"} {
			if !strings.Contains(logged, want) {
				t.Errorf("the log says nothing of %q: %.3000s", want, logged)
			}
		}
	}, chatroom.WithLogger(log), chatroom.WithAuthenticator(failing), chatroom.WithFilter(chatroom.FilterStep{Name: "angry", Filter: angry}))
}
