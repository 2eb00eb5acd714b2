package client

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"example.com/chatroom"
)

// read takes what the server says until the member ends, connection after connection. It is the
// one goroutine a Client at rest has.
func (c *Client) read(ctx context.Context, l *link) {
	defer c.giveUp()
	bye, err := c.first(l)
	joined := err == nil
	if joined {
		bye, err = c.converse(l)
	}
	for joined && c.lasts(bye, err) {
		if l, err = c.comeBack(ctx, reasonOf(bye, err)); err != nil {
			bye = nil
			break
		}
		bye, err = c.converse(l)
	}
	c.finish(bye, err)
	if joined {
		c.tell(State{Kind: Ended, Err: c.over()})
	}
}

// first reads the answer to the wish to join.
func (c *Client) first(l *link) (bye *chatroom.Event, err error) {
	e, size, err := l.readWelcome()
	if err != nil {
		l.conn.Close()
		return nil, err
	}
	c.tell(State{Kind: Connected, Room: e.Room})
	c.handle(l, e, size)
	close(c.welcome)
	return nil, nil
}

// converse reads from a link on which the member has joined until it ends: by the farewell bye,
// or by err.
func (c *Client) converse(l *link) (bye *chatroom.Event, err error) {
	c.news = false
	for err == nil && bye == nil {
		bye, err = c.readNext(l)
		c.news = true
	}
	l.conn.Close()
	l.sending.Wait()
	c.writing <- struct{}{}
	l.failed = true // what is sent from now on waits for the next one
	<-c.writing
	return bye, err
}

// readWelcome reads the answer to the wish to join; a refusal is its error.
func (l *link) readWelcome() (e chatroom.Event, size int, err error) {
	if err := skipPrompt(l.in); err != nil {
		return e, 0, err
	}
	for {
		e, size, err := readEvent(l.in)
		if err != nil {
			return chatroom.Event{}, 0, err
		}
		switch e.Kind {
		case chatroom.KindError, chatroom.KindBye:
			return e, 0, e.Err
		case chatroom.KindWelcome:
			return e, size, nil
		}
	}
}

// readNext reads one event once there is space for it, and returns it if it is the farewell.
func (c *Client) readNext(l *link) (bye *chatroom.Event, err error) {
	c.awaitSpace()
	if idle := c.limits.Idle; idle > 0 && !l.holdsLine() {
		l.conn.SetReadDeadline(time.Now().Add(idle + max(idle, silence)))
	}
	e, size, err := readEvent(l.in)
	switch {
	case err != nil:
		return nil, err
	case e.Kind == chatroom.KindBye:
		return &e, nil
	case e.Kind == chatroom.KindPing:
		c.pong(l)
	default:
		c.handle(l, e, size)
	}
	return nil, nil
}

