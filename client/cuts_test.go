package client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

var cutsFlag = flag.Int("cuts", 100, "how often TestCutsLoseAndDoubleNothing cuts the connection")

// TestCutsLoseAndDoubleNothing cuts one member's connection again and again, at random bytes in both
// directions, while others say a hundred things for each cut and the member says things itself.
func TestCutsLoseAndDoubleNothing(t *testing.T) {
	cuts, seed := *cutsFlag, rand.Uint64()
	if testing.Short() {
		cuts = 20
	}
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t, brisk(chatroom.Limits{HistoryBytes: 1 << 30, Lag: 1 << 26}))
		reads, writes := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
		w, s := &wire{connect: connect}, &states{}
		w.reads, w.writes = after(reads, 24_000), after(writes, 3000)
		first, err := w.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ann, err := client.New(within(t), first, client.WithNick("ann"), client.WithDial(w.dial), client.WithState(s.add))
		if err != nil {
			t.Fatal(err)
		}
		witness := enter(t, srv, "witness")
		bob := enter(t, srv, "bob")
		over := func(e *chatroom.Event) bool { return e.From == "bob" && e.Text == "over" }

		var working sync.WaitGroup
		var got, want []chatroom.Event
		// After a resumption what is private may come after what is public.
		overs := 0
		working.Go(func() {
			got = record(t, ann, func(e *chatroom.Event) bool {
				if over(e) {
					overs++
				}
				return overs == 2
			})
		})
		working.Go(func() { want = record(t, witness, over) })
		working.Go(func() { record(t, bob, over) })
		stop := make(chan struct{})
		var speaking sync.WaitGroup
		said := make([][]chatroom.Event, 4)
		for i := range said {
			speaking.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(3 * time.Millisecond):
					}
					cmd := chatroom.Say("", fmt.Sprint(i, " ", n))
					if n%5 == 0 {
						cmd = chatroom.Private("bob", cmd.Text)
					}
					e, err := ann.Send(context.Background(), cmd)
					if err != nil {
						t.Errorf("Send: %v", err)
						return
					}
					if e.Text != cmd.Text {
						t.Errorf("Send: %+v, %v", e, err)
						return
					}
					said[i] = append(said[i], e)
				}
			})
		}
		others, whispers := 0, 0
		for w.cuts.Load() < int64(cuts) || others < 100*cuts {
			for range 10 {
				do(t, bob, chatroom.Say("", fmt.Sprint("number ", others)))
				if others++; others%50 == 0 {
					do(t, bob, chatroom.Private("ann", fmt.Sprint("whisper ", whispers)))
					whispers++
				}
			}
			time.Sleep(5 * time.Millisecond)
			if t.Failed() {
				break
			}
		}
		close(stop)
		speaking.Wait()
		do(t, bob, chatroom.Private("ann", "over"))
		do(t, bob, chatroom.Say("", "over"))
		working.Wait()
		ann.Close()

		counts := map[string]int{}
		resumed := 0
		for _, state := range s.list() {
			if state.Kind == client.Resumed {
				resumed++
			}
		}
		var mine, theirs []string
		heard := 0
		for _, e := range want {
			if e.Seq > 1 {
				theirs = append(theirs, fmt.Sprintf("%d %s %s %s", e.Seq, e.Kind, e.From, e.Text))
			}
		}
		for _, e := range got {
			switch {
			case e.Kind == chatroom.KindPrivate && over(&e):
			case e.Kind == chatroom.KindPrivate && e.From == "bob":
				if e.Text != fmt.Sprint("whisper ", heard) {
					t.Errorf("heard %q where %d was due", e.Text, heard)
				}
				heard++
			case e.Kind == chatroom.KindPrivate:
				counts[e.Text]++
			case e.Seq > 2 || e.Kind == chatroom.KindGap:
				mine = append(mine, fmt.Sprintf("%d %s %s %s", e.Seq, e.Kind, e.From, e.Text))
			}
			if e.Kind == chatroom.KindMessage && e.From == "ann" {
				counts[e.Text]++
			}
		}
		for len(theirs) > 0 && len(mine) > 0 && theirs[0] != mine[0] && theirs[0] < "3" {
			theirs = theirs[1:]
		}
		if diff := cmp.Diff(theirs, mine); diff != "" {
			t.Errorf("the records differ (-witness +ann):\n%.2000s", diff)
		}
		sends := 0
		for i := range said {
			for n, e := range said[i] {
				sends++
				if counts[fmt.Sprint(i, " ", n)] != 1 {
					t.Errorf("%s %d %d was told %d times; %+v", e.Kind, i, n, counts[fmt.Sprint(i, " ", n)], e)
				}
			}
		}
		if heard != whispers || len(counts) != sends {
			t.Errorf("heard %d of %d whispers; %d of %d sends", heard, whispers, len(counts), sends)
		}
		t.Logf("%d cuts, %d resumes, %d messages of others, %d whispers, %d sends; %d events in the record",
			w.cuts.Load(), resumed, others, whispers, sends, len(mine))
	})
}

func TestNobodyComesBackBeforeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, conn := newPeer(t)
		s := &states{}
		var dialed []time.Duration
		start := time.Now()
		w := &wire{}
		w.setDown(true)
		go func() {
			p.hears()
			p.says(welcome, chatroom.Event{Kind: chatroom.KindBye, Err: &chatroom.Error{
				Code: chatroom.CodeShutdown, Retry: chatroom.RetryLater, After: 90 * time.Second,
			}})
		}()
		c, err := client.New(within(t), conn, client.WithNick("ann"), client.WithDial(w.dial), client.WithState(func(state client.State) {
			s.add(state)
			dialed = append(dialed, time.Since(start)+state.Next)
		}))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := c.Send(ctx, chatroom.Say("", "hello")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, client.ErrUnknownOutcome) {
			t.Errorf("Send: %v", err)
		}
		c.Close()
		if dialed[1] < 90*time.Second || dialed[1] > 90*time.Second+100*time.Millisecond {
			t.Errorf("the first attempt is after %v", dialed[1])
		}
		var sum time.Duration
		all := s.list()[1:]
		for i, state := range all[:len(all)-1] {
			if state.Attempt != i+1 || state.Next > 90*time.Second+100*time.Millisecond || i > 0 && state.Next > 30*time.Second {
				t.Errorf("attempt %d: %+v", i, state)
			}
			sum += state.Next
		}
		if n := w.dials; n < 150 || n > 400 {
			t.Errorf("%d attempts in an hour", n)
		}
		wantEvents(t, c, welcome)
		wantEnd(t, c, chatroom.ErrClosed)
		t.Logf("%d attempts in an hour", w.dials)
	})
}

func TestWhoIsNotToComeBackDoesNot(t *testing.T) {
	for _, code := range []chatroom.Code{chatroom.CodeBanned, chatroom.CodeReplaced, chatroom.CodeKicked} {
		synctest.Test(t, func(t *testing.T) {
			p, conn := newPeer(t)
			w := &wire{}
			reason := &chatroom.Error{Code: code}
			if code != chatroom.CodeKicked {
				reason.Retry = chatroom.RetryNever
			}
			go func() {
				p.hears()
				p.says(welcome, chatroom.Event{Kind: chatroom.KindBye, Err: reason})
			}()
			c, err := client.New(within(t), conn, client.WithNick("ann"), client.WithDial(w.dial))
			if err != nil {
				t.Fatal(err)
			}
			wantEvents(t, c, welcome)
			wantEnd(t, c, reason)
			if w.dials != 0 {
				t.Errorf("it came back")
			}
		})
	}
}
