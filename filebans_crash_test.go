package chatroom

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A crashDisk loses power at a moment it is told, and then has, of whatever was not synced,
// something or nothing.
type crashDisk struct {
	dir   string
	rnd   *rand.Rand
	left  int // changes until the power fails
	flaky int // one in so many writes and syncs fails by itself; 0 means none
	moves int // renames done
	names map[string]*inode
	safe  map[string]*inode   // what every name stood for when the directory was last synced
	since map[string][]*inode // and has stood for since
}

type inode struct {
	safe    []byte
	pending []change
}

type change struct {
	data []byte // nil means that the file was cut at off
	off  int64
}

var errPower = errors.New("no power")

func (d *crashDisk) step() error {
	if d.left--; d.left < 0 {
		return errPower
	}
	return nil
}

// newCrashDisk makes a disk with these files, and a ban file if it is not among them.
func newCrashDisk(t testing.TB, rnd *rand.Rand, files map[string][]byte) *crashDisk {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	d := &crashDisk{
		dir: dir, rnd: rnd, left: 1 + rnd.IntN(60), flaky: rnd.IntN(3) * 15,
		names: make(map[string]*inode), safe: make(map[string]*inode), since: make(map[string][]*inode),
	}
	for name, content := range files {
		writeFile(t, filepath.Join(dir, name), content)
		d.names[name] = &inode{safe: content}
		d.safe[name] = d.names[name]
	}
	if d.names["bans"] == nil {
		writeFile(t, filepath.Join(dir, "bans"), nil)
		d.link("bans", &inode{})
	}
	return d
}

func (d *crashDisk) link(name string, i *inode) {
	d.names[name] = i
	d.since[name] = append(d.since[name], i)
}

func (d *crashDisk) open(name string, flag int, perm fs.FileMode) (diskFile, error) {
	base := filepath.Base(name)
	if flag&os.O_CREATE != 0 {
		if err := d.step(); err != nil {
			return nil, err
		}
		d.link(base, &inode{})
	}
	f, err := os.OpenFile(name, flag, perm)
	return &crashFile{f, d, d.names[base]}, err
}

func (d *crashDisk) rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.link(filepath.Base(to), d.names[filepath.Base(from)])
	d.link(filepath.Base(from), nil)
	d.moves++
	return os.Rename(from, to)
}

func (d *crashDisk) remove(name string) error {
	if err := d.step(); err != nil {
		return err
	}
	d.link(filepath.Base(name), nil)
	return realDisk{}.remove(name)
}

func (d *crashDisk) syncDir(string) error {
	if err := d.step(); err != nil {
		return err
	}
	if d.fails() {
		return syscall.EIO
	}
	d.safe = maps.Clone(d.names)
	clear(d.since)
	return nil
}

func (d *crashDisk) fails() bool { return d.flaky > 0 && d.rnd.IntN(d.flaky) == 0 }

// survivors returns the files after the power failure.
func (d *crashDisk) survivors() map[string][]byte {
	files := make(map[string][]byte)
	for _, name := range []string{"bans", "bans.new"} {
		i := d.safe[name]
		if n := d.rnd.IntN(len(d.since[name]) + 1); n > 0 {
			i = d.since[name][n-1]
		}
		if i != nil {
			files[name] = i.survivor(d.rnd)
		}
	}
	return files
}

func (i *inode) survivor(rnd *rand.Rand) []byte {
	content := slices.Clone(i.safe)
	all := rnd.IntN(3) == 0
	for _, c := range i.pending {
		fate := rnd.IntN(4)
		if c.data == nil {
			if all || fate < 2 {
				content = content[:min(int64(len(content)), c.off)]
			}
			continue
		}
		from, to, size := 0, len(c.data), len(c.data)
		switch {
		case all || fate == 0:
		case fate == 1: // nothing
			continue
		case fate == 2: // a beginning
			to = rnd.IntN(len(c.data) + 1)
			size = to
		case fate == 3: // a part, and zeros where the rest should be
			from = rnd.IntN(len(c.data) + 1)
			to = from + rnd.IntN(len(c.data)-from+1)
			size = to + rnd.IntN(len(c.data)-to+1)
		}
		if missing := int(c.off) + size - len(content); missing > 0 {
			content = append(content, make([]byte, missing)...)
		}
		copy(content[int(c.off)+from:], c.data[from:to])
	}
	return content
}

