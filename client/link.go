package client

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// A link is one connection of a Client.
type link struct {
	conn    net.Conn
	in      *bufio.Reader  // owned by the reader
	sending sync.WaitGroup // who writes calls on behalf of the reader
	failed  bool           // guarded by Client.writing: after half a line nothing may follow
}

func newLink(conn net.Conn) *link { return &link{conn: conn, in: bufio.NewReader(conn)} }

// write writes one line; the caller holds Client.writing. When it fails nothing is written any more. Why
// the connection ended is what the reader finds, if the server still has a last word.
func (l *link) write(line []byte) bool {
	if l.failed {
		return false
	}
	l.conn.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := l.conn.Write(line); err != nil {
		l.failed = true
		time.AfterFunc(farewellTime, l.drop)
	}
	return !l.failed
}

// drop closes the connection without a last word, not even the one of TLS, which could wait.
func (l *link) drop() {
	conn := l.conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	conn.Close()
}
