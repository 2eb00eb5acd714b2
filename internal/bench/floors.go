//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
)

// A floor is a server with no more than delivering takes: who connects says "join" with a nick and is told "welcome", and
// from then on whatever lines it sends go to everybody as they are.
type floor struct {
	room  audience
	conns sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{} // nil once closed
	joined int
}

// An audience delivers lines to those in it. Its methods may be called from many goroutines.
type audience interface {
	add(c net.Conn)
	remove(c net.Conn)
	say(lines []byte) // the bytes are the caller's again when it returns
	close()           // after the last connection has ended
}

// newFloor serves l until close.
func newFloor(l net.Listener, room audience) *floor {
	f := &floor{room: room, open: make(map[net.Conn]struct{})}
	f.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !f.track(c) {
				c.Close()
				return
			}
			f.conns.Go(func() { f.serve(c) })
		}
	})
	return f
}

func (f *floor) track(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open != nil {
		f.open[c] = struct{}{}
	}
	return f.open != nil
}

func (f *floor) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 16<<10)
	line, err := r.ReadString('\n')
	nick, ok := strings.CutPrefix(line, "join ")
	if err != nil || !ok {
		return
	}
	f.room.add(c) // whoever has been welcomed misses nothing
	f.count(1)
	_, err = fmt.Fprintf(c, "welcome %s", nick)
	for err == nil {
		var lines []byte
		if lines, err = readLines(r); err == nil {
			f.room.say(lines)
		}
	}
	f.count(-1)
	f.room.remove(c)
}

// readLines returns all whole lines that there are, one at least. They are valid until the next read.
func readLines(r *bufio.Reader) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	there, _ := r.Peek(r.Buffered()) // what is buffered can be had
	if end := bytes.LastIndexByte(there, '\n'); end >= 0 {
		_, err := r.Discard(end + 1)
		return there[:end+1], err
	}
	return r.ReadSlice('\n')
}

func (f *floor) count(n int) {
	f.mu.Lock()
	f.joined += n
	f.mu.Unlock()
}

func (f *floor) counts() counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return counts{Members: f.joined}
}

// close ends all connections; the listener is to be closed before.
func (f *floor) close() {
	f.mu.Lock()
	for c := range f.open {
		c.Close()
	}
	f.open = nil
	f.mu.Unlock()
	f.conns.Wait()
	f.room.close()
}

// A greeting is floor-greet: nobody hears anything.
type greeting struct{}

func (greeting) add(net.Conn)    {}
func (greeting) remove(net.Conn) {}
func (greeting) say([]byte)      {}
func (greeting) close()          {}

// An everyWrite is floor-write: one write for each message and member, by the speaker's goroutine.
type everyWrite struct {
	mu      sync.Mutex
	members []net.Conn
}

func (e *everyWrite) add(c net.Conn) {
	e.mu.Lock()
	e.members = append(e.members, c)
	e.mu.Unlock()
}

func (e *everyWrite) remove(c net.Conn) {
	e.mu.Lock()
	e.members = slices.DeleteFunc(e.members, func(m net.Conn) bool { return m == c })
	e.mu.Unlock()
}

func (e *everyWrite) say(lines []byte) {
	for line := range bytes.Lines(lines) {
		e.mu.Lock()
		for _, m := range e.members {
			_, _ = m.Write(line) // who is gone is found out by its reader
		}
		e.mu.Unlock()
	}
}

func (e *everyWrite) close() {}

// A queues is floor-queue: a channel and a goroutine for each member, and one write for each message. A full queue makes
// the speaker wait, so that nothing is lost.
type queues struct {
	mu      sync.Mutex
	members map[net.Conn]chan []byte
	writers sync.WaitGroup
}

const queueDepth = 256 // what hubs commonly have

func newQueues() *queues { return &queues{members: make(map[net.Conn]chan []byte)} }

func (q *queues) add(c net.Conn) {
	queue := make(chan []byte, queueDepth)
	q.writers.Go(func() {
		var w io.Writer = c
		for line := range queue {
			if _, err := w.Write(line); err != nil {
				w = io.Discard // so that speakers do not wait for who is gone
			}
		}
	})
	q.mu.Lock()
	q.members[c] = queue
	q.mu.Unlock()
}

func (q *queues) remove(c net.Conn) {
	q.mu.Lock()
	close(q.members[c])
	delete(q.members, c)
	q.mu.Unlock()
}

func (q *queues) say(lines []byte) {
	for line := range bytes.Lines(bytes.Clone(lines)) {
		q.mu.Lock()
		for _, queue := range q.members {
			queue <- line
		}
		q.mu.Unlock()
	}
}

func (q *queues) close() { q.writers.Wait() }
