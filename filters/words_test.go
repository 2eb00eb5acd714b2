package filters_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
	"example.com/chatroom/filters"
)

func TestWordsFindsWords(t *testing.T) {
	list := words(t, badWords)
	tests := []struct {
		text, rule, evidence string
	}{
		{"what an ass", "ass", `"ass"`},
		{"ASS!", "ass", `"ASS"`},
		{"spam", "spam", `"spam"`},
		{"(spam)", "spam", `"spam"`},
		{"that's spam's home", "spam", `"spam"`},
		{"no_spam_here", "spam", `"spam"`},
		{"fucking slow", "fuck*", `"fucking"`},
		{"FuckFuck", "fuck*", `"FuckFuck"`},
		// look-alikes
		{"sраm for all", "spam", `"sраm"`}, // р and а are Cyrillic
		{"СОСК", "cock", `"СОСК"`},         // all of it
		{"ｓｐａｍ", "spam", `"ｓｐａｍ"`},
		{"𝓼𝓹𝓪𝓶", "spam", `"𝓼𝓹𝓪𝓶"`},
		{"ⓢⓟⓐⓜ", "spam", `"ⓢⓟⓐⓜ"`},
		{"c0ck", "cock", `"c0ck"`},
		{"d1ck", "dick", `"d1ck"`},
		{"faII", "fail", `"faII"`},
		{"FAlL", "fail", `"FAlL"`},
		// hidden characters
		{"s\u200bp\u00ada\u2060m", "spam", "\"s\\u200bp\\u00ada\\u2060m\""},
		{"s\u0336p\u0336a\u0336m", "spam", "\"s\u0336p\u0336a\u0336m\""},
		// spelled out
		{"s p a m", "spam", `"s p a m"`},
		{"buy s.p.a.m now", "spam", `"s.p.a.m"`},
		{"s*p*a*m", "spam", `"s*p*a*m"`},
		{"S - P - A - M", "spam", `"S - P - A - M"`},
		{"a s p a m", "spam", `"s p a m"`},
		{"c 0 c k", "cock", `"c 0 c k"`},
		{"s🔥p🔥a🔥m", "spam", `"s🔥p🔥a🔥m"`},
		{"f.u.c.k.e.r", "fuck*", `"f.u.c.k.e.r"`},
		// drawn out
		{"spaaaam", "spam", `"spaaaam"`},
		{"SSSPPPAAAMMMMM", "spam", `"SSSPPPAAAMMMMM"`},
		{"assssss", "ass", `"assssss"`},
		{"fuuuuuck", "fuck*", `"fuuuuuck"`},
		{"pооооrn", "porn", `"pооооrn"`}, // about the same in Cyrillic
		// several words
		{"where is your seed phrase?", "seed phrase", `"seed phrase"`},
		{"Seed-Phrase", "seed phrase", `"Seed-Phrase"`},
		{"kill\tyоurself", "kill yourself", "\"kill\\tyоurself\""},
		// scripts without gaps
		{"我爱垃圾邮件", "垃圾", `"垃圾"`},
		// patterns
		{"get FREE  bitcoins here", `/(?i)free\s+(btc|bitcoins?)/`, `"FREE  bitcoins"`},
		{"4111 1111 1111 1111", `/\b\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}\b/`, `"4111 1111 1111 1111"`},
	}
	for _, tt := range tests {
		v := review(t, list, draft(tt.text))
		_, evidence, _ := strings.Cut(v.Evidence, ": ")
		got := []string{string(v.Decision), v.Rule, evidence}
		if diff := cmp.Diff([]string{"refuse", tt.rule, tt.evidence}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestWordsTakesNoWordForAnother(t *testing.T) {
	tests := []struct{ list, text string }{
		{"ass", "class"},
		{"ass", "assistant"},
		{"ass", "as"},
		{"ass", "aaas"},
		{"cunt", "Scunthorpe"},
		{"cunt", "s c u n t h o r p e"},
		{"ass", "c l a s s"},
		{"ass", "b a s s"},
		{"hell", "he'll"},
		{"hell", "hello"},
		{"ill", "I'll"},
		{"bum", "burn"},
		{"bum", "Burn"},
		{"bum", "BURN"},
		{"fail", "fall"},
		{"porn", "pom"},
		{"ls", "is"},
		{"ano", "año"},
		{"ano", "an\u0303o"},
		{"schon", "schön"},
		{"god", "gooood"},
		{"god", "good"},
		{"lol", "101"},
		{"lol", "10l"},
		{"lol", "1 0 1 0 1"},
		{"as", "a55"},
		{"spam", "sp am"},
		{"spam", "s p  a m"},
		{"spam", "spammer"},
		{"spam*", "antispam"},
		{"hi", "h i"},
		{"abc", "ab c"},
		{"abc", "a, b      c"},
		{"seed phrase", "seed"},
		{"seed phrase", "phrase seed"},
		{"seed phrase", "seed a phrase"},
		{"viagra*", "niagara"},
		{"/spam/", "SPAM"},
		{"xx", "xxxy"},
	}
	for _, tt := range tests {
		if v := review(t, words(t, tt.list), draft(tt.text)); v.Decision != chatroom.DecisionAllow {
			t.Errorf("%q matches %q: %+v", tt.list, tt.text, v)
		}
	}
}

func TestWordsActions(t *testing.T) {
	type outcome struct {
		Decision chatroom.Decision
		Text     string
		Reason   string
		For      time.Duration
	}
	tests := []struct {
		text string
		want outcome
	}{
		{"one", outcome{"refuse", "", "no ones", 0}},
		{"two one", outcome{"refuse", "", "no ones", 0}},
		{"Two", outcome{"hold", "", "a word in that is not allowed here", 0}},
		{"three", outcome{"kick", "", "out # with you", 0}},
		{"four", outcome{"mute", "", "a word in that is not allowed here", 10 * time.Minute}},
		{"five four", outcome{"mute", "", "a word in that is not allowed here", time.Hour}},
		{"seven/7 #", outcome{"ban", "", "a/b", 720 * time.Hour}},
		{"Eighty eight-year-olds", outcome{"rewrite", "****** *****-year-olds", "a word was starred out", 0}},
		{"n1nenine e.i.g.h.t", outcome{"rewrite", "******** *********", "a word was starred out", 0}},
		{"eight ones, one two", outcome{"refuse", "", "no ones", 0}},
		{"C is two", outcome{"refuse", "", "not said", 0}},
		{"word", outcome{"mute", "", "a word in that is not allowed here", time.Hour}},
		{"zoom", outcome{"mute", "", "a word in that is not allowed here", time.Hour}},
		{"eight ball game", outcome{"rewrite", "***** **** game", "a word was starred out", 0}},
		{"both", outcome{"ban", "", "a word in that is not allowed here", time.Hour}},
		{"nothing", outcome{}},
	}
	list := words(t, strings.ReplaceAll("\ufeff# our list\r\n\r\n"+`
refuse: one # no ones
hold: two
kick: three	# out # with you
mute 10m: four
mute: five
ban 720h: /se(v|w)en\/7 #/ # a/b
rewrite: eight*
rewrite: /n[i1]ne/
c# is two  # not said
wor*
mute: wor*
both
BAN  : both
mute: zo*
zoo*
rewrite: eight ball
`, "\n", "\r\n"))
	for _, tt := range tests {
		v := review(t, list, draft(tt.text))
		if diff := cmp.Diff(tt.want, outcome{v.Decision, v.Text, v.Reason, v.For}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestWordsRefusesBadLines(t *testing.T) {
	tests := []struct{ line, want string }{
		{"f*ck", `"f*ck" is no word`},
		{"***", `"***" is no word`},
		{"!!!", "no letter and no digit"},
		{"# x\n*", "no letter and no digit"},
		{"well, *", "a * follows a letter or a digit"},
		{"two words*", "a * follows one word"},
		{"mute 10m viagra", "write refuse: mute 10m viagra"},
		{"kick ass", "write refuse: kick ass"},
		{"mtue 10m: viagra", `"mtue" is none of refuse, hold`},
		{": viagra", `"" is none of refuse`},
		{"http://evil", `"http" is none of`},
		{"refuse 10m: x", "a refuse has no duration"},
		{"mute soon: x", `"soon" is no duration`},
		{"ban -1h: x", "more than nothing"},
		{"ban 721h: x", "at most 720h"},
		{"refuse: a:b", "is no word"},
		{"refuse:", "no letter and no digit"},
		{"/spam", "no / at its end"},
		{`/spam\/`, "no / at its end"},
		{"/(spam/", "missing closing )"},
		{"/(?=x)y/", "invalid or unsupported Perl syntax"},
		{"/x*/", "matches nothing at all"},
		{"/a/b/", `"b/" after the pattern`},
		{"/a/i", `"i" after the pattern`},
		{"a\xff", "not UTF-8"},
		{"a\x00b", "is no word"},
		{strings.Repeat("a ", 17), "more than 16 words"},
		{strings.Repeat("/a/\n", 1001), "line 1002: more than 1000 patterns"},
		{strings.Repeat("a\n", 100_001), "line 100001: more than 100000 entries"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "words.txt")
		writeWords(t, path, "fine\n"+tt.line+"\n")
		_, err := filters.Words(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path+": line ") {
			t.Errorf("%.40q: %v, want %q", tt.line, err, tt.want)
		}
	}
	if _, err := filters.Words(t.TempDir()); err == nil {
		t.Error("a folder is a list")
	}
}

func TestWordsFollowsItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "words.txt")
	if _, err := filters.Words(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("without a file: %v", err)
	}
	writeWords(t, path, "one\n")
	w, err := filters.Words(path)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Duration(0)
	says := func(text string) string {
		t.Helper()
		return string(review(t, w, later(draft(text), at)).Decision)
	}
	expect := func(one, two, err string) {
		t.Helper()
		if diff := cmp.Diff([]string{one, two}, []string{says("one"), says("two")}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := w.Err(); err == "" && got != nil || err != "" && (got == nil || !strings.Contains(got.Error(), err)) {
			t.Errorf("Err is %v, want %q", got, err)
		}
	}
	expect("refuse", "", "")
	writeWords(t, path, "two, which is longer\ntwo\n")
	at += 999 * time.Millisecond
	expect("refuse", "", "") // looked at too shortly before
	at += time.Millisecond
	expect("", "refuse", "")
	writeWords(t, path, "one\n/(/\n")
	at += time.Second
	expect("", "refuse", "line 2: error parsing regexp")
	at += time.Second
	expect("", "refuse", "line 2: error parsing regexp")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	at += time.Second
	expect("", "refuse", "words.txt")
	writeWords(t, path+".new", "one\ntwo\n")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	at -= time.Minute // a clock that was set back
	expect("refuse", "refuse", "")
}

func TestWordsQuotesNothingPrivate(t *testing.T) {
	d := draft("my password is hunter2, and spam")
	d.Verb, d.Room, d.To = chatroom.VerbPrivate, "", "ann"
	if v := review(t, words(t, "spam\n/hunter\\d/"), d); v.Decision != chatroom.DecisionRefuse || v.Evidence != "line 1: something private" {
		t.Errorf("%+v", v)
	}
}

func TestPatternsEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := words(t, "/x/").Review(ctx, draft("x")); err != context.Canceled {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestManyGoroutinesUseAListThatChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "words.txt")
	writeWords(t, path, "spam\n")
	w, err := filters.Words(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				if g == 0 && i%20 == 0 {
					writeWords(t, path+".new", fmt.Sprintf("spam\nnumber%d\n", i))
					if err := os.Rename(path+".new", path); err != nil {
						t.Error(err)
					}
				}
				if v := review(t, w, later(draft("spaaam"), time.Duration(i)*time.Second)); v.Decision != chatroom.DecisionRefuse {
					t.Errorf("%+v", v)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Err(); err != nil {
		t.Error(err)
	}
}

func FuzzWordFile(f *testing.F) {
	f.Add(badWords)
	f.Add("mute 10m: a* # b\nban: /x\\/y/ # z\nrewrite: c d\nhold: é\n")
	f.Add("a*\nb:\n/[/\n")
	f.Fuzz(func(t *testing.T, content string) {
		w, err := filters.ParseWords(content)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("an error without a line: %v", err)
			}
			return
		}
		// What an entry of words says is what it matches, unless another is harsher.
		for line := range strings.Lines(content) {
			line = strings.TrimSpace(line)
			if line == "" || strings.ContainsAny(line, "#/:\ufeff") {
				continue
			}
			if v := review(t, w, draft(strings.TrimSuffix(line, "*"))); v.Decision == chatroom.DecisionAllow {
				t.Errorf("%q does not match itself", line)
			}
		}
	})
}

func FuzzWordsReview(f *testing.F) {
	for _, line := range ordinary {
		f.Add(line)
	}
	f.Add("s\u200bp.a.m ｓｐａｍ spaaaam sраm 垃圾")
	starring, err := filters.ParseWords("rewrite: spam\nrewrite: seed phrase\nrewrite: 垃圾\nrewrite: fuck*\nrewrite: /n[io]ne/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := review(t, starring, draft(text))
		if v.Decision == chatroom.DecisionAllow {
			return
		}
		again := review(t, starring, draft(v.Text))
		if again.Decision != chatroom.DecisionAllow && !strings.Contains(v.Text, "*") {
			t.Errorf("%q became %q: %+v", text, v.Text, again)
		}
		if len(v.Text) > 3*len(text) {
			t.Errorf("%q became %q", text, v.Text)
		}
	})
}
