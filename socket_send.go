//go:build linux && (amd64 || arm64) && !race

package chatroom

import (
	"syscall"
	"unsafe"
)

// writeNow writes to a socket as much as its system takes at once. It is send(2): write(2) goes through the kernel's files
// first, which is a twentieth of what a short write takes. Package syscall has no send without an address, and tells the race
// detector nothing of one; it has write(2).
func writeNow(fd uintptr, p []byte) int {
	for {
		n, _, err := syscall.Syscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch err {
		case 0:
			return int(n)
		case syscall.EINTR:
		default:
			return 0
		}
	}
}
