package chatroom

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn is one connection, in a Front's hands. Its reading methods are for the goroutine that
// runs Serve, as is Reply; the others may be called from any.
type Conn struct {
	srv    *server
	conn   net.Conn
	front  Front
	latest time.Time // when somebody who has not joined is given up
	most   int       // bytes that are written at once; set before anything is
	socket *socket   // nil if the transport can only be written to by waiting

	member atomic.Pointer[member] // set by Join
	stop   atomic.Pointer[Error]  // the server wants this connection ended

	// Deadlines that outrank those of single reads and writes, in Unix nanoseconds; zero means none.
	readBy, writeBy atomic.Int64

	// Owned by the reader. buf[r:w] is unread. While idle buf is small; what does not fit is read
	// into a pooled one.
	small  [256]byte
	buf    []byte
	r, w   int
	pooled *[]byte
	timed  bool  // a read deadline is set
	pinged bool  // a ping is out, with nothing read since
	err    error // what ended reading
}

// farewellTime is how long a peer that is told to go has for closing its side.
const farewellTime = time.Second

var errEndless = &Error{Code: CodeFlooding, Text: "a line without end", Retry: RetryLater}

var linePool = sync.Pool{New: func() any { return new([]byte) }}

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// TLS returns the state of the connection's TLS, or nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState {
	if t, ok := c.conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		state := t.ConnectionState()
		return &state
	}
	return nil
}

// Limits returns the server's limits.
func (c *Conn) Limits() Limits { return c.srv.limits }

