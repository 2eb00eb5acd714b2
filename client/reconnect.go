package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"example.com/chatroom"
)

const (
	// The pause before an attempt to reconnect is random: up to minPause at first, and up to twice as
	// long after each that failed, maxPause at most.
	minPause = 100 * time.Millisecond
	maxPause = 30 * time.Second
	// attemptTime is the time an attempt has, from dialing to the welcome.
	attemptTime = 15 * time.Second
)

// A StateKind says what has become of the connection.
type StateKind string

// What can become of the connection.
const (
	Connected    StateKind = "connected"    // the member has joined, for the first time
	Reconnecting StateKind = "reconnecting" // it is lost for Err, or an attempt has failed for Err; another follows after Next
	Resumed      StateKind = "resumed"      // it is back, and others saw nothing of it
	Rejoined     StateKind = "rejoined"     // it is back as a new member: the session was lost
	Ended        StateKind = "ended"        // the member has ended, for Err
)

// A State is what has become of the connection. Resumed and Rejoined come once for each room, and without a Room for
// a member that is in none.
type State struct {
	Kind StateKind
	Err  error // in Reconnecting and Ended
	Room string
	// Missed is how many events of Room came meanwhile that Receive returns now; what is gone is in a
	// KindGap. -1 means that it cannot be known: the server has lost the room's history.
	Missed  int
	Attempt int           // in Reconnecting: 1 for the first since the connection was lost
	Next    time.Duration // in Reconnecting: how long until that attempt
}

func (c *Client) tell(s State) {
	if c.conf.state != nil {
		c.conf.state(s)
	}
}

// comeBack connects again, however often it takes, and returns the link on which the member has
// joined. Its error is why the member ends.
func (c *Client) comeBack(ctx context.Context, reason *chatroom.Error) (*link, error) {
	var cause error = reason
	ghost := time.Now().Add(2*c.limits.Idle + time.Minute) // as long as a server may take oneself for present
	failures := 0
	if !c.news {
		failures = c.failures
	}
	for attempt := 1; ; attempt++ {
		next := pause(failures)
		if e, ok := errors.AsType[*chatroom.Error](cause); ok {
			next += e.After
		}
		c.tell(State{Kind: Reconnecting, Err: cause, Attempt: attempt, Next: next})
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return nil, chatroom.ErrClosed
		}
		l, err := c.reconnect(ctx)
		failures++
		c.failures = failures
		if err == nil {
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, chatroom.ErrClosed
		}
		if e, ok := errors.AsType[*chatroom.Error](err); ok {
			ghostly := e.Code == chatroom.CodeNickInUse && time.Now().Before(ghost)
			elsewhere := ofRoom(e) && len(c.rooms) > 0
			if e.Retry != chatroom.RetryLater && !ghostly && !elsewhere {
				return nil, e
			}
		}
		cause = err
	}
}

// ofRoom reports whether another room may let in who is refused like that.
func ofRoom(e *chatroom.Error) bool {
	switch e.Code {
	case chatroom.CodeNoSuchRoom, chatroom.CodeRoomInvalid, chatroom.CodeLocked, chatroom.CodeFull, chatroom.CodeMuted:
		return e.Retry != chatroom.RetryNever
	}
	return false
}

// pause returns how long to wait after so many failures: backoff with full jitter.
func pause(failures int) time.Duration {
	most := maxPause
	if failures < 16 {
		most = min(minPause<<failures, maxPause)
	}
	return rand.N(most)
}

// reconnect dials, and resumes the session or joins anew.
func (c *Client) reconnect(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	conn, err := c.conf.dial(ctx)
	if err != nil {
		return nil, err
	}
	l := newLink(conn)
	stop := context.AfterFunc(ctx, l.drop)
	e, size, err := c.rejoin(l)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		l.conn.Close()
		return nil, err
	}
	fresh := !e.Welcome.Resumed && (e.Welcome.Session != "" || c.token == "" || e.Member != c.self.Member)
	if fresh {
		c.anew()
	}
	if c.room(e.Room) == nil { // it was in none, or is
		state := State{Kind: Rejoined, Room: e.Room}
		if e.Welcome.Resumed {
			state.Kind = Resumed
		}
		c.tell(state)
	}
	c.handle(l, e, size)
	if fresh {
		c.regain()
	}
	l.sending.Go(func() { c.resend(l) })
	return l, nil
}

// rejoin asks to join on l, one of its rooms after the other while they do not let it in, and returns the
// welcome.
func (c *Client) rejoin(l *link) (e chatroom.Event, size int, err error) {
	for range max(len(c.rooms), 1) {
		r := c.firstRoom()
		name := c.conf.room
		if r != nil {
			name = r.name
		}
		e, size, err = c.wish(l, name)
		refused, ok := errors.AsType[*chatroom.Error](err)
		if !ok || r == nil || !ofRoom(refused) {
			break
		}
		if c.passOver(r, refused); e.Kind == chatroom.KindBye {
			break
		}
	}
	return e, size, err
}

// firstRoom returns the room to ask for first: one that the member does not want to leave, if there is any.
func (c *Client) firstRoom() *room {
	for _, r := range c.rooms {
		if !c.leavingRoom(r) {
			return r
		}
	}
	if len(c.rooms) > 0 {
		return c.rooms[0]
	}
	return nil
}

// passOver lets other rooms go before one that does not let the member in, or gives that up for good.
func (c *Client) passOver(r *room, refused *chatroom.Error) {
	if refused.Retry != chatroom.RetryLater {
		c.shutOut(r, refused.Text)
		return
	}
	i := slices.Index(c.rooms, r)
	c.rooms = append(slices.Delete(c.rooms, i, i+1), r)
}

// wish asks to join a room on l, and returns the welcome. A refusal is an error, and the event that it came in.
func (c *Client) wish(l *link, room string) (chatroom.Event, int, error) {
	line, err := c.request(room).line()
	if err != nil {
		return chatroom.Event{}, 0, err
	}
	var asking sync.WaitGroup
	asking.Go(func() { l.write(line) })
	e, size, err := l.readWelcome()
	if err != nil && e.Kind != chatroom.KindError {
		l.drop()
	}
	asking.Wait()
	return e, size, err
}

// request returns the wish to join, or to go on where the member was.
func (c *Client) request(room string) *request {
	req := &request{
		Type: string(chatroom.VerbJoin), Version: chatroom.JSONVersion, Nick: c.conf.nick,
		Account: c.conf.account, Password: c.conf.password, Room: c.conf.room, Resume: c.lasting(),
	}
	if c.self.Member == 0 {
		return req
	}
	c.attempts++
	req.Room, req.Session, req.Private, req.Attempt = room, c.token, c.private, c.attempts
	if c.self.Nick != c.conf.nick {
		if req.Nick = c.self.Nick; req.Account == "" && req.Password != "" {
			req.Account = c.conf.nick // whose password it is
		}
	}
	c.recount(req)
	return req
}

// recount puts into req how far the member has read its rooms, of as many as there is space for in a line.
func (c *Client) recount(req *request) {
	for req.Seen = c.seen(); c.limits.LineBytes > 0 && len(req.Seen) > 0; req.Seen = req.Seen[:len(req.Seen)-1] {
		if line, err := req.line(); err != nil || len(line) <= c.limits.LineBytes {
			return
		}
	}
}
