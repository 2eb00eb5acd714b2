//go:build unix

package chatroom

import "syscall"

const rawSockets = true

// readNow reads from a socket; done is false if there is nothing yet.
func readNow(fd uintptr, p []byte) (n int, err error, done bool) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch err {
		case nil:
			return n, atEnd(n), true
		case syscall.EAGAIN:
			return 0, nil, false
		case syscall.EINTR:
		default:
			return 0, err, true
		}
	}
}
