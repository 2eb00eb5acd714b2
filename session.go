package chatroom

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"sync/atomic"
	"syscall"
	"time"
)

// A Conn is one connection, in a Front's hands. Join, Write, Reply and the methods that read are for the
// goroutine that runs Serve, the others may be called from any.
type Conn struct {
	srv *server
	raw syscall.RawConn // nil if the transport can only be written to by waiting

	conn     net.Conn
	front    Front
	remote   net.Addr
	greeting *greeting // nil after Join
	pass     pass

	member atomic.Pointer[member] // set by Join
	stop   atomic.Pointer[Error]  // the server wants this connection ended
	tried  atomic.Bool            // what is replied next was counted by Send

	// Owned by the reader.
	timed  bool  // a read deadline is set
	pings  bool  // the peer answers pings
	pinged bool  // a ping is out, with nothing read since
	paid   int64 // when what was heard will be forgotten, on the server's clock; see heard

	encrypted bool // set before anything is written

	// Deadlines that outrank those of single reads and writes, on the server's clock; zero means none.
	readBy, writeBy atomic.Int64

	// Owned by the reader. buf[r:w] is unread. With nothing unread a reader with raw holds no buffer.
	buf     []byte
	r, w    int
	pooled  *[]byte
	err     error                 // what ended reading
	tryRead func(fd uintptr) bool // nil without raw
	readErr error                 // what came of tryRead
	next    func() error          // goes on with a conversation; see Continue

	outcome *outcome // nil unless ServeConn waits for it
}

// A greeting is what counts for a connection until its peer has joined. It is owned by the reader.
type greeting struct {
	fronts []Front   // that may be its
	first  time.Time // when somebody who has not tried to join is given up
	latest time.Time // when somebody who has not joined is given up
}

// An outcome is what ServeConn returns, and when.
type outcome struct {
	known chan struct{} // closed once err is set
	err   error
}

// farewellTime is how long a peer that is told to go has for closing its side.
const farewellTime = time.Second

// lastChance is how long a peer that is cut off for taking too little has to take its farewell. Until then
// its place in the log is held, and with it all that is said.
const lastChance = 200 * time.Millisecond

var errEndless = &Error{Code: CodeFlooding, Text: "a line without end", Retry: RetryLater}

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

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
	if len(p) > 0 && c.raw != nil {
		w := newWriting()
		p = p[w.write(c, p):]
		w.done()
	}
	for len(p) > 0 {
		c.conn.SetWriteDeadline(time.Now().Add(c.srv.limits.Write))
		by := c.writeBy.Load()
		if by != 0 {
			c.conn.SetWriteDeadline(c.srv.began.Add(time.Duration(by)))
		}
		part := p
		if c.encrypted {
			part = p[:min(len(p), recordBytes)]
		}
		n, err := c.writeConn(part)
		p = p[n:]
		c.srv.stats.written(n)
		if err != nil && (n == 0 || by != 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return nil
}

// writeConn writes to the transport, which may be the program's own.
func (c *Conn) writeConn(p []byte) (n int, err error) {
	defer c.srv.recovered("connection", &err)
	return c.conn.Write(p)
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
		d = min(d, lastChance)
	}
	by := time.Now().Add(d)
	c.writeBy.Store(int64(by.Sub(c.srv.began)))
	c.conn.SetWriteDeadline(by)
}

// closeReading bounds the time in which anything is still read.
func (c *Conn) closeReading(d time.Duration) {
	by := time.Now().Add(d)
	c.readBy.Store(int64(by.Sub(c.srv.began)))
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
	e, err := c.join(ctx, req)
	if err != nil {
		c.srv.stats.count(c.srv.stats.refused, public(err).Code)
	}
	return e, err
}

