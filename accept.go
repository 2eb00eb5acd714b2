package chatroom

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

func (s *server) Serve(l net.Listener, fronts ...Front) error {
	defer l.Close()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for pause := time.Duration(0); ; {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.start(conn, fronts)
			continue
		case s.isClosed():
			return ErrServerClosed
		case !passes(err):
			return err
		}
		pause = min(max(2*pause, minAcceptPause), maxAcceptPause)
		if times, due := s.failed.due(time.Now()); due {
			s.log.Warn("accept failed", "times", times, "err", err, "pause", pause)
		}
		select {
		case <-time.After(pause):
		case <-s.done:
		}
	}
}

// How long Serve waits after an error that passes: at first, and twice as long after each that follows, at most.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// passing are errors of one connection, or of a machine that is out of something, as accept(2) lists them.
// Go calls only some of them temporary.
var passing = []error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.ECONNRESET,
	syscall.EPERM, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.ENETDOWN, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EHOSTUNREACH,
}

// passes reports whether Accept may succeed after it has failed with err.
func passes(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary() || slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) })
}

func (s *server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// start serves an accepted connection in a goroutine of its own, if it is let in. It does not wait for the peer.
func (s *server) start(conn net.Conn, fronts []Front) {
	c, err := s.enter(conn, fronts)
	if err != nil {
		return
	}
	go c.run(s.base)
}

func (s *server) ServeConn(ctx context.Context, conn net.Conn, fronts ...Front) error {
	c, err := s.enter(conn, fronts)
	if err != nil {
		return err
	}
	// Who waits for a callback is to find that the member has ended, and not a context that has.
	held, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	defer context.AfterFunc(ctx, func() {
		c.abort(ErrClosed.(*Error))
		release()
	})()
	c.outcome = &outcome{known: make(chan struct{})}
	c.run(held)
	<-c.outcome.known
	return c.outcome.err
}

// enter lets a connection in, for Conn.conclude to undo. If it does not, it has closed it.
func (s *server) enter(conn net.Conn, fronts []Front) (*Conn, error) {
	if len(fronts) == 0 {
		fronts = s.fronts
	}
	now := time.Now()
	c := &Conn{
		srv: s, conn: conn, remote: conn.RemoteAddr(),
		greeting: &greeting{fronts: fronts, first: now.Add(s.limits.Handshake), latest: now.Add(6 * s.limits.Handshake)},
	}
	addr := c.addr()
	if s.disguised(conn) {
		addr = netip.Addr{} // until identify
	}
	evicted, refused := s.gate.enter(c, addr)
	if refused != nil {
		s.stats.count(s.stats.dropped, refused.Code)
		s.turnAway(c, refused)
		return nil, refused
	}
	if evicted != nil {
		evicted.abort(errCrowded)
	}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.conns[c] = struct{}{}
		s.running.Add(1)
	}
	s.mu.Unlock()
	if closed {
		s.gate.leave(c)
		conn.Close()
		return nil, ErrServerClosed
	}
	s.stats.accepted.Add(1)
	return c, nil
}

// disguised reports whether it takes more than the connection's address to know where its peer is.
func (s *server) disguised(conn net.Conn) bool { return s.addrOf != nil || proxied(conn) != nil }

// identify finds out where the peer of a connection is that was let in without that.
func (s *server) identify(ctx context.Context, c *Conn) (err error) {
	defer s.recovered("connection", &err)
	p := proxied(c.conn)
	if p != nil {
		if err := p.readHeader(); err != nil {
			if times, due := s.headless.due(time.Now()); due {
				s.log.Warn("a proxy's header is missing", "times", times, "addr", c.remote, "err", err)
			}
			return err
		}
		c.remote = c.conn.RemoteAddr()
	}
	known := p == nil || !p.forItself()
	if s.addrOf != nil {
		addr, err := ask(ctx, s, "AddrOf", func(context.Context) (netip.Addr, error) { return s.addrOf(c.conn), nil })
		if err != nil {
			if times, due := s.headless.due(time.Now()); due && !errors.Is(err, ErrInternal) { // whose panic is logged
				s.log.Error("a peer's address is not known", "times", times, "addr", c.remote, "err", err)
			}
			return err
		}
		if addr.IsValid() {
			c.remote = net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr.Unmap(), 0))
			known = true
		}
	}
	if !known {
		return nil
	}
	if refused := s.gate.identify(c, c.addr()); refused != nil {
		s.turnAway(c, refused)
		return refused
	}
	return nil
}

// shortly is the time that a connection is given to take why it is turned away: a new one has room for a
// line in its buffers, or is not worth waiting for.
const shortly = 5 * time.Millisecond

// turnAway tells a peer why it is not let in, and closes its connection. There may be a great many of them,
// so this takes no goroutine and next to no time.
func (s *server) turnAway(c *Conn, why *Error) {
	s.stats.turnedAway.Add(1)
	if times, due := s.turned.due(time.Now()); due {
		s.log.Warn("connections turned away", "times", times, "addr", c.remote, "err", why)
	}
	if _, encrypted := c.conn.(interface{ HandshakeContext(context.Context) error }); !encrypted {
		c.conn.SetWriteDeadline(time.Now().Add(shortly))
		_, _ = c.conn.Write(c.farewell(why)) // it is closed either way
	}
	c.conn.Close()
}

// farewell returns what ends a connection before it is known which front its peer speaks to: a line
// of the first front that can write one.
func (c *Conn) farewell(why *Error) []byte {
	var err error // which is logged
	defer c.srv.recovered("encoder", &err)
	for _, f := range c.greeting.fronts {
		if enc, ok := f.(Encoder); ok {
			return enc.AppendEvent(nil, &Event{Kind: KindBye, Err: why})
		}
	}
	return nil
}

// A seldom is for what may happen at any rate and is worth a line in the log once a second.
type seldom struct {
	mu    sync.Mutex
	last  time.Time
	times int
}

// due counts once more, and reports whether it is time for a line, and how often it happened since the last one.
func (s *seldom) due(now time.Time) (times int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times++
	if now.Sub(s.last) < time.Second {
		return 0, false
	}
	times = s.times
	s.last, s.times = now, 0
	return times, true
}
