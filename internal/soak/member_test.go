package soak

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"example.com/chatroom"
)

type outcome int

const (
	unknown outcome = iota
	acknowledged
	refused
	unsent
)

// A command is what a member has asked for, and what became of it.
type command struct {
	cmd   chatroom.Command
	to    int // who a private message is for
	index int // among those of its voice

	// When it was asked for: in which session, and what had been received last.
	in    *stay
	after uint64

	outcome outcome
	claimed uint64 // the number that an answer gave
	// Where it was carried out, as far as the member has received that itself.
	stay *stay
	seq  uint64
}

// done notes that the member has received what c led to, in st.
func (c *command) done(st *stay, seq uint64) {
	c.stay, c.seq = st, seq
}

// floor is the number of an event that was ordered before c was carried out, in c.stay.
func (c *command) floor() uint64 {
	if c.in == c.stay {
		return c.after
	}
	return c.stay.joined
}

// A stay is one session of a member, and what it was told in it.
type stay struct {
	owner   *member
	record  *record
	number  uint64 // the member's
	joined  uint64
	crowded bool // the nick was taken when it was asked for

	private uint64 // the number received last
	skipped uint64 // how many private events it was told are gone
	missing uint64 // how many it lacks; for the comparison
	// told is how far the room had got at least when something private was received: what was told to the member
	// alone before that was received too, as it has numbers.
	told uint64
}

// A gap is one that a member was told of, when the room had got to last.
type gap struct {
	owner    *member
	record   *record
	to, last uint64
}

// A member checks what it is told while it is, and notes what has to be compared.
type member struct {
	s    *soak
	num  int
	nick string

	mu       sync.Mutex
	rand     *rand.Rand
	stays    []*stay
	stay     *stay // the latest; nil before the first
	seen     uint64
	called   string // its nick now
	begun    bool   // something ordered has followed the latest welcome
	crowded  bool   // since the latest welcome its nick was taken
	asked    map[string]*command
	voices   [][]*command // the commands of each voice, in the order in which they were carried out
	heard    map[string]int
	gaps     []gap   // of a raw member
	calls    []*call // of a caller
	over     bool    // it has received END
	farewell *command
	finished bool

	quiet sync.Once
}

func newMember(s *soak, i int) *member {
	return &member{
		s: s, num: i, nick: fmt.Sprint("m", i), rand: rand.New(rand.NewPCG(*seed, 200+uint64(i))),
		asked: make(map[string]*command), heard: make(map[string]int), voices: make([][]*command, 3),
	}
}

// pause waits; false means that the run ends.
func (m *member) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-m.s.stop.Done():
		return false
	}
}

func (m *member) talking() bool {
	select {
	case <-m.s.over:
		return false
	default:
		return true
	}
}

func (m *member) isFinished() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.finished || m.s.stop.Err() != nil
}

// miss reports what the member waits for in vain.
func (m *member) miss() {
	m.mu.Lock()
	defer m.mu.Unlock()
	open := 0
	for _, voice := range m.voices {
		for _, c := range voice {
			if c.outcome == unknown && c.in == m.stay {
				open++
			}
		}
	}
	if !m.finished {
		m.s.violate("%s has not received everything: seen %d, END %v, %d unanswered", m.nick, m.seen, m.over, open)
	}
}

// invent makes something new to ask for with one of the member's voices. m.mu must be held.
func (m *member) invent(voice int) *command {
	c := &command{in: m.stay, after: m.seen, to: m.rand.IntN(*members), index: len(m.voices[voice])}
	id := fmt.Sprintf("%d.%d", m.num, len(m.asked)+1)
	other := fmt.Sprint("m", c.to)
	switch k := m.rand.IntN(200); {
	case k < 4 && m.num < 2 && c.to > 1:
		c.cmd = chatroom.Kick(other, id)
	case k < 8:
		c.cmd = chatroom.Rename(m.nick + []string{"", "", "", "x"}[m.rand.IntN(4)])
	case k < 44 && c.to != m.num:
		c.cmd = chatroom.Private(other, "p "+id+" to "+other)
	default:
		c.cmd = chatroom.Say("", "s "+id+strings.Repeat(".", m.rand.IntN(100)))
	}
	c.cmd.ID = id
	m.asked[id] = c
	m.voices[voice] = append(m.voices[voice], c)
	return c
}

// bidFarewell makes the last thing that the member asks for: what it says to itself comes last. m.mu
// must be held.
func (m *member) bidFarewell() *command {
	c := &command{in: m.stay, after: m.seen, to: m.num}
	c.cmd = chatroom.Private(m.called, "goodbye")
	c.cmd.ID = fmt.Sprintf("%d.%d", m.num, len(m.asked)+1)
	m.asked[c.cmd.ID] = c
	m.voices[len(m.voices)-1] = append(m.voices[len(m.voices)-1], c)
	m.farewell = c
	return c
}

