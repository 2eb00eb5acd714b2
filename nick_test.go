package chatroom_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"golang.org/x/text/width"

	"example.com/chatroom"
)

func TestValidNick(t *testing.T) {
	tests := []struct {
		nick string
		want string // empty means it is refused
		says string // in the refusal
	}{
		{nick: "ann", want: "ann"},
		{nick: "  ann\t", want: "ann"},
		{nick: "Zoë", want: "Zoë"},
		{nick: "Анна", want: "Анна"},
		{nick: "مريم", want: "مريم"},
		{nick: "安", want: "安"},
		{nick: "🦊", want: "🦊"},
		{nick: "a-b_c+d'e", want: "a-b_c+d'e"},
		{nick: strings.Repeat("ß", 32), want: strings.Repeat("ß", 32)},

		{nick: "", says: "at least one character"},
		{nick: " \t ", says: "at least one character"},
		{nick: strings.Repeat("a", 33), says: "at most 32 characters"},
		{nick: "ann\xff", says: "UTF-8"},
		{nick: "-ann", says: "-"},
		{nick: "an n", says: "white space"},
		{nick: "an\u00a0n", says: "white space"},
		{nick: "an\u3000n", says: "white space"},
		{nick: "a\nb", says: "U+000A"},
		{nick: "a\rb", says: "U+000D"},
		{nick: "a\x00b", says: "U+0000"},
		{nick: "a\x1b[31mb", says: "U+001B"},
		{nick: "a\u007fb", says: "U+007F"},
		{nick: "a\u0085b", says: "U+0085"},
		{nick: "a\u009bb", says: "U+009B"},
		{nick: "a\u2028b", says: "white space"},
		{nick: "a\u202eb", says: "U+202E"},
		{nick: "a\u2066b", says: "U+2066"},
		{nick: "a\u061cb", says: "U+061C"},
		{nick: "a\u200bb", says: "U+200B"},
		{nick: "a\u200db", says: "U+200D"},
		{nick: "a\u00adb", says: "U+00AD"},
		{nick: "\ufeffann", says: "U+FEFF"},
		{nick: "a\u3164b", says: "U+3164"},
		{nick: "ann\ufe0f", says: "U+FE0F"},
		{nick: "a\U000e0061b", says: "U+E0061"},
		{nick: "a\ue000b", says: "U+E000"},
		{nick: "a\u2800b", says: "U+2800"}, // a blank in Braille
		{nick: "\u0338ann", says: "U+0338"},
		{nick: "\u0301", says: "U+0301"},
		{nick: "a.b", says: "'.'"},
		{nick: "a:b", says: "':'"},
		{nick: "a!b", says: "'!'"},
		{nick: "a@b", says: "'@'"},
		{nick: "#ann", says: "'#'"},
		{nick: "a,b", says: "','"},
		{nick: "/ann", says: "'/'"},
		{nick: "<ann>", says: "'<'"},
		{nick: "a*b", says: "'*'"},
		{nick: "a?b", says: "'?'"},
		{nick: `a"b`, says: "'\"'"},
		{nick: `a\b`, says: `'\\'`},
		{nick: "ann\uff20home", says: "@"}, // FULLWIDTH COMMERCIAL AT
	}
	for _, tt := range tests {
		got, err := chatroom.ValidNick(tt.nick)
		if tt.want != "" {
			if got != tt.want || err != nil {
				t.Errorf("ValidNick(%q) = %q, %v; want %q", tt.nick, got, err, tt.want)
			}
			continue
		}
		if !errors.Is(err, chatroom.ErrNickInvalid) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ValidNick(%q) = %q, %v; want a refusal that says %q", tt.nick, got, err, tt.says)
		}
	}
}

func TestANickIsTakenInEverySpelling(t *testing.T) {
	tests := []struct {
		taken     string
		spellings []string
	}{
		{"ann", []string{"ann", "Ann", "ANN", " ann ", "ａｎｎ", "ＡＮＮ", "𝐚𝐧𝐧", "ⓐⓝⓝ"}},
		{"Zoë", []string{"zoë", "ZOË", "zoe\u0308"}},
		{"ΝΙΚΟΣ", []string{"νικοσ", "νικος", "Νικος"}},
	}
	for _, tt := range tests {
		bots(t, func(srv chatroom.Server) {
			joinAs(t, srv, tt.taken)
			eve := joinAs(t, srv, "eve")
			for _, spelling := range tt.spellings {
				if _, err := srv.Join(t.Context(), chatroom.Identity{Nick: spelling}); !errors.Is(err, chatroom.ErrNickInUse) {
					t.Errorf("joined as %q beside %q: %v", spelling, tt.taken, err)
				}
				if _, err := eve.Send(t.Context(), chatroom.Rename(spelling)); !errors.Is(err, chatroom.ErrNickInUse) {
					t.Errorf("renamed to %q beside %q: %v", spelling, tt.taken, err)
				}
			}
			joinAs(t, srv, tt.taken+"2")
		})
	}
}

