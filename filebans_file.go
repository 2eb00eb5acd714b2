package chatroom

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The methods of this file are called by whoever has the turn.

// errEdited is what a write ends with that an edit of the file came in between.
var errEdited = errors.New("the file was changed while it was written to")

// stat describes the file that has the store's name at the moment.
func (s *FileBanStore) stat() (fs.FileInfo, error) {
	f, err := s.disk.open(s.path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// sameFile reports whether a file was neither replaced nor written to; nil stands for none.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// poll reads the file again once it has changed and come to rest. It returns the file as it is,
// for the next poll.
func (s *FileBanStore) poll(ctx context.Context, before fs.FileInfo) (fs.FileInfo, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()
	now, _ := s.stat() // a file that is not there has changed, too
	if sameFile(now, before) {
		_ = s.refresh() // what is wrong with the file is kept in damage
	}
	return now, nil
}

// refresh reads the file again if it is not as it was last seen. An error means that the file
// cannot be used now.
func (s *FileBanStore) refresh() error {
	now, err := s.stat()
	if err == nil && sameFile(now, s.seen) {
		return s.damage
	}
	var c banContent
	if err == nil {
		c, err = s.read()
	}
	if err == nil && c.torn != nil && (!s.ragged || s.size != c.size) {
		err = c.torn // an edit in the middle, not what a failed write of this store left
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.told = s.told && s.damage != nil && s.damage.Error() == err.Error()
		s.damage = err
		return err
	}
	s.take(c)
	s.edition++
	s.damage, s.told = nil, false
	return nil
}

// read reads the file and makes it durable as it is, so that what the store then says of it holds
// after a power failure.
func (s *FileBanStore) read() (banContent, error) {
	s.seen = nil
	f, err := s.disk.open(s.path, os.O_RDWR, 0)
	if err != nil {
		return banContent{}, fmt.Errorf("read bans: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return banContent{}, fmt.Errorf("read bans %s: %w", s.path, err)
	}
	c, err := readBans(f, s.path)
	if err != nil {
		if _, ok := errors.AsType[*CorruptError](err); ok {
			s.seen = info // reading it again makes no difference
		}
		return c, err
	}
	if err = f.Sync(); err == nil {
		err = s.disk.syncDir(filepath.Dir(s.path))
	}
	if err != nil {
		return c, fmt.Errorf("read bans %s: %w", s.path, err)
	}
	s.seen = info
	return c, nil
}

// take makes c what the store holds.
func (s *FileBanStore) take(c banContent) {
	s.bans, s.records = c.bans, c.records
	s.size, s.ragged, s.unended = c.size, c.ragged, c.unended
	s.postpone = 0
}

// commit appends line, a record, to the file and syncs it. After an error the file may end in a
// part of the line, which the next commit takes away if this one cannot.
func (s *FileBanStore) commit(line []byte) error {
	if err := s.refresh(); err != nil {
		return err
	}
	f, err := s.disk.open(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !sameFile(info, s.seen) {
		err = errEdited
	}
	if err == nil {
		err = s.append(f, line)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	now, missing := s.stat()
	if missing != nil || info == nil || !os.SameFile(now, info) || !s.ragged && now.Size() != s.size {
		s.seen = nil
		return cmp.Or(err, errEdited)
	}
	s.seen = now
	return err
}

func (s *FileBanStore) append(f diskFile, line []byte) error {
	if s.ragged {
		if err := s.mend(f); err != nil {
			return err
		}
	}
	_, err := f.WriteAt(line, s.size)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		s.ragged = true
		_ = s.mend(f) // the next commit tries again
		return err
	}
	s.size += int64(len(line))
	s.records++
	return nil
}

// mend makes the file end after its last good record. It syncs that, so that no crash can mix
// what was there with what comes next.
func (s *FileBanStore) mend(f diskFile) error {
	err := f.Truncate(s.size)
	size := s.size
	if err == nil && s.unended {
		_, err = f.WriteAt([]byte("\n"), size)
		size++
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		s.size, s.ragged, s.unended = size, false, false
	}
	return err
}

// rewriteIfDue writes the file anew when too many of its records are dead. That costs as much as
// writing the living ones, which the dead ones have outnumbered by then. It is no error of the
// call that finds it due.
func (s *FileBanStore) rewriteIfDue() {
	if dead := s.records - len(s.bans); dead <= len(s.bans)+s.slack || s.records < s.postpone {
		return
	}
	err := s.rewrite()
	if err != nil {
		err = fmt.Errorf("write bans %s anew: %w", s.path, err)
		s.postpone = s.records + len(s.bans) + s.slack
	}
	s.mu.Lock()
	s.stale = err
	s.mu.Unlock()
}

func (s *FileBanStore) rewrite() error {
	size, err := s.writeNew()
	if err == nil {
		var now fs.FileInfo
		if now, err = s.stat(); err == nil && !sameFile(now, s.seen) {
			err = errEdited
		}
	}
	if err == nil {
		err = s.disk.rename(s.newPath(), s.path)
	}
	if err != nil {
		_ = s.disk.remove(s.newPath()) // or the next rewrite does it, or the next FileBans
		return err
	}
	// Until the directory is synced, a crash may bring back the old file: add nothing to the new
	// one. To forget what was seen makes refresh see to that.
	s.seen = nil
	if err := s.disk.syncDir(filepath.Dir(s.path)); err != nil {
		return err
	}
	s.records, s.size = len(s.bans), size
	s.seen, err = s.stat()
	return err
}

// writeNew writes the bans to a new file, oldest first, and returns its size.
func (s *FileBanStore) writeNew() (size int64, err error) {
	if err := s.disk.remove(s.newPath()); err != nil {
		return 0, err
	}
	f, err := s.disk.open(s.newPath(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, s.seen.Mode().Perm())
	if err != nil {
		return 0, err
	}
	bans := slices.SortedFunc(maps.Values(s.bans), func(a, b Ban) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	out := bufio.NewWriter(io.NewOffsetWriter(f, 0))
	var line []byte
	for _, b := range bans {
		if line, err = appendBan(line[:0], b); err != nil {
			break
		}
		size += int64(len(line))
		_, _ = out.Write(line) // Flush returns what goes wrong here
	}
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return size, err
}
