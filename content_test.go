package chatroom_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/chatroom"
)

func TestWhatATextMayHold(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"plain", "Hello, Zoë 🦊", "Hello, Zoë 🦊"},
		{"tab", "a\tb", "a\tb"},
		{"space around it", "  a  b \t ", "  a  b"},
		{"line feed", "a\n12:03 <bob> b", "a␊12:03 <bob> b"},
		{"carriage return", "a\rb", "a␍b"},
		{"last line feed", "a\r\n", "a"},
		{"NUL", "a\x00b", "a␀b"},
		{"escape", "\x1b[2J", "␛[2J"},
		{"bell", "\a!", "␇!"},
		{"vertical tab and form feed", "a\v\fb", "a␋␌b"},
		{"delete", "a\x7fb", "a␡b"},
		{"C1", "a\u0080\u0085\u009b\u009fb", "a\ufffd\ufffd\ufffd\ufffdb"},
		{"line separator", "a\u2028b", "a\ufffdb"},
		{"paragraph separator", "a\u2029b", "a\ufffdb"},
	}
	synctest.Test(t, func(t *testing.T) {
		ann := joinAs(t, hostBubble(t), "ann")
		for _, tt := range tests {
			e, err := ann.Send(t.Context(), chatroom.Say("", tt.text))
			if err != nil || e.Text != tt.want {
				t.Errorf("%s: said %q, %v; want %q", tt.name, e.Text, err, tt.want)
			}
		}
	})
}

func TestThreat19Bidi(t *testing.T) {
	texts := []struct{ name, text, want string }{
		{"override left open", "a\u202eb", "a\u202eb\u202c"},
		{"left to right override left open", "a\u202db", "a\u202db\u202c"},
		{"embedding left open", "a\u202bb", "a\u202bb\u202c"},
		{"isolate left open", "a\u2067b", "a\u2067b\u2069"},
		{"first strong isolate left open", "\u2068a", "\u2068a\u2069"},
		{"both left open", "\u2066a\u202bb", "\u2066a\u202bb\u202c\u2069"},
		{"embedding closed", "a\u202ab\u202cc", "a\u202ab\u202cc"},
		{"isolate closed", "a\u2066b\u2069c", "a\u2066b\u2069c"},
		{"isolate closes the embedding in it", "\u2068\u202ea\u2069b", "\u2068\u202ea\u2069b"},
		{"closed in the right order", "\u2066\u202da\u202c\u2069", "\u2066\u202da\u202c\u2069"},
		{"closers without an opener", "a\u202c\u2069b", "ab"},
		{"one closer too many", "\u202ea\u202c\u202cb", "\u202ea\u202cb"},
		{"embedding around an isolate", "\u202a\u2066a\u202cb", "\u202a\u2066ab\u2069\u202c"},
		{"isolate around an embedding", "\u2066\u202aa\u2069b\u202c", "\u2066\u202aa\u2069b"},
		{"out of what surrounds the text", "\u2069\u202c\u2069 00:00 <bob> hi", " 00:00 <bob> hi"},
		{"deep", strings.Repeat("\u202e", 200) + "a", strings.Repeat("\u202e", 200) + "a" + strings.Repeat("\u202c", 200)},
		{"marks", "a\u200eb\u200fc\u061cd", "a\u200eb\u200fc\u061cd"},
		{"right to left as it is written", "שלום, ann", "שלום, ann"},
		// Texts that do not say what they show, after Boucher and Anderson, "Trojan Source".
		{
			"commenting out", "/*\u202e } \u2066if (isAdmin)\u2069 \u2066 begin admins only */",
			"/*\u202e } \u2066if (isAdmin)\u2069 \u2066 begin admins only */\u2069\u202c",
		},
		{"stretched string", "!= \"user\u202e \u2066// if admin\u2069 \u2066\" {", "!= \"user\u202e \u2066// if admin\u2069 \u2066\" {\u2069\u202c"},
		{"early return", "''' Subtract \u2067''' ;return", "''' Subtract \u2067''' ;return\u2069"},
		{"homoglyph of a call", "s\u0430yHello()\u202e;", "s\u0430yHello()\u202e;\u202c"},
		{"stretched comment", "// \u2067 end\u2066 } if x {", "// \u2067 end\u2066 } if x {\u2069\u2069"},
		{"somebody else's line", "ok\u202e <bob> 00:00", "ok\u202e <bob> 00:00\u202c"},
		{"amount", "pay \u202e001\u202c now", "pay \u202e001\u202c now"},
		{"isolates in a row", "\u2066a\u2069\u2067b\u2069\u2068c", "\u2066a\u2069\u2067b\u2069\u2068c\u2069"},
		{"embeddings in one another", "\u202a\u202b\u202d\u202ea\u202c", "\u202a\u202b\u202d\u202ea\u202c\u202c\u202c\u202c"},
		{"a closer for what an isolate closed", "\u2066\u202ea\u2069\u202cb", "\u2066\u202ea\u2069b"},
		{"name of a file", "photo_\u202egnp.exe", "photo_\u202egnp.exe\u202c"},
		{"address", "https://example.org/\u202emoc.live", "https://example.org/\u202emoc.live\u202c"},
	}
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		ann := joinAs(t, srv, "ann")
		for _, tt := range texts {
			for _, cmd := range []chatroom.Command{chatroom.Say("", tt.text), chatroom.Topic("", tt.text), chatroom.Private("ann", tt.text)} {
				if e, err := ann.Send(t.Context(), cmd); err != nil || e.Text != tt.want || leftOpen(e.Text) {
					t.Errorf("%s: %s %q, %v; want %q", tt.name, cmd.Verb, e.Text, err, tt.want)
				}
			}
			time.Sleep(time.Second) // nobody says so much at once
		}
		for r := range rune(unicode.MaxRune) {
			if !unicode.In(r, unicode.Bidi_Control, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
				continue
			}
			for _, nick := range []string{"an" + string(r) + "n", string(r) + "ann", "ann" + string(r)} {
				if _, err := srv.Join(t.Context(), chatroom.Identity{Nick: nick}); !errors.Is(err, chatroom.ErrNickInvalid) {
					t.Errorf("the nick %+q: %v", nick, err)
				}
				if _, err := ann.Send(t.Context(), chatroom.Rename(nick)); !errors.Is(err, chatroom.ErrNickInvalid) {
					t.Errorf("the nick %+q: %v", nick, err)
				}
			}
		}
	})
}

