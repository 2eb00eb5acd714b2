package chatroom

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A room orders what happens in it. Its log is its history and its delivery at once: a member is
// a cursor on it.
type room struct {
	srv   *server
	name  string
	key   string // folded name
	epoch string
	fixed bool // stays when nobody is in it

	mu    sync.Mutex
	seats map[*member]*seat
	crowd crowd
	topic string
	mode  mode
	log   *log[entry]
	// recent is before the first of the latest events that take about Limits.HistoryBytes.
	recent    cursor[entry]
	recentSeq uint64
	// deleted holds the numbers of the messages in the history that were deleted.
	deleted map[uint64]bool
	// talk rings the sequence numbers of the last messages: what joining members are shown
	// begins with the oldest of them.
	talk  []uint64
	talks int // messages ever
	// pinned holds the number from which on nothing is let go while a seat is being given a place.
	pinned map[*seat]uint64

	streams atomic.Pointer[[]*stream] // replaced under mu
	first   atomic.Uint64             // the oldest event kept; written under mu
	cost    atomic.Int64              // bytes of all events ever; written under mu

	// The roster is list in no order. It has a lock of its own: publishing needs mu alone.
	rosterMu sync.Mutex
	list     []*seat
	unlisted atomic.Uint64 // seats ever taken off the list
	rounds   rounds

	// A room that lags as a whole makes its speakers wait.
	size   atomic.Int32
	behind atomic.Int32 // seats that lag by more than a quarter of what they may
	grace  atomic.Int64 // until when, on the server's clock, speakers wait for any of them
	// indulged is for whom they began to wait last, of each transport.
	indulged [transports]indulgence
	calmMu   sync.Mutex
	calm     chan struct{} // closed when behind falls; nil while nobody waits
}

// An entry is one event in a room's log.
type entry struct {
	Event
	cost int64 // bytes of the room's events up to this one
}

// A seat is a member's place in a room: its cursor, and what goes with it.
type seat struct {
	member *member
	stream *stream      // nil in process
	pos    atomic.Int64 // bytes read
	caught atomic.Int64 // what is before this position does not count as lag: it was there at the beginning
	marked int64        // guarded by member.mu: how far the member's box accounts for this seat

	// Owned by the flush goroutine, or in process guarded by member.mu.
	bytes  cursor[byte]
	events cursor[entry]

	behind atomic.Bool  // counted in room.behind
	gone   atomic.Bool  // taken off the roster, and not to be counted any more
	took   atomic.Int64 // when it fell behind or last read since, on the server's clock

	room   *room
	joined uint64 // the number of what was new first to the member: its own join, unless that was told later
	start  *start // where reading begins; nil once it has begun
	index  int    // guarded by room.rosterMu

	// Guarded by room.mu.
	nick  string // the nick the room's events give
	role  Role
	spoke time.Duration // in slow mode: when it may be said to have spoken last, since the server began
}

// A start is where a member begins to read a room: what has the numbers from to upto is history, and what is from the
// number of lost on up to from is gone.
type start struct {
	from, upto, lost uint64
	back             bool // the member has seen the room before this connection
}

// A stream is a room's log in one wire format. Speakers keep it up to date; each event is encoded
// by whichever of them comes first.
type stream struct {
	room *room
	enc  Encoder
	uses int // seats that read it; guarded by room.mu

	mu     sync.Mutex
	src    cursor[entry] // what is not encoded yet
	log    *log[byte]
	broken bool // the encoder has panicked, and that was logged
}

func newRoom(s *server, name string, fixed bool) *room {
	r := &room{
		srv: s, name: name, key: fold(name), epoch: newToken(), fixed: fixed,
		seats: make(map[*member]*seat), pinned: make(map[*seat]uint64), deleted: make(map[uint64]bool),
		log:  newLog[entry](1, eventSegment),
		talk: make([]uint64, max(s.limits.History, 0)),
	}
	r.rounds.full, r.rounds.bring = make(chan struct{}, 1), r.bring
	r.streams.Store(new([]*stream))
	r.first.Store(1)
	r.recent, r.recentSeq = r.log.find(1)
	return r
}

