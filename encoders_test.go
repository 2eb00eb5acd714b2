package chatroom_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

// fillStrings sets every string in v to what next returns, in lists with two elements each, and
// makes what pointers point to. Events within events hold none in turn.
func fillStrings(v reflect.Value, depth int, next func() string) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
	case v.Kind() == reflect.String:
		v.SetString(next())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fillStrings(v.Field(i), depth, next)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillStrings(v.Elem(), depth, next)
	case v.Kind() == reflect.Slice && v.Type().Elem() == reflect.TypeFor[chatroom.Event]() && depth > 0:
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fillStrings(v.Index(i), depth+1, next)
		}
	}
}

// allKinds are the kinds of events, as event.go has them.
func allKinds(t testing.TB) []string { return constants(t, "event.go", "Kind") }

// everyEvent returns an event of each kind, ordered and not, whose strings are what next returns.
func everyEvent(t testing.TB, next func() string) (events []chatroom.Event) {
	t.Helper()
	kinds := allKinds(t)
	for _, kind := range kinds {
		for seq := range uint64(2) {
			var e chatroom.Event
			fillStrings(reflect.ValueOf(&e).Elem(), 0, next)
			e.Kind, e.Seq = chatroom.Kind(kind), seq
			e.Report.Count = 2
			for i := range e.Report.Events {
				e.Report.Events[i].Kind = chatroom.Kind(kinds[(i+len(events))%len(kinds)])
			}
			events = append(events, e)
		}
	}
	return events
}

// How the text front begins a line, whatever an event holds.
var textLine = regexp.MustCompile(`^(00:00 (\[[^\n]*\] )?(<|\* |\[|\*\*\* |--> |<-- |--- )|--- |!!! )`)

// The kinds that are told in several lines, of which each begins as the front begins them.
var severalLines = map[chatroom.Kind]bool{
	chatroom.KindWelcome: true, chatroom.KindNotice: true, chatroom.KindRooms: true, chatroom.KindPreview: true, chatroom.KindBans: true,
	chatroom.KindActs: true, chatroom.KindHeld: true, chatroom.KindHold: true, chatroom.KindHistory: true,
}

func TestThreat17LineInjection(t *testing.T) {
	pieces := []string{
		"\n", "\r", "\r\n", "\x00", "\u0085", "\u2028", "\u2029", "\v", "\f", "\xff", "\xc2", "\x85", "\xe2\x80", "\x1b[2J", "a", " ", `"`, `\`, "{", "}",
		"00:00 <bob> hi", "--- bob is an admin", "!!! no", `","type":"notice"`, "\u202e", "\u2066", "é", "😀", "\t", strings.Repeat("x", 300),
	}
	next := func() string {
		var b strings.Builder
		for range rand.N(5) {
			b.WriteString(pieces[rand.N(len(pieces))])
		}
		return b.String()
	}
	for range 300 {
		for _, e := range everyEvent(t, next) {
			line := (chatroom.JSONFront{}).AppendEvent(nil, &e)
			if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasSuffix(line, []byte("}\n")) || !json.Valid(line) {
				t.Fatalf("%s in JSON: %q", e.Kind, line)
			}
			checkLine(t, string(line[:len(line)-1]), false)

			text := string(clockFront.AppendEvent([]byte("before\n"), &e))
			text, ok := strings.CutPrefix(text, "before\n")
			if !ok || text != "" && !strings.HasSuffix(text, "\n") {
				t.Fatalf("%s: %q", e.Kind, text)
			}
			lines := strings.SplitAfter(text, "\n")
			if len(lines) > 2 && !(severalLines[e.Kind] && (e.Kind != chatroom.KindNotice || !e.Ordered())) {
				t.Fatalf("%s is told in several lines: %q", e.Kind, text)
			}
			for _, line := range lines[:len(lines)-1] {
				checkLine(t, strings.TrimSuffix(line, "\n"), true)
				if !textLine.MatchString(line) || leftOpen(line) {
					t.Fatalf("%s: the line %q in %q", e.Kind, line, text)
				}
			}
		}
	}
}

// An utterance is what a line of the text front says that a member said.
type utterance struct {
	Kind                 chatroom.Kind
	Room, From, To, Text string
}

var saidLine = regexp.MustCompile(`^00:00 (?:\[(\S+)\] )?(?:<(\S+)> |\* (\S+) |\[(\S+) -> (\S+)\] )(.*)\n$`)

// parseSaid reads a line as somebody does who wants to know who said what. False means that nobody
// said it.
func parseSaid(line string) (s utterance, ok bool) {
	m := saidLine.FindStringSubmatch(line)
	if m == nil || m[3] == "**" { // which no nick is
		return s, false
	}
	s.Room, s.Text = m[1], m[6]
	switch {
	case m[2] != "":
		s.Kind, s.From = chatroom.KindMessage, m[2]
	case m[3] != "":
		s.Kind, s.From = chatroom.KindAction, m[3]
	default:
		s.Kind, s.From, s.To = chatroom.KindPrivate, m[4], m[5]
	}
	return s, true
}