// Peek returns what the peer has sent that is not consumed yet, waiting for some.
func (c *Conn) Peek() ([]byte, error) {
	c.deadline()
	for c.r == c.w {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	return c.buf[c.r:c.w], nil
}

// PeekFor is Peek that waits no longer than d, which is more than zero: after so long a silence it
// returns nothing and no error, and reading can go on. It is for protocols in which silence is all
// that ends a message.
func (c *Conn) PeekFor(d time.Duration) ([]byte, error) {
	by := time.Now().Add(d)
	if c.r < c.w || c.err != nil || c.member.Load() == nil && by.After(c.latest) {
		return c.Peek()
	}
	c.setReadDeadline(by)
	switch err := c.fillOnce(); {
	case err == nil:
		c.pinged = false
	case errors.Is(err, os.ErrDeadlineExceeded) && c.over() == nil:
		return nil, nil
	default:
		c.err = c.readError(err)
	}
	return c.Peek()
}

// Read reads what there is into p, for fronts that do not read lines.
func (c *Conn) Read(p []byte) (int, error) {
	b, err := c.Peek()
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	c.consume(n)
	return n, nil
}

// ReadLine returns the next line without its end, which is LF or CRLF; the last one may lack it.
// The line is valid until the next read. A line over Limits.LineBytes is skipped whole and
// reported as ErrLineTooLong, after which reading can go on. Every other error is final; an Error
// says why the server ends the connection, and a peer that has not joined is to be told by the front.
func (c *Conn) ReadLine() ([]byte, error) {
	limit := c.srv.limits.LineBytes
	skipped := 0   // bytes of an oversized line
	waits := false // for what is not here yet
	for scanned := 0; ; {
		if i := bytes.IndexByte(c.buf[c.r+scanned:c.w], '\n'); i >= 0 {
			line := c.buf[c.r : c.r+scanned+i]
			c.consume(len(line) + 1)
			if skipped+len(line) >= limit {
				return nil, ErrLineTooLong
			}
			if err := c.over(); err != nil {
				return nil, err
			}
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		scanned = c.w - c.r
		if skipped+scanned >= limit {
			if skipped += scanned; skipped >= 8*limit {
				return nil, errEndless
			}
			c.consume(scanned)
			scanned = 0
		}
		if !waits {
			waits = true
			c.deadline()
		}
		if err := c.fill(); err != nil {
			if err == io.EOF && scanned > 0 && skipped == 0 && c.over() == nil {
				line := c.buf[c.r:c.w]
				c.r = c.w
				return bytes.TrimSuffix(line, []byte{'\r'}), nil
			}
			return nil, err
		}
	}
}

// consume takes n unread bytes off the buffer. The bytes stay valid until the next fill.
func (c *Conn) consume(n int) { c.r += n }

// fill reads more bytes behind those unread. An error is final.
func (c *Conn) fill() error {
	for c.err == nil {
		err := c.fillOnce()
		if err == nil {
			c.pinged = false
			return nil
		}
		c.err = c.readError(err)
	}
	return c.err
}

// fillOnce reads once, after making room.
func (c *Conn) fillOnce() error {
	if c.r == c.w {
		// Nothing to keep: a pooled buffer goes back, unless the peer seems to have more to say.
		if c.pooled != nil && c.w < len(c.buf) {
			c.release()
		}
		c.r, c.w = 0, 0
	}
	if c.buf == nil {
		c.buf = c.small[:]
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		c.grow()
	}
	for {
		n, err := c.conn.Read(c.buf[c.w:])
		c.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// grow moves what is unread from the small buffer to a pooled one, which holds the longest line.
func (c *Conn) grow() {
	p := linePool.Get().(*[]byte)
	if n := c.srv.limits.LineBytes + len(c.small); len(*p) < n {
		*p = make([]byte, n)
	}
	c.w = copy(*p, c.buf[c.r:c.w])
	c.r, c.buf, c.pooled = 0, *p, p
}

// release gives the pooled buffer back.
func (c *Conn) release() {
	if c.pooled != nil {
		linePool.Put(c.pooled)
		c.pooled, c.buf = nil, nil
	}
}

// readError returns what err means for the conversation; nil means to read on.
func (c *Conn) readError(err error) error {
	if over := c.over(); over != nil {
		return over
	}
	if err == io.EOF {
		return err
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrConnectionLost
	}
	m := c.member.Load()
	if m == nil || c.pinged {
		return ErrTimeout
	}
	c.pinged = true
	m.post(&Event{Kind: KindPing, Time: now()})
	c.deadline()
	return nil
}

// over returns why the server wants the connection ended, or nil.
func (c *Conn) over() error {
	if m := c.member.Load(); m != nil {
		if over := m.over(); over != nil {
			return over
		}
		return nil
	}
	if stop := c.stop.Load(); stop != nil {
		return stop
	}
	return nil
}

// deadline sets the time by which the peer has to send something.
func (c *Conn) deadline() {
	l := &c.srv.limits
	m := c.member.Load()
	switch {
	case m == nil:
		by := time.Now().Add(l.Handshake)
		if by.After(c.latest) {
			by = c.latest
		}
		c.setReadDeadline(by)
	case !m.pings && c.timed:
		c.setReadDeadline(time.Time{})
	case m.pings && c.pinged:
		c.setReadDeadline(time.Now().Add(l.Pong))
	case m.pings:
		c.setReadDeadline(time.Now().Add(l.Idle))
	}
}

// setReadDeadline sets the deadline of the next reads; one that outranks it stays.
func (c *Conn) setReadDeadline(t time.Time) {
	c.timed = !t.IsZero()
	c.conn.SetReadDeadline(t)
	if by := c.readBy.Load(); by != 0 {
		c.conn.SetReadDeadline(time.Unix(0, by))
	}
}

// Write sends p to a peer that has not joined yet. After Join everything goes through the member's place in
// the log: use Reply.
func (c *Conn) Write(p []byte) (int, error) {
	if c.member.Load() != nil {
		return 0, errors.New("chatroom: Write after Join")
	}
	if err := c.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// recordBytes is the longest record of TLS (RFC 8446, section 5.1). TLS cannot go on after a write
// that took too long, so it is given no more at once: a slow peer has to take one in Limits.Write.
const recordBytes = 16 << 10

// write writes all of p, as long as the peer takes some of it in every Limits.Write.
func (c *Conn) write(p []byte) error {
	if len(p) > 0 && c.socket != nil {
		if p = p[c.writeNow(p):]; len(p) == 0 {
			return nil
		}
		defer c.unhurry()
	}
	for len(p) > 0 {
		c.conn.SetWriteDeadline(time.Now().Add(c.srv.limits.Write))
		by := c.writeBy.Load()
		if by != 0 {
			c.conn.SetWriteDeadline(time.Unix(0, by))
		}
		n, err := c.conn.Write(p[:min(len(p), c.most)])
		p = p[n:]
		c.srv.stats.written(n)
		if err != nil && (n == 0 || by != 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return nil
}

// writeNow writes as much of p as the peer's system takes at once. What is wrong with the connection
// shows in write.
func (c *Conn) writeNow(p []byte) int {
	n := c.socket.write(p)
	c.srv.stats.written(n)
	return n
}

// unhurry takes the deadline of a write that is over away, which would hold for writeNow too.
func (c *Conn) unhurry() {
	c.conn.SetWriteDeadline(time.Time{})
	if by := c.writeBy.Load(); by != 0 {
		c.conn.SetWriteDeadline(time.Unix(0, by))
	}
}

func writeError(err error) *Error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTooSlow.(*Error)
	}
	return ErrConnectionLost.(*Error)
}

// abort ends the connection, whatever it is doing.
func (c *Conn) abort(reason *Error) {
	c.stop.CompareAndSwap(nil, reason)
	if m := c.member.Load(); m != nil {
		m.end(reason)
		return
	}
	c.endBy(reason)
	c.closeReading(0)
}

// endBy bounds the time in which what is still to be written must be taken.
func (c *Conn) endBy(reason *Error) {
	d := c.srv.limits.Write
	if reason.Code == CodeTooSlow {
		d = min(d, farewellTime)
	}
	by := time.Now().Add(d)
	c.writeBy.Store(by.UnixNano())
	c.conn.SetWriteDeadline(by)
}

// closeReading bounds the time in which anything is still read.
func (c *Conn) closeReading(d time.Duration) {
	by := time.Now().Add(d)
	c.readBy.Store(by.UnixNano())
	c.conn.SetReadDeadline(by)
}

// hangUp ends the writing side: the peer reads what was written and then the end. Closing at once
// could make the peer's system throw away what it has not read.
func (c *Conn) hangUp(err error) {
	if err == nil {
		if w, ok := c.conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
			c.closeReading(farewellTime)
			return
		}
	}
	c.conn.Close()
	c.closeReading(0)
}

// Join makes the peer a member and returns its welcome, which is the first event written to it. A refusal
// leaves the connection as it was; a front may let the peer try again.
func (c *Conn) Join(ctx context.Context, req JoinRequest) (Event, error) {
	if req.Encoder == nil {
		return Event{}, errors.New("chatroom: JoinRequest without an Encoder")
	}
	// Rooms tell encoders apart under their locks, where nothing may panic.
	if !reflect.ValueOf(req.Encoder).Comparable() {
		return Event{}, fmt.Errorf("chatroom: JoinRequest with an Encoder that cannot be compared: %T", req.Encoder)
	}
	if c.member.Load() != nil {
		return Event{}, &Error{Code: CodeBadRequest, Text: "already joined"}
	}
	if err := cleanID(req.ID); err != nil {
		return Event{}, err
	}
	if req.Session != "" {
		m, e, err := c.srv.resume(ctx, c, req)
		if err != nil {
			return Event{}, err
		}
		if m != nil {
			c.joined(m)
			return e, nil
		}
	}
	nick, err := ValidNick(req.Nick)
	if err != nil {
		return Event{}, err
	}
	revised := c.srv.revised.Load()
	ident, err := c.srv.authenticate(ctx, AuthRequest{
		Nick: nick, Account: req.Account, Secret: req.Secret,
		Addr: c.RemoteAddr(), TLS: c.TLS(), Front: c.front.Name(),
	})
	if err != nil {
		return Event{}, err
	}
	m := c.srv.newMember(ident)
	m.conn, m.enc, m.pings, m.address = c, req.Encoder, req.Pings, c.addr()
	if req.Resume && c.srv.limits.Linger > 0 {
		m.session, m.token = newSession()
	}
	e, err := c.srv.admit(ctx, m, req.Room, req.ID, req.Seen)
	if err != nil {
		return Event{}, err
	}
	c.joined(m)
	if r, ok := c.srv.auth.(Refresher); ok && revised != c.srv.revised.Load() {
		c.srv.refresh(r, m) // its account may have changed before m was found among the members
	}
	return e, nil
}

// joined makes m the connection's member.
func (c *Conn) joined(m *member) {
	c.member.Store(m)
	if stop := c.stop.Load(); stop != nil {
		m.end(stop)
	}
}

// addr returns the peer's address; the zero Addr when the transport has none.
func (c *Conn) addr() netip.Addr {
	if a, ok := c.conn.RemoteAddr().(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Send carries out a command of the member, and returns the event it led to. The member receives
// that event by itself unless it is a mere answer, of KindMembers, KindRooms or KindPong: those a
// front gives to Reply.
func (c *Conn) Send(ctx context.Context, cmd Command) (Event, error) {
	m := c.member.Load()
	if m == nil {
		return Event{}, ErrNotJoined
	}
	return m.send(ctx, cmd)
}

// Reply writes an event to this member alone, after what its rooms have said so far. It waits
// while a lot is waiting to be written already, and is for the goroutine that runs Serve.
func (c *Conn) Reply(e Event) {
	if m := c.member.Load(); m != nil {
		m.answer(&e)
	}
}

// Self returns the member as others see it; the zero MemberInfo before Join.
func (c *Conn) Self() MemberInfo {
	if m := c.member.Load(); m != nil {
		return m.info()
	}
	return MemberInfo{}
}

// serve runs a connection from its first byte to its last.
func (c *Conn) serve(ctx context.Context, fronts []Front) error {
	defer c.release()
	if err := c.handshakeTLS(ctx); err != nil {
		return err
	}
	err := ErrNoFront
	for tries := 0; tries < 2 && errors.Is(err, ErrNoFront) && c.member.Load() == nil; tries++ {
		front, detected := c.detectFront(fronts)
		if detected != nil || front == c.front {
			return detected
		}
		c.front = front
		err = c.converse(ctx)
	}
	c.finish(err)
	return err
}

// handshakeTLS makes sure a TLS handshake happens here, under the handshake's deadline.
func (c *Conn) handshakeTLS(ctx context.Context) error {
	t, ok := c.conn.(interface{ HandshakeContext(context.Context) error })
	if !ok {
		return nil
	}
	c.most = recordBytes
	ctx, cancel := context.WithTimeout(ctx, c.srv.limits.Handshake)
	defer cancel()
	return t.HandshakeContext(ctx)
}

// detectFront is detect, in which a front's panic ends this connection only.
func (c *Conn) detectFront(fronts []Front) (f Front, err error) {
	defer c.srv.recovered("front", &err)
	return c.detect(fronts)
}

// detect finds the front whose peer this is, by what it sends first or by its silence.
func (c *Conn) detect(fronts []Front) (Front, error) {
	c.setReadDeadline(time.Now().Add(c.srv.limits.Sniff))
	for c.w < len(c.small) {
		if c.r < c.w {
			if f := judge(fronts, c.buf[c.r:c.w], true); f != nil {
				return f, nil
			}
		}
		if err := c.fillOnce(); errors.Is(err, os.ErrDeadlineExceeded) && c.stop.Load() == nil {
			break
		} else if err != nil {
			return nil, c.readError(err)
		}
	}
	if f := judge(fronts, c.buf[c.r:c.w], false); f != nil {
		return f, nil
	}
	return nil, ErrNoFront
}

// judge asks the fronts in order; nil means none says yes, or one wants to see more and patient
// allows it.
func judge(fronts []Front, first []byte, patient bool) Front {
	for _, f := range fronts {
		switch f.Detect(first) {
		case Mine:
			return f
		case NeedMore:
			if patient {
				return nil
			}
		}
	}
	return nil
}

// converse runs the front, whose panic ends this connection only.
func (c *Conn) converse(ctx context.Context) (err error) {
	defer c.srv.recovered("front "+c.front.Name(), &err)
	return c.front.Serve(ctx, c)
}

// finish sees the member off, if the peer became one, and waits until it is.
func (c *Conn) finish(err error) {
	m := c.member.Load()
	if m == nil {
		return
	}
	switch {
	case errors.Is(err, io.EOF) && m.session != nil:
		err = ErrConnectionLost // or it would have said goodbye
	case err == nil || errors.Is(err, io.EOF):
		err = ErrClosed
	}
	m.end(public(err))
	<-m.flushed
	<-m.left
	// The peer has been told to go. Reading on until it does keeps its system from throwing away
	// what it has not read yet.
	_, _ = io.Copy(io.Discard, c.conn)
}
