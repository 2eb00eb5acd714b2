package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.com/chatroom"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves on a port of its own.
func serve(t *testing.T, opts ...chatroom.Option) (srv chatroom.Server, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, opts...), l.Addr().String()
}

func serveOn(t *testing.T, l net.Listener, opts ...chatroom.Option) chatroom.Server {
	t.Helper()
	brisk := chatroom.WithLimits(chatroom.Limits{MessageRate: -1, ConnRatePerAddr: -1})
	srv, err := chatroom.New(append([]chatroom.Option{brisk}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return srv
}

// A program is run, between pipes.
type program struct {
	stdin          *os.File
	stdout, stderr *bufio.Reader
	stop           context.CancelFunc
	exit           chan int
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	t.Setenv("USER", "")
	ctx, stop := context.WithCancel(t.Context())
	in, keys := pipe(t)
	out, outEnd := pipe(t)
	errs, errsEnd := pipe(t)
	p := &program{keys, bufio.NewReader(out), bufio.NewReader(errs), stop, make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.exit <- run(ctx, args, in, outEnd, errsEnd)
		outEnd.Close()
		errsEnd.Close()
	}()
	t.Cleanup(func() {
		stop()
		keys.Close()
		<-ended
	})
	return p
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// exits checks how the program ends, and returns what it said before that.
func (p *program) exits(t *testing.T, code int) (stdout, stderr string) {
	t.Helper()
	if got := <-p.exit; got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	out, _ := io.ReadAll(p.stdout)
	errs, _ := io.ReadAll(p.stderr)
	return string(out), string(errs)
}

// sees reads lines up to one that ends in text.
func sees(t *testing.T, r *bufio.Reader, text string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("no %q: %v", text, err)
		}
		if strings.HasSuffix(line, text+"\n") {
			return
		}
	}
}

func TestPipedLinesAreSaidAndAcknowledgedBeforeLeaving(t *testing.T) {
	_, addr := serve(t)
	p := start(t, "-addr", addr, "-nick", "ann", "-room", "tea")
	fmt.Fprint(p.stdin, "one\r\n\n/frobnicate\n/me waves\n/rooms\n/history 2\nthe last line has no end")
	p.stdin.Close()
	stdout, stderr := p.exits(t, 0)
	for _, want := range []string{
		"--- You are ann, in tea.\n", "--> ann joined\n", " <ann> one\n", " * ann waves\n",
		"--- tea (1)\n", "--- Earlier here (2 of 3):\n", " <ann> the last line has no end\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in %q", want, stdout)
		}
	}
	if strings.Contains(stdout, "\x1b") {
		t.Errorf("a pipe got colours: %q", stdout)
	}
	if want := "!!! unknown command; /help lists those there are, // says a slash.\n"; stderr != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}

func TestFarewellIsShown(t *testing.T) {
	srv, addr := serve(t)
	p := start(t, "-addr", addr, "-nick", "ann")
	sees(t, p.stdout, "ann joined")
	if _, err := srv.Moderate(t.Context(), chatroom.Kick("ann", "enough")); err != nil {
		t.Fatal(err)
	}
	stdout, _ := p.exits(t, 1)
	if !strings.Contains(stdout, "--- Goodbye: ") || !strings.Contains(stdout, "enough") {
		t.Errorf("stdout %q", stdout)
	}
}

// A relay passes connections on to a server, and cuts them.
type relay struct {
	addr   string
	passed chan struct{} // holds one for each connection, up to a hundred
	mu     sync.Mutex
	to     string // empty while nobody gets through
	all    []net.Conn
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), passed: make(chan struct{}, 100), to: to}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := r.connect(here)
			if err != nil {
				here.Close()
				continue
			}
			pass := func(a, b net.Conn) {
				_, _ = io.Copy(a, b)
				a.Close()
				b.Close()
			}
			passing.Go(func() { pass(here, there) })
			passing.Go(func() { pass(there, here) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.cut()
		passing.Wait()
	})
	return r
}

func (r *relay) connect(here net.Conn) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == "" {
		return nil, errors.New("nobody gets through")
	}
	there, err := net.Dial("tcp", r.to)
	if err == nil {
		r.all = append(r.all, here, there)
		select {
		case r.passed <- struct{}{}:
		default:
		}
	}
	return there, err
}

// leads cuts what there is and makes the relay lead to another address, or to nobody if it is empty.
func (r *relay) leads(to string) {
	r.mu.Lock()
	r.to = to
	r.mu.Unlock()
	r.cut()
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.all {
		conn.Close()
	}
	r.all = nil
}

