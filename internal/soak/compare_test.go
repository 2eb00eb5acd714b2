package soak

import (
	"math"
	"slices"
	"strings"
	"time"

	"example.com/chatroom"
)

// compare compares what members were told with one another and with the records, when all is over.
func (s *soak) compare() {
	known := make(map[*record]map[uint64]*stay)
	for _, r := range s.journal.records {
		known[r] = make(map[uint64]*stay)
	}
	for _, m := range s.all {
		for _, st := range m.stays {
			if other := known[st.record][st.number]; other != nil {
				s.violate("%s and %s both are %d in epoch %d", m.nick, other.owner.nick, st.number, st.record.index)
			}
			known[st.record][st.number] = st
		}
	}
	rolls := make(map[*record]*roll)
	for _, r := range s.journal.records {
		rolls[r] = s.call(r)
	}
	for _, m := range s.all {
		s.compareStays(m, rolls, known)
		s.compareGaps(m)
		s.compareCommands(m)
	}
	for _, m := range s.all {
		s.comparePrivate(m, rolls, known)
	}
}

// whole returns how far r is known without a hole. Behind that there may be what a server that went
// away has ordered, and somebody was told.
func (r *record) whole() uint64 {
	for i := range r.events {
		if r.events[i].hash == 0 {
			return uint64(i)
		}
	}
	return uint64(len(r.events))
}

// judged returns how far it is compared who was in the room: those who have finished leave as they like.
func (r *record) judged() uint64 {
	if r.last {
		return r.ended
	}
	return r.whole()
}

// A tenure is the time in which a member had a nick, in numbers of the room's events.
type tenure struct {
	number   uint64
	from, to uint64
}

const open = math.MaxUint64

// A roll says who was in the room, and when.
type roll struct {
	nicks  map[string][]*tenure
	joined map[uint64]uint64 // by the member's number
	left   map[uint64]uint64
	owner  map[uint64]string // by which nick it joined, without the x
}

// call follows who comes, goes and is renamed. A session is not to end without a kick or a lost connection, and
// not before its time to linger is over, by the server's clock.
func (s *soak) call(r *record) *roll {
	ro := &roll{make(map[string][]*tenure), make(map[uint64]uint64), make(map[uint64]uint64), make(map[uint64]string)}
	active := make(map[uint64]time.Time)
	is := make(map[string]*tenure)
	begin := func(nick string, number, seq uint64) {
		if is[nick] != nil {
			s.violate("epoch %d: at %d two members are called %s", r.index, seq, nick)
		}
		is[nick] = &tenure{number, seq, open}
		ro.nicks[nick] = append(ro.nicks[nick], is[nick])
	}
	end := func(nick string, seq uint64) (number uint64) {
		t := is[nick]
		if t == nil {
			s.violate("epoch %d: at %d nobody is called %s", r.index, seq, nick)
			return 0
		}
		t.to = seq
		delete(is, nick)
		return t.number
	}
	for i := range r.judged() {
		e, seq := &r.events[i], i+1
		switch e.kind {
		case chatroom.KindJoin:
			begin(e.from, e.member, seq)
			ro.joined[e.member], ro.owner[e.member] = seq, strings.TrimSuffix(e.from, "x")
		case chatroom.KindNick:
			end(e.from, seq)
			begin(e.nick, e.member, seq)
		case chatroom.KindKick:
			ro.left[end(e.nick, seq)] = seq
		case chatroom.KindLeave:
			ro.left[end(e.from, seq)] = seq
			if idle := e.at.Sub(active[e.member]); !e.text || idle < linger/2 {
				s.violate("epoch %d: at %d the session of %s is over %v after it did something", r.index, seq, e.from, idle)
			}
			continue
		}
		active[e.member] = e.at
	}
	return ro
}

// compareStays checks that each session was lost before the next began, and that a nick was not refused to a member
// for nothing.
func (s *soak) compareStays(m *member, rolls map[*record]*roll, known map[*record]map[uint64]*stay) {
	var before *stay
	for _, st := range m.stays {
		ro := rolls[st.record]
		if before != nil && before.record == st.record && st.joined <= st.record.judged() {
			if left := ro.left[before.number]; left == 0 || left > st.joined {
				s.violate("%s was given a new session at %d, and the one before ended at %d", m.nick, st.joined, left)
			}
		}
		if st.crowded && !ro.haunted(before, st, known[st.record]) {
			s.violate("%s was told that its nick was taken, and it was not", m.nick)
		}
		before = st
	}
}

// haunted reports whether the member of st may have had another session before it, and after the one before, of
// which it was never told, as the connection was lost first. known are those that somebody was told of.
func (ro *roll) haunted(before, st *stay, known map[uint64]*stay) bool {
	first := before == nil && st.record.index == 0
	if !first && (before == nil || before.record != st.record) || st.joined > st.record.judged() {
		return true // it may have been in what nobody was told of before a server went away
	}
	for number, owner := range ro.owner {
		joined := ro.joined[number]
		if owner == st.owner.nick && known[number] == nil && joined < st.joined && (first || joined > before.joined) {
			return true
		}
	}
	return false
}

