package chatroom

import (
	"fmt"
	"sync"
	"time"
)

// A pace is how fast a member has spoken and moved lately. Those who succeed one another in a session share it.
type pace struct {
	mu              sync.Mutex
	messages, moves bucket
}

// A bucket is what was done of a kind, and what was tried.
type bucket struct{ done, tried meter }

// insisting is how many times as much as is allowed somebody may try.
const insisting = 10

var errFlood = &Error{Code: CodeFlooding, Text: "flooding", Retry: RetryLater, After: 10 * time.Second}

// moves reports whether cmd is one of those that Limits.MoveRate is for.
func (c *Command) moves() bool {
	switch c.Verb {
	case VerbNick, VerbJoin, VerbLeave:
		return true
	}
	return false
}

// paced counts a command that is about to be carried out, or returns the Error that says how long to wait.
func (m *member) paced(cmd *Command) error {
	if m.conn == nil || cmd.Verb == VerbPing || cmd.Verb == VerbQuit {
		return nil
	}
	p := m.tempo()
	b, r := m.bucket(p, cmd.moves())
	p.mu.Lock()
	wait := b.done.take(time.Now(), r)
	p.mu.Unlock()
	if wait <= 0 && cmd.moves() {
		wait = m.srv.gate.move(m.conn)
	}
	if wait <= 0 || m.hasten() {
		return nil
	}
	return tooFast(wait)
}

// tries counts something that the peer of m has asked for, whatever becomes of it, and ends m if it was too much.
func (m *member) tries(moves bool) {
	p := m.tempo()
	b, r := m.bucket(p, moves)
	p.mu.Lock()
	wait := b.tried.take(time.Now(), r.times(insisting))
	p.mu.Unlock()
	if wait > 0 && !m.hasten() {
		m.end(errFlood)
	}
}

// overhead is what a read, or a line, counts for beside its bytes.
const overhead = 256

// byteTime returns how long a byte that a peer has sent is remembered, so that what tries lets it ask for never is too
// much; zero without a limit.
func (l *Limits) byteTime() float64 {
	if l.MessageRate < 0 || l.MoveRate < 0 {
		return 0
	}
	perSecond := insisting * max(l.MessageRate+l.MoveRate, 1./3600)
	return float64(time.Second) / perSecond / float64(l.LineBytes+2*overhead)
}

// heard counts n bytes that were read at once; lines add to them. It ends a member whose peer sends more than what tries
// lets it ask for could take, be it of what is never answered, such as blank lines.
func (c *Conn) heard(n int) {
	m, l, each := c.member.Load(), &c.srv.limits, c.srv.byteTime
	if m == nil || each == 0 {
		return
	}
	at := c.srv.clock()
	c.paid = max(c.paid, at) + int64(float64(n+overhead)*each)
	most := each * insisting * (float64(l.MessageBurst) + float64(l.MoveBurst)) * float64(l.LineBytes+2*overhead)
	if float64(c.paid-at) > most && !m.hasten() {
		m.end(errFlood)
	}
}

// tempo returns the member's pace; one who has done nothing yet has none, and gets it here.
func (m *member) tempo() *pace {
	if m.pace.Load() == nil {
		m.pace.CompareAndSwap(nil, new(pace))
	}
	return m.pace.Load()
}

func (m *member) bucket(p *pace, moves bool) (*bucket, rate) {
	l := &m.srv.limits
	if moves {
		return &p.moves, perSecond(l.MoveRate, l.MoveBurst)
	}
	return &p.messages, perSecond(l.MessageRate, l.MessageBurst)
}

// hasten reports whether m may be as fast as it likes.
func (m *member) hasten() bool { return m.info().Role > m.srv.limits.RateUpTo }

func tooFast(wait time.Duration) *Error {
	wait = roundUp(wait, time.Millisecond)
	text := fmt.Sprintf("too fast; wait %v", roundUp(wait, 100*time.Millisecond))
	return &Error{Code: CodeRateLimited, Text: text, Retry: RetryLater, After: wait}
}

func roundUp(d, to time.Duration) time.Duration { return (d + to - 1).Truncate(to) }
