package chatroom

import (
	"net"
	"syscall"
)

// A socket writes to a connection without waiting. There is one write at a time.
type socket struct {
	raw syscall.RawConn
	try func(fd uintptr) bool

	// Of the write under way.
	p []byte
	n int
}

// newSocket returns nil if conn cannot be written to that way. Only the types of package net are: what embeds
// one may do more in its Write.
func newSocket(conn net.Conn) *socket {
	var c syscall.Conn
	switch conn := conn.(type) {
	case *net.TCPConn:
		c = conn
	case *net.UnixConn:
		c = conn
	}
	if c == nil || !canTryWrite {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.try = func(fd uintptr) bool {
		s.n = tryWrite(fd, s.p)
		return true // whatever came of it: there is no waiting
	}
	return s
}

// write writes as much of p as the system takes at once, and returns how much that was.
func (s *socket) write(p []byte) int {
	s.p, s.n = p, 0
	_ = s.raw.Write(s.try) // once the connection is closed nothing is written
	s.p = nil
	return s.n
}