// holdsLine reports whether a line is here already.
func (l *link) holdsLine() bool {
	here, err := l.in.Peek(l.in.Buffered())
	return err == nil && bytes.IndexByte(here, '\n') >= 0
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
func (c *Client) pong(l *link) {
	select {
	case c.writing <- struct{}{}:
		l.write(pongLine)
		<-c.writing
	default:
	}
}

// handle gives an event of size bytes to whom it is for: the Send it answers, Receive, or both. What
// has been received before goes nowhere.
func (c *Client) handle(l *link, e chatroom.Event, size int) {
	r := c.room(e.Room)
	if e.Again && !(e.Kind == chatroom.KindLeave && r != nil) {
		c.answerAgain(e, r)
		return
	}
	if e.Kind == chatroom.KindWelcome {
		c.welcomed(l, e, size)
		return
	}
	if c.lasting() && !c.follows(&e, r) {
		return
	}
	e.History = e.Ordered() && r != nil && e.Seq < r.joined

	c.mu.Lock()
	// Ids are chosen by whoever sends, so one means something only in the member's own events.
	own := e.Member == c.self.Member && !e.History
	switch {
	case own && e.Kind == chatroom.KindNick:
		c.self.Nick = e.Nick
	case own && e.Kind == chatroom.KindLeave:
		c.rooms = slices.DeleteFunc(c.rooms, func(other *room) bool { return other == r })
	case e.Kind == chatroom.KindRole && !e.History && e.Nick == c.self.Nick && e.Act != nil:
		c.self.Role = e.Act.Role
	}
	k := c.takeCallLocked(func(k *call) bool {
		return k.id == e.ID && (own || reply(e.Kind) || e.History && k.doubt == r && k.member == e.Member)
	})
	if !reply(e.Kind) {
		c.pushLocked(e, size)
	}
	c.mu.Unlock()

	ring(c.arrived)
	c.answer(k, e)
	if k != nil && k.rejoin {
		l.sending.Go(func() { c.resend(l) }) // of a room it is not in nothing is to be found out
	}
	if r != nil && r.opaque && r.last >= r.joined {
		c.settle(l, r)
	}
}

// pushLocked gives Receive an event. c.mu must be held.
func (c *Client) pushLocked(e chatroom.Event, size int) {
	select {
	case <-c.closing:
		if c.size >= BufferBytes {
			return
		}
	default:
	}
	r := received{e, size + eventCost}
	c.received = append(c.received, r)
	c.size += r.cost
}

// push is pushLocked for events that did not come as they are from the server.
func (c *Client) push(e chatroom.Event) {
	c.mu.Lock()
	c.pushLocked(e, 0)
	c.mu.Unlock()
	ring(c.arrived)
}

// answer gives k its answer, if there is a k.
func (c *Client) answer(k *call, e chatroom.Event) {
	switch {
	case k == nil:
	case k.rejoin && e.Kind == chatroom.KindError:
		if r := c.room(k.cmd.Room); r != nil && e.Err.Code != chatroom.CodeInRoom { // then it was let in already
			c.shutOut(r, e.Err.Text)
		}
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
	c.releaseLocked(k)
	return k
}

// lasts reports whether a member whose connection has ended like that comes back. One that was
// about to leave has left.
func (c *Client) lasts(bye *chatroom.Event, err error) bool {
	c.mu.Lock()
	quitting := slices.ContainsFunc(c.calls, func(k *call) bool { return k.cmd.Verb == chatroom.VerbQuit })
	c.mu.Unlock()
	select {
	case <-c.closing:
		return false
	default:
	}
	return c.lasting() && !quitting && reasonOf(bye, err).Retry == chatroom.RetryLater
}

// reasonOf returns why a connection ended, by the server's farewell or without one for err.
func reasonOf(bye *chatroom.Event, err error) *chatroom.Error {
	if bye != nil {
		err = bye.Err
	}
	if e, ok := errors.AsType[*chatroom.Error](err); ok {
		return e
	}
	return chatroom.ErrConnectionLost.(*chatroom.Error)
}

// finish ends the member by the server's farewell, or without one for err, and answers every
// Send that waits.
func (c *Client) finish(bye *chatroom.Event, err error) {
	reason := reasonOf(bye, err)
	closed := chatroom.ErrClosed.(*chatroom.Error)
	var quit *call
	c.mu.Lock()
	select {
	case <-c.closing:
		reason = closed
	default:
	}
	isQuit := func(k *call) bool { return k.cmd.Verb == chatroom.VerbQuit }
	switch {
	case bye != nil && bye.Err.Code == chatroom.CodeClosed:
		quit = c.takeCallLocked(isQuit)
	case bye == nil && c.lasting() && reason.Code == chatroom.CodeLost:
		// It did not come back because it was about to leave.
		if quit = c.takeCallLocked(isQuit); quit != nil {
			reason = closed
			bye = &chatroom.Event{Kind: chatroom.KindBye, Time: time.Now().UTC(), Err: closed}
		}
	}
	c.reason = reason
	calls := c.calls
	c.calls = nil
	for _, k := range calls {
		c.releaseLocked(k)
	}
	c.mu.Unlock()

	close(c.ended)
	if quit != nil {
		e := *bye
		e.ID = quit.id // a farewell comes without
		quit.answer <- answer{event: e}
	}
	for _, k := range calls {
		if k.member == 0 {
			k.answer <- answer{err: reason}
		} else {
			k.answer <- answer{err: unanswered(k, reason)}
		}
	}
}
