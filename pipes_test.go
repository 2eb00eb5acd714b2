package chatroom_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/chatroom"
)

// A pipes is a listener whose connections are pipes, so that time in a bubble is theirs too.
type pipes struct {
	t      testing.TB
	queue  chan any // a net.Conn or an error
	once   sync.Once
	closed chan struct{}
}

func newPipes(t testing.TB) *pipes {
	return &pipes{t: t, queue: make(chan any), closed: make(chan struct{})}
}

// listen has the server serve pipes until the test ends, and checks what Serve returns then.
func listen(t testing.TB, srv chatroom.Server, want error) *pipes {
	l := newPipes(t)
	serve(t, srv, l, want)
	return l
}

// serve has the server serve l until the test ends, and checks what Serve returns then.
func serve(t testing.TB, srv chatroom.Server, l net.Listener, want error) {
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, want) {
			t.Errorf("Serve returned %v; want %v", err, want)
		}
	})
	t.Cleanup(func() {
		srv.Close()
		serving.Wait()
	})
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case next := <-l.queue:
		conn, _ := next.(net.Conn)
		err, _ := next.(error)
		return conn, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// fail makes Accept fail.
func (l *pipes) fail(err error) {
	l.queue <- err
	synctest.Wait()
}

// dial connects from that IP address, through what wraps make of the server's end.
func (l *pipes) dial(addr string, wraps ...func(net.Conn) net.Conn) *caller {
	near, far := net.Pipe()
	far = from(far, addr)
	for _, wrap := range wraps {
		far = wrap(far)
	}
	c := &caller{t: l.t, conn: near}
	var listening sync.WaitGroup
	listening.Go(c.listen)
	l.t.Cleanup(func() {
		near.Close()
		listening.Wait()
	})
	l.queue <- far
	return c
}

// farewell returns what was heard last if the server has hung up: "EOF" if that was nothing.
func (c *caller) farewell() string {
	heard := c.hear()
	switch {
	case !c.gone():
		return ""
	case heard == "":
		return "EOF"
	}
	return heard
}
