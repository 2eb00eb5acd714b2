// Package chatroom puts a chat room inside a program: the program hosts rooms on any listener,
// people join with nc or the bundled client, programs join over a line of JSON, and bots join in
// process.
//
// A room orders everything that happens in it and keeps it in a log; a member is a cursor on that
// log; a Front speaks one wire protocol. Commands go in, events come out: what a member sends is a
// Command, what it receives are Events, and the acknowledgement of a command is its own event,
// in the place the room gave it.
//
// Start with New, and Serve a listener or Join in process. Package client joins over TCP.
package chatroom

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Server hosts rooms. Its methods may be called from many goroutines, and from a Front, an
// Authenticator, a BanStore or a Filter too, but for Shutdown and Close, which wait for those to return. It
// is made by New; the interface is closed so that it can grow.
type Server interface {
	// Serve accepts connections until the listener fails or the server is closed, and then
	// returns ErrServerClosed, or the listener's error. It closes the listener; who came by it stays. What may
	// pass, such as being out of files, is waited for, at most a second at a time. A server serves
	// any number of listeners; TLS is a listener from tls.NewListener. The fronts, if any are
	// given, replace the server's own for this listener.
	Serve(l net.Listener, fronts ...Front) error
	// ServeConn serves one connection, from whatever transport, until it ends, and closes it.
	// Ending ctx ends the connection. A member that leaves is no error.
	ServeConn(ctx context.Context, conn net.Conn, fronts ...Front) error
	// Join makes the program itself a member of the rooms, or of the default room if none is
	// named: a bot. The identity is taken as given, without asking the Authenticator. Errors are
	// those of the handshake: ErrNickInvalid, ErrNickInUse, ErrBanned, ErrFull and the like.
	Join(ctx context.Context, id Identity, rooms ...string) (Client, error)
	// Announce says text in the room as the server, a KindNotice; in every room if room is
	// empty, and then the event returned is the last. ErrNoSuchRoom if there is none, and
	// ErrServerClosed after Shutdown or Close.
	Announce(ctx context.Context, room, text string) (Event, error)
	// Moderate carries out a verb of moderation, or VerbTopic, as the program, which stands above
	// every role. An empty Room means the default one. It returns what Client.Send would; the event has no From.
	Moderate(ctx context.Context, cmd Command) (Event, error)
	// Audits yields every act from the first the server remembers, which are the last 4096, and
	// then each as it happens, until the server is closed or ctx ends. It may be called many times.
	// Whoever takes them more slowly than they come misses some, which shows in Audit.Seq.
	Audits(ctx context.Context) iter.Seq[Audit]
	// Rooms lists the rooms by name.
	Rooms() []RoomInfo
	// Members lists a room's members by nick; nil if there is no such room.
	Members(room string) []MemberInfo
	// Stats returns the server's counters. It never waits for a peer.
	Stats() Stats
	// Shutdown closes the listeners, tells every member that the server goes away, and waits until
	// they have been told, but not for them to leave: a peer has Limits.Write to take its farewell. When
	// ctx ends first it drops the connections that are left and returns ctx's error.
	Shutdown(ctx context.Context) error
	// Close drops everything at once.
	Close() error

	sealed()
}

// A Client is a member's side of a room: in process from Server.Join, over a connection from
// package client. Its methods may be called from many goroutines.
//
// A Client has to keep receiving: one that falls behind by more than Limits.Lag, or is far behind
// and takes nothing in Limits.Write, is ended with ErrTooSlow.
type Client interface {
	// Send carries out cmd and returns the event it led to, once the room has ordered it. A
	// refusal is an Error; the room has not changed then. A member that has ended gets the
	// reason, which Receive returns too.
	Send(ctx context.Context, cmd Command) (Event, error)
	// Receive returns the next event: first a KindWelcome, then the room's history and what
	// happens from then on, what the member itself does included. Once the member has ended and
	// everything before that is received, it returns the reason, an Error. Ending ctx gives up this Receive
	// and nothing else. The events of one room come in its order, and what one member says in a
	// room and in private comes in the order it was said; between rooms there is no order.
	Receive(ctx context.Context) (Event, error)
	// Self returns the member as others see it now.
	Self() MemberInfo
	// Close leaves. It returns when the member has left.
	Close() error
}

// Stats are a server's counters. Conns, Members and Rooms are what there is now, and all others only
// grow. They are read one after another while the server works, so they need not add up.
type Stats struct {
	Conns   int // connections, whether somebody has joined on them or not
	Members int // members, also those in process and those who linger
	Rooms   int // rooms, the fixed ones included

	Accepted   uint64          // connections let in ever, whatever became of them
	TurnedAway uint64          // connections not let in, because there were too many
	Joined     uint64          // members ever; who comes back to a session is still the same one
	Refused    map[Code]uint64 // wishes to join over a connection that were refused, by reason; one peer may have several
	Dropped    map[Code]uint64 // connections turned away, or ended before anybody had joined on them, by reason
	Denied     map[Code]uint64 // what members over connections were refused, by reason
	Published  uint64          // events ordered in rooms, from messages to leaves
	Delivered  uint64          // events ordered, each as often as its room had members then
	Rounds     uint64          // in which rooms brought what was new to their members
	MostLag    uint64          // how many bytes a member has been behind its room at most
	Written    uint64          // bytes written to connections, before TLS
	Ended      map[Code]uint64 // members that ended, by reason; CodeClosed are those who left

	Filters map[string]FilterStats // by name
}

