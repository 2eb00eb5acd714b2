package skeleton_test

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"example.com/chatroom"
	"example.com/chatroom/internal/skeleton"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"paypal with Cyrillic a", "p\u0430yp\u0430l", "paypal"},
		{"paypal in letterlike symbols", "𝔭𝒶ỿ𝕡𝕒ℓ", "paypal"},
		{"scope in Cyrillic", "\u0455\u0441\u043e\u0440\u0435", "scope"},
		{"ljeto with a digraph", "\u01c9eto", "ljeto"},
		{"ASCII", "O0 Il1| m", "OO llll rn"},
		{"two for one", "\"%", "''\u00ba/\u2080"},
		{"a marked letter is taken apart", "\u00e9", "e\u0301"},
		{"before it is looked up", "\u03cd", "u\u0301"},
		{"marks have prototypes", "c\u0327", "c\u0326"},
		{"marks are put in order after", "a\u0316\u0317", "a\u0650\u0316"},
		{"the ignorable goes", "a\u00ad\u034f\u200d\u2060\ufe0f\U000e0100\u3164b", "ab"},
		{"what is shown stays", "\u0600\ufff9\ufffd\U00013430", "\u0600\ufff9\ufffd\U00013430"},
		{"beyond the BMP", "\U00024a71", "\U00024a71"},
		{"nothing", "", ""},
	} {
		if diff := cmp.Diff(tt.want, skeleton.Of(tt.in)); diff != "" {
			t.Errorf("%s: Of(%+q): -want +got:\n%s", tt.name, tt.in, diff)
		}
	}
}

func TestThreat21LookAlikesOfAdmin(t *testing.T) {
	for _, nick := range []string{
		"Admin", "ADMIN", "adrnin", "ADRNIN", "admln", "Adm1n", "ADMlN", "adm|n", "AdmIn",
		"\u0430dm\u0456n", "\u0410DM\u0406N", "A\u0501min", "AD\u041c\u0406N", // Cyrillic
		"\u03b1dm\u03b9n", "\u0391D\u039c\u0399\u039d", // Greek
		"\uff41\uff44\uff4d\uff49\uff4e", "\uff21\uff24\uff2d\uff29\uff2e", // fullwidth
		"\U0001d41a\U0001d41d\U0001d426\U0001d422\U0001d427", "\U0001d400\U0001d403\U0001d40c\U0001d408\U0001d40d", // mathematical bold
		"\u13aa\u13a0\u13b7\u13a5N", "\u13aad\u13b7\u13a5n", // Cherokee
		"\u24d0\u24d3\u24dc\u24d8\u24dd", "\u24b6\u24b9\u24c2\u24be\u24c3", "\u1d43\u1d48\u1d50\u2071\u207f", // compatibility variants
		"adm\u0131n", "ADM\u0399N", "ADM\u2160N",
	} {
		if diff := cmp.Diff(skeleton.Key("admin"), skeleton.Key(nick)); diff != "" {
			t.Errorf("%q: -want +got:\n%s", nick, diff)
		}
		if valid(nick) && !chatroom.ReservedNick(nick, chatroom.ReservedNicks()) {
			t.Errorf("%q is not reserved", nick)
		}
	}
}

func TestKey(t *testing.T) {
	for _, tt := range []struct {
		a, b  string
		equal bool
	}{
		{"Ann", "\u0430nn", true},
		{"Ann", "\u0410NN", true},
		{"a\u03c0\u03c0", "a\u1d28\u1d28", true},
		{"ann", "a\u03c0\u03c0", false}, // the data keeps π from n
		{"Ill", "lll", true},
		{"ill", "1|I", true},
		{"bob", "B0B", true},
		{"Ian", "lan", true},
		{"Nan", "\u039dan", true},
		{"van", "\u03bdan", true},
		{"Yma", "\u03a5ma", true},
		{"S\u00e3o", "SA\u0303\u039f", true},
		{"nan", "van", false},
		{"Yma", "Uma", false},
		{"Andr\u00e9", "Andre", false},
		{"clark", "dark", false},
		{"wes", "vves", false},
	} {
		if got := skeleton.Key(tt.a) == skeleton.Key(tt.b); got != tt.equal {
			t.Errorf("%q and %q: equal is %t, want %t (%q, %q)",
				tt.a, tt.b, got, tt.equal, skeleton.Key(tt.a), skeleton.Key(tt.b))
		}
	}
}

// In capitals or in lower case some of the pairs look different, and their Keys with them.
func TestEveryConfusablePairThatANickCanHaveSharesAKey(t *testing.T) {
	const leastPairs, mostUpper, mostLower = 4500, 125, 162
	pairs, upper, lower := 0, 0, 0
	for c, p := range mappings() {
		a, b := "x"+c+"y", "x"+p+"y"
		if !valid(a) || !valid(b) {
			continue
		}
		pairs++
		want := skeleton.Key(a)
		for _, nick := range []string{b, "X" + c + "Y", "X" + p + "Y"} {
			if diff := cmp.Diff(want, skeleton.Key(nick)); diff != "" {
				t.Errorf("%+q and %+q: -want +got:\n%s", a, nick, diff)
			}
		}
		if skeleton.Key(strings.ToUpper(a)) != skeleton.Key(strings.ToUpper(b)) {
			upper++
		}
		if skeleton.Key(strings.ToLower(a)) != skeleton.Key(strings.ToLower(b)) {
			lower++
		}
	}
	if pairs < leastPairs || upper > mostUpper || lower > mostLower {
		t.Errorf("%d pairs, %d of which differ in capitals and %d in lower case; want at least %d, at most %d and %d",
			pairs, upper, lower, leastPairs, mostUpper, mostLower)
	}
}

