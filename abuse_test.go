package chatroom_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// A trapFront is broken in one way or another for peers who say so.
type trapFront struct{ chatroom.JSONFront }

func (trapFront) Detect(first []byte) chatroom.Detection {
	switch {
	case strings.HasPrefix(string(first), "detect"):
		panic("detect")
	case strings.HasPrefix(string(first), "encoder"):
		return chatroom.Mine
	}
	return chatroom.NotMine
}

// Serve joins with an Encoder that cannot be compared with another.
func (trapFront) Serve(ctx context.Context, c *chatroom.Conn) error {
	nick, err := c.ReadLine()
	if err != nil {
		return err
	}
	_, err = c.Join(ctx, chatroom.JoinRequest{Nick: string(nick), Encoder: struct {
		chatroom.JSONFront
		_ []int
	}{}})
	if err != nil {
		return err
	}
	_, err = c.ReadLine()
	return err
}

func TestABrokenFrontCostsItsConnectionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, builtIn(trapFront{}))
		ann := call(t, srv)
		ann.send(`{"type":"join","nick":"ann"}`)
		for _, first := range []string{"detect", "encoder1", "encoder2"} {
			bad := call(t, srv)
			bad.send(first)
			if !bad.gone() {
				t.Errorf("%s: the connection is still there", first)
			}
		}
		ann.hear()
		ann.send(`{"type":"who","id":"1"}`)
		if heard := ann.hear(); !strings.Contains(heard, `"id":"1"`) {
			t.Errorf("ann heard %q", heard)
		}
	})
}

func TestServeConnReturnsWhenItsContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		near, far := net.Pipe()
		defer near.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := srv.ServeConn(ctx, far); err != nil {
			t.Error(err)
		}
	})
}

// slowBans takes long to look at, so that a server can be closed while somebody is at the door.
type slowBans struct{ chatroom.BanStore }

var ofNobody = make([]chatroom.Ban, 200_000)

func (slowBans) List(context.Context) ([]chatroom.Ban, error) { return ofNobody, nil }

func TestNobodyIsLeftInAClosedServer(t *testing.T) {
	for i := range 30 {
		srv, err := chatroom.New(chatroom.WithBanStore(slowBans{chatroom.MemoryBans()}))
		if err != nil {
			t.Fatal(err)
		}
		var door sync.WaitGroup
		door.Go(func() {
			c, err := srv.Join(t.Context(), chatroom.Identity{Nick: "ann"})
			if err != nil {
				if !errors.Is(err, chatroom.ErrServerClosed) {
					t.Error(err)
				}
				return
			}
			defer c.Close()
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				_, err := c.Receive(ctx)
				cancel()
				if errors.Is(err, context.DeadlineExceeded) {
					t.Error("a closed server has a member")
				}
				if err != nil {
					return
				}
			}
		})
		for range i * 20 { // any moment will do
			runtime.Gosched()
		}
		srv.Close()
		door.Wait()
		if t.Failed() {
			return
		}
	}
}

func TestAClientMayCloseWhileItsServerDoes(t *testing.T) {
	for range 1000 {
		srv, err := chatroom.New()
		if err != nil {
			t.Fatal(err)
		}
		c := joinAs(t, srv, "ann")
		var ending sync.WaitGroup
		ending.Go(func() { c.Close() })
		ending.Go(func() {
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if n := srv.Stats().Members; n > 0 {
				t.Errorf("%d members after Shutdown", n)
			}
		})
		ending.Wait()
	}
}

