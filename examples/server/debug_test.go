package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// asks returns the answer to GET on those pages.
func asks(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func newServer(t *testing.T) chatroom.Server {
	t.Helper()
	srv, err := chatroom.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return srv
}

func TestDebugPages(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	srv := start(t, "-debug-addr", "localhost:0")
	url := "http://" + srv.old
	ann := srv.join(t, "ann", nil)
	sees(t, ann, "/help")
	for page, want := range map[string]string{
		"/healthz":                        "ok\n",
		"/debug/pprof/":                   "goroutine",
		"/debug/pprof/heap?debug=1":       "heap profile",
		"/debug/pprof/trace?seconds=0.01": "go ",
		"/debug/pprof/cmdline":            "",
		"/debug/pprof/symbol":             "num_symbols: 1",
	} {
		if status, body := asks(t, url+page); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.100q", page, status, body)
		}
	}
	for _, page := range []string{"/", "/debug", "/debug/varsx"} {
		if status, _ := asks(t, url+page); status != http.StatusNotFound {
			t.Errorf("%s: %d", page, status)
		}
	}
	_, body := asks(t, url+"/debug/vars")
	var vars struct {
		Chatroom chatroom.Stats
		Memstats struct{ HeapAlloc uint64 }
	}
	if err := json.Unmarshal([]byte(body), &vars); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if vars.Chatroom.Members != 1 || vars.Chatroom.Joined != 1 || vars.Memstats.HeapAlloc == 0 {
		t.Errorf("%+v", vars)
	}
}

func TestDebugPagesAreReadByNoWebPage(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	srv := start(t, "-debug-addr", "localhost:0")
	for host, want := range map[string]int{
		"":                  http.StatusOK,
		"localhost":         http.StatusOK,
		"LOCALHOST:7":       http.StatusOK,
		"127.0.0.1:80":      http.StatusOK,
		"[::1]":             http.StatusOK,
		"evil.example":      http.StatusMisdirectedRequest,
		"evil.example:6060": http.StatusMisdirectedRequest,
		"localhost.evil":    http.StatusMisdirectedRequest,
		"127.0.0.1.evil":    http.StatusMisdirectedRequest,
	} {
		for _, page := range []string{"/debug/vars", "/debug/pprof/cmdline"} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+srv.old+page, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s as %q: %d, want %d", page, host, resp.StatusCode, want)
			}
		}
	}
}

func TestDebugPagesMayBePublicIfAskedTo(t *testing.T) {
	for addr, local := range map[string]bool{"localhost:0": true, "127.0.0.1:0": true, "127.9.9.9:0": true, "[::1]:0": true, ":0": false, "0.0.0.0:0": false, "[::]:0": false} {
		for _, public := range []bool{false, true} {
			l, err := listenDebug(addr, public)
			if err == nil {
				l.Close()
			} else if strings.HasPrefix(addr, "[::") && !strings.Contains(err.Error(), "-debug-public") {
				continue // a machine without IPv6
			}
			if (err == nil) != (local || public) {
				t.Errorf("%s, public %v: %v", addr, public, err)
			}
		}
	}
}

func TestHealthEndsWithTheServersContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pages := debugPages(ctx, newServer(t))
	for _, want := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
		if w.Code != want {
			t.Errorf("status %d, want %d", w.Code, want)
		}
		cancel()
	}
}

// A stuck server is one whose locks are held for as long as free is open.
type stuck struct {
	chatroom.Server
	free chan struct{}
}

func (s stuck) Rooms() []chatroom.RoomInfo {
	<-s.free
	return nil
}

func TestAStuckServerIsNotHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := stuck{newServer(t), make(chan struct{})}
		w := httptest.NewRecorder()
		var asking sync.WaitGroup
		asking.Go(func() { debugPages(t.Context(), srv).ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil)) })
		synctest.Wait()
		if w.Body.Len() > 0 {
			t.Errorf("it answers %q", w.Body)
		}
		close(srv.free)
		asking.Wait()
	})
}

// Some never read what they asked for, and some ask for what panics.
func TestDebugPagesDisturbNoRoom(t *testing.T) {
	srv := start(t, "-debug-addr", "localhost:0")
	for range 5 {
		deaf, err := net.Dial("tcp", srv.old)
		if err != nil {
			t.Fatal(err)
		}
		defer deaf.Close()
		deaf.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // by then it takes no more
		for err == nil {
			_, err = io.WriteString(deaf, "GET /debug/pprof/goroutine?debug=2 HTTP/1.1\r\nHost: x\r\n\r\n")
		}
	}
	ann := srv.join(t, "ann", nil)
	fmt.Fprintln(ann, "hi")
	sees(t, ann, "<ann> hi")
	srv.stop()
	sees(t, ann, "Goodbye")
}

// A broken server can't be asked for its counters.
type broken struct{ chatroom.Server }

func (broken) Stats() chatroom.Stats { panic("no counters") }

func TestPanicOfADebugPageEndsThatAnswer(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	var log strings.Builder
	l, err := listenDebug("localhost:0", false)
	if err != nil {
		t.Fatal(err)
	}
	web := newDebugServer(t.Context(), broken{newServer(t)}, slog.New(slog.NewTextHandler(&log, nil)))
	served := make(chan error)
	go func() { served <- web.Serve(l) }()
	if resp, err := http.Get("http://" + l.Addr().String() + "/debug/vars"); err == nil {
		resp.Body.Close()
		t.Errorf("status %d", resp.StatusCode)
	}
	if status, _ := asks(t, "http://"+l.Addr().String()+"/healthz"); status != http.StatusOK {
		t.Errorf("status %d after a panic", status)
	}
	web.Shutdown(t.Context())
	<-served
	if !strings.Contains(log.String(), "no counters") {
		t.Errorf("the log lacks the panic: %s", &log)
	}
}

// A pipeListener takes what is sent to it for connections.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	if conn, ok := <-l; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{} }
func (l pipeListener) Close() error   { return nil }

func TestWhoStallsAtADebugPageIsHungUpOn(t *testing.T) {
	const get, page = "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", "/debug/pprof/goroutine?debug=2"
	for name, tt := range map[string]struct {
		sent  string
		deaf  bool // nothing of the answer is read
		after time.Duration
	}{
		"nothing at all":       {"", false, 5 * time.Second},
		"half a header":        {"GET /healthz HTTP/1.1\r\nHost:", false, 5 * time.Second},
		"half a body":          {"POST /debug/pprof/symbol HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0x", false, 10 * time.Second},
		"nothing after a page": {fmt.Sprintf(get, "/healthz"), false, time.Minute},
		"a page nobody reads":  {fmt.Sprintf(get, page), true, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web := newDebugServer(t.Context(), newServer(t), slog.New(slog.DiscardHandler))
				l := make(pipeListener)
				served := make(chan error, 1)
				go func() { served <- web.Serve(l) }()
				near, far := net.Pipe()
				defer near.Close()
				conn := &closing{Conn: far, closed: make(chan struct{})}
				l <- conn
				begun := time.Now()
				io.WriteString(near, tt.sent)
				if !tt.deaf {
					go io.Copy(io.Discard, near)
				}
				<-conn.closed
				if took := time.Since(begun); took < tt.after-time.Second || took > tt.after+time.Second {
					t.Errorf("hung up on after %v, want %v", took, tt.after)
				}
				close(l)
				<-served
			})
		})
	}
}

// A closing connection tells when it is closed.
type closing struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
