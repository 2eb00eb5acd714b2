package client

import (
	"context"
	"errors"
	"math/rand/v2"
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

// A State is what has become of the connection. Resumed and Rejoined come once for each room.
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
			if e.Retry != chatroom.RetryLater && !ghostly {
				return nil, e
			}
		}
		cause = err
	}
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
	if !e.Welcome.Resumed && (e.Welcome.Session != "" || c.token == "" || e.Member != c.self.Member) {
		c.anew(e.Room)
	}
	c.handle(l, e, size)
	l.sending.Go(func() { c.resend(l) })
	return l, nil
}

// rejoin asks to join on l, and returns the welcome.
func (c *Client) rejoin(l *link) (chatroom.Event, int, error) {
	room := c.conf.room
	if len(c.rooms) > 0 {
		room = c.rooms[0].name
	}
	line, err := c.request(room).line()
	if err != nil {
		return chatroom.Event{}, 0, err
	}
	var asking sync.WaitGroup
	asking.Go(func() { l.write(line) })
	e, size, err := l.readWelcome()
	if err != nil {
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
	req.Room, req.Session, req.Seen, req.Private = room, c.token, c.seen(), c.private
	if c.self.Nick != c.conf.nick {
		if req.Nick = c.self.Nick; req.Account == "" && req.Password != "" {
			req.Account = c.conf.nick // whose password it is
		}
	}
	return req
}
