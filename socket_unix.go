//go:build unix

package chatroom

import "syscall"

const rawSockets = true

// writeNow writes to a socket as much as its system takes at once.
func writeNow(fd uintptr, p []byte) int {
	for {
		n, err := syscall.Write(int(fd), p)
		if err != syscall.EINTR {
			return max(n, 0)
		}
	}
}

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
