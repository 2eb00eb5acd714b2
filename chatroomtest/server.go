package chatroomtest

import (
	"context"
	"net"
	"sync"
	"testing"

	"example.com/chatroom"
)

// A Server is a chatroom.Server for one test. It has no port: members join in process with
// Client, or over a pipe with Conn. It works inside a testing/synctest bubble, where it keeps the bubble's time.
type Server struct {
	chatroom.Server
	t       testing.TB
	serving sync.WaitGroup
}

// NewServer returns a server that is closed when the test ends, after its clients and connections. Unless
// an option sets other Limits, nobody in it is too fast.
func NewServer(t testing.TB, opts ...chatroom.Option) *Server {
	t.Helper()
	brisk := chatroom.WithLimits(chatroom.Limits{MessageRate: -1, MoveRate: -1})
	srv, err := chatroom.New(append([]chatroom.Option{brisk}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Server: srv, t: t}
	t.Cleanup(func() {
		srv.Close()
		s.serving.Wait()
	})
	return s
}

// Client joins in process, the default room if none is named. The test fails if that does. It
// may be closed before the test ends.
func (s *Server) Client(nick string, rooms ...string) chatroom.Client {
	s.t.Helper()
	c, err := s.Join(s.t.Context(), chatroom.Identity{Nick: nick}, rooms...)
	if err != nil {
		s.t.Fatalf("%s joins: %v", nick, err)
	}
	s.t.Cleanup(func() { c.Close() }) // it may be closed already
	return c
}

// Conn returns one end of a connection that the server serves. A pipe has no buffer: somebody
// has to read what the server writes. It may be closed before the test ends.
func (s *Server) Conn() net.Conn {
	near, far := net.Pipe()
	s.serving.Go(func() {
		_ = s.ServeConn(context.Background(), far) // how it ended shows at the other end
	})
	s.t.Cleanup(func() { near.Close() })
	return near
}
