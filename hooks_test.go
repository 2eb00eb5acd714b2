package chatroom_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// Hooked is everything that a program hands to a server, with one function that is called in each
// of its places.
type hooked struct {
	call func(place string)
	bans chatroom.BanStore
	hand chan string // accounts that change, or "bans"
}

func newHooked(call func(place string)) *hooked {
	return &hooked{call, chatroom.MemoryBans(chatroom.Ban{ID: "old", Kind: chatroom.BanNick, Value: "mallory"}), make(chan string, 1)}
}

func (h *hooked) addrOf(net.Conn) netip.Addr {
	h.call("address")
	return netip.Addr{}
}

func (h *hooked) Authenticate(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	h.call("authenticate")
	return chatroom.Identity{Nick: req.Nick, Account: req.Nick}, nil
}

func (h *hooked) Admit(context.Context, net.Addr) error {
	h.call("admit")
	return nil
}

func (h *hooked) Refresh(_ context.Context, id chatroom.Identity) (chatroom.Identity, error) {
	h.call("refresh")
	return id, nil
}

func (h *hooked) Watch(ctx context.Context, changed func(string)) error {
	for {
		select {
		case account := <-h.hand:
			h.call("watch")
			changed(account)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *hooked) Add(ctx context.Context, b chatroom.Ban) error {
	h.call("add")
	return h.bans.Add(ctx, b)
}

func (h *hooked) Remove(ctx context.Context, id string) error {
	h.call("remove")
	return h.bans.Remove(ctx, id)
}

func (h *hooked) List(ctx context.Context) ([]chatroom.Ban, error) {
	h.call("list")
	return h.bans.List(ctx)
}

func (h *hooked) Review(context.Context, chatroom.Draft) (chatroom.Verdict, error) {
	h.call("review")
	return chatroom.Verdict{}, nil
}

// A hookedStore is the stores that do not list their bans at the beginning alone.
type (
	hookedMatcher struct{ *hooked }
	hookedWatcher struct {
		*hooked
		hand chan struct{}
	}
)

func (h hookedMatcher) Match(ctx context.Context, _ chatroom.Subject) ([]chatroom.Ban, error) {
	h.call("match")
	return h.bans.List(ctx)
}

func (h hookedWatcher) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-h.hand:
			changed()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A hookedFront is a front that calls its hook, and is no longer than that.
type hookedFront struct{ call func(place string) }

func (hookedFront) Name() string { return "hooked" }

func (f hookedFront) Detect(first []byte) chatroom.Detection {
	if !strings.HasPrefix(string(first), "HOOK") {
		return chatroom.NotMine
	}
	f.call("detect")
	return chatroom.Mine
}

func (f hookedFront) Serve(context.Context, *chatroom.Conn) error {
	f.call("serve")
	return io.EOF
}

// A hookedLog is where the server logs to.
type hookedLog struct {
	slog.Handler
	call func(place string)
}

func (hookedLog) Enabled(context.Context, slog.Level) bool { return true }

func (l hookedLog) Handle(context.Context, slog.Record) error {
	l.call("log")
	return nil
}

// A hookCase is a place where embedder code runs, and what makes the server call it. The others are in the way
// of a call in that place if they are asked at all.
type hookCase struct {
	place string
	make  func(t *testing.T, call func(place string)) (srv chatroom.Server, provoke func())
}

func hookCases() []hookCase {
	host := func(t *testing.T, h *hooked, store chatroom.BanStore, opts ...chatroom.Option) chatroom.Server {
		t.Helper()
		front := hookedFront{h.call}
		return hostBubble(t, append(opts, chatroom.WithAddrOf(h.addrOf), chatroom.WithAuthenticator(h), chatroom.WithBanStore(store), chatroom.WithFronts(&front, chatroom.JSONFront{}, clockFront),
			chatroom.WithFilter(chatroom.FilterStep{Name: "hooked", Filter: h}))...)
	}
	plain := func(provoke func(t *testing.T, srv chatroom.Server, h *hooked)) func(*testing.T, func(string)) (chatroom.Server, func()) {
		return func(t *testing.T, call func(string)) (chatroom.Server, func()) {
			h := newHooked(call)
			srv := host(t, h, h)
			return srv, func() { provoke(t, srv, h) }
		}
	}
	joins := func(t *testing.T, srv chatroom.Server, _ *hooked) { call(t, srv).send(`{"type":"join","nick":"eve"}`) }
	moderate := func(cmds ...chatroom.Command) func(*testing.T, chatroom.Server, *hooked) {
		return func(t *testing.T, srv chatroom.Server, _ *hooked) {
			for _, cmd := range cmds {
				_, _ = srv.Moderate(context.WithoutCancel(t.Context()), cmd) // a store that hangs has its own time
			}
		}
	}
	ban, unban := chatroom.Command{Verb: chatroom.VerbBan, Nick: "nobody"}, chatroom.Command{Verb: chatroom.VerbUnban, Nick: "mallory"}
	return []hookCase{
		{"address", plain(joins)},
		{"authenticate", plain(joins)},
		{"admit", plain(joins)},
		{"detect", plain(func(t *testing.T, srv chatroom.Server, _ *hooked) { call(t, srv).sendRaw("HOOK") })},
		{"serve", plain(func(t *testing.T, srv chatroom.Server, _ *hooked) { call(t, srv).sendRaw("HOOK") })},
		{"add", plain(moderate(ban))},
		{"remove", plain(moderate(unban))},
		{"watch", plain(func(_ *testing.T, _ chatroom.Server, h *hooked) { h.hand <- "eve" })},
		{"refresh", plain(func(t *testing.T, srv chatroom.Server, h *hooked) {
			call(t, srv).send(`{"type":"join","nick":"eve"}`)
			h.hand <- "eve"
		})},
		{"review", plain(func(t *testing.T, srv chatroom.Server, _ *hooked) {
			call(t, srv).send(`{"type":"join","nick":"eve"}`, `{"type":"say","text":"hi"}`)
		})},
		{"match", func(t *testing.T, call func(string)) (chatroom.Server, func()) {
			h := newHooked(call)
			srv := host(t, h, hookedMatcher{h})
			return srv, func() { joins(t, srv, h) }
		}},
		{"list", func(t *testing.T, call func(string)) (chatroom.Server, func()) {
			h := newHooked(call)
			watcher := hookedWatcher{h, make(chan struct{}, 1)}
			srv := host(t, h, watcher)
			return srv, func() { watcher.hand <- struct{}{} }
		}},
		{"log", func(t *testing.T, hook func(string)) (chatroom.Server, func()) {
			h := newHooked(hook)
			srv := host(t, h, h, chatroom.WithLogger(slog.New(hookedLog{slog.DiscardHandler, hook})))
			return srv, func() {
				eve := call(t, srv)
				eve.send(`{"type":"join","nick":"eve"}`, `{"type":"say","text":"hi"}`, `{"type":"quit"}`)
				_, _ = srv.Moderate(t.Context(), ban)
			}
		}},
	}
}

// Hooks panic every third time, for ten thousand calls.
func TestThreat37PanickingHooks(t *testing.T) {
	const all = 10_000
	synctest.Test(t, func(t *testing.T) {
		var calls, panics atomic.Int64
		h := newHooked(func(place string) {
			calls.Add(1)
			if rand.N(3) == 0 {
				panics.Add(1)
				panic("in " + place)
			}
		})
		told := new(atomic.Int64)
		counter := counting{slog.DiscardHandler, told}
		logger := slog.New(onlyPanics{counter})
		front := hookedFront{h.call}
		srv := hostBubble(t, chatroom.WithAddrOf(h.addrOf), chatroom.WithAuthenticator(h), chatroom.WithBanStore(hookedMatcher{h}), chatroom.WithLogger(logger),
			chatroom.WithFronts(&front, chatroom.JSONFront{}, clockFront), chatroom.WithFilter(chatroom.FilterStep{Name: "hooked", Filter: h, UpTo: chatroom.RoleAdmin}))
		var ann chatroom.Client
		for ann == nil {
			ann, _ = srv.Join(t.Context(), chatroom.Identity{Nick: "ann"}) // one in three is turned away
		}
		unread(t, ann)
		said := 0
		for n := 0; calls.Load() < all; n++ {
			c := call(t, srv)
			if n%10 == 0 {
				c.sendRaw("HOOK")
				continue
			}
			c.send(fmt.Sprintf(`{"type":"join","nick":"m%d"}`, n))
			if !strings.Contains(c.hear(), `"welcome"`) {
				c.conn.Close()
				continue
			}
			for range 10 {
				c.send(`{"type":"say","text":"hi"}`)
				said++
			}
			c.send(`{"type":"quit"}`)
			heard := 0
			for _, e := range unread(t, ann) {
				if e.Kind == chatroom.KindMessage {
					heard++
				}
			}
			if said -= heard; said != 0 {
				t.Fatalf("%d of 10 messages were not heard", said)
			}
			_, _ = srv.Moderate(t.Context(), chatroom.Command{Verb: chatroom.VerbBan, Nick: "nobody"})
		}
		synctest.Wait()
		if panics.Load() < all/4 || told.Load() != panics.Load() {
			t.Errorf("%d panics in %d calls, %d of which are in the log", panics.Load(), calls.Load(), told.Load())
		}
		if members := srv.Members("lobby"); len(members) != 1 {
			t.Errorf("left are %+v", members)
		}
		mustSend(t, ann, chatroom.Say("", "still here"))
	})
}

// onlyPanics hands on what tells of a panic, with its stack.
type onlyPanics struct{ slog.Handler }

func (h onlyPanics) Enabled(context.Context, slog.Level) bool { return true }

func (h onlyPanics) Handle(ctx context.Context, r slog.Record) error {
	stack := false
	r.Attrs(func(a slog.Attr) bool {
		stack = stack || a.Key == "stack" && strings.Contains(a.Value.String(), "_test.go:")
		return true
	})
	if !strings.Contains(r.Message, "panicked") || !stack {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// While a hook hangs for ever others talk as if it did not.
func TestThreat38HangingHooks(t *testing.T) {
	for _, tt := range hookCases() {
		if tt.place == "log" {
			continue // who logs waits for the log; nobody holds a lock meanwhile, as TestThreat39 shows
		}
		t.Run(tt.place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hangs atomic.Bool
				var hung atomic.Int32
				release := make(chan struct{})
				srv, provoke := tt.make(t, func(place string) {
					if hangs.Load() && place == tt.place {
						hung.Add(1)
						<-release
					}
				})
				ann, bob := enterAs(t, srv, "ann", chatroom.RoleModerator), enterAs(t, srv, "bob", chatroom.RoleMember) // filters exempt her
				free := sync.OnceFunc(func() { close(release) })
				defer free()
				hangs.Store(true)
				var provoking sync.WaitGroup
				provoking.Go(provoke)
				time.Sleep(time.Millisecond)
				if hung.Load() == 0 {
					t.Fatal("nothing hangs")
				}
				unread(t, bob)
				for range 100 {
					begun := time.Now()
					mustSend(t, ann, chatroom.Say("", "hi"))
					if got := len(unread(t, bob)); got == 0 || time.Since(begun) > time.Millisecond {
						t.Fatalf("bob has received %d events after %v", got, time.Since(begun))
					}
					srv.Stats()
					srv.Members("lobby")
					time.Sleep(100 * time.Millisecond)
				}
				free()
				provoking.Wait()
			})
		})
	}
}

// Every hook calls every method of the server, but for the two that wait for hooks to return.
func TestThreat39ReentrantHooks(t *testing.T) {
	methods := map[string]func(ctx context.Context, srv chatroom.Server){
		"Serve": func(_ context.Context, srv chatroom.Server) { _ = srv.Serve(closedListener{}) },
		"ServeConn": func(ctx context.Context, srv chatroom.Server) {
			near, far := net.Pipe()
			near.Close()
			_ = srv.ServeConn(ctx, far)
		},
		"Join": func(ctx context.Context, srv chatroom.Server) {
			if c, err := srv.Join(ctx, chatroom.Identity{Nick: "hook"}, "lobby", "den"); err == nil {
				_, _ = c.Send(ctx, chatroom.Say("lobby", "hi"))
				_, _ = c.Send(ctx, chatroom.Rename("hooked"))
				c.Close()
			}
		},
		"Announce": func(ctx context.Context, srv chatroom.Server) { _, _ = srv.Announce(ctx, "", "hi") },
		"Moderate": func(ctx context.Context, srv chatroom.Server) {
			for _, cmd := range []chatroom.Command{
				{Verb: chatroom.VerbMute, Nick: "eve"},
				{Verb: chatroom.VerbBan, Nick: "eve"},
				{Verb: chatroom.VerbKick, Nick: "bob"},
				{Verb: chatroom.VerbUndo},
				{Verb: chatroom.VerbUnban, Nick: "eve"},
				{Verb: chatroom.VerbTopic, Text: "tea"},
				{Verb: chatroom.VerbSlow},
				{Verb: chatroom.VerbBans},
			} {
				_, _ = srv.Moderate(ctx, cmd)
			}
		},
		"Audits": func(ctx context.Context, srv chatroom.Server) {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			for range srv.Audits(ended) {
			}
		},
		"Rooms":   func(_ context.Context, srv chatroom.Server) { srv.Rooms() },
		"Members": func(_ context.Context, srv chatroom.Server) { srv.Members("lobby") },
		"Stats":   func(_ context.Context, srv chatroom.Server) { srv.Stats() },
	}
	for typ, i := reflect.TypeFor[chatroom.Server](), 0; i < typ.NumMethod(); i++ {
		if name := typ.Method(i).Name; methods[name] == nil && name != "Shutdown" && name != "Close" && name != "sealed" {
			t.Errorf("%s is not called", name)
		}
	}
	for _, tt := range hookCases() {
		for name, method := range methods {
			t.Run(tt.place+" calls "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var srv chatroom.Server
					var ready, inside atomic.Bool
					var called, returned atomic.Int32
					srv, provoke := tt.make(t, func(place string) {
						if place != tt.place || !ready.Load() || !inside.CompareAndSwap(false, true) {
							return
						}
						called.Add(1)
						method(t.Context(), srv)
						returned.Add(1)
						inside.Store(false)
					})
					bob := joinAs(t, srv, "bob")
					ready.Store(true)
					begun := time.Now()
					provoke()
					synctest.Wait()
					if n := called.Load(); n == 0 || returned.Load() != n || time.Since(begun) > 0 {
						t.Fatalf("it was called %d times, and returned %d times, after %v", n, returned.Load(), time.Since(begun))
					}
					ready.Store(false)
					unread(t, bob)
					if _, err := srv.Announce(t.Context(), "", "alive"); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// Whoever is looked up while bans are given without end is told to try later, and does not try for ever.
func TestBansGivenWithoutEndKeepNobodyBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var srv chatroom.Server
		var busy atomic.Bool
		h := newHooked(func(place string) {
			if place == "match" && busy.Load() {
				go func() {
					_, _ = srv.Moderate(context.Background(), chatroom.Command{Verb: chatroom.VerbBan, Nick: "nobody"})
				}()
				time.Sleep(time.Millisecond)
			}
		})
		srv = hostBubble(t, chatroom.WithBanStore(hookedMatcher{h}))
		bob, cat := joinAs(t, srv, "bob"), call(t, srv)
		cat.send(`{"type":"join","nick":"cat","resume":true}`)
		var welcome chatroom.Event
		if err := json.Unmarshal([]byte(cat.lines()[0]), &welcome); err != nil {
			t.Fatal(err)
		}
		cat.conn.Close()
		synctest.Wait()
		busy.Store(true)
		if _, err := srv.Join(t.Context(), chatroom.Identity{Nick: "eve"}); !errors.Is(err, chatroom.ErrUnavailable) {
			t.Errorf("eve joins: %v", err)
		}
		mustRefuse(t, bob, chatroom.Rename("rob"), chatroom.ErrUnavailable)
		again := call(t, srv)
		again.send(`{"type":"join","nick":"cat","session":"` + welcome.Welcome.Session + `"}`)
		time.Sleep(time.Second)
		if heard := again.hear(); !strings.Contains(heard, `"unavailable"`) {
			t.Errorf("cat comes back: %s", heard)
		}
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbMute, Nick: "bob"}) // is in force all the same
		mustRefuse(t, bob, chatroom.Say("", "hi"), chatroom.ErrMuted)
		busy.Store(false)
		joinAs(t, srv, "eve")
	})
}

// A closedListener accepts nobody.
type closedListener struct{}

func (closedListener) Accept() (net.Conn, error) { return nil, errors.New("closed") }
func (closedListener) Close() error              { return nil }
func (closedListener) Addr() net.Addr            { return &net.UnixAddr{} }
