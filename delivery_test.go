package chatroom_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// host serves a room on a loopback port until the test ends.
func host(t testing.TB, opts ...chatroom.Option) (srv chatroom.Server, addr string) {
	t.Helper()
	srv, err := chatroom.New(append([]chatroom.Option{brisk(chatroom.Limits{})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-served; !errors.Is(err, chatroom.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return srv, l.Addr().String()
}

// A wire is a program's end of a connection.
type wire struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wire{t, conn, bufio.NewReaderSize(conn, 64<<10)}
}

// join joins as nick and reads up to the member's own join.
func join(t testing.TB, addr, nick string) *wire {
	t.Helper()
	w := dial(t, addr)
	w.send(`{"type":"join","nick":"` + nick + `"}`)
	seq := field([]byte(w.until(`"type":"welcome"`)), "seq") // after a question, if the machine is busy
	w.until(`{"type":"join","seq":` + seq + `,`)
	return w
}

func (w *wire) send(line string) {
	w.t.Helper()
	if _, err := io.WriteString(w, line+"\n"); err != nil {
		w.t.Error(err)
	}
}

func (w *wire) line() string {
	w.t.Helper()
	line, err := w.r.ReadString('\n')
	if err != nil {
		w.t.Fatalf("read: %v after %q", err, line)
	}
	return line
}

// until reads lines up to one that contains want.
func (w *wire) until(want string) string {
	w.t.Helper()
	for {
		if line := w.line(); strings.Contains(line, want) {
			return line
		}
	}
}

// field returns the raw value of a field in a line of JSON that has no escapes in it.
func field(line []byte, name string) string {
	_, rest, ok := bytes.Cut(line, []byte(`"`+name+`":`))
	if !ok {
		return ""
	}
	end := bytes.IndexAny(rest, ",}")
	return string(bytes.Trim(rest[:end], `"`))
}

// roomy lets members of a busy machine fall further behind and say less than a server would.
var roomy = chatroom.Limits{Lag: 64 << 20, Write: time.Minute, Idle: time.Hour}

func TestEveryMemberSeesOneOrder(t *testing.T) {
	const members, senders = 50, 4
	messages := 10_000
	if testing.Short() {
		messages = 1000
	}
	_, addr := host(t, brisk(roomy))
	audience := make([]*wire, members)
	for i := range audience {
		audience[i] = join(t, addr, fmt.Sprint("m", i))
	}
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			w := bufio.NewWriterSize(audience[s], 4<<10)
			for i := range messages {
				fmt.Fprintf(w, `{"type":"say","text":"%d %d"}`+"\n", s, i)
			}
			if err := w.Flush(); err != nil {
				t.Error(err)
			}
		})
	}
	orders := make([]uint64, members) // a hash over (seq, text) in the order seen
	for i, w := range audience {
		wg.Go(func() {
			var last uint64
			var next [senders]int
			for seen := 0; seen < senders*messages; {
				line, err := w.r.ReadSlice('\n')
				if err != nil {
					t.Errorf("member %d: %v after %d messages", i, err, seen)
					return
				}
				seq, _ := strconv.ParseUint(field(line, "seq"), 10, 64)
				if last != 0 && seq != last+1 {
					t.Errorf("member %d: event %d follows %d", i, seq, last)
					return
				}
				last = seq
				if field(line, "type") != "message" {
					continue
				}
				seen++
				text := field(line, "text")
				var s, n int
				fmt.Sscan(text, &s, &n)
				if n != next[s] {
					t.Errorf("member %d: message %d of sender %d where %d was due", i, n, s, next[s])
					return
				}
				next[s]++
				orders[i] = orders[i]*31 + seq*1_000_003 + uint64(s)<<32 + uint64(n)
			}
		})
	}
	wg.Wait()
	for i, order := range orders {
		if order != orders[0] {
			t.Errorf("member %d saw another order than member 0", i)
		}
	}
}

func TestJoiningInTheMiddleSeesHistoryThenLiveWithoutGapOrRepeat(t *testing.T) {
	srv, addr := host(t, brisk(roomy))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for s := range 3 {
		bot, err := srv.Join(ctx, chatroom.Identity{Nick: fmt.Sprint("bot", s)})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { chatter(ctx, t, bot) })
	}
	var joiners sync.WaitGroup
	for i := range 100 {
		joiners.Go(func() {
			if i%2 == 0 {
				joinOverTCP(t, addr, fmt.Sprint("tcp", i))
			} else {
				joinInProcess(t, srv, fmt.Sprint("local", i))
			}
		})
		if i%10 == 9 {
			joiners.Wait()
		}
	}
	joiners.Wait()
}

