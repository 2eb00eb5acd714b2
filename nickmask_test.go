package chatroom_test

import (
	"path"
	"strings"
	"testing"

	"example.com/chatroom"
)

// Masks are tried through ReservedNick, which does nothing but match them.

func TestMasksMatchAsPathsDo(t *testing.T) {
	words := []string{""}
	for i := 0; i < len(words) && len(words[i]) < 6; i++ {
		for _, c := range []string{"a", "b", "*", "?"} {
			words = append(words, words[i]+c)
		}
	}
	for _, nick := range words {
		if nick == "" || len(nick) > 5 || strings.ContainsAny(nick, "*?") {
			continue
		}
		for _, mask := range words {
			if len(nick) < 5 && len(mask) == 6 {
				continue // they take long, and add little
			}
			want, err := path.Match(mask, nick)
			if err != nil {
				t.Fatal(err)
			}
			if got := chatroom.ReservedNick(nick, []string{mask}); got != want {
				t.Fatalf("%q matches %q: %v", mask, nick, got)
			}
		}
	}
}

func TestNoMaskTakesLong(t *testing.T) {
	nick := strings.Repeat("a", 5000)
	for _, mask := range []string{strings.Repeat("*a", 32) + "*b", strings.Repeat("*?", 32) + "b", strings.Repeat("*", 64) + "b"} {
		if chatroom.ReservedNick(nick, []string{mask}) {
			t.Errorf("%q matches", mask)
		}
	}
}

// FuzzMask holds masks to what anybody would expect who knows which nicks look alike.
func FuzzMask(f *testing.F) {
	for _, nick := range []string{"spam", "Νίκος", "e\u0301ra", "한국", "\u1112\u1161\u11ab", "ǅ", "mmm", "a\u0315\u0300\u05ae", "İi", "\xff", "ß"} {
		f.Add(nick, "m*")
		f.Add(nick, "?"+nick+"*")
	}
	f.Fuzz(func(t *testing.T, nick, mask string) {
		chatroom.ReservedNick(nick, []string{mask}) // does not panic
		shown, err := chatroom.ValidNick(nick)
		if err != nil {
			return
		}
		for _, mask := range []string{shown, strings.ToUpper(shown), strings.ToLower(shown), "*", "?*", "*" + shown, shown + "*", "**" + shown + "**"} {
			if !chatroom.ReservedNick(nick, []string{mask}) {
				t.Errorf("%+q does not match %+q", mask, nick)
			}
		}
		for _, mask := range []string{"?" + shown, shown + "?", shown + "*?"} {
			if chatroom.ReservedNick(nick, []string{mask}) {
				t.Errorf("%+q matches %+q", mask, nick)
			}
		}
		if _, err := chatroom.ValidNick(mask); err == nil && chatroom.ReservedNick(nick, []string{mask}) != tooClose(nick, mask) {
			t.Errorf("%+q and %+q are %v as nicks", nick, mask, tooClose(nick, mask))
		}
	})
}
