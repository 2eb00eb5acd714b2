package chatroom_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// TestAStuckReaderIsCutAndCostsNobodyElse has a peer that joins and never reads.
func TestAStuckReaderIsCutAndCostsNobodyElse(t *testing.T) {
	srv, addr := host(t, brisk(chatroom.Limits{Write: 3 * time.Second}))
	join(t, addr, "stuck")
	reader := join(t, addr, "reader")
	reader2 := join(t, addr, "reader2")
	ann := join(t, addr, "ann")
	go drain(reader2)
	go drain(ann)
	// The kernel holds a few megabytes for a peer that does not read; then its lag grows.
	text := strings.Repeat("x", 4000)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		reader.until(`"type":"leave"`)
	}()
	for i := 0; ; i++ {
		select {
		case <-gone:
		default:
			ann.send(`{"type":"say","text":"` + text + `"}`)
			continue
		}
		break
	}
	if got := srv.Stats().Ended[chatroom.CodeTooSlow]; got != 1 {
		t.Errorf("%d members were cut off as too slow, want 1", got)
	}
	for _, m := range srv.Members("lobby") {
		if m.Nick == "stuck" {
			t.Error("the stuck reader is still a member")
		}
	}
	if n := len(srv.Members("lobby")); n != 3 {
		t.Errorf("%d members are left, want 3", n)
	}
}

func drain(w *wire) { _, _ = io.Copy(io.Discard, w.r) }

// TestABurstCutsNobodyWhoReads has a member who reads, slowly, while another says as much as it can.
func TestABurstCutsNobodyWhoReads(t *testing.T) {
	srv, addr := host(t, brisk(chatroom.Limits{Lag: 256 << 10, Write: time.Minute}))
	const messages = 3000
	text := strings.Repeat("x", 1000)
	var wg sync.WaitGroup
	slow := join(t, addr, "slow")
	slow.Conn.(*net.TCPConn).SetReadBuffer(64 << 10) // smaller than a segment it would make the system wait, too
	wg.Go(func() {
		slow.r.Reset(&sipper{slow.Conn, make([]byte, 0, 2048)})
		slow.until("the end")
	})
	ann := join(t, addr, "ann")
	wg.Go(func() { ann.until("the end") })
	for range messages {
		ann.send(`{"type":"say","text":"` + text + `"}`)
	}
	ann.send(`{"type":"say","text":"the end"}`)
	wg.Wait()
	if cut := srv.Stats().Ended[chatroom.CodeTooSlow]; cut != 0 {
		t.Errorf("%d members who read were cut off", cut)
	}
}

// A sipper reads a little at a time and yields in between.
type sipper struct {
	r   io.Reader
	buf []byte
}

func (s *sipper) Read(p []byte) (int, error) {
	for range 20 {
		runtime.Gosched()
	}
	return s.r.Read(p[:min(len(p), cap(s.buf))])
}

// TestNobodyIsCutOffByBeingTalkedTo floods a member who does not read with private messages.
func TestNobodyIsCutOffByBeingTalkedTo(t *testing.T) {
	srv, err := chatroom.New(brisk(chatroom.Limits{Lag: 16 << 10}))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	ann, err := srv.Join(t.Context(), chatroom.Identity{Nick: "ann"}, "here")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bob"}, "there")
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for ; err == nil; sent++ {
		_, err = ann.Send(t.Context(), chatroom.Private("bob", strings.Repeat("x", 1000)))
		if _, rerr := ann.Receive(t.Context()); rerr != nil {
			t.Fatal(rerr)
		}
	}
	if !errors.Is(err, chatroom.ErrFull) {
		t.Errorf("the %dth private message: %v", sent, err)
	}
	if _, err := bob.Send(t.Context(), chatroom.Say("", "fine")); err != nil {
		t.Errorf("bob: %v", err)
	}
}

// TestABurstWaitsForWhoHasFallenBehind has a member in process that takes nothing for a moment,
// while the others say more than it may lag.
func TestABurstWaitsForWhoHasFallenBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := chatroom.New(brisk(chatroom.Limits{Lag: 16 << 10}))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		var clients []chatroom.Client
		for i := range 5 {
			c, err := srv.Join(t.Context(), chatroom.Identity{Nick: fmt.Sprint("m", i)})
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		stalled := clients[4]
		const messages = 500
		var wg sync.WaitGroup
		for i, c := range clients {
			wg.Go(func() {
				if c == stalled {
					time.Sleep(400 * time.Millisecond)
				}
				for seen := 0; seen < messages; {
					e, err := c.Receive(t.Context())
					if err != nil {
						t.Errorf("member %d: %v", i, err)
						return
					}
					if e.Kind == chatroom.KindMessage {
						seen++
					}
				}
			})
		}
		start := time.Now()
		for i := range messages {
			if _, err := clients[0].Send(t.Context(), chatroom.Say("", strings.Repeat("x", i%100+1))); err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("the burst took %v", took)
		}
	})
}

// TestStuckReadersDelayOthersOnce has members stop reading one after the other, while another says more than they may lag.
func TestStuckReadersDelayOthersOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, brisk(chatroom.Limits{Lag: 256 << 10, Write: 5 * time.Second}))
		enter := func(nick string) chatroom.Client {
			c, err := srv.Join(t.Context(), chatroom.Identity{Nick: nick})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		receive := func(c chatroom.Client) {
			for err := error(nil); err == nil; {
				_, err = c.Receive(t.Context())
			}
		}
		const stuck = 8
		for i := range 2 * stuck {
			go receive(enter(fmt.Sprint("m", i)))
		}
		ann := enter("ann")
		go receive(ann)
		began := time.Now()
		for i := range 100 {
			if i < stuck {
				enter(fmt.Sprint("stuck", i))
			}
			if _, err := ann.Send(t.Context(), chatroom.Say("", strings.Repeat("x", 4000))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("it took %v; want a tenth of Limits.Write", took)
		}
		if n := srv.Stats().Ended[chatroom.CodeTooSlow]; n != stuck {
			t.Errorf("%d of %d were cut off", n, stuck)
		}
	})
}

// TestAStuckPeerCostsNoBotItsGrace has a bot whose goroutine does not run for a moment, right after a peer that read nothing was
// waited for and cut off.
func TestAStuckPeerCostsNoBotItsGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, brisk(chatroom.Limits{Lag: 256 << 10, Write: 5 * time.Second}))
		receive := func(c chatroom.Client) {
			for err := error(nil); err == nil; {
				_, err = c.Receive(t.Context())
			}
		}
		for i := range 8 {
			go receive(joinAs(t, srv, fmt.Sprint("m", i)))
		}
		ann := joinAs(t, srv, "ann")
		go receive(ann)
		talk := func() {
			for range 80 {
				mustSend(t, ann, chatroom.Say("", strings.Repeat("x", 4000)))
				synctest.Wait()
			}
		}
		near, far := net.Pipe()
		defer near.Close()
		go srv.ServeConn(t.Context(), far)
		if _, err := io.WriteString(near, `{"type":"join","nick":"stuck"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		talk()
		if n := srv.Stats().Ended[chatroom.CodeTooSlow]; n != 1 {
			t.Fatalf("%d were cut off; want the one that is stuck", n)
		}
		bot := joinAs(t, srv, "bot")
		var reading sync.WaitGroup
		reading.Go(func() {
			time.Sleep(50 * time.Millisecond)
			receive(bot)
		})
		talk()
		if n := srv.Stats().Ended[chatroom.CodeTooSlow]; n != 1 {
			t.Error("a bot that reads was cut off")
		}
		bot.Close()
		reading.Wait()
	})
}
