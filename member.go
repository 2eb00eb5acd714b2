package chatroom

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A member is one participant: who it is, where it reads, and a box for what is for it alone.
// Everything it receives leaves through one place, in order: the flush goroutine of its
// connection, or Receive in process.
//
// Thousands of them do nothing most of the time, so what few need is elsewhere, and what a round looks at stands together.
type member struct {
	conn *Conn // nil in process

	// Writing is for one goroutine at a time: a round, or the member's flush goroutine. Once the member has
	// ended and everything is written, it is never over.
	flushing duty

	// welcomed says that the first welcome is in the box. Until then nothing leaves it: others may
	// speak to a member that is on its way in, and the welcome comes first. Guarded by mu.
	welcomed bool
	away     bool // it is about to be told again what its session has kept for it; guarded by mu

	// Guarded by server.mu.
	role Role
	base Role // the role without promotions and demotions

	mu     sync.Mutex
	reason atomic.Pointer[Error] // why it ended; nil while it has not. Set under mu
	seats  []*seat               // where it reads
	box    []op

	boxSize  int64      // what is in the box, or being written from it
	eased    *sync.Cond // the box has become smaller, or the member has ended; nil if nobody waits for that
	expelled *telling   // what its rooms are told of its end; nil means a KindLeave
	ended    latch      // opened by end
	left     latch      // opened once no room has it any more
	flushed  latch      // opened once the last flush is over

	srv     *server
	number  uint64
	enc     Encoder
	account string
	joined  time.Duration // since the server began
	session *session      // nil if it ends with its connection

	moving sync.Mutex // held from end to end of joining or leaving a room: one at a time

	// Guarded by server.mu.
	nick  string
	keys  []string // NickKeys(nick)
	rooms []*seat  // where it is

	mute atomic.Pointer[Ban]  // why it may not speak; may have expired
	pace atomic.Pointer[pace] // nil as long as it has done nothing
	wake chan struct{}        // in process: something may be new
}

// parked reports whether it lingers: its connection is lost, and nobody reads what it receives.
func (m *member) parked() bool { return m.conn == nil && m.session != nil }

// A latch is opened once. It takes a word as long as nobody waits for that. It is guarded by member.mu.
type latch chan struct{}

// opened is a latch that nobody has waited for.
var opened = func() latch {
	l := make(latch)
	close(l)
	return l
}()

func (l *latch) open() {
	if *l == nil {
		*l = opened
		return
	}
	close(*l)
}

// opening returns what is closed once the latch is opened.
func (m *member) opening(l *latch) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if *l == nil {
		*l = make(latch)
	}
	return *l
}

// An op is the next thing in a member's box: an event for it alone, or all that a seat had to
// read at that moment, so that what is private keeps its place between what is public.
type op struct {
	event *Event
	seat  *seat
	upto  int64
}

// post gives the member an event nobody else receives. It never waits: a member for whom too much
// is waiting already is ended.
func (m *member) post(e *Event) {
	m.mu.Lock()
	m.putLocked(e)
	full := m.boxSize > int64(m.srv.limits.Lag)
	m.mu.Unlock()
	if full {
		m.end(ErrTooSlow.(*Error))
		return
	}
	m.poke()
}

// offer is post for what another member sends: it refuses when a lot is waiting already, so that
// nobody can get a member cut off by talking to it.
func (m *member) offer(e *Event) bool {
	m.mu.Lock()
	ok := m.boxSize <= int64(m.srv.limits.Lag)/2
	if ok {
		m.putLocked(e)
	}
	m.mu.Unlock()
	m.poke()
	return ok
}

// answer is post for what the member itself has asked for: whoever asks faster than it reads
// waits. It may be called by the member's own reader only.
func (m *member) answer(e *Event) {
	m.mu.Lock()
	m.easeLocked()
	m.putLocked(e)
	m.mu.Unlock()
	m.poke()
}

// easeLocked waits while a lot waits for the member alone already. m.mu must be held.
func (m *member) easeLocked() {
	for m.over() == nil && m.boxSize > int64(m.srv.limits.Lag)/4 {
		if m.eased == nil {
			m.eased = sync.NewCond(&m.mu)
		}
		m.eased.Wait()
	}
}