// publish orders e, which the member of s did, and delivers it.
func (r *room) publish(s *seat, e Event) (Event, error) {
	r.mu.Lock()
	if r.seats[s.member] != s {
		r.mu.Unlock()
		return Event{}, ErrNotInRoom
	}
	err := s.member.muted() // since it was asked, while a filter looked or others caught up
	if err == nil {
		err = r.paceLocked(s)
	}
	if err != nil {
		r.mu.Unlock()
		return Event{}, err
	}
	e.From, e.Member = s.nick, s.member.number
	r.appendLocked(&e)
	r.mu.Unlock()
	r.deliver()
	return e, nil
}

// paceLocked returns an Error if the room is slow and the member of s speaks too soon. r.mu must
// be held.
func (r *room) paceLocked(s *seat) error {
	if r.mode.every == 0 || s.role >= RoleModerator {
		return nil
	}
	at := time.Now()
	every, since := r.mode.slowness(at), at.Sub(r.srv.began)
	if wait := every - (since - s.spoke); wait > 0 {
		wait = (wait + time.Second - 1).Truncate(time.Second)
		return &Error{
			Code: CodeRateLimited, Retry: RetryLater, After: wait,
			Text: fmt.Sprintf("slow mode: one message every %v; wait %v more", every, wait),
		}
	}
	s.spoke = since
	return nil
}

// admits returns an Error if the room is locked to m. server.mu must be held.
func (r *room) admits(m *member) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.role >= RoleModerator || !r.mode.shuts(m.account, time.Now()) {
		return nil
	}
	text := r.name + " takes nobody new at present"
	if r.mode.accounts {
		text = r.name + " takes nobody without an account at present"
	}
	return &Error{Code: CodeLocked, Text: withReason(text, r.mode.reason), Retry: RetryLater, Until: r.mode.lockUntil.UTC()}
}

// appendLocked gives e its place in the room's order. r.mu must be held, and deliver called after
// it is released.
func (r *room) appendLocked(e *Event) {
	r.introduceLocked(e)
	e.Seq, e.Room, e.Time = r.log.next, r.name, now()
	switch e.Kind {
	case KindTopic:
		r.topic = e.Text
	case KindMessage, KindAction, KindNotice:
		if len(r.talk) > 0 {
			r.talk[r.talks%len(r.talk)] = e.Seq
			r.talks++
		}
	}
	cost := r.cost.Load() + e.cost()
	r.log.commit(append(r.log.space(), entry{*e, cost}))
	r.cost.Store(cost)
	r.srv.stats.published.Add(1)
	r.srv.stats.delivered.Add(uint64(r.size.Load()))
	keep := r.recentLocked()
	if r.srv.limits.Linger < 0 {
		keep = r.oldestLocked() // nobody comes back
	}
	for _, number := range r.pinned {
		keep = min(keep, number)
	}
	swept := r.first.Swap(keep)/64 == keep/64 // now and then is enough
	r.log.trim(keep)
	if !swept {
		maps.DeleteFunc(r.deleted, func(seq uint64, _ bool) bool { return seq < keep })
	}
}

// recentLocked returns the number of the first of the latest events that take about
// Limits.HistoryBytes. r.mu must be held.
func (r *room) recentLocked() uint64 {
	bytes := int64(r.srv.limits.HistoryBytes)
	for span := r.recent.span(); len(span) > 0 && r.cost.Load()-span[0].cost > bytes; span = r.recent.span() {
		r.recent.i++
		r.recentSeq++
	}
	return r.recentSeq
}

// oldestLocked returns the number of the event that history begins with, for those who join.
func (r *room) oldestLocked() uint64 {
	n := uint64(len(r.talk))
	if n == 0 || r.talks == 0 {
		// Without a message there is nothing worth telling; the latest event is kept as an anchor.
		return r.log.next - 1
	}
	oldest := r.talk[0]
	if r.talks > len(r.talk) {
		oldest = r.talk[r.talks%len(r.talk)]
	}
	if last := r.log.next - 1; last > 10*n {
		oldest = max(oldest, last-10*n)
	}
	return max(oldest, r.recentSeq)
}

// leastCost is what every event counts for.
const leastCost = 128

// cost is what e counts for when lag is measured: about what it takes in memory.
func (e *Event) cost() int64 {
	lists := len(e.Members) + len(e.Rooms)
	if e.Welcome != nil {
		lists += len(e.Welcome.Members)
	}
	if e.Crowd != nil {
		lists += len(e.Crowd.Joined) + len(e.Crowd.Left)
	}
	return int64(leastCost + len(e.Text) + len(e.From) + len(e.Nick) + len(e.ID) + 64*lists)
}

