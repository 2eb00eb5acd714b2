package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// A house is a server, and what those saw who joined it one way.
type house struct {
	t    *testing.T
	srv  chatroom.Server
	addr string
	way  way
	pipe sync.WaitGroup // ServeConn calls
	seen []sight
}

// A way is a way of joining.
type way struct {
	name string
	join func(ctx context.Context, h *house, nick string, room ...string) (chatroom.Client, error)
}

var ways = []way{
	{"in process", func(ctx context.Context, h *house, nick string, room ...string) (chatroom.Client, error) {
		return h.srv.Join(ctx, chatroom.Identity{Nick: nick}, room...)
	}},
	{"TCP", func(ctx context.Context, h *house, nick string, room ...string) (chatroom.Client, error) {
		return joined(client.Dial(ctx, h.addr, client.WithNick(nick), client.WithRoom(strings.Join(room, ""))))
	}},
	{"TCP once", func(ctx context.Context, h *house, nick string, room ...string) (chatroom.Client, error) {
		return joined(client.Dial(ctx, h.addr, client.WithNick(nick), client.WithRoom(strings.Join(room, "")), client.WithoutReconnect()))
	}},
	{"pipe", func(ctx context.Context, h *house, nick string, room ...string) (chatroom.Client, error) {
		here, there := net.Pipe()
		h.pipe.Go(func() { _ = h.srv.ServeConn(context.Background(), there) })
		return joined(client.New(ctx, here, client.WithNick(nick), client.WithRoom(strings.Join(room, ""))))
	}},
}

// joined keeps a nil Client from becoming an interface that is not.
func joined(c *client.Client, err error) (chatroom.Client, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// A sight is what somebody got from a call.
type sight struct {
	Who, Call string
	Event     chatroom.Event
	Err       *chatroom.Error
}

func newHouse(t *testing.T, w way, opts ...chatroom.Option) *house {
	t.Helper()
	srv, err := chatroom.New(append([]chatroom.Option{brisk(chatroom.Limits{})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, srv: srv, addr: l.Addr().String(), way: w}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, chatroom.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		srv.Close()
		serving.Wait()
		h.pipe.Wait()
	})
	return h
}

// within bounds what must not hang.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// A guest is somebody in the house.
type guest struct {
	chatroom.Client
	h    *house
	name string
}

// join lets somebody in, and waits until the welcome and everything up to the own join is received.
func (h *house) join(nick string, room ...string) *guest {
	h.t.Helper()
	g := h.enter(nick, room...)
	welcome := g.next()
	for e := welcome; e.Seq != welcome.Welcome.Seq; e = g.next() {
	}
	return g
}

// enter lets somebody in who has received nothing yet.
func (h *house) enter(nick string, room ...string) *guest {
	h.t.Helper()
	c, err := h.way.join(within(h.t), h, nick, room...)
	if err != nil {
		h.t.Fatalf("%s joins: %v", nick, err)
	}
	h.t.Cleanup(func() { c.Close() })
	return &guest{c, h, nick}
}

// turnedAway tries to join and notes the refusal.
func (h *house) turnedAway(nick string, room ...string) {
	h.t.Helper()
	c, err := h.way.join(within(h.t), h, nick, room...)
	if err == nil {
		c.Close()
		h.t.Fatalf("%q got in", nick)
	}
	h.see(nick, "join", chatroom.Event{}, err)
}

func (h *house) see(who, call string, e chatroom.Event, err error) {
	h.t.Helper()
	s := sight{Who: who, Call: call, Event: e}
	if err != nil {
		var ok bool
		if s.Err, ok = errors.AsType[*chatroom.Error](err); !ok {
			h.t.Fatalf("%s %s: %v, which is no Error", who, call, err)
		}
	}
	h.seen = append(h.seen, s)
}

// does sends a command and notes what comes of it.
func (g *guest) does(cmd chatroom.Command) (chatroom.Event, error) {
	g.h.t.Helper()
	e, err := g.Send(within(g.h.t), cmd)
	g.h.see(g.name, string(cmd.Verb), e, err)
	return e, err
}

// next receives one event and notes it.
func (g *guest) next() chatroom.Event {
	g.h.t.Helper()
	e, err := g.Receive(within(g.h.t))
	if err != nil {
		g.h.t.Fatalf("%s receives: %v", g.name, err)
	}
	g.h.see(g.name, "<", e, nil)
	return e
}

// until receives up to an event of that kind by that nick.
func (g *guest) until(kind chatroom.Kind, from string) {
	g.h.t.Helper()
	for e := g.next(); e.Kind != kind || e.From != from; e = g.next() {
	}
}

// ends receives until there is nothing left and notes the reason.
func (g *guest) ends() {
	g.h.t.Helper()
	for {
		e, err := g.Receive(within(g.h.t))
		g.h.see(g.name, "<", e, err)
		if err != nil {
			return
		}
	}
}

// String returns the sight as the wanted transcripts write it.
func (s sight) String() string {
	return s.Who + " " + s.Call + " " + strings.TrimSpace(s.what())
}

func (s sight) what() string {
	if s.Err != nil {
		return "! " + string(s.Err.Code)
	}
	e := s.Event
	var b strings.Builder
	if e.History {
		b.WriteString("earlier ")
	}
	b.WriteString(string(e.Kind))
	if e.Room != "" {
		fmt.Fprintf(&b, " %s/%d", e.Room, e.Seq)
	}
	for _, word := range []string{e.From, e.Nick, e.Text} {
		if word != "" {
			b.WriteString(" " + word)
		}
	}
	if w := e.Welcome; w != nil {
		fmt.Fprintf(&b, " seq=%d history=%d topic=%q", w.Seq, w.History, w.Topic)
		e.Members = w.Members
	}
	for _, m := range e.Members {
		b.WriteString(" +" + m.Nick)
	}
	for _, r := range e.Rooms {
		fmt.Fprintf(&b, " %s(%d)", r.Room, r.Members)
	}
	return b.String()
}

// TestClientsAlike holds the same conversations each way of joining there is. What comes out must
// be what is wanted, and, field by field, what comes out in process.
func TestClientsAlike(t *testing.T) {
	// Sequence numbers, members' numbers and errors have to agree; times, epochs, the numbers of a
	// session and the ids that package client makes up cannot.
	alike := cmp.Options{
		cmpopts.IgnoreFields(chatroom.Event{}, "Time", "Private"),
		cmpopts.IgnoreFields(chatroom.Welcome{}, "Epoch"),
		cmpopts.EquateEmpty(),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ID" },
			cmp.Transformer("chosen", func(id string) string {
				if strings.HasPrefix(id, "my-") {
					return id
				}
				return ""
			})),
	}
	for _, c := range conversations {
		t.Run(c.name, func(t *testing.T) {
			var inProcess []sight
			for _, w := range ways {
				t.Run(w.name, func(t *testing.T) {
					h := newHouse(t, w, c.options...)
					c.hold(h)
					var got []string
					for _, s := range h.seen {
						got = append(got, s.String())
					}
					want := strings.Split(strings.TrimPrefix(strings.ReplaceAll(c.want, "\n\t\t\t", "\n"), "\n"), "\n")
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("transcript (-want +got):\n%s", diff)
					}
					if inProcess == nil {
						inProcess = h.seen
					}
					if diff := cmp.Diff(inProcess, h.seen, alike); diff != "" {
						t.Errorf("not as in process (-in process +%s):\n%s", w.name, diff)
					}
					for _, s := range h.seen {
						if s.Err == nil && s.Event.Kind != chatroom.KindBye && s.Event.Time.IsZero() {
							t.Errorf("%v has no time", s)
						}
					}
				})
			}
		})
	}
}

