package soak

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// A caller is a member through package client, which keeps it connected. It checks what that promises.
type caller struct {
	*member
	addr string
}

// run dials one Client after another: one that was kicked does not come back by itself.
func (m *caller) run() {
	defer m.quiet.Do(m.s.quiet.Done)
	for !m.isFinished() {
		c := &call{caller: m, over: make(chan struct{}), ended: make(chan struct{}), told: make(chan struct{})}
		if c.dial() {
			c.live()
		}
		m.mu.Lock()
		pause := time.Duration(m.rand.IntN(100)) * time.Millisecond
		m.mu.Unlock()
		m.pause(pause)
	}
}

// A call is one Client, from its first state to its last.
type call struct {
	*caller
	client *client.Client
	over   chan struct{} // closed when it has ended
	ended  chan struct{} // closed when END was received
	told   chan struct{} // closed when the farewell was

	end, tell sync.Once

	// Guarded by member.mu.
	began    bool // something was received
	states   states
	welcomes []bool // whether each but the first is to another epoch than the one before
	owed     bool   // a welcome to another epoch was received, and the gap that belongs to it was not
	left     uint64 // what had been seen of the epoch before
	gaps     []gap  // without how far the room had got
}

// dial reports whether there is a Client now. Every other caller dials by an address, and the
// others by a function.
func (c *call) dial() bool {
	ctx, cancel := context.WithTimeout(c.s.stop, 10*time.Second)
	defer cancel()
	opts := []client.Option{client.WithNick(c.nick), client.WithState(c.state)}
	dial := func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", c.addr) }
	var err error
	if c.num%4 == 1 {
		c.client, err = client.Dial(ctx, c.addr, opts...)
	} else {
		var conn net.Conn
		if conn, err = dial(ctx); err == nil {
			c.client, err = client.New(ctx, conn, append(opts, client.WithDial(dial))...)
		}
	}
	if err == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e, ok := errors.AsType[*chatroom.Error](err); {
	case !ok, e.Retry == chatroom.RetryLater: // cut, or down
	case e.Code == chatroom.CodeNickInUse:
		c.crowded = true // by itself: a join has gone through, and its welcome has not
	default:
		c.s.violate("%s may not join: %v", c.nick, err)
	}
	return false
}

// live is the Client's life.
func (c *call) live() {
	go func() {
		defer close(c.over)
		c.receive()
	}()
	var speaking sync.WaitGroup
	for voice := range 2 {
		speaking.Go(func() { c.speak(voice) })
	}
	speaking.Wait()
	if !c.talking() {
		c.quiet.Do(c.s.quiet.Done)
		select {
		case <-c.ended:
			c.part()
		case <-c.over:
		case <-c.s.stop.Done():
		}
	}
	if c.isFinished() {
		c.client.Close()
	}
	<-c.over
	c.client.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states.end(c)
	c.calls = append(c.calls, c)
}

// speak does one thing after the other, and gives some of it up before it is answered.
func (c *call) speak(voice int) {
	for c.talking() {
		c.mu.Lock()
		next := c.invent(voice)
		patience := time.Second + time.Duration(c.rand.IntN(3000))*time.Millisecond
		if c.rand.IntN(8) == 0 {
			patience = time.Duration(c.rand.IntN(100)) * time.Millisecond
		}
		pause := time.Duration(1+c.rand.IntN(20)) * time.Millisecond
		c.mu.Unlock()
		c.send(next, patience)
		select {
		case <-time.After(pause):
		case <-c.over:
			return
		}
	}
}

// send checks that asking for something has one of the three outcomes.
func (c *call) send(k *command, patience time.Duration) {
	ctx, cancel := context.WithTimeout(c.s.stop, patience)
	defer cancel()
	e, err := c.client.Send(ctx, k.cmd)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch refusal, ok := errors.AsType[*chatroom.Error](err); {
	case err == nil:
		if e.Again {
			c.s.again.Add(1)
		}
		if e.ID != k.cmd.ID || k.cmd.Text != "" && e.Text != k.cmd.Text {
			c.s.violate("%s asked for %+v and Send returned %+v", c.nick, k.cmd, e)
		}
		c.answered(k, acknowledged, e.Seq)
	case errors.Is(err, client.ErrUnknownOutcome):
		c.answered(k, unknown, 0)
	case ok:
		if !k.mayRefuse(refusal.Code) && refusal.Code != chatroom.CodeKicked && c.s.stop.Err() == nil {
			c.s.violate("%s asked for %+v and was refused: %v", c.nick, k.cmd, err)
		}
		c.answered(k, refused, 0)
	case errors.Is(err, ctx.Err()):
		c.answered(k, unsent, 0)
	default:
		c.s.violate("%s asked for %+v: %v", c.nick, k.cmd, err)
	}
}

// part says goodbye, once END was received, until the member has heard itself.
func (c *call) part() {
	for c.s.stop.Err() == nil {
		c.mu.Lock()
		bye := c.bidFarewell()
		c.mu.Unlock()
		c.send(bye, 10*time.Second)
		select {
		case <-c.told:
			return
		case <-c.over:
			return
		case <-time.After(10 * time.Second): // the session was lost
		}
	}
}

