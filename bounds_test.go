package chatroom_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// times returns how often to do something: as often as the environment says, or else as often as a
// test that runs all the time may.
func times(variable string, often int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return often
}

func TestThreat40HistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 16 << 20
		srv := hostBubble(t, chatroom.WithLimits(chatroom.Limits{HistoryBytes: window}))
		ann, bob := call(t, srv), joinAs(t, srv, "bob")
		ann.send(`{"type":"join","nick":"ann"}`)
		text := strings.Repeat("x", 4000)
		say := func(n int) {
			for range n {
				mustSend(t, bob, chatroom.Say("", text))
				unread(t, bob)
				ann.hear()
			}
		}
		say(window/4000 + 200)
		full := heap()
		say(3 * window / 4000)
		grown := heap() - full
		t.Logf("once the history is full the heap grows by %d bytes more", grown)
		if grown > window/20 {
			t.Error("that is too much")
		}
		e := mustSend(t, bob, chatroom.History("", 0, 500))
		if got := e.Report.Count; got < window/2/4200 || got > 2*window/4000 {
			t.Errorf("the room keeps %d events", got)
		}
	})
}

// What was done is remembered for longer than what was said.
func TestThreat40ActsKeepNothingThatWasSaid(t *testing.T) {
	const turns = 24
	text := strings.Repeat("x", 4000)
	for name, turn := range map[string]func(t *testing.T, srv chatroom.Server, i int){
		"somebody who was muted": func(t *testing.T, srv chatroom.Server, i int) {
			bob := call(t, srv)
			bob.send(`{"type":"join","nick":"bob"}`)
			asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbMute, Nick: "bob", For: time.Second})
			bob.send(`{"type":"quit"}`)
		},
		"somebody who was promoted": func(t *testing.T, srv chatroom.Server, i int) {
			bob := call(t, srv)
			bob.send(`{"type":"join","nick":"bob"}`)
			asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbPromote, Nick: "bob"})
			bob.send(`{"type":"quit"}`)
		},
		"a room that had a topic": func(t *testing.T, srv chatroom.Server, i int) {
			room := fmt.Sprint("room", i)
			bob := joinAs(t, srv, "bob", room)
			for n := range 1 << 20 / len(text) {
				mustSend(t, bob, chatroom.Say(room, fmt.Sprint(n, text)))
				unread(t, bob)
			}
			mustSend(t, bob, chatroom.Topic(room, "gone"))
			bob.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostBubble(t, chatroom.WithLimits(chatroom.Limits{Linger: -1}))
				ann, cat := call(t, srv), joinAs(t, srv, "cat")
				ann.send(`{"type":"join","nick":"ann"}`)
				round := func(i int) {
					turn(t, srv, i)
					for range 1 << 20 / len(text) {
						mustSend(t, cat, chatroom.Say("", text))
						unread(t, cat)
						ann.hear()
					}
				}
				for i := range 3 {
					round(i)
				}
				before := heap()
				for i := range turns {
					round(i)
				}
				if grown := heap() - before; grown > turns<<20/4 {
					t.Errorf("the heap has grown by %d bytes while %d were said", grown, turns<<20)
				}
			})
		})
	}
}

