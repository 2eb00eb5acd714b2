package chatroom

import (
	"container/list"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A gate counts connections: all of them, those from each address, and those that have not joined.
type gate struct {
	// Set once.
	limits *Limits
	exempt []netip.Prefix
	began  time.Time

	mu      sync.Mutex
	conns   int
	waiting list.List // of *Conn: those that have not joined, oldest first
	origins map[netip.Addr]*origin
	quiet   list.List // of *origin: those without a connection, the longest without one first
}

// An origin is an address, as addrKey tells them apart, and what comes from it. It is guarded by gate.mu.
type origin struct {
	addr    netip.Addr
	conns   int
	waiting int             // connections that have not joined
	recent  []time.Duration // when the connections of the last minute came, since gate.began
	moves   meter
	quiet   *list.Element // its place in gate.quiet; nil while it has a connection
	since   time.Duration // when it got that place
}

// A pass is what the gate notes about a connection it has let in. It is guarded by gate.mu.
type pass struct {
	origin  *origin       // nil if no limits are for its address
	waiting *list.Element // its place in gate.waiting; nil once it has joined
}

const (
	// maxQuiet is how many addresses without a connection are remembered, for a minute; with 60
	// connections from each in that time they take 6 MB.
	maxQuiet = 10_000
	// addrShare is how many times as much as one member all of those from one address may move.
	addrShare = 5
)

var (
	errFull     = &Error{Code: CodeFull, Text: "the server is full", Retry: RetryLater, After: 5 * time.Second}
	errAddrFull = &Error{Code: CodeFull, Text: "too many connections from your address", Retry: RetryLater, After: 5 * time.Second}
	// errCrowded is what those are told who wait longest when too many do. As with every timeout, no
	// front lets them try again.
	errCrowded = &Error{Code: CodeTimeout, Text: "too slow to answer, and others wait", Retry: RetryLater, After: time.Second}
)

func newGate(limits *Limits, exempt []netip.Prefix) *gate {
	return &gate{limits: limits, exempt: exempt, began: time.Now(), origins: make(map[netip.Addr]*origin)}
}

// enter lets c in, for leave to undo, unless that would be too many. The zero Addr has no limits of its own.
// If too many have not joined then, it returns who is to make room: the one that waits longest of those from the
// address from which most do. So they cannot crowd out others.
func (g *gate) enter(c *Conn, addr netip.Addr) (evicted *Conn, refused *Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limits.Conns > 0 && g.conns >= g.limits.Conns {
		return nil, errFull
	}
	o, refused := g.originLocked(addr)
	if refused != nil {
		return nil, refused
	}
	g.conns++
	c.pass.waiting = g.waiting.PushBack(c)
	c.pass.in(o)
	if g.limits.Handshakes > 0 && g.waiting.Len() > g.limits.Handshakes {
		evicted = g.crowdingLocked()
		g.joinedLocked(evicted)
	}
	return evicted, nil
}

// identify is for a connection whose address is not known before it has been let in.
func (g *gate) identify(c *Conn, addr netip.Addr) *Error {
	g.mu.Lock()
	defer g.mu.Unlock()
	o, refused := g.originLocked(addr)
	if refused == nil {
		c.pass.in(o)
	}
	return refused
}

// in notes that the connection comes from o, which has counted it.
func (p *pass) in(o *origin) {
	if p.origin = o; o != nil && p.waiting != nil {
		o.waiting++
	}
}

// originLocked counts one more connection from addr, and returns nil if there are no limits for it.
func (g *gate) originLocked(addr netip.Addr) (*origin, *Error) {
	exempts := func(p netip.Prefix) bool { return p.Contains(addr.WithZone("")) }
	if !addr.IsValid() || slices.ContainsFunc(g.exempt, exempts) {
		return nil, nil
	}
	o := g.origins[addrKey(addr)]
	if o == nil {
		o = &origin{addr: addrKey(addr)}
		g.origins[o.addr] = o
	}
	if refused := o.count(g.limits, time.Since(g.began)); refused != nil {
		return nil, refused
	}
	if o.quiet != nil {
		g.quiet.Remove(o.quiet)
		o.quiet = nil
	}
	return o, nil
}

// count counts one more connection, or returns what it is refused with.
func (o *origin) count(l *Limits, now time.Duration) *Error {
	if l.ConnsPerAddr > 0 && o.conns >= l.ConnsPerAddr {
		return errAddrFull
	}
	if l.ConnRatePerAddr > 0 {
		old := slices.IndexFunc(o.recent, func(at time.Duration) bool { return now-at < time.Minute })
		if old < 0 {
			old = len(o.recent)
		}
		o.recent = slices.Delete(o.recent, 0, old)
		if len(o.recent) >= l.ConnRatePerAddr {
			wait := roundUp(o.recent[0]+time.Minute-now, time.Second)
			text := fmt.Sprintf("too many connections from your address; wait %v", wait)
			return &Error{Code: CodeRateLimited, Text: text, Retry: RetryLater, After: wait}
		}
		o.recent = append(o.recent, now)
	}
	o.conns++
	return nil
}

// crowdingLocked returns who makes room when too many have not joined.
func (g *gate) crowdingLocked() *Conn {
	var crowding *Conn
	most := 0
	for e := g.waiting.Front(); e != nil; e = e.Next() {
		c := e.Value.(*Conn)
		n := 1
		if c.pass.origin != nil {
			n = c.pass.origin.waiting
		}
		if n > most {
			crowding, most = c, n
		}
	}
	return crowding
}

// joined notes that c has joined.
func (g *gate) joined(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.joinedLocked(c)
}

// joinedLocked takes c off those that have not joined.
func (g *gate) joinedLocked(c *Conn) {
	if c.pass.waiting == nil {
		return
	}
	g.waiting.Remove(c.pass.waiting)
	c.pass.waiting = nil
	if c.pass.origin != nil {
		c.pass.origin.waiting--
	}
}

// leave takes c out again.
func (g *gate) leave(c *Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.joinedLocked(c)
	g.conns--
	o := c.pass.origin
	if o == nil {
		return
	}
	if o.conns--; o.conns == 0 {
		o.since = time.Since(g.began)
		o.quiet = g.quiet.PushBack(o)
	}
	g.forgetLocked()
}

// forgetLocked forgets addresses that have had no connection for a minute, or are too many.
func (g *gate) forgetLocked() {
	now := time.Since(g.began)
	for first := g.quiet.Front(); first != nil; first = g.quiet.Front() {
		o := first.Value.(*origin)
		if g.quiet.Len() <= maxQuiet && now-o.since < time.Minute {
			return
		}
		g.quiet.Remove(first)
		delete(g.origins, o.addr)
	}
}

// move counts one more join, leave or change of nick from where c comes from, or returns how long it has to
// wait.
func (g *gate) move(c *Conn) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.pass.origin == nil {
		return 0
	}
	return c.pass.origin.moves.take(time.Now(), perSecond(g.limits.MoveRate, g.limits.MoveBurst).times(addrShare))
}
