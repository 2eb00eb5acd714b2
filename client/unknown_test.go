package client_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// What becomes of a command that was written, and whose session is lost before the answer.
const (
	redone  = "done again" // which does no harm
	sought  = "looked for in the room's history, and done again if it is not there"
	unknown = "unknown"
	over    = "the member ends"
)

var fates = map[chatroom.Verb]string{
	chatroom.VerbSay: sought, chatroom.VerbAction: sought, chatroom.VerbTopic: sought,
	chatroom.VerbPrivate: unknown,
	chatroom.VerbNick:    redone, chatroom.VerbJoin: redone,
	chatroom.VerbLeave: redone, chatroom.VerbQuit: over,
	chatroom.VerbWho: redone, chatroom.VerbRooms: redone, chatroom.VerbRoom: redone, chatroom.VerbPing: redone, chatroom.VerbHistory: redone,
	chatroom.VerbBans: redone, chatroom.VerbActs: redone, chatroom.VerbHeld: redone,

	chatroom.VerbKick: unknown, chatroom.VerbBan: unknown, chatroom.VerbUnban: unknown, chatroom.VerbAllow: unknown,
	chatroom.VerbMute: unknown, chatroom.VerbUnmute: unknown, chatroom.VerbSlow: unknown, chatroom.VerbLock: unknown, chatroom.VerbUnlock: unknown,
	chatroom.VerbPromote: unknown, chatroom.VerbDemote: unknown, chatroom.VerbDelete: unknown, chatroom.VerbClear: unknown,
	chatroom.VerbUndo: unknown, chatroom.VerbApprove: unknown, chatroom.VerbReject: unknown,

	"frobnicate": unknown, // of a later version
}

// inFlight has ann send a command that is written when her session is lost, and begin another one. q is her new connection.
func inFlight(t *testing.T, cmd chatroom.Command, test func(t *testing.T, q *peer, ann *client.Client, sent <-chan result)) {
	synctest.Test(t, func(t *testing.T) {
		p, conn := newPeer(t)
		q, again := newPeer(t)
		w := &wire{connect: func() net.Conn { return again }}
		ann := joinPeer(t, p, conn, w)
		sent := sending(t.Context(), ann, cmd)
		p.hears()
		p.conn.Close()
		test(t, q, ann, sent)
		w.setDown(true)
		q.conn.Close()
	})
}

func TestWhatBecomesOfACommandWhenTheSessionIsLost(t *testing.T) {
	for verb, fate := range fates {
		cmd := chatroom.Command{Verb: verb, ID: "k", Nick: "bob", Text: "text"}
		if verb == chatroom.VerbJoin || verb == chatroom.VerbLeave {
			cmd.Room = "attic"
		}
		t.Run(string(verb), func(t *testing.T) {
			inFlight(t, cmd, func(t *testing.T, q *peer, ann *client.Client, sent <-chan result) {
				wantFate(t, fate, cmd, q, ann, sent)
			})
		})
	}
	for _, verb := range []chatroom.Verb{chatroom.VerbBan, chatroom.VerbMute, chatroom.VerbAllow} {
		cmd := chatroom.Command{Verb: verb, ID: "k", Nick: "bob", Preview: true}
		t.Run(string(verb)+" preview", func(t *testing.T) {
			inFlight(t, cmd, func(t *testing.T, q *peer, ann *client.Client, sent <-chan result) {
				wantFate(t, redone, cmd, q, ann, sent)
			})
		})
	}
}

