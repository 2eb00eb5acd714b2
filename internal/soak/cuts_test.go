package soak

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"example.com/chatroom"
)

// One connection is cut a thousand times in the middle of a hundred thousand messages of others; with -short, a
// hundred times in ten thousand. What its member has received in the end is what a member on a sound connection has, byte
// by byte.
func TestAThousandCutsLeaveTheRecordAsItIs(t *testing.T) {
	messages, cuts := 100_000, 1000
	if testing.Short() {
		messages, cuts = 10_000, 100
	}
	srv, err := chatroom.New(chatroom.WithLimits(chatroom.Limits{
		HistoryBytes: 256 << 20, Lag: 256 << 20, Linger: time.Hour, Write: time.Minute, Idle: time.Hour,
		MessageRate: -1, MoveRate: -1, ConnsPerAddr: -1, ConnRatePerAddr: -1,
	}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Serve(l) }) // until Close
	defer running.Wait()
	defer srv.Close()

	reader := &cutReader{addr: l.Addr().String()}
	if err := reader.read(1); err != nil {
		t.Fatal(err)
	}
	witness, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	record := &bytes.Buffer{}
	joined := make(chan struct{})
	running.Go(func() {
		if err := keep(record, witness, joined); err != nil {
			t.Error(err)
		}
	})
	<-joined
	running.Go(func() { speak(t, srv, messages) })
	r := rand.New(rand.NewPCG(1, 1))
	each := messages * 120 / cuts
	for !reader.over {
		if reader.cuts >= cuts {
			each = 1 << 40
		}
		if err := reader.read(1 + r.IntN(2*each)); err != nil {
			t.Fatal(err)
		}
	}
	srv.Close()
	running.Wait()
	want := record.Bytes()
	if i := bytes.Index(reader.got, want[:bytes.IndexByte(want, '\n')+1]); i < 0 || !bytes.Equal(reader.got[i:], want) {
		t.Errorf("%d bytes received, the record has %d and is another", len(reader.got), len(want))
	}
	if reader.cuts < cuts {
		t.Errorf("%d cuts, want %d", reader.cuts, cuts)
	}
	t.Logf("%d cuts, %d messages, %d bytes in the record", reader.cuts, messages, len(want))
}

// keep joins over conn and writes the events of the room into record, up to the last.
func keep(record *bytes.Buffer, conn net.Conn, joined chan<- struct{}) error {
	defer func() {
		if joined != nil {
			close(joined)
		}
	}()
	if _, err := fmt.Fprintln(conn, `{"type":"join","nick":"witness"}`); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(line, []byte(`{"type":"welcome"`)):
			close(joined)
			joined = nil
		case bytes.Contains(line, []byte(`"seq":`)):
			record.Write(line)
		}
		if bytes.Contains(line, []byte(`"text":"`+end+`"`)) {
			return nil
		}
	}
}

// speak says so many things and END, each once it has received the one before.
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
			text = end
		}
		if _, err := bot.Send(ctx, chatroom.Say("", text)); err != nil {
			t.Error(i, err)
			return
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

// read takes so many bytes from a new connection, or up to the welcome the first time, and then cuts it.
func (c *cutReader) read(most int) error {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	join := fmt.Sprintf(`{"type":"join","nick":"reader","resume":true,"session":%q,"seen":[{"room":"lobby","epoch":%q,"seq":%d}]}`+"\n", c.token, c.epoch, c.seen)
	if _, err := io.WriteString(conn, join); err != nil {
		return err
	}
	first := c.token == ""
	from := io.LimitReader(conn, int64(most))
	if first {
		from = conn
	}
	in := bufio.NewReaderSize(from, 64<<10)
	for !c.over && !(first && c.token != "") {
		line, err := in.ReadBytes('\n')
		if err == nil && line[0] != '{' {
			continue // a server that waited long for the join asked for a nickname
		}
		if err == nil {
			err = c.take(line)
		} else if first {
			return err
		} else {
			c.cuts++
			return nil // what is not a line yet is lost
		}
		if err != nil {
			return fmt.Errorf("after %d cuts: %w", c.cuts, err)
		}
	}
	return nil
}

// take takes a line that has come as a whole.
func (c *cutReader) take(line []byte) error {
	if message, ok := bytes.CutPrefix(line, []byte(`{"type":"message","seq":`)); ok { // which is most of them
		number, _, _ := bytes.Cut(message, []byte(","))
		seq, err := strconv.ParseUint(string(number), 10, 64)
		if err != nil {
			return err
		}
		c.over = bytes.Contains(message, []byte(`"text":"`+end+`"`))
		return c.order(seq, line)
	}
	e, err := parse(line)
	switch {
	case err != nil:
		return err
	case e.Welcome != nil && c.token == "":
		c.token, c.epoch = e.Welcome.Session, e.Welcome.Epoch
	case e.Welcome != nil && !e.Welcome.Resumed && c.seen > 0, e.Welcome == nil && e.Seq == 0:
		return fmt.Errorf("%d seen, then %s", c.seen, line)
	case e.Seq != 0:
		return c.order(e.Seq, line)
	}
	return nil
}

func (c *cutReader) order(seq uint64, line []byte) error {
	if seq != c.seen+1 {
		return fmt.Errorf("%d seen, then %s", c.seen, line)
	}
	c.seen = seq
	c.got = append(c.got, line...)
	return nil
}