type stats struct {
	accepted, turnedAway, joined, published, delivered, rounds, mostLag, wrote atomic.Uint64

	mu                              sync.Mutex
	refused, dropped, denied, ended map[Code]uint64
}

// round counts a round that found a member so far behind.
func (s *stats) round(lag int64) {
	s.rounds.Add(1)
	for most := s.mostLag.Load(); uint64(lag) > most && !s.mostLag.CompareAndSwap(most, uint64(lag)); most = s.mostLag.Load() {
	}
}

func (s *stats) written(n int) { s.wrote.Add(uint64(n)) }

// count counts one more for the reason c in one of the maps.
func (s *stats) count(by map[Code]uint64, c Code) {
	s.mu.Lock()
	by[c]++
	s.mu.Unlock()
}

// clock returns how many nanoseconds ago the server began, whatever becomes of the time of day.
func (s *server) clock() int64 { return int64(time.Since(s.began)) }

type server struct {
	config                   // set once
	base     context.Context // ends when the server is closed and all members have ended
	stop     context.CancelFunc
	done     chan struct{} // closed when the server is
	began    time.Time
	matcher  BanMatcher // nil unless the store is one
	chain    []*filtering
	masks    []nickMask // of the reserved nicks
	byteTime float64    // limits.byteTime()
	stats    stats

	numbers   atomic.Uint64  // members ever
	running   sync.WaitGroup // connections, members, and what watches
	index     *banIndex      // the bans; empty if there is a matcher
	bansGiven atomic.Uint64  // grows after bans have changed
	revised   atomic.Uint64  // grows before members are refreshed as their accounts changed
	lost      sync.Map       // by what is called: how many calls have not returned, *atomic.Int32
	reloading sync.Mutex     // held while bans are listed anew; no other lock is taken before it
	gate      *gate
	failed    seldom // of Accept
	turned    seldom // connections turned away
	headless  seldom // connections from a proxy, without its header, or otherwise from nobody knows where
	acts      journal
	held      heldQueue

	mu        sync.Mutex
	closed    bool // and done too
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	nicks     map[string]*member            // by each of its NickKeys, from reservation to the end
	taken     int                           // members with a nick
	sessions  map[[sha256.Size]byte]*member // by the hash of its token: who is in it now
	departed  []departed                    // the latest to leave, oldest first
	members   map[*member]struct{}          // those joined
	rooms     map[string]*room              // by folded name
}

// New returns a server without listeners. It reads the BanStore once, and returns its error, or
// one about a room's name.
func New(opts ...Option) (Server, error) {
	s := &server{
		config: config{
			home:     "lobby",
			auth:     OpenDoor(),
			bans:     MemoryBans(),
			reserved: ReservedNicks(),
			log:      slog.New(slog.DiscardHandler),
		},
		index:     newBanIndex(nil),
		began:     time.Now(),
		done:      make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*Conn]struct{}),
		nicks:     make(map[string]*member),
		sessions:  make(map[[sha256.Size]byte]*member),
		members:   make(map[*member]struct{}),
		rooms:     make(map[string]*room),
	}
	for _, by := range []*map[Code]uint64{&s.stats.refused, &s.stats.dropped, &s.stats.denied, &s.stats.ended} {
		*by = make(map[Code]uint64)
	}
	for _, opt := range opts {
		opt(&s.config)
	}
	s.limits = s.limits.withDefaults()
	s.byteTime = s.limits.byteTime()
	s.gate = newGate(&s.limits, s.exempt)
	s.motd = cleanLines(s.motd)
	for _, given := range append([]string{s.home}, s.fixed...) {
		name, err := validRoom(given)
		if err != nil {
			return nil, fmt.Errorf("room %q: %w", given, err)
		}
		r := newRoom(s, name, true)
		s.rooms[r.key] = r
	}
	s.home, _ = validRoom(s.home)
	s.masks = newMasks(s.reserved)
	if s.fronts == nil {
		s.fronts = []Front{JSONFront{}, TextFront{Home: s.home}}
	}
	for _, step := range s.filters {
		s.chain = append(s.chain, &filtering{FilterStep: step})
	}
	if err := s.readBans(); err != nil {
		return nil, fmt.Errorf("read bans: %w", err)
	}
	s.base, s.stop = context.WithCancel(context.Background())
	s.watch()
	return s, nil
}

// readBans lists the bans, unless the store answers for each member.
func (s *server) readBans() error {
	if m, ok := s.bans.(BanMatcher); ok {
		s.matcher = m
		return nil
	}
	bans, err := func() (bans []Ban, err error) { // as long as it takes: nobody waits to join yet
		defer s.recovered("ban store", &err)
		return s.bans.List(context.Background())
	}()
	s.index.replace(bans)
	return err
}

