// Package client joins a chatroom.Server over a connection. Its Client does what a member in
// process does, so a bot runs unchanged on either.
package client

import (
	"bufio"
	"context"
	"crypto/tls"
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
type Client struct {
	// Set before New returns.
	conn   net.Conn
	limits chatroom.WireLimits
	ids    atomic.Uint64

	reading sync.WaitGroup
	welcome chan struct{} // closed by the reader, with the first welcome
	ended   chan struct{} // closed by the reader, once nothing more comes
	closing chan struct{} // closed by Close
	leaving atomic.Bool   // Close was called
	writing chan struct{} // holds one token while somebody writes
	arrived chan struct{} // rung when there is something to receive
	space   chan struct{} // rung when something was received

	// Owned by the reader.
	in    *bufio.Reader
	rooms map[string]uint64 // the number of the member's own join, by room

	mu       sync.Mutex
	self     chatroom.MemberInfo
	calls    []*call // in the order their lines were written
	received []received
	size     int   // what received costs
	reason   error // why it ended; nil while it has not
}

var _ chatroom.Client = (*Client)(nil)

// A call is a Send that waits.
type call struct {
	id     string
	verb   chatroom.Verb
	answer chan answer // takes the one answer
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
// after it. A refusal is the server's Error, such as ErrNickInUse or ErrBanned.
func Dial(ctx context.Context, addr string, opts ...Option) (*Client, error) {
	conf := configure(opts)
	dial := (&net.Dialer{}).DialContext
	if conf.tls != nil {
		dial = (&tls.Dialer{Config: conf.tls}).DialContext
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return join(ctx, conn, conf)
}

// New joins over a connection from whatever transport, as Dial does. It owns conn from then on,
// and closes it when it fails.
func New(ctx context.Context, conn net.Conn, opts ...Option) (*Client, error) {
	return join(ctx, conn, configure(opts))
}

func configure(opts []Option) config {
	var conf config
	for _, opt := range opts {
		opt(&conf)
	}
	return conf
}

func join(ctx context.Context, conn net.Conn, conf config) (*Client, error) {
	c := &Client{
		conn:    conn,
		welcome: make(chan struct{}),
		ended:   make(chan struct{}),
		closing: make(chan struct{}),
		writing: make(chan struct{}, 1),
		arrived: make(chan struct{}, 1),
		space:   make(chan struct{}, 1),
		in:      bufio.NewReader(conn),
		rooms:   make(map[string]uint64),
	}
	c.writing <- struct{}{} // nothing is written before the wish to join
	stop := context.AfterFunc(ctx, c.drop)
	// A server that has begun to speak may not listen before it is heard, so reading comes first.
	c.reading.Go(c.read)
	err := c.ask(conf)
	if !stop() {
		err = fmt.Errorf("join: %w", ctx.Err())
	}
	if err != nil {
		c.drop()
		c.reading.Wait()
		return nil, err
	}
	return c, nil
}

// ask asks to join and waits for the answer. c.writing must hold the token.
func (c *Client) ask(conf config) error {
	req := request{
		Type: string(chatroom.VerbJoin), Version: chatroom.JSONVersion,
		Nick: conf.nick, Account: conf.account, Password: conf.password, Room: conf.room,
	}
	line, err := req.line()
	if err != nil {
		return err
	}
	c.write(line)
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

// Send carries out cmd and returns the event it led to. An empty ID is replaced by one that this
// Client uses once. A refusal is a chatroom.Error, and so is the reason once the connection has
// ended.
//
// When ctx ends before the answer is there, Send returns an error that wraps ctx's and the
// outcome is unknown: the command may still be carried out. A line that is being written is not
// given up for ctx; a server that does not take it within 10 seconds loses the connection.
func (c *Client) Send(ctx context.Context, cmd chatroom.Command) (chatroom.Event, error) {
	if cmd.ID == "" {
		cmd.ID = strconv.FormatUint(c.ids.Add(1), 36)
	}
	if over := c.over(); over != nil {
		return chatroom.Event{}, over
	}
	line, err := commandLine(cmd, c.limits)
	if err != nil {
		return chatroom.Event{}, err
	}
	k := &call{id: cmd.ID, verb: cmd.Verb, answer: make(chan answer, 1)}
	if err := c.begin(ctx, k, line); err != nil {
		return chatroom.Event{}, err
	}
	select {
	case a := <-k.answer:
		return a.event, a.err
	case <-ctx.Done():
		if c.forget(k) {
			return chatroom.Event{}, fmt.Errorf("%s unanswered: %w", cmd.Verb, ctx.Err())
		}
		a := <-k.answer
		return a.event, a.err
	}
}

// begin writes the line of k, which is answered from then on, also if writing fails.
func (c *Client) begin(ctx context.Context, k *call, line []byte) error {
	select {
	case c.writing <- struct{}{}:
	case <-c.ended:
		return c.over()
	case <-ctx.Done():
		return fmt.Errorf("%s not sent: %w", k.verb, ctx.Err())
	}
	c.mu.Lock()
	err := c.reason
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		c.calls = append(c.calls, k)
	}
	c.mu.Unlock()
	if err != nil {
		<-c.writing
		return err
	}
	c.write(line)
	return nil
}

// write writes one line and gives the token back, which the caller has put into c.writing. When
// it fails the token stays where it is: after half a line nothing may follow. Why the connection
// ended is what the reader finds, if the server still has a last word.
func (c *Client) write(line []byte) {
	c.conn.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := c.conn.Write(line); err != nil {
		time.AfterFunc(farewellTime, c.drop)
		return
	}
	<-c.writing
}

// drop closes the connection without a last word, not even the one of TLS, which could wait.
func (c *Client) drop() {
	conn := c.conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	conn.Close()
}

// forget takes k off the calls; false means it has been answered.
func (c *Client) forget(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.calls, k)
	if i < 0 {
		return false
	}
	c.calls = slices.Delete(c.calls, i, i+1)
	return true
}

// Receive returns the next event, as chatroom.Client says: first the welcome, then what follows,
// what this member does included; answers to it alone come out of Send only. At the end it
// returns the server's reason, ErrConnectionLost if there was none, or ErrClosed after Close.
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
	late := time.AfterFunc(farewellTime, c.drop)
	defer late.Stop()
	select {
	case c.writing <- struct{}{}:
		c.write(quitLine)
	case <-c.ended:
	}
	<-c.ended
}

// over returns why the connection ended; nil means it has not.
func (c *Client) over() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}
