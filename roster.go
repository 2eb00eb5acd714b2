package chatroom

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

func (s *server) newMember(id Identity) *member {
	m := &member{
		srv: s, number: s.numbers.Add(1), ident: id, role: id.Role, nick: id.Nick,
		flushed: make(chan struct{}),
		wake:    make(chan struct{}, 1),
		ended:   make(chan struct{}),
		left:    make(chan struct{}),
	}
	m.eased.L = &m.mu
	return m
}

// admit lets m in: it reserves the nick, looks at the bans, and only then announces it, so that a
// ban given meanwhile finds the nick or is found by it.
func (s *server) admit(ctx context.Context, m *member, room, id string) (Event, error) {
	key := fold(m.nick)
	if err := s.reserve(m, key); err != nil {
		return Event{}, err
	}
	err := s.checkBans(m, key)
	if err == nil {
		var welcome Event
		if welcome, err = s.joinRoom(m, room, id, true); err == nil {
			s.stats.joined.Add(1)
			s.log.Info("member joined", m.attrs()...)
			return welcome, nil
		}
	}
	s.mu.Lock()
	delete(s.nicks, key)
	s.mu.Unlock()
	return Event{}, err
}

func (s *server) reserve(m *member, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.openLocked(m); err != nil {
		return err
	}
	if len(s.nicks) >= s.limits.Members && s.limits.Members > 0 {
		return &Error{Code: CodeFull, Text: "the server is full; try later", Retry: RetryLater}
	}
	if _, taken := s.nicks[key]; taken {
		return &Error{Code: CodeNickInUse, Text: fmt.Sprintf("%s is taken; choose another nick", m.nick)}
	}
	s.nicks[key] = m
	return nil
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

// checkBans returns an Error if a ban hits m under the folded nick.
func (s *server) checkBans(m *member, key string) error {
	for i := range s.banned {
		if b := &s.banned[i]; b.hits(key, m.ident.Account, m.addr(), time.Now()) {
			text := "you are banned"
			if !b.Expires.IsZero() {
				text += " until " + b.Expires.UTC().Format("2006-01-02 15:04 MST")
			}
			if b.Reason != "" {
				text += ": " + b.Reason
			}
			return &Error{Code: CodeBanned, Text: text, Retry: RetryNever}
		}
	}
	return nil
}

// attrs returns what logs call the member.
func (m *member) attrs() []any {
	attrs := []any{"nick", m.nick, "member", m.number}
	if m.ident.Account != "" {
		attrs = append(attrs, "account", m.ident.Account)
	}
	if addr := m.addr(); addr.IsValid() {
		attrs = append(attrs, "addr", addr)
	}
	return attrs
}

// addr returns the member's address; the zero Addr in process or when the transport has none.
func (m *member) addr() netip.Addr {
	if m.conn == nil {
		return netip.Addr{}
	}
	if a, ok := m.conn.RemoteAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// joinRoom seats m in a room, making the room if there is none.
func (s *server) joinRoom(m *member, name, id string, first bool) (Event, error) {
	if name == "" {
		name = s.home
	}
	name, err := validRoom(name)
	if err != nil {
		return Event{}, err
	}
	s.mu.Lock()
	r, err := s.roomLocked(m, name)
	if err == nil && first {
		if err = s.openLocked(m); err == nil {
			s.running.Add(1)
			s.members[m] = struct{}{}
		}
	}
	if err != nil {
		s.mu.Unlock()
		return Event{}, err
	}
	r.mu.Lock()
	seat := r.seatLocked(m)
	w := &Welcome{
		Seq: seat.joined, Epoch: r.epoch, Topic: r.topic, Role: m.role,
		Count: len(r.seats), Members: r.membersLocked(s.limits.WelcomeMembers),
		Limits: WireLimits{LineBytes: s.limits.LineBytes, TextBytes: s.limits.TextBytes, Idle: s.limits.Idle},
	}
	e := Event{Kind: KindWelcome, ID: id, Room: r.name, Nick: m.nick, Member: m.number, Time: now(), Welcome: w}
	r.mu.Unlock()
	m.rooms = append(m.rooms, seat)
	s.mu.Unlock()

	if first {
		w.MOTD = s.motd
	}
	r.deliver()
	w.History = seat.place()
	m.sit(seat, &e)
	return e, nil
}

// roomLocked returns the room of that name if m may go there. s.mu must be held.
func (s *server) roomLocked(m *member, name string) (*room, error) {
	if len(m.rooms) >= s.limits.RoomsPerMember && s.limits.RoomsPerMember > 0 {
		return nil, &Error{Code: CodeFull, Text: fmt.Sprintf("you are in %d rooms already", len(m.rooms))}
	}
	if m.over() != nil {
		return nil, ErrClosed
	}
	r := s.rooms[fold(name)]
	switch {
	case r != nil && slices.ContainsFunc(m.rooms, func(t *seat) bool { return t.room == r }):
		return nil, &Error{Code: CodeInRoom, Text: "you are in " + r.name + " already"}
	case r != nil:
		return r, nil
	case s.fixedOnly:
		return nil, &Error{Code: CodeNoSuchRoom, Text: "there is no room " + name}
	case len(s.rooms) >= s.limits.Rooms && s.limits.Rooms > 0:
		return nil, &Error{Code: CodeFull, Text: "there are too many rooms", Retry: RetryLater}
	}
	r = newRoom(s, name, false)
	s.rooms[r.key] = r
	return r, nil
}

// leaveRoom takes m out of one room, and lets it read up to its own leaving.
func (s *server) leaveRoom(m *member, seat *seat, text, id string) (Event, error) {
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
	seat.room.removeLocked(seat, &e)
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
	if !r.fixed && r.size.Load() == 0 {
		delete(s.rooms, r.key)
	}
}

// forget takes a member that has ended out of everything.
func (s *server) forget(m *member) {
	reason := m.over()
	s.mu.Lock()
	rooms, closed := m.rooms, s.closed
	m.rooms = nil
	for _, seat := range rooms {
		var why *Event // nobody is told while everybody leaves
		if !closed {
			why = &Event{Kind: KindLeave, Text: leaveText(reason)}
		}
		seat.room.removeLocked(seat, why)
		s.dropLocked(seat.room)
	}
	delete(s.members, m)
	if key := fold(m.nick); s.nicks[key] == m {
		delete(s.nicks, key)
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
	nick, err := ValidNick(nick)
	if err != nil {
		return Event{}, err
	}
	if m.conn != nil {
		ident, err := s.authenticate(ctx, AuthRequest{
			Nick: nick, Account: m.ident.Account, Current: &m.ident,
			Addr: m.conn.RemoteAddr(), TLS: m.conn.TLS(), Front: m.conn.front.Name(),
		})
		if err != nil {
			return Event{}, err
		}
		nick = ident.Nick
	}
	key := fold(nick)
	if err := s.checkBans(m, key); err != nil {
		return Event{}, err
	}
	e := Event{Kind: KindNick, Nick: nick, ID: id, Member: m.number, Time: now()}
	s.mu.Lock()
	if m.over() != nil {
		s.mu.Unlock()
		return Event{}, ErrClosed
	}
	if other := s.nicks[key]; other != nil && other != m {
		s.mu.Unlock()
		return Event{}, &Error{Code: CodeNickInUse, Text: nick + " is taken; choose another nick"}
	}
	delete(s.nicks, fold(m.nick))
	s.nicks[key] = m
	e.From, m.nick = m.nick, nick
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

// authenticate asks the Authenticator, and checks what it says.
func (s *server) authenticate(ctx context.Context, req AuthRequest) (id Identity, err error) {
	err = s.call(ctx, "authenticator", func(ctx context.Context) (err error) {
		id, err = s.auth.Authenticate(ctx, req)
		return err
	})
	if err == nil {
		id.Nick, err = ValidNick(id.Nick)
	}
	if err == nil {
		return id, nil
	}
	switch {
	case !errors.Is(err, ErrNoAccount):
	case req.Secret == "" && req.Current == nil:
		err = ErrPasswordRequired
	default:
		err = ErrUnauthorized
	}
	told := public(err)
	if err != error(told) {
		s.log.Error("authenticator failed", "nick", req.Nick, "err", err)
	}
	return Identity{}, told
}

// room returns the room of that name, or nil.
func (s *server) room(name string) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rooms[roomKey(name)]
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
	return MemberInfo{Nick: m.nick, Member: m.number, Role: m.role}
}
