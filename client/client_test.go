package client_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

func TestPromptForPeopleIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect := bubbleHouse(t)
		conn := connect()
		time.Sleep(time.Second) // the server takes the silence for a person's
		c, err := client.New(within(t), conn, client.WithNick("ann"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Send(within(t), chatroom.Say("", "hello")); err != nil {
			t.Errorf("Send: %v", err)
		}
		wantEvents(t, c, welcome, chatroom.Event{Kind: chatroom.KindJoin, Seq: 1}, message)
	})
}

func TestAnotherProtocolIsNotWaitedFor(t *testing.T) {
	p, conn := newPeer(t)
	go func() {
		p.hears()
		// It hangs up in the middle of this.
		_, _ = io.WriteString(p.conn, "HTTP/1.1 400 Bad Request\r\n"+strings.Repeat("X-Header: value\r\n", 100))
	}()
	_, err := client.New(within(t), conn, client.WithNick("ann"))
	if e, ok := errors.AsType[*chatroom.Error](err); !ok || e.Code != chatroom.CodeBadRequest || e.Retry != chatroom.RetryNever {
		t.Errorf("New: %v", err)
	}
}

func TestRefusalIsTheServersError(t *testing.T) {
	for _, kind := range []chatroom.Kind{chatroom.KindError, chatroom.KindBye} {
		t.Run(string(kind), func(t *testing.T) {
			want := &chatroom.Error{Code: chatroom.CodeFull, Text: "no chairs", Retry: chatroom.RetryLater, After: 90 * time.Second}
			p, conn := newPeer(t)
			_, err := p.admit(conn, chatroom.Event{Kind: kind, Err: want})
			if diff := cmp.Diff(error(want), err, cmp.Comparer(func(a, b error) bool { return cmp.Equal(a.(*chatroom.Error), b.(*chatroom.Error)) })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, err := p.in.ReadByte(); err != io.EOF {
				t.Errorf("the connection goes on: %v", err)
			}
		})
	}
}

func TestJoiningEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, conn := newPeer(t)
		go io.Copy(io.Discard, p.conn)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := client.New(ctx, conn, client.WithNick("ann"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("New: %v after %v", err, time.Since(start))
		}
	})
}

func TestWhatIsNotUTF8IsNeverSent(t *testing.T) {
	_, conn := newPeer(t)
	if _, err := client.New(within(t), conn, client.WithNick("\xff")); !errors.Is(err, chatroom.ErrTextInvalid) {
		t.Errorf("New: %v", err)
	}
}

func TestFarewellRightAfterTheWelcome(t *testing.T) {
	for range 20 {
		p, conn := newPeer(t)
		c, err := p.admit(conn, welcome, chatroom.Event{Kind: chatroom.KindBye, Err: chatroom.ErrShutdown.(*chatroom.Error)})
		if err != nil {
			t.Fatal(err)
		}
		wantEvents(t, c, welcome)
		wantEnd(t, c, chatroom.ErrShutdown)
	}
}

func TestServerThatSpeaksBeforeItIsAsked(t *testing.T) {
	for range 300 {
		p, conn := newPeer(t)
		go func() {
			p.says(welcome, chatroom.Event{Kind: chatroom.KindPing})
			p.conn.Close()
		}()
		c, err := client.New(within(t), conn, client.WithNick("ann"))
		if err != nil {
			t.Fatal(err)
		}
		wantEvents(t, c, welcome)
		wantEnd(t, c, chatroom.ErrConnectionLost)
	}
}

func TestCutConnectionIsLost(t *testing.T) {
	c, p := meet(t)
	sent := sending(within(t), c, chatroom.Say("", "hello"))
	p.hears()
	p.writes(lines(message) + `{"type":"mess`)
	p.conn.Close()
	if r := <-sent; !errors.Is(r.err, chatroom.ErrConnectionLost) {
		t.Errorf("Send: %v", r.err)
	}
	wantEvents(t, c, welcome, message)
	wantEnd(t, c, chatroom.ErrConnectionLost)
	c.Close()
	wantEnd(t, c, chatroom.ErrConnectionLost)
}

func TestGarbageEndsTheConnection(t *testing.T) {
	for _, line := range []string{"hello", "", "{}", "null", "[]", `{"type":7}`, `{"type":"pong"} {"type":"pong"}`} {
		t.Run(line, func(t *testing.T) {
			c, p := meet(t)
			p.writes(lines(message) + line + "\n")
			wantEvents(t, c, welcome, message)
			wantEnd(t, c, chatroom.ErrBadRequest)
			if _, err := p.in.ReadByte(); err != io.EOF {
				t.Errorf("the connection goes on: %v", err)
			}
		})
	}
}

