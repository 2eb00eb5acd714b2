package chatroom

import (
	"net"
	"time"
)

// vanished is how long a peer that has gone without a word holds its connection.
const vanished = 40 * time.Second

// watchPeer makes the kernel find out when a TCP peer is gone, also one whose protocol has no
// ping.
func watchPeer(conn net.Conn) {
	for outer, ok := conn.(interface{ NetConn() net.Conn }); ok; outer, ok = conn.(interface{ NetConn() net.Conn }) {
		conn = outer.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	// Idle + Count × Interval is vanished. An error means a closed connection, which the next
	// read reports.
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 5,
	})
	userTimeout(tcp)
}