// easedLocked lets those who wait for a smaller box look again. m.mu must be held.
func (m *member) easedLocked() {
	if m.eased != nil {
		m.eased.Broadcast()
		m.eased = nil
	}
}

func (m *member) putLocked(e *Event) {
	if m.session != nil {
		e = m.session.number(e)
	}
	if m.over() != nil || m.parked() || m.away && e.Private != 0 {
		return
	}
	m.markLocked()
	m.box = append(m.box, op{event: e})
	if !e.History { // which is bounded, and nobody's fault
		m.boxSize += e.cost()
	}
}

// markLocked puts what every seat has to read now before whatever is put into the box next.
func (m *member) markLocked() {
	for _, s := range m.seats {
		if tail := s.tail(); tail > s.marked {
			m.box = append(m.box, op{seat: s, upto: tail})
			s.marked = tail
		}
	}
}

// sit lets the member read from s, after welcome and what it is shown of the history.
func (m *member) sit(s *seat, welcome *Event, history []Event) {
	m.mu.Lock()
	if m.over() == nil {
		m.greetLocked(welcome)
		for i := range history {
			m.putLocked(&history[i])
		}
		m.seats = append(m.seats, s)
	}
	full := m.boxSize > int64(m.srv.limits.Lag)
	m.mu.Unlock()
	if full {
		m.end(ErrTooSlow.(*Error))
		return
	}
	m.poke()
}

// greetLocked puts a welcome into the box; the first before everything else.
func (m *member) greetLocked(welcome *Event) {
	m.putLocked(welcome)
	if last := len(m.box) - 1; !m.welcomed && last >= 0 {
		m.box = slices.Insert(m.box[:last], 0, m.box[last])
		m.welcomed = true
	}
}

// stand ends the member's reading from s with what s has now.
func (m *member) stand(s *seat) {
	m.mu.Lock()
	if m.over() == nil {
		m.markLocked()
	}
	m.seats = slices.DeleteFunc(m.seats, func(t *seat) bool { return t == s })
	m.mu.Unlock()
}

// last lets the member read from s, where it no longer sits, up to the position upto.
func (m *member) last(s *seat, upto int64) {
	m.mu.Lock()
	if m.over() == nil {
		m.markLocked()
		m.box = append(m.box, op{seat: s, upto: upto})
	}
	m.mu.Unlock()
	m.poke()
}

// end ends the member for that reason, unless it has ended already. What it had to receive by
// now, and a farewell, still reach it; its rooms are left at once. end never waits and may be
// called under a roster's lock.
func (m *member) end(reason *Error) { m.expel(reason, nil) }

// expel is end by an act, of which the member's rooms are told by t. It reports whether that is
// what ended the member.
func (m *member) expel(reason *Error, t *telling) bool {
	m.mu.Lock()
	if !m.reason.CompareAndSwap(nil, reason) {
		m.mu.Unlock()
		return false
	}
	m.expelled = t
	if !m.welcomed {
		m.box = nil
	}
	if reason.Code != CodeTooSlow {
		m.markLocked()
	} else if m.seats = nil; m.conn == nil {
		m.box = nil
	} else {
		m.box = slices.DeleteFunc(m.box, func(o op) bool { return o.event != nil })
	}
	if m.conn == nil {
		m.unhookLocked()
	}
	m.easedLocked()
	m.ended.open()
	m.mu.Unlock()
	go m.leave()
	m.poke()
	return true
}

// unhookLocked takes what a member in process has yet to receive out of its rooms' logs, which
// would grow for as long as an ended member that nobody receives from had a place in them. m.mu must be held.
func (m *member) unhookLocked() {
	var box []op
	for _, o := range m.box {
		if o.event != nil {
			box = append(box, o)
			continue
		}
		for e, ok := o.seat.take(o.upto); ok; e, ok = o.seat.take(o.upto) {
			box = append(box, op{event: &e})
		}
	}
	m.box, m.seats = box, nil
}

