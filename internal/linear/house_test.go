package linear

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// A house is a server with rooms, reached in process or over connections that break.
type house struct {
	srv  chatroom.Server
	addr string
	cuts atomic.Int64
}

func newHouse(t *testing.T) *house {
	srv, err := chatroom.New(
		chatroom.WithFixedRooms(rooms...),
		chatroom.WithLimits(chatroom.Limits{
			Linger: time.Hour, HistoryBytes: 64 << 20, Lag: 64 << 20, Write: time.Minute,
			MessageRate: -1, MoveRate: -1, ConnsPerAddr: -1, ConnRatePerAddr: -1, Notices: -1,
		}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) }) // until Close
	t.Cleanup(func() {
		srv.Close()
		serving.Wait()
	})
	return &house{srv: srv, addr: l.Addr().String()}
}

// local joins in process.
func (h *house) local(t *testing.T, i int) chatroom.Client {
	c, err := h.srv.Join(t.Context(), chatroom.Identity{Nick: fmt.Sprint("local", i)}, rooms...)
	if err != nil {
		t.Fatal(err)
	}
	return attend(t, c)
}

// remote joins over connections that break again and again.
func (h *house) remote(t *testing.T, i int) chatroom.Client {
	r := rand.New(rand.NewPCG(*seed, 100+uint64(i)))
	dial := func(ctx context.Context) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.addr)
		if err != nil {
			return nil, err
		}
		return &frail{Conn: conn, cuts: &h.cuts, reads: 1_000 + r.IntN(30_000), writes: 500 + r.IntN(3_000)}, nil
	}
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(t.Context(), conn, client.WithNick(fmt.Sprint("remote", i)), client.WithRoom(rooms[0]), client.WithDial(dial))
	if err != nil {
		t.Fatal(err)
	}
	attend(t, c)
	for _, room := range rooms[1:] {
		if _, err := c.Send(t.Context(), chatroom.JoinRoom(room)); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close() // from now on they break
	return c
}

// attend receives what c is told, until the test ends.
func attend(t *testing.T, c chatroom.Client) chatroom.Client {
	var receiving sync.WaitGroup
	receiving.Go(func() {
		for {
			if _, err := c.Receive(context.Background()); err != nil {
				return // Send tells why, too
			}
		}
	})
	t.Cleanup(func() {
		c.Close()
		receiving.Wait()
	})
	return c
}

// quiet returns the numbers of the latest events of the rooms, in which nobody says anything yet.
func (h *house) quiet(t *testing.T, c chatroom.Client) (numbers []uint64) {
	for _, room := range rooms {
		e, err := c.Send(t.Context(), chatroom.History(room, 0, 1))
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, e.Report.Events[0].Seq)
	}
	if slices.Contains(numbers, 0) {
		t.Fatalf("the rooms are at %v", numbers)
	}
	return numbers
}

// A frail connection breaks after so many bytes.
type frail struct {
	net.Conn
	cuts          *atomic.Int64
	reads, writes int // each owned by who reads or writes
	broken        sync.Once
}

func (f *frail) cut() error {
	f.broken.Do(func() {
		f.cuts.Add(1)
		f.Conn.Close()
	})
	return io.ErrClosedPipe
}

func (f *frail) Read(p []byte) (int, error) {
	if f.reads == 0 {
		return 0, f.cut()
	}
	n, err := f.Conn.Read(p[:min(len(p), f.reads)])
	f.reads -= n
	return n, err
}

func (f *frail) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p[:min(len(p), f.writes)])
	if f.writes -= n; err == nil && n < len(p) {
		err = f.cut()
	}
	return n, err
}
