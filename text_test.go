package chatroom_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// The telnet commands of RFC 854.
const (
	iac  = "\xff"
	will = iac + "\xfb"
	wont = iac + "\xfc"
	do   = iac + "\xfd"
	dont = iac + "\xfe"
	sb   = iac + "\xfa"
	se   = iac + "\xf0"
	nop  = iac + "\xf1"
)

func TestTelnetIsNotSaid(t *testing.T) {
	tests := []struct {
		name, sent string
		said       []string
	}{
		{"nothing of telnet", "hello\n", []string{"hello"}},
		{"a negotiation before the text", will + "\x18" + do + "\x01hello\n", []string{"hello"}},
		{"within the text", "he" + wont + "\x03l" + dont + "\x05lo\n", []string{"hello"}},
		{"a command without an option", "hel" + nop + "lo\n", []string{"hello"}},
		{"a subnegotiation", sb + "\x18\x00xterm" + se + "hello\n", []string{"hello"}},
		{"a subnegotiation over two lines", "hel" + sb + "\x18\x00xt\nerm" + se + "lo\n", []string{"hel", "lo"}},
		{"a command alone", do + "\x06\r\nhello\r\n", []string{"hello"}},
		{"a command that the line ends in", "hello" + iac + "\n" + "hello" + do + "\n", []string{"hello", "hello"}},
		{"an escaped 255", "hel" + iac + iac + "lo\n", []string{"hello"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostBubble(t)
				ann := call(t, srv)
				ann.send("ann")
				ann.hear()
				ann.sendRaw(tt.sent)
				checkSaid(t, ann, tt.said)

				// In pieces, the line may end anywhere.
				for i := range len(tt.sent) {
					ann.sendRaw(tt.sent[i : i+1])
					time.Sleep(time.Millisecond)
				}
				checkSaid(t, ann, tt.said)
			})
		})
	}
}

func checkSaid(t *testing.T, c *caller, said []string) {
	t.Helper()
	want := ""
	for _, text := range said {
		want += "00:00 <ann> " + text + "\n"
	}
	if heard := c.hear(); heard != want {
		t.Errorf("heard %q; want %q", heard, want)
	}
}

func TestATelnetClientNegotiatesBeforeItsNick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := call(t, hostBubble(t))
		ann.sendRaw(do + "\x03" + will + "\x18" + sb + "\x18\x00xterm" + se + "ann\r\n")
		if heard := ann.hear(); !strings.Contains(heard, "You are ann, in lobby") {
			t.Errorf("heard %q", heard)
		}
	})
}

func TestTheLastLineNeedsNoEnd(t *testing.T) {
	srv, err := chatroom.New()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()
	defer func() {
		srv.Close()
		<-served
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("ann\nthe end")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var heard []string
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		heard = append(heard, lines.Text())
	}
	if n := len(heard); n < 2 || !strings.HasSuffix(heard[n-2], "<ann> the end") || heard[n-1] != "--- Goodbye." {
		t.Errorf("heard %q, and then %v", heard, lines.Err())
	}
}

func TestPlainLinesGoToTheRoomThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := call(t, hostBubble(t))
		ann.send("ann", "/join den", "/leave")
		ann.hear()
		ann.send("Back in the lobby.")
		if got, want := ann.hear(), "00:00 <ann> Back in the lobby.\n"; got != want {
			t.Errorf("heard %q; want %q", got, want)
		}
	})
}

func TestTurningToARoomNamesItAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := call(t, hostBubble(t))
		ann.send("ann", "/join Den", "/join lobby")
		ann.hear()
		ann.send("/join #DEN")
		if got, want := ann.hear(), "--- What you type is said in Den now.\n"; got != want {
			t.Errorf("heard %q; want %q", got, want)
		}
	})
}

func TestAPeerThatLeavesIsNoErrorOfServeConn(t *testing.T) {
	for name, line := range map[string]string{"silent": "", "person": "bob\n", "program": `{"type":"join","nick":"bob"}` + "\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostBubble(t)
				near, far := net.Pipe()
				ended := make(chan error, 1)
				go func() { ended <- srv.ServeConn(t.Context(), far) }()
				bob := &caller{t: t, conn: near}
				go bob.listen()
				bob.sendRaw(line)
				near.Close()
				if err := <-ended; err != nil {
					t.Errorf("ServeConn: %v", err)
				}
			})
		})
	}
}
