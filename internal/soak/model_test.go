package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"example.com/chatroom"
)

var hashSeed = maphash.MakeSeed()

func hash(line []byte) uint64 { return maphash.Bytes(hashSeed, line) }

func parse(line []byte) (e chatroom.Event, err error) {
	err = json.Unmarshal(line, &e)
	return e, err
}

type outcome int

const (
	unknown outcome = iota
	acknowledged
	refused
)

// A sent is a command and what became of it.
type sent struct {
	id, line, text string
	to             *model // of a private message
	outcome        outcome
	at             time.Time // when that was known
}

type gap struct{ to, last uint64 }

// A model is a member that resumes, by itself and as simply as can be, and checks what it receives.
type model struct {
	s    *soak
	nick string
	num  int
	rand *rand.Rand

	mu      sync.Mutex
	conn    net.Conn
	ready   bool // welcomed
	token   string
	member  uint64
	epoch   string
	seen    uint64
	private uint64
	outbox  []*sent
	next    int
	done    []*sent
	lines   map[uint64]uint64 // hashes of what was received, by number
	gaps    []gap
	heard   map[string]int
	breaks  []time.Time // when a session was found to have ended
	ended   bool        // END was received
	stop    bool
	expect  int       // history events that belong to the latest welcome
	alive   time.Time // when something was received last
	taken   time.Time // since when the nick is taken
	early   int       // sessions that had ended though they were alive lately
}

var (
	modelsMu sync.Mutex
	models   = map[int]*model{}
)

func newModel(s *soak, i int, seed uint64) *model {
	m := &model{s: s, num: i, nick: fmt.Sprintf("m%d", i), rand: rand.New(rand.NewPCG(seed, uint64(i)+10)), lines: make(map[uint64]uint64), heard: make(map[string]int)}
	modelsMu.Lock()
	models[i] = m
	modelsMu.Unlock()
	return m
}

// run keeps the member connected until it has received everything.
func (m *model) run() {
	for !m.finished() {
		conn, err := net.Dial("tcp", m.s.proxy.Addr().String())
		if err != nil {
			m.s.violate("dial: %v", err)
			return
		}
		over := m.converse(conn)
		m.mu.Lock()
		takeover := !m.s.over.Load() && m.ready && m.rand.IntN(2) == 0
		away := time.Duration(m.rand.IntN(100)) * time.Millisecond
		if m.rand.IntN(12) == 0 {
			away = time.Duration(m.rand.Int64N(int64(2 * linger)))
		}
		m.mu.Unlock()
		select {
		case <-over:
		default:
			if takeover { // the first is left open
				m.s.takeovers.Add(1)
				time.AfterFunc(linger/2, func() { conn.Close() })
				continue
			}
		}
		conn.Close()
		<-over
		if !m.s.over.Load() {
			time.Sleep(away)
		}
	}
}

func (m *model) finished() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stop || m.ended && len(m.outbox) == 0
}

func (m *model) giveUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended || len(m.outbox) > 0 {
		m.s.violate("%s has not received everything: seen %d, %d unanswered", m.nick, m.seen, len(m.outbox))
	}
	m.stop = true
	if m.conn != nil {
		m.conn.Close()
	}
}

// converse joins over conn, talks for a while, and returns what is closed when reading is over.
func (m *model) converse(conn net.Conn) (over chan struct{}) {
	over = make(chan struct{})
	m.mu.Lock()
	m.conn, m.ready = conn, false
	seen := "[]"
	if m.epoch != "" {
		seen = fmt.Sprintf(`[{"room":"lobby","epoch":%q,"seq":%d}]`, m.epoch, m.seen)
	}
	join := fmt.Sprintf(`{"type":"join","id":"join","nick":%q,"resume":true,"session":%q,"seen":%s,"private":%d}`+"\n", m.nick, m.token, seen, m.private)
	m.mu.Unlock()
	go func() {
		defer close(over)
		in := bufio.NewReaderSize(conn, 64<<10)
		for {
			line, err := in.ReadBytes('\n')
			if err != nil {
				return
			}
			if !m.receive(conn, line) {
				return
			}
		}
	}()
	if _, err := conn.Write([]byte(join)); err != nil {
		return over
	}
	until := time.Now().Add(time.Duration(m.rand.ExpFloat64() * float64(time.Second)))
	for {
		wait := time.Duration(1+m.rand.IntN(20)) * time.Millisecond
		select {
		case <-over:
			return over
		case <-time.After(wait):
		}
		if m.finished() || !m.s.over.Load() && time.Now().After(until) {
			return over
		}
		if c := m.invent(); c != nil {
			if _, err := conn.Write([]byte(c.line)); err != nil {
				return over
			}
		}
	}
}

// invent returns something new to send, or nil.
func (m *model) invent() *sent {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ready || len(m.outbox) >= 60 || m.s.over.Load() {
		return nil
	}
	m.next++
	c := &sent{id: fmt.Sprintf("%d.%d", m.num, m.next)}
	other := m.rand.IntN(*members)
	switch k := m.rand.IntN(200); {
	case k == 0 && m.num == 0 && other != 0:
		c.line = fmt.Sprintf(`{"type":"kick","id":%q,"nick":"m%d"}`, c.id, other)
	case k < 4:
		c.line = fmt.Sprintf(`{"type":"nick","id":%q,"nick":%q}`, c.id, m.nick+[]string{"", "x"}[m.rand.IntN(2)])
	case k < 40 && other != m.num:
		modelsMu.Lock()
		c.to = models[other]
		modelsMu.Unlock()
		c.text = fmt.Sprintf("p %s", c.id)
		c.line = fmt.Sprintf(`{"type":"private","id":%q,"nick":"m%d","text":%q}`, c.id, other, c.text)
	default:
		c.text = "s " + c.id + strings.Repeat(".", m.rand.IntN(100))
		c.line = fmt.Sprintf(`{"type":"say","id":%q,"text":%q}`, c.id, c.text)
	}
	c.line += "\n"
	m.outbox = append(m.outbox, c)
	return c
}

