//go:build unix

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A talker is the example client with something piped into it.
type talker struct {
	*program
	keys *os.File
}

func startClient(t *testing.T, nick, addr string, args ...string) *talker {
	t.Helper()
	stdin, keys := pipe(t)
	p := start(t, stdin, "client", append([]string{"-addr", addr, "-nick", nick}, args...)...)
	p.out.sees("--> " + nick + " joined")
	return &talker{p, keys}
}

func (c *talker) says(text string) { fmt.Fprintln(c.keys, text) }

// leaves ends the input, and checks that the client leaves.
func (c *talker) leaves() {
	c.t.Helper()
	c.keys.Close()
	c.exits(0)
	if rest := c.stderr.rest(); rest != "" {
		c.t.Errorf("%s says %q", c.cmd, rest)
	}
}

// kill ends the server as nothing can prevent.
func (s *server) kill() {
	s.t.Helper()
	s.signals(syscall.SIGKILL)
	_ = s.wait() // it was killed
}

func TestClientsOutliveAKilledServer(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	for name, args := range map[string][]string{"plain": nil, "over TLS": {"-tls-cert", cert, "-tls-key", key}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var secure []string
			if args != nil {
				secure = []string{"-ca", cert}
			}
			srv := startServer(t, args...)
			ann, bob := startClient(t, "ann", srv.addr, secure...), startClient(t, "bob", srv.addr, secure...)
			ann.says("one")
			bob.out.sees("<ann> one\n")
			ann.out.sees("<ann> one\n")
			srv.kill()
			for _, c := range []*talker{ann, bob} {
				c.out.sees("--- Connection lost; trying again…\n")
			}
			ann.says("two")
			startServer(t, append(args, "-addr", srv.addr)...)
			for _, c := range []*talker{ann, bob} {
				c.out.sees("--- Back. The room began anew: what happened meanwhile cannot be known.\n", "--- You are ", "<ann> two\n")
			}
			ann.says("three")
			bob.out.sees("<ann> three\n")
			ann.leaves()
			bob.leaves()
			if rest := ann.out.rest() + bob.out.rest(); strings.Contains(rest, "<ann> two") {
				t.Errorf("it was said twice: %q", rest)
			}
		})
	}
}

func TestAClientShowsWhatWasSaidWhileItWasCutOff(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	for name, args := range map[string][]string{"plain": nil, "over TLS": {"-tls-cert", cert, "-tls-key", key}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var secure []string
			if args != nil {
				secure = []string{"-ca", cert}
			}
			srv := startServer(t, args...)
			r := newRelay(t, srv.addr)
			ann, bob := startClient(t, "ann", r.addr, secure...), startClient(t, "bob", srv.addr, secure...)
			ann.out.sees("--> bob joined\n")
			r.close(true)
			ann.out.sees("--- Connection lost; trying again…\n")
			bob.says("one")
			bob.says("/msg ann two")
			bob.says("three")
			bob.out.sees("<bob> three\n")
			ann.says("four")
			r.close(false)
			if got := ann.out.before("<ann> four\n"); strings.Count(got, "\n") != 4 {
				t.Errorf("ann saw %q", got)
			} else {
				for i, want := range []string{"--- Back; 2 missed:", " <bob> one", " <bob> three", " [bob -> ann] two"} {
					if line := strings.Split(got, "\n")[i]; !strings.HasSuffix(line, want) {
						t.Errorf("ann saw %q where %q was due", line, want)
					}
				}
			}
			bob.out.sees("<ann> four\n")
			ann.leaves()
			bob.leaves()
		})
	}
}

// A relay passes connections on to a server while it is open.
type relay struct {
	addr string

	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String()}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { r.pass(near, to) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.close(true)
		passing.Wait()
	})
	return r
}

// pass passes on what both sides say, until one of them ends or the relay is closed.
func (r *relay) pass(near net.Conn, to string) {
	defer near.Close()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	r.mu.Lock()
	closed := r.closed
	r.conns = append(r.conns, near, far)
	r.mu.Unlock()
	if closed {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(near, far)
		near.Close()
	})
	_, _ = io.Copy(far, near)
	far.Close()
	back.Wait()
}

// close lets nobody through any more, or again.
func (r *relay) close(closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = closed
	for _, conn := range r.conns {
		conn.Close()
	}
	r.conns = nil
}
