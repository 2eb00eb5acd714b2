package chatroom

import (
	"context"
	"sync/atomic"
	"time"
)

// The rounds of a room bring what is new in it to its members, all in one go: what was said since the
// last round is one write to each. A calm room has a round for each event, at once. A busy one
// keeps to a share of the time, so that the more there is to say, the more goes into a write.
//
// A round is a goroutine that exists only while there is something to bring.
type rounds struct {
	duty  duty
	began atomic.Int64  // room.cost when the latest round began
	full  chan struct{} // tells a round that waits that there is enough for it to begin
	bring func()        // room.bring, of which go makes no copy

	// Owned by the round.
	due time.Time // when the next may begin
}

const (
	// flushShare is how many times as long as a round took a busy room puts the next one off.
	flushShare = 6
	// flushCredit is how much time a calm room may spend in rounds before it counts as busy.
	flushCredit = 50 * time.Millisecond
	// flushFull is how many bytes of events are worth a round in any case: with more to write, the
	// copying costs as much as the writing, and waiting saves nothing.
	flushFull = 64 << 10
	// flushBatch is how many members a round takes from the roster at a time.
	flushBatch = 64
)

// deliver brings the streams up to date and lets a round bring to the members what they lack. It does not wait for that. No
// lock may be held.
func (r *room) deliver() {
	for _, s := range *r.streams.Load() {
		s.encode()
	}
	if r.rounds.duty.take() {
		go r.rounds.bring()
	} else if r.unbrought() >= flushFull {
		select {
		case r.rounds.full <- struct{}{}:
		default:
		}
	}
}

// unbrought returns how many bytes of events there are since the latest round began.
func (r *room) unbrought() int64 { return r.cost.Load() - r.rounds.began.Load() }

// A duty is what one goroutine at a time does, for all who want it done. Whoever wants it while it is being done
// can rely on its being done once more.
type duty struct{ state atomic.Int32 }

// The states of a duty.
const (
	dutyIdle  int32 = iota
	dutyUnder       // somebody is at it
	dutyAgain       // and has to do it once more
)

// take reports whether the caller is the one to do it.
func (d *duty) take() bool {
	for {
		switch {
		case d.state.CompareAndSwap(dutyIdle, dutyUnder):
			return true
		case d.state.Load() == dutyAgain, d.state.CompareAndSwap(dutyUnder, dutyAgain):
			return false
		}
	}
}

// begin says that what was wanted until now is done next.
func (d *duty) begin() { d.state.Store(dutyUnder) }

// end reports whether it is over. If not, somebody wants it done once more, by the caller.
func (d *duty) end() bool {
	if d.state.CompareAndSwap(dutyUnder, dutyIdle) {
		return true
	}
	d.begin()
	return false
}

// bring makes rounds until there is nothing new.
func (r *room) bring() {
	for over := false; !over; over = r.rounds.duty.end() {
		r.awaitRound()
		began := time.Now()
		r.rounds.duty.begin()
		r.rounds.began.Store(r.cost.Load())
		r.round()
		r.schedule(began, time.Now())
		r.relieve()
	}
}

// schedule notes when the next round may begin, after one that took from began to ended.
func (r *room) schedule(began, ended time.Time) {
	l := &r.srv.limits
	due := r.rounds.due
	if earliest := began.Add(-flushCredit); due.Before(earliest) {
		due = earliest
	}
	due = due.Add(flushShare * ended.Sub(began))
	if latest := ended.Add(l.FlushMax); due.After(latest) {
		due = latest
	}
	if earliest := began.Add(l.FlushMin); due.Before(earliest) {
		due = earliest
	}
	r.rounds.due = due
}

// awaitRound waits until the next round may begin.
func (r *room) awaitRound() {
	wait := time.Until(r.rounds.due)
	if wait <= 0 {
		return
	}
	select { // what it was told of is long gone
	case <-r.rounds.full:
	default:
	}
	if r.unbrought() >= flushFull {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.rounds.full:
	}
}

// round looks at each member once.
func (r *room) round() {
	limit, most := int64(r.srv.limits.Lag), int64(0)
	moved := r.unlisted.Load()
	var batch [flushBatch]*seat
	w := newWriting()
	defer w.done()
	for i, n := 0, flushBatch; n == flushBatch; i += n {
		r.rosterMu.Lock()
		n = copy(batch[:], r.list[min(i, len(r.list)):])
		r.rosterMu.Unlock()
		direct := batch[:0]
		for _, s := range batch[:n] {
			lag := s.lag()
			most = max(most, lag)
			switch {
			case !s.keepsUp(lag, limit):
			case s.member.direct():
				direct = append(direct, s)
			default:
				s.member.poke() // and it is at it while the round writes
			}
		}
		for _, s := range direct {
			s.member.bring(w)
		}
	}
	if moved != r.unlisted.Load() {
		r.rounds.duty.take() // somebody may have been moved to where the round had been: one more follows
	}
	r.srv.stats.round(most)
}

// keepsUp reports whether there is something to bring to the seat's member, or else cuts it off if that is too much.
func (s *seat) keepsUp(lag, limit int64) bool {
	if lag <= 0 {
		return false
	}
	if lag > limit || s.stuck() {
		s.member.end(ErrTooSlow.(*Error))
		return false
	}
	if lag > limit/4 && !s.behind.Load() {
		s.took.Store(s.room.srv.clock())
		s.room.indulge(s)
		if s.behind.CompareAndSwap(false, true) {
			s.room.behind.Add(1)
			if s.gone.Load() { // the round had it on its list still
				s.caughtUp()
			}
		}
	}
	return true
}

