package client_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// A peer is the server's end of a connection, which the test plays.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func newPeer(t *testing.T) (p *peer, clients net.Conn) {
	there, here := net.Pipe()
	t.Cleanup(func() { there.Close() })
	return &peer{t, there, bufio.NewReader(there)}, here
}

// writes sends bytes, until the client has read them all.
func (p *peer) writes(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, s); err != nil {
		p.t.Errorf("the peer writes: %v", err)
	}
}

// says sends events.
func (p *peer) says(events ...chatroom.Event) {
	p.t.Helper()
	p.writes(lines(events...))
}

func lines(events ...chatroom.Event) string {
	var b []byte
	for i := range events {
		b = chatroom.JSONFront{}.AppendEvent(b, &events[i])
	}
	return string(b)
}

// hears reads one command.
func (p *peer) hears() (cmd chatroom.Command) {
	p.t.Helper()
	line, err := p.in.ReadBytes('\n')
	if err == nil {
		err = cmd.UnmarshalJSON(line)
	}
	if err != nil {
		p.t.Errorf("the peer reads %q: %v", line, err)
	}
	return cmd
}

var (
	welcome = chatroom.Event{
		Kind: chatroom.KindWelcome, Room: "lobby", Nick: "ann", Member: 1,
		Welcome: &chatroom.Welcome{Seq: 1, Limits: chatroom.WireLimits{LineBytes: 8192, TextBytes: 4096}},
	}
	message = chatroom.Event{Kind: chatroom.KindMessage, Seq: 2, Room: "lobby", From: "ann", Member: 1, Text: "hello"}
)

// meet joins ann over a pipe to a peer.
func meet(t *testing.T) (*client.Client, *peer) {
	t.Helper()
	p, conn := newPeer(t)
	c, err := p.admit(conn, welcome)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.conn.Close() // it will not say goodbye
		c.Close()
	})
	return c, p
}

// admit lets a client join, answering with those events.
func (p *peer) admit(conn net.Conn, events ...chatroom.Event) (*client.Client, error) {
	var answering sync.WaitGroup
	defer answering.Wait()
	answering.Go(func() {
		if cmd := p.hears(); cmd.Verb != chatroom.VerbJoin || cmd.Nick != "ann" {
			p.t.Errorf("the peer heard %+v", cmd)
		}
		p.says(events...)
	})
	return client.New(within(p.t), conn, client.WithNick("ann"))
}

// wantEvents receives the events that have come.
func wantEvents(t *testing.T, c chatroom.Client, want ...chatroom.Event) {
	t.Helper()
	for _, w := range want {
		if !wantEvent(t, c, w) {
			t.FailNow()
		}
	}
}

func wantEvent(t *testing.T, c chatroom.Client, want chatroom.Event) bool {
	t.Helper()
	e, err := c.Receive(within(t))
	ok := err == nil && e.Kind == want.Kind && e.Seq == want.Seq && e.Text == want.Text
	if !ok {
		t.Errorf("received %+v, %v; want %+v", e, err, want)
	}
	return ok
}

func wantEnd(t *testing.T, c chatroom.Client, want error) {
	t.Helper()
	if e, err := c.Receive(within(t)); !errors.Is(err, want) {
		t.Errorf("Receive: %+v, %v; want %v", e, err, want)
	}
	if e, err := c.Send(within(t), chatroom.Say("", "late")); !errors.Is(err, want) {
		t.Errorf("Send: %+v, %v; want %v", e, err, want)
	}
}

// A result is what a Send in the background came to.
type result struct {
	event chatroom.Event
	err   error
}

func sending(ctx context.Context, c chatroom.Client, cmd chatroom.Command) <-chan result {
	done := make(chan result, 1)
	go func() {
		e, err := c.Send(ctx, cmd)
		done <- result{e, err}
	}()
	return done
}

// brisk sets limits in which nobody is too fast, nobody is a crowd, and one address may be everybody's.
func brisk(l chatroom.Limits) chatroom.Option {
	l.MessageRate, l.MoveRate, l.ConnsPerAddr, l.ConnRatePerAddr = -1, -1, -1, -1
	l.Notices = -1
	return chatroom.WithLimits(l)
}

// bubbleHouse returns a server, and how to connect to it, for a test on the fake clock.
func bubbleHouse(t *testing.T, opts ...chatroom.Option) (chatroom.Server, func() net.Conn) {
	srv, err := chatroom.New(append([]chatroom.Option{brisk(chatroom.Limits{})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		srv.Close()
		serving.Wait()
	})
	return srv, func() net.Conn {
		here, there := net.Pipe()
		serving.Go(func() { _ = srv.ServeConn(context.Background(), there) })
		return here
	}
}
