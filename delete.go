package chatroom

import (
	"context"
	"slices"
)

// delete carries out VerbDelete and VerbClear. A deleted message keeps its number: those who read
// history find a KindDeleted in its place, and who has it already is told to forget it.
func (s *server) delete(_ context.Context, a actor, cmd Command) (Event, error) {
	r, err := s.modeRoom(a, cmd.Room)
	if err != nil {
		return Event{}, err
	}
	if cmd.Seq == 0 && cmd.Nick == "" {
		return Event{}, &Error{Code: CodeBadRequest, Text: "say whose, or which"}
	}
	count := max(cmd.Count, 1)
	if cmd.Verb == VerbClear {
		count, cmd.Seq = 1<<30, 0
	}
	act := &Act{ID: s.newID(), Verb: cmd.Verb, Reason: cmd.Reason}
	s.mu.Lock()
	r.mu.Lock()
	messages := r.saidLocked(cmd.Seq, cmd.Nick, count)
	err = s.mayDeleteLocked(a, messages)
	if err != nil || len(messages) == 0 {
		r.mu.Unlock()
		s.mu.Unlock()
		if err == nil {
			err = &Error{Code: CodeNoSuchRef, Text: "no such message is in the history"}
		}
		return Event{}, err
	}
	for _, e := range messages {
		r.deleted[e.Seq] = true
		act.Seqs = append(act.Seqs, e.Seq)
	}
	t := a.telling(cmd, KindDelete, messages[0].From, act)
	t.inLocked(r)
	r.mu.Unlock()
	s.mu.Unlock()
	r.deliver()
	rec := Audit{ID: act.ID, Verb: cmd.Verb, Room: r.name, Target: messages[0].From, Reason: cmd.Reason, Messages: messages}
	s.audit(a, rec, func(_ context.Context, a actor, undo *Act) error {
		return r.restore(a, act.Seqs, messages[0].From, undo)
	})
	return t.finish(), nil
}

// restore puts deleted messages back, those that are still in the history.
func (r *room) restore(a actor, seqs []uint64, nick string, undo *Act) error {
	r.mu.Lock()
	for _, seq := range seqs {
		if r.deleted[seq] {
			delete(r.deleted, seq)
			undo.Seqs = append(undo.Seqs, seq)
		}
	}
	if len(undo.Seqs) == 0 {
		r.mu.Unlock()
		return &Error{Code: CodeNoSuchRef, Text: "that has left the history since"}
	}
	a.telling(Command{}, KindRestore, nick, undo).inLocked(r)
	r.mu.Unlock()
	r.deliver()
	return nil
}

// saidLocked returns the message seq, or the last count that the one called nick has said, oldest
// first, as far as they are in the history. A nick is that of the message, or of the member who has it
// now or had it last. server.mu and r.mu must be held.
func (r *room) saidLocked(seq uint64, nick string, count int) []Event {
	key := fold(nick)
	var author uint64
	for e := range r.historyLocked() {
		if nick != "" && (fold(e.From) == key || e.Kind == KindNick && fold(e.Nick) == key) {
			author = e.Member
		}
	}
	for m, s := range r.seats {
		if nick != "" && slices.Contains(m.keys, key) && fold(s.nick) == key {
			author = m.number
		}
	}
	var found []Event
	for e := range r.historyLocked() {
		said := e.Kind == KindMessage || e.Kind == KindAction
		if !said || r.deleted[e.Seq] {
			continue
		}
		if e.Seq == seq || seq == 0 && (fold(e.From) == key || author != 0 && e.Member == author) {
			found = append(found, *e)
		}
	}
	return slices.Clone(found[max(0, len(found)-count):])
}

// mayDeleteLocked returns an Error if one of the messages is by somebody a may not act on. s.mu
// must be held.
func (s *server) mayDeleteLocked(a actor, messages []Event) error {
	for m := range s.members {
		if m == a.member || m.role < a.role {
			continue
		}
		if slices.ContainsFunc(messages, func(e Event) bool { return e.Member == m.number }) {
			return outranked(m.infoLocked())
		}
	}
	for _, d := range s.departed {
		if d.base < a.role || d.base == RoleMember || a.account != "" && d.subject.Account == a.account {
			continue
		}
		if slices.ContainsFunc(messages, func(e Event) bool { return e.Member == d.info.Member }) {
			return outranked(MemberInfo{Nick: d.info.Nick, Role: d.base})
		}
	}
	return nil
}

// historyLocked yields the events the room keeps, oldest first. r.mu must be held.
func (r *room) historyLocked() func(yield func(*Event) bool) {
	return func(yield func(*Event) bool) {
		c, _ := r.log.find(r.first.Load())
		for span := c.span(); len(span) > 0; span = c.span() {
			for i := range span {
				if !yield(&span[i].Event) {
					return
				}
			}
			c.i += int64(len(span))
		}
	}
}

// shown returns an event of the history as somebody new may see it.
func (r *room) shownLocked(e *Event) *Event {
	if !r.deleted[e.Seq] {
		return e
	}
	return &Event{Kind: KindDeleted, Seq: e.Seq, Time: e.Time, Room: e.Room, From: e.From, Member: e.Member}
}
