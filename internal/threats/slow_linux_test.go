package threats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/chatroom"
)

// Who connects and says nothing, or a byte a second, is hung up on in time, and keeps nobody waiting.
func TestThreat01SlowHandshakes(t *testing.T) {
	n, limit := pick(1000, 100), pick(10*time.Second, 2*time.Second)
	s := start(t, setup{Limits: chatroom.Limits{Handshake: limit, Handshakes: 3 * n}})
	if _, err := visit(s.addr, address(visits, 0), "first"); err != nil {
		t.Fatal(err)
	}
	base := s.returnsTo(footing{s.files(), s.base + 2})

	var held delays
	var running sync.WaitGroup
	var dripping []*peer
	for i := range 2 * n {
		began := time.Now()
		p := mustDial(t, s.addr, address(attacks, i/20))
		if i < n {
			dripping = append(dripping, p)
		}
		running.Go(func() {
			defer p.drop()
			p.SetDeadline(time.Now().Add(limit + patience))
			if _, err := io.Copy(io.Discard, p.in); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("who is slow is not hung up on")
			}
			held.add(time.Since(began))
		})
	}
	there := s.ask(look)
	stop := make(chan struct{})
	running.Go(func() { drip(dripping, stop) })
	var joins delays
	for i := range pick(100, 20) {
		took, err := visit(s.addr, address(visits, i/20), fmt.Sprint("v", i))
		if err != nil {
			t.Error(err)
		}
		joins.add(took)
		<-time.After(limit / time.Duration(pick(125, 25)))
	}
	eventually(t, "all who are slow are gone", func() bool { return held.count() == 2*n })
	close(stop)
	running.Wait()
	is := s.returnsTo(base)
	t.Logf("%d silent and %d dripping: hung up on after %v to %v; joins meanwhile: %v; goroutines %d, %d, %d", n, n, held.quantile(0), held.quantile(1), &joins,
		base.goroutines, there.Goroutines, is.goroutines)
	if held.quantile(0) < limit-10*time.Microsecond { // as it is rounded
		t.Errorf("some were hung up on after %v", held.quantile(0))
	}
	atMost(t, "the last to be hung up on", held.quantile(1), limit+time.Second)
	atMost(t, "p99 of the joins", joins.p99(), 100*time.Millisecond)
}

// drip sends a byte a second to each.
func drip(all []*peer, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for line := []byte(`{"type":"join","nick":"slow","room":"lobby"}`); ; line = line[1:] {
		for _, p := range all {
			_, _ = p.Write(line[:1]) // reading tells of its end
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// A hole is a way to a server that ceases to carry anything, in either direction, and closes nothing.
type hole struct {
	listener net.Listener
	to       string
	open     chan struct{} // closed when it carries nothing any more
	over     chan struct{}
	running  sync.WaitGroup
}

func newHole(t *testing.T, to string) *hole {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hole{listener: l, to: to, open: make(chan struct{}), over: make(chan struct{})}
	h.running.Go(func() {
		for i := 0; ; i++ {
			near, err := l.Accept()
			if err != nil {
				return
			}
			h.running.Go(func() { h.relay(near, address(attacks, i)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(h.over)
		h.running.Wait()
	})
	return h
}

func (h *hole) relay(near net.Conn, from net.IP) {
	defer near.Close()
	far, err := dial(h.to, from)
	if err != nil {
		return
	}
	defer far.drop()
	h.running.Go(func() { h.pump(far, near) })
	h.running.Go(func() { h.pump(near, far) })
	<-h.over
}

func (h *hole) pump(dst io.Writer, src io.Reader) {
	buf := make([]byte, 4<<10)
	for {
		n, err := src.Read(buf)
		select {
		case <-h.open:
			return
		default:
		}
		if _, werr := dst.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// Whoever has vanished without a word is found, and the room is told.
func TestThreat02HalfOpen(t *testing.T) {
	n, limits := pick(100, 50), pick(chatroom.Limits{}, chatroom.Limits{Idle: 500 * time.Millisecond, Pong: 2500 * time.Millisecond})
	silence := pick(40*time.Second, 3*time.Second)
	s := start(t, setup{Limits: limits})
	var left atomic.Int64
	witness := enter(t, s.addr, address(homes, 0), "witness", func(line []byte) { left.Add(leaves(line)) })
	base := s.returnsTo(footing{s.files(), s.base + 2})
	h := newHole(t, s.addr)
	for i := range n {
		enter(t, h.listener.Addr().String(), address(homes, i), fmt.Sprintf("m%04d", i), nil)
	}
	if there := s.ask(look); there.Conns != n+1 {
		t.Fatalf("%d connections", there.Conns)
	}
	began := time.Now()
	close(h.open)
	for left.Load() < int64(n) && time.Since(began) < pick(silence+patience, patience) {
		<-time.After(10 * time.Millisecond)
	}
	took := time.Since(began)
	is := s.returnsTo(base)
	v := s.ask(look)
	t.Logf("%d of %d have left after %v; members %d, connections %d, files %d as before them", left.Load(), n, took.Round(10*time.Millisecond), v.Members, v.Conns, is.files)
	if left.Load() != int64(n) || v.Ended[chatroom.CodeTimeout] != uint64(n) || !witness.here() {
		t.Errorf("%d have left, of whom %v have ended; the witness is here: %v", left.Load(), v.Ended, witness.here())
	}
	atMost(t, "all have left", took, silence+time.Second) // which is when they are told of together
}

// leaves returns how many members left, as a line tells.
func leaves(line []byte) int64 {
	switch {
	case bytes.HasPrefix(line, []byte(`{"type":"leave"`)):
		return 1
	case bytes.HasPrefix(line, []byte(`{"type":"crowd"`)):
		var c struct {
			Count int64 `json:"left_count"`
		}
		if json.Unmarshal(line, &c) == nil {
			return c.Count
		}
	}
	return 0
}
