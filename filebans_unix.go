//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package chatroom

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockFile takes the lock that name stands for, until it is closed or the process ends, or
// returns ErrBansLocked. The file stays behind: without it, a lock on a removed file and one on
// its successor could be held at one time.
func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrBansLocked
		}
		return nil, &os.PathError{Op: "flock", Path: name, Err: err}
	}
	return f, nil
}
