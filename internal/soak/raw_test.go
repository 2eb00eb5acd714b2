package soak

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"time"

	"example.com/chatroom"
)

// window is how many commands there may be from the oldest unanswered one on.
const window = 64

// A raw member speaks the protocol itself, as simply as can be.
type raw struct {
	*member
	addr string

	// Guarded by member.mu.
	conn   net.Conn
	ready  bool // welcomed
	token  string
	outbox []*command
	expect uint64 // history events that belong to the latest welcome

	attempts uint64 // to join; zero if they are not numbered
}

// run keeps the member connected until it has received everything.
func (m *raw) run() {
	defer m.quiet.Do(m.s.quiet.Done)
	for !m.isFinished() {
		conn, err := net.Dial("tcp", m.addr)
		if err != nil { // a machine with too much to do resets what it has not accepted
			time.Sleep(10 * time.Millisecond)
			continue
		}
		m.attempt(conn)
	}
}

// attempt holds one conversation, and stays away for a while, or goes on at once over another connection.
func (m *raw) attempt(conn net.Conn) {
	over := m.converse(conn)
	m.mu.Lock()
	takeover := m.ready && m.rand.IntN(2) == 0
	away := time.Duration(m.rand.IntN(100)) * time.Millisecond
	if m.rand.IntN(12) == 0 {
		away = time.Duration(m.rand.Int64N(int64(2 * linger)))
	}
	m.mu.Unlock()
	select {
	case <-over:
	default:
		if takeover && m.talking() { // the first is left open
			m.s.takeovers.Add(1)
			m.s.background.Go(func() {
				select {
				case <-time.After(linger / 2):
				case <-m.s.stop.Done():
				}
				conn.Close()
			})
			return
		}
	}
	conn.Close()
	<-over
	if m.talking() {
		m.pause(away)
	}
}

// converse joins over conn, talks for a while, and returns what is closed when reading is over.
func (m *raw) converse(conn net.Conn) (over chan struct{}) {
	over = make(chan struct{})
	m.mu.Lock()
	m.conn, m.ready = conn, false
	join := m.join()
	until := time.Now().Add(time.Duration(m.rand.ExpFloat64() * float64(time.Second)))
	m.mu.Unlock()
	m.s.background.Go(func() {
		defer close(over)
		in := bufio.NewReaderSize(conn, 64<<10)
		for {
			line, err := in.ReadBytes('\n')
			if err != nil || !m.receive(conn, line) {
				return
			}
		}
	})
	if _, err := conn.Write([]byte(join)); err != nil {
		return over
	}
	for {
		m.mu.Lock()
		wait := time.Duration(1+m.rand.IntN(20)) * time.Millisecond
		m.mu.Unlock()
		select {
		case <-over:
			return over
		case <-m.s.stop.Done():
			return over
		case <-time.After(wait):
		}
		if m.isFinished() || m.talking() && time.Now().After(until) {
			return over
		}
		if c := m.next(); c != nil {
			if _, err := conn.Write(c.line()); err != nil {
				return over
			}
		}
	}
}

// join is the line that asks to join, or to go on.
func (m *raw) join() string {
	seen, private := "[]", uint64(0)
	if m.numbers() {
		m.attempts++
	}
	if m.stay != nil {
		seen = fmt.Sprintf(`[{"room":"lobby","epoch":%q,"seq":%d}]`, m.stay.record.epoch, m.seen)
		private = m.stay.private
	}
	return fmt.Sprintf(`{"type":"join","id":"join","nick":%q,"resume":true,"session":%q,"seen":%s,"private":%d,"attempt":%d}`+"\n",
		m.nick, m.token, seen, private, m.attempts)
}

// numbers reports whether the member numbers its attempts. One that does not may lose its connection to one of them that
// arrives late.
func (m *raw) numbers() bool { return m.num%4 == 0 }

func (c *command) line() []byte {
	line, err := c.cmd.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return append(line, '\n')
}

// next returns something to send, or nil.
func (m *raw) next() *command {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ready || len(m.outbox) > 0 && len(m.voices[0])-m.outbox[0].index >= window {
		return nil
	}
	var c *command
	switch {
	case m.talking():
		c = m.invent(0)
	case m.over && m.farewell == nil:
		c = m.bidFarewell()
	default:
		if len(m.outbox) == 0 {
			m.quiet.Do(m.s.quiet.Done)
		}
		return nil
	}
	m.outbox = append(m.outbox, c)
	return c
}

