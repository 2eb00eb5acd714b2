package soak

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A network stands between members and the server, and does to bytes what networks do: it cuts, stalls and
// delays connections, splits what was written into single bytes, and merges. Of some connections only one side learns at once
// that they were cut, and of some the server learns only after that, when the member may be back.
type network struct {
	to           string
	calm         atomic.Bool // no more faults
	cuts         atomic.Int64
	halves, late atomic.Int64 // of these
	over         context.Context
	end          context.CancelFunc
	running      sync.WaitGroup
	routes       []net.Listener

	connecting sync.RWMutex // held from the look at down to the connection
	down       bool         // nobody gets through
}

func newNetwork(to string) *network {
	n := &network{to: to, down: true}
	n.over, n.end = context.WithCancel(context.Background())
	return n
}

// setDown says whether nobody gets through. Who was about to does, or does not, before it returns.
func (n *network) setDown(down bool) {
	n.connecting.Lock()
	defer n.connecting.Unlock()
	n.down = down
}

func (n *network) close() {
	n.end()
	for _, l := range n.routes {
		l.Close()
	}
	n.running.Wait()
}

// route returns where a member reaches the server. What happens to the member's connections is for the seed to say,
// whatever happens to others.
func (n *network) route(t *testing.T, seed uint64, member int) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.routes = append(n.routes, l)
	r := rand.New(rand.NewPCG(seed, 100+uint64(member)))
	n.running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			fate := newFate(r)
			n.running.Go(func() { n.relay(near, fate) })
		}
	})
	return l.Addr().String()
}

// A fate is what happens to a connection.
type fate struct {
	up, down *rand.Rand
	resets   [2]bool       // the member's side, the server's side: a reset instead of an end
	held     int           // the side that does not learn at once of a cut; 2 for none
	hold     time.Duration // how long it does not
	late     bool          // it is cut at once, and what was on its way arrives then
}

func newFate(r *rand.Rand) fate {
	return fate{
		up: rand.New(rand.NewPCG(r.Uint64(), 1)), down: rand.New(rand.NewPCG(r.Uint64(), 2)),
		resets: [2]bool{r.IntN(2) == 0, r.IntN(2) == 0},
		held:   min(r.IntN(8), 2), hold: time.Duration(r.IntN(1500)) * time.Millisecond,
		late: r.IntN(16) == 0,
	}
}

func (n *network) connect() (net.Conn, error) {
	n.connecting.RLock()
	defer n.connecting.RUnlock()
	if n.down {
		return nil, net.ErrClosed
	}
	return net.Dial("tcp", n.to)
}

// relay relays one connection until one of its sides ends or it is cut.
func (n *network) relay(near net.Conn, f fate) {
	defer near.Close()
	if f.late && !n.calm.Load() {
		n.arriveLate(near, f.hold)
		return
	}
	far, err := n.connect()
	if err != nil {
		return
	}
	defer far.Close()
	over := make(chan bool, 2) // whether it was cut
	n.running.Go(func() { over <- n.pump(far, near, f.up, 4_000) })
	n.running.Go(func() { over <- n.pump(near, far, f.down, 150_000) })
	cut := false
	select {
	case cut = <-over:
	case <-n.over.Done():
	}
	sides := []net.Conn{near, far}
	for i, c := range sides {
		if f.resets[i] {
			c.(*net.TCPConn).SetLinger(0)
		}
	}
	if cut && f.held < 2 {
		n.halves.Add(1)
		sides[1-f.held].Close()
		n.wait(f.hold)
	}
}

// arriveLate cuts a connection and lets what came first arrive all the same, after a while.
func (n *network) arriveLate(near net.Conn, hold time.Duration) {
	first := make([]byte, 4<<10)
	got, err := near.Read(first)
	near.Close()
	n.cuts.Add(1)
	n.late.Add(1)
	n.wait(hold)
	if err != nil {
		return
	}
	far, err := n.connect()
	if err != nil {
		return
	}
	defer far.Close()
	if _, err := far.Write(first[:got]); err == nil {
		n.wait(hold)
	}
}

func (n *network) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-n.over.Done():
	}
}

// pump moves bytes, on average most of them, to a position chosen by chance, and reports whether it has come there.
func (n *network) pump(dst io.Writer, src net.Conn, r *rand.Rand, most float64) (cut bool) {
	left := int(r.ExpFloat64() * most)
	style := r.IntN(4)
	buf := make([]byte, 32<<10)
	for {
		got, err := src.Read(buf)
		for b := buf[:got]; len(b) > 0; {
			k := len(b)
			if !n.calm.Load() {
				if left == 0 {
					n.cuts.Add(1)
					return true
				}
				k = min(left, n.mangle(k, style, r))
				left -= k
			}
			if _, err := dst.Write(b[:k]); err != nil {
				return false
			}
			b = b[k:]
		}
		if err != nil {
			return false
		}
	}
}

// mangle waits sometimes, and returns how many of k bytes go on at once.
func (n *network) mangle(k, style int, r *rand.Rand) int {
	pause := time.Duration(0)
	switch {
	case style == 0 && r.IntN(8) == 0: // single bytes, for a while
		k = 1
	case style == 1:
		k = 1 + r.IntN(k)
	case style == 2: // what follows is merged
		pause = time.Duration(r.IntN(5)) * time.Millisecond
	}
	if r.IntN(2000) == 0 {
		pause = time.Duration(r.IntN(400)) * time.Millisecond
	}
	if pause > 0 {
		n.wait(pause)
	}
	return k
}
