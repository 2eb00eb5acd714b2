package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"example.com/chatroom"
)

const columns = 80 // of the display

// A display is what somebody at a terminal sees. It knows the control sequences that a Terminal
// and a screen use, and leaves colours out.
type display struct {
	mu      sync.Mutex
	rows    [][]rune
	x, y    int
	raw     strings.Builder
	changed chan struct{}
}

var clock = regexp.MustCompile(`(?m)^\d\d:\d\d `)

var control = regexp.MustCompile(`^\x1b\[(\d*)([A-DJKm])`)

func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.raw.Write(p)
	for rest := string(p); rest != ""; {
		if m := control.FindStringSubmatch(rest); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				n = 1
			}
			d.obey(m[2], n)
			rest = rest[len(m[0]):]
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		d.put(r)
		rest = rest[size:]
	}
	select {
	case d.changed <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (d *display) obey(what string, n int) {
	switch what {
	case "A":
		d.y = max(d.y-n, 0)
	case "B":
		d.y += n
	case "C":
		d.x += n
	case "D":
		d.x = max(min(d.x, columns-1)-n, 0)
	case "J", "K":
		d.grow()
		d.rows[d.y] = d.rows[d.y][:min(d.x, len(d.rows[d.y]))]
		if what == "J" {
			d.rows = d.rows[:d.y+1]
		}
	}
}

func (d *display) put(r rune) {
	switch {
	case r == '\r':
		d.x = 0
		return
	case r == '\n':
		d.y++
		return
	case d.x == columns:
		d.x = 0
		d.y++
	}
	d.grow()
	d.rows[d.y][d.x] = r
	d.x++
}

// grow makes the cell at the cursor exist.
func (d *display) grow() {
	for len(d.rows) <= d.y {
		d.rows = append(d.rows, nil)
	}
	for len(d.rows[d.y]) <= d.x && d.x < columns {
		d.rows[d.y] = append(d.rows[d.y], ' ')
	}
}

func (d *display) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for _, row := range d.rows {
		lines = append(lines, strings.TrimRight(string(row), " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// A terminal is a screen, with somebody in front of it.
type terminal struct {
	*screen
	display *display
	keys    *io.PipeWriter
}

func newTestTerminal(t *testing.T, colours bool) *terminal {
	t.Helper()
	in, keys := io.Pipe()
	d := &display{changed: make(chan struct{}, 1)}
	t.Cleanup(func() { keys.Close() })
	return &terminal{newTerminal(struct {
		io.Reader
		io.Writer
	}{in, d}, colours), d, keys}
}

// types types keys, and returns when they have been echoed and the next one is waited for.
func (u *terminal) types(keys string) {
	io.WriteString(u.keys, keys)
	u.keys.Write(nil)
}

// sees waits until text is on the display, or would be if that did not show the time.
func (u *terminal) sees(t *testing.T, text string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for shown := u.display.String(); !strings.Contains(shown, text) && !strings.Contains(clock.ReplaceAllString(shown, ""), text); shown = u.display.String() {
		select {
		case <-u.display.changed:
		case <-late:
			t.Fatalf("no %q in\n%s", text, u.display)
		}
	}
}

func at(clock string, e chatroom.Event) *chatroom.Event {
	e.Time, _ = time.ParseInLocation("15:04", clock, time.Local)
	e.Room, e.Seq = "lobby", 1
	return &e
}

func said(from, text string) *chatroom.Event {
	return at("12:00", chatroom.Event{Kind: chatroom.KindMessage, From: from, Text: text})
}

var welcome = &chatroom.Event{Kind: chatroom.KindWelcome, Room: "lobby", Nick: "ann", Welcome: &chatroom.Welcome{}}

func TestArrivingLineDoesNotTearTheOneBeingTyped(t *testing.T) {
	u := newTestTerminal(t, true)
	u.setPrompt("ann")
	u.show(welcome)
	lines := make(chan string)
	go func() {
		for {
			line, err := u.readLine()
			if err != nil {
				close(lines)
				return
			}
			lines <- line
		}
	}()
	u.types("hel")
	u.show(said("bob", "am I interrupting?"))
	if want := "--- You are ann, in lobby.\n12:00 <bob> am I interrupting?\nann> hel"; u.display.String() != want {
		t.Errorf("the display shows\n%s\nwant\n%s", u.display, want)
	}
	io.WriteString(u.keys, "lo\r")
	if line := <-lines; line != "hello" {
		t.Errorf("read %q", line)
	}
	u.types("")
	if want := "--- You are ann, in lobby.\n12:00 <bob> am I interrupting?\nann>"; u.display.String() != want {
		t.Errorf("the display shows\n%s\nwant\n%s", u.display, want)
	}
	u.keys.Close()
	<-lines
}

func TestLineOfAnyLengthGoesFromTheDisplay(t *testing.T) {
	for _, length := range []int{0, 1, columns - 6, columns - 5, columns - 4, 2*columns - 5, 200} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			u := newTestTerminal(t, false)
			u.setPrompt("ann")
			u.show(welcome)
			typed := strings.Repeat("x", length)
			go io.WriteString(u.keys, typed+"\r")
			if line, err := u.readLine(); line != typed || err != nil {
				t.Errorf("read %q, %v", line, err)
			}
			u.show(said("ann", "short"))
			if want := "--- You are ann, in lobby.\n12:00 <ann> short"; u.display.String() != want {
				t.Errorf("the display shows\n%s", u.display)
			}
		})
	}
}

func TestColoursTellWhoSpeaksAndWhatIsRefused(t *testing.T) {
	const esc = "\x1b["
	shown := func(colours bool, e *chatroom.Event) string {
		u := newTestTerminal(t, colours)
		u.front.Home = "lobby"
		u.show(e)
		return u.display.raw.String()
	}
	ann, again, bob := shown(true, said("ann", "hi <ann>")), shown(true, said("ann", "me")), shown(true, said("bob", "hi"))
	head, _, _ := strings.Cut(ann, "mann")
	if !strings.HasPrefix(head, "12:00 <"+esc) || !strings.HasPrefix(again, head) || strings.HasPrefix(bob, head) {
		t.Errorf("nicks are not told apart: %q, %q, %q", ann, again, bob)
	}
	if !strings.HasSuffix(ann, esc+"0m> hi <ann>\r\n") {
		t.Errorf("more than the nick is coloured: %q", ann)
	}
	for _, c := range []struct {
		event *chatroom.Event
		want  string
	}{
		{at("12:00", chatroom.Event{Kind: chatroom.KindJoin, From: "bob"}), esc + "2m12:00 --> bob joined" + esc + "0m\r\n"},
		{&chatroom.Event{Kind: chatroom.KindNotice, Text: "one\ntwo"}, esc + "2m--- one\r\n--- two" + esc + "0m\r\n"},
		{&chatroom.Event{Kind: chatroom.KindError, Err: chatroom.ErrDenied.(*chatroom.Error)}, esc + "31m!!! you may not do that." + esc + "0m\r\n"},
		{at("12:00", chatroom.Event{Kind: "frobnicate", Text: "?"}), ""},
	} {
		if got := shown(true, c.event); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if got := shown(false, c.event); strings.Contains(got, esc) {
			t.Errorf("coloured without colours: %q", got)
		}
	}
}

func TestControlCharactersAreShownAsReplaced(t *testing.T) {
	u := newTestTerminal(t, true)
	u.setPrompt("ann\x1b[2J")
	u.show(welcome)
	u.show(said("bob\x1b[31m", "\x1b[2J\u009b2J\a\x00\x7f\xff\ttab"))
	go io.WriteString(u.keys, "\x04")
	if _, err := u.readLine(); err != io.EOF {
		t.Error(err)
	}
	raw := u.display.raw.String()
	if strings.Contains(raw, "\x1b[2J") || strings.ContainsAny(raw, "\u009b\a\x00\x7f") || !utf8.ValidString(raw) {
		t.Errorf("the terminal got %q", raw)
	}
	if want := "<bob␛[31m> ␛[2J\ufffd2J␇␀␡\ufffd\ttab\nann␛[2J>"; !strings.HasSuffix(u.display.String(), want) {
		t.Errorf("no %q in %q", want, u.display)
	}
}

func TestConversationAtATerminal(t *testing.T) {
	srv, _ := serve(t)
	bob, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	ann, err := srv.Join(t.Context(), chatroom.Identity{Nick: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	u := newTestTerminal(t, true)
	ended := make(chan error, 1)
	go func() { ended <- chat(t.Context(), ann, u.screen) }()
	u.sees(t, "ann>")
	u.types("hello\r")
	u.sees(t, "<ann> hello")
	u.types("/nick anna\r")
	u.sees(t, "--- ann is now called anna")
	u.sees(t, "anna>")
	u.types("/join tea\r")
	u.sees(t, "--- You are anna, in tea.")
	u.types("milk?\r")
	u.sees(t, "[tea] <anna> milk?")
	u.types("/join lobby\r")
	u.sees(t, "--- What you type is said in lobby now.")
	u.types("back\r/who\r")
	u.sees(t, "--- In lobby (2): ")
	u.types("/help\r")
	u.sees(t, "--- /quit [REASON]")
	u.types("/nick bob\r")
	u.sees(t, "!!! bob is taken")
	u.types("/leave\r")
	u.sees(t, "<-- anna left")
	u.types("still here\r")
	u.sees(t, "[tea] <anna> still here")
	if _, err := bob.Send(t.Context(), chatroom.Private("anna", "psst")); err != nil {
		t.Fatal(err)
	}
	u.sees(t, "[bob -> anna] psst")
	io.WriteString(u.keys, "unsent\x03")
	if err := <-ended; !errors.Is(err, chatroom.ErrClosed) {
		t.Errorf("chat ended with %v", err)
	}
	u.sees(t, "--- Goodbye.")
	u.close()
	if _, err := u.readLine(); err != io.EOF {
		t.Errorf("reading from a closed screen: %v", err)
	}
}

func TestTerminalIsAskedForANickAndAPassword(t *testing.T) {
	_, addr := serve(t, chatroom.WithAuthenticator(chatroom.AuthenticatorFunc(
		func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
			switch {
			case req.Nick == "bob":
				return chatroom.Identity{}, chatroom.ErrNickInUse
			case req.Secret == "":
				return chatroom.Identity{}, chatroom.ErrPasswordRequired
			case req.Secret != "sesame":
				return chatroom.Identity{}, chatroom.ErrUnauthorized
			}
			return chatroom.Identity{Nick: req.Nick}, nil
		})))
	u := newTestTerminal(t, false)
	go func() {
		for _, answer := range []string{"", "bob", "ann", "wrong", "sesame"} {
			io.WriteString(u.keys, answer+"\r")
		}
	}()
	c, err := join(t.Context(), u.screen, addr, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if nick := c.Self().Nick; nick != "ann" {
		t.Errorf("joined as %s", nick)
	}
	if text := u.display.raw.String(); strings.Contains(text, "sesame") {
		t.Errorf("the password is on the display: %q", text)
	}
	if _, err := askNobody(t, u); !errors.Is(err, chatroom.ErrClosed) {
		t.Errorf("Ctrl-D: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := u.ask(ctx, "Your nickname: ", false); err != context.Canceled {
		t.Errorf("interrupted: %v", err)
	}
}

func askNobody(t *testing.T, u *terminal) (string, error) {
	go io.WriteString(u.keys, "\x04")
	return u.ask(t.Context(), "Your nickname: ", false)
}