func TestJoiningAndLeavingAtOnceKeepsTheirOrder(t *testing.T) {
	srv, err := chatroom.New()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	ann := joinAs(t, srv, "ann")
	var received, moving sync.WaitGroup
	received.Go(func() { checkVisits(t, ann, "den") })
	late := time.Now().Add(time.Second)
	for _, cmd := range []chatroom.Command{chatroom.JoinRoom("den"), chatroom.LeaveRoom("den", "")} {
		for range 2 {
			moving.Go(func() {
				for time.Now().Before(late) {
					_, err := ann.Send(t.Context(), cmd)
					if err != nil && !errors.Is(err, chatroom.ErrInRoom) && !errors.Is(err, chatroom.ErrNotInRoom) {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	moving.Wait()
	ann.Close()
	received.Wait()
}

// checkVisits checks that ann receives each of her visits to a room from its welcome to her
// leaving, one after another, until she is closed.
func checkVisits(t *testing.T, ann chatroom.Client, room string) {
	for in, last := false, uint64(0); ; {
		e, err := ann.Receive(t.Context())
		if err != nil {
			if !errors.Is(err, chatroom.ErrClosed) {
				t.Error(err)
			}
			return
		}
		switch {
		case e.Room != room:
		case in == (e.Kind == chatroom.KindWelcome):
			t.Errorf("in the room: %v; received %+v", in, e)
		case e.Kind == chatroom.KindWelcome:
			in, last = true, 0
		case last > 0 && e.Seq != last+1:
			t.Errorf("event %d comes after %d", e.Seq, last)
		default:
			last = e.Seq
			in = e.Kind != chatroom.KindLeave || e.Member != ann.Self().Member || e.History
		}
	}
}

func TestWhoSpeaksFasterThanItReadsIsSlowedDown(t *testing.T) {
	for name, lines := range map[string]string{
		"private": `{"type":"private","nick":"ann","text":"` + strings.Repeat("x", 1000) + `"}` + "\n",
		"moving":  `{"type":"join","room":"den"}` + "\n" + `{"type":"leave","room":"den"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostBubble(t, brisk(chatroom.Limits{Lag: 32 << 10}))
				call(t, srv).send(`{"type":"join","nick":"ann"}`)
				bob := call(t, srv)
				bob.pause.Store(int64(10 * time.Millisecond))
				bob.sendRaw(`{"type":"join","nick":"bob"}` + "\n" + strings.Repeat(lines, 500) + `{"type":"quit"}` + "\n")
				time.Sleep(time.Minute)
				heard := bob.lines()
				if last := heard[len(heard)-1]; !strings.Contains(last, `"closed"`) {
					t.Errorf("after %d lines: %s", len(heard), last)
				}
			})
		})
	}
}

func TestAClientThatNeverReceivesIsCutForWhatItAsksFor(t *testing.T) {
	bots(t, func(srv chatroom.Server) {
		for i := range 100 {
			joinAs(t, srv, fmt.Sprint("bob", i), "den")
		}
		ann := joinAs(t, srv, "ann")
		for i := 0; ; i++ {
			_, err := ann.Send(t.Context(), chatroom.JoinRoom("den"))
			if err == nil {
				_, err = ann.Send(t.Context(), chatroom.LeaveRoom("den", ""))
			}
			if i > 1<<20/(100*64) {
				t.Fatal("ann may have any number of welcomes unread")
			}
			if err != nil {
				if !errors.Is(err, chatroom.ErrTooSlow) {
					t.Error(err)
				}
				return
			}
		}
	})
}

// Two members of three never receive: one is there, one has left with something unread.
func TestWhoNeverReceivesDelaysARoomOnceAndHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		idle, gone := joinAs(t, srv, "idle"), joinAs(t, srv, "gone")
		gone.Close()
		ann := joinAs(t, srv, "ann")
		go func() {
			for {
				if _, err := ann.Receive(context.Background()); err != nil {
					return
				}
			}
		}()
		begun, before := time.Now(), heap()
		for range 3000 {
			if _, err := ann.Send(t.Context(), chatroom.Say("", strings.Repeat("x", 4000))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if d := time.Since(begun); d > 15*time.Second {
			t.Errorf("3000 messages took %v", d)
		}
		if grown := heap() - before; grown > 3<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
		if _, err := idle.Receive(t.Context()); !errors.Is(err, chatroom.ErrTooSlow) {
			t.Error(err)
		}
		for _, want := range []chatroom.Kind{chatroom.KindWelcome, chatroom.KindJoin} {
			if e, err := gone.Receive(t.Context()); err != nil || e.Kind != want {
				t.Errorf("received %v %v, want %v", e.Kind, err, want)
			}
		}
		if _, err := gone.Receive(t.Context()); !errors.Is(err, chatroom.ErrClosed) {
			t.Error(err)
		}
		ann.Close()
	})
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestASlowReaderOfTLSIsKept(t *testing.T) {
	cert, _ := certificates(t)
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, brisk(chatroom.Limits{Write: time.Second}))
		near, far := net.Pipe()
		slow := &drip{Conn: near}
		go srv.ServeConn(context.Background(), tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}}))
		peer := tls.Client(slow, &tls.Config{InsecureSkipVerify: true}) // the certificate is not what is tested
		fmt.Fprintln(peer, `{"type":"join","nick":"slow"}`)
		in := bufio.NewReader(peer)
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		slow.on.Store(true)
		go func() { _, _ = io.Copy(io.Discard, in) }() // until near is closed

		call(t, srv).send(`{"type":"join","nick":"ann"}`,
			strings.TrimSuffix(strings.Repeat(`{"type":"say","text":"`+strings.Repeat("x", 4000)+"\"}\n", 20), "\n"))
		time.Sleep(10 * time.Second)
		if len(srv.Members("lobby")) != 2 {
			t.Errorf("ended: %v", srv.Stats().Ended)
		}
		near.Close()
	})
}

// A drip lets through 25 kB a second once it is on: a log's whole segment takes longer than a
// second, a record of TLS does not.
type drip struct {
	net.Conn
	on atomic.Bool
}

func (d *drip) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p[:min(len(p), 4096)])
	if d.on.Load() {
		time.Sleep(time.Duration(n) * 40 * time.Microsecond)
	}
	return n, err
}
