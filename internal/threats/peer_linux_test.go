package threats

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/chatroom/internal/histogram"
)

// A peer is a connection to a server, of whatever sort.
type peer struct {
	*net.TCPConn
	in *bufio.Reader
}

// address returns one of this machine's addresses, which are many. Each kind of peer has a block of its own.
func address(block, i int) net.IP { return net.IPv4(127, byte(block), byte(i/250), byte(1+i%250)) }

// Blocks of addresses.
const (
	homes   = 1 + iota // where members are
	visits             // where those are who come, look and go
	attacks            // and further on
)

// dial connects from an address to a server. Nothing there takes longer than patience.
func dial(addr string, from net.IP) (*peer, error) { return dialDeaf(addr, from, 0) }

// dialDeaf is dial with a receive buffer of that many bytes.
func dialDeaf(addr string, from net.IP, buffer int) (*peer, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: patience, KeepAlive: -1}
	d.ControlContext = func(_ context.Context, _, _ string, c syscall.RawConn) (err error) {
		if buffer > 0 {
			err = errors.Join(err, c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer)
			}))
		}
		return err
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &peer{conn.(*net.TCPConn), bufio.NewReader(conn)}, nil
}

// mustDial is dial for who cannot do without.
func mustDial(t *testing.T, addr string, from net.IP) *peer {
	t.Helper()
	p, err := dial(addr, from)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) say(line string) error {
	_, err := p.Write([]byte(line + "\n"))
	return err
}

// drop resets the connection, which leaves nothing behind on either side.
func (p *peer) drop() {
	_ = p.SetLinger(0)
	p.Close()
}

func (p *peer) join(nick string) error { return p.joinRoom(nick, "lobby") }

// joinRoom becomes a member. The first answer decides.
func (p *peer) joinRoom(nick, room string) error {
	p.SetDeadline(time.Now().Add(patience))
	defer p.SetDeadline(time.Time{})
	if err := p.say(`{"type":"join","nick":"` + nick + `","room":"` + room + `"}`); err != nil {
		return err
	}
	for {
		line, err := p.in.ReadSlice('\n')
		switch {
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		case bytes.HasPrefix(line, []byte(`{"type":"welcome"`)):
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = p.in.ReadSlice('\n')
			}
			return err
		case line[0] == '{':
			return fmt.Errorf("%s was told %s", nick, line)
		}
	}
}

// visit joins, leaves, and returns how long the first took.
func visit(addr string, from net.IP, nick string) (time.Duration, error) {
	began := time.Now()
	p, err := dial(addr, from)
	if err != nil {
		return 0, err
	}
	defer p.drop()
	if err := p.join(nick); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// A member has joined, reads what it is told, and answers pings.
type member struct {
	*peer
	nick string
	over chan struct{} // closed when it has ended
	last string        // the last line it was told; set before over is closed
}

// enter makes members one after the other that hear each line until the test ends or they leave; hear may be nil.
func enter(t *testing.T, addr string, from net.IP, nick string, hear func(line []byte)) *member {
	t.Helper()
	p := mustDial(t, addr, from)
	t.Cleanup(p.drop)
	if err := p.join(nick); err != nil {
		t.Fatal(err)
	}
	return listen(t, p, nick, hear)
}

// listen has somebody who has joined hear each line.
func listen(t *testing.T, p *peer, nick string, hear func(line []byte)) *member {
	m := &member{peer: p, nick: nick, over: make(chan struct{})}
	m.in = bufio.NewReaderSize(p.in, 64<<10)
	go func() {
		defer close(m.over)
		m.read(hear)
	}()
	t.Cleanup(m.leave)
	return m
}

func (m *member) read(hear func(line []byte)) {
	for {
		line, err := m.in.ReadSlice('\n')
		if err != nil {
			return
		}
		if bytes.HasPrefix(line, []byte(`{"type":"ping"`)) {
			_ = m.say(`{"type":"pong"}`) // reading tells of its end
		}
		if bytes.HasPrefix(line, []byte(`{"type":"bye"`)) {
			m.last = string(line)
		}
		if hear != nil {
			hear(line)
		}
	}
}

// leave hangs up.
func (m *member) leave() {
	m.drop()
	<-m.over
}

// here reports whether the member has not ended.
func (m *member) here() bool {
	select {
	case <-m.over:
		return false
	default:
		return true
	}
}

// crowd makes that many members, of whom hear hears all they are told, together.
func crowd(t *testing.T, addr string, n int, hear func(line []byte)) (all []*member) {
	t.Helper()
	for i := range n {
		all = append(all, enter(t, addr, address(homes, i), fmt.Sprintf("m%04d", i), hear))
	}
	return all
}

// Delays are how long something took, each time. They may be added to from many goroutines. They take as much memory for millions as
// for a few: growing would stop those who add to them, and they are to measure others.
type delays struct {
	mu  sync.Mutex
	all histogram.Histogram
}

func (d *delays) add(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all.Add(took)
}

// quantile returns a duration that the fraction q does not exceed.
func (d *delays) quantile(q float64) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all.Quantile(q).Round(10 * time.Microsecond)
}

func (d *delays) p99() time.Duration { return d.quantile(0.99) }

func (d *delays) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all.Total()
}

func (d *delays) String() string {
	return fmt.Sprintf("%d, p50 %v, p99 %v, worst %v", d.count(), d.quantile(0.5), d.p99(), d.quantile(1))
}

// A probe is a moderator, whom no rate is for, who says something again and again, until it has heard itself each time.
type probe struct {
	delays
	m     *member
	heard chan struct{}
	stop  chan struct{}
	over  chan struct{}
}

// newProbe begins to probe a room, every so often.
func newProbe(t *testing.T, s *server, every time.Duration) *probe {
	t.Helper()
	p := &probe{heard: make(chan struct{}, 1), stop: make(chan struct{}), over: make(chan struct{})}
	p.m = enter(t, s.addr, address(homes, 1000), "mod-probe", func(line []byte) {
		if bytes.HasPrefix(line, []byte(`{"type":"message"`)) && bytes.Contains(line, []byte(`"from":"mod-probe"`)) {
			p.heard <- struct{}{}
		}
	})
	go p.run(every)
	return p
}

func (p *probe) run(every time.Duration) {
	defer close(p.over)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		began := time.Now()
		if p.m.say(`{"type":"say","text":"probe"}`) != nil {
			return
		}
		select {
		case <-p.heard:
			p.add(time.Since(began))
		case <-p.m.over:
			return
		}
		select {
		case <-tick.C:
		case <-p.stop:
			return
		}
	}
}

// end ends it, and checks that the room was never slow.
func (p *probe) end(t *testing.T, most time.Duration) {
	t.Helper()
	close(p.stop)
	<-p.over
	if !p.m.here() {
		t.Errorf("the probe has ended: %s", strings.TrimSpace(p.m.last))
	}
	p.m.leave()
	atMost(t, "p99 of a room's delay", p.p99(), most)
}
