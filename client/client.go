// Package client joins a chatroom.Server over a connection. Its Client does what a member in
// process does, so a bot runs unchanged on either.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chatroom"
)

const (
	// BufferBytes is about how much may wait for Receive. When it is full nothing more is read
	// from the connection, not even the answers to Send, until Receive has taken some.
	BufferBytes = 1 << 20

	// writeTime is the time a server has for taking a line. It makes speakers wait while their
	// room lags, for about its Limits.Write.
	writeTime = 10 * time.Second
	// silence is the time a server has for a ping that is due, and more if it pings rarely.
	silence = 10 * time.Second
	// farewellTime is the time a server has for its last words.
	farewellTime = time.Second
	// maxOutbox is how many commands there may be from the oldest unanswered one on, those answered
	// included: a server remembers the results of the last 64.
	maxOutbox = 32
	// eventCost is what an event takes in memory besides what was read.
	eventCost = 256
)

// A Client is a member of a chat room on the other end of a connection. It speaks the protocol
// of chatroom.JSONFront. Its methods may be called from many goroutines.
//
// Somebody has to keep calling Receive: what is not received holds up everything after it once
// BufferBytes wait, the answers to Send and to the server's pings included, and in the end the
// server gives the member up. A server that does not speak when it would have to ping, by the
// WireLimits.Idle of its welcome, is given up with ErrConnectionLost.
//
// A Client that knows how to dial, from Dial or WithDial, outlives its connection. When that is
// lost, or the server says to come back later, it reconnects after a random pause that grows up to
// 30 seconds and is never shorter than the server asks for, and continues its session: Receive
// goes on with what followed, each event once and in its room's order, and Send does not notice.
// When the server has given the session up by then, the Client joins its rooms anew. Receive
// returns a KindWelcome for each, a KindGap for what is gone, and what the server still has. WithState
// tells of all that.
//
// A room that does not let the member in again, and one it wanted to leave when the session was lost, ends
// with a KindLeave of this member without a number. While a room that is locked, or for which there is no space,
// is the only one left, the Client goes on trying. When no room is left, or the server says never, the member ends
// with what the server said about the last. A member that was in no room is in the first one again.
type Client struct {
	// Set before New returns.
	conf   config
	giveUp context.CancelFunc // ends dialing and joining again
	ids    atomic.Uint64

	reading sync.WaitGroup
	welcome chan struct{} // closed by the reader, with the first welcome
	ended   chan struct{} // closed by the reader, once nothing more comes
	closing chan struct{} // closed by Close
	leaving atomic.Bool   // Close was called
	outbox  chan struct{} // holds a token for each call in window, and those on their way there; nil means any number
	writing chan struct{} // holds one token while somebody writes
	arrived chan struct{} // rung when there is something to receive
	space   chan struct{} // rung when something was received

	// Owned by the reader.
	rooms    []*room
	token    string // of the session, as long as the server has given one; told to nobody
	private  uint64 // the last Event.Private received
	news     bool   // something followed the latest link's welcome
	failures int    // attempts since there was any
	attempts uint64 // attempts to come back ever

	mu       sync.Mutex
	link     *link // the latest; changed by who holds the writing token too
	limits   chatroom.WireLimits
	self     chatroom.MemberInfo
	calls    []*call // in the order in which they are, or will be, written
	window   []*call // from the oldest that is unanswered on, in the same order
	received []received
	size     int   // what received costs
	reason   error // why it ended; nil while it has not
}

// A room is where the member is. It belongs to the reader.
type room struct {
	name    string
	epoch   string
	joined  uint64 // the number of the member's own join
	last    uint64 // the number of the last event received, or gone
	gone    bool   // the session it was joined in is over, and it is not joined again yet
	opaque  bool   // what happened up to joined has not come yet, on which calls in doubt depend
	gapped  bool   // something was missed since the calls that are in doubt were written
	welcome *chatroom.Welcome
}

var _ chatroom.Client = (*Client)(nil)

// A call is a Send that waits, or the Client's own wish to join a room again.
type call struct {
	id     string
	cmd    chatroom.Command
	line   []byte
	answer chan answer // takes the one answer
	rejoin bool

	// Guarded by Client.mu.
	on     *link  // where its line was written last
	member uint64 // as which member; zero means it was never written
	doubt  *room  // whether it was carried out depends on what the history of this room shows
	open   bool   // it keeps its place in the window
}

type answer struct {
	event chatroom.Event
	err   error
}

type received struct {
	event chatroom.Event
	cost  int
}

// Dial connects to a server at addr, a host and port, and joins. ctx bounds that and nothing
// after it. A refusal is the server's Error, such as ErrNickInUse or ErrBanned. A connection that is
// lost later is dialed again.
func Dial(ctx context.Context, addr string, opts ...Option) (*Client, error) {
	conf := configure(opts)
	network := (&net.Dialer{}).DialContext
	if conf.tls != nil {
		network = (&tls.Dialer{Config: conf.tls}).DialContext
	}
	dial := func(ctx context.Context) (net.Conn, error) { return network(ctx, "tcp", addr) }
	if conf.dial == nil && !conf.once {
		conf.dial = dial
	}
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	return join(ctx, conn, conf)
}

