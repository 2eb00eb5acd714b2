//go:build linux

package main

import (
	"context"
	"time"
)

// A sender is a member who speaks. It belongs to the generator's goroutine, or to that of pace.
type sender struct {
	conn   *conn
	number byte
	window uint32 // messages under way at most; zero if it is paced
	sent   uint32
	buf    []byte
}

// appoint makes the first n members senders.
func (g *generator) appoint(n int, window uint32) {
	for i := range n {
		s := &sender{conn: g.conns[i], number: byte(i), window: window}
		g.senders = append(g.senders, s)
		if window > 0 {
			s.conn.speaks = s
			g.refill(s.conn)
		}
	}
}

// hush makes all senders stop.
func (g *generator) hush() {
	for _, s := range g.senders {
		s.conn.speaks = nil
	}
}

// refill says as much as the sender's window has room for, in one write. A message is under way until its sender
// receives it.
func (g *generator) refill(c *conn) {
	s := c.speaks
	room := s.window - (s.sent - c.check.last[s.number])
	if room == 0 || c.gone {
		return
	}
	s.buf = s.buf[:0]
	now := g.now()
	for range room {
		s.put(g.kind.wire, now)
	}
	if _, err := c.io.Write(s.buf); err != nil {
		g.err = err
	}
}

// put puts the next message into the sender's buffer.
func (s *sender) put(w *wire, at int64) {
	s.sent++
	s.buf = w.appendSay(s.buf, payload{sender: s.number, count: s.sent, sent: at})
}

// pace makes the senders say a message each in turn, one every so often, until ctx ends. A message counts as sent at the
// moment it was due, so one that is late through the generator's fault shows as a delay.
func (g *generator) pace(ctx context.Context, every time.Duration) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := g.now()
	for turn := 0; ; turn++ {
		timer.Reset(time.Duration(due - g.now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		s := g.senders[turn%len(g.senders)]
		s.buf = s.buf[:0]
		s.put(g.kind.wire, due)
		if _, err := s.conn.io.Write(s.buf); err != nil {
			return err
		}
		due += int64(every)
	}
}

// finish waits until everybody has received what was said, once all senders are silent, and notes what is wrong then.
func (g *generator) finish() error {
	end := g.now() + int64(patience)
	err := g.until(patience+time.Second, "finish", func() bool {
		g.faults.incomplete = g.incomplete()
		return g.faults.incomplete == 0 || g.now() > end
	})
	g.faults.differing = g.differing()
	return err
}

// differing counts members who have not received what the first one has in the order in which that one has.
func (g *generator) differing() (n int) {
	for _, c := range g.conns {
		if !c.stuck && !c.gone && c.check.order != g.conns[0].check.order {
			n++
		}
	}
	return n
}

// incomplete counts members who have not received everything.
func (g *generator) incomplete() (n int) {
	for _, c := range g.conns {
		for _, s := range g.senders {
			if !c.stuck && !c.gone && c.check.last[s.number] != s.sent {
				n++
				break
			}
		}
	}
	return n
}
