package pychat

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

func TestWhatAClientSendsIsSplit(t *testing.T) {
	say := func(texts ...string) (parts []part) {
		for _, text := range texts {
			parts = append(parts, part{chatroom.VerbSay, text})
		}
		return parts
	}
	kick, ban := part{chatroom.VerbKick, "bob"}, part{chatroom.VerbBan, "bob"}
	tests := []struct {
		name, sent string
		member     []part // what somebody without a role has sent
		admin      []part // what a moderator has; nil means the same
	}{
		{"a message without an end", "ann: hi", say("hi"), nil},
		{"a message with a newline", "ann: hi\n", say("hi"), nil},
		{"a message with CRLF", "ann: hi\r\n", say("hi"), nil},
		{"merged messages", "ann: hiann: there", say("hi", "there"), nil},
		{"merged messages with newlines", "ann: hi\nann: there\n", say("hi", "there"), nil},
		{"an empty message", "ann: ", nil, nil},
		{"empty messages among others", "ann: ann: hiann: \nann: there", say("hi", "there"), nil},
		{"several lines at once", "ann: one\ntwo\n", say("one", "two"), nil},
		{"the prefix in a sentence", "ann: as ann: would say", say("as ann: would say"), nil},
		{"the prefix in a sentence, twice", "ann: ann: ann: hi", say("hi"), nil},
		{"somebody else's prefix", "bob: hi", say("bob: hi"), nil},
		{"no prefix", "hi\nann: there", say("hi", "there"), nil},
		{"no prefix, but a merged message", "hiann: there", say("hi", "there"), nil},
		{"the beginning of a prefix", "ann:", nil, nil},
		{"the beginning of a prefix and a newline", "ann:\n", say("ann:"), nil},
		{"an answer nobody asked for", "annann: hi", say("hi"), nil},
		{"a command", "KICK bob", []part{kick}, nil},
		{"a command with a newline", "BAN bob\n", []part{ban}, nil},
		{"a command with a reason", "KICK bob for spam", []part{{chatroom.VerbKick, "bob for spam"}}, nil},
		{"a command without a name", "KICK ann: hi", say("hi"), nil},
		{"a command before a message", "KICK bobann: hi", append([]part{kick}, say("hi")...), nil},
		{"a command behind a line", "ann: hi\nKICK bob", append(say("hi"), kick), nil},
		{"a command behind a message", "ann: hiKICK bob", say("hiKICK bob"), append(say("hi"), kick)},
		{"commands behind a message", "ann: hiKICK bobBAN bobann: so", say("hiKICK bobBAN bob", "so"), append(append(say("hi"), kick, ban), say("so")...)},
		{"a message that begins with a command", "ann: KICK bob", say("KICK bob"), nil},
		{"a message that speaks of one", "ann: shall I KICK bob", say("shall I KICK bob"), nil},
		{"a word that ends in one", "ann: KICKBAN bob", say("KICKBAN bob"), nil},
		{"a word that begins with one", "BANANA split", say("BANANA split"), nil},
		{"a message that goes on behind one", "ann: oKICK bob or not", say("oKICK bob or not"), nil},
	}
	for _, tt := range tests {
		for _, commands := range []bool{false, true} {
			want := tt.member
			if commands && tt.admin != nil {
				want = tt.admin
			}
			for _, size := range []int{1, 2, 3, 1024} {
				if diff := cmp.Diff(want, splitAll("ann", tt.sent, commands, size), cmp.AllowUnexported(part{})); diff != "" {
					t.Errorf("%s, commands %v, %d bytes at once (-want +got):\n%s", tt.name, commands, size, diff)
				}
			}
		}
	}
}

// splitAll splits what is sent in chunks of that size, followed by a silence.
func splitAll(nick, sent string, commands bool, size int) (parts []part) {
	s := splitter{nick: nick, most: 1 << 20}
	take := func() {
		for {
			p, ok := s.next(commands)
			if !ok {
				return
			}
			parts = append(parts, p)
		}
	}
	for rest := sent; rest != ""; {
		n := min(size, len(rest))
		s.add([]byte(rest[:n]))
		rest = rest[n:]
		take()
	}
	s.silent = true
	take()
	return parts
}

func TestUsersCalledLikeACommandCanSpeak(t *testing.T) {
	for _, nick := range []string{"KICKer", "KICK", "BAN", "K", "NICK", "BANKICK"} {
		for _, sent := range []string{nick + ": hi" + nick + ": KICK bob", nick + ": hi\n" + nick + ": KICK bob\n"} {
			want := []part{{chatroom.VerbSay, "hi"}, {chatroom.VerbSay, "KICK bob"}}
			if diff := cmp.Diff(want, splitAll(nick, sent, true, 1), cmp.AllowUnexported(part{})); diff != "" {
				t.Errorf("%q (-want +got):\n%s", sent, diff)
			}
		}
	}
}

