package chatroom

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// A disk is what FileBanStore needs of a file system, apart from the lock. Tests put one in
// between that fills up, or that forgets what was not synced.
type disk interface {
	open(name string, flag int, perm fs.FileMode) (diskFile, error)
	rename(from, to string) error
	remove(name string) error
	syncDir(name string) error
}

type diskFile interface {
	io.Reader
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Stat() (fs.FileInfo, error)
}

type realDisk struct{}

func (realDisk) open(name string, flag int, perm fs.FileMode) (diskFile, error) {
	return os.OpenFile(name, flag, perm)
}

func (realDisk) rename(from, to string) error { return os.Rename(from, to) }

func (realDisk) remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes what was created or renamed in a directory survive a power failure.
func (realDisk) syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot, and NTFS keeps a journal of renames
	}
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some network file systems know no such thing.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// banFilePath makes an empty ban file if there is none, and returns its path without symbolic
// links, so that a rename replaces the file and not a link to it.
func banFilePath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}
