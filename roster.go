package chatroom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"
)

func (s *server) newMember(id Identity) *member {
	return &member{
		srv: s, number: s.numbers.Add(1), account: id.Account, joined: time.Since(s.began),
		role: id.Role, base: id.Role, nick: id.Nick, keys: NickKeys(id.Nick),
	}
}

// admit lets m in: it reserves the nick, looks at the bans, and only then announces it. A ban given
// meanwhile is looked at too, or finds m among the members.
func (s *server) admit(ctx context.Context, m *member, room, id string, seen sights) (Event, error) {
	if err := s.reserve(m); err != nil {
		return Event{}, err
	}
	for looks := 1; ; looks++ {
		judged := s.bansGiven.Load()
		mute, err := s.door(ctx, m.subjectAs(m.nick, m.keys))
		if err == nil {
			m.mute.Store(mute)
			var welcome Event
			if welcome, err = s.joinRoom(m, room, id, seen, &judged); err == nil {
				s.stats.joined.Add(1)
				s.note("member joined", m)
				return welcome, nil
			}
		}
		if err == errBansGiven {
			if looks < maxLooks {
				continue
			}
			err = ErrUnavailable
		}
		s.mu.Lock()
		s.freeLocked(m, m.keys)
		s.taken--
		s.mu.Unlock()
		return Event{}, err
	}
}

// errBansGiven means that bans were given since they were looked at.
var errBansGiven = errors.New("bans were given")

// maxLooks is how often bans are looked at for one thing, while others are given faster than that.
const maxLooks = 100

func (s *server) reserve(m *member) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.openLocked(m); err != nil {
		return err
	}
	if s.taken >= s.limits.Members && s.limits.Members > 0 {
		return &Error{Code: CodeFull, Text: "the server is full; try later", Retry: RetryLater, After: errFull.After}
	}
	if err := s.claimLocked(m, m.nick, m.keys); err != nil {
		return err
	}
	s.taken++
	return nil
}

// claimLocked takes a nick for m, and all nicks that look like it. s.mu must be held.
func (s *server) claimLocked(m *member, nick string, keys []string) error {
	for _, key := range keys {
		other := s.nicks[key]
		if other == nil || other == m {
			continue
		}
		text := nick + " is taken; choose another nick"
		if fold(other.nick) != fold(nick) {
			text = nick + " looks like " + other.nick + ", who is here; choose another nick"
		}
		return &Error{Code: CodeNickInUse, Text: text}
	}
	for _, key := range keys {
		s.nicks[key] = m
	}
	return nil
}

// freeLocked gives a nick of m up. s.mu must be held.
func (s *server) freeLocked(m *member, keys []string) {
	for _, key := range keys {
		if s.nicks[key] == m {
			delete(s.nicks, key)
		}
	}
}

// openLocked returns what m is told if the server is closed. s.mu must be held.
func (s *server) openLocked(m *member) error {
	switch {
	case !s.closed:
		return nil
	case m.conn == nil:
		return ErrServerClosed
	}
	return ErrShutdown
}

// note logs what m has done.
func (s *server) note(what string, m *member) {
	if s.log.Enabled(s.base, slog.LevelInfo) {
		s.log.Info(what, m.attrs()...)
	}
}

// attrs returns what logs call the member.
func (m *member) attrs() []any {
	attrs := []any{"nick", m.nick, "member", m.number}
	if m.account != "" {
		attrs = append(attrs, "account", m.account)
	}
	if addr := m.addr(); addr.IsValid() {
		attrs = append(attrs, "addr", addr)
	}
	return attrs
}

// addr returns the member's address; the zero Addr in process or when the transport has none. server.mu must be held
// for one who lingers.
func (m *member) addr() netip.Addr {
	switch {
	case m.conn != nil:
		return m.conn.addr()
	case m.session != nil:
		return m.session.addr
	}
	return netip.Addr{}
}

// joinRoom seats m in a room, making the room if there is none. On the way in, judged is what bansGiven was when the
// bans were looked at; nil for further rooms.
func (s *server) joinRoom(m *member, name, id string, seen sights, judged *uint64) (Event, error) {
	if name == "" {
		name = s.home
	} else {
		var err error
		if name, err = validRoom(name); err != nil {
			return Event{}, err
		}
	}
	m.moving.Lock()
	defer m.moving.Unlock()
	s.mu.Lock()
	r, err := s.roomLocked(m, name)
	if err == nil && judged != nil {
		err = s.memberLocked(m, *judged)
	}
	if err != nil {
		s.mu.Unlock()
		return Event{}, err
	}
	r.mu.Lock()
	seat := r.seatLocked(m, seen.in(r))
	e := s.welcomeLocked(m, seat, id)
	r.mu.Unlock()
	m.rooms = append(m.rooms, seat)
	token := ""
	if judged != nil && m.session != nil {
		s.sessions[m.session.id] = m
		token, m.session.token = m.session.token, ""
	}
	s.mu.Unlock()

	if judged != nil {
		e.Welcome.MOTD, e.Welcome.Session = s.motd, token
	}
	r.deliver()
	m.sit(seat, &e, seat.place())
	return e, nil
}

