package pychat_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/adapters/pychat"
	"example.com/chatroom/chatroomtest"
)

// The script in testdata is a client of flesh and blood: another language, a socket, and chunks as TCP makes
// them. There is no bubble here, and nothing that depends on time but how long it takes.
func TestAPythonClient(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	srv := chatroomtest.NewServer(t,
		chatroom.WithAuthenticator(chatroom.AuthenticatorFunc(accounts)), chatroom.WithLimits(chatroom.Limits{Sniff: 10 * time.Millisecond, MessageRate: -1, MoveRate: -1}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l, pychat.Front{Home: "lobby"}) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	run := func(args ...string) *script {
		host, port, _ := net.SplitHostPort(l.Addr().String())
		return start(t, python, append([]string{"testdata/client.py", host, port}, args...)...)
	}
	bob := srv.Client("bob")

	ann := run("ann")
	ann.shows("Successfully Connected to Server", "ann has just joined the chat !")
	ann.types("hello", "is anybody here?")
	ann.shows("ann: hello", "ann: is anybody here?")
	if _, err := bob.Send(t.Context(), chatroom.Say("", "voilà, NICK")); err != nil {
		t.Fatal(err)
	}
	ann.shows("bob: voila, NICK")

	run("bob").shows("bob is taken", "END: the server hung up")
	run("admin", "friend").shows("END: the password was wrong")
	admin := run("admin", "sesame")
	admin.shows("You are admin")
	admin.types("$kick ann")
	ann.shows("You were kicked", "END: the server hung up")
	ann = run("ann")
	ann.shows("ann has just joined the chat !")
	admin.types("$ban ann")
	ann.shows("You were kicked", "END: the server hung up")
	run("ann").shows("END: banned")
	admin.types("that is that")
	admin.in.Close()
	admin.shows("admin: that is that", "Goodbye", "END: the server hung up")
}

// A script is a program that is run, until the test ends.
type script struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t *testing.T, name string, args ...string) *script {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	cmd := exec.CommandContext(ctx, name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cancel()
		_ = cmd.Wait() // it was killed
	})
	return &script{t, in, bufio.NewScanner(out)}
}

func (s *script) types(lines ...string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, strings.Join(lines, "\n")+"\n"); err != nil {
		s.t.Fatal(err)
	}
}

// shows reads on until these texts have been shown, one line after another.
func (s *script) shows(texts ...string) {
	s.t.Helper()
	var seen []string
	for _, text := range texts {
		for found := false; !found; found = strings.Contains(s.out.Text(), text) {
			if !s.out.Scan() {
				s.t.Fatalf("no %q in %q", text, seen)
			}
			seen = append(seen, s.out.Text())
		}
	}
}
