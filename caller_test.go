package chatroom_test

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// A caller talks to a server over a net.Pipe, in a bubble of testing/synctest. It always reads.
type caller struct {
	t     testing.TB
	conn  net.Conn
	pause atomic.Int64 // after each read, in nanoseconds

	mu     sync.Mutex
	heard  []byte // and not asked for yet
	hungUp bool   // by the server
}

// hostBubble returns a server that is closed before the bubble ends. Lines of its text front tell the time in UTC.
func hostBubble(t testing.TB, opts ...chatroom.Option) chatroom.Server {
	t.Helper()
	srv, err := chatroom.New(append([]chatroom.Option{builtIn(), brisk(chatroom.Limits{})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return srv
}

// brisk sets limits in which nobody is too fast, nobody is a crowd, and one address may be everybody's.
func brisk(l chatroom.Limits) chatroom.Option {
	l.MessageRate, l.MoveRate, l.ConnsPerAddr, l.ConnRatePerAddr = -1, -1, -1, -1
	l.Notices = -1
	return chatroom.WithLimits(l)
}

// builtIn is the default fronts, and others, with the text front's clock in UTC.
func builtIn(others ...chatroom.Front) chatroom.Option {
	return chatroom.WithFronts(append(others, chatroom.JSONFront{}, clockFront)...)
}

var clockFront = chatroom.TextFront{Home: "lobby", Location: time.UTC}

// call connects to the server.
func call(t testing.TB, srv chatroom.Server) *caller { return callFrom(t, srv, "") }

// callFrom connects to the server from that IP address, or over a pipe that has none if it is empty.
func callFrom(t testing.TB, srv chatroom.Server, addr string) *caller {
	near, far := net.Pipe()
	return callOver(t, srv, near, from(far, addr))
}

// callOver connects to the server over near, whose other end is far.
func callOver(t testing.TB, srv chatroom.Server, near, far net.Conn) *caller {
	c := &caller{t: t, conn: near}
	var running sync.WaitGroup
	running.Go(func() { _ = srv.ServeConn(t.Context(), far) }) // how it ended is seen on the pipe
	running.Go(c.listen)
	t.Cleanup(func() {
		near.Close()
		running.Wait()
	})
	return c
}

// from returns conn as one that comes from that IP address, unless it is empty.
func from(conn net.Conn, addr string) net.Conn {
	if addr == "" {
		return conn
	}
	return addressed{conn, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 4000))}
}

type addressed struct {
	net.Conn
	addr net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.addr }

func (c *caller) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := c.conn.Read(buf)
		c.mu.Lock()
		c.heard = append(c.heard, buf[:n]...)
		c.hungUp = err != nil
		c.mu.Unlock()
		if err != nil {
			return
		}
		time.Sleep(time.Duration(c.pause.Load()))
	}
}

// send sends lines.
func (c *caller) send(lines ...string) {
	for _, line := range lines {
		c.sendRaw(line + "\n")
	}
}

// sendRaw sends what the server takes of s.
func (c *caller) sendRaw(s string) {
	_, _ = c.conn.Write([]byte(s)) // a server that hangs up is seen by listen
	synctest.Wait()
}

// hear returns everything heard since the last time.
func (c *caller) hear() string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := string(c.heard)
	c.heard = nil
	return s
}

// lines returns the lines heard since the last time.
func (c *caller) lines() []string {
	c.t.Helper()
	s := c.hear()
	if s == "" {
		return nil
	}
	body, ended := strings.CutSuffix(s, "\n")
	if !ended {
		c.t.Fatalf("heard a line without an end: %q", s)
	}
	return strings.Split(body, "\n")
}

// gone reports whether the server has hung up.
func (c *caller) gone() bool {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hungUp
}