func TestConcurrentSendsAreEachAnswered(t *testing.T) {
	const speakers, lines = 8, 25
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			h := newHouse(t, w)
			ann := h.join("ann")
			ctx := within(t)
			var mu sync.Mutex
			texts := make(map[uint64]string)
			var speaking sync.WaitGroup
			for i := range speakers {
				speaking.Go(func() {
					for j := range lines {
						text := fmt.Sprint(i, " ", j)
						e, err := ann.Send(ctx, chatroom.Say("", text))
						if err != nil || e.Text != text {
							t.Errorf("Send %q: %+v, %v", text, e, err)
						}
						mu.Lock()
						texts[e.Seq] = text
						mu.Unlock()
					}
				})
			}
			received := make(map[uint64]string)
			var order []uint64
			for range speakers * lines {
				e := ann.next()
				received[e.Seq] = e.Text
				order = append(order, e.Seq)
			}
			speaking.Wait()
			if !slices.IsSorted(order) {
				t.Errorf("received in the order %v", order)
			}
			if diff := cmp.Diff(texts, received); diff != "" {
				t.Errorf("sent and received (-sent +received):\n%s", diff)
			}
		})
	}
}

func TestCancelledReceiveLeavesTheMemberInPlace(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			h := newHouse(t, w)
			ann := h.join("ann")
			ctx, cancel := context.WithCancel(context.Background())
			got := make(chan error, 1)
			go func() {
				_, err := ann.Receive(ctx)
				got <- err
			}()
			cancel()
			if err := <-got; !errors.Is(err, context.Canceled) {
				t.Errorf("Receive: %v", err)
			}
			if _, err := ann.does(chatroom.Say("", "still here")); err != nil {
				t.Errorf("Send: %v", err)
			}
			if e := ann.next(); e.Text != "still here" {
				t.Errorf("received %+v", e)
			}
		})
	}
}

func TestShutdownReachesEveryMember(t *testing.T) {
	for _, w := range ways {
		if w.name == "TCP" {
			continue // it tries to come back
		}
		t.Run(w.name, func(t *testing.T) {
			h := newHouse(t, w)
			ann, bob := h.join("ann"), h.join("bob")
			bob.does(chatroom.Say("", "last"))
			if err := h.srv.Shutdown(within(t)); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			h.seen = nil
			ann.ends()
			ann.does(chatroom.Say("", "late"))
			bob.ends()
			want := []string{
				"ann < join lobby/2 bob", "ann < message lobby/3 bob last", "ann < ! shutdown", "ann say ! shutdown",
				"bob < message lobby/3 bob last", "bob < ! shutdown",
			}
			var got []string
			for _, s := range h.seen {
				got = append(got, s.String())
				if s.Err != nil && s.Err.Retry != chatroom.RetryLater {
					t.Errorf("retry is %q", s.Err.Retry)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelfFollowsItsRenames(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			h := newHouse(t, w)
			ann, bob := h.join("ann"), h.join("bob")
			bob.does(chatroom.Rename("rob"))
			ann.until(chatroom.KindNick, "bob")
			if got := ann.Self().Nick; got != "ann" {
				t.Errorf("after bob's rename ann is %q", got)
			}
			number := ann.Self().Member
			e, err := ann.does(chatroom.Rename("anna"))
			if err != nil {
				t.Fatal(err)
			}
			want := chatroom.MemberInfo{Nick: "anna", Member: number}
			if diff := cmp.Diff(want, ann.Self()); diff != "" || e.Member != number {
				t.Errorf("event %+v; Self (-want +got):\n%s", e, diff)
			}
		})
	}
}
