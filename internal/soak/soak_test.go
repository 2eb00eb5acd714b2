// Package soak holds a test of the promise that deliveries can be relied on: a server in a process of its own that is stopped
// and killed again and again, members that talk to it through a network that fails all the time, and records to compare
// with what each of them was told.
package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	length  = flag.Duration("length", 10*time.Second, "how long members talk in TestSoak")
	seed    = flag.Uint64("seed", 0, "what chance begins with in TestSoak; zero means the time")
	members = flag.Int("members", 20, "how many members there are in TestSoak; 3 at least")
)

const (
	linger       = time.Second
	historyBytes = 48 << 10
	// patience is how long anything may take that has to happen in the end, on however busy a machine.
	patience = 2 * time.Minute
)

func TestMain(m *testing.M) {
	if addr := os.Getenv("CHATROOM_SOAK"); addr != "" {
		if err := serve(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// A soak is one run.
type soak struct {
	t       *testing.T
	rand    *rand.Rand // when the server is stopped, and how
	server  *server
	network *network
	witness *witness
	journal journal
	all     []*member

	over       chan struct{} // closed when nobody begins anything new
	failed     chan struct{} // closed when a promise was broken
	stop       context.Context
	halt       context.CancelFunc
	background sync.WaitGroup // readers of raw members' connections
	quiet      sync.WaitGroup // members who have an answer to whatever they have asked for

	violations                                              atomic.Int64
	resumes, takeovers, fresh, kicked                       atomic.Int64
	events, gaps, privates, again, unknown, refused, unsent atomic.Int64
	shutdowns, kills                                        int
	lost                                                    int // private messages, with the session they were for
}

// violate reports that a promise is broken; the first few times.
func (s *soak) violate(format string, args ...any) {
	s.t.Helper()
	n := s.violations.Add(1)
	if n <= 20 {
		s.t.Errorf(format, args...)
	}
	if n == 1 {
		close(s.failed)
	}
}

// TestSoak has members talk for -length over a network that fails by the chance of -seed. A run with the seed of
// another makes the same choices; when they are made differs.
func TestSoak(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run TestSoak ./internal/soak -length %v -members %d -seed %d", *length, *members, *seed)
	s := &soak{
		t: t, rand: rand.New(rand.NewPCG(*seed, 1)), server: newServer(t),
		over: make(chan struct{}), failed: make(chan struct{}),
	}
	s.stop, s.halt = context.WithCancel(t.Context())
	s.network = newNetwork(s.server.addr)
	var running sync.WaitGroup
	defer s.close(&running)
	began := time.Now()
	s.open()
	s.quiet.Add(*members)
	for i := range *members {
		m := newMember(s, i)
		s.all = append(s.all, m)
	}
	for i, m := range s.all {
		route := s.network.route(t, *seed, i)
		if i%2 == 0 {
			running.Go((&raw{member: m, addr: route}).run)
		} else {
			running.Go((&caller{member: m, addr: route}).run)
		}
	}
	s.talk(began)
	complete := s.settle(&running)
	s.close(&running)
	if complete {
		s.compare()
	}
	s.tell(time.Since(began))
}

// close ends everything; it may be called again.
func (s *soak) close(running *sync.WaitGroup) {
	s.halt()
	running.Wait()
	s.background.Wait()
	if s.witness != nil {
		s.witness.close()
	}
	s.server.stop(false)
	s.network.close()
}

// talk waits while members talk, and has the server stopped and started again meanwhile.
func (s *soak) talk(began time.Time) {
	times := max(2, int(*length/(4*time.Second)))
	first := s.rand.IntN(2)
	for i := range times {
		pause := time.Duration((0.7 + s.rand.Float64()/2) * 0.75 * float64(*length) / float64(times))
		if !s.waitFor(time.After(pause)) {
			return
		}
		s.restart((i+first)%2 == 0)
	}
	s.waitFor(time.After(time.Until(began.Add(*length))))
}

// waitFor waits for that; false means that a promise was broken first.
func (s *soak) waitFor(what <-chan time.Time) bool {
	select {
	case <-what:
		return true
	case <-s.failed:
		return false
	}
}

// open starts the server, and lets members through once the witness sees what they do.
func (s *soak) open() {
	s.server.start()
	s.witness = newWitness(s)
	s.network.setDown(false)
}

// restart ends the server and starts it anew.
func (s *soak) restart(kill bool) {
	s.network.setDown(true)
	if kill {
		s.kills++
	} else {
		s.shutdowns++
	}
	s.server.stop(kill)
	s.witness.outlives(kill)
	<-time.After(time.Duration(s.rand.IntN(300)) * time.Millisecond)
	s.open()
}

// settle lets everybody receive everything, over a network that fails no more. False means that
// somebody has not.
func (s *soak) settle(running *sync.WaitGroup) bool {
	s.network.calm.Store(true)
	close(s.over)
	late := time.NewTimer(patience)
	defer late.Stop()
	if !s.await(s.quiet.Wait, late) {
		return false
	}
	s.witness.say(end)
	return s.await(running.Wait, late)
}

// await waits for that until it is late, or a promise was broken.
func (s *soak) await(what func(), late *time.Timer) bool {
	done := make(chan struct{})
	go func() {
		what()
		close(done)
	}()
	select {
	case <-done:
		return s.violations.Load() == 0
	case <-s.failed:
	case <-late.C:
		for _, m := range s.all {
			m.miss()
		}
	}
	s.halt()
	<-done
	return false
}

// tell prints what the run was made of.
func (s *soak) tell(took time.Duration) {
	s.t.Logf("seed %d: %v, %d members, %d shutdowns, %d kills; %d cuts, %d of them half and %d late, %d resumes, %d takeovers, %d fresh sessions, %d kicks",
		*seed, took.Round(100*time.Millisecond), len(s.all), s.shutdowns, s.kills, s.network.cuts.Load(), s.network.halves.Load(), s.network.late.Load(),
		s.resumes.Load(), s.takeovers.Load(), s.fresh.Load(), s.kicked.Load())
	s.t.Logf("%d messages in %d events, %d received; %d private ones, %d lost with the session they were for; %d gaps, %d answered again, %d refused, %d not sent, %d of unknown outcome",
		s.journal.messages(), s.journal.size(), s.events.Load(), s.privates.Load(), s.lost, s.gaps.Load(), s.again.Load(), s.refused.Load(),
		s.unsent.Load(), s.unknown.Load())
	s.t.Logf("%d violations", s.violations.Load())
}