// seatLocked puts m into the room and returns its seat, which the member does not read from
// before place, and pins the room until then. server.mu and r.mu must be held, and deliver called after they are released.
func (r *room) seatLocked(m *member, seen *Seen) *seat {
	s := r.newSeatLocked(m, seen)
	r.seats[m] = s
	r.comeLocked(s)
	s.start.upto = s.joined
	return s
}

// newSeatLocked returns a seat that has yet to be placed, behind what the member has seen, or else before
// the history that joining members are shown. It pins the room until then. server.mu and r.mu must be held.
func (r *room) newSeatLocked(m *member, seen *Seen) *seat {
	from := &start{from: r.log.next, upto: r.log.next, back: seen != nil} // without history
	switch {
	case seen != nil:
		from.lost = min(seen.Seq, r.log.next-1) + 1
		from.from = max(from.lost, r.first.Load())
	case len(r.talk) > 0 && r.talks > 0:
		from.from = r.oldestLocked()
	}
	s := &seat{room: r, member: m, start: from, nick: m.nick, role: m.role, spoke: time.Since(r.srv.began)}
	r.pinned[s] = from.from
	if m.conn != nil {
		s.stream = r.streamLocked(m.enc)
	}
	// Nothing counts as lag before the seat has its place.
	s.pos.Store(1 << 62)
	r.rosterMu.Lock()
	s.index = len(r.list)
	r.list = append(r.list, s)
	r.rosterMu.Unlock()
	r.size.Add(1)
	return s
}

// streamLocked returns the room's log in enc's format.
func (r *room) streamLocked(enc Encoder) *stream {
	old := *r.streams.Load()
	for _, s := range old {
		if s.enc == enc {
			s.uses++
			return s
		}
	}
	first := r.first.Load()
	s := &stream{room: r, enc: enc, uses: 1, log: newLog[byte](first, byteSegment)}
	s.src, _ = r.log.find(first)
	streams := append(slices.Clone(old), s)
	r.streams.Store(&streams)
	return s
}

// place gives the seat its position: before the history its member is to be shown. Where messages
// were deleted the history is returned as the member may see it, and the position is behind it; so is
// a KindGap, if something the member has not seen is gone.
func (s *seat) place() (shown []Event) {
	r, from := s.room, s.start
	s.start = nil
	if from.lost != 0 && from.lost < from.from {
		shown = append(shown, Event{Kind: KindGap, Room: r.name, Time: now(), History: true, Gap: &Gap{From: from.lost, To: from.from - 1}})
	}
	r.mu.Lock()
	begin := from.from
	if len(r.deleted) > 0 {
		shown = append(shown, r.editedLocked(from.from, from.upto)...)
		begin = from.upto
	}
	events, _ := r.log.find(begin)
	pos := r.cost.Load()
	if span := events.span(); len(span) > 0 {
		pos = span[0].cost - span[0].Event.cost()
	}
	r.mu.Unlock()
	if s.stream != nil {
		s.stream.encode()
		s.stream.mu.Lock()
		s.bytes, _ = s.stream.log.find(begin)
		s.caught.Store(s.stream.log.end.Load())
		s.stream.mu.Unlock()
		s.pos.Store(s.bytes.pos())
	} else {
		s.events = events
		s.caught.Store(r.cost.Load())
		s.pos.Store(pos)
	}
	s.unpin()
	return shown
}

// editedLocked returns the events from one number up to another, without the second, as somebody
// new may see them. r.mu must be held.
func (r *room) editedLocked(from, upto uint64) (shown []Event) {
	c, _ := r.log.find(from)
	for span := c.span(); len(span) > 0 && span[0].Seq < upto; span = c.span() {
		e := *r.shownLocked(&span[0].Event)
		e.History = true
		shown = append(shown, e)
		c.i++
	}
	return shown
}

// forgetLocked lets go of what was said, in a room that nobody is in any more. Acts and held messages that can be taken
// back or approved remember the room itself for a long time. r.mu must be held.
func (r *room) forgetLocked() {
	r.log.clear()
	r.recent, r.recentSeq = r.log.find(r.log.next)
	clear(r.deleted)
}

// pin keeps what the room orders from now on until unpin.
func (s *seat) pin() {
	s.room.mu.Lock()
	if _, pinned := s.room.pinned[s]; !pinned {
		s.room.pinned[s] = s.room.log.next
	}
	s.room.mu.Unlock()
}

