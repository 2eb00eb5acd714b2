package chatroom_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Five hundred peers begin a handshake, or don't even do that, and one does it whole.
func TestThreat10StalledHandshakesDelayNobody(t *testing.T) {
	const halfHello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" // which announces 512 bytes
	cert, _ := certificates(t)
	server := &tls.Config{Certificates: []tls.Certificate{cert}}
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		begun := time.Now()
		var stalled []*caller
		for i := range 500 {
			near, far := net.Pipe()
			c := callOver(t, srv, near, tls.Server(far, server))
			c.sendRaw(halfHello[:i%2*len(halfHello)])
			stalled = append(stalled, c)
		}
		near, far := net.Pipe()
		good := callOver(t, srv, tls.Client(near, &tls.Config{InsecureSkipVerify: true}), tls.Server(far, server))
		good.send(`{"type":"join","nick":"ann"}`)
		if heard := good.hear(); !strings.Contains(heard, `"type":"welcome"`) || time.Since(begun) > 0 {
			t.Errorf("heard %q after %v", heard, time.Since(begun))
		}
		time.Sleep(10*time.Second - time.Nanosecond)
		for i, c := range stalled {
			if c.gone() {
				t.Fatalf("%d was hung up on too soon", i)
			}
		}
		time.Sleep(time.Nanosecond)
		for i, c := range stalled {
			if !c.gone() || c.hear() != "" {
				t.Errorf("%d was not hung up on without a word", i)
			}
		}
		if conns := srv.Stats().Conns; conns != 1 || good.gone() {
			t.Errorf("%d connections are left, and the good one is gone: %v", conns, good.gone())
		}
	})
}