// chatter says one thing after another, each once it has received the last.
func chatter(ctx context.Context, t *testing.T, bot chatroom.Client) {
	for i := 0; ; i++ {
		said, err := bot.Send(ctx, chatroom.Say("", fmt.Sprint(i)))
		for e := (chatroom.Event{}); err == nil && e.Seq != said.Seq; {
			e, err = bot.Receive(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// joinOverTCP joins, checks what comes up to a while after the join, and goes.
func joinOverTCP(t *testing.T, addr, nick string) {
	w := dial(t, addr)
	defer w.Close()
	w.send(`{"type":"join","nick":"` + nick + `"}`)
	welcome := []byte(w.until(`"type":"welcome"`)) // after a question, if the machine is busy
	joined, _ := strconv.ParseUint(field(welcome, "seq"), 10, 64)
	history, _ := strconv.ParseUint(field(welcome, "history"), 10, 64)
	for want := joined - history; want < joined+100; want++ {
		line := []byte(w.line())
		if got := field(line, "seq"); got != fmt.Sprint(want) {
			t.Errorf("%s joined at %d with %d before: got %s where %d was due", nick, joined, history, got, want)
			return
		}
		if own := field(line, "type") == "join" && field(line, "from") == nick; own != (want == joined) {
			t.Errorf("%s: event %d is its own join: %v", nick, want, own)
			return
		}
	}
}

func joinInProcess(t *testing.T, srv chatroom.Server, nick string) {
	c, err := srv.Join(t.Context(), chatroom.Identity{Nick: nick})
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	welcome, err := c.Receive(t.Context())
	if err != nil || welcome.Kind != chatroom.KindWelcome {
		t.Errorf("first event %v, %v", welcome.Kind, err)
		return
	}
	joined := welcome.Welcome.Seq
	for want := joined - uint64(welcome.Welcome.History); want < joined+100; want++ {
		e, err := c.Receive(t.Context())
		if err != nil || e.Seq != want || e.History != (want < joined) {
			t.Errorf("%s: got event %d (history %v, %v) where %d was due; joined at %d", nick, e.Seq, e.History, err, want, joined)
			return
		}
	}
}

// TestOnlyOneTakesANick has many spellings of one nick race for it.
func TestOnlyOneTakesANick(t *testing.T) {
	srv, _ := host(t)
	spellings := []string{"Ann", "ann", "ANN", " ann ", "ａｎｎ", "aｎn"}
	for range 50 {
		var wg sync.WaitGroup
		var got atomic.Int32
		clients := make([]chatroom.Client, len(spellings))
		for i, nick := range spellings {
			wg.Go(func() {
				c, err := srv.Join(t.Context(), chatroom.Identity{Nick: nick})
				switch {
				case err == nil:
					got.Add(1)
					clients[i] = c
				case !errors.Is(err, chatroom.ErrNickInUse):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 {
			t.Fatalf("%d members are called ann", got.Load())
		}
		for _, c := range clients {
			if c != nil {
				c.Close()
			}
		}
	}
}

func TestGoroutinesAtRestAreListenersAndConnections(t *testing.T) {
	const conns = 100
	before := runtime.NumGoroutine()
	srv, addr := host(t)
	bot, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bot"})
	if err != nil {
		t.Fatal(err)
	}
	var last *wire
	for i := range conns {
		last = join(t, addr, fmt.Sprint("m", i))
	}
	if _, err := bot.Send(t.Context(), chatroom.Say("", "all here")); err != nil {
		t.Fatal(err)
	}
	last.until("all here")
	// What flushes the message to the others ends by itself.
	want := before + 1 + conns
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > want; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, want %d", runtime.NumGoroutine(), want)
		}
	}
}

func TestStalledHandshakesDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := chatroom.New()
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		start := time.Now()
		const peers = 20
		var wg sync.WaitGroup
		for i := range peers {
			near, far := net.Pipe()
			wg.Go(func() { srv.ServeConn(t.Context(), far) })
			wg.Go(func() { // says nothing, or a byte a second and never a whole line
				for i%2 == 0 {
					time.Sleep(time.Second)
					if _, err := near.Write([]byte("x")); err != nil {
						return
					}
				}
			})
			wg.Go(func() {
				said, _ := io.ReadAll(near)
				if took := time.Since(start); took < 10*time.Second || took > 11*time.Second {
					t.Errorf("a stalled handshake ended after %v", took)
				}
				if !strings.Contains(string(said), "too slow") {
					t.Errorf("a stalled peer was told %q", said)
				}
			})
		}
		time.Sleep(5 * time.Second)
		before := time.Now()
		c, err := srv.Join(t.Context(), chatroom.Identity{Nick: "ann"})
		if err != nil || time.Since(before) != 0 {
			t.Errorf("joining took %v: %v", time.Since(before), err)
		}
		wg.Wait()
		c.Close()
	})
}

// TestAVanishedPeerIsFoundByPing has a peer whose connection stays open and silent for ever.
func TestAVanishedPeerIsFoundByPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := chatroom.New()
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		near, far := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- srv.ServeConn(t.Context(), far) }()
		go func() { io.WriteString(near, `{"type":"join","nick":"ann"}`+"\n") }()
		start := time.Now()
		said, _ := io.ReadAll(near) // reads, as its kernel would, and never answers
		if took := time.Since(start); took != 40*time.Second {
			t.Errorf("found after %v, want 40s", took)
		}
		if !strings.Contains(string(said), `"type":"ping"`) || !strings.Contains(string(said), `"code":"timeout"`) {
			t.Errorf("the peer was sent %s", said)
		}
		if err := <-served; !errors.Is(err, chatroom.ErrTimeout) {
			t.Errorf("ServeConn returned %v", err)
		}
		if n := len(srv.Members("lobby")); n != 0 {
			t.Errorf("%d members are left", n)
		}
	})
}