func TestPipedLinesAreSaidAsFastAsTheServerAllows(t *testing.T) {
	srv, addr := serve(t, chatroom.WithLimits(chatroom.Limits{MessageRate: 50}))
	bob, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "-addr", addr, "-nick", "ann")
	sees(t, p.stdout, "ann joined")
	const lines = 20
	for i := range lines {
		fmt.Fprintln(p.stdin, "line", i)
	}
	for next := 0; next < lines; {
		e, err := bob.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == chatroom.KindMessage {
			if want := fmt.Sprint("line ", next); e.Text != want {
				t.Fatalf("ann said %q where %q was due", e.Text, want)
			}
			next++
		}
	}
	p.stdin.Close()
	if _, stderr := p.exits(t, 0); stderr != "" {
		t.Errorf("stderr: %q", stderr)
	}
}

func TestPipedLinesAreSaidOnceAcrossCuts(t *testing.T) {
	srv, addr := serve(t)
	r := newRelay(t, addr)
	bob, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "-addr", r.addr, "-nick", "ann")
	sees(t, p.stdout, "ann joined")
	const lines = 200
	go func() {
		for i := range lines {
			fmt.Fprintln(p.stdin, "line", i)
			if i%50 == 25 {
				r.cut()
			}
		}
	}()
	for next := 0; next < lines; {
		e, err := bob.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == chatroom.KindLeave {
			t.Errorf("%s left: %s", e.From, e.Text)
		}
		if e.Kind == chatroom.KindMessage {
			if want := fmt.Sprint("line ", next); e.Text != want {
				t.Fatalf("ann said %q where %q was due", e.Text, want)
			}
			next++
		}
	}
	p.stdin.Close()
	stdout, stderr := p.exits(t, 0)
	if n := strings.Count(stdout, "<ann> line "); n != lines || stderr != "" {
		t.Errorf("it showed %d lines, and %q", n, stderr)
	}
	if !strings.Contains(stdout, "--- Connection lost") || !strings.Contains(stdout, "--- Back; ") {
		t.Errorf("nothing of the cuts in %q", stdout)
	}
}

func TestInterruptLeaves(t *testing.T) {
	_, addr := serve(t)
	p := start(t, "-addr", addr, "-nick", "ann")
	sees(t, p.stdout, "ann joined")
	p.stop()
	if stdout, _ := p.exits(t, 0); stdout != "--- Goodbye.\n" {
		t.Errorf("stdout %q", stdout)
	}
}

func TestExitCodesTellWrongUsageFromFailure(t *testing.T) {
	srv, addr := serve(t)
	if _, err := srv.Join(t.Context(), chatroom.Identity{Nick: "ann"}); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"help", []string{"-help"}, 0, "-addr host:port"},
		{"an unknown flag", []string{"-frobnicate"}, 2, "-frobnicate"},
		{"an argument", []string{"-nick", "bob", addr}, 2, "unexpected argument"},
		{"a pin that is none", []string{"-nick", "bob", "-tls-pin", "SHA256:AAAA"}, 2, "43 characters of base64"},
		{"a pin and an issuer", []string{"-nick", "bob", "-tls-pin", pinPrefix + strings.Repeat("A", 43), "-ca", empty}, 2, "do not go together"},
		{"no nick and nobody to ask", []string{"-addr", addr}, 2, "-nick is missing"},
		{"nobody listens", []string{"-addr", "127.0.0.1:1", "-nick", "bob"}, 1, "refused"},
		{"no certificates", []string{"-nick", "bob", "-ca", empty}, 1, "no certificates in"},
		{"no file of certificates", []string{"-nick", "bob", "-ca", empty + "x"}, 1, "read certificates"},
		{"a server without TLS", []string{"-addr", addr, "-nick", "bob", "-tls"}, 1, "tls"},
		{"a server that speaks TLS", []string{"-addr", newKeeper(t).serve(t), "-nick", "bob"}, 1, "-tls-pin"},
		{"a nick in use", []string{"-addr", addr, "-nick", "Ann"}, 1, "!!! Ann is taken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr := start(t, c.args...).exits(t, c.code)
			if stdout != "" || !strings.Contains(stderr, c.says) {
				t.Errorf("it said %q and %q, want %q", stdout, stderr, c.says)
			}
		})
	}
}

func TestInputThatCannotBeReadIsAFailure(t *testing.T) {
	_, addr := serve(t)
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var stderr strings.Builder
	if code := run(t.Context(), []string{"-addr", addr, "-nick", "ann"}, dir, null, &stderr); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.HasPrefix(stderr.String(), "client: read ") {
		t.Errorf("stderr %q", &stderr)
	}
}
