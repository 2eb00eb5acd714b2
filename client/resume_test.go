package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// states collects what a client tells of its connection.
type states struct {
	mu  sync.Mutex
	all []client.State
}

func (s *states) add(state client.State) {
	s.mu.Lock()
	s.all = append(s.all, state)
	s.mu.Unlock()
}

func (s *states) list() []client.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]client.State(nil), s.all...)
}

func (s *states) String() string {
	var b strings.Builder
	for _, state := range s.list() {
		fmt.Fprintf(&b, "%s ", state.Kind)
		if state.Kind == client.Resumed || state.Kind == client.Rejoined {
			fmt.Fprintf(&b, "%s %d ", state.Room, state.Missed)
		}
	}
	return strings.TrimSpace(b.String())
}

// frailAnn joins ann over a wire that breaks when the test says so.
func frailAnn(t *testing.T, connect func() net.Conn, opts ...client.Option) (*client.Client, *wire, *states) {
	t.Helper()
	w, s := &wire{connect: connect}, &states{}
	opts = append(opts, client.WithNick("ann"), client.WithDial(w.dial), client.WithState(s.add))
	c, err := client.New(within(t), w.first(t), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, w, s
}

func enter(t *testing.T, srv chatroom.Server, nick string, rooms ...string) chatroom.Client {
	t.Helper()
	c, err := srv.Join(within(t), chatroom.Identity{Nick: nick}, rooms...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func do(t *testing.T, c chatroom.Client, cmd chatroom.Command) chatroom.Event {
	t.Helper()
	e, err := c.Send(within(t), cmd)
	if err != nil {
		t.Fatalf("%s: %v", cmd.Verb, err)
	}
	return e
}

// drain receives what there is by now.
func drain(t *testing.T, c chatroom.Client) (got []string) {
	t.Helper()
	synctest.Wait()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
		e, err := c.Receive(ctx)
		cancel()
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				got = append(got, err.Error())
			}
			return got
		}
		what := sight{Event: e}.what()
		if e.Gap != nil {
			what = fmt.Sprintf("gap %s %d-%d", e.Room, e.Gap.From, e.Gap.To)
		}
		got = append(got, what)
	}
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLostConnectionIsResumedUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t)
		ann, w, s := frailAnn(t, connect)
		bob := enter(t, srv, "bob")
		do(t, ann, chatroom.JoinRoom("attic"))
		drain(t, ann)
		drain(t, bob)
		w.setDown(true)
		w.cut()
		synctest.Wait()
		do(t, bob, chatroom.Say("", "one"))
		do(t, bob, chatroom.Private("ann", "psst"))
		do(t, bob, chatroom.Say("", "two"))
		said := sending(t.Context(), ann, chatroom.Say("lobby", "three"))
		time.Sleep(time.Second)
		w.setDown(false)
		time.Sleep(25 * time.Second)
		if r := <-said; r.err != nil || r.event.Seq != 5 {
			t.Errorf("Send: %+v, %v", r.event, r.err)
		}
		wantLines(t, drain(t, ann), "message lobby/3 bob one", "message lobby/4 bob two", "private bob ann psst", "message lobby/5 ann three")
		wantLines(t, drain(t, bob), "message lobby/3 bob one", "private bob ann psst", "message lobby/4 bob two", "message lobby/5 ann three")
		got := s.String()
		if !strings.HasPrefix(got, "connected reconnecting ") || !strings.HasSuffix(got, " resumed lobby 2 resumed attic 0") {
			t.Errorf("states: %s", got)
		}
		ann.Close()
		wantLines(t, drain(t, bob), "leave lobby/6 ann")
		if got := s.String(); !strings.HasSuffix(got, " ended") {
			t.Errorf("states: %s", got)
		}
	})
}

func TestPastTheLingerTheMemberJoinsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t, brisk(chatroom.Limits{HistoryBytes: 1500, History: 4}))
		ann, w, s := frailAnn(t, connect)
		bob := enter(t, srv, "bob")
		do(t, ann, chatroom.JoinRoom("attic"))
		do(t, ann, chatroom.Rename("anna"))
		drain(t, ann)
		w.setDown(true)
		w.cut()
		synctest.Wait()
		time.Sleep(time.Minute)
		for i := range 20 {
			do(t, bob, chatroom.Say("", fmt.Sprint(i)))
		}
		said := sending(t.Context(), ann, chatroom.Say("lobby", "back"))
		w.setDown(false)
		time.Sleep(time.Minute)
		if r := <-said; r.err != nil {
			t.Errorf("Send: %v", r.err)
		}
		got := drain(t, ann)
		all := strings.Join(got, "\n")
		for _, want := range []string{"welcome lobby/0 anna", "gap lobby 4-", "earlier message lobby/24 bob 19", "message lobby/26 anna back", "gap attic 3-0"} {
			if strings.Count(all, want) != 1 {
				t.Errorf("not one %q in\n%s", want, all)
			}
		}
		wantUnbroken(t, got, "lobby", 4, 26)
		if n := ann.Self(); n.Nick != "anna" {
			t.Errorf("Self: %+v", n)
		}
		if got := s.String(); !strings.Contains(got, "rejoined lobby") || !strings.Contains(got, "rejoined attic -1") {
			t.Errorf("states: %s", got)
		}
	})
}

// wantUnbroken checks that gaps and events cover a room's numbers from first to last, each once.
func wantUnbroken(t *testing.T, got []string, room string, first, last uint64) {
	t.Helper()
	next := first
	for _, line := range got {
		var from, to uint64
		if _, err := fmt.Sscanf(line, "gap "+room+" %d-%d", &from, &to); err == nil {
			if from != next {
				t.Errorf("%s at %d", line, next)
			}
			next = to + 1
		}
		if i := strings.Index(line, " "+room+"/"); i >= 0 {
			if _, err := fmt.Sscanf(line[i+2+len(room):], "%d", &from); err == nil && from != 0 {
				if from != next {
					t.Errorf("%s at %d", line, next)
				}
				next = from + 1
			}
		}
	}
	if next != last+1 {
		t.Errorf("it ends at %d, want %d, in\n%s", next-1, last, strings.Join(got, "\n"))
	}
}

func TestHistoryTellsWhetherItWasDone(t *testing.T) {
	for _, done := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p, conn := newPeer(t)
			q, again := newPeer(t)
			w := &wire{connect: func() net.Conn { return again }}
			ann := joinPeer(t, p, conn, w)
			said := sending(t.Context(), ann, chatroom.Command{Verb: chatroom.VerbSay, ID: "a", Text: "one"})
			p.hears()
			p.conn.Close()
			q.hears()
			back, own := peerWelcome(2, "e1", "s2", 4), ownJoin(2)
			back.Welcome.History, own.Seq = 2, 4
			first := chatroom.Event{Kind: chatroom.KindMessage, Seq: 2, Room: "lobby", From: "ann", Member: 1, ID: "a", Text: "one"}
			if !done {
				first.Member = 7 // anybody may use that id
			}
			q.says(back, first, chatroom.Event{Kind: chatroom.KindLeave, Seq: 3, Room: "lobby", From: "ann", Member: 1}, own)
			want := uint64(2)
			if !done {
				want = 5
				if cmd := q.hears(); cmd.ID != "a" || cmd.Text != "one" {
					t.Errorf("the peer heard %+v", cmd)
				}
				first.Seq, first.Member = 5, 2
				q.says(first)
			}
			if r := <-said; r.err != nil || r.event.Seq != want {
				t.Errorf("Send: %+v, %v", r.event, r.err)
			}
			w.setDown(true)
			q.conn.Close()
		})
	}
}

func peerWelcome(member uint64, epoch, session string, seq uint64) chatroom.Event {
	e := welcome
	limits := e.Welcome.Limits
	e.Member, e.Welcome = member, &chatroom.Welcome{Seq: seq, Epoch: epoch, Session: session, Limits: limits}
	return e
}

// in returns e as it is in another room, and there has another number if seq is not zero.
func in(room string, seq uint64, e chatroom.Event) chatroom.Event {
	switch e.Room = room; {
	case seq == 0:
	case e.Welcome != nil:
		w := *e.Welcome
		w.Seq = seq
		e.Welcome = &w
	default:
		e.Seq = seq
	}
	return e
}

func ownJoin(member uint64) chatroom.Event {
	return chatroom.Event{Kind: chatroom.KindJoin, Seq: 1, Room: "lobby", From: "ann", Member: member}
}

