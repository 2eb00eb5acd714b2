package chatroom_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/adapters/pychat"
)

// houses are the fronts that servers have.
var houses = [][]chatroom.Front{
	{chatroom.JSONFront{}, clockFront},
	{clockFront},
	{chatroom.JSONFront{}},
	{chatroom.JSONFront{}, pychat.Front{Home: "lobby", Location: time.UTC}},
}

// hellos are how conversations begin.
var hellos = []string{
	"ann\nhello\n/quit\n", "carl\nwrong\ncarl\nsecret\nhi\n", "root\nann\r\n", "\xff\xfd\x01ann\r\n", "ann\xff\xfa\nhi", "ann: hi\nann: KICK bot",
	`{"type":"join","nick":"ann"}` + "\n" + `{"type":"say","text":"hi"}` + "\n", `{"type":"join","nick":"carl","password":"x","version":2}` + "\n",
	`{"type":"join","nick":"ann","session":"x","seen":[{"room":"lobby"}],"resume":true}` + "\n", "{\n{\n{\n{\n{\n{\n", "{", "", "a\x00b\n\n\n\n\n\n\n",
	`{"type":"join","nick":"ann"}` + "\n" + strings.Repeat(`{"type":"say","text":"x"}`+"\n", 10<<10), "ann\n" + strings.Repeat("/help\n", 40<<10),
	"ann\n" + strings.Repeat("x\n", 128<<10), strings.Repeat("{x", 128<<10),
}

// FuzzHello begins a conversation with any bytes, in two pieces and with some silence between them. Whatever they are, the
// peer is answered or hung up on, in clean lines; it is nobody whom it may not be; and the server goes on,
// having allocated little.
func FuzzHello(f *testing.F) {
	for i := range houses {
		for _, hello := range hellos {
			for _, silence := range []uint16{0, 400, 11_000} {
				f.Add(uint8(i), silence, []byte(hello[:min(len(hello)/2, 30)]), []byte(hello[min(len(hello)/2, 30):]))
			}
		}
		for _, foreign := range foreigners {
			f.Add(uint8(i), uint16(0), []byte(foreign.first[:3]), []byte(foreign.first[3:]))
			f.Add(uint8(i), uint16(1000), []byte{}, []byte(foreign.first))
		}
	}
	f.Fuzz(func(t *testing.T, house uint8, silence uint16, first, rest []byte) {
		synctest.Test(t, func(t *testing.T) {
			srv, err := chatroom.New(chatroom.WithFronts(houses[int(house)%len(houses)]...), chatroom.WithAuthenticator(users{"carl": {secret: "secret"}}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { srv.Close() })
			bot := joinAs(t, srv, "bot")
			unread(t, bot)

			taken := 0
			var c *caller
			used := chatroom.Allocated(1, func() {
				c = call(t, srv)
				for _, piece := range [][]byte{first, rest} {
					n, _ := c.conn.Write(piece) // up to where it is hung up on
					taken += n
					time.Sleep(time.Duration(silence) * time.Millisecond)
				}
			})
			if used > uint64(4*taken+2<<20) { // a hundred times it is told at length what there is to say
				t.Errorf("%d bytes were allocated for %d", used, taken)
			}
			time.Sleep(time.Minute)
			joined := srv.Stats().Joined > 1
			checkHello(t, c, joined, slices.Concat(first, rest))
			checkWho(t, unread(t, bot), joined, bytes.Contains(rest, []byte("secret")))
			mustSend(t, joinAs(t, srv, "bob"), chatroom.Say("", "alive"))
			if told := unread(t, bot); len(told) == 0 || told[len(told)-1].Text != "alive" {
				t.Errorf("after that the room is told %+v", told)
			}
		})
	})
}

// checkHello checks what somebody has heard who began like that, in more than the time that there is for joining.
func checkHello(t *testing.T, c *caller, joined bool, sent []byte) {
	t.Helper()
	heard := c.hear()
	if !joined && !c.gone() || heard == "" && !c.gone() {
		t.Errorf("joined: %v; heard %q, hung up on: %v", joined, heard, c.gone())
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(heard, foreigners["TLS 1.3"].told), "\n") {
		checkLine(t, strings.TrimSuffix(line, "\r"), true)
	}
	for _, foreign := range []string{"\x16\x03", "SSH-", "GET / HTTP/1."} {
		if joined && bytes.HasPrefix(sent, []byte(foreign)) {
			t.Errorf("joined, and heard %q", heard)
		}
	}
}

// checkWho checks that what a room was told is of somebody who has joined, under a nick that it may have.
func checkWho(t *testing.T, told []chatroom.Event, joined, knowing bool) {
	t.Helper()
	for _, e := range told {
		valid, err := chatroom.ValidNick(e.From)
		if !joined || valid != e.From || err != nil {
			t.Errorf("%s by %q, %v; joined: %v", e.Kind, e.From, err, joined)
		}
		if slices.Contains([]string{"bot", "root", "admin", "server"}, e.From) || e.From == "carl" && !knowing {
			t.Errorf("%s by %s", e.Kind, e.From)
		}
		checkLine(t, e.Text+e.Nick+e.Room, true)
	}
}

// mustAllocate checks that f allocates no more than so many bytes.
func mustAllocate(t *testing.T, most int, f func()) {
	t.Helper()
	if used := chatroom.Allocated(5, f); used > uint64(most) {
		t.Errorf("%d bytes were allocated; want at most %d", used, most)
	}
}
