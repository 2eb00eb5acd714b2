package client_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/chatroom"
)

// A wire is how to reach a server over connections that break.
type wire struct {
	connect func() net.Conn
	// reads and writes say after how many bytes a connection breaks, in the middle of whatever
	// is on its way; negative means never.
	reads, writes func() int

	mu    sync.Mutex
	down  bool // nobody gets through
	conns []*frail
	dials int
	cuts  atomic.Int64
}

var errDown = errors.New("the network is down")

func (w *wire) dial(context.Context) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials++
	if w.down {
		return nil, errDown
	}
	f := &frail{Conn: w.connect(), wire: w, reads: -1, writes: -1}
	if w.reads != nil {
		f.reads = w.reads()
	}
	if w.writes != nil {
		f.writes = w.writes()
	}
	w.conns = append(w.conns, f)
	return f, nil
}

// first is dial for the first connection.
func (w *wire) first(t *testing.T) net.Conn {
	t.Helper()
	conn, err := w.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// cut breaks all connections.
func (w *wire) cut() {
	w.mu.Lock()
	conns := w.conns
	w.conns = nil
	w.mu.Unlock()
	for _, f := range conns {
		f.cut()
	}
}

// down sets whether nobody gets through.
func (w *wire) setDown(down bool) {
	w.mu.Lock()
	w.down = down
	w.mu.Unlock()
}

// A frail connection breaks after so many bytes.
type frail struct {
	net.Conn
	wire          *wire
	reads, writes int // each owned by who reads or writes
	broken        sync.Once
}

func (f *frail) cut() {
	f.broken.Do(func() {
		f.wire.cuts.Add(1)
		f.Conn.Close()
	})
}

func (f *frail) Read(p []byte) (int, error) {
	if f.reads == 0 {
		f.cut()
		return 0, io.ErrUnexpectedEOF
	}
	if f.reads > 0 {
		p = p[:min(len(p), f.reads)]
	}
	n, err := f.Conn.Read(p)
	if f.reads > 0 {
		f.reads -= n
	}
	return n, err
}

func (f *frail) Write(p []byte) (int, error) {
	if f.writes < 0 {
		return f.Conn.Write(p)
	}
	n, err := f.Conn.Write(p[:min(len(p), f.writes)])
	f.writes -= n
	if err == nil && n < len(p) {
		f.cut()
		err = io.ErrClosedPipe
	}
	return n, err
}

// after returns a random number of bytes, half to one and a half times most.
func after(rng *rand.Rand, mean int) func() int {
	return func() int { return mean/2 + rng.IntN(mean) }
}

// record receives until the member ends, or until an event for which done holds.
func record(t *testing.T, c chatroom.Client, done func(*chatroom.Event) bool) (events []chatroom.Event) {
	for {
		e, err := c.Receive(context.Background())
		if err != nil {
			t.Errorf("Receive after %d events: %v", len(events), err)
			return events
		}
		events = append(events, e)
		if done(&e) {
			return events
		}
	}
}