// receive takes a line from conn; false means that the connection is of no more use.
func (m *raw) receive(conn net.Conn, line []byte) bool {
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
	switch {
	case e.Kind == chatroom.KindWelcome:
		m.welcomed(&e)
		for _, c := range m.outbox {
			if _, err := conn.Write(c.line()); err != nil {
				return true
			}
		}
	case e.Kind == chatroom.KindPing:
		_, _ = conn.Write([]byte(`{"type":"pong"}` + "\n")) // reading tells of its end
	case e.Kind == chatroom.KindBye:
		m.dismissed(e.Err)
		return false
	case e.Kind == chatroom.KindError && e.ID == "join":
		m.shutOut(e.Err)
		return false
	case m.stay == nil:
		m.s.violate("%s received %q before its first welcome", m.nick, line)
	default:
		m.take(&e, line)
	}
	return true
}

// take takes what follows a welcome.
func (m *raw) take(e *chatroom.Event, line []byte) {
	switch {
	case e.Kind == chatroom.KindGap && e.Room != "":
		if m.begun {
			m.s.violate("%s was told of a gap %d-%d too late", m.nick, e.Gap.From, e.Gap.To)
		}
		m.missed(e.Gap)
		m.gaps = append(m.gaps, gap{m.member, m.stay.record, e.Gap.To, e.Gap.To + m.expect})
	case e.Kind == chatroom.KindGap:
		m.missedPrivate(e.Gap)
	case e.Kind == chatroom.KindError:
		m.settle(e.ID, refused, e)
	case e.Again:
		m.s.again.Add(1)
		m.settle(e.ID, acknowledged, e)
	case e.Seq != 0:
		m.order(e, hash(line))
		if e.Member == m.stay.number {
			m.settle(e.ID, acknowledged, e)
		}
	default:
		m.toItself(e)
		if e.Kind != chatroom.KindPrivate || e.Member == m.stay.number {
			m.settle(e.ID, acknowledged, e)
		}
	}
}

// shutOut takes a refusal to let the member join.
func (m *raw) shutOut(why *chatroom.Error) {
	switch why.Code {
	case chatroom.CodeNickInUse: // by itself, if a join went through and its welcome did not
		m.crowded = true
	case chatroom.CodeShutdown:
	default:
		m.s.violate("%s may not join: %v", m.nick, why)
	}
}

// dismissed takes a farewell.
func (m *raw) dismissed(why *chatroom.Error) {
	switch why.Code {
	case chatroom.CodeKicked:
		m.s.kicked.Add(1)
	case chatroom.CodeShutdown, chatroom.CodeLost, chatroom.CodeTimeout, chatroom.CodeTooSlow:
	default:
		if why.Code != chatroom.CodeReplaced || m.numbers() {
			m.s.violate("%s was told goodbye: %v", m.nick, why)
		}
	}
}

// welcomed notes what a welcome says.
func (m *raw) welcomed(e *chatroom.Event) {
	w := e.Welcome
	m.ready, m.expect = true, uint64(w.History)
	if w.Session == "" {
		if m.stay == nil || e.Member != m.stay.number || w.Epoch != m.stay.record.epoch || !w.Resumed {
			m.s.violate("%s was welcomed again: %+v %+v", m.nick, *e, *w)
		}
		m.resumed()
		return
	}
	for _, c := range m.outbox { // whether they were carried out cannot be known
		m.answered(c, unknown, 0)
	}
	m.outbox, m.token = nil, w.Session
	m.begin(e, false)
}

// settle notes what became of a command.
func (m *raw) settle(id string, o outcome, e *chatroom.Event) {
	i := slices.IndexFunc(m.outbox, func(c *command) bool { return c.cmd.ID == id })
	if i < 0 {
		return
	}
	c := m.outbox[i]
	m.outbox = slices.Delete(m.outbox, i, i+1)
	m.answered(c, o, e.Seq)
	if o == refused && !c.mayRefuse(e.Err.Code) {
		m.s.violate("%s asked for %+v and was refused: %v", m.nick, c.cmd, e.Err)
	}
}
