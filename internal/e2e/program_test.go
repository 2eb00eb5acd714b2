//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take before a test gives it up.
const patience = 20 * time.Second

// built is the directory the examples are built into, once for all tests; TestMain removes it.
var built = sync.OnceValues(func() (string, error) {
	if err := lookAtSources(filepath.Join("..", "..")); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "chatroom-e2e-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"server", "client"} {
		args := []string{"-C", filepath.Join("..", "..", "examples", name), "build", "-buildvcs=false", "-o", dir + "/"}
		if raceEnabled() {
			args = append(args, "-race")
		}
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return dir, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

// lookAtSources looks at every Go file under root. The examples are built by another process, so
// this is how go test learns on what a cached result depends.
func lookAtSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case filepath.Ext(path) == ".go" || strings.HasPrefix(d.Name(), "go."):
			_, err = os.Stat(path)
		}
		return err
	})
}

// raceEnabled reports whether this test runs with the race detector, as the examples then do.
func raceEnabled() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// A program is one of the examples, running.
type program struct {
	t           *testing.T
	cmd         *exec.Cmd
	out, stderr *reader
	wait        func() error
}

// start runs an example that reads stdin; nil means an empty one. The test kills what has not
// ended by then.
func start(t *testing.T, stdin *os.File, name string, args ...string) *program {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	cmd := exec.CommandContext(ctx, filepath.Join(dir, name), args...)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	out, outEnd := pipe(t)
	stderr, stderrEnd := pipe(t)
	cmd.Stdout, cmd.Stderr = outEnd, stderrEnd
	// With the race detector a program stays for a second after its end unless told otherwise.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=10 "+os.Getenv("GORACE"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	outEnd.Close()
	stderrEnd.Close()
	p := &program{
		t: t, cmd: cmd,
		out:    &reader{t: t, who: name + "'s output", from: out},
		stderr: &reader{t: t, who: name + "'s errors", from: stderr},
		wait:   sync.OnceValue(cmd.Wait),
	}
	t.Cleanup(func() {
		cancel()
		_ = p.wait() // a test that cares has looked at the exit code
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

// exits checks that the program ends by itself, with that exit code.
func (p *program) exits(code int) {
	p.t.Helper()
	err := p.wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		p.t.Fatal(err)
	} else if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("%s: exit code %d (%v), want %d; it said %q and %q", p.cmd, got, exit, code, p.out.rest(), p.stderr.rest())
	}
}

// A server is the example server, running.
type server struct {
	*program
	addr string
}

var address = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// startServer starts the example server on a free port. Nobody there is too fast or too many.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	p := start(t, nil, "server", append([]string{"-addr", "127.0.0.1:0", "-rate", "0", "-per-address", "0"}, args...)...)
	for {
		if addr := address.FindString(p.stderr.line()); addr != "" {
			return &server{program: p, addr: addr}
		}
	}
}

// stop asks the server to go, as an init system does.
func (s *server) stop() {
	s.t.Helper()
	s.signals(syscall.SIGTERM)
}

func (s *server) signals(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// A reader remembers what it has read until it is asked for.
type reader struct {
	t    *testing.T
	who  string
	from interface {
		io.Reader
		SetReadDeadline(time.Time) error
	}
	unread []byte
	err    error // what ended reading
}

// more reads more.
func (r *reader) more() error {
	if r.err != nil {
		return r.err
	}
	if err := r.from.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var buf [4096]byte
	n, err := r.from.Read(buf[:])
	r.unread = append(r.unread, buf[:n]...)
	r.err = err
	if n > 0 {
		return nil
	}
	return err
}

// sees reads on until it has seen these texts, one after another.
func (r *reader) sees(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		r.before(text)
	}
}

// before reads on until it has seen text, and returns what came before that.
func (r *reader) before(text string) string {
	r.t.Helper()
	for {
		if before, after, ok := bytes.Cut(r.unread, []byte(text)); ok {
			r.unread = after
			return string(before)
		}
		if err := r.more(); err != nil {
			r.t.Fatalf("%s lacks %q: %v after %q", r.who, text, err, r.unread)
		}
	}
}

// line reads one line.
func (r *reader) line() string {
	r.t.Helper()
	for {
		if line, after, ok := bytes.Cut(r.unread, []byte("\n")); ok {
			r.unread = after
			return string(line)
		}
		if err := r.more(); err != nil {
			r.t.Fatalf("%s has no further line: %v after %q", r.who, err, r.unread)
		}
	}
}

// rest reads to the end, and returns what nobody has asked for.
func (r *reader) rest() string {
	r.t.Helper()
	for {
		if err := r.more(); err == io.EOF {
			return string(r.unread)
		} else if err != nil {
			r.t.Fatalf("%s has no end: %v after %q", r.who, err, r.unread)
		}
	}
}