func (c *Conn) join(ctx context.Context, req JoinRequest) (Event, error) {
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
	c.greeting.first = time.Time{}
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
	m.conn, m.enc, c.pings = c, req.Encoder, req.Pings
	if req.Resume && c.srv.limits.Linger > 0 {
		m.session = newSession(req.Nick, ident.Nick)
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
	c.greeting = nil
	c.member.Store(m)
	c.srv.gate.joined(c)
	if stop := c.stop.Load(); stop != nil {
		m.end(stop)
	}
}

// addr returns the peer's address; the zero Addr when the transport has none.
func (c *Conn) addr() netip.Addr {
	return ipOf(c.RemoteAddr())
}

// Send carries out a command of the member, and returns the event it led to. The member receives
// that event by itself unless it is a mere answer, by Kind.Answer: those a front gives to Reply.
func (c *Conn) Send(ctx context.Context, cmd Command) (Event, error) {
	m := c.member.Load()
	if m == nil {
		return Event{}, ErrNotJoined
	}
	m.tries(cmd.moves())
	e, err := m.send(ctx, cmd)
	c.tried.Store(err != nil)
	return e, err
}

// Reply writes an event to this member alone, after what its rooms have said so far. It waits
// while a lot is waiting to be written already, and is for the goroutine that runs Serve.
func (c *Conn) Reply(e Event) {
	if m := c.member.Load(); m != nil {
		if e.Kind == KindError && e.Err != nil {
			c.srv.stats.count(c.srv.stats.denied, e.Err.Code)
		}
		if (e.Kind == KindError || e.Kind == KindNotice) && !c.tried.Swap(false) {
			m.tries(false) // to speak the protocol, or to be told of it
		}
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

// run serves a tracked connection, up to where its conversation goes on in a goroutine of its own.
func (c *Conn) run(ctx context.Context) {
	err := error(nil)
	if c.srv.disguised(c.conn) {
		err = c.srv.identify(ctx, c)
	}
	if err == nil {
		err = c.srv.admitted(ctx, c)
	}
	if err == nil {
		c.openRaw()
		watchPeer(c.conn)
		err = c.serve(ctx, c.greeting.fronts)
	}
	if err != errContinues {
		c.conclude(err)
		return
	}
	c.deadline()
	if c.raw == nil {
		c.talk()
		return
	}
	go c.talk()
}

// conclude sees the peer off and closes the connection.
func (c *Conn) conclude(err error) {
	c.finish(err)
	c.release()
	c.conn.Close()
	s := c.srv
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.gate.leave(c)
	if c.member.Load() == nil {
		s.stats.count(s.stats.dropped, dropCode(err))
	}
	if errors.Is(err, ErrClosed) || errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil && c.outcome == nil {
		s.log.Debug("connection ended", "addr", c.remote, "err", err)
	}
	s.running.Done()
	if c.outcome != nil {
		c.outcome.err = err
		close(c.outcome.known)
	}
}

// dropCode returns why a connection has ended on which nobody had joined.
func dropCode(err error) Code {
	told, ok := errors.AsType[*Error](err)
	switch {
	case ok:
		return told.Code
	case err == nil || errors.Is(err, io.EOF):
		return CodeClosed
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return CodeTimeout
	}
	return CodeBadRequest // no TLS, no PROXY header, or another protocol
}

// serve runs a connection from its first byte to the end of its front's Serve.
func (c *Conn) serve(ctx context.Context, fronts []Front) error {
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
	return err
}

// handshakeTLS makes sure a TLS handshake happens here, under the handshake's deadline.
func (c *Conn) handshakeTLS(ctx context.Context) (err error) {
	t, ok := c.conn.(interface{ HandshakeContext(context.Context) error })
	if !ok {
		return nil
	}
	c.encrypted = true
	defer c.srv.recovered("TLS handshake", &err) // which calls what is in the tls.Config
	ctx, cancel := context.WithDeadline(ctx, c.greeting.first)
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
	for c.w < mostSniffed {
		if c.r < c.w {
			if f, d := judge(fronts, c.buf[c.r:c.w], true); d != NeedMore {
				return c.meant(f)
			}
		}
		if err := c.fillOnce(); errors.Is(err, os.ErrDeadlineExceeded) && c.stop.Load() == nil {
			break
		} else if err != nil {
			return nil, c.readError(err)
		}
	}
	f, _ := judge(fronts, c.buf[c.r:c.w], false)
	return c.meant(f)
}

// meant returns f, or if that is nil what becomes of a peer that no front knows.
func (c *Conn) meant(f Front) (Front, error) {
	if f != nil {
		return f, nil
	}
	if s, d := beginsLike(c.buf[c.r:c.w]); d == Mine {
		return nil, c.turnOut(s)
	}
	return nil, ErrNoFront
}

// mostSniffed is how many bytes a front may want to see before it says yes.
const mostSniffed = 256

// judge asks the fronts in order; nil means none says yes, or one wants to see more and patient
// allows it. What begins another protocol is not for a front that takes anybody.
func judge(fronts []Front, first []byte, patient bool) (Front, Detection) {
	s, strange := beginsLike(first)
	if strange == Mine && s.never {
		return nil, NotMine
	}
	for _, f := range fronts {
		switch d := f.Detect(first); {
		case d == NotMine, strange == Mine && takesAnybody(f):
		case d == Mine && (strange == NotMine || !patient || !takesAnybody(f)):
			return f, Mine
		case patient:
			return nil, NeedMore
		}
	}
	if strange == NeedMore && patient {
		return nil, NeedMore // to be told something
	}
	return nil, NotMine
}

// takesAnybody reports whether f takes those who have said nothing, and so may be anybody.
func takesAnybody(f Front) bool { return f.Detect(nil) == Mine }

// converse runs the front, whose panic ends this connection only.
func (c *Conn) converse(ctx context.Context) (err error) {
	defer c.srv.recovered("front", &err)
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
	<-m.opening(&m.flushed)
	<-m.opening(&m.left)
	// The peer has been told to go. Reading on until it does keeps its system from throwing away
	// what it has not read yet.
	c.readOut()
}
