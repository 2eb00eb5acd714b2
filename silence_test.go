package chatroom_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// A silenceFront is a front from another package, whose peers end a message by saying nothing for
// a second: first the nick, and then texts.
type silenceFront struct{}

func (silenceFront) Name() string { return "silence" }

func (silenceFront) Detect([]byte) chatroom.Detection { return chatroom.Mine }

func (f silenceFront) Serve(ctx context.Context, c *chatroom.Conn) error {
	nick, err := f.read(c)
	if err != nil {
		return err
	}
	if _, err := c.Join(ctx, chatroom.JoinRequest{Nick: nick, Encoder: f, Pings: true}); err != nil {
		return err
	}
	for {
		text, err := f.read(c)
		if err != nil {
			return err
		}
		if _, err := c.Send(ctx, chatroom.Say("", text)); err != nil {
			return err
		}
	}
}

func (silenceFront) read(c *chatroom.Conn) (string, error) {
	var text []byte
	for b, err := c.Peek(); ; b, err = c.PeekFor(time.Second) {
		if err != nil {
			return "", err
		}
		if len(b) == 0 {
			return string(text), nil
		}
		part := make([]byte, len(b))
		if _, err := io.ReadFull(c, part); err != nil {
			return "", err
		}
		text = append(text, part...)
	}
}

func (silenceFront) AppendEvent(dst []byte, e *chatroom.Event) []byte {
	return fmt.Appendf(dst, "%s %s\n", e.Kind, e.Text)
}

func TestAFrontCanLetSilenceEndAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := chatroom.New()
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		near, far := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- srv.ServeConn(t.Context(), far, silenceFront{}) }()
		ann := &tcpPeer{t: t, conn: near, r: bufio.NewReader(near)}
		for _, b := range "ann" {
			time.Sleep(900 * time.Millisecond)
			ann.send(string(b))
		}
		ann.await("welcome \njoin \n")
		ann.send("one ")
		time.Sleep(900 * time.Millisecond)
		ann.send("text")
		ann.await("message one text\n")
		ann.send("another")
		ann.await("message another\n")
		// Who has been asked for a sign of life is still waited for no longer than that takes.
		ann.await("ping \n")
		time.Sleep(7 * time.Second)
		ann.send("here")
		ann.await("message here\n")
		ann.await("ping \n")
		ann.await("bye \n")
		near.Close()
		if err := <-served; !errors.Is(err, chatroom.ErrTimeout) {
			t.Errorf("served until %v, want %v", err, chatroom.ErrTimeout)
		}
	})
}

// Nobody stays at the door for ever by saying a little again and again.
func TestSilenceAtTheDoorHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := chatroom.New(brisk(chatroom.Limits{Handshake: 2 * time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		near, far := net.Pipe()
		defer near.Close()
		served := make(chan error, 1)
		go func() { served <- srv.ServeConn(t.Context(), far, silenceFront{}) }()
		began := time.Now()
		for err == nil {
			time.Sleep(900 * time.Millisecond)
			_, err = near.Write([]byte("a"))
		}
		if err := <-served; !errors.Is(err, chatroom.ErrTimeout) {
			t.Errorf("served until %v, want %v", err, chatroom.ErrTimeout)
		}
		if took := time.Since(began); took > 13*time.Second {
			t.Errorf("waited for %s", took)
		}
	})
}

func TestSilenceDoesNotOutlastTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := chatroom.New()
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		defer near.Close()
		served := make(chan error, 1)
		go func() { served <- srv.ServeConn(t.Context(), far, silenceFront{}) }()
		if _, err := near.Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		srv.Close()
		if err := <-served; err == nil {
			t.Error("no error from a server that is closed")
		}
	})
}
