package threats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/chatroom"
)

// childVariable is set for a process that is to be a server, to its setup.
const childVariable = "CHATROOM_THREATS"

// A setup is what a server process is to be like.
type setup struct {
	Limits   chatroom.Limits
	Files    uint64 // how many it may have open; 0 means as many as the system lets it
	Accounts string // the name of a file of accounts; empty means that there are none
}

// A wish is what a server process is asked to do before it says how it is.
type wish string

const (
	look     wish = "look"     // nothing
	settle   wish = "settle"   // to collect garbage, and give memory back
	shutdown wish = "shutdown" // to shut its server down
)

// A view is what a server process says about itself. The first one it sends unasked.
type view struct {
	chatroom.Stats
	Addr       string
	Base       int // goroutines before there was a server
	Goroutines int
	Heap       uint64        // bytes in use
	Logged     int64         // lines in its log
	Took       time.Duration // what it was asked to do
	Err        string        // what went wrong with that
}

// serveChild is a server process: it answers wishes, and ends when there are no more.
func serveChild(conf string, r io.Reader, w io.Writer) error {
	var s setup
	if err := json.Unmarshal([]byte(conf), &s); err != nil {
		return err
	}
	if s.Files > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: s.Files, Max: s.Files}); err != nil {
			return err
		}
	}
	h := &hosted{base: runtime.NumGoroutine(), served: make(chan error, 1)}
	if err := h.open(s); err != nil {
		return err
	}
	in, out := json.NewDecoder(r), json.NewEncoder(w)
	err := out.Encode(h.view(look))
	for err == nil {
		var asked wish
		if err = in.Decode(&asked); err == nil {
			err = out.Encode(h.view(asked))
		}
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return h.close()
}

// A hosted server is one in this process.
type hosted struct {
	base   int
	srv    chatroom.Server
	addr   string
	logged lineCount
	served chan error
	over   bool
}

func (h *hosted) open(s setup) error {
	auth := chatroom.Authenticator(chatroom.AuthenticatorFunc(byNick))
	if s.Accounts != "" {
		accounts, err := chatroom.Passwords(s.Accounts)
		if err != nil {
			return err
		}
		auth = chatroom.FirstOf(accounts, auth)
	}
	var err error
	h.srv, err = chatroom.New(chatroom.WithLimits(s.Limits), chatroom.WithAuthenticator(auth), chatroom.WithLogger(slog.New(slog.NewTextHandler(&h.logged, nil))))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.addr = l.Addr().String()
	go func() { h.served <- h.srv.Serve(l) }()
	return nil
}

// byNick lets everybody in, and makes moderators of those who are called so.
func byNick(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	id := chatroom.Identity{Nick: req.Nick}
	if strings.HasPrefix(req.Nick, "mod") {
		id.Role = chatroom.RoleModerator
	}
	return id, nil
}

// view does what it is asked to, and says how the server is then.
func (h *hosted) view(asked wish) view {
	v := view{Addr: h.addr, Base: h.base}
	began := time.Now()
	switch asked {
	case look:
	case settle:
		runtime.GC() // the first one finds what has finalizers
		runtime.GC()
		debug.FreeOSMemory()
	case shutdown:
		if err := h.shutDown(); err != nil {
			v.Err = err.Error()
		}
	default:
		v.Err = fmt.Sprintf("nobody knows how to %s", asked)
	}
	v.Took = time.Since(began)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	v.Heap = m.HeapAlloc
	v.Stats, v.Goroutines, v.Logged = h.srv.Stats(), runtime.NumGoroutine(), h.logged.n.Load()
	return v
}

func (h *hosted) shutDown() error {
	h.over = true
	err := h.srv.Shutdown(context.Background())
	if served := <-h.served; !errors.Is(served, chatroom.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("Serve returned %w", served))
	}
	return err
}

func (h *hosted) close() error {
	if h.over {
		return nil
	}
	h.srv.Close()
	if err := <-h.served; !errors.Is(err, chatroom.ErrServerClosed) {
		return err
	}
	return nil
}

// A lineCount counts what is written to it: a log writes each line by itself.
type lineCount struct{ n atomic.Int64 }

func (c *lineCount) Write(p []byte) (int, error) {
	c.n.Add(1)
	return len(p), nil
}
