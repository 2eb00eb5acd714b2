package chatroom_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// A logbook is a log, line by line, and when each line came.
type logbook struct {
	mu    sync.Mutex
	lines []string
	times []time.Time
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range bytes.Lines(p) {
		b.lines, b.times = append(b.lines, string(line)), append(b.times, time.Now())
	}
	return len(p), nil
}

// about returns when the lines came that contain text.
func (b *logbook) about(text string) (times []time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, line := range b.lines {
		if strings.Contains(line, text) {
			times = append(times, b.times[i])
		}
	}
	return times
}

func (b *logbook) logger() chatroom.Option {
	return chatroom.WithLogger(slog.New(slog.NewTextHandler(b, nil)))
}

// checkSeldom checks that no two lines came in one second.
func checkSeldom(t *testing.T, times []time.Time) {
	t.Helper()
	for i := 1; i < len(times); i++ {
		if d := times[i].Sub(times[i-1]); d < time.Second {
			t.Fatalf("two lines within %v", d)
		}
	}
}

type passingError struct{ error }

func (passingError) Temporary() bool { return true }

func TestThreat08AcceptErrors(t *testing.T) {
	accept := func(err error) error { return &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)} }
	for name, failure := range map[string]error{
		"out of files":          accept(syscall.EMFILE),
		"the system, too":       accept(syscall.ENFILE),
		"out of buffers":        accept(syscall.ENOBUFS),
		"gone before accepted":  accept(syscall.ECONNABORTED),
		"a firewall":            accept(syscall.EPERM),
		"a bare error":          syscall.EMFILE,
		"temporary, as it says": passingError{errors.New("later")},
		"and wrapped":           fmt.Errorf("accept: %w", passingError{errors.New("later")}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &logbook{}
				l := listen(t, hostBubble(t, log.logger()), net.ErrClosed)
				ann := l.dial("")
				ann.send("ann")
				ann.hear()
				began := time.Now()
				var pauses []time.Duration
				for range 1000 {
					l.fail(failure)
					pauses = append(pauses, time.Since(began))
					began = time.Now()
				}
				// The first is taken at once, the pause before the n-th is after the one before it.
				for i, want := range []time.Duration{0, 5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
					if pauses[i] != want*time.Millisecond {
						t.Errorf("it was waited %v before the call number %d", pauses[i], i+1)
					}
				}
				lines := log.about("accept failed")
				checkSeldom(t, lines)
				if n := len(lines); n < 900 || n > 1000 {
					t.Errorf("%d lines in the log", n)
				}
				ann.send("still here")
				if heard := ann.hear(); !strings.Contains(heard, "<ann> still here") {
					t.Errorf("ann heard %q", heard)
				}
				began = time.Now()
				bob := l.dial("")
				bob.send(`{"type":"join","nick":"bob"}`)
				if heard := bob.hear(); !strings.Contains(heard, `"welcome"`) || time.Since(began) > time.Second {
					t.Errorf("after %v bob heard %q", time.Since(began), heard)
				}
				l.fail(net.ErrClosed)
			})
		})
	}
}

func TestThreat08AcceptErrorsBetweenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logbook{}
		l := listen(t, hostBubble(t, log.logger()), chatroom.ErrServerClosed)
		began := time.Now()
		for range 1000 {
			l.fail(syscall.ECONNABORTED)
			l.dial("").conn.Close()
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("a thousand pauses after one error each took %v", took)
		}
		lines := log.about("accept failed")
		checkSeldom(t, lines)
		if n := len(lines); n != 5 {
			t.Errorf("%d lines in the log; want 5", n)
		}
	})
}

func TestThreat08AServerThatCannotAcceptCanBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		l := listen(t, srv, chatroom.ErrServerClosed)
		for range 20 {
			l.fail(syscall.EMFILE)
		}
		began := time.Now()
		srv.Close()
		synctest.Wait()
		select {
		case <-l.closed:
		default:
			t.Error("the listener is open")
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAListenerThatFailsForGoodEndsServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		listen(t, hostBubble(t), broken).fail(broken)
	})
}

// Who closes a listener gets its error from Serve; members who came by it stay, and everything goes on.
func TestThreat09ListenerClosed(t *testing.T) {
	for range 100 {
		srv, err := chatroom.New()
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		serve := func() net.Listener {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() { served <- srv.Serve(l) }()
			return l
		}
		first := serve()
		ann := join(t, first.Addr().String(), "ann")
		first.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
		second := serve()
		bob := join(t, second.Addr().String(), "bob")
		ann.send(`{"type":"say","text":"still here"}`)
		bob.until(`"still here"`)
		var leaving sync.WaitGroup
		for _, w := range []*wire{ann, bob} {
			leaving.Go(func() {
				defer w.Close()
				last, err := io.ReadAll(w.r)
				if err != nil || !strings.Contains(string(last), `"type":"bye","code":"shutdown"`) {
					t.Errorf("read %q, %v", last, err)
				}
			})
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, chatroom.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
		leaving.Wait()
	}
}

// However many are turned away, the log has a line a second.
func TestThoseTurnedAwayAreLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logbook{}
		l := listen(t, hostBubble(t, chatroom.WithLimits(chatroom.Limits{ConnsPerAddr: 1}), log.logger()), chatroom.ErrServerClosed)
		l.dial("192.0.2.1")
		for range 500 {
			l.dial("192.0.2.1")
			time.Sleep(10 * time.Millisecond)
		}
		lines := log.about("turned away")
		checkSeldom(t, lines)
		if n := len(lines); n != 5 || len(log.about("times=100")) != 4 {
			t.Errorf("%d lines in the log: %q", n, log.lines)
		}
	})
}
