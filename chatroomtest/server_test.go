package chatroomtest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/chatroomtest"
)

// until reads lines up to one that contains want.
func until(t *testing.T, r *bufio.Reader, want string) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%v, while waiting for %s", err, want)
		}
		if strings.Contains(line, want) {
			return line
		}
	}
}

func TestAServerInATestHasMembersOfBothKinds(t *testing.T) {
	s := chatroomtest.NewServer(t, chatroom.WithRoom("den"))
	ann := s.Client("ann")
	conn := s.Conn()
	in := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, `{"type":"join","nick":"bob"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	until(t, in, `"type":"join"`)
	if _, err := ann.Send(t.Context(), chatroom.Say("den", "hello")); err != nil {
		t.Fatal(err)
	}
	until(t, in, `"text":"hello"`)
	if n := len(s.Members("den")); n != 2 {
		t.Errorf("%d members", n)
	}
}

func TestAServerInABubbleKeepsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := chatroomtest.NewServer(t)
		conn := s.Conn()
		start := time.Now()
		said, err := io.ReadAll(conn) // as one who says nothing
		if took := time.Since(start); took != 10*time.Second+300*time.Millisecond && took != 10*time.Second {
			t.Errorf("a silent peer was told %q, %v after %v", said, err, took)
		}
		s.Client("ann").Close()
		s.Client("ann", "one", "two") // again, and left open for the end of the test
	})
}

func TestAServerIsClosedWithItsTest(t *testing.T) {
	var s *chatroomtest.Server
	var ann chatroom.Client
	var conn net.Conn
	t.Run("inner", func(t *testing.T) {
		s = chatroomtest.NewServer(t)
		ann, conn = s.Client("ann"), s.Conn()
	})
	if _, err := ann.Send(t.Context(), chatroom.Say("", "x")); err == nil {
		t.Error("a client outlived its test")
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlived its test")
	}
	if _, err := s.Join(t.Context(), chatroom.Identity{Nick: "bob"}); !errors.Is(err, chatroom.ErrServerClosed) {
		t.Errorf("joining after the test: %v", err)
	}
}