// compareGaps checks that nothing was said to be gone that the server had to keep.
func (s *soak) compareGaps(m *member) {
	for _, g := range m.gaps {
		if !g.justified() {
			s.violate("%s was told of a gap up to %d, when the room had got to %d", m.nick, g.to, g.last)
		}
	}
	for _, c := range m.calls {
		missed := c.states.missed
		for _, g := range c.gaps {
			for found := false; !found; missed = missed[1:] {
				if len(missed) == 0 {
					s.violate("%s was told of a gap up to %d, for which there is no reason", m.nick, g.to)
					return
				}
				g.last = g.to + uint64(max(missed[0], 0))
				found = g.justified()
			}
		}
	}
}

// justified reports whether what is behind the gap takes as much space as the history has.
func (g gap) justified() bool {
	if g.last > g.record.whole() {
		return true // it is in what nobody was told of before the server went away
	}
	space := int64(0)
	for _, e := range g.record.events[g.to:g.last] {
		space += e.cost
	}
	return space > historyBytes
}

// compareCommands checks that what was acknowledged was done, and what was refused was not. That nothing was
// done twice is checked meanwhile.
func (s *soak) compareCommands(m *member) {
	for _, voice := range m.voices {
		var last *command
		for _, c := range voice {
			if c.seq != 0 {
				if last != nil && last.stay == c.stay && last.seq > c.seq {
					s.violate("%s asked for %s before %s, which were done as %d and %d", m.nick, last.cmd.ID, c.cmd.ID, last.seq, c.seq)
				}
				last = c
			}
			s.compareOutcome(m, c)
		}
	}
}

func (s *soak) compareOutcome(m *member, c *command) {
	places := s.journal.places[c.cmd.ID]
	claimed := c.claimed == 0 || slices.ContainsFunc(places, func(p place) bool { return p.seq == c.claimed })
	switch {
	case c.outcome == acknowledged && c.cmd.Verb != chatroom.VerbPrivate && (len(places) == 0 || !claimed) && !s.untold(c):
		s.violate("%+v was acknowledged to %s as %d and is %+v", c.cmd, m.nick, c.claimed, places)
	case (c.outcome == refused || c.outcome == unsent) && len(places) > 0 && !c.again():
		s.violate("%+v of %s was not to be done and was, as %d", c.cmd, m.nick, places[0].seq)
	}
}

// again reports whether a client may have had c done in a session that was lost, and asked for it anew in the next.
func (c *command) again() bool { return c.cmd.Verb == chatroom.VerbNick && c.outcome == refused }

// untold reports whether c may be in what a server that went away has ordered and told nobody of, but for the
// answer to who asked.
func (s *soak) untold(c *command) bool {
	for _, r := range s.journal.records {
		since := c.in == nil || c.in.record.index <= r.index
		if !r.last && since && (c.stay == nil || c.stay.record == r) && (c.claimed == 0 || c.claimed > r.whole()) {
			return true
		}
	}
	return false
}

// comparePrivate checks that a member's acknowledged private messages were received, but for those that were lost with the
// session they were for: what has come to a session before something that was received in it must have been received too.
func (s *soak) comparePrivate(m *member, rolls map[*record]*roll, known map[*record]map[uint64]*stay) {
	for _, voice := range m.voices {
		ceilings := make(map[*stay]uint64)
		for i := len(voice) - 1; i >= 0; i-- {
			c := voice[i]
			if c.seq != 0 {
				ceilings[c.stay] = c.seq
			}
			if c.cmd.Verb != chatroom.VerbPrivate || c.to == m.num {
				continue
			}
			to := s.all[c.to]
			heard := to.heard[c.cmd.Text] > 0
			switch {
			case heard && (c.outcome == refused || c.outcome == unsent):
				s.violate("%q of %s was not to be said and was received", c.cmd.Text, m.nick)
			case heard || c.outcome != acknowledged:
			case s.due(c, ceilings, rolls, known):
				s.violate("%q was acknowledged to %s and never received", c.cmd.Text, m.nick)
			default:
				s.lost++
			}
		}
	}
}

// due reports whether c, a private message that was not received, must have been.
func (s *soak) due(c *command, ceilings map[*stay]uint64, rolls map[*record]*roll, known map[*record]map[uint64]*stay) bool {
	if c.stay == nil {
		return false // the sender's session was lost too, and with it when that was
	}
	r, floor, ceiling := c.stay.record, c.floor(), ceilings[c.stay]
	if ceiling == 0 && r.last && c.stay.lasted() {
		ceiling = r.ended
	}
	if ceiling == 0 || ceiling > r.judged() {
		return false
	}
	var to *stay
	for _, t := range rolls[r].nicks[c.cmd.Nick] {
		if t.from >= ceiling || t.to <= floor {
			continue
		}
		to = known[r][t.number]
		if to == nil || to.told < ceiling {
			return false // it may have come to a session that was lost, and late in it
		}
	}
	if to == nil {
		return true // there was nobody of that name
	}
	to.missing++
	return to.missing > to.skipped
}

// lasted reports whether st goes on until the end of the run.
func (st *stay) lasted() bool { return st == st.owner.stay }