// begin begins a session with its first welcome. anew says that the member comes with empty hands. m.mu
// must be held.
func (m *member) begin(e *chatroom.Event, anew bool) {
	w, was := e.Welcome, m.stay
	r := m.s.journal.of(w.Epoch)
	if r == nil {
		m.s.violate("%s was welcomed to the epoch %q, which no witness has seen", m.nick, w.Epoch)
		return
	}
	if was != nil && r.index < was.record.index {
		m.s.violate("%s was welcomed to epoch %d after epoch %d", m.nick, r.index, was.record.index)
	}
	if w.Resumed {
		m.s.violate("%s was told that the session %d in epoch %d was resumed, and it was not", m.nick, e.Member, r.index)
	}
	m.s.fresh.Add(1)
	if anew || was == nil || was.record != r {
		m.seen = w.Seq - uint64(w.History) - 1
	}
	m.stay = &stay{owner: m, record: r, number: e.Member, joined: w.Seq, crowded: m.crowded}
	m.stays = append(m.stays, m.stay)
	m.called, m.crowded, m.begun, m.farewell = e.Nick, false, false, nil
}

// resumed notes that the session goes on. m.mu must be held.
func (m *member) resumed() {
	m.s.resumes.Add(1)
	if m.crowded {
		m.s.violate("the nick of %s was taken, and its session was not over", m.nick)
	}
	m.begun = false
}

// order takes an event that has a place in the room's order. m.mu must be held.
func (m *member) order(e *chatroom.Event, h uint64) {
	if e.Seq != m.seen+1 {
		m.s.violate("%s has seen %d and received %d", m.nick, m.seen, e.Seq)
	}
	m.seen, m.begun = e.Seq, true
	m.s.events.Add(1)
	if err := m.s.journal.note(m.stay.record, e, h); err != nil {
		m.s.violate("%s: %v", m.nick, err)
	}
	if e.Text == end {
		m.over = true
	}
	if e.Member != m.stay.number {
		return
	}
	if e.Kind == chatroom.KindNick {
		m.called = e.Nick
	}
	if c := m.asked[markOf(e)]; c != nil {
		c.done(m.stay, e.Seq)
		if e.Kind == chatroom.KindMessage && e.Text != c.cmd.Text {
			m.s.violate("%s said %q and has received %q", m.nick, c.cmd.Text, e.Text)
		}
	}
}

// missed takes a gap in the room's order. m.mu must be held.
func (m *member) missed(g *chatroom.Gap) {
	if g.From != m.seen+1 || g.To < g.From {
		m.s.violate("%s has seen %d and was told of a gap %d-%d", m.nick, m.seen, g.From, g.To)
	}
	m.s.gaps.Add(1)
	m.seen = g.To
}

// missedPrivate takes a gap in what was said to the member alone. m.mu must be held.
func (m *member) missedPrivate(g *chatroom.Gap) {
	st := m.stay
	if g.From != st.private+1 || g.To < g.From {
		m.s.violate("%s has received the private %d and was told of a gap %d-%d", m.nick, st.private, g.From, g.To)
	}
	st.skipped += g.To - st.private
	st.private = g.To
}

// toItself takes an event for the member alone. m.mu must be held.
func (m *member) toItself(e *chatroom.Event) {
	st := m.stay
	if e.Private == 0 {
		return
	}
	if e.Private != st.private+1 {
		m.s.violate("%s has received the private %d and now %d", m.nick, st.private, e.Private)
	}
	st.private = e.Private
	if e.Member == st.number {
		c := m.asked[e.ID]
		if c == nil {
			m.s.violate("%s received a private %s that answers nothing", m.nick, e.ID)
			return
		}
		c.done(st, 0)
		st.told = max(st.told, c.floor())
		if c == m.farewell {
			m.finished = true
		}
		return
	}
	if e.Kind != chatroom.KindPrivate {
		m.s.violate("%s received %+v", m.nick, *e)
	}
	m.s.privates.Add(1)
	if m.heard[e.Text]++; m.heard[e.Text] > 1 || !strings.HasSuffix(e.Text, " to "+m.nick) {
		m.s.violate("%s received %q, for the %d. time", m.nick, e.Text, m.heard[e.Text])
	}
}

// answered notes what became of c. m.mu must be held.
func (m *member) answered(c *command, o outcome, seq uint64) {
	c.outcome, c.claimed = o, seq
	switch o {
	case refused:
		m.s.refused.Add(1)
	case unsent:
		m.s.unsent.Add(1)
	case unknown:
		m.s.unknown.Add(1)
	}
}

// mayRefuse reports whether a server may refuse c like that.
func (c *command) mayRefuse(code chatroom.Code) bool {
	switch code {
	case chatroom.CodeNoSuchNick:
		return c.cmd.Nick != ""
	case chatroom.CodeDenied:
		return c.cmd.Verb == chatroom.VerbKick
	case chatroom.CodeBadRequest, chatroom.CodeNickInUse:
		return c.cmd.Verb == chatroom.VerbNick
	case chatroom.CodeFull:
		return c.cmd.Verb == chatroom.VerbPrivate
	}
	return false
}
