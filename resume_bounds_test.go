package chatroom_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
)

func TestWhatASessionKeepsIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		ann.cut()
		for i := range 300 {
			bob.send(fmt.Sprintf(`{"type":"private","nick":"ann","text":"%d"}`, i+1))
		}
		bob.hear()
		ann.private = 44 // of which nothing is checked here
		got := ann.back()
		want(t, got[:3], "welcome resumed lobby 0", "private p45 bob 45", "private p46 bob 46")
		ann.cut()
		ann.private = 10
		ann.caller = call(t, srv)
		ann.send(fmt.Sprintf(`{"type":"join","nick":"ann","session":%q,"private":10}`, ann.token))
		lines := ann.lines()
		if len(lines) < 3 || !strings.HasPrefix(lines[len(lines)-257], `{"type":"gap","from":11,"to":44,`) || !strings.Contains(lines[len(lines)-256], `"private":45`) {
			t.Errorf("%.300q", lines)
		}
	})
}

func TestAGapNamesWhatIsMissing(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		ann.cut()
		for range 100 {
			bob.send(saying(strings.Repeat("x", 100)))
		}
		bob.hear()
		got := ann.back()
		var from, to, first, n uint64
		var x string
		if _, err := fmt.Sscanf(got[0], "welcome resumed lobby %d", &n); err != nil {
			t.Fatalf("%.200q", got)
		}
		if _, err := fmt.Sscanf(got[1], "gap lobby %d-%d", &from, &to); err != nil {
			t.Fatalf("%.200q", got)
		}
		if _, err := fmt.Sscanf(got[2], "message %d bob %s", &first, &x); err != nil {
			t.Fatalf("%.200q", got)
		}
		if from != 3 || to+1 != first || first+n-1 != 102 || len(got) != int(n)+2 || ann.seen["lobby"].Seq != 102 || n < 5 || n > 20 {
			t.Errorf("%d-%d, then %d and %d in all", from, to, first, n)
		}
		// A new join with what was seen is told so too.
		ann.token = "none"
		ann.seen["lobby"] = chatroom.Seen{Room: "Lobby", Epoch: ann.seen["lobby"].Epoch, Seq: 50}
		ann.nick = "anna"
		got = ann.back()
		if !strings.HasPrefix(got[1], "gap lobby 51-") {
			t.Errorf("%q", got)
		}
	}, brisk(chatroom.Limits{HistoryBytes: 2000}))
}

func TestAnotherEpochIsNoGap(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		ann.send(`{"type":"join","room":"side"}`)
		ann.take()
		epoch := ann.seen["side"].Epoch
		ann.send(`{"type":"quit"}`)
		ann.hear()
		bob.send(`{"type":"join","room":"side"}`)
		bob.take()
		ann.caller = call(t, srv)
		ann.send(fmt.Sprintf(`{"type":"join","nick":"ann","room":"side","session":%q,"seen":[{"room":"side","epoch":%q,"seq":1}]}`, ann.token, epoch))
		want(t, ann.take(), "welcome side 0", "join 2 ann")
		if ann.seen["side"].Epoch == epoch {
			t.Error("the epoch of another room of that name is the same")
		}
	})
}

func TestTooSlowAndBackAgain(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		bob.take()
		ann.pause.Store(int64(20 * time.Second)) // after what it reads next
		text := strings.Repeat("x", 2000)
		for range 60 {
			bob.send(saying(text))
		}
		bob.take()
		time.Sleep(time.Minute)
		ann.hear() // told or not, it goes on from what it has noted
		ann.conn.Close()
		if !lingers(srv, "ann") {
			t.Fatal("who is too slow does not linger")
		}
		got := ann.back()
		if len(got) != 61 || got[60] != "message 62 bob "+text {
			t.Errorf("%d events, at first %.100s", len(got), got[0])
		}
		ann.send(saying("fine"))
		want(t, ann.take(), "message 63 ann fine")
	}, brisk(chatroom.Limits{Lag: 40_000, Linger: time.Hour, Write: 2 * time.Second}))
}

func TestLingeringMembersCount(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := visit(t, srv, "ann")
		ann.send(`{"type":"join","room":"side"}`)
		ann.take()
		ann.cut()
		c := call(t, srv)
		c.send(`{"type":"join","nick":"bob"}`)
		if s := c.hear(); !strings.Contains(s, `"code":"full"`) {
			t.Errorf("bob: %s", s)
		}
		got := ann.back()
		want(t, got, "welcome resumed lobby 0", "welcome resumed side 0")
		ann.send(`{"type":"join","id":"3","room":"third"}`)
		want(t, ann.take(), "error 3 full")
		ann.send(`{"type":"leave","room":"side"}`, `{"type":"leave","room":"lobby"}`)
		ann.take()
		ann.cut()
		want(t, ann.back(), "welcome resumed  0") // in no room, and here
		ann.send(`{"type":"join","room":"lobby"}`)
		want(t, ann.take(), "welcome lobby 0", "join 3 ann")
	}, brisk(chatroom.Limits{Members: 1, RoomsPerMember: 2}))
}

func TestLingeringMembersHoldNoLog(t *testing.T) {
	members := 1000
	if testing.Short() {
		members = 100
	}
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		for i := range members {
			v := visit(t, srv, fmt.Sprint("m", i))
			v.cut()
		}
		bob, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("x", 4000)
		talk := func() uint64 {
			for range 1000 {
				if _, err := bob.Send(t.Context(), chatroom.Say("", text)); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					if _, err := bob.Receive(ctx); err != nil {
						break
					}
				}
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := talk()
		for range 3 {
			talk()
		}
		if after := talk(); after > before+2<<20 {
			t.Errorf("%d bytes, and after %d more %d", before, 4*1000*4000, after)
		}
	}, brisk(chatroom.Limits{HistoryBytes: 1 << 20, Linger: time.Hour}))
}
