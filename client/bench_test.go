package client_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// BenchmarkReceive receives messages of 100 bytes that a server writes as fast as they are taken.
func BenchmarkReceive(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	e := message
	e.Text, e.Time = strings.Repeat("x", 100), time.Date(2026, 11, 22, 12, 0, 0, 123e6, time.UTC)
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(lines(welcome))) // the client tells if this fails
		var chunk []byte
		for seq := 2; ; seq++ {
			e.Seq = uint64(seq)
			if chunk = (chatroom.JSONFront{}).AppendEvent(chunk, &e); len(chunk) > 64<<10 {
				if _, err := conn.Write(chunk); err != nil {
					return
				}
				chunk = chunk[:0]
			}
		}
	}()
	c, err := client.Dial(context.Background(), l.Addr().String(), client.WithNick("ann"), client.WithoutReconnect())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Receive(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	c.Close()
	<-served
}
