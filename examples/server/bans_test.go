package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
)

func TestBansGoFromOneListToAnother(t *testing.T) {
	dir := t.TempDir()
	list, bans, copied := filepath.Join(dir, "bans.txt"), filepath.Join(dir, "bans"), filepath.Join(dir, "copy.txt")
	if err := os.WriteFile(list, []byte("mallory\r\nbob\n\nbob\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	does(t, "bans the 2 nicks", "-import-bans", list, "-bans", bans)
	does(t, "bans the 2 nicks", "-import-bans", list, "-bans", bans) // again
	store, err := chatroom.FileBans(bans)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []chatroom.Ban{
		{ID: "a", Kind: chatroom.BanAddr, Value: "192.0.2.1"},
		{ID: "n", Kind: chatroom.BanNick, Value: "carol", Expires: time.Now().Add(time.Hour)},
	} {
		if err := store.Add(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	fails(t, 1, "-export-bans", copied, "-bans", bans) // somebody has the file
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	does(t, "has 2 of the 4 bans", "-export-bans", copied, "-bans", bans)
	if got, err := os.ReadFile(copied); err != nil || string(got) != "bob\nmallory\n" {
		t.Errorf("the list says %q, %v", got, err)
	}
}

// does checks that the program does something else than hosting rooms, and what it says then.
func does(t *testing.T, says string, args ...string) {
	t.Helper()
	var stdout strings.Builder
	if code := run(t.Context(), args, nil, &stdout, io.Discard); code != 0 || !strings.Contains(stdout.String(), says) {
		t.Fatalf("%q: exit code %d, said %q", args, code, &stdout)
	}
}

func TestServerKeepsBansInTheFile(t *testing.T) {
	dir := t.TempDir()
	list, bans := filepath.Join(dir, "bans.txt"), filepath.Join(dir, "bans")
	if err := os.WriteFile(list, []byte("mallory\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	does(t, "", "-import-bans", list, "-bans", bans)
	srv := start(t, "-bans", bans)
	sees(t, srv.join(t, "mallory", nil), "banned")
	sees(t, srv.join(t, "bob", nil), "You are bob, in lobby")
	fails(t, 1, "-bans", bans) // one server has it
}