// receive takes a line from conn; false means that the connection is of no more use.
func (m *model) receive(conn net.Conn, line []byte) bool {
	if line[0] != '{' {
		return true // a server that waited long for the join asked for a nickname
	}
	e, err := parse(line)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != conn {
		return true // it was taken over from, and says so before it ends
	}
	if err != nil {
		m.s.violate("%s received %q: %v", m.nick, line, err)
		return false
	}
	defer func() { m.alive = time.Now() }()
	switch {
	case e.Kind == chatroom.KindWelcome:
		m.welcomed(&e)
		for _, c := range m.outbox {
			if _, err := conn.Write([]byte(c.line)); err != nil {
				return true
			}
		}
	case e.Kind == chatroom.KindGap && e.Room != "":
		if e.Gap.From != m.seen+1 || e.Gap.To < e.Gap.From {
			m.s.violate("%s has seen %d and was told of a gap %d-%d", m.nick, m.seen, e.Gap.From, e.Gap.To)
		}
		m.s.gaps.Add(1)
		m.gaps = append(m.gaps, gap{e.Gap.To, e.Gap.To + uint64(m.expect)})
		m.seen = e.Gap.To
	case e.Kind == chatroom.KindGap:
		m.s.violate("%s was told of a private gap %d-%d", m.nick, e.Gap.From, e.Gap.To)
		m.private = e.Gap.To
	case e.Kind == chatroom.KindBye:
		return false
	case e.Kind == chatroom.KindPing:
		_, _ = conn.Write([]byte(`{"type":"pong"}` + "\n"))
	case e.Kind == chatroom.KindError && e.ID == "join":
		if e.Err.Code != chatroom.CodeNickInUse {
			m.s.violate("%s may not join: %v", m.nick, e.Err)
		}
		// A join under way when its connection was cut may have gone through, and lingers.
		if m.taken.IsZero() {
			m.taken = time.Now()
		}
		if time.Since(m.taken) > 3*linger {
			m.s.violate("%s has its session, and its nick is taken", m.nick)
		}
		return false
	case e.Kind == chatroom.KindError:
		m.answered(e.ID, refused)
	case e.Again:
		m.s.again.Add(1)
		m.answered(e.ID, acknowledged)
	case e.Seq != 0:
		m.ordered(&e, line)
	default:
		m.toItself(&e)
	}
	return true
}

// welcomed notes what a welcome says.
func (m *model) welcomed(e *chatroom.Event) {
	w := e.Welcome
	m.ready, m.expect, m.taken = true, w.History, time.Time{}
	if m.epoch != "" && m.epoch != w.Epoch {
		m.s.violate("the epoch changed")
	}
	if w.Session == "" {
		if e.Member != m.member || !w.Resumed && m.epoch != "" {
			m.s.violate("%s resumed as %d and was %d, %+v", m.nick, e.Member, m.member, w)
		}
		m.s.resumes.Add(1)
		return
	}
	m.s.fresh.Add(1)
	// Also at the first: an earlier attempt may have gone through unseen, and been told something.
	m.breaks = append(m.breaks, time.Now())
	if m.token != "" {
		if time.Since(m.alive) < linger/4 { // the loss may have been noticed before all that was under way was read
			m.early++
		}
		m.done = append(m.done, m.outbox...) // whether they were carried out cannot be known
		m.outbox = nil
	}
	first := m.epoch == ""
	m.token, m.member, m.epoch, m.private = w.Session, e.Member, w.Epoch, 0
	if first {
		m.seen = w.Seq - uint64(w.History) - 1
	}
}

func (m *model) ordered(e *chatroom.Event, line []byte) {
	if e.Seq != m.seen+1 {
		m.s.violate("%s has seen %d and received %d", m.nick, m.seen, e.Seq)
	}
	m.seen = e.Seq
	m.lines[e.Seq] = hash(line)
	m.s.events.Add(1)
	if e.Member == m.member {
		m.answered(e.ID, acknowledged)
	}
	if e.Text == "END" {
		m.ended = true
	}
}

// toItself takes an event for the member alone.
func (m *model) toItself(e *chatroom.Event) {
	if e.Private != 0 {
		if e.Private != m.private+1 {
			m.s.violate("%s has received the private %d and now %d", m.nick, m.private, e.Private)
		}
		m.private = e.Private
	}
	if e.Kind == chatroom.KindPrivate && e.Member != m.member && e.Nick != "" {
		m.heard[e.Text]++
		m.s.privates.Add(1)
		return
	}
	m.answered(e.ID, acknowledged)
}

// answered notes what became of a command.
func (m *model) answered(id string, o outcome) {
	for i, c := range m.outbox {
		if c.id == id {
			c.outcome, c.at = o, time.Now()
			m.done = append(m.done, c)
			m.outbox = append(m.outbox[:i:i], m.outbox[i+1:]...)
			return
		}
	}
}

// excused reports whether a private message acknowledged at that time may have been lost with a session.
func (m *model) excused(at time.Time) bool {
	for _, b := range m.breaks {
		if d := b.Sub(at); d > -2*time.Second && d < 8*time.Second {
			return true
		}
	}
	return false
}
