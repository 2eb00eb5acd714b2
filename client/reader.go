package client

import (
	"errors"
	"slices"
	"time"

	"example.com/chatroom"
)

// read takes what the server says until the connection ends, and closes it. It is the one
// goroutine a Client has.
func (c *Client) read() {
	err := c.readWelcome()
	var bye *chatroom.Event
	for err == nil && bye == nil {
		bye, err = c.readNext()
	}
	c.conn.Close()
	c.finish(bye, err)
}

// readWelcome reads the answer to the wish to join; a refusal is its error.
func (c *Client) readWelcome() error {
	if err := skipPrompt(c.in); err != nil {
		return err
	}
	for {
		e, size, err := readEvent(c.in)
		if err != nil {
			return err
		}
		switch e.Kind {
		case chatroom.KindError, chatroom.KindBye:
			return e.Err
		case chatroom.KindWelcome:
			c.limits = e.Welcome.Limits
			c.self = chatroom.MemberInfo{Nick: e.Nick, Member: e.Member, Role: e.Welcome.Role}
			c.handle(e, size)
			close(c.welcome)
			return nil
		}
	}
}

// readNext reads one event once there is space for it, and returns it if it is the farewell.
func (c *Client) readNext() (bye *chatroom.Event, err error) {
	c.awaitSpace()
	if idle := c.limits.Idle; idle > 0 {
		c.conn.SetReadDeadline(time.Now().Add(idle + max(idle, silence)))
	}
	e, size, err := readEvent(c.in)
	switch {
	case err != nil:
		return nil, err
	case e.Kind == chatroom.KindBye:
		return &e, nil
	case e.Kind == chatroom.KindPing:
		c.pong()
	default:
		c.handle(e, size)
	}
	return nil, nil
}

// awaitSpace waits until there is space for another event, or Close needs none.
func (c *Client) awaitSpace() {
	for c.full() {
		select {
		case <-c.space:
		case <-c.closing:
			return
		}
	}
}

func (c *Client) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size >= BufferBytes
}

// pong gives a sign of life, unless somebody gives one by writing.
func (c *Client) pong() {
	select {
	case c.writing <- struct{}{}:
		c.write(pongLine)
	default:
	}
}

// handle gives an event of size bytes to whom it is for: the Send it answers, Receive, or both.
func (c *Client) handle(e chatroom.Event, size int) {
	if e.Kind == chatroom.KindWelcome {
		c.rooms[e.Room] = e.Welcome.Seq
	}
	e.History = e.Ordered() && e.Seq < c.rooms[e.Room]

	c.mu.Lock()
	// Ids are chosen by whoever sends, so one means something only in the member's own events.
	own := e.Member == c.self.Member && !e.History
	switch {
	case own && e.Kind == chatroom.KindNick:
		c.self.Nick = e.Nick
	case own && e.Kind == chatroom.KindLeave:
		delete(c.rooms, e.Room)
	case e.Kind == chatroom.KindRole && !e.History && e.Nick == c.self.Nick:
		c.self.Role = e.Act.Role
	}
	var k *call
	if own || reply(e.Kind) {
		k = c.takeCallLocked(func(k *call) bool { return k.id == e.ID })
	}
	// Space can lack only after Close.
	if !reply(e.Kind) && c.size < BufferBytes {
		r := received{e, size + eventCost}
		c.received = append(c.received, r)
		c.size += r.cost
	}
	c.mu.Unlock()

	ring(c.arrived)
	switch {
	case k == nil:
	case e.Kind == chatroom.KindError:
		k.answer <- answer{err: e.Err}
	default:
		k.answer <- answer{event: e}
	}
}

// reply reports whether an event of that kind only answers the member who asked.
func reply(k chatroom.Kind) bool {
	return k.Answer() || k == chatroom.KindError
}

// takeCallLocked takes the oldest call that matches off the calls; whoever gets it answers it.
// c.mu must be held.
func (c *Client) takeCallLocked(match func(*call) bool) *call {
	i := slices.IndexFunc(c.calls, match)
	if i < 0 {
		return nil
	}
	k := c.calls[i]
	c.calls = slices.Delete(c.calls, i, i+1)
	return k
}

// finish ends the member by the server's farewell, or without one for err, and answers every
// Send that waits.
func (c *Client) finish(bye *chatroom.Event, err error) {
	if bye != nil {
		err = bye.Err
	}
	reason := chatroom.ErrConnectionLost
	if e, ok := errors.AsType[*chatroom.Error](err); ok {
		reason = e
	}
	var quit *call
	c.mu.Lock()
	select {
	case <-c.closing:
		reason = chatroom.ErrClosed
	default:
	}
	c.reason = reason
	if bye != nil && bye.Err.Code == chatroom.CodeClosed {
		quit = c.takeCallLocked(func(k *call) bool { return k.verb == chatroom.VerbQuit })
	}
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()

	close(c.ended)
	if quit != nil {
		bye.ID = quit.id // a farewell comes without
		quit.answer <- answer{event: *bye}
	}
	for _, k := range calls {
		k.answer <- answer{err: reason}
	}
}