func joinPeer(t *testing.T, p *peer, conn net.Conn, w *wire) *client.Client {
	t.Helper()
	go func() {
		p.hears()
		p.says(peerWelcome(1, "e1", "s1", 1), ownJoin(1))
	}()
	c, err := client.New(within(t), conn, client.WithNick("ann"), client.WithDial(w.dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestNickTakenByOneselfIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t)
		ann, w, s := frailAnn(t, connect)
		w.setDown(true)
		w.cut()
		time.Sleep(31 * time.Second) // past the linger
		ghost := enter(t, srv, "ann")
		w.setDown(false)
		time.Sleep(40 * time.Second)
		ghost.Close()
		if e, err := ann.Send(t.Context(), chatroom.Say("", "me again")); err != nil || e.From != "ann" {
			t.Errorf("said %+v, %v", e, err)
		}
		if !strings.Contains(s.String(), "rejoined") {
			t.Errorf("states: %s", s)
		}
		w.setDown(true)
		w.cut()
		time.Sleep(31 * time.Second)
		enter(t, srv, "ann")
		w.setDown(false)
		_, err := ann.Send(t.Context(), chatroom.Say("", "and again"))
		if !errors.Is(err, chatroom.ErrNickInUse) {
			t.Errorf("Send: %v", err)
		}
	})
}

func TestOutboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect := bubbleHouse(t)
		ann, w, _ := frailAnn(t, connect)
		w.setDown(true)
		w.cut()
		synctest.Wait()
		var sent []<-chan result
		for i := range 100 {
			sent = append(sent, sending(t.Context(), ann, chatroom.Say("", fmt.Sprint(i))))
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := ann.Send(ctx, chatroom.Say("", "late")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, client.ErrUnknownOutcome) {
			t.Errorf("Send: %v", err)
		}
		w.setDown(false)
		for _, done := range sent {
			if r := <-done; r.err != nil {
				t.Errorf("Send: %v", r.err)
			}
		}
	})
}

// What is unanswered is sent again, and the server then has to know it still, among the latest 64.
func TestNothingIsSentFarBehindWhatIsUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, conn := newPeer(t)
		ann := joinPeer(t, p, conn, &wire{down: true})
		private := sending(t.Context(), ann, chatroom.Private("bob", "psst"))
		psst := p.hears()
		for i := range 31 {
			said := sending(t.Context(), ann, chatroom.Say("", fmt.Sprint(i)))
			e := message
			e.Seq, e.ID = uint64(i+2), p.hears().ID
			p.says(e)
			if r := <-said; r.err != nil {
				t.Fatalf("Send: %v", r.err)
			}
		}
		late := sending(t.Context(), ann, chatroom.Say("", "late"))
		p.conn.SetReadDeadline(time.Now().Add(time.Hour))
		if line, err := p.in.ReadBytes('\n'); err == nil {
			t.Errorf("the peer heard %s", line)
			p.conn.Close()
			return
		}
		p.conn.SetReadDeadline(time.Time{})
		p.says(chatroom.Event{Kind: chatroom.KindPrivate, ID: psst.ID, From: "ann", Member: 1, Nick: "bob", Text: "psst"})
		e := message
		e.Seq, e.ID = 33, p.hears().ID
		p.says(e)
		if r := <-late; r.err != nil {
			t.Errorf("Send: %v", r.err)
		}
		if r := <-private; r.err != nil {
			t.Errorf("Send: %v", r.err)
		}
		p.conn.Close()
	})
}

func TestWhatIsToldAgainIsReceivedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, conn := newPeer(t)
		q, again := newPeer(t)
		w := &wire{connect: func() net.Conn { return again }}
		ann := joinPeer(t, p, conn, w)
		psst := chatroom.Event{Kind: chatroom.KindPrivate, From: "bob", Member: 7, Nick: "ann", Text: "psst", Private: 1}
		p.says(message, psst)
		synctest.Wait()
		p.conn.Close()
		q.hears()
		back := peerWelcome(1, "e1", "", 1)
		back.Welcome.Resumed = true
		three, private := message, psst
		three.Seq, three.Text = 3, "three"
		private.Private, private.Text = 2, "two"
		q.says(back, ownJoin(1), message, three, psst, private)
		wantLines(t, drain(t, ann), `welcome lobby/0 ann seq=1 history=0 topic=""`, "join lobby/1 ann",
			"message lobby/2 ann hello", "private bob ann psst", "message lobby/3 ann three", "private bob ann two")
		w.setDown(true)
		q.conn.Close()
	})
}
