package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"

	"example.com/chatroom"
)

// moderators are those who may kick: a raw member and a caller.
var moderators = []string{"m0", "m0x", "m1", "m1x"}

// serve is the server process. It says when it listens, and shuts down at the end of its input.
func serve(addr string) error {
	srv, err := chatroom.New(
		chatroom.WithLimits(chatroom.Limits{
			Linger: linger, HistoryBytes: historyBytes, Lag: 16 << 20,
			MessageRate: -1, MoveRate: -1, ConnsPerAddr: -1, ConnRatePerAddr: -1, Notices: -1,
		}),
		chatroom.WithAuthenticator(chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
			id := chatroom.Identity{Nick: req.Nick}
			if slices.Contains(moderators, req.Nick) {
				id.Role = chatroom.RoleModerator
			}
			return id, nil
		})))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	fmt.Println("listening")
	_, _ = io.Copy(io.Discard, os.Stdin) // it only ends
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, chatroom.ErrServerClosed) {
		return err
	}
	return nil
}

// A server is the server process, one after the other on one address.
type server struct {
	t    *testing.T
	addr string
	cmd  *exec.Cmd // nil while there is none
	in   io.Closer
}

// newServer picks an address. Its port is none that a system gives to whoever asks for any: somebody
// else could have it before the next process listens.
func newServer(t *testing.T) *server {
	s := &server{t: t}
	for s.addr == "" {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.N(12_000)))
		if err == nil {
			s.addr = l.Addr().String()
			l.Close()
		}
	}
	t.Cleanup(func() { s.stop(true) })
	return s
}

func (s *server) start() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHATROOM_SOAK="+s.addr)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.in = cmd, in
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "listening\n" {
		s.t.Fatalf("the server said %q: %v", line, err)
	}
}

// stop ends the process, if there is one: it shuts down, or is killed.
func (s *server) stop(kill bool) {
	if s.cmd == nil {
		return
	}
	cmd := s.cmd
	s.cmd = nil
	if kill {
		if err := cmd.Process.Kill(); err != nil {
			s.t.Error(err)
		}
	}
	s.in.Close()
	if err := cmd.Wait(); err != nil && !kill {
		s.t.Errorf("the server: %v", err)
	}
}
