package chatroom

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A session outlives its connection. The members that succeed one another in it share it.
type session struct {
	id      [sha256.Size]byte // of its token, which only its member has
	asked   string            // the nick its first connection asked for, folded
	attempt uint64            // the highest to continue it; guarded by server.mu
	results results

	// Guarded by server.mu.
	nicks []string    // folded, the latest last
	token string      // for the first welcome, and empty after it
	addr  netip.Addr  // where a member who lingers was
	timer *time.Timer // that ends one who lingers

	mu      sync.Mutex
	private uint64  // events for the member alone, ever
	kept    []Event // the latest of them
	bytes   int64   // what kept costs
}

// What a session keeps of what was said to its member alone, for when that has to be said again.
const (
	maxKept      = 256
	maxKeptBytes = 64 << 10
)

// newSession returns a session of somebody who asked to be called asked and is called nick.
func newSession(asked, nick string) *session {
	token := newToken()
	return &session{id: sha256.Sum256([]byte(token)), token: token, asked: fold(asked), nicks: []string{fold(nick)}}
}

// named notes that the member is called nick now. server.mu must be held.
func (n *session) named(nick string) {
	key := fold(nick)
	n.nicks = append(slices.DeleteFunc(n.nicks, func(other string) bool { return other == key }), key)
	if len(n.nicks) > maxResults+1 { // one that a client may still take for its own
		n.nicks = slices.Delete(n.nicks, 0, 1)
	}
}

// isOf reports whether the member has had the nick that folds to key: a token that comes with another was mixed
// up, and is worth nothing. server.mu must be held.
func (n *session) isOf(key string) bool { return key == n.asked || slices.Contains(n.nicks, key) }

// number gives an event for the member alone its number, and keeps it. Answers are not numbered:
// who misses one asks again.
func (n *session) number(e *Event) *Event {
	switch e.Kind {
	case KindPrivate, KindNotice, KindAct, KindHold:
	default:
		return e
	}
	if e.Ordered() || e.Private != 0 || e.Again {
		return e
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.private++
	own := *e // others may receive it too
	own.Private = n.private
	n.kept, n.bytes = append(n.kept, own), n.bytes+own.cost()
	for len(n.kept) > maxKept || n.bytes > maxKeptBytes && len(n.kept) > 1 {
		n.bytes -= n.kept[0].cost()
		n.kept = slices.Delete(n.kept, 0, 1)
	}
	return &own
}

// since returns what was said to the member alone after the number n, behind a KindGap if some of it is
// not kept.
func (n *session) since(number uint64) []Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	number = min(number, n.private)
	oldest := n.private - uint64(len(n.kept)) + 1
	var events []Event
	if number+1 < oldest {
		events = append(events, Event{Kind: KindGap, Time: now(), Gap: &Gap{From: number + 1, To: oldest - 1}})
	}
	for _, e := range n.kept {
		if e.Private > number {
			events = append(events, e)
		}
	}
	return events
}

// Results are what the latest commands led to, by their ids, so that one that is sent again is not
// done again.
type results struct {
	mu   sync.Mutex
	byID map[string]*result
	ids  []string // oldest first
}

type result struct {
	done  chan struct{}
	void  bool // the command was not carried out, and may be
	event Event
	err   error
}

// maxResults is how many commands a client may have sent from the oldest on that it has no answer to.
const maxResults = 64

// begin returns the result of the command with that id, and whether it is this caller who has to
// carry it out.
func (r *results) begin(id string) (res *result, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if res := r.byID[id]; res != nil {
		return res, false
	}
	if r.byID == nil {
		r.byID = make(map[string]*result)
	}
	res = &result{done: make(chan struct{})}
	r.byID[id] = res
	if r.ids = append(r.ids, id); len(r.ids) > maxResults {
		delete(r.byID, r.ids[0])
		r.ids = slices.Delete(r.ids, 0, 1)
	}
	return res, true
}

// forget lets the command with that id be carried out again.
func (r *results) forget(id string, res *result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID[id] != res {
		return // so many came since that it is forgotten
	}
	delete(r.byID, id)
	r.ids = slices.DeleteFunc(r.ids, func(other string) bool { return other == id })
}