// Bytes that are no UTF-8, in each place where a peer can put some.
func TestThreat20InvalidUTF8(t *testing.T) {
	bad := []string{
		"caf\xe9", "\xff", "\xc0\x8a", "\xe0\x80\x8a", "\xed\xa0\x80", "\xed\xb0\x80x", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe2\x82",
		"\x85", "x\x9b2J", "\xc2", "\xf0\x9f\xa6",
	}
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		ann, bob, cat := threeJoin(t, srv)
		for _, text := range bad {
			for _, field := range []string{"text", "reason", "nick", "room", "id", "ref", "x"} {
				ann.send(`{"type":"say","` + field + `":"` + text + `"}`)
			}
			for _, command := range []string{"", "/me ", "/topic ", "/msg cat ", "/nick ", "/join "} {
				bob.send(command + strings.ReplaceAll(text, "\xff", "\xfe")) // which is no telnet command
			}
			for _, line := range ann.lines() {
				if !strings.Contains(line, `"type":"error","code":"text_invalid"`) || !utf8.ValidString(line) {
					t.Errorf("ann says %q and hears %q", text, line)
				}
			}
			for _, line := range bob.lines() {
				if !strings.HasPrefix(line, "!!! ") || !utf8.ValidString(line) {
					t.Errorf("bob says %q and hears %q", text, line)
				}
			}
			if heard := cat.hear(); heard != "" {
				t.Errorf("cat hears %q of %q", heard, text)
			}
			time.Sleep(10 * time.Second) // nobody says so much at once
			cat.send(`{"type":"pong"}`)
		}
		ann.send(`{"type":"say","text":"still here"}`)
		bob.send("so am I")
		if heard := cat.hear(); !strings.Contains(heard, "still here") || !strings.Contains(heard, "so am I") {
			t.Errorf("cat hears %q", heard)
		}
	})
}

func TestTheMessageOfTheDayHasLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, chatroom.WithMOTD("one\r\n\ttwo \x1b[1m\nthree"))
		ann := call(t, srv)
		ann.send("ann")
		if heard := ann.hear(); !strings.Contains(heard, "\n--- one\n--- \ttwo ␛[1m\n--- three\n") {
			t.Errorf("ann heard %q", heard)
		}
	})
}

func TestWhatATextIsRefusedFor(t *testing.T) {
	tests := []struct {
		name, text string
		want       error
	}{
		{"nothing", "", chatroom.ErrTextInvalid},
		{"white space", " \t\n\u3000\u2028", chatroom.ErrTextInvalid},
		{"not UTF-8", "caf\xe9", chatroom.ErrTextInvalid},
		{"half a surrogate", "\xed\xa0\x80", chatroom.ErrTextInvalid},
		{"overlong", "\xc0\x8a", chatroom.ErrTextInvalid},
		{"too long", strings.Repeat("a", 101), chatroom.ErrTextTooLong},
		{"too long once its control characters are shown", strings.Repeat("\a", 34), chatroom.ErrTextTooLong},
		{"too long once it is closed", strings.Repeat("\u202e", 17) + "a", chatroom.ErrTextTooLong},
		{"nothing to see", "\u200b\u202e\ufe0f \u2800", chatroom.ErrTextInvalid},
	}
	synctest.Test(t, func(t *testing.T) {
		ann := joinAs(t, hostBubble(t, brisk(chatroom.Limits{TextBytes: 100})), "ann")
		for _, tt := range tests {
			commands := []chatroom.Command{chatroom.Say("", tt.text), chatroom.Action("", tt.text), chatroom.Private("ann", tt.text)}
			if tt.text != "" {
				commands = append(commands, chatroom.Topic("", tt.text), chatroom.LeaveRoom("", tt.text), chatroom.Quit(tt.text))
			}
			for _, cmd := range commands {
				if e, err := ann.Send(t.Context(), cmd); !errors.Is(err, tt.want) {
					t.Errorf("%s: %s = %q, %v; want %v", tt.name, cmd.Verb, e.Text, err, tt.want)
				}
			}
		}
		longest := strings.Repeat("\a", 33)
		if _, err := ann.Send(t.Context(), chatroom.Say("", longest)); err != nil {
			t.Errorf("the longest text was refused: %v", err)
		}
	})
}