// wantFate plays the server that ann comes back to, and checks what becomes of the command she has sent.
func wantFate(t *testing.T, fate string, cmd chatroom.Command, q *peer, ann *client.Client, sent <-chan result) {
	t.Helper()
	refusal := chatroom.Event{Kind: chatroom.KindError, ID: "k", Err: chatroom.ErrDenied.(*chatroom.Error)}
	if fate == over {
		if r := <-sent; r.err != nil || r.event.Kind != chatroom.KindBye {
			t.Errorf("Send: %+v, %v", r.event, r.err)
		}
		wantEvents(t, ann, welcome, ownJoin(1))
		wantEnd(t, ann, chatroom.ErrClosed)
		return
	}
	back, own := in("lobby", 3, peerWelcome(2, "e1", "s2", 3)), in("lobby", 3, ownJoin(2))
	back.Welcome.History = 1
	q.hears()
	q.says(back, in("lobby", 2, chatroom.Event{Kind: chatroom.KindLeave, From: "ann", Member: 1}))
	if fate == unknown {
		r := <-sent // at once
		if _, refused := errors.AsType[*chatroom.Error](r.err); !errors.Is(r.err, client.ErrUnknownOutcome) || refused {
			t.Errorf("Send: %+v, %v", r.event, r.err)
		}
		q.says(own)
		q.quiet(ann)
		return
	}
	later := sending(t.Context(), ann, chatroom.Command{Verb: chatroom.VerbPing, ID: "later"})
	heard := make(chan chatroom.Command, 1)
	go func() { heard <- q.hears() }()
	synctest.Wait()
	if waits := len(heard) == 0; waits != (fate == sought) {
		t.Errorf("before the history is there, it waits: %v", waits)
	}
	if len(heard) == 0 {
		q.says(own)
	}
	if again := <-heard; again.ID != "k" || again.Verb != cmd.Verb {
		t.Errorf("the peer heard %+v", again)
	}
	q.says(refusal)
	if r := <-sent; !errors.Is(r.err, chatroom.ErrDenied) || errors.Is(r.err, client.ErrUnknownOutcome) {
		t.Errorf("Send: %+v, %v", r.event, r.err)
	}
	q.answers(chatroom.Event{Kind: chatroom.KindPong})
	if r := <-later; r.err != nil {
		t.Errorf("the next Send: %v", r.err)
	}
}

func TestTheFateOfEveryVerbIsKnown(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../event.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	verbs := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Verb") {
			return true
		}
		verbs++
		verb, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if _, known := fates[chatroom.Verb(verb)]; !known || err != nil {
			t.Errorf("%s: %v", spec.Names[0].Name, err)
		}
		return true
	})
	if verbs < 30 {
		t.Errorf("%d verbs were found", verbs)
	}
}

func TestWhatCannotBeLookedForIsUnknown(t *testing.T) {
	say := chatroom.Command{Verb: chatroom.VerbSay, ID: "k", Text: "text"}
	gap := chatroom.Event{Kind: chatroom.KindGap, Room: "lobby", Gap: &chatroom.Gap{From: 2, To: 8}}
	for _, c := range []struct {
		name string
		back []chatroom.Event
	}{
		{"a gap", []chatroom.Event{in("lobby", 9, peerWelcome(2, "e1", "s2", 9)), gap, in("lobby", 9, ownJoin(2))}},
		{"numbers that are missing", []chatroom.Event{in("lobby", 9, peerWelcome(2, "e1", "s2", 9)), in("lobby", 9, ownJoin(2))}},
		{"another epoch", []chatroom.Event{in("lobby", 9, peerWelcome(2, "e2", "s2", 9)), in("lobby", 9, ownJoin(2))}},
		{"another room", []chatroom.Event{in("den", 9, peerWelcome(2, "e2", "s2", 9)), in("den", 9, ownJoin(2))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFlight(t, say, func(t *testing.T, q *peer, ann *client.Client, sent <-chan result) {
				later := sending(t.Context(), ann, chatroom.Command{Verb: chatroom.VerbPing})
				q.hears()
				q.says(c.back...)
				if c.name == "another room" {
					q.answers(chatroom.Event{Kind: chatroom.KindError, Err: chatroom.ErrLocked.(*chatroom.Error)}) // the lobby
				}
				if r := <-sent; !errors.Is(r.err, client.ErrUnknownOutcome) {
					t.Errorf("Send: %+v, %v", r.event, r.err)
				}
				q.answers(chatroom.Event{Kind: chatroom.KindPong})
				if r := <-later; r.err != nil {
					t.Errorf("the next Send: %v", r.err)
				}
			})
		})
	}
}

