package chatroom_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

func TestAddSeesWhatAnEditorDid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	addBans(t, s, nickBan("a", "ann"), nickBan("b", "bob"))
	lines := strings.SplitAfter(fileText(t, path), "\n")
	replaceFile(t, path, lines[1]+`{"id":"c","kind":"nick","value":"carl"}`)
	if err := s.Remove(t.Context(), "a"); !errors.Is(err, chatroom.ErrNoBan) {
		t.Errorf("the ban that the editor removed: %v", err)
	}
	addBans(t, s, nickBan("d", "dan"))
	wantBans(t, s, nickBan("b", "bob"), nickBan("c", "carl"), nickBan("d", "dan"))
	s.Close()
	wantBans(t, openBans(t, path), nickBan("b", "bob"), nickBan("c", "carl"), nickBan("d", "dan"))
}

func TestAddSeesAnotherFileOfTheSameSizeAndTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	addBans(t, s, nickBan("a", "ann"))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	text := `{"id":"b","kind":"nick","value":"bob"}`
	text += strings.Repeat(" ", int(info.Size())-len(text)-1) + "\n"
	replaceFile(t, path, text)
	if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	addBans(t, s, nickBan("c", "carl"))
	wantBans(t, s, nickBan("b", "bob"), nickBan("c", "carl"))
}

func TestReloadTakesAnEditNoStatShows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	addBans(t, s, nickBan("a", "ann"))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	text := `{"id":"b","kind":"nick","value":"bob"}`
	text += strings.Repeat(" ", int(info.Size())-len(text)-1) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	wantBans(t, s, nickBan("b", "bob"))
}

// watchBans runs Watch; its calls of changed and its result come out of the channels.
func watchBans(ctx context.Context, s *chatroom.FileBanStore) (changes chan struct{}, result chan error) {
	changes, result = make(chan struct{}, 10), make(chan error, 1)
	go func() { result <- s.Watch(ctx, func() { changes <- struct{}{} }) }()
	return changes, result
}

// awaitChange waits for a change, in a bubble.
func awaitChange(t testing.TB, changes chan struct{}) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(time.Minute):
		t.Fatal("no change in a minute")
	}
}

// awaitResult waits for a Watch to end, in a bubble.
func awaitResult(t testing.TB, result chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(time.Minute):
		t.Fatal("Watch has not ended in a minute")
		return nil
	}
}

func TestWatchSeesEditsOfTheBanFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bans")
		s := openBans(t, path)
		addBans(t, s, nickBan("a", "ann"))
		ctx, cancel := context.WithCancel(t.Context())
		changes, result := watchBans(ctx, s)
		time.Sleep(time.Minute)
		addBans(t, s, nickBan("b", "bob"))
		time.Sleep(time.Minute)
		if len(changes) != 0 {
			t.Fatalf("%d changes, none of them by another hand", len(changes))
		}
		edits := []func(){
			func() { replaceFile(t, path, `{"id":"x","kind":"nick","value":"xaver"}`+"\n") },
			func() {
				f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if _, err := f.WriteString(`{"id":"y","kind":"nick","value":"yves"}` + "\n"); err != nil {
					t.Fatal(err)
				}
			},
			func() {
				if err := os.Truncate(path, 0); err != nil {
					t.Fatal(err)
				}
			},
		}
		for i, want := range [][]chatroom.Ban{
			{nickBan("x", "xaver")},
			{nickBan("x", "xaver"), nickBan("y", "yves")},
			{},
		} {
			edits[i]()
			began := time.Now()
			awaitChange(t, changes)
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("edit %d was seen after %v", i, d)
			}
			wantBans(t, s, want...)
		}
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
	})
}

func TestAWatchThatStartsLateHearsOfEarlierEdits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bans")
		s := openBans(t, path)
		replaceFile(t, path, `{"id":"x","kind":"nick","value":"xaver"}`+"\n")
		addBans(t, s, nickBan("b", "bob")) // reads the edit
		ctx, cancel := context.WithCancel(t.Context())
		changes, result := watchBans(ctx, s)
		awaitChange(t, changes)
		cancel()
		<-result
	})
}

func TestAFileBeingSavedIsLeftToSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bans")
		s := openBans(t, path)
		addBans(t, s, nickBan("a", "ann"))
		saved := fileText(t, path)
		ctx, cancel := context.WithCancel(t.Context())
		changes, result := watchBans(ctx, s)
		time.Sleep(2500 * time.Millisecond)
		if err := os.Truncate(path, 0); err != nil { // an editor that writes in place begins
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		wantBans(t, s, nickBan("a", "ann"))
		if err := os.WriteFile(path, []byte(saved+`{"id":"b","kind":"nick","value":"bob"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		awaitChange(t, changes)
		wantBans(t, s, nickBan("a", "ann"), nickBan("b", "bob"))
		cancel()
		<-result
	})
}

// While somebody is at work on the file, or has lost it, the bans hold and nothing is written.
func TestUnusableEditKeepsBans(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"nonsense": func(t *testing.T, path string) { replaceFile(t, path, "nobody\n") },
		"half a line": func(t *testing.T, path string) {
			replaceFile(t, path, `{"id":"x","kind":"nick","value":"x"}`+"\n"+`{"id":"y","ki`)
		},
		"gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { unusableEdit(t, spoil) })
		})
	}
}

func unusableEdit(t *testing.T, spoil func(t *testing.T, path string)) {
	path := filepath.Join(t.TempDir(), "bans")
	s := openBans(t, path)
	addBans(t, s, nickBan("a", "ann"))
	good := fileText(t, path)
	_, result := watchBans(t.Context(), s)
	spoil(t, path)
	spoiled, _ := os.ReadFile(path)

	damage := awaitResult(t, result)
	_, corrupt := errors.AsType[*chatroom.CorruptError](damage)
	if !corrupt && !errors.Is(damage, fs.ErrNotExist) || !strings.Contains(damage.Error(), path) {
		t.Fatalf("Watch returned %v", damage)
	}
	wantBans(t, s, nickBan("a", "ann"))
	for call, err := range map[string]error{
		"Add":    s.Add(t.Context(), nickBan("b", "bob")),
		"Remove": s.Remove(t.Context(), "a"),
		"Reload": s.Reload(),
		"Err":    s.Err(),
	} {
		if corrupt != errors.As(err, new(*chatroom.CorruptError)) || err == nil || errors.Is(err, chatroom.ErrNoBan) {
			t.Errorf("%s: %v", call, err)
		}
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, spoiled) {
		t.Errorf("the file was written to: %q", now)
	}

	ctx, cancel := context.WithCancel(t.Context())
	_, result = watchBans(ctx, s)
	time.Sleep(time.Minute)
	if len(result) > 0 {
		t.Fatalf("Watch told it twice: %v", <-result)
	}
	replaceFile(t, path, good+good+"worse")
	if worse, ok := errors.AsType[*chatroom.CorruptError](awaitResult(t, result)); !ok || worse.Line != 3 {
		t.Errorf("Watch returned %v", worse)
	}
	changes, result := watchBans(ctx, s)
	replaceFile(t, path, good+`{"id":"c","kind":"nick","value":"carl"}`)
	awaitChange(t, changes)
	wantBans(t, s, nickBan("a", "ann"), nickBan("c", "carl"))
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	addBans(t, s, nickBan("b", "bob"))
	spoil(t, path)
	if err := awaitResult(t, result); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("Watch, the third time: %v", err)
	}
	cancel()
}

// replaceFile does what most editors do.
func replaceFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+"~", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}