// receive receives until the Client has ended.
func (c *call) receive() {
	for {
		e, err := c.client.Receive(context.Background())
		if err != nil {
			switch {
			case errors.Is(err, chatroom.ErrKicked):
				c.s.kicked.Add(1)
			case !errors.Is(err, chatroom.ErrClosed) || !c.isFinished():
				c.s.violate("%s has ended: %v", c.nick, err)
			}
			return
		}
		c.mu.Lock()
		c.take(&e)
		if c.member.over {
			c.end.Do(func() { close(c.ended) })
		}
		if c.finished {
			c.tell.Do(func() { close(c.told) })
		}
		c.mu.Unlock()
	}
}

// take takes what Receive has returned. member.mu must be held.
func (c *call) take(e *chatroom.Event) {
	unwelcome := !c.began && e.Kind != chatroom.KindWelcome
	unowed := c.owed && (e.Kind != chatroom.KindGap || e.Gap.To != 0)
	if unwelcome || unowed {
		c.s.violate("%s received %+v too early", c.nick, e)
	}
	if unwelcome {
		return
	}
	switch {
	case e.Kind == chatroom.KindWelcome:
		c.welcomed(e)
	case e.Kind == chatroom.KindGap && e.Room == "":
		c.missedPrivate(e.Gap)
	case e.Kind == chatroom.KindGap && e.Gap.To == 0:
		if !c.owed || e.Gap.From != c.left+1 {
			c.s.violate("%s has seen %d of a lost epoch and was told of a gap from %d on", c.nick, c.left, e.Gap.From)
		}
		c.owed = false
	case e.Kind == chatroom.KindGap:
		c.missed(e.Gap)
		c.gaps = append(c.gaps, gap{c.member, c.stay.record, e.Gap.To, 0})
	case e.Ordered():
		line, err := e.MarshalJSON()
		if err != nil || e.History != (e.Seq < c.stay.joined) {
			c.s.violate("%s joined with %d and received %+v, %v", c.nick, c.stay.joined, e, err)
		}
		c.order(e, hash(append(line, '\n')))
	default:
		c.toItself(e)
	}
}

// welcomed takes the first welcome of a session.
func (c *call) welcomed(e *chatroom.Event) {
	was, left := c.stay, c.seen
	if len(c.states.crowds) == 0 {
		c.s.violate("%s received %+v without being told of it", c.nick, e)
		return
	}
	c.crowded, c.states.crowds = c.states.crowds[0], c.states.crowds[1:]
	c.begin(e, !c.began)
	if c.stay == nil {
		return
	}
	if c.began {
		c.owed, c.left = c.stay.record != was.record, left
		c.welcomes = append(c.welcomes, c.owed)
	}
	c.began = true
}

// states are what a Client has told of itself.
type states struct {
	last    client.StateKind
	attempt int
	crowded bool   // the nick was taken since the member was there
	crowds  []bool // the same for each welcome that Receive has not returned yet
	missed  []int  // in each that says that it is back
	anew    []bool // whether the room's history was lost, in each Rejoined
}

// state takes a State.
func (c *call) state(st client.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.states
	lost := s.last == client.Connected || s.last == client.Resumed || s.last == client.Rejoined
	fits := false
	switch st.Kind {
	case client.Connected:
		fits = s.last == ""
		s.crowds = append(s.crowds, c.crowded)
	case client.Reconnecting:
		fits = st.Err != nil && (lost && st.Attempt == 1 || s.last == client.Reconnecting && st.Attempt == s.attempt+1)
		s.attempt = st.Attempt
		s.crowded = s.crowded || errors.Is(st.Err, chatroom.ErrNickInUse)
	case client.Resumed:
		fits = s.last == client.Reconnecting && st.Missed >= 0 && !s.crowded
		s.missed = append(s.missed, st.Missed)
		c.s.resumes.Add(1)
	case client.Rejoined:
		fits = s.last == client.Reconnecting
		s.crowds, s.crowded = append(s.crowds, s.crowded), false
		s.missed, s.anew = append(s.missed, st.Missed), append(s.anew, st.Missed < 0)
	case client.Ended:
		fits = (lost || s.last == client.Reconnecting) && st.Err != nil
	}
	if !fits {
		c.s.violate("%s was told of %+v after %+v", c.nick, st, *s)
	}
	s.last = st.Kind
}

// end checks what the Client has told of itself in all.
func (s *states) end(c *call) {
	if c.s.violations.Load() > 0 || c.s.stop.Err() != nil {
		return
	}
	same := len(s.anew) == len(c.welcomes)
	for i := range s.anew {
		same = same && s.anew[i] == c.welcomes[i]
	}
	if s.last != client.Ended || !same || c.owed {
		c.s.violate("%s was told %+v and welcomed %v", c.nick, *s, c.welcomes)
	}
}