// unpin lets the room let go of what it kept for the seat to be given a place.
func (s *seat) unpin() {
	s.room.mu.Lock()
	delete(s.room.pinned, s)
	s.room.mu.Unlock()
}

// removeLocked takes s out of the room; tell, under r.mu, tells the others. server.mu must be
// held, and deliver called after it is released.
func (r *room) removeLocked(s *seat, tell func(*room)) {
	r.mu.Lock()
	tell(r) // in whose crowd it still counts
	delete(r.seats, s.member)
	r.leaveStreamLocked(s)
	r.mu.Unlock()
	if !s.member.parked() {
		r.unlist(s)
	}
}

// leaveStreamLocked ends the use of the stream that s reads. r.mu must be held.
func (r *room) leaveStreamLocked(s *seat) {
	if s.stream == nil {
		return
	}
	if s.stream.uses--; s.stream.uses == 0 {
		streams := slices.DeleteFunc(slices.Clone(*r.streams.Load()), func(t *stream) bool { return t == s.stream })
		r.streams.Store(&streams)
	}
}

// unlist takes s off the list of those who are poked.
func (r *room) unlist(s *seat) {
	r.rosterMu.Lock()
	last := r.list[len(r.list)-1]
	last.index, r.list[s.index] = s.index, last
	r.unlisted.Add(1)
	r.list[len(r.list)-1] = nil
	r.list = r.list[:len(r.list)-1]
	r.rosterMu.Unlock()
	r.size.Add(-1)
	s.gone.Store(true)
	s.caughtUp()
}

// encode encodes what the room has ordered since the last time.
func (s *stream) encode() {
	s.mu.Lock()
	var broke *encoderPanic
	for span := s.src.span(); len(span) > 0; span = s.src.span() {
		for i := range span {
			record, p := s.encodeOne(&span[i].Event)
			if p != nil && !s.broken {
				s.broken, broke = true, p
			}
			s.log.commit(record)
		}
		s.src.i += int64(len(span))
	}
	s.log.trim(s.room.first.Load())
	s.mu.Unlock()
	if broke != nil {
		s.room.srv.log.Error("encoder panicked; its members miss events",
			"room", s.room.name, "encoder", fmt.Sprintf("%T", s.enc), "panic", broke.value, "stack", broke.stack)
	}
}

// An encoderPanic is what an encoder panicked with, and where. It is logged once the lock is released.
type encoderPanic struct {
	value any
	stack string
}

func (s *stream) encodeOne(e *Event) (record []byte, broke *encoderPanic) {
	defer func() {
		if p := recover(); p != nil {
			record, broke = nil, &encoderPanic{p, string(debug.Stack())}
		}
	}()
	return s.enc.AppendEvent(s.log.space(), e), nil
}

// after returns the stream's position after the event with that number.
func (s *stream) after(number uint64) int64 {
	s.encode()
	s.mu.Lock()
	defer s.mu.Unlock()
	c, _ := s.log.find(number + 1)
	return c.pos()
}

// recordEnd returns the position where the record ends that c is in; that of c if it is between two.
func (s *stream) recordEnd(c cursor[byte]) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.recordEnd()
}

// someLocked lists those in the room for a welcome to s. r.mu must be held.
func (r *room) someLocked(s *seat) []MemberInfo {
	if len(r.seats) <= r.srv.limits.WelcomeMembers {
		return byNick(r.membersLocked())
	}
	some := append(make([]MemberInfo, 0, crowdNames), s.info())
	for _, other := range r.seats {
		if len(some) == crowdNames {
			break
		}
		if other != s {
			some = append(some, other.info())
		}
	}
	return byNick(some)
}

// membersLocked lists everybody in the room. r.mu must be held.
func (r *room) membersLocked() []MemberInfo {
	all := make([]MemberInfo, 0, len(r.seats))
	for _, s := range r.seats {
		all = append(all, s.info())
	}
	return all
}

// byNick sorts members.
func byNick(members []MemberInfo) []MemberInfo {
	slices.SortFunc(members, func(a, b MemberInfo) int { return strings.Compare(a.Nick, b.Nick) })
	return members
}

// members lists everybody in the room, by nick.
func (r *room) members() []MemberInfo {
	r.mu.Lock()
	all := r.membersLocked()
	r.mu.Unlock()
	return byNick(all)
}

func (r *room) info() RoomInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return RoomInfo{Room: r.name, Topic: r.topic, Members: len(r.seats)}
}

// now is the time of an event, as precise as it goes on the wire.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