// socketGrace is how long speakers wait for a member whose system has taken so much already that it takes
// no more, and whose program reads none of it.
const socketGrace = 20 * time.Millisecond

// connGrace is socketGrace for a connection without a socket, whose goroutine may not have been scheduled.
const connGrace = 100 * time.Millisecond

// A transport is what a member reads through, as far as waiting for it is concerned.
type transport int

const (
	inProcess transport = iota
	noSocket            // a connection that can only be written to by waiting: TLS, a pipe
	socket
	transports
)

func (s *seat) transport() transport {
	switch {
	case s.member.conn == nil:
		return inProcess
	case s.member.conn.raw == nil:
		return noSocket
	}
	return socket
}

// An indulgence is that speakers wait, or have waited, for a member.
type indulgence struct {
	member atomic.Uint64 // its number; 0 once it has caught up
	until  int64         // on the server's clock; owned by the round
}

// indulge lets speakers wait for a seat that falls behind. Where the last one for which they waited has not caught up, it
// may be that many are stuck: then they wait a tenth of the time at most, however many fall behind. That is so for each
// transport, so that a peer that reads nothing costs nobody in process their grace. It is for the round.
func (r *room) indulge(s *seat) {
	i, now, grace := &r.indulged[s.transport()], r.srv.clock(), int64(s.grace())
	if i.member.Load() != 0 && now-i.until < 9*grace {
		return
	}
	i.member.Store(s.member.number)
	i.until = now + grace
	r.grace.Store(max(r.grace.Load(), i.until))
}

// grace returns how long speakers wait for the seat when it falls behind.
func (s *seat) grace() time.Duration {
	grace := s.room.srv.limits.Write / 10
	switch s.transport() {
	case socket:
		return min(grace, socketGrace)
	case noSocket:
		return min(grace, connGrace)
	}
	return grace
}

// stuck reports whether a member in process that is far behind has taken nothing in Limits.Write.
// With a connection Conn.write finds that out.
func (s *seat) stuck() bool {
	return s.stream == nil && s.behind.Load() && s.room.srv.clock()-s.took.Load() > int64(s.room.srv.limits.Write)
}

// lag returns how many bytes the seat has yet to read.
func (s *seat) lag() int64 {
	if s.stream != nil {
		return s.stream.log.end.Load() - max(s.pos.Load(), s.caught.Load())
	}
	return s.room.cost.Load() - max(s.pos.Load(), s.caught.Load())
}

// tail returns the position of the end of what the seat reads, in elements of its log.
func (s *seat) tail() int64 {
	if s.stream != nil {
		return s.stream.log.end.Load()
	}
	return s.room.log.end.Load()
}

// read notes that the seat has read up to pos.
func (s *seat) read(pos int64) {
	s.pos.Store(pos)
	if !s.behind.Load() {
		return
	}
	s.took.Store(s.room.srv.clock())
	if s.lag() < int64(s.room.srv.limits.Lag)/8 {
		s.room.indulged[s.transport()].member.CompareAndSwap(s.member.number, 0)
		s.caughtUp()
	}
}

// caughtUp takes the seat off the count of those behind, and lets waiting speakers look again.
func (s *seat) caughtUp() {
	if !s.behind.CompareAndSwap(true, false) {
		return
	}
	s.room.behind.Add(-1)
	s.room.relieve()
}

// relieve lets speakers who wait look again.
func (r *room) relieve() {
	r.calmMu.Lock()
	if r.calm != nil {
		close(r.calm)
		r.calm = nil
	}
	r.calmMu.Unlock()
}

// hurried returns for how long the speaker in s should let others catch up: for most when a lot waits for the
// next round, at least half of the room is far behind, or its own connection is, and otherwise for what is left of the
// grace that whoever fell behind last has. In process a member waits for itself no longer than
// that, since the goroutine that speaks may be the one that receives.
func (s *seat) hurried(most time.Duration) time.Duration {
	if s.room.unbrought() > int64(s.room.srv.limits.Lag)/8 {
		return most
	}
	behind, size := s.room.behind.Load(), s.room.size.Load()
	if behind <= 0 {
		return 0
	}
	if s.behind.Load() {
		if s.stream != nil {
			return most
		}
		behind--
	}
	if behind > 0 && 2*behind >= size {
		return most
	}
	return min(most, time.Duration(s.room.grace.Load()-s.room.srv.clock()))
}

// wait holds a speaker back while others catch up, so that a burst slows those who make it and
// cuts off nobody who reads. For a room that lags as a whole that is Limits.Write at most: by then
// a peer that takes nothing is cut off. For a few who lag it is a grace each time one falls
// behind, as long as they catch up.
func (s *seat) wait(ctx context.Context) error {
	r := s.room
	if s.hurried(r.srv.limits.Write) <= 0 {
		return nil
	}
	late := time.Now().Add(r.srv.limits.Write)
	for {
		d := s.hurried(time.Until(late))
		if d <= 0 {
			return nil
		}
		r.calmMu.Lock()
		if r.calm == nil {
			r.calm = make(chan struct{})
		}
		calm := r.calm
		r.calmMu.Unlock()
		if s.hurried(d) <= 0 {
			return nil
		}
		timer := time.NewTimer(d)
		select {
		case <-calm:
		case <-timer.C:
		case <-s.member.opening(&s.member.ended):
			timer.Stop()
			return ErrClosed
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}
