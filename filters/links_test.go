package filters_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
	"example.com/chatroom/filters"
)

func TestLinksOfNewcomers(t *testing.T) {
	f := filters.Links(filters.LinkLimits{Allowed: []string{"Example.org", "github.com.", ""}})
	tests := []struct{ text, evidence string }{
		{"see https://evil.example/x?y=1 now", `"https://evil.example/x?y=1"`},
		{"HTTP://EVIL.EXAMPLE", `"HTTP://EVIL.EXAMPLE"`},
		{"(http://1.2.3.4/)", `"(http://1.2.3.4/)"`},
		{"http://3232235777/", `"http://3232235777/"`},
		{"http://[2001:db8::1]:80/", `"http://[2001:db8::1]:80/"`},
		{"hxxps://evil.example", `"hxxps://evil.example"`},
		{"h**p://evil.example", `"h**p://evil.example"`},
		{"www.evil.whatever", `"www.evil.whatever"`},
		{"evil.com", `"evil.com"`},
		{"it's at evil.com.", `"evil.com."`},
		{"EVIL.COM", `"EVIL.COM"`},
		{"a:evil.ru,b", `"evil.ru,b"`},
		{"[click](evil.net/x)", `"evil.net/x)"`},
		{"evil.example/x", `"evil.example/x"`},
		{"t.me/evilgroup", `"t.me/evilgroup"`},
		{"bit.ly/3x", `"bit.ly/3x"`},
		{"discord.gg/abcdef", `"discord.gg/abcdef"`},
		{"evil.io?ref=1", `"evil.io?ref=1"`},
		{"evil[.]example", `"evil[.]example"`},
		{"evil(.)com", `"evil[.]com"`},
		{"evil [dot] com / x", `"evil[.]com"`},
		{"evil{dot}example", `"evil[.]example"`},
		{"hxxp://evil[.]example/x", `"hxxp://evil[.]example/x"`},
		{"go to evil dot com and win", `"evil[.]com"`},
		{"evil . com", `"evil[.]com"`},
		{"evil.соm", `"evil.соm"`}, // с and о are Cyrillic
		{"ｅｖｉｌ．ｃｏｍ", `"evil.com"`},
		{"evil。com", `"evil.com"`},
		{"ev\u200bil.\u2060com", `"evil.com"`},
		{"пример.рф", `"пример.рф"`},
		{"evil.xn--p1ai/x", `"evil.xn--p1ai/x"`},
		// hosts that are not the allowed ones
		{"https://example.org.evil.com", `"https://example.org.evil.com"`},
		{"https://notexample.org/", `"https://notexample.org/"`},
		{"https://github.com@evil.example/", `"https://github.com@evil.example/"`},
		{"https://github.com:x@evil.example/", `"https://github.com:x@evil.example/"`},
		{`https://evil.example\@github.com/`, `"https://evil.example\\@github.com/"`},
		{"https://github.com%2eevil.example/", `"https://github.com%2eevil.example/"`},
		{"https://githսb.com/", `"https://githսb.com/"`}, // Armenian
		{"https://github.com/login?to=https://evil.example", `"https://github.com/login?to=https://evil.example"`},
		{"github.com and evil.com", `"evil.com"`},
		{"github.com,evil.com", `"evil.com"`},
	}
	for _, tt := range tests {
		v := review(t, f, draft(tt.text))
		if diff := cmp.Diff([]string{"hold", tt.evidence}, []string{string(v.Decision), v.Evidence}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestWhatIsNoLinkOrAllowed(t *testing.T) {
	f := filters.Links(filters.LinkLimits{Allowed: []string{"Example.org", "github.com."}})
	for _, text := range []string{
		"e.g. this, i.e. that", "file.go", "cmd/server/main.go:42", "3.14", "v1.2.3", "v1.2/v1.3", "1.000.000", "2.5GB", "1.8m/s", "12.30h", "a.m./p.m.",
		"U.S./U.K.", "Mr.Smith/Jones", "package.json/tsconfig.json", "done.So I left", "fin.De nada", "wait...com", "www", "www.", "...", "://", "x://y", "it . is",
		"main.c/main.h", "strings.Contains(s)", "user.com()", "ann@example.com", "<bob@evil.ru>", "dot com", "the dot com bubble", "polka dot", "[.]", "a[.]b",
		"http://localhost:8080/x", "http://127.0.0.1/", "localhost", "文章。第二", "です。はい/いいえ",
		"https://example.org", "see https://www.example.org/x.com/evil.net.", "(https://example.org)", "https://EXAMPLE.org:443/?q=evil.com", "example[.]org",
		"github.com/golang/go", "https://user@github.com/x", "https://github.com#https", "gist.github.com",
	} {
		if v := review(t, f, draft(text)); v.Decision != chatroom.DecisionAllow {
			t.Errorf("%q: %+v", text, v)
		}
	}
}

func TestWhoMaySayLinks(t *testing.T) {
	const link = "https://evil.example"
	guest := draft(link)
	member := guest
	member.Account = "bob"
	old := guest
	old.Joined = noon.Add(-10 * time.Minute)
	private := guest
	private.Verb, private.To = chatroom.VerbPrivate, "ann"
	tests := []struct {
		name   string
		limits filters.LinkLimits
		draft  chatroom.Draft
		want   chatroom.Verdict
	}{
		{"a guest", filters.LinkLimits{}, guest, chatroom.Verdict{
			Decision: "hold", Reason: "somebody new may not say links yet; a moderator will look at this", Rule: "link", Score: 1, Evidence: `"https://evil.example"`,
		}},
		{"a guest, in private", filters.LinkLimits{Refuse: true}, private, chatroom.Verdict{
			Decision: "refuse", Reason: "no links in the first 10 minutes, please", Rule: "link", Score: 1, Evidence: "something private",
		}},
		{"a guest a day old", filters.LinkLimits{Newcomer: 24 * time.Hour, Refuse: true}, later(guest, 23*time.Hour), chatroom.Verdict{
			Decision: "refuse", Reason: "no links in the first 24 hours, please", Rule: "link", Score: 1, Evidence: `"https://evil.example"`,
		}},
		{"an account", filters.LinkLimits{}, member, chatroom.Verdict{}},
		{"a guest of ten minutes", filters.LinkLimits{}, old, chatroom.Verdict{}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, review(t, filters.Links(tt.limits), tt.draft)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestALongLinkIsQuotedInPart(t *testing.T) {
	v := review(t, filters.Links(filters.LinkLimits{}), draft("https://evil.example/"+strings.Repeat("é", 100)))
	if want := `"https://evil.example/` + strings.Repeat("é", 29) + `…"`; v.Evidence != want {
		t.Errorf("%s, want %s", v.Evidence, want)
	}
}

func FuzzLinks(f *testing.F) {
	for _, line := range ordinary {
		f.Add(line)
	}
	f.Add("evil[.]example evil dot com hxxp://x.y www.a.b 。。 ://://")
	filter := filters.Links(filters.LinkLimits{Allowed: []string{"example.org"}})
	f.Fuzz(func(t *testing.T, text string) {
		review(t, filter, draft(text))
		if v := review(t, filter, draft(text+" https://evil.example/ "+text)); v.Decision != chatroom.DecisionHold {
			t.Errorf("%q hides a link", text)
		}
	})
}