func (s *server) sealed() {}

func (s *server) Join(ctx context.Context, id Identity, rooms ...string) (Client, error) {
	nick, err := ValidNick(id.Nick)
	if err != nil {
		return nil, err
	}
	id.Nick = nick
	if len(rooms) == 0 {
		rooms = []string{s.home}
	}
	m := s.newMember(id)
	m.wake = make(chan struct{}, 1)
	if _, err := s.admit(ctx, m, rooms[0], "", nil); err != nil {
		return nil, err
	}
	for _, room := range rooms[1:] {
		if _, err := m.send(ctx, JoinRoom(room)); err != nil {
			m.end(ErrClosed.(*Error))
			<-m.opening(&m.left)
			return nil, err
		}
	}
	return local{m}, nil
}

func (s *server) Announce(_ context.Context, name, text string) (Event, error) {
	text, err := cleanText(text, s.limits.TextBytes)
	if err != nil {
		return Event{}, err
	}
	s.mu.Lock()
	if s.closed { // nobody would hear it
		s.mu.Unlock()
		return Event{}, ErrServerClosed
	}
	rooms := slices.Collect(maps.Values(s.rooms))
	if name != "" {
		r := s.rooms[roomKey(name)]
		if r == nil {
			s.mu.Unlock()
			return Event{}, ErrNoSuchRoom
		}
		rooms = []*room{r}
	}
	s.mu.Unlock()
	var e Event
	for _, r := range rooms {
		e = Event{Kind: KindNotice, Text: text}
		r.mu.Lock()
		r.appendLocked(&e)
		r.mu.Unlock()
		r.deliver()
	}
	return e, nil
}

func (s *server) Rooms() []RoomInfo {
	s.mu.Lock()
	rooms := slices.Collect(maps.Values(s.rooms))
	s.mu.Unlock()
	infos := make([]RoomInfo, len(rooms))
	for i, r := range rooms {
		infos[i] = r.info()
	}
	slices.SortFunc(infos, func(a, b RoomInfo) int { return strings.Compare(a.Room, b.Room) })
	return infos
}

func (s *server) Members(room string) []MemberInfo {
	if r := s.room(room); r != nil {
		return r.members()
	}
	return nil
}

func (s *server) Stats() Stats {
	s.mu.Lock()
	st := Stats{Conns: len(s.conns), Members: len(s.members), Rooms: len(s.rooms)}
	s.mu.Unlock()
	st.Accepted, st.TurnedAway, st.Joined = s.stats.accepted.Load(), s.stats.turnedAway.Load(), s.stats.joined.Load()
	st.Published, st.Delivered, st.Written = s.stats.published.Load(), s.stats.delivered.Load(), s.stats.wrote.Load()
	st.Rounds, st.MostLag = s.stats.rounds.Load(), s.stats.mostLag.Load()
	s.stats.mu.Lock()
	st.Refused, st.Dropped = maps.Clone(s.stats.refused), maps.Clone(s.stats.dropped)
	st.Denied, st.Ended = maps.Clone(s.stats.denied), maps.Clone(s.stats.ended)
	s.stats.mu.Unlock()
	st.Filters = make(map[string]FilterStats, len(s.chain))
	for _, f := range s.chain {
		st.Filters[f.Name] = FilterStats{Reviewed: f.reviewed.Load(), Decided: f.decided.Load(), Failed: f.failed.Load()}
	}
	return st
}

// comeback is how many members a server that goes away asks to come back in any one second.
const comeback = 200

func (s *server) Shutdown(ctx context.Context) error {
	conns := s.close()
	for i, c := range conns {
		reason := *ErrShutdown.(*Error)
		reason.After = time.Duration(i/comeback) * time.Second
		c.abort(&reason)
	}
	s.stop()
	gone := make(chan struct{})
	go func() {
		s.running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		for _, c := range conns {
			c.conn.Close()
		}
		return ctx.Err()
	}
}

func (s *server) Close() error {
	for _, c := range s.close() {
		c.abort(ErrShutdown.(*Error))
		c.conn.Close()
	}
	s.stop()
	s.running.Wait()
	return nil
}

// close stops the listeners, lets nobody new in, ends the members in process, and returns the
// connections. Once those have ended too, the caller calls stop.
func (s *server) close() []*Conn {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	listeners := slices.Collect(maps.Keys(s.listeners))
	conns := slices.Collect(maps.Keys(s.conns))
	members := slices.Collect(maps.Keys(s.members))
	s.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	for _, m := range members {
		if m.conn == nil {
			m.end(ErrShutdown.(*Error))
		}
	}
	return conns
}

// recovered, deferred, turns a panic of what into ErrInternal, and logs it with its stack.
func (s *server) recovered(what string, err *error) {
	if p := recover(); p != nil {
		s.log.Error(what+" panicked", "panic", p, "stack", string(debug.Stack()))
		*err = ErrInternal
	}
}