// FuzzSay says any bytes over both fronts. Whoever hears them hears one line each, without a raw
// control character, and the same text.
func FuzzSay(f *testing.F) {
	for _, text := range []string{
		"Hello", "two\nlines", "a\r\n12:03 *** notice", "\x00\x07\x1b[2J\x7f", "caf\xe9", "a\u0085b\u2028c\u2029d",
		"\u202e\u2066", "tab\t.", `quote " and \ and \u000a`, " ", "\xff\xfb\x01x", strings.Repeat("\a", 1500), "/", "😀",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		synctest.Test(t, func(t *testing.T) {
			srv := hostBubble(t)
			ann, bob, cat := threeJoin(t, srv)
			ann.send(`{"type":"say","id":"x","text":"` + inJSON(text) + `"}`)
			checkHeard(t, "ann", ann, bob, cat)

			typed := strings.ReplaceAll(string(text), "\n", "")
			if strings.HasPrefix(typed, "/") {
				typed = "/" + typed
			}
			bob.send(typed)
			checkHeard(t, "bob", ann, bob, cat)
		})
	})
}

// threeJoin has ann, bob and cat join, bob with lines of text and the others with objects.
func threeJoin(t testing.TB, srv chatroom.Server) (ann, bob, cat *caller) {
	ann, bob, cat = call(t, srv), call(t, srv), call(t, srv)
	ann.send(`{"type":"join","nick":"ann"}`)
	bob.send("bob")
	cat.send(`{"type":"join","nick":"cat"}`)
	for _, c := range []*caller{ann, bob, cat} {
		c.hear()
	}
	return ann, bob, cat
}

// inJSON returns what stands between the quotes of a JSON string for text, its bytes as they are
// where JSON allows them.
func inJSON(text []byte) string {
	var b strings.Builder
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(string(c)) // a string of one ASCII character
			b.Write(quoted[1 : len(quoted)-1])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// checkHeard checks that cat and bob have heard the same text from speaker, or nobody but the
// speaker anything.
func checkHeard(t *testing.T, speaker string, ann, bob, cat *caller) {
	t.Helper()
	lines := map[string][]string{"ann": ann.lines(), "bob": bob.lines(), "cat": cat.lines()}
	for who, heard := range lines {
		for _, line := range heard {
			checkLine(t, line, who == "bob")
		}
	}
	if len(lines["cat"]) == 0 { // refused, or nothing to say
		for who, heard := range lines {
			if who != speaker && len(heard) > 0 || len(heard) > 1 {
				t.Fatalf("cat heard nothing from %s, and %s %q", speaker, who, heard)
			}
		}
		return
	}
	for who, heard := range lines {
		if len(heard) != 1 {
			t.Fatalf("%s said something and %s heard %q", speaker, who, heard)
		}
	}
	var e chatroom.Event
	if err := json.Unmarshal([]byte(lines["cat"][0]), &e); err != nil {
		t.Fatal(err)
	}
	if e.Kind != chatroom.KindMessage || e.From != speaker || leftOpen(e.Text) {
		t.Fatalf("%s said something and cat heard %+v", speaker, e)
	}
	if want := "00:00 <" + speaker + "> " + e.Text; lines["bob"][0] != want {
		t.Fatalf("bob heard %q; want %q", lines["bob"][0], want)
	}
}

// checkLine checks that line is one on every screen. Only a person's may have a tab.
func checkLine(t *testing.T, line string, tabs bool) {
	t.Helper()
	if !utf8.ValidString(line) {
		t.Fatalf("not UTF-8: %q", line)
	}
	for _, r := range line {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) && !(r == '\t' && tabs) {
			t.Fatalf("%U in %q", r, line)
		}
	}
}

// leftOpen reports whether a bidirectional embedding, override or isolate of text has no end in
// it (UAX 9, BD9 and the rules after it).
func leftOpen(text string) bool {
	isolates := [][]rune{nil} // the embeddings open in each open isolate
	for _, r := range text {
		last := len(isolates) - 1
		switch {
		case strings.ContainsRune("\u202a\u202b\u202d\u202e", r):
			isolates[last] = append(isolates[last], r)
		case r == '\u202c' && len(isolates[last]) > 0:
			isolates[last] = isolates[last][1:]
		case strings.ContainsRune("\u2066\u2067\u2068", r):
			isolates = append(isolates, nil)
		case r == '\u2069' && last > 0:
			isolates = isolates[:last]
		}
	}
	return len(isolates) > 1 || len(isolates[0]) > 0
}
