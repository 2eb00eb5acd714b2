package soak

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy stands between members and the server, and does to bytes what networks do: it cuts, stalls and
// delays connections, splits what was written into single bytes, and merges.
type proxy struct {
	net.Listener
	to      string
	calm    atomic.Bool // no more faults
	cuts    atomic.Int64
	running sync.WaitGroup

	mu   sync.Mutex
	rand *rand.Rand
}

func newProxy(to string, seed uint64) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{Listener: l, to: to, rand: rand.New(rand.NewPCG(seed, 1))}
	p.running.Go(p.accept)
	return p, nil
}

func (p *proxy) accept() {
	for {
		near, err := p.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.relay(near) })
	}
}

// relay relays one connection until one of its sides ends or it is cut.
func (p *proxy) relay(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer far.Close()
	over := make(chan struct{})
	var once sync.Once
	end := func() { once.Do(func() { close(over) }) }
	p.mu.Lock()
	up, down := rand.New(rand.NewPCG(p.rand.Uint64(), 2)), rand.New(rand.NewPCG(p.rand.Uint64(), 3))
	resets := [2]bool{p.rand.IntN(2) == 0, p.rand.IntN(2) == 0}
	p.mu.Unlock()
	p.running.Go(func() { p.pump(far, near, up, 4_000); end() })
	p.running.Go(func() { p.pump(near, far, down, 150_000); end() })
	<-over
	for i, c := range []net.Conn{near, far} {
		if resets[i] {
			c.(*net.TCPConn).SetLinger(0) // a reset instead of an end
		}
	}
}

// pump moves bytes, on average most of them, to a position chosen by chance.
func (p *proxy) pump(dst io.Writer, src net.Conn, r *rand.Rand, most float64) {
	left := int(r.ExpFloat64() * most)
	style := r.IntN(4)
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		for b := buf[:n]; len(b) > 0; {
			k := len(b)
			if !p.calm.Load() {
				if left == 0 {
					p.cuts.Add(1)
					return
				}
				switch {
				case style == 0 && r.IntN(8) == 0: // single bytes, for a while
					k = 1
				case style == 1:
					k = 1 + r.IntN(k)
				case style == 2: // what follows is merged
					time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
				}
				if r.IntN(2000) == 0 {
					time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
				}
				k = min(k, left)
				left -= k
			}
			if _, err := dst.Write(b[:k]); err != nil {
				return
			}
			b = b[k:]
		}
		if err != nil {
			return
		}
	}
}
