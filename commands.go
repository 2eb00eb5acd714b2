package chatroom

import (
	"context"
	"errors"
	"slices"
	"time"
)

// send carries out one command of the member: in the speaker's goroutine, with no lock held but
// what each step takes for itself.
func (m *member) send(ctx context.Context, cmd Command) (Event, error) {
	if m.conn != nil {
		m.mu.Lock()
		m.easeLocked() // for what the command may put into the box
		m.mu.Unlock()
	}
	if over := m.over(); over != nil {
		return Event{}, over
	}
	if err := ctx.Err(); err != nil {
		return Event{}, err
	}
	if err := cleanID(cmd.ID); err != nil {
		return Event{}, err
	}
	e, err := m.once(ctx, cmd)
	if err != nil {
		if over := m.over(); over != nil {
			return Event{}, over
		}
		if e, ok := errors.AsType[*Error](err); ok {
			return Event{}, e
		}
	}
	return e, err
}

func (m *member) carryOut(ctx context.Context, cmd Command) (Event, error) {
	if err := m.paced(&cmd); err != nil {
		return Event{}, err
	}
	switch cmd.Verb {
	case VerbSay:
		return m.speak(ctx, cmd, KindMessage)
	case VerbAction:
		return m.speak(ctx, cmd, KindAction)
	case VerbTopic:
		return m.speak(ctx, cmd, KindTopic)
	case VerbPrivate:
		return m.tell(ctx, cmd)
	case VerbNick:
		return m.srv.rename(ctx, m, cmd.Nick, cmd.ID)
	case VerbJoin:
		return m.srv.joinRoom(m, cmd.Room, cmd.ID, cmd.Seen, nil)
	case VerbLeave:
		return m.leaveRoom(ctx, cmd)
	case VerbWho:
		return m.who(cmd)
	case VerbRooms:
		return Event{Kind: KindRooms, ID: cmd.ID, Time: now(), Rooms: m.srv.Rooms()}, nil
	case VerbRoom:
		return m.describe(cmd)
	case VerbHistory:
		return m.history(cmd)
	case VerbPing:
		return Event{Kind: KindPong, ID: cmd.ID, Time: now()}, nil
	case VerbQuit:
		return m.quit(ctx, cmd)
	}
	return m.srv.moderate(ctx, m.actor(), cmd)
}

// speak publishes a text in a room.
func (m *member) speak(ctx context.Context, cmd Command, kind Kind) (Event, error) {
	text, err := m.clean(cmd.Text, kind == KindTopic)
	if err != nil {
		return Event{}, err
	}
	reason, err := m.clean(cmd.Reason, true) // of a topic
	if err != nil {
		return Event{}, err
	}
	s, err := m.seat(cmd.Room)
	if err != nil {
		return Event{}, err
	}
	if err := m.muted(); err != nil {
		return Event{}, err
	}
	if text != "" {
		if text, err = m.srv.filter(ctx, m, cmd, s.room, text); err != nil {
			return Event{}, err
		}
	}
	if err := s.wait(ctx); err != nil {
		return Event{}, err
	}
	publish := func() (Event, error) { return s.room.publish(s, Event{Kind: kind, ID: cmd.ID, Text: text}) }
	if kind == KindTopic {
		return m.srv.setTopic(m.actor(), s.room, text, reason, publish)
	}
	return publish()
}

// muted returns an Error if the member may not speak.
func (m *member) muted() error {
	if b := m.mute.Load(); b != nil && !b.Expired(time.Now()) {
		return mutedError(b)
	}
	return nil
}

// clean returns text as it may be relayed. An empty one is refused unless it is optional.
func (m *member) clean(text string, optional bool) (string, error) {
	if text == "" && optional {
		return "", nil
	}
	return cleanText(text, m.srv.limits.TextBytes)
}

// seat returns the member's seat in the named room; an empty name is the only room it is in.
func (m *member) seat(name string) (*seat, error) {
	m.srv.mu.Lock()
	defer m.srv.mu.Unlock()
	switch {
	case name != "":
		if i := m.indexLocked(name); i >= 0 {
			return m.rooms[i], nil
		}
		return nil, ErrNotInRoom
	case len(m.rooms) == 1:
		return m.rooms[0], nil
	case len(m.rooms) > 1:
		return nil, &Error{Code: CodeNotInRoom, Text: "you are in several rooms; say which"}
	}
	return nil, &Error{Code: CodeNotInRoom, Text: "you are in no room; join one"}
}