type crashFile struct {
	*os.File
	disk  *crashDisk
	inode *inode
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	f.inode.pending = append(f.inode.pending, change{slices.Clone(p), off})
	if err := f.disk.step(); err != nil {
		return 0, err
	}
	if f.disk.fails() {
		n, err := f.File.WriteAt(p[:f.disk.rnd.IntN(len(p))], off)
		return n, errors.Join(syscall.ENOSPC, err)
	}
	return f.File.WriteAt(p, off)
}

func (f *crashFile) Truncate(size int64) error {
	f.inode.pending = append(f.inode.pending, change{nil, size})
	if err := f.disk.step(); err != nil {
		return err
	}
	if f.disk.fails() {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

func (f *crashFile) Sync() error {
	if err := f.disk.step(); err != nil {
		return err
	}
	if f.disk.fails() {
		return syscall.EIO
	}
	content, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	f.inode.safe, f.inode.pending = content, nil
	return nil
}

// TestPowerFailureLosesNoAcknowledgedBan lets a store live through one power failure after the
// other, 3,000 of them or as many as CRASHES says.
func TestPowerFailureLosesNoAcknowledgedBan(t *testing.T) {
	crashes := 3000
	if n, err := strconv.Atoi(os.Getenv("CRASHES")); err == nil {
		crashes = n
	} else if testing.Short() {
		crashes = 300
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	var files map[string][]byte
	acked := make(map[string]Ban)
	// doubtful holds the changes that failed since the last one that did not; a zero Ban removes.
	var doubtful []Ban
	stats := struct{ adds, removes, failures, rewrites, torn int }{}
	for life := range crashes {
		d := newCrashDisk(t, rnd, files)
		path := filepath.Join(d.dir, "bans")
		left, flaky := d.left, d.flaky
		d.left, d.flaky = 1<<30, 0
		s, err := openBans(forgetfulOnly{d}, path) // a look that changes nothing
		if err != nil {
			t.Fatalf("seed %d, life %d: %v", seed, life, err)
		}
		if !explains(acked, doubtful, s.bans) {
			t.Fatalf("seed %d, life %d: found %v, acknowledged %v, in doubt %v", seed, life, s.bans, acked, doubtful)
		}
		if s.Err() != nil {
			stats.torn++
		}
		d.left, d.flaky = left, flaky
		if s, err = openBans(d, path); err == nil {
			// The file is synced now: what it says will stay.
			acked, doubtful = maps.Clone(s.bans), nil
			s.slack = rnd.IntN(10)
			for d.left >= 0 {
				b := Ban{ID: strconv.Itoa(rnd.IntN(8)), Kind: BanNick, Value: fmt.Sprint(life, "-", d.left)}
				if rnd.IntN(10) == 0 {
					b.Reason = strings.Repeat("long ", rnd.IntN(2000))
				}
				if _, there := acked[b.ID]; there && rnd.IntN(3) == 0 {
					b = Ban{ID: b.ID}
					err = s.Remove(t.Context(), b.ID)
					stats.removes++
				} else {
					err = s.Add(t.Context(), b)
					stats.adds++
				}
				if err != nil {
					doubtful = append(doubtful, b)
					stats.failures++
					continue
				}
				apply(acked, b)
				doubtful = nil
				if !maps.Equal(acked, s.bans) {
					t.Fatalf("seed %d, life %d: in memory %v, acknowledged %v", seed, life, s.bans, acked)
				}
			}
		}
		stats.rewrites += d.moves
		files = d.survivors()
		os.RemoveAll(d.dir)
	}
	t.Logf("%d power failures: %+v", crashes, stats)
}

// forgetfulOnly is a crashDisk on which nothing becomes any safer.
type forgetfulOnly struct{ *crashDisk }

func (forgetfulOnly) remove(string) error  { return nil }
func (forgetfulOnly) syncDir(string) error { return nil }
func (d forgetfulOnly) open(name string, flag int, perm fs.FileMode) (diskFile, error) {
	return forgetful{}.open(name, flag, perm)
}

func apply(bans map[string]Ban, b Ban) {
	if b.Kind == "" {
		delete(bans, b.ID)
	} else {
		bans[b.ID] = b
	}
}

// explains reports whether found is acked with some of the doubtful changes made.
func explains(acked map[string]Ban, doubtful []Ban, found map[string]Ban) bool {
	if maps.Equal(acked, found) {
		return true
	}
	// A failed change is taken away before the next one is written, so at most one is there.
	for _, b := range doubtful {
		with := maps.Clone(acked)
		if apply(with, b); maps.Equal(with, found) {
			return true
		}
	}
	return false
}