// over returns why the member ended, or nil.
func (m *member) over() *Error { return m.reason.Load() }

// leave takes the member out of its rooms and frees its nick. Whoever waits for the server to have
// closed waits for this, from the moment the member joined.
func (m *member) leave() {
	defer m.srv.running.Done()
	if m.conn != nil {
		m.conn.endBy(m.over())
	}
	if !m.srv.linger(m, m.over()) {
		m.srv.forget(m)
	}
	m.mu.Lock()
	m.left.open()
	m.mu.Unlock()
}

// poke makes the member look at what is new; it never waits.
func (m *member) poke() {
	if m.conn == nil {
		select {
		case m.wake <- struct{}{}:
		default:
		}
		return
	}
	if m.flushing.take() {
		go m.flush()
	}
}

// direct reports whether a round can write to the member.
func (m *member) direct() bool { return m.conn != nil && m.conn.raw != nil }

// bring writes what is new in the member's rooms, as far as the peer's system takes it at once. Where something else
// is to be written first, or the peer takes less, the member's flush goroutine sees to it. It is for members that are direct.
func (m *member) bring(w *writing) {
	if m.flushing.take() && (!m.writeNow(w) || !m.flushing.end()) {
		go m.flush()
	}
}

// maxDirect is how many rooms of a member a round writes from; with more they are left to its flush goroutine.
const maxDirect = 10

// writeNow writes what is new without waiting; false means that something is left, or was to be written first. It
// is for who has taken flushing.
func (m *member) writeNow(w *writing) bool {
	var parts [maxDirect]struct {
		seat *seat
		tail int64
	}
	m.mu.Lock()
	ready := m.welcomed && len(m.box) == 0 && m.over() == nil && len(m.seats) <= maxDirect
	n := 0
	if ready {
		for _, s := range m.seats {
			s.marked = s.tail()
			parts[n].seat, parts[n].tail = s, s.marked
			n++
		}
	}
	m.mu.Unlock()
	for i := range n {
		if parts[i].seat.writeNow(w, parts[i].tail) {
			continue
		}
		var rest []op // which are accounted for, and come before what came meanwhile
		for _, p := range parts[i:n] {
			rest = append(rest, op{seat: p.seat, upto: p.tail})
		}
		m.mu.Lock()
		m.box = append(rest, m.box...)
		m.mu.Unlock()
		return false
	}
	return ready
}

// writeNow writes what the seat has to read up to the position tail, without waiting; false means that something is left.
func (s *seat) writeNow(w *writing, tail int64) bool {
	for s.bytes.pos() < tail {
		span := s.bytes.span()
		span = span[:min(int64(len(span)), tail-s.bytes.pos())]
		n := w.write(s.member.conn, span)
		s.bytes.i += int64(n)
		s.read(s.bytes.pos())
		if n < len(span) {
			return false
		}
	}
	return true
}

// flush writes what the member has to receive until there is nothing left, and hangs up once the
// member has ended. There is never more than one for a member.
func (m *member) flush() {
	for {
		err := m.drain()
		if over := m.over(); err != nil || over != nil && m.idle() {
			if err == nil {
				<-m.opening(&m.left) // who is told goodbye may come back at once, under the same nick
				err = m.conn.write(m.encode(nil, &Event{Kind: KindBye, Time: now(), Err: over}))
			} else {
				m.end(writeError(err))
			}
			m.conn.hangUp(err)
			m.mu.Lock()
			m.flushed.open()
			m.mu.Unlock()
			return
		}
		if m.flushing.end() {
			return
		}
	}
}

// idle reports whether there is nothing to write but a farewell.
func (m *member) idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.box) > 0 {
		return !m.welcomed && m.over() == nil
	}
	if m.over() != nil {
		return true
	}
	return !slices.ContainsFunc(m.seats, func(s *seat) bool { return s.tail() > s.marked })
}

// scratch is for what is encoded for one member alone.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch is how large a buffer is kept in scratch.
const maxScratch = 64 << 10

