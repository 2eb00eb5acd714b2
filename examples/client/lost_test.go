package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// sit sits down at a terminal and joins a server there. What chat comes to is sent on ended.
func sit(t *testing.T, addr, nick string, opts ...client.Option) (u *terminal, ended chan error) {
	t.Helper()
	u = newTestTerminal(t, false)
	c, err := join(t.Context(), u.screen, addr, nick, opts)
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- chat(t.Context(), c, u.screen) }()
	t.Cleanup(func() { c.Close() })
	u.sees(t, nick+">")
	return u, ended
}

func say(t *testing.T, c chatroom.Client, cmd chatroom.Command) {
	t.Helper()
	if _, err := c.Send(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
}

func TestATerminalShowsWhatItMissed(t *testing.T) {
	srv, addr := serve(t)
	r := newRelay(t, addr)
	bob, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	ann, _ := sit(t, r.addr, "ann")
	ann.types("hello\r")
	ann.sees(t, "<ann> hello")
	ann.types("half a sen")
	r.leads("")
	ann.sees(t, "ann (offline)> half a sen")
	say(t, bob, chatroom.Say("", "one"))
	say(t, bob, chatroom.Private("ann", "psst"))
	say(t, bob, chatroom.Say("", "two"))
	r.leads(addr)
	ann.sees(t, "\nann> half a sen")
	ann.types("tence\r")
	ann.sees(t, "<ann> half a sentence")
	ann.sees(t, `--- Connection lost; trying again…
--- Back; 2 missed:
<bob> one
<bob> two
[bob -> ann] psst
<ann> half a sentence
ann>`)
}

func TestTerminalsOutliveTheirServer(t *testing.T) {
	_, addr := serve(t)
	r := newRelay(t, addr)
	ann, _ := sit(t, r.addr, "ann")
	bob, _ := sit(t, r.addr, "bob")
	for _, u := range []*terminal{ann, bob} {
		u.types("/join den\r/join lobby\r")
		u.sees(t, "is said in lobby now.")
	}
	ann.types("half a sen")
	r.leads("")
	ann.sees(t, "ann (offline)> half a sen")
	bob.sees(t, "bob (offline)>")
	bob.types("while it is away\r")
	bob.sees(t, "--- When the connection is back: while it is away")
	bob.types("typing on")
	bob.sees(t, "bob (offline)> typing on")
	_, again := serve(t) // which knows nothing of the other one
	r.leads(again)
	for nick, typed := range map[string]string{"ann": "half a sen", "bob": "typing on"} {
		u := map[string]*terminal{"ann": ann, "bob": bob}[nick]
		u.sees(t, "--- Back. The room began anew: what happened meanwhile cannot be known.\n--- You are "+nick+", in lobby")
		u.sees(t, "--- Back in den. The room began anew: what happened meanwhile cannot be known.\n--- You are "+nick+", in den")
		u.sees(t, "<bob> while it is away")
		u.sees(t, "\n"+nick+"> "+typed)
		if shown := u.display.String(); strings.Contains(shown, "not kept") {
			t.Errorf("it counts what cannot be known:\n%s", shown)
		}
	}
}

// What is told of a room's connection stands before what came of it, though the one is known at once and the
// other when it is received.
func TestNewsOfARoomStandTogether(t *testing.T) {
	u := newTestTerminal(t, false)
	u.setPrompt("ann")
	u.show(welcome)
	u.follow(client.State{Kind: client.Reconnecting, Attempt: 1, Err: chatroom.ErrShutdown})
	u.follow(client.State{Kind: client.Resumed, Room: "lobby", Missed: 1})
	u.follow(client.State{Kind: client.Resumed, Room: "den", Missed: 0})
	u.follow(client.State{Kind: client.Resumed, Room: "attic", Missed: 2})
	u.show(said("bob", "one"))
	for _, text := range []string{"two", "three"} {
		e := said("bob", text)
		e.Room = "attic"
		u.show(e)
	}
	u.sees(t, `--- You are ann, in lobby.
--- Connection lost (the server is shutting down); trying again…
--- Back in den; nothing missed.
--- Back; 1 missed:
<bob> one
--- Back in attic; 2 missed:
[attic] <bob> two
[attic] <bob> three`)
}

// Nobody waits for a connection that does not come back.
func TestWhoIsOfflineCanLeave(t *testing.T) {
	for _, keys := range []string{"\x03", "\x04", "/quit\r"} {
		t.Run(fmt.Sprintf("%q", keys), func(t *testing.T) {
			_, addr := serve(t)
			r := newRelay(t, addr)
			ann, ended := sit(t, r.addr, "ann")
			r.leads("")
			ann.sees(t, "ann (offline)>")
			ann.types("one\r")
			ann.sees(t, "back: one")
			ann.types("two\r")
			ann.sees(t, "back: two")
			began := time.Now()
			io.WriteString(ann.keys, keys)
			if err := <-ended; !errors.Is(err, chatroom.ErrClosed) {
				t.Errorf("chat ended with %v", err)
			}
			if took := time.Since(began); took >= farewell {
				t.Errorf("it took %v", took)
			}
			ann.sees(t, "!!! not sent: one.\n!!! not sent: two.\n--- Goodbye.")
		})
	}
}

func TestWhatWaitsAtATerminalIsBounded(t *testing.T) {
	_, addr := serve(t)
	r := newRelay(t, addr)
	ann, _ := sit(t, r.addr, "ann")
	r.leads("")
	ann.sees(t, "ann (offline)>")
	for i := range maxWaiting + 2 { // one is taken by whoever sends
		ann.types(fmt.Sprintf("line %d\r", i))
		ann.sees(t, fmt.Sprintf(": line %d", i))
	}
	ann.sees(t, fmt.Sprintf("!!! too much waits already, and this is not done: line %d.", maxWaiting+1))
	r.leads(addr)
	ann.sees(t, fmt.Sprintf("<ann> line %d", maxWaiting-1))
}

func TestARoomThatIsLockedMeanwhileIsToldOf(t *testing.T) {
	srv, addr := serve(t, chatroom.WithLimits(chatroom.Limits{Linger: 1}))
	r := newRelay(t, addr)
	ann, _ := sit(t, r.addr, "ann")
	ann.types("/join den\r")
	ann.sees(t, "in den.")
	ann.types("/join lobby\r")
	ann.sees(t, "is said in lobby now.")
	r.leads("")
	ann.sees(t, "ann (offline)>")
	lock := chatroom.Command{Verb: chatroom.VerbLock, Room: "lobby", Reason: "painting"}
	if _, err := srv.Moderate(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	r.leads(addr)
	ann.sees(t, "--- Back in den.")
	ann.sees(t, "<-- ann left (lobby takes nobody new at present: painting)")
	ann.types("in the only room\r")
	ann.sees(t, "[den] <ann> in the only room")
	ann.types("/leave\r")
	ann.sees(t, "[den] <-- ann left")
	ann.types("nowhere\r")
	ann.sees(t, "!!! you are in no room")
}

func TestWhyItTakesLongIsToldOnce(t *testing.T) {
	srv, addr := serve(t, chatroom.WithLimits(chatroom.Limits{Linger: 1}))
	r := newRelay(t, addr)
	ann, _ := sit(t, r.addr, "ann")
	r.leads("")
	ann.sees(t, "ann (offline)>")
	lock := chatroom.Command{Verb: chatroom.VerbLock, Room: "lobby"}
	if _, err := srv.Moderate(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	r.leads(addr)
	for range 5 {
		<-r.passed // the first was before that
	}
	ann.sees(t, "--- Not back yet (lobby takes nobody new at present); trying again…\nann (offline)>")
	lock.Verb = chatroom.VerbUnlock
	if _, err := srv.Moderate(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	ann.sees(t, "--- Back; ")
	if n := strings.Count(ann.display.String(), "Not back yet"); n != 1 {
		t.Errorf("told %d times:\n%s", n, ann.display)
	}
}

func TestWhatBecameOfACommandIsNotKnown(t *testing.T) {
	_, addr := serve(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRelay(t, l.Addr().String())
	heard := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 4096)
		if _, err := conn.Read(buf); err != nil {
			return
		}
		io.WriteString(conn, `{"type":"welcome","version":1,"seq":1,"room":"lobby","nick":"ann","member":1,"epoch":"E","session":"S"}`+"\n")
		n, _ := conn.Read(buf)
		heard <- string(buf[:n])
	}()
	ann, _ := sit(t, r.addr, "ann")
	ann.types("/msg bob psst\r")
	if s := <-heard; !strings.Contains(s, "psst") {
		t.Errorf("the server heard %q", s)
	}
	r.leads(addr)
	ann.sees(t, "!!! it is not known whether this was done: /msg bob psst.")
	ann.types("on we go\r")
	ann.sees(t, "<ann> on we go")
}
