//go:build unix

package chatroom

import "syscall"

// tryWrite writes to a socket as much as its system takes at once.
func tryWrite(fd uintptr, p []byte) int {
	for {
		n, err := syscall.Write(int(fd), p)
		if err != syscall.EINTR {
			return max(n, 0)
		}
	}
}

const canTryWrite = true