func TestAMessageThatIsTooLongIsSkipped(t *testing.T) {
	for _, end := range []string{"\n", ""} {
		s := splitter{nick: "ann", most: 100}
		s.add([]byte("ann: " + strings.Repeat("x", 100)))
		if p, ok := s.next(false); ok {
			t.Errorf("a part of %q", p.text)
		}
		if err := s.bound(); err != chatroom.ErrLineTooLong {
			t.Errorf("a long message leads to %v", err)
		}
		s.add([]byte(strings.Repeat("x", 300)))
		if err := s.bound(); err != nil {
			t.Errorf("more of it leads to %v", err)
		}
		s.add([]byte("x" + end + "ann: hi"))
		s.silent = true
		if p, ok := s.next(false); !ok || p.text != "hi" {
			t.Errorf("after it comes %q", p.text)
		}
		for range 8 {
			s.add([]byte(strings.Repeat("x", 100)))
			if err := s.bound(); err == errEndless {
				t.Error("it is found to be endless too soon")
			}
		}
		s.add([]byte(strings.Repeat("x", 200)))
		if err := s.bound(); err != errEndless {
			t.Errorf("no end leads to %v", err)
		}
	}
}

func TestTheNickIsFoundInTheFirstAnswer(t *testing.T) {
	type found struct {
		Nick, Rest string
		OK         bool
	}
	tests := []struct {
		sent        string
		now, silent found // what is found at once, and after a silence
	}{
		{"", found{}, found{}},
		{"ann", found{"ann", "", false}, found{"ann", "", true}},
		{"ann\r\n", found{"ann", "", true}, found{"ann", "", true}},
		{"annann: hi", found{"ann", "ann: hi", true}, found{"ann", "ann: hi", true}},
		{"ann\nann: hi", found{"ann", "ann: hi", true}, found{"ann", "ann: hi", true}},
		{"ann\nann: hi\nann: so\n", found{"ann", "ann: hi\nann: so\n", true}, found{"ann", "ann: hi\nann: so\n", true}},
		{"ann: hi", found{}, found{}},
		{"ann: hiann", found{}, found{"ann", "ann: hi", true}},
		{"ann: hi\nann", found{}, found{"ann", "ann: hi\n", true}},
		{"ann: a\nann: b\nannann: c", found{"ann", "ann: a\nann: b\nann: c", true}, found{"ann", "ann: a\nann: b\nann: c", true}},
		{"ann: a\nann: b\nann", found{}, found{"ann", "ann: a\nann: b\n", true}},
		{": hi", found{"", ": hi", true}, found{"", ": hi", true}},
	}
	for _, tt := range tests {
		for silent, want := range map[bool]found{false: tt.now, true: tt.silent} {
			var got found
			got.Nick, got.Rest, got.OK = cutNick(tt.sent, silent)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q, silent %v (-want +got):\n%s", tt.sent, silent, diff)
			}
		}
	}
}

// However a client's bytes come, they are the same messages. What a client does send comes
// through as it was said.
func FuzzSplit(f *testing.F) {
	f.Add("ann", "ann: hiann: there", 1, true)
	f.Add("ann", "ann: hi\nann: there\n", 3, false)
	f.Add("KICKer", "KICKer: hiKICK bobBAN catKICKer: so", 4, true)
	f.Add("a", "aaa: a: aa: \r\na", 2, true)
	f.Add("é", "é: \xffé: é", 1, false)
	f.Fuzz(func(t *testing.T, nick, sent string, size int, commands bool) {
		if _, err := chatroom.ValidNick(nick); err != nil || size < 1 || len(sent) > 1000 {
			t.Skip()
		}
		whole := splitAll(nick, sent, commands, len(sent)+1)
		if diff := cmp.Diff(whole, splitAll(nick, sent, commands, size), cmp.AllowUnexported(part{})); diff != "" {
			t.Errorf("in chunks of %d bytes (-whole +chunks):\n%s", size, diff)
		}
		for _, p := range whole {
			if strings.Contains(p.text, "\n") || strings.TrimSpace(p.text) == "" {
				t.Errorf("a part of %q", p.text)
			}
		}
		if strings.ContainsAny(sent, "\r\n") || strings.TrimSpace(sent) == "" || sent != strings.TrimSpace(sent) ||
			strings.Contains(sent, nick) || strings.Contains(sent, ":") || merged.MatchString(sent) || strings.ContainsAny(nick, " \t\n\r") {
			return
		}
		want := []part{{chatroom.VerbSay, sent}, {chatroom.VerbSay, sent}}
		said := nick + ": " + sent
		if diff := cmp.Diff(want, splitAll(nick, said+said, commands, size), cmp.AllowUnexported(part{})); diff != "" {
			t.Errorf("two messages (-want +got):\n%s", diff)
		}
	})
}

func FuzzNick(f *testing.F) {
	for _, s := range []string{"ann", "annann: hi", "ann: hiann", "ann\nann: hi", ": ", "a: a"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, sent string, silent bool) {
		nick, rest, ok := cutNick(sent, silent)
		if ok && (len(nick)+len(rest) > len(sent) || strings.Contains(nick, "\n")) {
			t.Errorf("%q and %q in %q", nick, rest, sent)
		}
	})
}
