// Package linear tests that to say something and to ask for the history are linearizable: whatever members do at the same time,
// in process or over connections that break, each room is one log, and everybody sees what was done before they asked.
package linear

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"go.uber.org/goleak"

	"example.com/chatroom"
)

var (
	seed  = flag.Uint64("seed", 0, "what chance begins with; zero means the time")
	asks  = flag.Int("asks", 50, "how much each voice of a member asks for")
	rooms = []string{"attic", "cellar", "garden"}
)

// voices is how many things a member asks for at the same time.
const voices = 4

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder writes down who asks for what, and what comes of it, in the order in which that happens.
type recorder struct {
	mu     sync.Mutex
	events []porcupine.Event
	ids    int
}

func (r *recorder) call(who int, in asked) (id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids++
	r.events = append(r.events, porcupine.Event{ClientId: who, Kind: porcupine.CallEvent, Value: in, Id: r.ids})
	return r.ids
}

func (r *recorder) answer(who, id int, out answered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, porcupine.Event{ClientId: who, Kind: porcupine.ReturnEvent, Value: out, Id: id})
}

func TestSayAndHistoryAreLinearizable(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run %s ./internal/linear -seed %d", t.Name(), *seed)
	h := newHouse(t)
	var members []chatroom.Client
	for i := range 4 {
		members = append(members, h.local(t, i), h.remote(t, i))
	}
	before := h.quiet(t, members[0])
	record := &recorder{}
	var asking sync.WaitGroup
	for who := range voices * len(members) {
		asking.Go(func() {
			r := rand.New(rand.NewPCG(*seed, uint64(who)))
			for n := range *asks {
				ask(t, record, members[who/voices], who, invent(r, who, n), before)
			}
		})
	}
	asking.Wait()
	if t.Failed() {
		return
	}
	switch porcupine.CheckEventsTimeout(model, record.events, time.Minute) {
	case porcupine.Illegal:
		t.Error("what members were answered fits no order")
	case porcupine.Unknown:
		t.Error("an order was looked for in vain for a minute")
	}
	t.Logf("%d members asked for %d things in %d rooms; %d cuts", len(members), len(record.events)/2, len(rooms), h.cuts.Load())
	if h.cuts.Load() == 0 {
		t.Error("no connection was cut")
	}
}

// invent returns something to ask for.
func invent(r *rand.Rand, who, n int) asked {
	in := asked{room: r.IntN(len(rooms)), count: 1 + r.IntN(20)}
	switch r.IntN(5) {
	case 0:
		in.after = 1 + r.IntN(2*n+1)
	case 1:
		in.before = 1 + r.IntN(2*n+1)
	case 2: // the latest
	default:
		in.text = fmt.Sprintf("%d by %d", n, who)
	}
	return in
}

// ask asks for that and records what comes of it; before is what the rooms held at the beginning.
func ask(t *testing.T, record *recorder, m chatroom.Client, who int, in asked, before []uint64) {
	room, base := rooms[in.room], before[in.room]
	cmd := chatroom.Say(room, in.text)
	if in.text == "" {
		cmd = chatroom.History(room, 0, in.count)
		if in.after != 0 {
			cmd.After = base + uint64(in.after)
		}
		if in.before != 0 {
			cmd.Before = base + uint64(in.before)
		}
	}
	id := record.call(who, in)
	e, err := m.Send(context.Background(), cmd)
	if err != nil {
		t.Errorf("%+v: %v", cmd, err)
		return
	}
	out := answered{number: int(e.Seq - base)}
	if e.Report != nil {
		out = part(t, e.Report.Events, base)
	}
	record.answer(who, id, out)
}

// part returns what is in a part of the history, which has no holes.
func part(t *testing.T, events []chatroom.Event, base uint64) (out answered) {
	for i, e := range events {
		if i > 0 && e.Seq != events[i-1].Seq+1 {
			t.Errorf("in a history %d follows %d", e.Seq, events[i-1].Seq)
		}
		if e.Seq <= base {
			continue // somebody joins
		}
		if len(out.texts) == 0 {
			out.from = int(e.Seq - base)
		}
		out.texts = append(out.texts, e.Text)
	}
	return out
}

// A history that cannot be is not to pass.
func TestTheModelTellsWhatCannotBe(t *testing.T) {
	say := func(text string, number int) [2]any { return [2]any{asked{text: text}, answered{number: number}} }
	latest := func(from int, texts ...string) [2]any {
		return [2]any{asked{count: 9}, answered{from: from, texts: texts}}
	}
	after := func(number, count, from int, texts ...string) [2]any {
		return [2]any{asked{after: number, count: count}, answered{from: from, texts: texts}}
	}
	one, two := say("one", 1), say("two", 2)
	tests := map[string]struct {
		done [][2]any // one after the other
		want bool
	}{
		"in order":                    {[][2]any{one, two, latest(1, "one", "two"), after(1, 9, 2, "two"), after(2, 9, 0)}, true},
		"a part":                      {[][2]any{one, two, after(1, 1, 2, "two")}, true},
		"one number twice":            {[][2]any{one, say("two", 1)}, false},
		"a number left out":           {[][2]any{one, say("two", 3)}, false},
		"said and not in the history": {[][2]any{one, two, latest(1, "one")}, false},
		"in the history before":       {[][2]any{latest(1, "one"), one}, false},
		"in another order":            {[][2]any{one, two, latest(1, "two", "one")}, false},
		"too much":                    {[][2]any{one, two, say("three", 3), after(1, 1, 2, "two", "three")}, false},
		"another part":                {[][2]any{one, two, after(1, 1, 1, "one")}, false},
		"another number":              {[][2]any{one, two, after(1, 1, 1, "two")}, false},
		"twice in the history":        {[][2]any{one, two, latest(1, "one", "one", "two")}, false},
	}
	for name, tt := range tests {
		record := &recorder{}
		for _, done := range tt.done {
			record.answer(0, record.call(0, done[0].(asked)), done[1].(answered))
		}
		if got := porcupine.CheckEvents(model, record.events); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What is done at the same time may be in any order.
func TestTheModelLeavesTheOrderOfTheSimultaneousOpen(t *testing.T) {
	record := &recorder{}
	one, two := record.call(0, asked{text: "one"}), record.call(1, asked{text: "two"})
	both := record.call(2, asked{count: 9})
	record.answer(0, one, answered{number: 2})
	record.answer(1, two, answered{number: 1})
	record.answer(2, both, answered{from: 1, texts: []string{"two"}})
	if !porcupine.CheckEvents(model, record.events) {
		t.Error("that could be")
	}
}
