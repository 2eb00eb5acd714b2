package chatroom_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"github.com/google/go-cmp/cmp"
)

func openBans(t testing.TB, path string) *chatroom.FileBanStore {
	t.Helper()
	s, err := chatroom.FileBans(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func addBans(t testing.TB, s chatroom.BanStore, bans ...chatroom.Ban) {
	t.Helper()
	for _, b := range bans {
		if err := s.Add(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// wantBans checks what s holds.
func wantBans(t testing.TB, s chatroom.BanStore, bans ...chatroom.Ban) {
	t.Helper()
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(byID(bans), byID(list)); diff != "" || len(list) != len(bans) {
		t.Fatalf("%d bans for %d (-want +got):\n%s", len(list), len(bans), diff)
	}
}

func byID(bans []chatroom.Ban) map[string]chatroom.Ban {
	m := make(map[string]chatroom.Ban)
	for _, b := range bans {
		m[b.ID] = b
	}
	return m
}

func nickBan(id, nick string) chatroom.Ban {
	return chatroom.Ban{ID: id, Kind: chatroom.BanNick, Value: nick}
}

func fileText(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBanFileKeepsBans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	now := time.Now()
	full := chatroom.Ban{
		ID: "k3", Effect: chatroom.EffectMute, Kind: chatroom.BanMask, Value: "*<b\"ó\n*", Reason: "spam & more",
		Note: "third time", By: "ann", Created: now, Expires: now.Add(time.Hour),
	}
	addBans(t, s, nickBan("k1", "bob"), nickBan("K1", "carl"), full, nickBan("k4", "dan"), nickBan("k1", "rob"))
	if err := s.Remove(t.Context(), "k4"); err != nil {
		t.Fatal(err)
	}
	wantBans(t, s, nickBan("k1", "rob"), nickBan("K1", "carl"), full)
	if text := fileText(t, path); !strings.Contains(text, "spam & more") || strings.Count(text, "\n") != 6 {
		t.Errorf("not a readable line a record:\n%s", text)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openBans(t, path)
	wantBans(t, again, nickBan("k1", "rob"), nickBan("K1", "carl"), full)
	if err := again.Err(); err != nil {
		t.Error(err)
	}
	if err := again.Remove(t.Context(), "k4"); !errors.Is(err, chatroom.ErrNoBan) {
		t.Errorf("removing it again: %v", err)
	}
}

// The lines are those that the documentation shows.
func TestBanFileFormat(t *testing.T) {
	const added = `{"id":"k3","kind":"nick","value":"bob","reason":"spam","created":"2026-11-22T12:00:00Z","crc":"4772c522"}` + "\n"
	const removed = `{"removed":"k3","crc":"38a1dd6c"}` + "\n"
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	b := nickBan("k3", "bob")
	b.Reason, b.Created = "spam", time.Date(2026, 11, 22, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	addBans(t, s, b)
	if diff := cmp.Diff(added, fileText(t, path)); diff != "" {
		t.Error(diff)
	}
	if err := s.Remove(t.Context(), "k3"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(added+removed, fileText(t, path)); diff != "" {
		t.Error(diff)
	}
}

func TestBanFileIsForItsOwner(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions are inherited here")
	}
	path := filepath.Join(t.TempDir(), "bans")
	openBans(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
}

func TestABanFileHasOneStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	other := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, other); err != nil {
		other = path // Windows may not allow it
	}
	for _, name := range []string{path, other} {
		_, err := chatroom.FileBans(name)
		if !errors.Is(err, chatroom.ErrBansLocked) || !strings.Contains(err.Error(), name) {
			t.Errorf("opened again: %v", err)
		}
	}
	addBans(t, s, nickBan("a", "ann"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantBans(t, openBans(t, other), nickBan("a", "ann"))
}

func TestClosedBanFile(t *testing.T) { synctest.Test(t, closedBanFile) }

func closedBanFile(t *testing.T) {
	s := openBans(t, filepath.Join(t.TempDir(), "bans"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, list := s.List(t.Context())
	for call, err := range map[string]error{
		"Add":    s.Add(t.Context(), nickBan("a", "ann")),
		"Remove": s.Remove(t.Context(), "a"),
		"List":   list,
		"Reload": s.Reload(),
		"Watch":  s.Watch(t.Context(), func() { t.Error("changed after Close") }),
		"Close":  s.Close(),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close: %v", call, err)
		}
	}
}

func TestCorruptBanFileIsRefusedAndKept(t *testing.T) {
	const good = `{"id":"a","kind":"nick","value":"ann"}` + "\n"
	for name, bad := range map[string]string{
		"a list of nicks":        "bob\n",
		"a list without its end": "bob",
		"a changed line":         `{"id":"b","kind":"nick","value":"bob","crc":"00000000"}` + "\n",
		"two objects":            `{"id":"b","kind":"nick"}{}` + "\n",
		"a field nobody knows":   `{"id":"b","kind":"nick","value":"bob","scope":"x"}` + "\n",
		"a wrong type":           `{"id":7}` + "\n",
		"no id":                  `{"kind":"nick","value":"bob"}` + "\n",
		"ban and removal":        `{"id":"b","removed":"a"}` + "\n",
		"null":                   "null\n",
		"an array":               `[{"id":"b"}]` + "\n",
		"half a line":            `{"id":"b","kind":"ni` + "\n",
		"Latin-1":                `{"id":"b","kind":"nick","value":"b` + "\xf6" + `b"}` + "\n",
		"a hole in the middle":   "{\"id\":\x00\x00}\n" + good,
		"a torn line, then more": `{"id":"b","kind":` + good,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bans")
			content := good + "\n" + bad
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := chatroom.FileBans(path)
			corrupt, ok := errors.AsType[*chatroom.CorruptError](err)
			if !ok || corrupt.Path != path || corrupt.Line != 3 || corrupt.Offset != int64(len(good)+1) {
				t.Errorf("FileBans: %v", err)
			}
			if got := fileText(t, path); got != content {
				t.Errorf("the file is now %q", got)
			}
			if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
				t.Fatal(err)
			}
			wantBans(t, openBans(t, path), nickBan("a", "ann"))
		})
	}
}

func TestTornLineIsDroppedAndTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	addBans(t, s, nickBan("a", "ann"), nickBan("b", "bob"))
	s.Close()
	if err := os.Truncate(path, int64(len(fileText(t, path))-10)); err != nil {
		t.Fatal(err)
	}
	s = openBans(t, path)
	wantBans(t, s, nickBan("a", "ann"))
	torn, ok := errors.AsType[*chatroom.CorruptError](s.Err())
	if !ok || torn.Line != 2 || !strings.Contains(torn.Error(), "bob") {
		t.Errorf("told %v", s.Err())
	}
	if err := s.Reload(); err != nil {
		t.Errorf("the torn line became an error: %v", err)
	}
	addBans(t, s, nickBan("c", "carl"))
	s.Close()
	s = openBans(t, path)
	wantBans(t, s, nickBan("a", "ann"), nickBan("c", "carl"))
	if s.Err() != nil {
		t.Error(s.Err())
	}
}

func TestBanFileWrittenByHand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	text := "{\"id\": \"a\", \"kind\": \"nick\", \"value\": \"ann\"} \r\n\r\n  \n{\"id\":\"b\",\"kind\":\"nick\",\"value\":\"bob\"}"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openBans(t, path)
	wantBans(t, s, nickBan("a", "ann"), nickBan("b", "bob"))
	addBans(t, s, nickBan("c", "carl"))
	if got := fileText(t, path); !strings.HasPrefix(got, text+"\n{") {
		t.Errorf("the file is now %q", got)
	}
	s.Close()
	wantBans(t, openBans(t, path), nickBan("a", "ann"), nickBan("b", "bob"), nickBan("c", "carl"))
}

func TestBansThatWouldNotComeBackAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	bad := nickBan("a", "b\xf6b")
	late := nickBan("a", "bob")
	late.Expires = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, b := range []chatroom.Ban{bad, late, nickBan("", "bob")} {
		if err := s.Add(t.Context(), b); err == nil {
			t.Errorf("%+v was added", b)
		}
	}
	if text := fileText(t, path); text != "" {
		t.Errorf("the file is %q", text)
	}
}

func TestBanTimesKeepTheirInstant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	b := nickBan("a", "ann")
	// Amsterdam before 1937; an RFC 3339 offset has no seconds.
	b.Created = time.Date(1930, 6, 1, 12, 0, 0, 0, time.FixedZone("AMT", 19*60+32))
	addBans(t, s, b)
	s.Close()
	list, err := openBans(t, path).List(t.Context())
	if err != nil || len(list) != 1 || !list[0].Created.Equal(b.Created) {
		t.Errorf("%v is now %v, %v", b.Created, list, err)
	}
}

func BenchmarkFileBansAdd(b *testing.B) {
	s := openBans(b, filepath.Join(b.TempDir(), "bans"))
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		addBans(b, s, nickBan(fmt.Sprint(i%100), "bob"))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}