// New joins over a connection from whatever transport, as Dial does. It owns conn from then on,
// and closes it when it fails. Without WithDial the Client ends with its connection.
func New(ctx context.Context, conn net.Conn, opts ...Option) (*Client, error) {
	return join(ctx, conn, configure(opts))
}

func configure(opts []Option) config {
	var conf config
	for _, opt := range opts {
		opt(&conf)
	}
	if conf.once {
		conf.dial = nil
	}
	return conf
}

func join(ctx context.Context, conn net.Conn, conf config) (*Client, error) {
	c := &Client{
		conf:    conf,
		link:    newLink(conn),
		welcome: make(chan struct{}),
		ended:   make(chan struct{}),
		closing: make(chan struct{}),
		writing: make(chan struct{}, 1),
		arrived: make(chan struct{}, 1),
		space:   make(chan struct{}, 1),
	}
	if c.lasting() {
		c.outbox = make(chan struct{}, maxOutbox)
	}
	l := c.link
	wish, err := c.request("").line()
	if err != nil {
		conn.Close()
		return nil, err
	}
	life, giveUp := context.WithCancel(context.Background())
	c.giveUp = giveUp
	c.writing <- struct{}{} // nothing is written before the wish to join
	stop := context.AfterFunc(ctx, l.drop)
	// A server that has begun to speak may not listen before it is heard, so reading comes first.
	c.reading.Go(func() { c.read(life, l) })
	err = c.ask(l, wish)
	if !stop() {
		err = fmt.Errorf("join: %w", ctx.Err())
	}
	if err != nil {
		c.giveUp()
		if c.leaving.CompareAndSwap(false, true) {
			close(c.closing)
		}
		l.drop()
		c.reading.Wait()
		return nil, err
	}
	return c, nil
}

// lasting reports whether the member outlives its connection.
func (c *Client) lasting() bool { return c.conf.dial != nil }

// ask asks to join and waits for the answer. c.writing must hold the token.
func (c *Client) ask(l *link, wish []byte) error {
	l.write(wish)
	<-c.writing
	select {
	case <-c.welcome:
	case <-c.ended:
		select {
		case <-c.welcome: // and a farewell right after it, which is for Receive
		default:
			return c.over()
		}
	}
	return nil
}

// ErrUnknownOutcome is what Send returns when a command was written and its answer does not come:
// it may have been carried out, or not.
var ErrUnknownOutcome = errors.New("chatroom/client: it is not known whether that was done")

// Send carries out cmd and returns the event it led to. An empty ID is replaced by one that this
// Client uses once; an ID of the caller's that was used before is answered with what came of it then.
//
// Send has three outcomes. The event: it was done, once. An Error of package chatroom: it was refused, and
// was not done. Or ctx or the Client has ended first: the error wraps ctx's, or the reason, and
// ErrUnknownOutcome too unless the command was not written. A Client that lasts sends
// what is unanswered again with the same ids, over the next connection; a command waits until
// the 32nd before it, and all before that, are answered.
//
// What was written and not answered when a session was lost is looked for in what the server still has of the room, if
// it is something said or a topic. What only asks, a rename, joining and leaving are done again. Everything else,
// private messages and acts of moderation, ends with ErrUnknownOutcome, and so does what was said where the room's
// history is not complete.
//
// Who gives up a VerbLeave or VerbQuit that was written has still left: a Client that lasts sees to it over the next
// connection.
//
// A command that is too fast for the server is refused with chatroom.ErrRateLimited, whose After says how long to
// wait: Send does not wait and try again by itself, as only the caller knows whether it still makes sense
// then. That goes for commands that have waited for a connection, too, which are written all at once.
//
// A line that is being written is not given up for ctx; a server that does not take it within 10
// seconds loses the connection.
func (c *Client) Send(ctx context.Context, cmd chatroom.Command) (chatroom.Event, error) {
	if cmd.ID == "" {
		cmd.ID = c.newID()
	}
	c.mu.Lock()
	limits, over := c.limits, c.reason
	c.mu.Unlock()
	if over != nil {
		return chatroom.Event{}, over
	}
	line, err := commandLine(cmd, limits)
	if err != nil {
		return chatroom.Event{}, err
	}
	k := &call{id: cmd.ID, cmd: cmd, line: line, answer: make(chan answer, 1)}
	if err := c.begin(ctx, k); err != nil {
		return chatroom.Event{}, err
	}
	select {
	case a := <-k.answer:
		return a.event, a.err
	case <-ctx.Done():
		written, ok := c.forget(k)
		if !ok {
			a := <-k.answer
			return a.event, a.err
		}
		if !written {
			return chatroom.Event{}, fmt.Errorf("%s not sent: %w", cmd.Verb, ctx.Err())
		}
		return chatroom.Event{}, unanswered(k, ctx.Err())
	}
}

// unanswered returns what a Send is told whose answer does not come because of why.
func unanswered(k *call, why error) error {
	return fmt.Errorf("%s unanswered: %w: %w", k.cmd.Verb, ErrUnknownOutcome, why)
}

