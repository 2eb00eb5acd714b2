//go:build unix && !(linux && (amd64 || arm64) && !race)

package chatroom

import "syscall"

// writeNow writes to a socket as much as its system takes at once.
func writeNow(fd uintptr, p []byte) int {
	for {
		n, err := syscall.Write(int(fd), p)
		if err != syscall.EINTR {
			return max(n, 0)
		}
	}
}
