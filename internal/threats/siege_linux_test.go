package threats

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/chatroom"
)

// A siege is a server in which some talk while others attack it in every way there is.
type siege struct {
	t       *testing.T
	s       *server
	talk    context.Context // ended when nobody says anything new
	quiet   context.CancelFunc
	peace   context.Context // ended when nobody attacks any more
	retreat context.CancelFunc
	journal journal
	good    []*talker
	targets targets
	attacks []*attack
	done    map[chatroom.Verb]*atomic.Int64 // by moderators
	resumed atomic.Int64                    // sessions taken over by guessing
	faults  atomic.Int64
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

// flat checks that memory does not grow once everything has been there that is kept for a while: that the least there was in
// the last quarter is what it was in the second. At other moments there is also what those hold who read nothing just then.
func flat(t *testing.T, what string, samples []memory, of func(memory) int64) {
	t.Helper()
	least := func(q int) int64 {
		least := int64(math.MaxInt64)
		for _, m := range samples[q*len(samples)/4 : (q+1)*len(samples)/4] {
			least = min(least, of(m))
		}
		return least
	}
	second, last := least(1), least(3)
	t.Logf("%s: %s at least in the second quarter, %s in the last", what, mebibytes(second), mebibytes(last))
	const swing = 8 << 20 // one who holds a log may be there at every look
	if *full && last > second+second/10+swing {
		t.Errorf("%s grows: %s, %s", what, mebibytes(second), mebibytes(last))
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
	g.talk, g.quiet = context.WithCancel(t.Context())
	g.peace, g.retreat = context.WithCancel(t.Context())
	bare := g.s.files()
	g.assemble()
	base, began := g.s.footing(), g.s.settled()

	var talking, attacking sync.WaitGroup
	for _, m := range g.good {
		talking.Go(m.run)
	}
	g.moderate(&attacking)
	g.attack(&attacking)
	samples := g.sample(during)
	g.retreat()
	attacking.Wait()
	left := g.s.returnsTo(base)
	g.quiet()
	talking.Wait()
	g.settle()
	ended := g.s.settled()
	for _, m := range g.good {
		m.part()
	}
	v := g.s.ask(shutdown)
	none := g.s.returnsTo(footing{bare, g.s.base})
	g.tell(during, v)
	t.Logf("at the beginning: %s, %d goroutines, %d files; when the attackers were gone: %s, %d, %d; after Shutdown: %d, %d",
		began, base.goroutines, base.files, ended, left.goroutines, left.files, none.goroutines, none.files)
	if !raced { // as the race detector keeps what it notes of each goroutine: golang.org/issue/26813, golang.org/issue/37233
		flat(t, "memory", samples, func(m memory) int64 { return m.resident })
	}
	flat(t, "heap", samples, func(m memory) int64 { return m.heap })
}

// sample has the siege go on, and returns how much memory the server needs meanwhile.
func (g *siege) sample(during time.Duration) (all []memory) {
	samples := pick(40, 4)
	for i := range samples {
		<-time.After(during / time.Duration(samples))
		all = append(all, g.s.settled())
		if (i+1)%(samples/4) == 0 {
			v := g.s.ask(look)
			g.t.Logf("%d/%d: %v, %d goroutines, %d files, %d connections, %d members", i+1, samples, all[i], v.Goroutines, g.s.files(), v.Conns, v.Members)
		}
	}
	return all
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
