package chatroom

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// Peek returns what the peer has sent that is not consumed yet, waiting for some. An error is final, as ReadLine's are;
// of a member that has ended there is nothing more to read.
func (c *Conn) Peek() ([]byte, error) {
	c.deadline()
	for c.r == c.w {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	if err := c.over(); err != nil {
		return nil, err
	}
	return c.buf[c.r:c.w], nil
}

// PeekFor is Peek that waits no longer than d, which is more than zero: after so long a silence it
// returns nothing and no error, and reading can go on. It is for protocols in which silence is all
// that ends a message.
func (c *Conn) PeekFor(d time.Duration) ([]byte, error) {
	by := time.Now().Add(d)
	if c.r < c.w || c.err != nil || c.member.Load() == nil && by.After(c.due()) {
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
			c.paid += int64(overhead * c.srv.byteTime)
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
		c.release()
		if c.raw != nil {
			return c.readRaw()
		}
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		c.grow()
	}
	for {
		n, err := c.readConn(c.buf[c.w:])
		c.w += n
		if n > 0 {
			c.heard(n)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readConn reads from the transport, which may be the program's own.
func (c *Conn) readConn(p []byte) (n int, err error) {
	defer c.srv.recovered("connection", &err)
	return c.conn.Read(p)
}

// readOut reads what the peer still sends, up to the end.
func (c *Conn) readOut() {
	_, _ = io.Copy(io.Discard, readerFunc(c.readConn)) // it is hung up on either way
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// idleBytes is the size of the buffer that waits where only one that waits can be read into.
const idleBytes = 256

var linePool = sync.Pool{New: func() any { return new([]byte) }}

// grow moves what is unread to a larger buffer. A pooled one holds the longest line.
func (c *Conn) grow() {
	if c.buf == nil && c.raw == nil {
		c.buf = make([]byte, idleBytes)
		return
	}
	p := linePool.Get().(*[]byte)
	if n := c.srv.limits.LineBytes + idleBytes; len(*p) < n {
		*p = make([]byte, n)
	}
	c.w = copy(*p, c.buf[c.r:c.w])
	c.r, c.buf, c.pooled = 0, *p, p
}

// release gives a pooled buffer back, in which nothing is unread.
func (c *Conn) release() {
	c.r, c.w = 0, 0
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
		if due := c.due(); by.After(due) {
			by = due
		}
		c.setReadDeadline(by)
	case !c.pings && c.timed:
		c.setReadDeadline(time.Time{})
	case c.pings && c.pinged:
		c.setReadDeadline(time.Now().Add(l.Pong))
	case c.pings:
		c.setReadDeadline(time.Now().Add(l.Idle))
	}
}

// due returns when a peer that has not joined is given up, whatever it sends until then.
func (c *Conn) due() time.Time {
	if c.greeting.first.IsZero() {
		return c.greeting.latest
	}
	return c.greeting.first
}

// setReadDeadline sets the deadline of the next reads; one that outranks it stays.
func (c *Conn) setReadDeadline(t time.Time) {
	c.timed = !t.IsZero()
	c.conn.SetReadDeadline(t)
	if by := c.readBy.Load(); by != 0 {
		c.conn.SetReadDeadline(c.srv.began.Add(time.Duration(by)))
	}
}

// Continue is for the end of a Front's Serve, which returns what Continue returns: the conversation goes on with next. It
// is called whenever the peer has sent something that is not consumed yet, or reading is over, until it returns an
// error, which then counts as that of Serve. Between its calls an idle connection costs least: it holds no buffer, and
// its goroutine has a new stack.
func (c *Conn) Continue(next func() error) error {
	c.next = next
	return errContinues
}

// errContinues means that the conversation is not over.
var errContinues = errors.New("the conversation continues")

// talk goes on with a conversation, where possible each time in a new goroutine: a stack that has grown is not
// made small again.
func (c *Conn) talk() {
	for {
		if err := c.answer(c.await()); err != nil {
			c.conclude(err)
			return
		}
		c.deadline()
		if c.raw != nil {
			go c.talk()
			return
		}
	}
}

// await waits until there is something to read, or to be done about reading. It uses little stack.
func (c *Conn) await() error {
	if c.r < c.w || c.err != nil {
		return nil
	}
	return c.fillOnce()
}

// answer lets the front deal with what there is to read, or with what reading came to.
func (c *Conn) answer(got error) (err error) {
	defer c.srv.recovered("front", &err)
	if got != nil {
		if c.err = c.readError(got); c.err == nil {
			return nil // a ping is out
		}
	} else {
		c.pinged = false
	}
	for first := true; first || c.r < c.w; first = false {
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}
