package filters_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/chatroom"
	"example.com/chatroom/filters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when tests begin.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// draft is what a guest says, who joined a minute before noon.
func draft(text string) chatroom.Draft {
	return chatroom.Draft{
		Verb: chatroom.VerbSay, Room: "lobby", Text: text, Time: noon,
		Nick: "bob", Member: 7, Addr: netip.MustParseAddr("192.0.2.7"), Joined: noon.Add(-time.Minute),
	}
}

// from is draft, said by the nth of many people.
func from(n int, text string) chatroom.Draft {
	d := draft(text)
	d.Addr = netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	return d
}

func later(d chatroom.Draft, by time.Duration) chatroom.Draft {
	d.Time = d.Time.Add(by)
	return d
}

func review(t testing.TB, f chatroom.Filter, d chatroom.Draft) chatroom.Verdict {
	t.Helper()
	v, err := f.Review(context.Background(), d)
	if err != nil {
		t.Fatalf("review %q: %v", d.Text, err)
	}
	if v.Decision == chatroom.DecisionAllow {
		return v
	}
	if v.Rule == "" || v.Reason == "" || v.Evidence == "" || v.Score <= 0 || v.Score > 1 {
		t.Errorf("the verdict on %q lacks something: %+v", d.Text, v)
	}
	if lasts := v.Decision == chatroom.DecisionMute || v.Decision == chatroom.DecisionBan; lasts && v.For < 0 || v.For > 30*24*time.Hour {
		t.Errorf("the verdict on %q is for %v", d.Text, v.For)
	}
	return v
}

func writeWords(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func words(t testing.TB, content string) *filters.WordList {
	t.Helper()
	path := filepath.Join(t.TempDir(), "words.txt")
	writeWords(t, path, content)
	w, err := filters.Words(path)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func ip(t *testing.T, s string) netip.Addr {
	t.Helper()
	if s == "" {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// always gives the same verdict.
func always(v chatroom.Verdict) chatroom.Filter {
	return chatroom.FilterFunc(func(context.Context, chatroom.Draft) (chatroom.Verdict, error) { return v, nil })
}