// tell sends a private message.
func (m *member) tell(ctx context.Context, cmd Command) (Event, error) {
	text, err := m.clean(cmd.Text, false)
	if err != nil {
		return Event{}, err
	}
	to := m.srv.lookUp(cmd.Nick)
	if to == nil {
		return Event{}, noSuchNick(cmd.Nick)
	}
	if err := m.muted(); err != nil && to.info().Role < RoleModerator {
		return Event{}, err // they may still ask a moderator why
	}
	if text, err = m.srv.filter(ctx, m, cmd, nil, text); err != nil {
		return Event{}, err
	}
	e := Event{Kind: KindPrivate, ID: cmd.ID, Text: text, Member: m.number, Time: now()}
	// Whoever is kicked says nothing from that moment on.
	m.srv.mu.Lock()
	to = m.srv.currentLocked(to)
	_, here := m.srv.members[m]
	_, there := m.srv.members[to]
	e.From, e.Nick = m.nick, to.nick
	ok := here && there && to.offer(&e)
	if ok && to != m {
		m.post(&e)
	}
	m.srv.mu.Unlock()
	switch {
	case !there:
		return Event{}, noSuchNick(cmd.Nick)
	case !ok:
		return Event{}, &Error{Code: CodeFull, Text: e.Nick + " has too much unread; try later", Retry: RetryLater, After: time.Second}
	}
	return e, nil
}

func (m *member) leaveRoom(ctx context.Context, cmd Command) (Event, error) {
	text, err := m.clean(cmd.Text, true)
	if err != nil {
		return Event{}, err
	}
	s, err := m.seat(cmd.Room)
	if err != nil {
		return Event{}, err
	}
	return m.srv.leaveRoom(m, s, m.lastWords(ctx, cmd, text, s), cmd.ID)
}

// lastWords returns the text that m gives for leaving, or nothing if it may not say that: nobody is
// kept here for it.
func (m *member) lastWords(ctx context.Context, cmd Command, text string, seats ...*seat) string {
	if text == "" || len(seats) == 0 {
		return text // nobody reads it
	}
	if m.muted() != nil {
		return ""
	}
	var r *room
	if len(seats) == 1 {
		r = seats[0].room
	}
	text, err := m.srv.filter(ctx, m, cmd, r, text)
	for _, s := range seats {
		if err == nil {
			s.room.mu.Lock()
			err = s.room.paceLocked(s)
			s.room.mu.Unlock()
		}
	}
	if err != nil {
		return ""
	}
	return text
}

func (m *member) who(cmd Command) (Event, error) {
	s, err := m.seat(cmd.Room)
	if err != nil {
		return Event{}, err
	}
	return Event{Kind: KindMembers, ID: cmd.ID, Room: s.room.name, Time: now(), Members: s.room.members()}, nil
}

func (m *member) describe(cmd Command) (Event, error) {
	if cmd.Room == "" {
		s, err := m.seat("")
		if err != nil {
			return Event{}, err
		}
		cmd.Room = s.room.name
	}
	r := m.srv.room(cmd.Room)
	if r == nil {
		return Event{}, ErrNoSuchRoom
	}
	return Event{Kind: KindRooms, ID: cmd.ID, Room: r.name, Time: now(), Rooms: []RoomInfo{r.info()}}, nil
}

func (m *member) quit(ctx context.Context, cmd Command) (Event, error) {
	text, err := m.clean(cmd.Text, true)
	if err != nil {
		return Event{}, err
	}
	m.srv.mu.Lock()
	seats := slices.Clone(m.rooms)
	m.srv.mu.Unlock()
	reason := &Error{Code: CodeClosed, Text: m.lastWords(ctx, cmd, text, seats...)}
	if over := m.over(); over != nil {
		return Event{}, over // a filter saw to it
	}
	m.end(reason)
	return Event{Kind: KindBye, ID: cmd.ID, Time: now(), Err: reason}, nil
}
