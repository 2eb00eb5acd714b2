package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

func TestFurtherRoomsAreReadOnWhereTheyWere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t, brisk(chatroom.Limits{History: 2, HistoryBytes: 8000}))
		ann, w, s := frailAnn(t, connect)
		bob := enter(t, srv, "bob", "lobby", "attic", "cellar")
		do(t, ann, chatroom.JoinRoom("attic"))
		do(t, ann, chatroom.JoinRoom("cellar"))
		drain(t, ann)
		w.setDown(true)
		w.cut()
		time.Sleep(time.Minute)
		for _, room := range []string{"lobby", "attic"} {
			for i := range 10 {
				do(t, bob, chatroom.Say(room, fmt.Sprint(i)))
			}
		}
		for i := range 100 {
			do(t, bob, chatroom.Say("cellar", fmt.Sprint(i)))
		}
		w.setDown(false)
		time.Sleep(time.Minute)
		got := drain(t, ann)
		wantUnbroken(t, got, "lobby", 3, 14) // from bob's join on, and then ann's leave, what bob said, and ann's join
		wantUnbroken(t, got, "attic", 3, 14)
		wantUnbroken(t, got, "cellar", 3, 104)
		gaps := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return !strings.HasPrefix(line, "gap ") })
		if len(gaps) != 1 || !strings.HasPrefix(gaps[0], "gap cellar 3-") {
			t.Errorf("gaps: %q", gaps)
		}
		kept := len(slices.DeleteFunc(got, func(line string) bool {
			return !strings.HasPrefix(line, "earlier ") || !strings.Contains(line, " cellar/")
		}))
		if want := fmt.Sprint(" rejoined lobby 11 rejoined attic 11 rejoined cellar ", kept); !strings.HasSuffix(s.String(), want) {
			t.Errorf("states: %s; want %s", s, want)
		}
	})
}

// A server takes no line longer than it says, and names of rooms can be long.
func TestAHundredRoomsAreReadOn(t *testing.T) {
	for _, away := range []time.Duration{time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			srv, connect := bubbleHouse(t, brisk(chatroom.Limits{RoomsPerMember: -1}))
			ann, w, s := frailAnn(t, connect)
			rooms := []string{"lobby"}
			for i := range 100 {
				rooms = append(rooms, fmt.Sprintf("%064d", i))
			}
			bob := enter(t, srv, "bob", rooms...)
			for _, room := range rooms[1:] {
				do(t, ann, chatroom.JoinRoom(room))
			}
			drain(t, ann)
			drain(t, bob)
			w.setDown(true)
			w.cut()
			synctest.Wait()
			time.Sleep(away)
			for _, room := range rooms {
				do(t, bob, chatroom.Say(room, "news of "+room))
			}
			drain(t, bob)
			w.setDown(false)
			time.Sleep(time.Minute)
			got := strings.Join(drain(t, ann), "\n")
			for _, room := range rooms {
				if n := strings.Count(got, "bob news of "+room); n != 1 {
					t.Errorf("%s: %d news", room, n)
				}
				if n := len(srv.Members(room)); n != 2 {
					t.Errorf("%s: %d members", room, n)
				}
			}
			if strings.Contains(got, "gap ") || strings.Contains(got, " ann\nleave") {
				t.Errorf("received %s", got)
			}
			if n := strings.Count(s.String(), " resumed ") + strings.Count(s.String(), " rejoined "); n != len(rooms) {
				t.Errorf("back in %d rooms", n)
			}
		})
	}
}

// atticPeer plays the server for ann, who is in the lobby and the attic.
func atticPeer(t *testing.T) (p, q *peer, ann *client.Client, w *wire) {
	t.Helper()
	p, conn := newPeer(t)
	q, again := newPeer(t)
	w = &wire{connect: func() net.Conn { return again }}
	ann = joinPeer(t, p, conn, w)
	joined := sending(t.Context(), ann, chatroom.JoinRoom("attic"))
	p.answers(in("attic", 5, peerWelcome(1, "a1", "", 5)))
	p.says(in("attic", 5, ownJoin(1)))
	if r := <-joined; r.err != nil {
		t.Fatal(r.err)
	}
	drain(t, ann)
	t.Cleanup(func() {
		w.setDown(true)
		q.conn.Close()
	})
	return p, q, ann, w
}

// answers reads one command and says an event that answers it, and returns the command.
func (p *peer) answers(e chatroom.Event) chatroom.Command {
	p.t.Helper()
	cmd := p.hears()
	synctest.Wait() // whatever else the client has to say waits for this
	e.ID = cmd.ID
	p.says(e)
	return cmd
}

