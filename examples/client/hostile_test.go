package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/chatroom"
)

// What a hostile server says: an event of each kind, with one text in every field that holds any.
var (
	hostileKinds = []chatroom.Kind{
		chatroom.KindMessage, chatroom.KindAction, chatroom.KindNotice, chatroom.KindJoin, chatroom.KindLeave, chatroom.KindNick, chatroom.KindTopic,
		chatroom.KindDeleted, chatroom.KindKick, chatroom.KindBan, chatroom.KindMute, chatroom.KindUnmute, chatroom.KindSlow, chatroom.KindLock,
		chatroom.KindUnlock, chatroom.KindRole, chatroom.KindDelete, chatroom.KindRestore, chatroom.KindWelcome, chatroom.KindPrivate,
		chatroom.KindMembers, chatroom.KindRooms, chatroom.KindPong, chatroom.KindPing, chatroom.KindError, chatroom.KindBye, chatroom.KindAct,
		chatroom.KindPreview, chatroom.KindBans, chatroom.KindActs, chatroom.KindHeld, chatroom.KindHistory, chatroom.KindHold, "frobnicate",
	}
	hostileFields = `"room":E,"from":E,"nick":E,"text":E,"code":E,"retry":E,"epoch":E,"role":E,"topic":E,"motd":E,"count":3,
		"act":E,"verb":E,"target":E,"reason":E,"undoes":E,"ref":E,"notes":[E,E],"limits":{"line_bytes":8192,"text_bytes":4096,"idle":30},
		"members":[{"nick":E,"role":E},{"nick":E,"role":"admin"}],"rooms":[{"room":E,"topic":E},{"room":E}],"hits":[{"nick":E}],"left":[{"nick":E}],
		"bans":[{"id":E,"effect":E,"kind":E,"value":E,"reason":E,"note":E,"by":E}],
		"acts":[{"id":E,"verb":E,"by":E,"target":E,"room":E,"reason":E,"text":E,"role":E,"undoes":E}],
		"held":[{"ref":E,"room":E,"from":E,"verb":E,"text":E,"filter":E,"reason":E}],
		"events":[{"type":"message","room":E,"from":E,"text":E},{"type":"kick","act":E,"nick":E,"reason":E}]`
)

// hostile returns the lines of a server that says evil wherever it can, ordered and not.
func hostile(evil string) string {
	quoted, _ := json.Marshal(evil) // a string can be encoded
	fields := strings.ReplaceAll(strings.ReplaceAll(hostileFields, "\n", ""), "E", string(quoted))
	var b strings.Builder
	for i, kind := range hostileKinds {
		fmt.Fprintf(&b, `{"type":%q,%s}`+"\n", kind, fields)
		fmt.Fprintf(&b, `{"type":%q,"seq":%d,"member":1,%s}`+"\n", kind, i+2, fields)
	}
	return b.String()
}

// steers are the characters that steer a terminal, turn text around for good, or end a line.
func steers() (list []rune) {
	for r := range rune(0x3000) {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) && r != '\t' {
			list = append(list, r)
		}
	}
	return list
}

// steersAlone reports whether r may not be shown at all.
func steersAlone(r rune) bool {
	return r < ' ' && r != '\t' || r >= 0x7f && unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp)
}

var ownControl = regexp.MustCompile(`\x1b\[\d*[A-DJKm]`)

// mustBeHarmless checks what was written to a terminal: nothing steers it but the control sequences
// of the client itself, and none of those are in what it was sent.
func mustBeHarmless(t *testing.T, raw, evil string) {
	t.Helper()
	shown := strings.ReplaceAll(ownControl.ReplaceAllString(raw, ""), "\r\n", "\n")
	if !utf8.ValidString(shown) {
		t.Fatalf("%.40q: not UTF-8: %.300q", evil, shown)
	}
	for line := range strings.Lines(shown) {
		line = strings.Trim(line, "\r\n") // the cursor goes to the left for the prompt
		if i := strings.IndexFunc(line, steersAlone); i >= 0 {
			t.Fatalf("%.40q: %q in %.300q", evil, line[i:min(i+8, len(line))], line)
		}
		if len(line) > 100<<10 {
			t.Fatalf("%.40q: a line of %d bytes", evil, len(line))
		}
		if !strings.ContainsFunc(line, func(r rune) bool { return r >= 0x202a && r <= 0x2069 }) {
			continue
		}
		turns := strings.Count(line, "\u202a") + strings.Count(line, "\u202b") + strings.Count(line, "\u202d") + strings.Count(line, "\u202e")
		isolates := strings.Count(line, "\u2066") + strings.Count(line, "\u2067") + strings.Count(line, "\u2068")
		if turns > strings.Count(line, "\u202c") && isolates == 0 || isolates != strings.Count(line, "\u2069") {
			t.Fatalf("%.40q: turned around for good: %.300q", evil, line)
		}
	}
}