func TestAPanickingAuthenticatorCostsItsCallerOnly(t *testing.T) {
	auth := chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
		if req.Nick == "mallory" {
			panic("boo")
		}
		return chatroom.Identity{Nick: req.Nick}, nil
	})
	_, addr := host(t, chatroom.WithAuthenticator(auth))
	ann := join(t, addr, "ann")
	mallory := dial(t, addr)
	mallory.send(`{"type":"join","nick":"mallory"}`)
	if line := mallory.line(); !strings.Contains(line, `"code":"internal"`) || strings.Contains(line, "boo") {
		t.Errorf("mallory was told %s", line)
	}
	ann.send(`{"type":"nick","nick":"mallory"}`)
	ann.until(`"code":"internal"`)
	ann.send(`{"type":"say","text":"still here"}`)
	ann.until("still here")
}

// TestAMemberEndsWithItsOwnLeaving checks that leaving one room is the last a member hears of it.
func TestAMemberEndsWithItsOwnLeaving(t *testing.T) {
	srv, addr := host(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	bot, err := srv.Join(ctx, chatroom.Identity{Nick: "bot"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { chatter(ctx, t, bot) })
	for i := range 50 {
		w := join(t, addr, fmt.Sprint("m", i))
		w.send(fmt.Sprintf(`{"type":"leave","room":"lobby","id":"leave%d"}`, i))
		w.until(fmt.Sprintf(`"id":"leave%d"`, i))
		w.send(`{"type":"quit"}`)
		if line := w.line(); !strings.Contains(line, `"type":"bye"`) {
			t.Fatalf("after leaving came %s", line)
		}
		w.Close()
	}
}

// TestPrivateKeepsItsPlace checks that what is told in private after something was said in
// public arrives after it.
func TestPrivateKeepsItsPlace(t *testing.T) {
	_, addr := host(t)
	ann, bob := join(t, addr, "ann"), join(t, addr, "bob")
	go drain(ann)
	for i := range 500 {
		ann.send(fmt.Sprintf(`{"type":"say","text":"public %d"}`, i))
		ann.send(fmt.Sprintf(`{"type":"private","nick":"bob","text":"private %d"}`, i))
	}
	for i := range 500 {
		if line := bob.line(); !strings.Contains(line, fmt.Sprintf(`"public %d"`, i)) {
			t.Fatalf("got %s where public %d was due", line, i)
		}
		if line := bob.line(); !strings.Contains(line, fmt.Sprintf(`"private %d"`, i)) {
			t.Fatalf("got %s where private %d was due", line, i)
		}
	}
}

// TestWhoWasToldGoodbyeMayComeBackAtOnce checks that a farewell means that the nick is free, on
// a server that is busy telling who is there.
func TestWhoWasToldGoodbyeMayComeBackAtOnce(t *testing.T) {
	srv, addr := host(t)
	ctx, stop := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	defer asking.Wait()
	defer stop()
	for range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				srv.Stats()
			}
		})
	}
	for range 50 {
		ann := join(t, addr, "ann")
		ann.send(`{"type":"quit"}`)
		ann.until(`"type":"bye"`)
	}
}

// TestClosingWhileMembersComeAndGo closes a server that bots join and leave at that moment: none is
// left in it.
func TestClosingWhileMembersComeAndGo(t *testing.T) {
	for range 50 {
		srv, err := chatroom.New()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for {
					c, err := srv.Join(t.Context(), chatroom.Identity{Nick: fmt.Sprint("m", i)})
					if err != nil {
						if !errors.Is(err, chatroom.ErrServerClosed) {
							t.Error(err)
						}
						return
					}
					go c.Send(t.Context(), chatroom.Quit(""))
					for err == nil {
						_, err = c.Receive(t.Context())
					}
					c.Close()
				}
			})
		}
		runtime.Gosched()
		srv.Close()
		wg.Wait()
		if n := srv.Stats().Members; n != 0 {
			t.Fatalf("%d members are left", n)
		}
	}
}

// TestTheWelcomeComesFirst has somebody write to a member that is on its way in.
func TestTheWelcomeComesFirst(t *testing.T) {
	srv, addr := host(t)
	ann, err := srv.Join(t.Context(), chatroom.Identity{Nick: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		for ctx.Err() == nil {
			ann.Send(ctx, chatroom.Private("bob", "psst")) // who is there now and then
		}
	})
	wg.Go(func() {
		for err := error(nil); err == nil; {
			_, err = ann.Receive(ctx)
		}
	})
	for range 200 {
		bob := dial(t, addr)
		bob.send(`{"type":"join","nick":"bob"}`)
		if line := bob.line(); !strings.Contains(line, `"type":"welcome"`) {
			t.Fatalf("the first line is %s", line)
		}
		bob.send(`{"type":"quit"}`)
		bob.until(`"type":"bye"`)
		bob.Close()
	}
}