// givesUp sends a command, and gives up once the peer has heard it.
func givesUp(t *testing.T, c chatroom.Client, p *peer, cmd chatroom.Command) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	sent := sending(ctx, c, cmd)
	p.hears()
	cancel()
	if r := <-sent; !errors.Is(r.err, client.ErrUnknownOutcome) || !errors.Is(r.err, context.Canceled) {
		t.Errorf("%s: %+v, %v", cmd.Verb, r.event, r.err)
	}
}

// quiet checks that a client says nothing of its own: what is heard next is a ping that it is asked to send.
func (p *peer) quiet(c chatroom.Client) {
	p.t.Helper()
	sent := sending(p.t.Context(), c, chatroom.Command{Verb: chatroom.VerbPing})
	if cmd := p.answers(chatroom.Event{Kind: chatroom.KindPong}); cmd.Verb != chatroom.VerbPing {
		p.t.Errorf("the peer heard %+v", cmd)
	}
	if r := <-sent; r.err != nil {
		p.t.Errorf("ping: %v", r.err)
	}
}

func TestALeaveThatWasGivenUpIsSeenTo(t *testing.T) {
	left := chatroom.Event{Kind: chatroom.KindLeave, Seq: 6, Room: "attic", From: "ann", Member: 1}
	back := peerWelcome(1, "e1", "", 1)
	back.Welcome.Resumed = true
	attic := in("attic", 5, peerWelcome(1, "a1", "", 5))
	attic.Welcome.Resumed = true

	t.Run("it was not done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, q, ann, _ := atticPeer(t)
			givesUp(t, ann, p, chatroom.LeaveRoom("attic", ""))
			p.conn.Close()
			q.hears()
			q.says(back, attic)
			if cmd := q.answers(left); cmd.Verb != chatroom.VerbLeave || cmd.Room != "attic" {
				t.Errorf("the peer heard %+v", cmd)
			}
			wantLines(t, drain(t, ann), "leave attic/6 ann")
			q.quiet(ann)
		})
	})
	t.Run("it was done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, q, ann, _ := atticPeer(t)
			givesUp(t, ann, p, chatroom.LeaveRoom("attic", ""))
			p.conn.Close()
			q.hears()
			q.says(back)
			again := left
			again.Again = true
			q.answers(again)
			wantLines(t, drain(t, ann), "leave attic/6 ann")
			q.quiet(ann)
		})
	})
	t.Run("the session is lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, q, ann, _ := atticPeer(t)
			givesUp(t, ann, p, chatroom.LeaveRoom("#Attic", ""))
			p.conn.Close()
			if cmd := q.hears(); cmd.Room != "lobby" {
				t.Errorf("the peer heard %+v", cmd)
			}
			own := ownJoin(2)
			own.Seq = 2
			q.says(in("lobby", 2, peerWelcome(2, "e1", "s2", 2)), own)
			q.quiet(ann)
			wantLines(t, drain(t, ann), `welcome lobby/0 ann seq=2 history=0 topic=""`, "gap attic 6-0", "leave attic/0 ann", "join lobby/2 ann")
		})
	})
	t.Run("the session is lost, and it was the first room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, q, ann, _ := atticPeer(t)
			givesUp(t, ann, p, chatroom.LeaveRoom("lobby", ""))
			p.conn.Close()
			if cmd := q.hears(); cmd.Room != "attic" {
				t.Errorf("the peer heard %+v", cmd)
			}
			q.says(in("attic", 6, peerWelcome(2, "a1", "s2", 6)), in("attic", 6, ownJoin(2)))
			q.quiet(ann)
			wantLines(t, drain(t, ann), `welcome attic/0 ann seq=6 history=0 topic=""`, "gap lobby 2-0", "leave lobby/0 ann", "join attic/6 ann")
		})
	})
	t.Run("the session is lost, and it was the only room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, conn := newPeer(t)
			q, again := newPeer(t)
			w := &wire{connect: func() net.Conn { return again }}
			ann := joinPeer(t, p, conn, w)
			drain(t, ann)
			givesUp(t, ann, p, chatroom.LeaveRoom("", ""))
			p.conn.Close()
			q.hears()
			q.says(in("lobby", 2, peerWelcome(2, "e1", "s2", 2)), in("lobby", 2, ownJoin(2)))
			q.answers(in("lobby", 3, chatroom.Event{Kind: chatroom.KindLeave, From: "ann", Member: 2}))
			wantLines(t, drain(t, ann), `welcome lobby/0 ann seq=2 history=0 topic=""`, "join lobby/2 ann", "leave lobby/3 ann")
			q.quiet(ann)
			w.setDown(true)
			q.conn.Close()
		})
	})
}