// drain writes what the member has to receive now.
func (m *member) drain() error {
	m.mu.Lock()
	if !m.welcomed && m.over() == nil {
		m.mu.Unlock()
		return nil
	}
	if m.over() == nil {
		m.markLocked()
	}
	box, size := m.box, m.boxSize
	m.box = nil
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.boxSize -= size
		m.easedLocked()
		m.mu.Unlock()
	}()

	buf := scratch.Get().(*[]byte)
	private := (*buf)[:0]
	defer func() {
		if cap(private) <= maxScratch {
			*buf = private
		}
		scratch.Put(buf)
	}()
	for _, o := range box {
		if o.event != nil {
			private = m.encode(private, o.event)
			continue
		}
		if err := m.conn.write(private); err != nil {
			return err
		}
		private = private[:0]
		if err := o.seat.write(m.conn, o.upto); err != nil {
			return err
		}
	}
	return m.conn.write(private)
}

// encode appends an event for this member alone in its format. An encoder that panics says
// nothing.
func (m *member) encode(dst []byte, e *Event) (out []byte) {
	defer func() {
		if p := recover(); p != nil {
			m.srv.log.Error("encoder panicked", "kind", e.Kind, "panic", p, "stack", string(debug.Stack()))
			out = dst
		}
	}()
	return m.enc.AppendEvent(dst, e)
}

// write writes what the seat has to read up to the position upto, or of a member that is cut off the rest of what is
// written by half.
func (s *seat) write(c *Conn, upto int64) error {
	for {
		if s.member.cut() {
			upto = min(upto, s.stream.recordEnd(s.bytes))
		}
		span := s.bytes.span()
		if most := upto - s.bytes.pos(); int64(len(span)) > most {
			span = span[:max(most, 0)]
		}
		if len(span) == 0 {
			break
		}
		if err := c.write(span); err != nil {
			return err
		}
		s.bytes.i += int64(len(span))
		s.read(s.bytes.pos())
	}
	return nil
}

// cut reports whether the member has been found too slow, and gets only a farewell.
func (m *member) cut() bool {
	over := m.over()
	return over != nil && over.Code == CodeTooSlow
}

// receive returns the next event of a member in process; false means there is none now.
func (m *member) receive() (Event, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.welcomed && m.over() == nil {
		return Event{}, false, nil
	}
	if m.over() == nil && len(m.box) == 0 {
		m.markLocked()
	}
	for len(m.box) > 0 {
		o := m.box[0]
		if o.event != nil {
			m.popLocked()
			if !o.event.History {
				m.boxSize -= o.event.cost()
			}
			return *o.event, true, nil
		}
		if e, ok := o.seat.take(o.upto); ok {
			return e, true, nil
		}
		m.popLocked()
	}
	if over := m.over(); over != nil {
		return Event{}, false, over
	}
	return Event{}, false, nil
}

// popLocked takes the first op out of the box, which keeps its space. m.mu must be held.
func (m *member) popLocked() {
	m.box[0] = op{}
	if len(m.box) == 1 {
		m.box = m.box[:0]
		return
	}
	m.box = m.box[1:]
}

// take reads one event, unless the seat has read up to the position upto. member.mu must be held.
func (s *seat) take(upto int64) (Event, bool) {
	span := s.events.span()
	if len(span) == 0 || s.events.pos() >= upto {
		return Event{}, false
	}
	s.events.i++
	s.read(span[0].cost)
	e := span[0].Event
	e.History = e.Seq < s.joined
	return e, true
}

// A local is a Client in process.
type local struct{ m *member }

func (l local) Send(ctx context.Context, cmd Command) (Event, error) { return l.m.send(ctx, cmd) }

func (l local) Receive(ctx context.Context) (Event, error) {
	for {
		e, ok, err := l.m.receive()
		if ok {
			l.m.poke() // another Receive may be waiting for what follows
			return e, nil
		}
		if err != nil {
			return Event{}, err
		}
		select {
		case <-l.m.wake:
		case <-l.m.opening(&l.m.ended):
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

func (l local) Self() MemberInfo { return l.m.info() }

func (l local) Close() error {
	l.m.end(ErrClosed.(*Error))
	<-l.m.opening(&l.m.left)
	return nil
}