func TestHostileServerCannotReachTheTerminal(t *testing.T) {
	evils := []string{
		strings.Repeat("e\u0301", 50), "e" + strings.Repeat("\u0301", 200), strings.Repeat("\u202ex", 50), strings.Repeat("安", 100), strings.Repeat("x", 500),
		"\x1b]0;owned\a", "\x1b[2J\x1b[H", "\u009b2J", "\n00:00 <ann> I agree", "\r\x1b[K", "\x1bP$q\x1b\\", strings.Repeat("\u200b", 200), "\u2067\u202e\u2069", string(steers()),
	}
	for _, r := range steers() {
		evils = append(evils, "a"+string(r)+"b")
	}
	for _, evil := range evils {
		var raw bytes.Buffer
		u := newTerminal(struct {
			io.Reader
			io.Writer
		}{nil, &raw}, true)
		for line := range strings.Lines(hostile(evil)) {
			var e chatroom.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			u.setPrompt(e.Nick)
			u.show(&e)
		}
		u.refuse(&chatroom.Error{Code: chatroom.Code(evil), Text: evil})
		u.refuse(fmt.Errorf("read: %s", evil))
		gap := missing(&chatroom.Event{Kind: chatroom.KindGap, Room: evil, Gap: &chatroom.Gap{From: 1, To: 2}})
		u.show(&gap)
		mustBeHarmless(t, raw.String(), evil)
	}
}

func TestMarksDoNotPileUp(t *testing.T) {
	u := newTestTerminal(t, false)
	u.front.Home = "lobby"
	u.show(said("ann", "e"+strings.Repeat("\u0301", 1000)+"x"+strings.Repeat("\u200d", 1000)+" Việt Nam, ไทย, 👩‍👩‍👧‍👦"))
	want := "12:00 <ann> e" + strings.Repeat("\u0301", 16) + "x" + strings.Repeat("\u200d", 16) + " Việt Nam, ไทย, 👩‍👩‍👧‍👦\r\n"
	if got := u.display.raw.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestLineWithoutEndIsCut(t *testing.T) {
	u := newTestTerminal(t, false)
	u.front.Home = "lobby"
	u.show(said("ann", "\u202e"+strings.Repeat("é", 1<<20)))
	if got := u.display.raw.String(); len(got) > 65<<10 || !strings.HasSuffix(got, "é\u202c…\r\n") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-20:])
	}
}

func TestLongNickMakesNoLongPrompt(t *testing.T) {
	for nick, want := range map[string]string{
		"ann": "ann", strings.Repeat("x", 1<<20): strings.Repeat("x", 32), "a\tb\nc": "a b␊c", "a" + strings.Repeat("\u0301", 100): "a" + strings.Repeat("\u0301", 16),
	} {
		if got := promptFor(nick); got != want {
			t.Errorf("%.20q: %q, want %q", nick, got, want)
		}
	}
}

// The same over a connection, into a pipe.
func TestHostileServerOverTCP(t *testing.T) {
	evil := "\x1b]0;owned\a\u009b2J\x7f\r\n00:00 <ann> hi\u202e"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		in := bufio.NewReader(conn)
		in.ReadString('\n')
		said := strings.Split(hostile(evil), "\n")
		io.WriteString(conn, `{"type":"welcome","version":1,"seq":1,"room":"lobby","nick":"ann","member":1}`+"\n")
		for i, line := range said {
			if i/2 < len(hostileKinds) && hostileKinds[i/2] != chatroom.KindBye {
				fmt.Fprintln(conn, line)
			}
		}
		io.WriteString(conn, strings.Replace(said[0], "message", "bye", 1)+"\n")
		io.Copy(io.Discard, in) // what is not read would make the kernel drop what was said
	}()
	stdout, stderr := start(t, "-addr", l.Addr().String(), "-nick", "ann").exits(t, 1)
	mustBeHarmless(t, stdout+"\n"+stderr, evil)
	if strings.Contains(stdout+stderr, "\x1b") {
		t.Error("a pipe got control sequences")
	}
	if want := "<␛]0;owned␇\ufffd2J␡␍␊00:00 <ann> hi\u202e"; !strings.Contains(stdout, want) {
		t.Errorf("no %q in %.2000q", want, stdout)
	}
	if lines := strings.Count(stdout, "\n"); lines < len(hostileKinds) {
		t.Errorf("only %d lines", lines)
	}
}
