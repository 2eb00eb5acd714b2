package chatroom_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// Whoever asks for something at the moment at which the connection ends is told why it ends, and
// not that the server has made a mistake.
func TestWhatIsAskedForAtTheEndIsNotRefused(t *testing.T) {
	const members = 100
	for _, by := range []string{"Shutdown", "the context of ServeConn"} {
		t.Run(by, func(t *testing.T) {
			var reviewing, serving sync.WaitGroup
			reviewing.Add(members)
			review := func(ctx context.Context, _ chatroom.Draft) (chatroom.Verdict, error) {
				reviewing.Done()
				<-ctx.Done()
				return chatroom.Verdict{}, ctx.Err()
			}
			srv, addr := host(t,
				brisk(chatroom.Limits{Filter: time.Minute}),
				chatroom.WithFilter(chatroom.FilterStep{Name: "slow", Filter: chatroom.FilterFunc(review)}))
			ctx, cancel := context.WithCancel(t.Context())
			defer serving.Wait()
			defer cancel()
			if by != "Shutdown" {
				addr = serveConns(ctx, t, srv, &serving)
			}
			for i := range members {
				w := dial(t, addr)
				serving.Go(func() {
					if last := w.speakOnce(fmt.Sprint("m", i)); !strings.Contains(last, `"type":"bye"`) {
						t.Errorf("m%d was told %s", i, last)
					}
				})
			}
			reviewing.Wait()
			cancel()
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// serveConns serves connections to an address by ServeConn, all with that context.
func serveConns(ctx context.Context, t *testing.T, srv chatroom.Server, serving *sync.WaitGroup) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _ = srv.ServeConn(ctx, conn) }) // the farewell says more
		}
	})
	context.AfterFunc(ctx, func() { l.Close() })
	return l.Addr().String()
}

// speakOnce joins, says something, and returns the first line that follows which is for this member alone.
func (w *wire) speakOnce(nick string) string {
	w.send(fmt.Sprintf(`{"type":"join","nick":%q}`, nick))
	own := fmt.Sprintf(`"from":%q`, nick)
	for {
		line, err := w.r.ReadString('\n')
		switch {
		case err != nil:
			return err.Error()
		case strings.HasPrefix(line, `{"type":"bye"`), strings.HasPrefix(line, `{"type":"error"`):
			return line
		case strings.HasPrefix(line, `{"type":"join"`) && strings.Contains(line, own):
			w.send(`{"type":"say","text":"hello"}`)
		}
	}
}

func TestShutdownTellsEverybodyWhoReads(t *testing.T) {
	srv, addr := host(t, brisk(chatroom.Limits{Lag: 16 << 20, Write: time.Minute, Idle: time.Hour}))
	stuck := join(t, addr, "stuck")
	stuck.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	var told atomic.Int32
	var wg sync.WaitGroup
	for i := range 199 {
		w := join(t, addr, fmt.Sprint("m", i))
		wg.Go(func() {
			said, _ := io.ReadAll(w.r)
			if bytes.Contains(said, []byte(`"type":"bye","code":"shutdown"`)) {
				told.Add(1)
			}
		})
	}
	bot, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bot"})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 4000)
	for range 100 {
		if _, err := bot.Send(t.Context(), chatroom.Say("", text)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	wg.Wait()
	if told.Load() != 199 {
		t.Errorf("%d of 199 got the farewell", told.Load())
	}
	if _, err := srv.Join(t.Context(), chatroom.Identity{Nick: "late"}); !errors.Is(err, chatroom.ErrServerClosed) {
		t.Errorf("Join after Shutdown: %v", err)
	}
	for _, room := range []string{"", "lobby"} {
		if _, err := srv.Announce(t.Context(), room, "anybody?"); !errors.Is(err, chatroom.ErrServerClosed) {
			t.Errorf("Announce in %q after Shutdown: %v", room, err)
		}
	}
}

// TestShutdownReturnsAtItsDeadline has a peer that keeps the server writing for longer.
func TestShutdownReturnsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := chatroom.New()
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe() // nothing is read from near after the welcome begins
		defer near.Close()
		served := make(chan struct{})
		go func() {
			defer close(served)
			srv.ServeConn(t.Context(), far)
		}()
		io.WriteString(near, `{"type":"join","nick":"stuck"}`+"\n")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		<-served
	})
}
