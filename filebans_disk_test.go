package chatroom

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// forgetful is a disk that has not synced anything when it says so, for speed.
type forgetful struct{ realDisk }

func (forgetful) syncDir(string) error { return nil }

func (d forgetful) open(name string, flag int, perm fs.FileMode) (diskFile, error) {
	f, err := d.realDisk.open(name, flag, perm)
	return lazyFile{f}, err
}

type lazyFile struct{ diskFile }

func (lazyFile) Sync() error { return nil }

func makeBanFile(t testing.TB, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "bans")
	writeFile(t, path, content)
	return path
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// banLines returns lines of a ban file, each of which changes what the file says.
func banLines(t testing.TB) (lines [][]byte) {
	t.Helper()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, v := range []any{
		Ban{ID: "a", Kind: BanNick, Value: "bob", Reason: "<spam> & \"more\"", By: "ann", Created: at},
		Ban{ID: "b", Kind: BanAddr, Value: "2001:db8::/64", Expires: at},
		Ban{ID: "A", Effect: EffectMute, Kind: BanMask, Value: "*ß日本\u2028\n*", Note: strings.Repeat("x", 50)},
		removedRecord{"b"},
		Ban{ID: "a", Kind: BanNick, Value: "bob"},
		Ban{ID: "c", Kind: BanAccount, Value: "carol", Created: at},
	} {
		line, err := appendRecord(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

// after returns what the first n lines say.
func after(t testing.TB, lines [][]byte, n int) map[string]Ban {
	t.Helper()
	c, err := readBans(bytes.NewReader(bytes.Join(lines[:n], nil)), "")
	if err != nil || c.torn != nil {
		t.Fatal(err, c.torn)
	}
	return c.bans
}

func TestBanFileCutAnywhere(t *testing.T) {
	lines := banLines(t)
	whole := bytes.Join(lines, nil)
	path := makeBanFile(t, nil)
	for n := range len(whole) + 1 {
		writeFile(t, path, whole[:n])
		s, err := openBans(forgetful{}, path)
		if err != nil {
			t.Fatalf("cut at byte %d: %v", n, err)
		}
		full, begin := 0, 0 // lines before the cut, and where the last of them ends
		for full < len(lines) && begin+len(lines[full]) <= n {
			begin += len(lines[full])
			full++
		}
		unended := full < len(lines) && n == begin+len(lines[full])-1
		torn := n > begin && !unended
		if unended {
			full++
		}
		if want := after(t, lines, full); !maps.Equal(s.bans, want) {
			t.Fatalf("cut at byte %d: got %v, want %v", n, s.bans, want)
		}
		if bad, ok := errors.AsType[*CorruptError](s.Err()); ok != torn || ok && (bad.Line != full+1 || bad.Offset != int64(begin)) {
			t.Fatalf("cut at byte %d: told %v, torn %v", n, s.Err(), torn)
		}
		if got := readFile(t, path); !bytes.Equal(got, whole[:n]) {
			t.Fatalf("cut at byte %d: opening changed the file to %q", n, got)
		}
		if err := s.Add(t.Context(), Ban{ID: "new", Kind: BanNick, Value: "dan"}); err != nil {
			t.Fatalf("cut at byte %d: %v", n, err)
		}
		again, err := openBans(forgetful{}, path)
		if err != nil || again.Err() != nil || !maps.Equal(s.bans, again.bans) || len(s.bans) != len(after(t, lines, full))+1 {
			t.Fatalf("cut at byte %d, then Add: %v, %v, %v, want %v", n, err, again.Err(), again.bans, s.bans)
		}
	}
}

func TestBanFileWithAnyBitFlipped(t *testing.T) {
	lines := banLines(t)
	whole := bytes.Join(lines, nil)
	path := makeBanFile(t, nil)
	want := after(t, lines, len(lines))
	for i := range whole {
		line := 1 + bytes.Count(whole[:i], []byte("\n"))
		for _, flip := range []byte{1, 2, 4, 8, 16, 32, 64, 128, whole[i], 0xff, whole[i] ^ '\n'} {
			if flip == 0 {
				continue
			}
			bad := slices.Clone(whole)
			bad[i] ^= flip
			writeFile(t, path, bad)
			s, err := openBans(forgetful{}, path)
			switch corrupt, ok := errors.AsType[*CorruptError](err); {
			case ok && corrupt.Line == line && corrupt.Path == path && strings.Contains(err.Error(), path):
			case ok && bad[i] == '\n' && corrupt.Line == line+1: // after an empty line
			case err != nil:
				t.Fatalf("byte %d ^ %#x, line %d: %v", i, flip, line, err)
			case s.Err() == nil && maps.Equal(s.bans, want): // the crc in capitals
			case s.Err() != nil && line == len(lines) && maps.Equal(s.bans, after(t, lines, len(lines)-1)):
			default:
				t.Fatalf("byte %d ^ %#x, line %d: read as %v, told %v", i, flip, line, s.bans, s.Err())
			}
			if got := readFile(t, path); !bytes.Equal(got, bad) {
				t.Fatalf("byte %d ^ %#x: opening changed the file", i, flip)
			}
		}
	}
}

// fullDisk has room for so many more bytes.
type fullDisk struct {
	forgetful
	left   *int
	frozen *bool // Truncate fails, too
	made   *int  // files made
}

func (d fullDisk) open(name string, flag int, perm fs.FileMode) (diskFile, error) {
	if flag&os.O_CREATE != 0 {
		*d.made++
	}
	f, err := d.forgetful.open(name, flag, perm)
	return fullFile{f, d}, err
}

type fullFile struct {
	diskFile
	disk fullDisk
}

func (f fullFile) WriteAt(p []byte, off int64) (int, error) {
	n := min(len(p), *f.disk.left)
	*f.disk.left -= n
	n, err := f.diskFile.WriteAt(p[:n], off)
	if err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f fullFile) Truncate(size int64) error {
	if *f.disk.frozen {
		return syscall.EIO
	}
	return f.diskFile.Truncate(size)
}

func TestFullDiskCostsOnlyTheBanItHasNoRoomFor(t *testing.T) {
	const lots = 1 << 20
	b := Ban{ID: "last", Kind: BanNick, Value: "erin", Reason: strings.Repeat("r", 60)}
	line, err := appendBan(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	lines := banLines(t)
	old := after(t, lines, len(lines))
	both := maps.Clone(old)
	both[b.ID] = b
	for k := range 201 {
		for _, frozen := range []bool{false, true} {
			path := makeBanFile(t, bytes.Join(lines, nil))
			left, stuck := k, frozen
			d := fullDisk{left: &left, frozen: &stuck, made: new(int)}
			s, err := openBans(d, path)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Add(t.Context(), b)
			fits := k >= len(line)
			want := old
			if fits {
				want = both
			}
			if fits != (err == nil) || err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("room for %d of %d bytes: %v", k, len(line), err)
			}
			again, err := openBans(forgetful{}, path)
			kept := want
			if frozen && k == len(line)-1 {
				kept = both // all but the newline is there, and Add's error says it may be
			}
			if err != nil || !maps.Equal(s.bans, want) || !maps.Equal(again.bans, kept) {
				t.Fatalf("room for %d bytes: in memory %v, in the file %v, %v", k, s.bans, again.bans, err)
			}
			if torn := again.Err() != nil; torn != (frozen && 0 < k && k < len(line)-1) {
				t.Fatalf("room for %d bytes, frozen %v: the file is torn: %v", k, frozen, again.Err())
			}
			left, stuck = lots, false
			if err := s.Add(t.Context(), b); err != nil {
				t.Fatalf("room for %d bytes, then more: %v", k, err)
			}
			again, err = openBans(forgetful{}, path)
			if err != nil || again.Err() != nil || !maps.Equal(again.bans, both) {
				t.Fatalf("room for %d bytes, then more: %v, %v, %v", k, again.bans, err, again.Err())
			}
		}
	}
}

func TestBanFileIsNotRewrittenWithoutRoom(t *testing.T) {
	path := makeBanFile(t, nil)
	left, frozen, made := 0, false, 0
	s, err := openBans(fullDisk{left: &left, frozen: &frozen, made: &made}, path)
	if err != nil {
		t.Fatal(err)
	}
	s.slack = 10
	line, err := appendBan(nil, Ban{ID: "a", Kind: BanNick, Value: "0"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		left = len(line) + 2 // room for the record, not for another file
		if err := s.Add(t.Context(), Ban{ID: "a", Kind: BanNick, Value: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(s.Err(), syscall.ENOSPC) || len(bytes.Split(readFile(t, path), []byte("\n"))) != 201 {
		t.Fatalf("told %v; file: %s", s.Err(), readFile(t, path))
	}
	if made > 200/s.slack {
		t.Errorf("%d attempts to write the file anew for 200 bans", made)
	}
	left = 1 << 20
	for i := range 20 {
		if err := s.Add(t.Context(), Ban{ID: "a", Kind: BanNick, Value: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	if n := bytes.Count(readFile(t, path), []byte("\n")); n > 20 {
		t.Errorf("%d lines for one ban", n)
	}
	again, err := openBans(forgetful{}, path)
	if err != nil || !maps.Equal(again.bans, s.bans) {
		t.Error(again, err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

func TestRewrittenBanFileKeepsItsModeAndItsLinks(t *testing.T) {
	real := makeBanFile(t, nil)
	path := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, path); err != nil {
		t.Skip(err)
	}
	if err := os.Chmod(real, 0o640); err != nil {
		t.Fatal(err)
	}
	writeFile(t, real+".new", []byte("left behind by a crash"))
	s, err := FileBans(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := os.Stat(real + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what a crash left stays:", err)
	}
	s.slack = 5
	before := s.seen
	for i := range 10 {
		if err := s.Add(t.Context(), Ban{ID: "a", Kind: BanNick, Value: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	link, err := os.Readlink(path)
	if err != nil || link != real || os.SameFile(before, s.seen) || s.Err() != nil {
		t.Fatal(link, err, s.Err(), os.SameFile(before, s.seen))
	}
	if mode := s.seen.Mode(); mode != 0o640 {
		t.Error(mode)
	}
	if text := readFile(t, real); !bytes.Contains(text, []byte(`"value":"9"`)) || bytes.Count(text, []byte("\n")) > 7 {
		t.Errorf("%s", text)
	}
}

// An editedDisk is edited at the worst moment: when the next write or rename is about to be, or
// has just been made.
type editedDisk struct {
	forgetful
	edit *func(moment string)
}

func (d editedDisk) open(name string, flag int, perm fs.FileMode) (diskFile, error) {
	f, err := d.forgetful.open(name, flag, perm)
	return editedFile{f, d}, err
}

type editedFile struct {
	diskFile
	disk editedDisk
}

func (f editedFile) WriteAt(p []byte, off int64) (int, error) {
	defer (*f.disk.edit)("written")
	(*f.disk.edit)("write")
	return f.diskFile.WriteAt(p, off)
}

func TestBanIsNotAcknowledgedWhenAnEditCameBetween(t *testing.T) {
	b := Ban{ID: "b", Kind: BanNick, Value: "bob"}
	edited := []byte(`{"id":"x","kind":"nick","value":"xaver"}` + "\n")
	for _, moment := range []string{"write", "written"} {
		for name, edit := range map[string]func(path string){
			"renamed into place": func(path string) {
				writeFile(t, path+"~", edited)
				if err := os.Rename(path+"~", path); err != nil {
					t.Fatal(err)
				}
			},
			"written in place": func(path string) { writeFile(t, path, edited) },
		} {
			if moment == "write" && name == "written in place" {
				continue // nobody can tell then who wrote what
			}
			path := makeBanFile(t, nil)
			hook := func(string) {}
			s, err := openBans(editedDisk{edit: &hook}, path)
			if err != nil {
				t.Fatal(err)
			}
			hook = func(now string) {
				if now == moment {
					hook = func(string) {}
					edit(path)
				}
			}
			if err := s.Add(t.Context(), b); err == nil {
				t.Errorf("%s, %s: added to %q", moment, name, readFile(t, path))
			}
			if err := s.Add(t.Context(), b); err != nil {
				t.Errorf("%s, %s, once more: %v", moment, name, err)
			}
			again, err := openBans(forgetful{}, path)
			if err != nil || len(again.bans) != 2 || again.bans["x"].Value != "xaver" || !maps.Equal(again.bans, s.bans) {
				t.Errorf("%s, %s: %v, %v", moment, name, again, err)
			}
		}
	}
}

func TestRewritingLeavesAnEditAlone(t *testing.T) {
	path := makeBanFile(t, nil)
	hook := func(string) {}
	s, err := openBans(editedDisk{edit: &hook}, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), Ban{ID: "a", Kind: BanNick, Value: "ann"}); err != nil {
		t.Fatal(err)
	}
	edited := []byte(`{"id":"x","kind":"nick","value":"xaver"}` + "\n")
	hook = func(string) { writeFile(t, path, edited) }
	if err := s.rewrite(); !errors.Is(err, errEdited) {
		t.Error(err)
	}
	if got := readFile(t, path); !bytes.Equal(got, edited) {
		t.Errorf("%s", got)
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the new file stays:", err)
	}
}

func TestReloadKnowsWhatAFailedWriteLeft(t *testing.T) {
	path := makeBanFile(t, nil)
	left, frozen := 20, true
	s, err := openBans(fullDisk{left: &left, frozen: &frozen, made: new(int)}, path)
	if err != nil {
		t.Fatal(err)
	}
	b := Ban{ID: "a", Kind: BanNick, Value: "ann"}
	if err := s.Add(t.Context(), b); !errors.Is(err, syscall.ENOSPC) || len(readFile(t, path)) != 20 {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	left, frozen = 1000, false
	if err := s.Add(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func TestWaitingForTheBanFileEndsWithTheContext(t *testing.T) {
	s, err := openBans(forgetful{}, makeBanFile(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	s.turn <- struct{}{} // a write that does not end
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Add(ctx, Ban{ID: "a"}) }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if bans, err := s.List(t.Context()); err != nil || len(bans) != 0 {
		t.Error("List waits for the file, or sees what was not done:", bans, err)
	}
}

// blankEnds are last lines with nothing in them, and no newline.
var blankEnds = []string{" ", "\t", "\r", "  \r", " \x00", "\t\x00\x00", "\r\x00", "\n ", "\r\n\t", "\n \x00"}

func TestBanFileThatEndsInWhiteSpace(t *testing.T) {
	lines := banLines(t)
	for _, before := range []int{0, len(lines)} {
		for _, end := range blankEnds {
			path := makeBanFile(t, append(bytes.Join(lines[:before], nil), end...))
			want := after(t, lines, before)
			s, err := openBans(forgetful{}, path)
			if err != nil || s.Err() != nil || !maps.Equal(s.bans, want) {
				t.Fatalf("%d lines and %q: %v, %v", before, end, s, err)
			}
			for _, id := range []string{"x", "y"} {
				b := Ban{ID: id, Kind: BanNick, Value: "ann"}
				if err := s.Add(t.Context(), b); err != nil {
					t.Fatalf("%d lines and %q: %v", before, end, err)
				}
				want[id] = b
			}
			if s, err = openBans(forgetful{}, path); err != nil || s.Err() != nil || !maps.Equal(s.bans, want) {
				t.Errorf("%d lines and %q, after Add: %v, %v", before, end, s, err)
			}
		}
	}
}

func FuzzBanFile(f *testing.F) {
	lines := banLines(f)
	whole := bytes.Join(lines, nil)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:len(whole)-20])
	f.Add(append(slices.Clone(whole), 0, 0, 0))
	f.Add([]byte("{\"id\":\"x\",\"kind\":\"nick\",\"value\":\"ann\"}\r\n\n \n"))
	f.Add([]byte("ann\nbob\n"))
	for _, end := range blankEnds {
		f.Add([]byte(end))
		f.Add(append(slices.Clone(whole), end...))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		// Its owner wrote it: what is kept of a record of a dozen bytes is a Ban.
		if used := Allocated(3, func() { _, _ = readBans(bytes.NewReader(content), "") }); used > uint64(32*len(content)+160<<10) {
			t.Errorf("%d bytes for an input of %d", used, len(content))
		}
		path := makeBanFile(t, content)
		s, err := openBans(forgetful{}, path)
		if err != nil {
			if bad, ok := errors.AsType[*CorruptError](err); !ok || bad.Offset < 0 || bad.Offset >= int64(len(content)) {
				t.Fatal(err)
			}
			return
		}
		if len(s.bans) > bytes.Count(content, []byte("{")) {
			t.Fatalf("%d bans in %q", len(s.bans), content)
		}
		if err := s.Add(t.Context(), Ban{ID: "new", Kind: BanNick, Value: "ann"}); err != nil {
			t.Fatal(err)
		}
		again, err := openBans(forgetful{}, path)
		if err != nil {
			t.Fatalf("after an Add to %q: %v", content, err)
		}
		if again.Err() != nil || !maps.Equal(s.bans, again.bans) {
			t.Fatalf("%v: %v after %v", again.Err(), again.bans, s.bans)
		}
	})
}

const million = 1_000_000

func millionBans(b *testing.B) (path string) {
	b.Helper()
	var text []byte
	for i := range million {
		var err error
		text, err = appendBan(text, Ban{
			ID: strconv.Itoa(i), Kind: BanNick, Value: "somebody" + strconv.Itoa(i), Reason: "spam, for the third time",
			By: "ann", Created: time.Unix(1e9+int64(i), 0).UTC(), Expires: time.Unix(3e9, 0).UTC(),
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return makeBanFile(b, text)
}

func BenchmarkFileBansOpenMillion(b *testing.B) {
	path := millionBans(b)
	for b.Loop() {
		s, err := FileBans(path)
		if err != nil || len(s.bans) != million || s.Close() != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/open")
}

func BenchmarkFileBansRewriteMillion(b *testing.B) {
	s, err := FileBans(millionBans(b))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if err := s.rewrite(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/rewrite")
}
