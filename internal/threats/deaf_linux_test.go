package threats

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/chatroom"
)

// deafen makes members that read their welcome, with a small buffer, and nothing else. They come, and so fall behind, one after
// the other.
func deafen(t *testing.T, s *server, n int) (all []*peer) {
	t.Helper()
	for i := range n {
		<-time.After(10 * time.Millisecond)
		p, err := dialDeaf(s.addr, address(attacks, i), 4<<10)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.drop)
		if err := p.join(fmt.Sprint("deaf", i)); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// A speech is what a moderator says, a long text at a time, each with the moment at which it was due.
type speech struct {
	m     *member
	said  atomic.Int64
	stop  chan struct{}
	over  chan struct{}
	begun time.Time
}

const longText = 4000 // bytes

// speak begins a speech of that many texts a second.
func speak(t *testing.T, s *server, perSecond int) *speech {
	t.Helper()
	p := &speech{stop: make(chan struct{}), over: make(chan struct{}), begun: time.Now()}
	p.m = enter(t, s.addr, address(homes, 2000), "mod-speaker", nil)
	go func() {
		defer close(p.over)
		for {
			due := p.begun.Add(time.Duration(p.said.Load()) * time.Second / time.Duration(perSecond))
			select {
			case <-time.After(time.Until(due)):
			case <-p.stop:
				return
			}
			head := fmt.Sprintf("%020d ", due.Sub(p.begun))
			if p.m.say(`{"type":"say","text":"`+head+strings.Repeat("x", longText-len(head))+`"}`) != nil {
				return
			}
			p.said.Add(1)
		}
	}()
	return p
}

func (p *speech) end() {
	close(p.stop)
	<-p.over
}

// after returns how long after it was due a line arrives, if it is of the speech.
func (p *speech) after(line []byte) (time.Duration, bool) {
	const text = `"text":"`
	i := bytes.Index(line, []byte(text))
	if !bytes.HasPrefix(line, []byte(`{"type":"message"`)) || i < 0 || len(line) < longText {
		return 0, false
	}
	due, err := strconv.ParseInt(string(line[i+len(text):][:20]), 10, 64)
	return time.Since(p.begun.Add(time.Duration(due))), err == nil
}

// An ending notes when members were cut off, and when their connections were closed.
type ending struct {
	behind      time.Time // when somebody was first seen far behind
	cut, closed []time.Time
	memory      int64 // the most there was
}

// watch notes what becomes of n members of a server with all connections, until they are closed.
func (e *ending) watch(s *server, n, all int, behind uint64) {
	for began := time.Now(); len(e.closed) < n && time.Since(began) < 4*patience; {
		v := s.ask(look)
		now := time.Now()
		if e.behind.IsZero() && v.MostLag > behind {
			e.behind = now
		}
		for len(e.cut) < int(v.Ended[chatroom.CodeTooSlow]) {
			e.cut = append(e.cut, now)
		}
		for len(e.closed) < all-v.Conns {
			e.closed = append(e.closed, now)
		}
		e.memory = max(e.memory, s.resident())
		<-time.After(10 * time.Millisecond)
	}
}

// most returns the longest time from one's being cut off to a connection's being closed.
func (e *ending) most() (d time.Duration) {
	for i := range min(len(e.cut), len(e.closed)) {
		d = max(d, e.closed[i].Sub(e.cut[i]))
	}
	return d
}

// An audience is members who hear a speech, and note how long after it was due they hear each text.
type audience struct {
	members    []*member
	heard      []atomic.Int64
	words      *speech
	attacked   atomic.Bool // which delays count as
	calm, busy delays
}

// gather makes an audience and a speech of that many texts a second, and lets them be for a while.
func gather(t *testing.T, s *server, n, perSecond int) *audience {
	t.Helper()
	a := &audience{heard: make([]atomic.Int64, n)}
	var words atomic.Pointer[speech]
	for i := range n {
		a.members = append(a.members, enter(t, s.addr, address(homes, i), fmt.Sprintf("m%04d", i), func(line []byte) {
			took, ok := words.Load().after(line)
			switch {
			case !ok:
				return
			case a.attacked.Load():
				a.busy.add(took)
			default:
				a.calm.add(took)
			}
			a.heard[i].Add(1)
		}))
	}
	a.words = speak(t, s, perSecond)
	words.Store(a.words)
	<-time.After(pick(10*time.Second, time.Second))
	return a
}

// leave ends the speech, and checks that everybody has heard all of it.
func (a *audience) leave(t *testing.T) {
	t.Helper()
	a.words.end()
	said := a.words.said.Load()
	for i, m := range a.members {
		eventually(t, "everybody has heard everything", func() bool { return a.heard[i].Load() >= said || !m.here() })
		if !m.here() || a.heard[i].Load() != said {
			t.Errorf("%s heard %d of %d, is here: %v: %s", m.nick, a.heard[i].Load(), said, m.here(), m.last)
		}
	}
	if !a.words.m.here() {
		t.Errorf("the speaker is not here any more: %s", a.words.m.last)
	}
}

// notices checks that delays were, when attacked, what they were before.
func (a *audience) notices(t *testing.T) {
	t.Helper()
	atMost(t, "the worst delay", a.busy.quantile(1), 100*time.Millisecond)
	atMost(t, "p99 of the delay", a.busy.p99(), max(2*a.calm.p99(), 5*time.Millisecond))
}

// Members who read nothing are cut off, and nobody else notices.
func TestThreat03NeverReading(t *testing.T) {
	healthy, deaf, lag := pick(450, 50), pick(50, 10), pick(1<<20, 256<<10)
	s := start(t, setup{Limits: chatroom.Limits{Lag: lag}})
	a := gather(t, s, healthy, pick(128, 256))
	before, began := s.resident(), a.words.said.Load()
	a.attacked.Store(true)
	deafen(t, s, deaf)
	var e ending
	e.watch(s, deaf, healthy+deaf+1, uint64(lag/2))
	for *full && (a.words.said.Load()-began)*longText < 64<<20 {
		<-time.After(100 * time.Millisecond)
	}
	a.leave(t)
	v := s.ask(look)
	t.Logf("%d of %d deaf cut off, their sockets closed after at most %v; %.0f MB said to %d others; calm: %v; then: %v; memory %s, and %s more; %s behind at most",
		v.Ended[chatroom.CodeTooSlow], deaf, e.most().Round(time.Millisecond), float64((a.words.said.Load()-began)*longText)/1e6, healthy, &a.calm, &a.busy,
		mebibytes(before), mebibytes(e.memory-before), mebibytes(int64(v.MostLag)))
	if len(v.Ended) != 1 || v.Ended[chatroom.CodeTooSlow] != uint64(deaf) || len(e.closed) != deaf {
		t.Errorf("members ended by %v; %d sockets were closed", v.Ended, len(e.closed))
	}
	if most := uint64(lag + lag/2); v.MostLag > most && !raced {
		t.Errorf("somebody was %d bytes behind; want %d at most", v.MostLag, most)
	}
	if grown := e.memory - before; grown > 16<<20 && !raced {
		t.Errorf("%s more memory; want 16 MiB at most", mebibytes(grown))
	}
	atMost(t, "from the cut to the socket's end", e.most(), 6*time.Second)
	a.notices(t)
}

// However much somebody may be behind, who takes nothing at all is cut off in time.
func TestThreat03TakingNothing(t *testing.T) {
	const deaf = 5
	write := pick(5*time.Second, 2*time.Second)
	s := start(t, setup{Limits: chatroom.Limits{Lag: 256 << 20, Write: write}})
	crowd(t, s.addr, 2*deaf, nil)
	deafen(t, s, deaf)
	words := speak(t, s, 512)
	var e ending
	e.watch(s, deaf, 3*deaf+1, 256<<10)
	words.end()
	v := s.ask(look)
	if len(e.closed) != deaf || v.Ended[chatroom.CodeTooSlow] != deaf {
		t.Fatalf("%d sockets are closed, and members ended by %v", len(e.closed), v.Ended)
	}
	took := e.closed[deaf-1].Sub(e.behind)
	t.Logf("%d deaf, %s behind: closed after %v, with a limit of %v", deaf, mebibytes(int64(v.MostLag)), took.Round(time.Millisecond), write)
	atMost(t, "the last socket's end", took, write+time.Second)
}

// A server shuts down in time, whoever reads nothing; everybody else is told.
func TestThreat04Shutdown(t *testing.T) {
	const deaf, talking = 5, 20
	write := pick(5*time.Second, 2*time.Second)
	s := start(t, setup{Limits: chatroom.Limits{Lag: 256 << 20, Write: write, MessageRate: -1}})
	files := s.files()
	talkers := crowd(t, s.addr, talking, nil)
	deafen(t, s, deaf)
	words := speak(t, s, 512)
	eventually(t, "the deaf are behind", func() bool { return s.ask(look).MostLag > 256<<10 })
	var running sync.WaitGroup
	for _, m := range talkers {
		running.Go(func() {
			for m.here() && m.say(`{"type":"say","text":"talk"}`) == nil {
				<-time.After(10 * time.Millisecond)
			}
		})
	}
	v := s.ask(shutdown)
	told := 0
	for _, m := range talkers {
		<-m.over
		if strings.Contains(m.last, `"code":"shutdown"`) {
			told++
		}
	}
	running.Wait()
	words.end()
	left := s.returnsTo(footing{files, s.base})
	t.Logf("Shutdown took %v with %d stalled, and %d of %d others were told; %d goroutines of %d, %d files of %d are left",
		v.Took.Round(time.Millisecond), deaf, told, talking, left.goroutines, s.base, left.files, files)
	if told != talking {
		t.Errorf("%d of %d were told", told, talking)
	}
	atMost(t, "Shutdown", v.Took, write+200*time.Millisecond)
}