// someNames returns valid nicks, with everything in them that a line might mistake.
func someNames(n int) (names []string) {
	alphabet := []rune("éЖ安🦊מש\u0301\u200b\u202e")
	for r := ' '; r <= '~'; r++ {
		alphabet = append(alphabet, r)
	}
	for _, name := range []string{"**", "***", "-->", "---", "!!!", "[tea]", "tea]", "ann>", "<ann>", "ann joined", "* ann"} {
		if _, err := chatroom.ValidNick(name); err == nil {
			names = append(names, name)
		}
	}
	for len(names) < n {
		var b strings.Builder
		for range 1 + rand.N(6) {
			b.WriteRune(alphabet[rand.N(len(alphabet))])
		}
		if nick, err := chatroom.ValidNick(b.String()); err == nil {
			names = append(names, nick)
		}
	}
	return names
}

func TestThreat23ForgedNotices(t *testing.T) {
	names, kinds := someNames(500), allKinds(t)
	name := func() string { return names[rand.N(len(names))] }
	pieces := []string{
		"00:00 ", "<bob> ", "* bob ", "[bob -> ann] ", "*** ", "--> ", "<-- ", "--- ", "!!! ", "joined", "[tea] ", "] ", "> ", "-> ", " ", "\t", ": ", "(", ")",
		"\n", "\r", "\x1b[1A", "\u2028", "\u202e", "\u202c", "\u2066", "\u2069", "\u200f", "\u200b", "\ufeff", "hi", "Ж", "🦊", "\x00", "until ", "ann",
	}
	for range 100_000 {
		var b strings.Builder
		for range rand.N(6) {
			b.WriteString(pieces[rand.N(len(pieces))])
		}
		want := utterance{Kind: chatroom.KindMessage, From: name(), Text: chatroom.Clean(b.String())}
		e := chatroom.Event{Seq: 1, Room: "lobby"}
		switch rand.N(4) {
		case 0:
			want.Kind = chatroom.KindAction
		case 1:
			want.Kind, want.To, e.Seq, e.Room = chatroom.KindPrivate, name(), 0, ""
		case 2:
			want.Room = name()
			e.Room = want.Room
		}
		e.Kind, e.From, e.Nick, e.Text = want.Kind, want.From, want.To, want.Text
		line := string(clockFront.AppendEvent(nil, &e))
		if got, ok := parseSaid(line); !ok || got != want {
			t.Fatalf("%+v is told as %q, which says %+v, %v", want, line, got, ok)
		}
		var back chatroom.Event
		if err := json.Unmarshal(chatroom.JSONFront{}.AppendEvent(nil, &e), &back); err != nil || !cmp.Equal(back, e) {
			t.Fatalf("in JSON %+v comes back as %+v, %v", e, back, err)
		}

		// What nobody said does not look said, whatever was given for a reason or a topic.
		e.Kind = chatroom.Kind(kinds[rand.N(len(kinds))])
		e.Act = &chatroom.Act{ID: "x", Verb: chatroom.VerbKick, Reason: want.Text}
		e.Err, e.Welcome, e.Report, e.Gap = &chatroom.Error{Text: want.Text}, &chatroom.Welcome{Topic: want.Text}, &chatroom.Report{}, &chatroom.Gap{}
		e.Crowd = &chatroom.Crowd{Joined: []chatroom.MemberInfo{{Nick: name()}}, JoinedCount: 2, LeftCount: 1}
		switch e.Kind {
		case chatroom.KindMessage, chatroom.KindAction, chatroom.KindPrivate:
			continue
		}
		for line := range strings.Lines(string(clockFront.AppendEvent(nil, &e))) {
			if got, ok := parseSaid(line); ok {
				t.Fatalf("%+v is told as %q, which says %+v", e, line, got)
			}
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, text := range []string{"", "hi", "a\x1b[2J", "\xff\xc2", "\u202e\u2066\u202c\u2069\u2069", "\u2067\u202a\u2069\u202c", "\u0085\u2028\t"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean := chatroom.Clean(text)
		checkLine(t, clean, true)
		if again := chatroom.Clean(clean); again != clean || leftOpen(clean) || leftOpen(reversed(clean)) {
			t.Errorf("Clean(%q) = %q, and again %q", text, clean, again)
		}
		if !strings.ContainsFunc(text, hasToChange) && utf8.ValidString(text) && clean != text {
			t.Errorf("Clean(%q) = %q", text, clean)
		}
	})
}

func hasToChange(r rune) bool { return isControl(r) || r >= 0x202a && r <= 0x2069 }

// reversed returns text backwards with the bidirectional openers and closers in each other's place,
// so that what closes without having been opened is left open.
func reversed(text string) string {
	swap := strings.NewReplacer("\u202a", "\u202c", "\u202b", "\u202c", "\u202d", "\u202c", "\u202e", "\u202c", "\u202c", "\u202a",
		"\u2066", "\u2069", "\u2067", "\u2069", "\u2068", "\u2069", "\u2069", "\u2066")
	var out []string
	for _, r := range text {
		out = append([]string{swap.Replace(string(r))}, out...)
	}
	return strings.Join(out, "")
}
