package main

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"example.com/chatroom"
)

// openDebug serves counters, profiles and an answer to whether the server is well over HTTP, until
// stop is called. Rooms have no part in it: whatever fails there is logged at most.
func openDebug(ctx context.Context, o *options, srv chatroom.Server, log *slog.Logger) (stop func(), err error) {
	l, err := listenDebug(string(o.debugAddr), o.debugPublic)
	if err != nil {
		return nil, err
	}
	log.Info("serving /healthz, /debug/vars and /debug/pprof/", "url", "http://"+l.Addr().String())
	web := newDebugServer(ctx, srv, log)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("no counters and profiles any more", "err", err)
		}
	})
	return func() {
		web.Close() // on whoever is reading: the program ends
		serving.Wait()
	}, nil
}

// listenDebug listens on addr, which is this machine's own unless public says otherwise.
func listenDebug(addr string, public bool) (net.Listener, error) {
	at, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if !public && !at.IP.IsLoopback() {
		return nil, fmt.Errorf("-debug-addr %s: others could look into this program there, and slow it down; "+
			"take localhost, or say -debug-public if none of them is to be feared", addr)
	}
	return net.ListenTCP("tcp", at)
}

func newDebugServer(ctx context.Context, srv chatroom.Server, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           knownByName(debugPages(ctx, srv)),
		BaseContext:       func(net.Listener) context.Context { return ctx }, // a profile does not hold up the end
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute, // a profile takes half of that
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// knownByName refuses requests that reach this machine's own address under a name from elsewhere: of a script in a web page here,
// whose name was made to resolve to 127.0.0.1, so that its browser lets it read the answers.
func knownByName(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if at != nil && at.IP.IsLoopback() && !local(r.Host) {
			http.Error(w, "ask for localhost", http.StatusMisdirectedRequest)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// local reports whether a Host field is an address, or localhost.
func local(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	_, err := netip.ParseAddr(name)
	return err == nil || strings.EqualFold(name, "localhost")
}

// debugPages answers for srv, which shuts down when ctx ends. It stands apart from
// http.DefaultServeMux, on which anybody's packages may put something.
func debugPages(ctx context.Context, srv chatroom.Server) http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if ctx.Err() != nil {
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
			return
		}
		srv.Rooms()                      // takes its locks: one that is stuck gives no answer
		_, _ = io.WriteString(w, "ok\n") // whoever asked may be gone
	})
	pages.HandleFunc("GET /debug/vars", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, vars(srv).String())
	})
	pages.HandleFunc("/debug/pprof/", pprof.Index)
	pages.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	pages.HandleFunc("/debug/pprof/profile", pprof.Profile)
	pages.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	pages.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return pages
}

// vars returns what package expvar knows, and as "chatroom" the server's Stats. It publishes
// nothing, since what is published stays when a server has gone.
func vars(srv chatroom.Server) *expvar.Map {
	all := new(expvar.Map)
	expvar.Do(func(kv expvar.KeyValue) { all.Set(kv.Key, kv.Value) })
	all.Set("chatroom", expvar.Func(func() any { return srv.Stats() }))
	return all
}