// The connection is lost again before the history is there, and then that is gone.
func TestWhatWasToBeLookedForIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, conn := newPeer(t)
		q, second := newPeer(t)
		o, third := newPeer(t)
		conns := []net.Conn{second, third}
		w := &wire{}
		w.connect = func() net.Conn {
			next := conns[0]
			conns = conns[1:]
			return next
		}
		ann := joinPeer(t, p, conn, w)
		sent := sending(t.Context(), ann, chatroom.Say("", "text"))
		p.hears()
		p.conn.Close()
		q.hears()
		q.says(in("lobby", 4, peerWelcome(2, "e1", "s2", 4)))
		q.conn.Close()
		if cmd := o.hears(); cmd.Seen[0].Seq != 1 {
			t.Errorf("the peer heard %+v", cmd)
		}
		back := in("lobby", 4, peerWelcome(2, "e1", "", 4))
		back.Welcome.Resumed, back.Welcome.History = true, 1
		o.says(back, chatroom.Event{Kind: chatroom.KindGap, Room: "lobby", Gap: &chatroom.Gap{From: 2, To: 7}}, in("lobby", 8, message))
		if r := <-sent; !errors.Is(r.err, client.ErrUnknownOutcome) {
			t.Errorf("Send: %+v, %v", r.event, r.err)
		}
		o.quiet(ann)
		w.setDown(true)
		o.conn.Close()
	})
}

// A further room was joined again, and the connection was lost before that was heard.
func TestARoomJoinedAgainUnheardIsReadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q, ann, w := atticPeer(t)
		o, third := newPeer(t)
		said := sending(t.Context(), ann, chatroom.Say("attic", "text"))
		id := p.hears().ID
		p.conn.Close()
		q.hears()
		q.says(in("lobby", 3, peerWelcome(2, "e1", "s2", 3)), in("lobby", 3, ownJoin(2)))
		again := q.hears()
		if again.Room != "attic" || len(again.Seen) != 1 || again.Seen[0] != (chatroom.Seen{Room: "attic", Epoch: "a1", Seq: 5}) {
			t.Errorf("the peer heard %+v", again)
		}
		w.mu.Lock()
		w.connect = func() net.Conn { return third }
		w.mu.Unlock()
		q.conn.Close()
		o.hears()
		lobby, attic := in("lobby", 3, peerWelcome(2, "e1", "", 3)), in("attic", 8, peerWelcome(2, "a1", "", 8))
		lobby.Welcome.Resumed, attic.Welcome.Resumed, attic.Welcome.History = true, true, 3
		text := chatroom.Event{Kind: chatroom.KindMessage, ID: id, From: "ann", Member: 1, Text: "text"}
		o.says(lobby, attic, in("attic", 6, text), in("attic", 7, chatroom.Event{Kind: chatroom.KindLeave, From: "ann", Member: 1}), in("attic", 8, ownJoin(2)))
		if r := <-said; r.err != nil || r.event.Seq != 6 {
			t.Errorf("Send: %+v, %v", r.event, r.err)
		}
		if cmd := o.answers(chatroom.Event{Kind: chatroom.KindWelcome, Room: "attic", Nick: "ann", Member: 2, Welcome: &chatroom.Welcome{}, Again: true}); cmd.ID != again.ID {
			t.Errorf("the peer heard %+v", cmd)
		}
		o.quiet(ann)
		got := drain(t, ann)
		wantLines(t, got[len(got)-4:], `welcome attic/0 ann seq=8 history=2 topic=""`,
			"earlier message attic/6 ann text", "earlier leave attic/7 ann", "join attic/8 ann")
		w.setDown(true)
		o.conn.Close()
	})
}
