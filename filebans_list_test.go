package chatroom_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
	"github.com/google/go-cmp/cmp"
)

func TestReadBanList(t *testing.T) {
	bans, err := chatroom.ReadBanList(strings.NewReader("\ufeffbob\r\n\n  Zoë \nbob\nBob\n\t\n日本"))
	if err != nil {
		t.Fatal(err)
	}
	var nicks []string
	for _, b := range bans {
		nicks = append(nicks, b.Value)
		if b.Kind != chatroom.BanNick || b.ID == "" || len(b.ID) > 32 || !b.Expires.IsZero() {
			t.Errorf("%+v", b)
		}
	}
	if diff := cmp.Diff([]string{"bob", "Zoë", "Bob", "日本"}, nicks); diff != "" {
		t.Error(diff)
	}
	again, err := chatroom.ReadBanList(strings.NewReader("日本\nBob\nbob\nZoë"))
	if diff := cmp.Diff(byID(bans), byID(again)); diff != "" || err != nil {
		t.Errorf("another order: %v\n%s", err, diff)
	}
	for text, want := range map[string]string{
		"bob\nb\xf6b\n":                         "line 2",
		"bob\n\n" + strings.Repeat("x", 70_000): "line 3",
	} {
		if bans, err := chatroom.ReadBanList(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, %v", text, bans, err)
		}
	}
}

func TestWriteBanList(t *testing.T) {
	mute, until := nickBan("m", "mute"), nickBan("u", "until")
	mute.Effect = chatroom.EffectMute
	until.Expires = time.Now().Add(time.Hour)
	ban := nickBan("e", "erin")
	ban.Effect, ban.Reason = chatroom.EffectBan, "spam"
	mask := chatroom.Ban{ID: "k", Kind: chatroom.BanMask, Value: "*"}
	var out strings.Builder
	err := chatroom.WriteBanList(&out, []chatroom.Ban{nickBan("z", "zoë"), mute, until, ban, mask, nickBan("a", "ann")})
	if diff := cmp.Diff("zoë\nerin\nann\n", out.String()); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, nick := range []string{"", "a\nb", " a", "a\r", "a\xff", "\ufeffa"} {
		if err := chatroom.WriteBanList(io.Discard, []chatroom.Ban{nickBan("n", nick)}); err == nil {
			t.Errorf("%q was written", nick)
		}
	}
	if err := chatroom.WriteBanList(brokenWriter{}, []chatroom.Ban{ban}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzBanList(f *testing.F) {
	f.Add("bob\n")
	f.Add("\ufeffbob\r\n zoë \n\n")
	f.Fuzz(func(t *testing.T, text string) {
		bans, err := chatroom.ReadBanList(strings.NewReader(text))
		if err != nil {
			return
		}
		var out strings.Builder
		if err := chatroom.WriteBanList(&out, bans); err != nil {
			if strings.Contains(text, "\ufeff") {
				return
			}
			t.Fatal(err)
		}
		again, err := chatroom.ReadBanList(strings.NewReader(out.String()))
		if diff := cmp.Diff(bans, again); diff != "" || err != nil {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}

func ExampleReadBanList() {
	dir, err := os.MkdirTemp("", "bans")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := chatroom.FileBans(filepath.Join(dir, "bans.jsonl"))
	if err != nil {
		panic(err)
	}
	defer store.Close()

	list := strings.NewReader("bob\nmallory\n") // os.Open("bans.txt")
	bans, err := chatroom.ReadBanList(list)
	if err != nil {
		panic(err)
	}
	for _, b := range bans {
		if err := store.Add(context.Background(), b); err != nil {
			panic(err)
		}
	}
	fmt.Println(len(bans), "bans")
	// Output: 2 bans
}
