package chatroom

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// openRaw finds out whether the connection can be written to without waiting, and waited for without a buffer to read
// into. One from a proxy can be once its header is read.
func (c *Conn) openRaw() {
	relayed, ok := c.conn.(*proxyConn)
	if !ok {
		c.raw = rawConn(c.conn)
	} else if c.raw = rawConn(relayed.Conn); c.raw != nil {
		if late := relayed.late(); len(late) > 0 {
			c.grow()
			c.w = copy(c.buf, late)
		}
	}
	if c.raw == nil {
		return
	}
	c.tryRead = func(fd uintptr) (done bool) {
		c.grow()
		if c.w, c.readErr, done = readNow(fd, c.buf); !done {
			c.release()
		}
		return done
	}
}

// rawConn returns nil if conn is a transport that cannot be used that way. Only the types of package net can: what embeds
// one may do more in its Read and Write.
func rawConn(conn net.Conn) syscall.RawConn {
	var sys syscall.Conn
	switch conn := conn.(type) {
	case *net.TCPConn:
		sys = conn
	case *net.UnixConn:
		sys = conn
	}
	if sys == nil || !rawSockets {
		return nil
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readRaw waits for something to read and reads it into a buffer, where nothing may be unread.
func (c *Conn) readRaw() error {
	if err := c.raw.Read(c.tryRead); err != nil {
		return err
	}
	if c.readErr == nil {
		c.heard(c.w)
	}
	return c.readErr
}

// A writing is for writes that do not wait, one after the other.
type writing struct {
	p   []byte
	n   int
	try func(fd uintptr)
}

var writings = sync.Pool{New: func() any {
	w := new(writing)
	w.try = func(fd uintptr) { w.n = writeNow(fd, w.p) }
	return w
}}

func newWriting() *writing { return writings.Get().(*writing) }

// done gives w back.
func (w *writing) done() {
	w.p = nil
	writings.Put(w)
}

// write writes as much of p to c as the peer's system takes at once. What is wrong with the connection shows in Conn.write.
// c needs raw, and only one goroutine may write to it at a time.
func (w *writing) write(c *Conn, p []byte) int {
	w.p, w.n = p, 0
	_ = c.raw.Control(w.try) // once the connection is closed nothing is written
	c.srv.stats.written(w.n)
	return w.n
}

// atEnd returns what reading n bytes without an error means.
func atEnd(n int) error {
	if n == 0 {
		return io.EOF
	}
	return nil
}