// One member makes room after room, 20,000 of them or as many as ROOMS says.
func TestThreat41ManyRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, chatroom.WithLimits(chatroom.Limits{Rooms: 20, RoomsPerMember: 10}))
		eve := joinAs(t, srv, "eve")
		turn := func(i int) {
			room := fmt.Sprintf("room-%d", i)
			mustSend(t, eve, chatroom.JoinRoom(room))
			mustSend(t, eve, chatroom.LeaveRoom(room, "on"))
			unread(t, eve)
		}
		for i := range 1000 {
			turn(i)
		}
		before := heap()
		for i := range times("ROOMS", 20_000) {
			turn(i)
		}
		grown := heap() - before
		t.Logf("the heap has grown by %d bytes", grown)
		if grown > 10<<20 {
			t.Error("that is too much")
		}
		if rooms := srv.Rooms(); len(rooms) != 1 {
			t.Errorf("%d rooms are left", len(rooms))
		}

		for i := range 9 { // beside the lobby
			mustSend(t, eve, chatroom.JoinRoom(fmt.Sprintf("room-%d", i)))
		}
		mustRefuse(t, eve, chatroom.JoinRoom("one-too-many"), chatroom.ErrFull)
		bob := joinAs(t, srv, "bob")
		for i := range 9 {
			mustSend(t, bob, chatroom.JoinRoom(fmt.Sprintf("bobs-%d", i)))
		}
		cat := joinAs(t, srv, "cat", "cats")
		mustRefuse(t, cat, chatroom.JoinRoom("one-too-many"), chatroom.ErrFull)
		mustRefuse(t, cat, chatroom.JoinRoom(strings.Repeat("x", 65)), chatroom.ErrRoomInvalid)
	})
}

// Members come and go over TCP, 2,000 of them or as many as JOINS says, by each way there is to go.
func TestThreat42Leaks(t *testing.T) {
	const atOnce = 20
	srv, addr := host(t, brisk(chatroom.Limits{Linger: -1}))
	visit := func(i int) {
		w := join(t, addr, fmt.Sprint("m", i))
		switch i % 4 {
		case 0:
			w.send(`{"type":"quit"}`)
			w.until(`"bye"`)
		case 1:
			w.send(`{"type":"say","text":"going"}`)
		case 2:
			_, _ = srv.Moderate(t.Context(), chatroom.Kick(fmt.Sprint("m", i), "")) // it is here
			w.until(`"bye"`)
		}
		w.Close()
	}
	for i := range atOnce {
		visit(i)
	}
	settled(t, srv, runtime.NumGoroutine())
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	all := times("JOINS", 2000)
	for first := 0; first < all; first += atOnce {
		var visiting sync.WaitGroup
		for i := range atOnce {
			visiting.Go(func() { visit(first + i) })
		}
		visiting.Wait()
	}
	settled(t, srv, goroutines)
	if now := openFiles(t); now > files {
		t.Errorf("%d files have become %d", files, now)
	}
	if got := srv.Stats().Joined; got != uint64(all+atOnce) {
		t.Errorf("%d have joined", got)
	}
}

// settled waits until nobody is connected, and there are no more goroutines than that.
func settled(t *testing.T, srv chatroom.Server, goroutines int) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); srv.Stats().Conns > 0 || runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatalf("%d goroutines have become %d; %+v", goroutines, runtime.NumGoroutine(), srv.Stats())
		}
	}
}

// openFiles returns how many files are open; none where the system does not tell.
func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(fds)
}

// Numbers that nobody means stand for what is closest to them, and do no harm.
func TestLimitsThatAreNoNumbers(t *testing.T) {
	for _, tt := range []struct {
		rate float64
		want string
	}{
		{math.Inf(1), `"idle":30,"move_rate":1,`},
		{math.Inf(-1), `"idle":30,"move_rate":1,`},
		{math.NaN(), `"idle":30,"message_rate":5,`},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := hostBubble(t, chatroom.WithLimits(chatroom.Limits{MessageRate: tt.rate, History: math.MaxInt}))
			ann := call(t, srv)
			ann.send(`{"type":"join","nick":"ann"}`)
			heard := ann.lines()
			if len(heard) == 0 || !json.Valid([]byte(heard[0])) || !strings.Contains(heard[0], tt.want) {
				t.Errorf("with a rate of %v ann heard %q", tt.rate, heard)
			}
		})
	}
}

func TestAnErrorNamesTheRoomThatCannotBe(t *testing.T) {
	if _, err := chatroom.New(chatroom.WithFixedRooms("den", "a b")); err == nil || !strings.Contains(err.Error(), `"a b"`) {
		t.Errorf("New: %v", err)
	}
}