func (c *Client) newID() string { return strconv.FormatUint(c.ids.Add(1), 36) }

// begin puts k on the calls, and writes its line unless it has to wait for a connection.
func (c *Client) begin(ctx context.Context, k *call) error {
	if err := c.acquire(ctx, k, c.outbox); err != nil {
		return err
	}
	err := c.acquire(ctx, k, c.writing)
	if err == nil {
		if err = c.put(ctx, k); err == nil {
			c.writeCalls()
		}
		<-c.writing
	}
	if err != nil && c.outbox != nil {
		<-c.outbox
	}
	return err
}

// acquire waits for a place for k.
func (c *Client) acquire(ctx context.Context, k *call, place chan struct{}) error {
	if place == nil {
		return nil
	}
	select {
	case place <- struct{}{}:
		return nil
	case <-c.ended:
		return c.over()
	case <-ctx.Done():
		return fmt.Errorf("%s not sent: %w", k.cmd.Verb, ctx.Err())
	}
}

// put puts k on the calls, and with its token into the window, unless the Client or ctx has ended.
func (c *Client) put(ctx context.Context, k *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return c.reason
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s not sent: %w", k.cmd.Verb, err)
	}
	c.calls = append(c.calls, k)
	if c.outbox != nil {
		k.open = true
		c.window = append(c.window, k)
	}
	return nil
}

// releaseLocked notes that k is answered, or will not be sent again. Its place in the window is free once all before it
// are: otherwise its result could take the place of theirs in what the server remembers. c.mu must be held.
func (c *Client) releaseLocked(k *call) {
	k.open = false
	for len(c.window) > 0 && !c.window[0].open {
		c.window = slices.Delete(c.window, 0, 1)
		<-c.outbox // which holds one for it
	}
}

// writeCalls writes, in their order, the lines of all calls that the link has not had yet, up to
// one that is in doubt. The caller holds the writing token.
func (c *Client) writeCalls() {
	for {
		l, line := c.nextLine()
		if line == nil || !l.write(line) {
			return
		}
	}
}

func (c *Client) nextLine() (*link, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.calls {
		switch {
		case k.on == c.link:
		case k.doubt != nil || c.link.failed:
			return nil, nil
		default:
			k.on, k.member = c.link, c.self.Member
			return c.link, k.line
		}
	}
	return nil, nil
}

// forget takes k off the calls, for nobody waits for it any more, and reports whether it was written; not ok means
// that it has been answered. A wish to leave that may have been heard stays until it is known to be done.
func (c *Client) forget(k *call) (written, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	written = k.member != 0
	if written && c.lasting() && (k.cmd.Verb == chatroom.VerbLeave || k.cmd.Verb == chatroom.VerbQuit) {
		return true, slices.Contains(c.calls, k)
	}
	return written, c.takeCallLocked(func(other *call) bool { return other == k }) != nil
}

// Receive returns the next event, as chatroom.Client says: first the welcome, then what follows,
// what this member does included; answers to it alone come out of Send only. At the end it
// returns the server's reason, ErrConnectionLost if there was none, or ErrClosed after Close. See Client for
// what it returns when a connection is lost.
func (c *Client) Receive(ctx context.Context) (chatroom.Event, error) {
	for {
		e, ok, err := c.take()
		if ok || err != nil {
			return e, err
		}
		select {
		case <-c.arrived:
		case <-c.ended:
		case <-ctx.Done():
			return chatroom.Event{}, ctx.Err()
		}
	}
}

// take returns the oldest event that waits; false means there is none now, and an error that
// there will be none.
func (c *Client) take() (chatroom.Event, bool, error) {
	c.mu.Lock()
	if len(c.received) == 0 {
		defer c.mu.Unlock()
		return chatroom.Event{}, false, c.reason
	}
	r := c.received[0]
	c.received[0] = received{}
	c.received = c.received[1:]
	c.size -= r.cost
	more := len(c.received) > 0
	c.mu.Unlock()
	ring(c.space)
	if more {
		ring(c.arrived) // another Receive may be waiting for it
	}
	return r.event, true, nil
}

// ring wakes whoever waits for bell, or comes to wait; it never waits.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Self returns the member as others see it, as of the last event read from the server.
func (c *Client) Self() chatroom.MemberInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.self
}

// Close leaves, and waits about a second at most for the server to say goodbye. What was received
// before that can still be had from Receive. Its error is always nil.
func (c *Client) Close() error {
	if c.leaving.CompareAndSwap(false, true) {
		c.quit()
	}
	c.reading.Wait()
	return nil
}

func (c *Client) quit() {
	close(c.closing)
	c.giveUp()
	late := time.AfterFunc(farewellTime, c.drop)
	defer late.Stop()
	select {
	case c.writing <- struct{}{}:
		c.mu.Lock()
		l := c.link
		c.mu.Unlock()
		l.write(quitLine)
		<-c.writing
	case <-c.ended:
	}
	<-c.ended
}

// drop closes the connection there is.
func (c *Client) drop() {
	c.mu.Lock()
	l := c.link
	c.mu.Unlock()
	l.drop()
}

// over returns why the connection ended; nil means it has not.
func (c *Client) over() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}
