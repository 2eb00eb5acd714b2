//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"example.com/chatroom/internal/histogram"
)

// A generator is all the members of a server. One goroutine waits for all connections at once, reads in large pieces and
// checks what it reads; only paced speakers have another one. So its methods are for one goroutine.
type generator struct {
	ctx   context.Context // ends everything
	kind  kind
	addr  netip.AddrPort
	began time.Time
	epoll int
	conns []*conn
	ready [256]syscall.EpollEvent
	buf   []byte

	joined    int
	senders   []*sender
	heard     int64 // when anybody was last told something that is no message, since began
	delivered uint64
	received  uint64 // bytes
	reads     uint64
	faults    faults
	err       error // why the generator cannot go on

	// What is measured, while it is.
	measuring bool
	since     int64
	delays    histogram.Histogram
	pause     int64 // the longest a member waited for something
}

// readBytes is how much is read at once. TLS gives a record at a time.
const readBytes = 256 << 10

func newGenerator(ctx context.Context, k kind, addr string) (*generator, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	return &generator{ctx: ctx, kind: k, addr: to, began: time.Now(), epoll: fd, buf: make([]byte, readBytes)}, nil
}

// close ends all connections.
func (g *generator) close() {
	for _, c := range g.conns {
		syscall.Close(c.fd)
	}
	syscall.Close(g.epoll)
}

func (g *generator) now() int64 { return int64(time.Since(g.began)) }

// arriving is how many members join at the same time.
const arriving = 64

// join brings n more members in, and returns once each has been welcomed.
func (g *generator) join(n int) error {
	want, dialing := g.joined+n, 0
	type dialed struct {
		conn *conn
		err  error
	}
	arrivals := make(chan dialed, arriving)
	defer func() {
		for ; dialing > 0; dialing-- {
			if d := <-arrivals; d.err == nil {
				syscall.Close(d.conn.fd)
			}
		}
	}()
	return g.until(10*time.Minute, "join", func() bool {
		for len(g.conns)+dialing < want && len(g.conns)+dialing-g.joined < arriving {
			go func() { // as a TLS handshake waits for the server
				c, err := dial(g.addr, g.kind.tls)
				arrivals <- dialed{c, err}
			}()
			dialing++
		}
		for ; len(arrivals) > 0; dialing-- {
			if d := <-arrivals; d.err != nil {
				g.err = d.err
			} else {
				g.admit(d.conn)
			}
		}
		return g.joined == want
	})
}

// admit makes c one of the generator's connections and asks to join.
func (g *generator) admit(c *conn) {
	number := len(g.conns)
	g.conns = append(g.conns, c)
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(number)}
	if err := syscall.EpollCtl(g.epoll, syscall.EPOLL_CTL_ADD, c.fd, &event); err != nil {
		g.err = os.NewSyscallError("epoll_ctl", err)
		return
	}
	if _, err := c.io.Write(g.kind.wire.joinLine(nick(number))); err != nil {
		g.err = err
	}
}

// until reads until done, for limit at most.
func (g *generator) until(limit time.Duration, what string, done func() bool) error {
	late := time.Now().Add(limit)
	for !done() {
		if err := cmp.Or(g.err, g.ctx.Err()); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if time.Now().After(late) {
			return fmt.Errorf("%s: not done after %v; %d of %d have joined; faults: %v", what, limit, g.joined, len(g.conns), g.faults)
		}
		g.poll(time.Millisecond)
	}
	return g.err
}

// run reads for d.
func (g *generator) run(d time.Duration) error {
	end := g.now() + int64(d)
	return g.until(2*d+time.Second, "run", func() bool { return g.now() >= end })
}

// settle reads until nothing has come for a while.
func (g *generator) settle() error {
	g.heard = g.now()
	return g.until(time.Minute, "settle", func() bool { return g.now()-g.heard > int64(300*time.Millisecond) })
}

