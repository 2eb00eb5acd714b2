package threats

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/chatroom"
)

// A siege is a server in which some talk while others attack it in every way there is.
type siege struct {
	t          *testing.T
	s          *server
	talk       context.Context // ended when nobody says anything new
	quiet      context.CancelFunc
	peace      context.Context // ended when nobody attacks any more
	retreat    context.CancelFunc
	journal    journal
	good       []*talker
	moderators []*moderator
	targets    targets
	attacks    []*attack
	done       map[chatroom.Verb]*atomic.Int64 // by moderators
	resumed    atomic.Int64                    // sessions taken over by guessing
	faults     atomic.Int64
}

// fault reports that something is not as promised; the first few times.
func (g *siege) fault(format string, args ...any) {
	g.t.Helper()
	if g.faults.Add(1) <= 20 {
		g.t.Errorf(format, args...)
	}
}

// wait waits; false means that the context has ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// A journal holds a hash of each event of a room.
type journal struct {
	mu   sync.Mutex
	seed maphash.Seed
	all  map[uint64]uint64 // by sequence number
}

// note reports whether e is what others were told has that number.
func (j *journal) note(e *chatroom.Event) bool {
	line, err := e.MarshalJSON()
	if err != nil {
		return false
	}
	h := maphash.Bytes(j.seed, line)
	j.mu.Lock()
	defer j.mu.Unlock()
	if was, ok := j.all[e.Seq]; ok {
		return was == h
	}
	j.all[e.Seq] = h
	return true
}

// flat checks that a second assault has left no more behind than the first, after which everything was there that is kept.
func flat(t *testing.T, what string, first, second int64) {
	t.Helper()
	t.Logf("%s at rest: %s after half of the time, %s in the end", what, mebibytes(first), mebibytes(second))
	const given = 8 << 20 // for bans and mutes, which stay for an hour after they are over
	if *full && second > first+first/10+given {
		t.Errorf("%s grows: %s, %s", what, mebibytes(first), mebibytes(second))
	}
}

// Members who behave get what they are owed, in one order and without loss, whatever others do
// to the server; and nothing of those is left when they are gone.
func TestThreat43AttackedSoak(t *testing.T) {
	during := *length
	if during <= 0 {
		during = pick(30*time.Minute, 5*time.Second)
	}
	g := &siege{t: t, s: start(t, setup{}), done: make(map[chatroom.Verb]*atomic.Int64)}
	g.journal.seed, g.journal.all = maphash.MakeSeed(), make(map[uint64]uint64)
	for _, verb := range verbs {
		g.done[verb] = new(atomic.Int64)
	}
	g.attacks = ways()
	g.talk, g.quiet = context.WithCancel(t.Context())
	bare := g.s.files()
	g.assemble()
	base, began := g.s.footing(), g.s.settled()

	var talking sync.WaitGroup
	for _, m := range g.good {
		talking.Go(m.run)
	}
	first, _ := g.assault(during/2, base)
	second, left := g.assault(during/2, base)
	g.quiet()
	talking.Wait()
	g.settle()
	for _, m := range g.good {
		m.part()
	}
	for _, m := range g.moderators {
		m.part()
	}
	v := g.s.ask(shutdown)
	none := g.s.returnsTo(footing{bare, g.s.base})
	g.tell(during, v)
	t.Logf("at the beginning: %s, %d goroutines, %d files; when the attackers were gone: %s, %d, %d; after Shutdown: %d, %d",
		began, base.goroutines, base.files, second, left.goroutines, left.files, none.goroutines, none.files)
	if !raced { // as the race detector keeps what it notes of each goroutine: golang.org/issue/26813, golang.org/issue/37233
		flat(t, "memory", first.resident, second.resident)
	}
	flat(t, "heap", first.heap, second.heap)
}

// assault has everybody attack for so long, and returns what the server has when they are gone.
func (g *siege) assault(during time.Duration, base footing) (memory, footing) {
	g.peace, g.retreat = context.WithCancel(g.t.Context())
	var attacking sync.WaitGroup
	g.moderate(&attacking)
	g.attack(&attacking)
	g.sample(during)
	g.retreat()
	attacking.Wait()
	left := g.s.returnsTo(base)
	return g.s.settled(), left
}

// sample has the siege go on, and tells how it goes.
func (g *siege) sample(during time.Duration) {
	for range 4 {
		<-time.After(during / 4)
		m, v := g.s.settled(), g.s.ask(look)
		g.t.Logf("%v, %d goroutines, %d files, %d connections, %d members", m, v.Goroutines, g.s.files(), v.Conns, v.Members)
	}
}

// settle waits until everybody has heard all that anybody has said.
func (g *siege) settle() {
	late := time.Now().Add(patience)
	for _, m := range g.good {
		for _, from := range g.good {
			for m.heardOf(from.nick) < from.said && time.Now().Before(late) {
				<-time.After(10 * time.Millisecond)
			}
			if n := m.heardOf(from.nick); n != from.said {
				g.fault("%s has heard %d of %d from %s", m.nick, n, from.said, from.nick)
			}
		}
	}
}

// tell prints what the siege was made of.
func (g *siege) tell(during time.Duration, v view) {
	said, heard := 0, 0
	for _, m := range g.good {
		said += m.said
		for _, n := range m.heard {
			heard += n
		}
	}
	line := fmt.Sprintf("%v: %d messages of %d members, heard %d times, %d events in their room; attacks:", during, said, len(g.good), heard, len(g.journal.all))
	for _, a := range g.attacks {
		line += fmt.Sprintf(" %s %d,", a.name, a.times.Load())
	}
	for _, verb := range verbs {
		line += fmt.Sprintf(" %s %d,", verb, g.done[verb].Load())
	}
	g.t.Logf("%s let in %d, turned away %d, ended %v, refused %v", line, v.Accepted, v.TurnedAway, v.Ended, v.Refused)
	if g.resumed.Load() > 0 {
		g.t.Errorf("%d sessions were taken over", g.resumed.Load())
	}
	for _, a := range g.attacks {
		if a.times.Load() == 0 {
			g.t.Errorf("nobody has attacked by %s", a.name)
		}
	}
}
