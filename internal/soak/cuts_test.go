package soak

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"example.com/chatroom"
)

// One connection is cut a thousand times in the middle of a hundred thousand messages of others.
func TestAThousandCutsLeaveTheRecordAsItIs(t *testing.T) {
	if *length == 0 {
		t.Skip("it takes a machine of its own: go test ./internal/soak -length 10s")
	}
	messages, cuts := 100_000, 1000
	if testing.Short() {
		messages, cuts = 10_000, 100
	}
	srv, err := chatroom.New(chatroom.WithLimits(chatroom.Limits{HistoryBytes: 256 << 20, Lag: 256 << 20, Write: time.Minute, MessageRate: -1, ConnRatePerAddr: -1}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Serve(l) }) // it ends with Close
	defer running.Wait()
	defer srv.Close()

	r := rand.New(rand.NewPCG(1, 1))
	reader := &cutReader{addr: l.Addr().String()}
	if err := reader.read(t, 400); err != nil { // the first welcome, and its end is cut off
		t.Fatal(err)
	}
	witness, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	fmt.Fprintln(witness, `{"type":"join","nick":"witness"}`)
	record := bufio.NewReaderSize(witness, 64<<10)
	if _, err := record.ReadSlice('\n'); err != nil {
		t.Fatal(err)
	}
	running.Go(func() { speak(t, srv, messages) })
	var want []byte
	running.Go(func() {
		for {
			line, err := record.ReadBytes('\n')
			if err != nil {
				t.Error(err)
				return
			}
			if bytes.Contains(line, []byte(`"seq":`)) {
				want = append(want, line...)
			}
			if bytes.Contains(line, []byte(`"text":"END"`)) {
				return
			}
		}
	})
	each := messages * 120 / cuts
	for !reader.over {
		if reader.cuts >= cuts {
			each = 1 << 40
		}
		if err := reader.read(t, 1+r.IntN(2*each)); err != nil {
			t.Fatal(err)
		}
	}
	srv.Close()
	running.Wait()
	if i := bytes.Index(reader.got, want[:bytes.IndexByte(want, '\n')+1]); i < 0 || !bytes.Equal(reader.got[i:], want) {
		t.Errorf("%d bytes received, the record has %d and is another", len(reader.got), len(want))
	}
	t.Logf("%d cuts, %d bytes in the record", reader.cuts, len(want))
}

func speak(t *testing.T, srv chatroom.Server, messages int) {
	ctx := context.Background()
	bot, err := srv.Join(ctx, chatroom.Identity{Nick: "bot"})
	if err != nil {
		t.Error(err)
		return
	}
	for i := range messages + 1 {
		text := fmt.Sprint(i)
		if i == messages {
			text = "END"
		}
		if _, err := bot.Send(ctx, chatroom.Say("", text)); err != nil {
			t.Error(i, err)
		}
		for e, err := bot.Receive(ctx); err == nil && e.Text != text; e, err = bot.Receive(ctx) {
		}
	}
}

// A cutReader reads on, connection after connection.
type cutReader struct {
	addr, token, epoch string
	seen               uint64
	got                []byte // the lines of ordered events
	cuts               int
	over               bool
}

// read takes so many bytes from a new connection, and then cuts it.
func (c *cutReader) read(t *testing.T, most int) error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, `{"type":"join","nick":"reader","resume":true,"session":%q,"seen":[{"room":"lobby","epoch":%q,"seq":%d}]}`+"\n", c.token, c.epoch, c.seen)
	in := bufio.NewReaderSize(io.LimitReader(conn, int64(most)), 64<<10)
	for !c.over {
		line, err := in.ReadBytes('\n')
		if err != nil {
			c.cuts++
			return nil // what is not a line yet is lost
		}
		e, err := parse(line)
		switch {
		case err != nil:
			return err
		case e.Welcome != nil && c.token == "":
			c.token, c.epoch = e.Welcome.Session, e.Welcome.Epoch
		case e.Welcome != nil && !e.Welcome.Resumed && c.seen > 0, e.Kind == chatroom.KindGap:
			return fmt.Errorf("after %d cuts: %s", c.cuts, line)
		case e.Seq != 0:
			c.seen = e.Seq
			c.got = append(c.got, line...)
			c.over = e.Text == "END"
		}
	}
	return nil
}