// await reads until f has returned.
func await[T any](g *generator, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		v, err := f()
		results <- result{v, err}
	}()
	for {
		select {
		case r := <-results:
			return r.value, errors.Join(r.err, g.err)
		default:
			g.poll(time.Millisecond)
		}
	}
}

// poll reads once from each connection that has something to read, and waits for that.
func (g *generator) poll(wait time.Duration) {
	n, err := syscall.EpollWait(g.epoll, g.ready[:], int(wait.Milliseconds()))
	if err != nil && err != syscall.EINTR {
		g.err = os.NewSyscallError("epoll_wait", err)
		return
	}
	for i := range max(n, 0) {
		g.read(g.conns[g.ready[i].Fd])
	}
}

// read reads from a connection once; with TLS, until there is nothing left, as some may be decrypted already.
func (g *generator) read(c *conn) {
	for again := true; again && !c.gone; again = c.tls {
		kept := copy(g.buf, c.left)
		n, err := c.io.Read(g.buf[kept:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if n == 0 && err != nil {
			g.lose(c)
			return
		}
		g.received += uint64(n)
		g.reads++
		now := g.now()
		if g.measuring {
			g.pause = max(g.pause, now-max(c.heard, g.since))
		}
		c.heard = now
		b := g.buf[:kept+n]
		whole := g.take(c, b, now)
		c.left = append(c.left[:0], b[whole:]...)
		if len(c.left) == len(g.buf) {
			g.err = errors.New("a line without end")
			return
		}
	}
	if c.speaks != nil {
		g.refill(c)
	}
}

// lose notes that a connection has ended.
func (g *generator) lose(c *conn) {
	c.gone = true
	g.faults.gone++
	g.ignore(c)
	if !c.joined {
		g.err = fmt.Errorf("a member was turned away: %q", c.told)
	}
}

// ignore reads from c no longer.
func (g *generator) ignore(c *conn) {
	if err := syscall.EpollCtl(g.epoll, syscall.EPOLL_CTL_DEL, c.fd, nil); err != nil {
		g.err = os.NewSyscallError("epoll_ctl", err)
	}
}

// take takes whole lines that were received at the time now, and returns where the first that is not whole begins.
func (g *generator) take(c *conn, b []byte, now int64) int {
	w := g.kind.wire
	for begin := 0; ; {
		n := bytes.IndexByte(b[begin:], '\n') + 1
		if n == 0 {
			return begin
		}
		line := b[begin : begin+n]
		begin += n
		text, ok := w.message(line)
		if !ok {
			g.takeOther(c, line, now)
			continue
		}
		p, ok := parsePayload(text)
		if !ok {
			g.faults.damaged++
			continue
		}
		if !c.check.take(p, &g.faults) {
			continue
		}
		g.delivered++
		if g.measuring {
			g.delays.Add(time.Duration(now - p.sent))
		}
	}
}

// takeOther takes a line that is no message.
func (g *generator) takeOther(c *conn, line []byte, now int64) {
	w := g.kind.wire
	if w.isPing(line) {
		if _, err := c.io.Write([]byte(w.pong)); err != nil {
			g.lose(c)
		}
		return
	}
	g.heard = now
	switch {
	case c.joined:
	case w.isWelcome(line):
		c.joined = true
		g.joined++
	default:
		c.told = string(line)
	}
}

// Progress is how far a generator has come at a moment.
type progress struct {
	at                         time.Time
	cpu                        time.Duration
	delivered, received, reads uint64
}

func (g *generator) progress() (progress, error) {
	cpu, err := processTime()
	return progress{time.Now(), cpu, g.delivered, g.received, g.reads}, err
}

// measure begins to measure.
func (g *generator) measure() {
	g.delays, g.pause, g.since, g.measuring = histogram.Histogram{}, 0, g.now(), true
}

// measured ends that.
func (g *generator) measured() {
	g.measuring = false
	now := g.now()
	for _, c := range g.conns {
		if !c.stuck && !c.gone {
			g.pause = max(g.pause, now-max(c.heard, g.since))
		}
	}
}
