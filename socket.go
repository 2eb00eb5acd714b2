package chatroom

import (
	"io"
	"net"
	"syscall"
)

// A socket writes to a connection without waiting, and waits for something to read without holding a
// buffer. There is one read and one write at a time.
type socket struct {
	raw syscall.RawConn

	tryWrite func(fd uintptr) bool
	p        []byte // of the write under way
	n        int

	tryRead func(fd uintptr) bool
	err     error // of the read under way
}

// openSocket finds out whether the connection can be used that way. One from a proxy can be once its header is read.
func (c *Conn) openSocket() {
	relayed, ok := c.conn.(*proxyConn)
	if !ok {
		c.socket = newSocket(c, c.conn)
		return
	}
	if c.socket = newSocket(c, relayed.Conn); c.socket == nil {
		return
	}
	if late := relayed.late(); len(late) > 0 {
		c.grow()
		c.w = copy(c.buf, late)
	}
}

// newSocket returns nil if conn, which c's peer is on, is a transport that cannot be used that way. Only the types of package
// net can: what embeds one may do more in its Read and Write.
func newSocket(c *Conn, conn net.Conn) *socket {
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
	s := &socket{raw: raw}
	s.tryWrite = func(fd uintptr) bool {
		s.n = writeNow(fd, s.p)
		return true // whatever came of it: there is no waiting
	}
	s.tryRead = func(fd uintptr) (done bool) {
		c.grow()
		if c.w, s.err, done = readNow(fd, c.buf); !done {
			c.release()
		}
		return done
	}
	return s
}

// write writes as much of p as the system takes at once, and returns how much that was.
func (s *socket) write(p []byte) int {
	s.p, s.n = p, 0
	_ = s.raw.Write(s.tryWrite) // once the connection is closed nothing is written
	s.p = nil
	return s.n
}

// read waits for something to read and reads it into the connection's buffer, of which nothing may be unread.
func (s *socket) read() error {
	if err := s.raw.Read(s.tryRead); err != nil {
		return err
	}
	return s.err
}

// atEnd returns what reading n bytes without an error means.
func atEnd(n int) error {
	if n == 0 {
		return io.EOF
	}
	return nil
}
