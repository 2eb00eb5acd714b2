//go:build linux

package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// serveKind starts a server in this process, which ends with the test.
func serveKind(t *testing.T, k kind) (h hosted, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if h, err = k.served(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	t.Cleanup(func() { l.Close() })
	return h, l.Addr().String()
}

// enter joins a floor.
func enter(t *testing.T, addr, nick string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "join "+nick+"\n"); err != nil {
		t.Fatal(err)
	}
	hears(t, c, "welcome "+nick+"\n")
	return c
}

func hears(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); string(got) != want {
		at := 0
		for at < n && got[at] == want[at] {
			at++
		}
		t.Fatalf("%d of %d bytes (%v), different from byte %d on", n, len(want), err, at)
	}
}

func floorKinds() (floors []kind) {
	for _, k := range kinds {
		if strings.HasPrefix(k.name, "floor-") && k.name != "floor-greet" {
			floors = append(floors, k)
		}
	}
	return floors
}

// What does not fit into a connection's buffers, and nobody waits for, is no reason to lose any of it.
func TestFloorBatchKeepsWhatAMemberReadsLate(t *testing.T) {
	k, _ := kindNamed("floor-batch")
	_, addr := serveKind(t, k)
	ann, bob := enter(t, addr, "ann"), enter(t, addr, "bob")
	var said bytes.Buffer
	for i := range uint32(100_000) {
		said.Write(k.wire.appendSay(nil, payload{count: i + 1}))
	}
	sent := make(chan error, 1)
	go func() {
		_, err := ann.Write(said.Bytes())
		sent <- err
	}()
	hears(t, ann, said.String())
	if err := <-sent; err != nil {
		t.Error(err)
	}
	hears(t, bob, said.String())
}

func TestFloorsGoOnWhenAMemberLeaves(t *testing.T) {
	for _, k := range floorKinds() {
		t.Run(k.name, func(t *testing.T) {
			h, addr := serveKind(t, k)
			ann, bob := enter(t, addr, "ann"), enter(t, addr, "bob")
			bob.Close()
			for h.counts().Members != 1 {
				if _, err := io.WriteString(ann, "still here\n"); err != nil {
					t.Fatal(err)
				}
				hears(t, ann, "still here\n")
			}
			for range 1000 {
				if _, err := io.WriteString(ann, "hello\n"); err != nil {
					t.Fatal(err)
				}
				hears(t, ann, "hello\n")
			}
		})
	}
}