// Of each pair of the table that two nicks can have, a second member cannot take the other's place: not at the door,
// and not by a new nick.
func TestThreat21LookAlikes(t *testing.T) {
	srv, err := chatroom.New(chatroom.WithLimits(chatroom.Limits{History: -1}))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	join := func(nick string) (chatroom.Client, error) {
		return srv.Join(t.Context(), chatroom.Identity{Nick: nick}, "den")
	}
	eve, err := join("eve")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // who receives nothing is cut off
		for _, err := eve.Receive(t.Context()); err == nil; _, err = eve.Receive(t.Context()) {
		}
	}()
	pairs := 0
	for c, p := range mappings() {
		a, b := "x"+c+"y", "x"+p+"y"
		if !valid(a) || !valid(b) {
			continue
		}
		pairs++
		for _, nicks := range [][2]string{{a, b}, {b, a}} {
			first, err := join(nicks[0])
			if err != nil {
				t.Fatalf("%+q: %v", nicks[0], err)
			}
			if second, err := join(nicks[1]); !errors.Is(err, chatroom.ErrNickInUse) {
				t.Errorf("%+q beside %+q: %v, %v", nicks[1], nicks[0], second, err)
			}
			if _, err := eve.Send(t.Context(), chatroom.Rename(nicks[1])); !errors.Is(err, chatroom.ErrNickInUse) {
				t.Errorf("%+q beside %+q, by a new nick: %v", nicks[1], nicks[0], err)
			}
			first.Close()
		}
	}
	t.Logf("%d pairs", pairs)
	if pairs < 4500 {
		t.Errorf("only %d pairs", pairs)
	}
}

func TestCommonNamesAreApart(t *testing.T) {
	f, err := os.Open("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	named := map[string][]string{}
	words := bufio.NewScanner(f)
	words.Split(bufio.ScanWords)
	for words.Scan() {
		key := skeleton.Key(words.Text())
		named[key] = append(named[key], words.Text())
	}
	if err := words.Err(); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(named, func(_ string, names []string) bool { return len(names) == 1 })
	want := map[string][]string{ // an i that is an l in capitals
		"lan":     {"ian", "lan"},
		"nell":    {"neil", "nell"},
		"rnarlon": {"marion", "marlon"},
		"rnel":    {"mei", "mel"},
	}
	if diff := cmp.Diff(want, named); diff != "" {
		t.Errorf("names with one Key: -want +got:\n%s", diff)
	}
}

func TestEveryCharacterHasAStableKey(t *testing.T) {
	for r := range rune(utf8.MaxRune + 1) {
		if unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) {
			if err := check(string(r)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTableIsInOrderAndInNFD(t *testing.T) {
	var sources []string
	for c := range mappings() {
		if !norm.NFD.IsNormalString(c) {
			t.Errorf("%+q is never looked up", c)
		}
		sources = append(sources, c)
	}
	if !slices.IsSorted(sources) || len(slices.Compact(sources)) < 5000 {
		t.Errorf("%d records, sorted: %t", len(sources), slices.IsSorted(sources))
	}
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{
		"", "admin", "ADM\u0399N", "\u01c4\u01f2", "\u048b\u0327", "\ufef5", "\uac00\u1161\u11a8", "\u0130i\u0307",
		"a\u0315\u0300\u05ae", "\u3164\u200d", "\ufb1d\u05b4", "%\uff05\ufe6a", "\xff\xc0m\x80", "\U00011935\U00011930",
		"a" + strings.Repeat("\u0310\u0327", 40),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := check(s); err != nil {
			t.Error(err)
		}
	})
}

func check(s string) error {
	if utf8.ValidString(s) && !utf8.ValidString(skeleton.Of(s)) {
		return fmt.Errorf("Of(%+q) = %q is not UTF-8", s, skeleton.Of(s))
	}
	key := skeleton.Key(s)
	switch again := skeleton.Key(key); {
	case utf8.ValidString(s) && !utf8.ValidString(key):
		return fmt.Errorf("Key(%+q) = %q is not UTF-8", s, key)
	case again != key:
		return fmt.Errorf("Key(%+q) = %+q, whose Key is %+q", s, key, again)
	case key != skeleton.Key(norm.NFD.String(s)):
		return fmt.Errorf("Key(%+q) = %+q depends on its normal form", s, key)
	}
	return nil
}

func BenchmarkOf(b *testing.B)  { benchmark(b, skeleton.Of) }
func BenchmarkKey(b *testing.B) { benchmark(b, skeleton.Key) }

func benchmark(b *testing.B, f func(string) string) {
	for _, bb := range []struct{ name, nick string }{
		{"ASCII", "alexander7"},
		{"ASCIIMapped", "Simmons100"},
		{"Cyrillic", "Александра"},
		{"Fullwidth", "\uff41\uff4c\uff45\uff58\uff41\uff4e\uff44\uff45\uff52\uff17"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f(bb.nick)
			}
		})
	}
}

// mappings yields each character of the table with its prototype.
func mappings() func(yield func(c, p string) bool) {
	return func(yield func(c, p string) bool) {
		for record := range strings.Lines(skeleton.Table) {
			_, size := utf8.DecodeRuneInString(record)
			if !yield(record[:size], strings.TrimSuffix(record[size:], "\n")) {
				return
			}
		}
	}
}

func valid(nick string) bool {
	_, err := chatroom.ValidNick(nick)
	return err == nil
}