// memberLocked makes m one of the members, unless bans were given since bansGiven was judged. s.mu must be held.
func (s *server) memberLocked(m *member, judged uint64) error {
	if err := s.openLocked(m); err != nil {
		return err
	}
	if judged != s.bansGiven.Load() {
		return errBansGiven
	}
	s.running.Add(1)
	s.members[m] = struct{}{}
	return nil
}

// welcomeLocked returns the event that welcomes m to a room. s.mu and the room's must be held.
func (s *server) welcomeLocked(m *member, seat *seat, id string) Event {
	r := seat.room
	return Event{
		Kind: KindWelcome, ID: id, Room: r.name, Nick: m.nick, Member: m.number, Time: now(),
		Welcome: &Welcome{
			Seq: seat.joined, History: int(seat.start.upto - seat.start.from), Epoch: r.epoch, Topic: r.topic, Role: seat.role,
			Count: len(r.seats), Members: r.someLocked(seat),
			Limits: s.limits.wire(seat.role),
		},
	}
}

// roomLocked returns the room of that name if m may go there. s.mu must be held.
func (s *server) roomLocked(m *member, name string) (*room, error) {
	if len(m.rooms) >= s.limits.RoomsPerMember && s.limits.RoomsPerMember > 0 {
		return nil, &Error{Code: CodeFull, Text: fmt.Sprintf("you are in %d rooms already", len(m.rooms))}
	}
	if over := m.over(); over != nil {
		return nil, over
	}
	r := s.rooms[fold(name)]
	switch {
	case r != nil && slices.ContainsFunc(m.rooms, func(t *seat) bool { return t.room == r }):
		return nil, &Error{Code: CodeInRoom, Text: "you are in " + r.name + " already"}
	case r != nil:
		return r, r.admits(m)
	case s.fixedOnly:
		return nil, &Error{Code: CodeNoSuchRoom, Text: "there is no room " + name}
	case len(s.rooms) >= s.limits.Rooms && s.limits.Rooms > 0:
		return nil, &Error{Code: CodeFull, Text: "there are too many rooms", Retry: RetryLater, After: errFull.After}
	}
	if err := m.muted(); err != nil {
		return nil, err // everybody reads the names of rooms
	}
	r = newRoom(s, name, false)
	s.rooms[r.key] = r
	return r, nil
}

// leaveRoom takes m out of one room, and lets it read up to its own leaving.
func (s *server) leaveRoom(m *member, seat *seat, text, id string) (Event, error) {
	m.moving.Lock()
	defer m.moving.Unlock()
	m.stand(seat)
	e := Event{Kind: KindLeave, Text: text, ID: id}
	s.mu.Lock()
	i := slices.Index(m.rooms, seat)
	if i < 0 {
		s.mu.Unlock()
		return Event{}, ErrNotInRoom
	}
	m.rooms = slices.Delete(m.rooms, i, i+1)
	seat.pin()
	defer seat.unpin()
	seat.room.removeLocked(seat, func(r *room) {
		e.From, e.Member = seat.nick, m.number
		r.appendLocked(&e)
	})
	s.dropLocked(seat.room)
	s.mu.Unlock()
	seat.room.deliver()
	if seat.stream != nil {
		m.last(seat, seat.stream.after(e.Seq))
	} else {
		m.last(seat, int64(e.Seq))
	}
	return e, nil
}

// dropLocked forgets a room that nobody is in.
func (s *server) dropLocked(r *room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fixed && len(r.seats) == 0 {
		delete(s.rooms, r.key)
		r.forgetLocked()
	}
}

// forget takes a member that has ended out of everything.
func (s *server) forget(m *member) {
	m.mu.Lock()
	reason, expelled := m.over(), m.expelled
	m.mu.Unlock()
	s.mu.Lock()
	rooms, closed := m.rooms, s.closed
	m.rooms = nil
	for _, seat := range rooms {
		seat.room.removeLocked(seat, func(r *room) {
			switch {
			case closed: // nobody is told while everybody leaves
			case expelled != nil:
				expelled.on(seat.nick).inLocked(r) // it may have been renamed since the act began
			default:
				r.goLocked(seat, leaveText(reason))
			}
		})
		s.dropLocked(seat.room)
	}
	if m.parked() {
		m.session.timer.Stop()
	}
	if _, here := s.members[m]; here {
		s.stats.count(s.stats.ended, reason.Code)
		s.departLocked(m)
		s.freeLocked(m, m.keys)
		s.taken--
	}
	delete(s.members, m)
	if m.session != nil && s.sessions[m.session.id] == m {
		delete(s.sessions, m.session.id)
	}
	s.mu.Unlock()
	for _, seat := range rooms {
		if !closed {
			seat.room.deliver()
		}
	}
	s.log.Info("member left", "nick", m.nick, "member", m.number, "reason", reason.Code)
}

