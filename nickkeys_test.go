package chatroom_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
	"example.com/chatroom/internal/skeleton"
)

func TestNickKeys(t *testing.T) {
	for nick, want := range map[string][]string{
		"Bob":    {"bob", "/bob"},
		" Bob\t": {"bob", "/bob"},
		"Mike":   {"mike", "/rnlke"},
		"ａnn":    {"ann", "/ann"},
		"":       nil,
		" ":      nil,
	} {
		if got := chatroom.NickKeys(nick); !slices.Equal(got, want) {
			t.Errorf("NickKeys(%q) = %+q, want %+q", nick, got, want)
		}
	}
}

func TestNicksThatLookAlikeShareAKey(t *testing.T) {
	for _, pair := range [][2]string{
		{"admin", "ADMIN"},
		{"admin", "аdmin"},
		{"admin", "аԁмin"},
		{"admin", "adm1n"},
		{"mike", "rnike"},
		{"ian", "lan"},
		{"Ian", "1an"},
		{"bob", "b0b"},
		{"Νίκος", "νίκος"},
		{"ΝΊΚΟΣ", "νίκος"},
		{"NATO", "ΝΑΤΟ"},
		{"nato", "ΝΑΤΟ"},
		{"toto", "ТОТО"},
		{"тото", "TOTO"},
		{"ann", "ａｎｎ"},
		{"ann", "ⓐnn"},
		{"Straße", "STRAßE"},
		{"é", "e\u0301"},
	} {
		if !tooClose(pair[0], pair[1]) {
			t.Errorf("%+q %+q and %+q %+q", pair[0], chatroom.NickKeys(pair[0]), pair[1], chatroom.NickKeys(pair[1]))
		}
	}
	for _, pair := range [][2]string{{"ann", "anna"}, {"ann", "änn"}, {"bob", "rob"}, {"анна", "anna"}, {"安", "案"}} {
		if tooClose(pair[0], pair[1]) {
			t.Errorf("%+q and %+q share one of %+q", pair[0], pair[1], chatroom.NickKeys(pair[0]))
		}
	}
}

func tooClose(a, b string) bool {
	keys := chatroom.NickKeys(b)
	return slices.ContainsFunc(chatroom.NickKeys(a), func(key string) bool { return slices.Contains(keys, key) })
}

// FuzzNickKeys holds NickKeys to its definition, which it takes a short cut through for ASCII.
func FuzzNickKeys(f *testing.F) {
	for _, nick := range []string{"bob", " MIKE1 ", "Νίκος", "ТОТО", "ǅ", "%a", "\xff", "İi", "ſ"} {
		f.Add(nick)
	}
	f.Fuzz(func(t *testing.T, nick string) {
		shown := strings.TrimSpace(nick)
		if shown == "" {
			return
		}
		var want []string
		for _, s := range []string{shown, strings.ToUpper(shown), strings.ToLower(shown)} {
			want = append(want, "/"+skeleton.Key(s))
		}
		keys := chatroom.NickKeys(nick)
		slices.Sort(want)
		got := slices.Sorted(slices.Values(keys[1:]))
		if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
			t.Errorf("NickKeys(%+q): %s", nick, diff)
		}
		if valid, err := chatroom.ValidNick(nick); err == nil {
			if strings.HasPrefix(keys[0], "/") || !tooClose(nick, strings.ToUpper(valid)) || !tooClose(nick, strings.ToLower(valid)) {
				t.Errorf("the keys of %+q are %+q", nick, keys)
			}
		}
	})
}

// A ban on a nick is looked up by the keys of whoever joins.
func ExampleNickKeys() {
	banned := make(map[string]string) // key to ban
	for _, key := range chatroom.NickKeys("Admin") {
		banned[key] = "k7"
	}
	for _, nick := range []string{"ADMIN", "аdmin", "adm1n", "adam"} { // the second is half Cyrillic
		found := ""
		for _, key := range chatroom.NickKeys(nick) {
			if id := banned[key]; id != "" {
				found = id
			}
		}
		fmt.Printf("%s: %q\n", nick, found)
	}
	// Output:
	// ADMIN: "k7"
	// аdmin: "k7"
	// adm1n: "k7"
	// adam: ""
}

func BenchmarkNickKeys(b *testing.B) {
	for name, nick := range map[string]string{"ASCII": "Somebody123", "Cyrillic": "Александра"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				chatroom.NickKeys(nick)
			}
		})
	}
}