func TestKindsOfLaterServersAreReceived(t *testing.T) {
	c, p := meet(t)
	p.writes(`{"type":"gap","room":"lobby","from":"x","news":[1,2]}` + "\n")
	wantEvents(t, c, welcome, chatroom.Event{Kind: "gap"})
}

func TestLinesOfAnyLength(t *testing.T) {
	members := make([]chatroom.MemberInfo, 5000)
	for i := range members {
		members[i] = chatroom.MemberInfo{Nick: strings.Repeat("n", 32), Member: uint64(i + 1)}
	}
	c, p := meet(t)
	for range 2 {
		sent := sending(within(t), c, chatroom.Command{Verb: chatroom.VerbWho, ID: "k1"})
		p.hears()
		p.says(chatroom.Event{Kind: chatroom.KindMembers, ID: "k1", Members: members})
		r := <-sent
		if r.err != nil || !slices.Equal(members, r.event.Members) {
			t.Fatalf("Send: %v; %d members", r.err, len(r.event.Members))
		}
	}
	go io.Copy(p.conn, io.MultiReader(strings.NewReader(`{"type":"`), endless{})) // until it is hung up on
	wantEvents(t, c, welcome)
	wantEnd(t, c, chatroom.ErrBadRequest)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestOthersCannotAnswerMySend(t *testing.T) {
	c, p := meet(t)
	sent := sending(within(t), c, chatroom.Say("", "hello"))
	id := p.hears().ID
	if id == "" {
		t.Error("Send made up no id")
	}
	bobs := chatroom.Event{Kind: chatroom.KindMessage, Seq: 2, ID: id, Room: "lobby", From: "ann", Member: 2, Text: "bob's"}
	whisper := chatroom.Event{Kind: chatroom.KindPrivate, ID: id, From: "ann", Nick: "ann", Member: 2, Text: "bob's"}
	anns := chatroom.Event{Kind: chatroom.KindMessage, Seq: 3, ID: id, Room: "lobby", From: "ann", Member: 1, Text: "ann's"}
	p.says(bobs, whisper, anns)
	if r := <-sent; r.err != nil || r.event.Text != "ann's" {
		t.Errorf("Send: %+v, %v", r.event, r.err)
	}
	wantEvents(t, c, welcome, bobs, whisper, anns)
}

func TestMyHistoryDoesNotAnswerMySend(t *testing.T) {
	c, p := meet(t)
	sent := sending(within(t), c, chatroom.Command{Verb: chatroom.VerbSay, ID: "k1", Room: "attic", Text: "again"})
	p.hears()
	back := welcome
	back.Room, back.Welcome = "attic", &chatroom.Welcome{Seq: 8}
	old := chatroom.Event{Kind: chatroom.KindMessage, Seq: 7, ID: "k1", Room: "attic", Member: 1, Text: "first"}
	again := old
	again.Seq, again.Text = 9, "again"
	p.says(back, old, again)
	if r := <-sent; r.err != nil || r.event.Text != "again" {
		t.Errorf("Send: %+v, %v", r.event, r.err)
	}
}

func TestSendGivenUpDisturbsNothing(t *testing.T) {
	c, p := meet(t)
	ctx, cancel := context.WithCancel(t.Context())
	first := sending(ctx, c, chatroom.Say("", "hello"))
	late := message
	late.ID = p.hears().ID
	cancel()
	if r := <-first; !errors.Is(r.err, context.Canceled) {
		t.Errorf("Send: %v", r.err)
	}
	second := sending(t.Context(), c, chatroom.Command{Verb: chatroom.VerbPing})
	pong := chatroom.Event{Kind: chatroom.KindPong, ID: p.hears().ID}
	p.says(late, pong)
	if r := <-second; r.err != nil || r.event.Kind != chatroom.KindPong {
		t.Errorf("Send: %+v, %v", r.event, r.err)
	}
	wantEvents(t, c, welcome, message)

	if _, err := c.Send(ctx, chatroom.Say("", "too late")); !errors.Is(err, context.Canceled) {
		t.Errorf("Send with a context that has ended: %v", err)
	}
}

func TestSendsWithOneIDAreAnsweredInOrder(t *testing.T) {
	c, p := meet(t)
	var sent [2]<-chan result
	for i := range sent {
		sent[i] = sending(within(t), c, chatroom.Command{Verb: chatroom.VerbSay, ID: "k", Text: "hello"})
		p.hears()
	}
	for i := range sent {
		e := message
		e.Seq, e.ID = uint64(i+2), "k"
		p.says(e)
		if r := <-sent[i]; r.err != nil || r.event.Seq != e.Seq {
			t.Errorf("Send %d: %+v, %v", i, r.event, r.err)
		}
	}
}

func TestReceivesAtOnceShareTheEvents(t *testing.T) {
	c, p := meet(t)
	wantEvents(t, c, welcome)
	for range 100 {
		var receiving sync.WaitGroup
		for range 3 {
			receiving.Go(func() { wantEvent(t, c, message) })
		}
		p.says(message, message, message)
		receiving.Wait()
	}
}

func TestPingsAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t)
		c, err := client.New(within(t), connect(), client.WithNick("ann"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		time.Sleep(time.Hour)
		if n := srv.Stats().Members; n != 1 {
			t.Errorf("%d members are left; %v", n, srv.Stats().Ended)
		}
		if _, err := c.Send(within(t), chatroom.Say("", "hello")); err != nil {
			t.Errorf("Send: %v", err)
		}
		wantEvents(t, c, welcome, chatroom.Event{Kind: chatroom.KindJoin, Seq: 1}, message)
	})
}

func TestPeerThatAnswersNoPingIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t, brisk(chatroom.Limits{Idle: time.Minute, Pong: 20 * time.Second}))
		conn := connect()
		defer conn.Close()
		start := time.Now()
		if _, err := io.WriteString(conn, `{"type":"join","nick":"ann"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		var kinds []chatroom.Kind
		var last chatroom.Event
		for in := bufio.NewScanner(conn); in.Scan(); {
			if err := last.UnmarshalJSON(in.Bytes()); err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, last.Kind)
		}
		want := []chatroom.Kind{chatroom.KindWelcome, chatroom.KindJoin, chatroom.KindPing, chatroom.KindBye}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if took := time.Since(start); last.Err.Code != chatroom.CodeTimeout || took != 80*time.Second {
			t.Errorf("ended by %v after %v", last.Err, took)
		}
		synctest.Wait()
		if n := srv.Stats().Members; n != 0 {
			t.Errorf("%d members are left", n)
		}
	})
}

func TestSilentServerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := welcome
		w.Welcome = &chatroom.Welcome{Seq: 1, Limits: chatroom.WireLimits{Idle: 30 * time.Second}}
		p, conn := newPeer(t)
		c, err := p.admit(conn, w)
		if err != nil {
			t.Fatal(err)
		}
		wantEvents(t, c, w)
		for range 10 {
			time.Sleep(31 * time.Second)
			p.says(chatroom.Event{Kind: chatroom.KindPing})
			if cmd := p.hears(); cmd.Verb != "pong" {
				t.Errorf("the peer heard %+v", cmd)
			}
		}
		start := time.Now()
		_, err = c.Receive(context.Background())
		if took := time.Since(start); !errors.Is(err, chatroom.ErrConnectionLost) || took != time.Minute {
			t.Errorf("Receive: %v after %v", err, took)
		}
	})
}

func TestFullBufferStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := meet(t)
		big := message
		big.Text = strings.Repeat("x", 4000)
		var writing sync.WaitGroup
		var written int // guarded by synctest.Wait
		const all = 1000
		writing.Go(func() {
			for range all {
				p.says(big)
				written++
			}
		})
		synctest.Wait()
		if n := written * len(big.Text); n < client.BufferBytes/2 || n > client.BufferBytes {
			t.Errorf("%d bytes were read that nobody received", n)
		}
		stuck := written
		sent := sending(t.Context(), c, chatroom.Command{Verb: chatroom.VerbPing, ID: "k1"})
		p.hears()
		wantEvents(t, c, welcome, big, big)
		synctest.Wait()
		if written <= stuck {
			t.Error("Receive made no space")
		}
		for range all - 2 {
			wantEvents(t, c, big)
		}
		writing.Wait()
		p.says(chatroom.Event{Kind: chatroom.KindPong, ID: "k1"})
		if r := <-sent; r.err != nil {
			t.Errorf("Send: %v", r.err)
		}
	})
}

func TestCloseWithAFullBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := meet(t)
		big := message
		big.Text = strings.Repeat("x", 4000)
		var serving sync.WaitGroup
		quit := make(chan struct{})
		serving.Go(func() {
			defer close(quit)
			if cmd := p.hears(); cmd.Verb != chatroom.VerbQuit {
				t.Errorf("the peer heard %+v", cmd)
			}
		})
		serving.Go(func() {
			for range 500 {
				p.says(big)
			}
			<-quit
			p.says(chatroom.Event{Kind: chatroom.KindBye, Err: &chatroom.Error{Code: chatroom.CodeClosed}})
		})
		synctest.Wait()
		start := time.Now()
		c.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v", took)
		}
		serving.Wait()
		received := 0
		for {
			_, err := c.Receive(t.Context())
			if errors.Is(err, chatroom.ErrClosed) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			received += len(big.Text)
		}
		if received < client.BufferBytes/2 || received > client.BufferBytes+2*len(big.Text) {
			t.Errorf("received %d bytes after Close", received)
		}
	})
}

// A deaf server takes nothing and says nothing.
func TestCloseDoesNotWaitForADeafServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := meet(t)
		sent := sending(t.Context(), c, chatroom.Say("", "hello"))
		synctest.Wait()
		start := time.Now()
		var closing sync.WaitGroup
		for range 3 {
			closing.Go(func() {
				c.Close()
				if took := time.Since(start); took != time.Second {
					t.Errorf("Close took %v", took)
				}
			})
		}
		closing.Wait()
		if r := <-sent; !errors.Is(r.err, chatroom.ErrClosed) {
			t.Errorf("Send: %v", r.err)
		}
		wantEvents(t, c, welcome)
		wantEnd(t, c, chatroom.ErrClosed)
	})
}

func TestDeafServerLosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := meet(t)
		start := time.Now()
		var sends []<-chan result
		for range 3 {
			sends = append(sends, sending(t.Context(), c, chatroom.Say("", "hello")))
		}
		for _, sent := range sends {
			r := <-sent
			if took := time.Since(start); !errors.Is(r.err, chatroom.ErrConnectionLost) || took != 11*time.Second {
				t.Errorf("Send: %v after %v", r.err, took)
			}
		}
		wantEvents(t, c, welcome)
		wantEnd(t, c, chatroom.ErrConnectionLost)
	})
}

func TestWhenWritingFailsTheFarewellStillCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := meet(t)
		sent := sending(t.Context(), c, chatroom.Say("", "hello"))
		time.Sleep(10*time.Second + 500*time.Millisecond)
		p.says(chatroom.Event{Kind: chatroom.KindBye, Err: chatroom.ErrTooSlow.(*chatroom.Error)})
		if r := <-sent; !errors.Is(r.err, chatroom.ErrTooSlow) {
			t.Errorf("Send: %v", r.err)
		}
		wantEvents(t, c, welcome)
		wantEnd(t, c, chatroom.ErrTooSlow)
	})
}

func FuzzReceive(f *testing.F) {
	f.Add(lines(message))
	f.Add(lines(chatroom.Event{Kind: chatroom.KindBye, Err: &chatroom.Error{Code: chatroom.CodeClosed}}))
	f.Add(`{"type":"role","nick":"ann","role":"admin"}` + "\n" + `{"type":"kick","nick":"ann"}` + "\n" + `{"type":"gap"}` + "\n")
	f.Add("{\"type\":\"welcome\"}\n{\"type\":\"bye\"}\n")
	f.Add("{\"type\":\"ping\"}\n{\"type\":\"error\"}\n{\"type\":\"leave\",\"member\":1}\n")
	f.Fuzz(func(t *testing.T, said string) {
		p, conn := newPeer(t)
		var talking sync.WaitGroup
		defer talking.Wait()
		talking.Go(func() {
			_, _ = io.Copy(io.Discard, p.conn)
		})
		talking.Go(func() {
			_, _ = io.WriteString(p.conn, lines(welcome)+said) // it may be hung up on
			p.conn.Close()
		})
		c, err := client.New(within(t), conn, client.WithNick("ann"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for {
			e, err := c.Receive(within(t))
			if err == nil {
				if e.Kind == "" {
					t.Errorf("received %+v", e)
				}
				continue
			}
			if _, ok := errors.AsType[*chatroom.Error](err); !ok {
				t.Errorf("ended by %v, which is no Error", err)
			}
			return
		}
	})
}
