package pychat_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/adapters/pychat"
)

// An oldClient behaves as the clients of the Python chatroom do, in a synctest bubble.
type oldClient struct {
	t              testing.TB
	nick, password string
	lag            time.Duration // before each chunk it takes, in which others merge with it
	most           int           // bytes that come together; zero means 1,024
	slow           time.Duration // between the bytes of its nick

	conn net.Conn
	came chan struct{}

	mu    sync.Mutex
	wire  []byte // what has come, and is not received yet
	over  bool   // the server has hung up
	shown string
	ended string // why it ended
}

// connect connects one of them to the server. The fields that are set say how it behaves.
func connect(t testing.TB, srv chatroom.Server, c *oldClient) *oldClient {
	return connectFrom(t, srv, c, "")
}

func connectFrom(t testing.TB, srv chatroom.Server, c *oldClient, addr string) *oldClient {
	near, far := net.Pipe()
	if addr != "" {
		far = addressed{far, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 4000))}
	}
	c.t, c.conn, c.came = t, near, make(chan struct{}, 1)
	var running sync.WaitGroup
	running.Go(func() { _ = srv.ServeConn(context.Background(), far, pychat.Front{Home: "lobby", Location: time.UTC}) })
	running.Go(c.listen)
	running.Go(c.run)
	t.Cleanup(func() {
		near.Close()
		running.Wait()
	})
	return c
}

type addressed struct {
	net.Conn
	addr net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.addr }

// listen is the client's system: it takes what comes, whether the client wants it or not.
func (c *oldClient) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := c.conn.Read(buf)
		c.mu.Lock()
		c.wire = append(c.wire, buf[:n]...)
		c.over = err != nil
		c.mu.Unlock()
		select {
		case c.came <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// recv is recv(1024).
func (c *oldClient) recv() (chunk string, ok bool) {
	for {
		time.Sleep(c.lag)
		c.mu.Lock()
		n := min(len(c.wire), 1024)
		if c.most > 0 {
			n = min(n, c.most)
		}
		chunk, over := string(c.wire[:n]), c.over
		c.wire = c.wire[n:]
		c.mu.Unlock()
		switch {
		case n > 0:
			return chunk, true
		case over:
			return "", false
		}
		<-c.came
	}
}

// run is the client's receiving loop.
func (c *oldClient) run() {
	defer c.conn.Close()
	for {
		chunk, ok := c.recv()
		if !ok {
			c.end("hung up on")
			return
		}
		if strings.ContainsFunc(chunk, func(r rune) bool { return r >= 0x80 }) {
			c.t.Errorf("%s cannot decode %q", c.nick, chunk)
		}
		if chunk != "NICK" {
			c.mu.Lock()
			c.shown += chunk
			c.mu.Unlock()
			continue
		}
		c.sendNick()
		switch chunk, _ := c.recv(); chunk {
		case "BAN":
			c.end("banned")
			return
		case "pass":
			c.write(c.password)
			if chunk, _ := c.recv(); chunk == "Incorrect" {
				c.end("wrong password")
				return
			}
		}
	}
}

func (c *oldClient) sendNick() {
	if c.slow == 0 {
		c.write(c.nick)
		return
	}
	for i := range len(c.nick) {
		c.write(c.nick[i : i+1])
		time.Sleep(c.slow)
	}
}

func (c *oldClient) end(why string) {
	c.mu.Lock()
	c.ended = why
	c.mu.Unlock()
}

// write sends what the server takes; one that hangs up shows in recv.
func (c *oldClient) write(s string) { _, _ = c.conn.Write([]byte(s)) }

// send sends chunks, with hardly any time between them.
func (c *oldClient) send(chunks ...string) {
	for _, chunk := range chunks {
		c.write(chunk)
		time.Sleep(time.Millisecond)
	}
}

// sees waits for a while and returns what was shown since the last time, without blank space
// around it.
func (c *oldClient) sees() string {
	time.Sleep(time.Second)
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := c.shown
	c.shown = ""
	return strings.TrimSpace(shown)
}

// end returns why the client ended, if it has.
func (c *oldClient) why() string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// A newClient is somebody on another front, who reads lines.
type newClient struct {
	t    testing.TB
	conn net.Conn

	mu    sync.Mutex
	heard string
}

func join(t testing.TB, srv chatroom.Server, front chatroom.Front, first string) *newClient {
	near, far := net.Pipe()
	c := &newClient{t: t, conn: near}
	var running sync.WaitGroup
	running.Go(func() { _ = srv.ServeConn(context.Background(), far, front) })
	running.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := near.Read(buf)
			c.mu.Lock()
			c.heard += string(buf[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		near.Close()
		running.Wait()
	})
	c.send(first)
	c.hears("")
	return c
}

func (c *newClient) send(line string) {
	if _, err := c.conn.Write([]byte(line + "\n")); err != nil {
		c.t.Error(err)
	}
	synctest.Wait()
}

// hears checks that every one of these texts has come since the last time.
func (c *newClient) hears(texts ...string) {
	c.t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range texts {
		if !strings.Contains(c.heard, text) {
			c.t.Errorf("no %q in %q", text, c.heard)
		}
	}
	c.heard = ""
}
