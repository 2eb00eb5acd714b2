package chatroom

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	proxyTime = 5 * time.Second // the time a proxy has for its header
	maxLate   = 128             // how much of what follows may be read together with it
)

// ProxyListener returns a listener whose connections come through proxies that tell the peer's real address in
// a header of the PROXY protocol, version 1 or 2, as haproxy, nginx and load balancers do. Those are the proxies with
// a trusted address: theirs have to begin with a header, within 5 seconds, and fail otherwise. All others are
// connections as they come from l; a Server hangs up on one that begins with a header nobody asked for.
//
// The header comes before everything else, so TLS is put around this listener:
//
//	l = tls.NewListener(chatroom.ProxyListener(l, proxies...), config)
//
// A connection's first Read reads the header too, and from then on its RemoteAddr is the peer's. A Server reads
// it in the connection's own goroutine before it looks at the address, so that bans, limits, logs and Authenticators go by the peer.
// A header that names no peer (LOCAL, UNKNOWN, a Unix socket) is for the proxy's own connections: they keep its
// address, and Limits for one address are not for them.
func ProxyListener(l net.Listener, trusted ...netip.Prefix) net.Listener {
	return &proxyListener{l, trusted}
}

type proxyListener struct {
	net.Listener
	trusted []netip.Prefix
}

func (l *proxyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	from := ipOf(conn.RemoteAddr()).WithZone("")
	if !slices.ContainsFunc(l.trusted, func(p netip.Prefix) bool { return p.Contains(from) }) {
		return conn, nil
	}
	c := &proxyConn{Conn: conn, headerBy: time.Now().Add(proxyTime), pending: true}
	c.Conn.SetReadDeadline(c.headerBy)
	return c, nil
}

// A proxyConn is a connection from a proxy.
type proxyConn struct {
	net.Conn
	headerBy time.Time

	reading sync.Mutex // held while the header is read; guards buf and err
	buf     []byte     // what was read and belongs to the header, or came behind it
	err     error      // why there is no header

	mu      sync.Mutex
	pending bool      // the header has not come yet
	peer    net.Addr  // nil if the header names none
	readBy  time.Time // the deadline that was set
}

// proxied returns the connection from a proxy that conn is, or that TLS and the like are spoken on; nil if there is none.
func proxied(conn net.Conn) *proxyConn {
	for {
		if p, ok := conn.(*proxyConn); ok {
			return p
		}
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = outer.NetConn()
	}
}

func (c *proxyConn) Read(p []byte) (int, error) {
	c.reading.Lock()
	if err := c.readHeaderLocked(); err != nil || len(c.buf) > 0 {
		n := copy(p, c.buf)
		if err != nil {
			n = 0
		}
		c.buf = c.buf[n:]
		c.reading.Unlock()
		return n, err
	}
	c.buf = nil
	c.reading.Unlock()
	return c.Conn.Read(p)
}

// readHeader reads the header unless that has been done. An error is final but for a deadline that somebody else has set.
func (c *proxyConn) readHeader() error {
	c.reading.Lock()
	defer c.reading.Unlock()
	return c.readHeaderLocked()
}

// readHeaderLocked is readHeader while c.reading is held.
func (c *proxyConn) readHeaderLocked() error {
	for c.err == nil && c.waits() {
		var part [maxLate]byte
		n, err := c.Conn.Read(part[:])
		c.buf = append(c.buf, part[:n]...)
		peer, size, malformed := parseProxyHeader(c.buf)
		switch {
		case malformed != nil:
			c.err = malformed
		case size > 0:
			c.buf = c.buf[size:]
			c.settle(peer)
		case err == io.EOF:
			c.err = io.ErrUnexpectedEOF
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(c.headerBy):
			return err
		case err != nil:
			c.err = fmt.Errorf("no PROXY header: %w", err)
		}
	}
	return c.err
}

// late returns what came right behind the header, which Read does not return then: maxLate bytes at most.
func (c *proxyConn) late() []byte {
	c.reading.Lock()
	defer c.reading.Unlock()
	b := c.buf
	c.buf = nil
	return b
}

func (c *proxyConn) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending
}

// settle notes who the peer is, and lets the deadline be what was asked for.
func (c *proxyConn) settle(peer netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = false
	if peer.IsValid() {
		c.peer = net.TCPAddrFromAddrPort(netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()))
	}
	c.Conn.SetReadDeadline(c.readBy)
}

// RemoteAddr returns the peer's address, or the proxy's before the header is read and when it names none.
func (c *proxyConn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peer == nil {
		return c.Conn.RemoteAddr()
	}
	return c.peer
}

// forItself reports whether the proxy has connected for itself.
func (c *proxyConn) forItself() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.pending && c.peer == nil
}

func (c *proxyConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy = t
	if c.pending && (t.IsZero() || t.After(c.headerBy)) {
		t = c.headerBy
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *proxyConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite closes the writing side if the connection has such.
func (c *proxyConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// NetConn returns the connection underneath.
func (c *proxyConn) NetConn() net.Conn { return c.Conn }
