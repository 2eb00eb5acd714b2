//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// A conn is one member's connection. Everything but paced writing happens in the generator's one goroutine.
type conn struct {
	io     io.ReadWriter // the socket, or TLS on it
	fd     int
	tls    bool
	joined bool
	stuck  bool // no longer reads
	gone   bool
	told   string // the last it was told before it had joined
	left   []byte // the beginning of a line
	check  checker
	speaks *sender // nil for most
	heard  int64   // when something was read last, since the generator's start
}

// patience is how long a server may leave unread or unsaid what it has to take or say at once.
const patience = 20 * time.Second

// dial connects to addr. The socket blocks until block(fd, false).
func dial(addr netip.AddrPort, secure bool) (*conn, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &conn{io: socket(fd), fd: fd, tls: secure}
	if err := c.open(addr); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return c, nil
}

func (c *conn) open(addr netip.AddrPort) error {
	limit := syscall.NsecToTimeval(int64(patience))
	if err := syscall.SetsockoptTimeval(c.fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.SetsockoptInt(c.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	// Closing resets the connection, which leaves no TIME_WAIT behind.
	if err := syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Connect(c.fd, &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	if c.tls {
		t := tls.Client(socket(c.fd), &tls.Config{InsecureSkipVerify: true}) // the certificate was made a moment ago
		if err := t.HandshakeContext(context.Background()); err != nil {
			return err
		}
		c.io = t
	}
	return os.NewSyscallError("fcntl", syscall.SetNonblock(c.fd, true))
}

// A socket is a file descriptor as a net.Conn. A Read that would wait is a Read whose time is up, after which TLS can go on.
type socket int

func (s socket) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(s), p)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

var errTakesNothing = errors.New("the server takes nothing")

// Write writes all of p, and waits for the peer where it has to.
func (s socket) Write(p []byte) (n int, err error) {
	late := time.Time{}
	for n < len(p) {
		m, err := syscall.Write(int(s), p[n:])
		n += max(m, 0)
		switch {
		case err == nil, err == syscall.EINTR:
		case err != syscall.EAGAIN:
			return n, os.NewSyscallError("write", err)
		case late.IsZero():
			late = time.Now().Add(patience)
		case time.Now().After(late):
			return n, errTakesNothing
		default:
			time.Sleep(100 * time.Microsecond)
		}
	}
	return n, nil
}

func (s socket) Close() error { return syscall.Close(int(s)) }

// What else a net.Conn has, TLS does not need here.
func (socket) LocalAddr() net.Addr              { return nil }
func (socket) RemoteAddr() net.Addr             { return nil }
func (socket) SetDeadline(time.Time) error      { return nil }
func (socket) SetReadDeadline(time.Time) error  { return nil }
func (socket) SetWriteDeadline(time.Time) error { return nil }