func TestANickIsFreeOnceItsMemberHasLeft(t *testing.T) {
	bots(t, func(srv chatroom.Server) {
		ann := joinAs(t, srv, "Ann")
		ann.Close()
		ann = joinAs(t, srv, "ann")
		if _, err := ann.Send(t.Context(), chatroom.Rename("ANN")); err != nil {
			t.Errorf("a member could not respell its own nick: %v", err)
		}
		if _, err := ann.Send(t.Context(), chatroom.Rename("anna")); err != nil {
			t.Fatal(err)
		}
		joinAs(t, srv, "Ann")
	})
}

// bots calls f with a server, in a bubble.
func bots(t *testing.T, f func(chatroom.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(hostBubble(t)) })
}

// joinAs joins in process.
func joinAs(t *testing.T, srv chatroom.Server, nick string, rooms ...string) chatroom.Client {
	t.Helper()
	c, err := srv.Join(t.Context(), chatroom.Identity{Nick: nick}, rooms...)
	if err != nil {
		t.Fatalf("join as %q: %v", nick, err)
	}
	return c
}

func FuzzNick(f *testing.F) {
	for _, nick := range []string{
		"ann", " Ann ", "Zoë", "ａｎｎ", "K", "ſ", "ΝΙΚΟΣ", "ß", "İ", "µ", "\u0345", "\u1c82", "ﬁ", "½", "a\u0300",
		"\u202eann", "\u200b", "\xff", "-", "a\nb", "🦊", strings.Repeat("a", 33), strings.Repeat("ﷺ", 32), strings.Repeat("ﷺ", 2000),
	} {
		f.Add(nick)
	}
	f.Fuzz(func(t *testing.T, nick string) {
		valid, err := chatroom.ValidNick(nick)
		mustAllocate(t, 4*len(nick)+16<<10, func() { _, _ = chatroom.ValidNick(nick) }) // it says the same
		if err != nil {
			if !errors.Is(err, chatroom.ErrNickInvalid) || !utf8.ValidString(err.Error()) || strings.ContainsFunc(err.Error(), forbidden) {
				t.Fatalf("ValidNick(%q): %q", nick, err)
			}
			return
		}
		if n := utf8.RuneCountInString(valid); !utf8.ValidString(valid) || n < 1 || n > 32 {
			t.Fatalf("ValidNick(%q) = %q", nick, valid)
		}
		if i := strings.IndexFunc(valid, forbidden); i >= 0 {
			t.Fatalf("ValidNick(%q) = %q, with a character nobody sees at %d", nick, valid, i)
		}
		if again, err := chatroom.ValidNick(valid); again != valid || err != nil {
			t.Fatalf("ValidNick(%q) = %q, %v", valid, again, err)
		}
		bots(t, func(srv chatroom.Server) {
			joinAs(t, srv, valid)
			for _, variant := range respell(valid) {
				if _, err := chatroom.ValidNick(variant); err != nil {
					continue
				}
				if _, err := srv.Join(t.Context(), chatroom.Identity{Nick: variant}); !errors.Is(err, chatroom.ErrNickInUse) {
					t.Errorf("joined as %q beside %q: %v", variant, valid, err)
				}
			}
		})
	})
}

// forbidden reports whether a nick must not have r.
func forbidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zs, unicode.Zl, unicode.Zp, unicode.Bidi_Control) && r != ' '
}

// respell returns nick in other cases and widths. An iota below is not one above, though Unicode
// has them fold alike.
func respell(nick string) []string {
	variants := []string{" " + nick + " ", width.Widen.String(nick), width.Narrow.String(nick)}
	for step := 1; step <= 3; step++ {
		variants = append(variants, strings.Map(func(r rune) rune {
			f := r
			for range step {
				f = unicode.SimpleFold(f)
			}
			if unicode.IsMark(f) != unicode.IsMark(r) {
				return r
			}
			return f
		}, nick))
	}
	return variants
}

// What is all ASCII is folded without the profile, to what the profile makes of it.
func TestASCIINicksFoldAsTheProfileHasIt(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		nick := make([]byte, 1+r.IntN(20))
		for i := range nick {
			nick[i] = byte('!' + r.IntN('~'-'!'+1))
		}
		want, err := precis.Nickname.CompareKey(string(nick))
		if err != nil {
			t.Fatal(err)
		}
		if got := chatroom.NickKeys(string(nick))[0]; got != want {
			t.Fatalf("%q has the key %q, and the profile's is %q", nick, got, want)
		}
	}
}
