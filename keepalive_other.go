//go:build !linux

package chatroom

import "net"

// userTimeout does nothing where there is no TCP_USER_TIMEOUT: a peer that vanishes while data is
// under way is found by retransmission timing out.
func userTimeout(*net.TCPConn) {}