// leaveText is what a room is told when a member ends for that reason.
func leaveText(reason *Error) string {
	if error(reason) == ErrClosed {
		return ""
	}
	return reason.Text
}

// rename gives m another nick, in all its rooms.
func (s *server) rename(ctx context.Context, m *member, nick, id string) (Event, error) {
	if err := m.muted(); err != nil {
		return Event{}, err // everybody reads a nick, and the mute may be on the old one alone
	}
	nick, err := ValidNick(nick)
	if err != nil {
		return Event{}, err
	}
	if nick == m.info().Nick {
		return Event{}, &Error{Code: CodeBadRequest, Text: "that is your nick already"}
	}
	if m.conn != nil {
		current := s.identity(m)
		ident, err := s.authenticate(ctx, AuthRequest{
			Nick: nick, Account: m.account, Current: &current,
			Addr: m.conn.RemoteAddr(), TLS: m.conn.TLS(), Front: m.conn.front.Name(),
		})
		if err != nil {
			return Event{}, err
		}
		nick = ident.Nick
	}
	keys := NickKeys(nick)
	for range maxLooks {
		judged := s.bansGiven.Load()
		mute, err := s.door(ctx, m.subjectAs(nick, keys))
		if err != nil {
			return Event{}, err
		}
		e, err := s.renameTo(m, nick, keys, id, judged, mute)
		if err != errBansGiven {
			return e, err
		}
	}
	return Event{}, ErrUnavailable
}

// identity returns who m is now.
func (s *server) identity(m *member) Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Identity{Nick: m.nick, Account: m.account, Role: m.base}
}

// renameTo is rename once it is known that m may have the nick.
func (s *server) renameTo(m *member, nick string, keys []string, id string, judged uint64, mute *Ban) (Event, error) {
	e := Event{Kind: KindNick, Nick: nick, ID: id, Member: m.number, Time: now()}
	s.mu.Lock()
	err := error(nil)
	if over := m.over(); over != nil {
		err = over
	} else if judged != s.bansGiven.Load() {
		err = errBansGiven
	} else if err = m.muted(); err == nil {
		err = s.claimLocked(m, nick, keys)
	}
	if err != nil {
		s.mu.Unlock()
		return Event{}, err
	}
	s.freeLocked(m, slices.DeleteFunc(slices.Clone(m.keys), func(key string) bool { return slices.Contains(keys, key) }))
	e.From, m.nick, m.keys = m.nick, nick, keys
	if m.session != nil {
		m.session.named(nick)
	}
	m.mute.Store(mute)
	rooms := slices.Clone(m.rooms)
	first := e
	for i, seat := range rooms {
		r, e := seat.room, e
		r.mu.Lock()
		r.appendLocked(&e)
		seat.nick = nick
		r.mu.Unlock()
		if i == 0 {
			first = e
		}
	}
	s.mu.Unlock()
	for _, seat := range rooms {
		seat.room.deliver()
	}
	if len(rooms) == 0 {
		m.post(&first)
	}
	return first, nil
}

// room returns the room of that name, or nil.
func (s *server) room(name string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[roomKey(name)]
}

// numbered returns the member with that number, or nil.
func (s *server) numbered(number uint64) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range s.members {
		if m.number == number {
			return m
		}
	}
	return nil
}

// lookUp returns the member of that nick, or nil.
func (s *server) lookUp(nick string) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.nicks[fold(strings.TrimSpace(nick))]
	if _, joined := s.members[m]; !joined {
		return nil
	}
	return m
}

// indexLocked returns which of the member's rooms has that name; -1 for none. server.mu must be
// held.
func (m *member) indexLocked(name string) int {
	key := roomKey(name)
	return slices.IndexFunc(m.rooms, func(s *seat) bool { return s.room.key == key })
}

// info returns the member as others see it.
func (m *member) info() MemberInfo {
	m.srv.mu.Lock()
	defer m.srv.mu.Unlock()
	return m.infoLocked()
}

// infoLocked is info while server.mu is held.
func (m *member) infoLocked() MemberInfo {
	return MemberInfo{Nick: m.nick, Member: m.number, Role: m.role, Lingering: m.parked()}
}
