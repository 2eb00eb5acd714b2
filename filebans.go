package chatroom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// banFilePoll is how often Watch looks at the file. FileBanStore.Watch's comment names it.
const banFilePoll = time.Second

// banFileSlack is how many more of a ban file's lines may be dead than alive.
const banFileSlack = 1000

// ErrBansLocked is returned by FileBans for a file that another FileBanStore has open, in this
// process or another.
var ErrBansLocked = errors.New("chatroom: the ban file is in use")

// A FileBanStore keeps bans in a file, and all of them in memory as well. Any number of
// goroutines may use it.
//
// The file has one record a line, in JSON: a Ban, or the id of one that was removed, and in either
// case as its last field a CRC-32C of what comes before that field:
//
//	{"id":"k3","kind":"nick","value":"bob","reason":"spam","created":"2026-11-22T12:00:00Z","crc":"4772c522"}
//	{"removed":"k3","crc":"38a1dd6c"}
//
// A later record for an id replaces an earlier one. Add and Remove append a record and sync the
// file before they return. When the dead records outnumber the living by 1000, the living are
// written to a new file, under the name with .new appended, which takes the place of the old one;
// the call that finds it due takes that much longer, four seconds or so with a million bans.
//
// The file may be edited while it is in use; what it says then is what holds. An edit has to
// leave whole lines, and those that are new or changed have no "crc", which is optional there.
// Whoever saves a copy read before a ban was added undoes that ban. An editor that renames the new
// file into place, as most do, never shows half of it; with one that writes in place, a ban added
// at that very moment, or the edit, may be lost. While the file is not readable, or not there, the
// store keeps the bans it has, Add and Remove return the reason, and nothing is written.
type FileBanStore struct {
	path  string
	disk  disk
	lock  io.Closer
	slack int // how many more dead records than living ones the file may hold

	// turn holds a value while a call reads or writes the file; it guards the fields below.
	turn     chan struct{}
	seen     fs.FileInfo // the file as it was when last read or written; nil means unknown
	size     int64       // up to where the file is good
	ragged   bool        // the file does not end there, or not with a newline
	unended  bool        // that newline is missing
	records  int         // lines in the file
	postpone int         // no rewriting until there are so many

	// mu guards the fields below. Nobody waits for the file while holding it. Who changes them has
	// the turn, too, and so may read them without it.
	mu      sync.Mutex
	bans    map[string]Ban
	closed  bool
	edition int   // counts how often the file was read again
	torn    error // the last line that FileBans left out
	damage  error // why the file cannot be used as it is now
	told    bool  // whether a Watch has returned damage
	stale   error // why the file could not be written anew
}

// FileBans opens the ban file at path, creating it for its owner alone if there is none. A file
// that another store has open gives ErrBansLocked; the lock is a file of the same name with .lock
// appended, and needs one of the systems Linux, macOS, Windows, illumos or a BSD. A file with a line
// in it that is no record gives a *CorruptError, and stays as it is.
//
// A last line that was cut short is no such error, because a program that is stopped in the middle
// of Add leaves one: it belongs to a ban that was not acknowledged. FileBans leaves it out, the
// next Add or Remove overwrites it, and Err tells.
func FileBans(path string) (*FileBanStore, error) {
	real, err := banFilePath(path)
	if err != nil {
		return nil, fmt.Errorf("open bans %s: %w", path, err)
	}
	lock, err := lockFile(real + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open bans %s: %w", path, err)
	}
	s, err := openBans(realDisk{}, real)
	if err != nil {
		lock.Close()
		return nil, err
	}
	s.lock = lock
	return s, nil
}

// openBans reads the file at path, which no other store may have open.
func openBans(d disk, path string) (*FileBanStore, error) {
	s := &FileBanStore{path: path, disk: d, slack: banFileSlack, turn: make(chan struct{}, 1)}
	if err := d.remove(s.newPath()); err != nil {
		return nil, fmt.Errorf("open bans %s: %w", path, err)
	}
	c, err := s.read()
	if err != nil {
		return nil, err
	}
	if c.torn != nil {
		s.torn = c.torn
	}
	s.take(c)
	return s, nil
}

func (s *FileBanStore) newPath() string { return s.path + ".new" }