// once carries out a command unless it was carried out already, and then returns what it led to.
func (m *member) once(ctx context.Context, cmd Command) (Event, error) {
	if m.session == nil || cmd.ID == "" || cmd.asks() {
		return m.carryOut(ctx, cmd)
	}
	for {
		res, first := m.session.results.begin(cmd.ID)
		if first {
			return m.carryOutFor(ctx, cmd, res)
		}
		select {
		case <-res.done:
		case <-m.opening(&m.ended):
			return Event{}, m.over()
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
		switch {
		case res.void:
			continue
		case res.err != nil:
			return Event{}, res.err
		}
		e := m.srv.said(res.event)
		e.Again = true
		return e, nil
	}
}

// asks reports whether cmd only wants to know something, which is looked up anew when it is sent again.
func (c *Command) asks() bool {
	switch c.Verb {
	case VerbWho, VerbRooms, VerbRoom, VerbPing, VerbHistory, VerbBans, VerbActs, VerbHeld:
		return true
	case VerbBan, VerbMute, VerbAllow:
		return c.Preview
	}
	return false
}

// carryOutFor carries out a command and notes in res what it led to.
func (m *member) carryOutFor(ctx context.Context, cmd Command, res *result) (e Event, err error) {
	res.void = true // if it panics
	defer func() {
		if res.void {
			m.session.results.forget(cmd.ID, res)
		}
		close(res.done)
	}()
	e, err = m.carryOut(ctx, cmd)
	// What was refused because the connection is lost has not been tried, and what was too fast may be
	// tried again.
	res.void = err != nil && !errors.Is(err, ErrHeld) && (ctx.Err() != nil || m.over() != nil || errors.Is(err, ErrRateLimited))
	res.event, res.err = e, err
	switch e.Kind { // the text is in the room's log, and the sender has it
	case KindMessage, KindAction, KindTopic, KindPrivate:
		res.event.Text = ""
	case KindWelcome:
		res.event.Welcome = nil
	}
	return e, err
}

// said returns e as its room has it, or as it is if the room has let go of it.
func (s *server) said(e Event) Event {
	r := s.room(e.Room)
	if r == nil || !e.Ordered() {
		return e
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, number := r.log.find(e.Seq); number == e.Seq {
		if span := c.span(); len(span) > 0 && span[0].Time.Equal(e.Time) && !r.deleted[e.Seq] {
			return span[0].Event
		}
	}
	return e
}

// lost reports whether somebody with that reason may come back to the session.
func (e *Error) lost() bool {
	switch e.Code {
	case CodeLost, CodeTimeout, CodeTooSlow, CodeReplaced:
		return true
	}
	return false
}

// linger puts a member without a connection in m's place, whose connection is gone: others see
// nothing of it until it comes back, or does not in time. False means that m leaves.
func (s *server) linger(m *member, reason *Error) bool {
	if m.session == nil || m.parked() || !reason.lost() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, here := s.members[m]; s.closed || !here {
		return false
	}
	l := s.newMember(Identity{Account: m.account})
	s.succeedLocked(m, l, func(r *room, old *seat) *seat {
		r.unlist(old)
		r.leaveStreamLocked(old)
		return &seat{room: r, member: l, joined: old.joined, nick: old.nick, role: old.role, spoke: old.spoke}
	})
	s.running.Add(1)
	l.session.addr = m.conn.addr()
	l.session.timer = time.AfterFunc(s.limits.Linger, func() { l.end(reason) })
	return true
}

// currentLocked returns who goes on with m's session; m itself if it has none that goes on. s.mu
// must be held, and what is done to a member in one piece is done to this one.
func (s *server) currentLocked(m *member) *member {
	if m != nil && m.session != nil {
		if is := s.sessions[m.session.id]; is != nil {
			return is
		}
	}
	return m
}

// current is currentLocked for who holds no lock.
func (s *server) current(m *member) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.currentLocked(m)
}

// post is member.post to whoever goes on with m's session.
func (s *server) post(m *member, e *Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.currentLocked(m).post(e)
}

// succeedLocked puts heir in old's place everywhere; seat makes its seats. s.mu must be held.
func (s *server) succeedLocked(old, heir *member, seat func(*room, *seat) *seat) {
	heir.number, heir.joined, heir.session = old.number, old.joined, old.session
	heir.nick, heir.keys, heir.role, heir.base = old.nick, old.keys, old.role, old.base
	heir.pace.Store(old.pace.Load())
	heir.mute.Store(old.mute.Load())
	for _, key := range old.keys {
		s.nicks[key] = heir
	}
	delete(s.members, old)
	s.members[heir] = struct{}{}
	s.sessions[heir.session.id] = heir
	for _, was := range old.rooms {
		r := was.room
		r.mu.Lock()
		delete(r.seats, old)
		is := seat(r, was)
		r.seats[heir] = is
		r.mu.Unlock()
		heir.rooms = append(heir.rooms, is)
	}
	old.rooms = nil
}

// resume continues the session with req's token on c, and returns the welcome to the first of its
// rooms; a nil member means that there is no such session any more.
func (s *server) resume(ctx context.Context, c *Conn, req JoinRequest) (*member, Event, error) {
	id, key := sha256.Sum256([]byte(req.Session)), fold(strings.TrimSpace(req.Nick))
	for range maxLooks {
		s.mu.Lock()
		old := s.sessions[id]
		known := old != nil && old.session.isOf(key)
		late := known && old.session.isLate(req.Attempt)
		s.mu.Unlock()
		switch {
		case !known:
			return nil, Event{}, nil
		case late:
			return nil, Event{}, errReplaced
		case !old.parked():
			old.end(errReplaced)
			select {
			case <-old.opening(&old.left):
			case <-ctx.Done():
				return nil, Event{}, ctx.Err()
			}
			continue
		}
		m := s.newMember(Identity{Account: old.account})
		m.conn, m.enc, c.pings = c, req.Encoder, req.Pings
		judged := s.bansGiven.Load()
		s.mu.Lock()
		sub := Subject{Nick: old.nick, Keys: old.keys, Account: old.account, Addr: c.addr()}
		s.mu.Unlock()
		mute, err := s.door(ctx, sub)
		if err != nil {
			return nil, Event{}, err
		}
		seats, welcomes, err := s.takeOver(old, m, mute, judged, req)
		switch err {
		case nil:
			s.note("member resumed", m)
			return m, m.welcomeBack(seats, welcomes, req), nil
		case errBansGiven:
		case errEnding:
			<-old.opening(&old.left)
		default:
			return nil, Event{}, err
		}
	}
	return nil, Event{}, ErrUnavailable
}

// isLate reports whether an attempt to continue the session comes after a later one. server.mu must be held.
func (n *session) isLate(attempt uint64) bool {
	if attempt == 0 {
		return false
	}
	n.attempt = max(n.attempt, attempt)
	return attempt < n.attempt
}

// errEnding means that a lingering member ends at this very moment.
var errEnding = errors.New("the session ends")

var errReplaced = &Error{Code: CodeReplaced, Text: "this session goes on over another connection", Retry: RetryNever}

// takeOver puts m, who has a connection, in the place of the lingering old, and returns its seats and
// the welcomes to them. errBansGiven means to try again.
func (s *server) takeOver(old, m *member, mute *Ban, judged uint64, req JoinRequest) (seats []*seat, welcomes []Event, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.openLocked(m); err != nil {
		return nil, nil, err
	}
	if _, here := s.members[old]; !here || judged != s.bansGiven.Load() {
		return nil, nil, errBansGiven
	}
	old.mu.Lock()
	taken := old.reason.CompareAndSwap(nil, errReplaced)
	if taken {
		old.ended.open()
		old.left.open()
	}
	old.mu.Unlock()
	if !taken {
		return nil, nil, errEnding
	}
	old.session.timer.Stop()
	m.away = true
	s.succeedLocked(old, m, func(r *room, was *seat) *seat {
		seen := sights(req.Seen).in(r)
		is := r.newSeatLocked(m, seen)
		is.joined, is.nick, is.role, is.spoke = was.joined, was.nick, was.role, was.spoke
		return is
	})
	m.mute.Store(mute)
	for _, seat := range m.rooms {
		seat.room.mu.Lock()
		e := s.welcomeLocked(m, seat, "")
		seat.room.mu.Unlock()
		e.Welcome.Resumed = seat.start.back
		welcomes = append(welcomes, e)
	}
	return slices.Clone(m.rooms), welcomes, nil
}

// sights are how far a peer has read its rooms.
type sights []Seen

// in returns what the peer has seen of a room; nil if nothing, or of another epoch.
func (all sights) in(r *room) *Seen {
	for i := range all {
		if s := &all[i]; roomKey(s.Room) == r.key && s.Epoch == r.epoch {
			return s
		}
	}
	return nil
}

// welcomeBack lets m read on in its rooms, from what it has seen, and tells it what it has missed
// that was said to it alone. It returns the first welcome, which is to no room if m is in none.
func (m *member) welcomeBack(seats []*seat, welcomes []Event, req JoinRequest) Event {
	if len(welcomes) == 0 {
		self := m.info()
		e := Event{Kind: KindWelcome, ID: req.ID, Nick: self.Nick, Member: m.number, Time: now()}
		e.Welcome = &Welcome{Resumed: true, Role: self.Role, Limits: m.srv.limits.wire(self.Role)}
		m.mu.Lock()
		m.greetLocked(&e)
		m.mu.Unlock()
		m.repeat(req.Private)
		return e
	}
	m.moving.Lock()
	defer m.moving.Unlock()
	welcomes[0].ID = req.ID
	for i, seat := range seats {
		m.sit(seat, &welcomes[i], seat.place())
	}
	m.repeat(req.Private)
	return welcomes[0]
}

// repeat gives a member again what was said to it alone since that number, and from then on what is said.
func (m *member) repeat(number uint64) {
	m.mu.Lock()
	m.away = false
	events := m.session.since(number)
	for i := range events {
		events[i].History = true // it does not count as unread, like history
		m.putLocked(&events[i])
	}
	m.mu.Unlock()
	m.poke()
}

// history answers VerbHistory.
func (m *member) history(cmd Command) (Event, error) {
	s, err := m.seat(cmd.Room)
	if err != nil {
		return Event{}, err
	}
	if cmd.Before != 0 && cmd.After != 0 || cmd.Count < 0 {
		return Event{}, &Error{Code: CodeBadRequest, Text: "say either before or after which number"}
	}
	r := s.room
	report := &Report{}
	report.Events, report.Count = r.page(cmd.Before, cmd.After, min(cmd.Count, maxPage))
	return Event{Kind: KindHistory, ID: cmd.ID, Room: r.name, Time: now(), Report: report}, nil
}

const (
	maxPage     = 500 // events in one answer
	defaultPage = 50
	// pageBytes is about how many bytes of events are in one answer.
	pageBytes = 256 << 10
)

// page returns up to count events the room keeps: those before one number, or after another, or
// the latest. It also returns how many the room keeps.
func (r *room) page(before, after uint64, count int) (events []Event, kept int) {
	if count == 0 {
		count = defaultPage
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	first, next := r.first.Load(), r.log.next
	from, upto := first, next
	switch {
	case after != 0:
		from = max(min(after, next-1)+1, first)
		upto = min(from+uint64(count), next)
	case before != 0:
		upto = min(max(before, first), next)
		fallthrough
	default:
		from = max(first, upto-min(uint64(count), upto))
	}
	events, kept = r.editedLocked(from, upto), int(next-first)
	bytes, n := int64(0), 0
	if after != 0 {
		for n < len(events) && (n == 0 || bytes < pageBytes) {
			bytes += events[n].cost()
			n++
		}
		return events[:n], kept
	}
	for n < len(events) && (n == 0 || bytes < pageBytes) {
		n++
		bytes += events[len(events)-n].cost()
	}
	return events[len(events)-n:], kept
}
