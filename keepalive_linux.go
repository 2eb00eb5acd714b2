package chatroom

import (
	"net"
	"syscall"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall lacks: how long sent
// data may stay unacknowledged, in milliseconds.
const tcpUserTimeout = 18

// userTimeout makes the kernel give up a peer that does not acknowledge what it is sent. TCP
// keep-alive probes only connections on which nothing is under way.
func userTimeout(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return // the connection is gone already; the next read says so
	}
	_ = raw.Control(func(fd uintptr) {
		// Where the kernel refuses, retransmission times out later, by itself.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(vanished.Milliseconds()))
	})
}