// Close gives up the file. Every later call returns an error that is os.ErrClosed.
func (s *FileBanStore) Close() error {
	s.turn <- struct{}{}
	defer s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.errClosed()
	}
	s.closed = true
	return s.lock.Close()
}

func (s *FileBanStore) errClosed() error { return fmt.Errorf("bans %s: %w", s.path, os.ErrClosed) }

// Err returns what no call has returned: that FileBans left out a last line that was cut short,
// that the file cannot be read since somebody edited it, or that it could not be written anew and
// grows. Nil means none of these. It is a method, and FileBans takes no logger, so that a program
// decides when to ask and how to tell; the first of them is known once FileBans has returned, and
// Watch returns the second.
func (s *FileBanStore) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.torn, s.damage, s.stale)
}

// List returns the bans in no particular order. It does not touch the file.
func (s *FileBanStore) List(ctx context.Context) ([]Ban, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.closed {
		return nil, s.errClosed()
	}
	return slices.AppendSeq(make([]Ban, 0, len(s.bans)), maps.Values(s.bans)), nil
}

// Add stores b. It refuses a ban without an ID and one that is not UTF-8. A disk that fails or is
// full leaves the bans as they were, and Add can be called again. A call that has begun to write
// finishes even if ctx ends.
func (s *FileBanStore) Add(ctx context.Context, b Ban) error {
	// RFC 3339 has no seconds in a zone's offset, so another zone might shift the instant.
	b.Created, b.Expires = b.Created.Round(0).UTC(), b.Expires.Round(0).UTC()
	line, err := appendBan(nil, b)
	if err != nil {
		return fmt.Errorf("add ban %q: %w", b.ID, err)
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	if err := s.commit(line); err != nil {
		return fmt.Errorf("add ban %q: %w", b.ID, err)
	}
	s.mu.Lock()
	s.bans[b.ID] = b
	s.mu.Unlock()
	s.rewriteIfDue()
	return nil
}

// Remove removes the ban with that id, with the same promises as Add.
func (s *FileBanStore) Remove(ctx context.Context, id string) error {
	line, err := appendRecord(nil, removedRecord{id})
	if err != nil {
		return fmt.Errorf("remove ban %q: %w", id, err)
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	if err := s.refresh(); err != nil {
		return fmt.Errorf("remove ban %q: %w", id, err)
	}
	if _, ok := s.bans[id]; !ok { // whoever changes bans has the turn
		return fmt.Errorf("%w: %q", ErrNoBan, id)
	}
	if err := s.commit(line); err != nil {
		return fmt.Errorf("remove ban %q: %w", id, err)
	}
	s.mu.Lock()
	delete(s.bans, id)
	s.mu.Unlock()
	s.rewriteIfDue()
	return nil
}

// Reload reads the file again, as a program may want to on SIGHUP. On an error the store keeps
// the bans it has.
func (s *FileBanStore) Reload() error {
	if err := s.begin(context.Background()); err != nil {
		return err
	}
	defer s.end()
	s.seen = nil
	return s.refresh()
}

// Watch looks at the file once a second, and calls changed after it has read the file again, also
// where Reload, Add or Remove did so. It takes a file as it is once that stays the same for a
// second. When the file can no longer be used, Watch returns the reason; called again, it waits
// for the file to change.
func (s *FileBanStore) Watch(ctx context.Context, changed func()) error {
	tick := time.NewTicker(banFilePoll)
	defer tick.Stop()
	var before fs.FileInfo // the file, a second ago
	for last := 0; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		var err error
		if before, err = s.poll(ctx, before); err != nil {
			return err
		}
		edition, err := s.news()
		if err != nil {
			return err
		}
		if edition != last {
			last = edition
			changed()
		}
	}
}

// news returns how often the file was read again, and why it cannot be used if no Watch has
// returned that yet.
func (s *FileBanStore) news() (edition int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.damage != nil && !s.told {
		s.told = true
		return 0, s.damage
	}
	return s.edition, nil
}

// begin takes the turn; end gives it back.
func (s *FileBanStore) begin(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := ctx.Err()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		err = s.errClosed()
	}
	if err != nil {
		s.end()
	}
	return err
}

func (s *FileBanStore) end() { <-s.turn }
