//go:build !windows && !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package chatroom

import (
	"errors"
	"io"
	"os"
)

// lockFile fails where there is no lock that ends with its process: two programs that write to
// one ban file would lose bans.
func lockFile(name string) (io.Closer, error) {
	return nil, &os.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}