func TestALeaveUnderWayWhenTheSessionIsLostIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t)
		ann, w, _ := frailAnn(t, connect)
		bob := enter(t, srv, "bob", "lobby", "attic")
		do(t, ann, chatroom.JoinRoom("attic"))
		drain(t, ann)
		drain(t, bob)
		w.setDown(true)
		w.cut()
		synctest.Wait()
		sent := sending(t.Context(), ann, chatroom.LeaveRoom("attic", "bye"))
		time.Sleep(time.Minute)
		w.setDown(false)
		if r := <-sent; r.err != nil || r.event.Kind != chatroom.KindLeave || r.event.Room != "attic" {
			t.Errorf("Send: %+v, %v", r.event, r.err)
		}
		time.Sleep(time.Minute)
		got := drain(t, bob)
		slices.Sort(got) // rooms have no order between them
		wantLines(t, got, "join lobby/4 ann", "leave attic/3 ann connection lost", "leave lobby/3 ann connection lost")
		if all := strings.Join(drain(t, ann), "\n"); !strings.Contains(all, "\ngap attic 3-0\nleave attic/0 ann\n") {
			t.Errorf("received %s", all)
		}
		if e := do(t, ann, chatroom.Say("", "in the only room")); e.Room != "lobby" {
			t.Errorf("said %+v", e)
		}
	})
}

func TestAQuitThatWasGivenUpIsSeenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, ann, w := atticPeer(t)
		givesUp(t, ann, p, chatroom.Quit(""))
		p.conn.Close()
		wantEnd(t, ann, chatroom.ErrClosed)
		if w.dials != 0 {
			t.Error("it came back")
		}
	})
}

func TestWhoWasInNoRoomIsToldOfItsReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t)
		ann, w, s := frailAnn(t, connect)
		bob := enter(t, srv, "bob")
		do(t, ann, chatroom.LeaveRoom("lobby", ""))
		drain(t, ann)
		w.cut()
		time.Sleep(time.Second)
		do(t, bob, chatroom.Private("ann", "psst"))
		wantLines(t, drain(t, ann), "private bob ann psst")
		if !strings.HasSuffix(s.String(), " resumed  0") {
			t.Errorf("states: %s", s)
		}
		w.setDown(true)
		w.cut()
		time.Sleep(time.Minute)
		w.setDown(false)
		time.Sleep(time.Minute)
		if got := drain(t, ann); len(got) < 2 || !strings.HasPrefix(got[0], "welcome lobby/0 ann") || got[len(got)-1] != "join lobby/4 ann" {
			t.Errorf("received %q", got)
		}
		if !strings.HasSuffix(s.String(), " rejoined lobby 0") {
			t.Errorf("states: %s", s)
		}
	})
}

func TestARoomMadeAgainInOtherLettersIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect := bubbleHouse(t)
		srv, elsewhere := bubbleHouse(t)
		ann, w, s := frailAnn(t, connect, client.WithRoom("tea"))
		do(t, ann, chatroom.JoinRoom("attic"))
		drain(t, ann)
		enter(t, srv, "bob", "TEA", "Attic")
		w.moves(elsewhere)
		time.Sleep(time.Minute)
		wantLines(t, drain(t, ann), `welcome TEA/0 ann seq=2 history=0 topic="" +ann +bob`, "gap TEA 2-0", "join TEA/2 ann",
			`welcome Attic/0 ann seq=2 history=0 topic="" +ann +bob`, "gap Attic 2-0", "join Attic/2 ann")
		if got := s.String(); !strings.HasSuffix(got, " rejoined TEA -1 rejoined Attic -1") {
			t.Errorf("states: %s", got)
		}
	})
}

func TestARoomWithNoSpaceForWhatWasSeenIsJoinedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t, brisk(chatroom.Limits{LineBytes: 150}))
		ann, w, s := frailAnn(t, connect)
		long := strings.Repeat("x", 64)
		do(t, ann, chatroom.JoinRoom(long))
		drain(t, ann)
		w.setDown(true)
		w.cut()
		time.Sleep(time.Minute)
		enter(t, srv, "bob", long)
		w.setDown(false)
		time.Sleep(time.Minute)
		if got := s.String(); !strings.HasSuffix(got, " rejoined "+long+" -1") {
			t.Errorf("states: %s", got)
		}
	})
}

func TestARoomItIsInAlreadyIsNotLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q, ann, _ := atticPeer(t)
		p.conn.Close()
		q.hears()
		q.says(in("lobby", 3, peerWelcome(2, "e1", "s2", 3)), in("attic", 7, peerWelcome(2, "a1", "", 7)))
		q.answers(chatroom.Event{Kind: chatroom.KindError, Err: chatroom.ErrInRoom.(*chatroom.Error)})
		q.quiet(ann)
		wantLines(t, drain(t, ann), `welcome lobby/0 ann seq=3 history=0 topic=""`, `welcome attic/0 ann seq=7 history=0 topic=""`)
	})
}
