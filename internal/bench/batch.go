//go:build linux

package main

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"syscall"
)

// A batch is floor-batch, the least that delivering can take: what is said is appended to one buffer, and one goroutine
// goes round and writes what has come since the last round to one member after the other, without waiting for any.
type batch struct {
	done sync.WaitGroup

	mu      sync.Mutex
	more    sync.Cond // there is something to write, or the end has come; its L is mu
	pending []byte
	members []*listener // replaced, never changed
	closed  bool
}

func newBatch() *batch {
	b := new(batch)
	b.more.L = &b.mu
	b.done.Go(b.goRound)
	return b
}

func (b *batch) goRound() {
	var span []byte
	for {
		b.mu.Lock()
		for len(b.pending) == 0 && !b.closed {
			b.more.Wait()
		}
		if b.closed {
			b.mu.Unlock()
			return
		}
		span, b.pending = b.pending, span[:0]
		members := b.members
		b.mu.Unlock()
		for _, m := range members {
			m.write(span)
		}
	}
}

func (b *batch) add(c net.Conn) {
	m := &listener{conn: c, drains: &b.done}
	m.raw, _ = c.(*net.TCPConn).SyscallConn() // fails for no open connection
	m.try = m.tryOnce
	b.mu.Lock()
	b.members = append(slices.Clip(b.members), m)
	b.mu.Unlock()
}

func (b *batch) remove(c net.Conn) {
	b.mu.Lock()
	b.members = slices.DeleteFunc(slices.Clone(b.members), func(m *listener) bool { return m.conn == c })
	b.mu.Unlock()
}

func (b *batch) say(lines []byte) {
	b.mu.Lock()
	if len(b.pending) == 0 {
		b.more.Signal()
	}
	b.pending = append(b.pending, lines...)
	b.mu.Unlock()
}

func (b *batch) close() {
	b.mu.Lock()
	b.closed = true
	b.more.Signal()
	b.mu.Unlock()
	b.done.Wait()
}

// A listener is a member of a batch.
type listener struct {
	conn   net.Conn
	raw    syscall.RawConn
	drains *sync.WaitGroup

	// Owned by the goroutine that goes round.
	try  func(fd uintptr) bool // tryOnce, made once
	span []byte

	mu       sync.Mutex
	draining bool
	rest     []byte // what did not fit; goes out before anything else
}

// write writes what the connection takes at once, and leaves the rest to a goroutine.
func (m *listener) write(span []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.draining {
		m.rest = append(m.rest, span...)
		return
	}
	m.span = span
	if m.raw.Write(m.try) != nil || len(m.span) == 0 {
		return // all of it, or the member is gone
	}
	m.rest, m.draining = bytes.Clone(m.span), true
	m.drains.Go(m.drain)
}

func (m *listener) tryOnce(fd uintptr) bool {
	n, err := syscall.Write(int(fd), m.span)
	if err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
		n = len(m.span) // the member is gone, as its reader finds out too
	}
	m.span = m.span[max(n, 0):]
	return true
}

// drain writes what did not fit, waiting for the peer. It ends with the connection at the latest.
func (m *listener) drain() {
	for {
		m.mu.Lock()
		rest := m.rest
		m.rest = nil
		m.draining = len(rest) > 0
		m.mu.Unlock()
		if len(rest) == 0 {
			return
		}
		if _, err := m.conn.Write(rest); err != nil {
			return
		}
	}
}
