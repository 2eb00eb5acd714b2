package chatroom

import (
	"log/slog"
	"math"
	"net"
	"net/netip"
	"time"
)

// Limits are the numbers a server keeps to. A field that is zero or less has its default, but where a
// negative number is said to mean something.
//
// Whoever is over a limit is refused with an Error that says how long to wait, if that is known.
type Limits struct {
	LineBytes      int // longest line a front reads, its end included; 8192
	TextBytes      int // longest text, topic or reason; 4096
	Members        int // members of the server; 10000, negative means any number, as in the next two
	Rooms          int // rooms at one time; 1000
	RoomsPerMember int // rooms one member is in; 10

	// Conns is how many connections there are at one time, joined or not; twice Members. Handshakes is
	// how many of them have not joined; 1000. One more makes the oldest of them go, of the address that has most.
	// ConnsPerAddr is how many of them come from one address, and ConnRatePerAddr how many new ones in a minute; 20
	// and 60. One address is an IPv4 address or an IPv6 network of 64 bits; see WithExempt. Whoever comes
	// without an IP address is not limited by it. Negative means any number.
	Conns           int
	Handshakes      int
	ConnsPerAddr    int
	ConnRatePerAddr int

	// MessageRate is how many messages one member may send in a second on the long run, and MessageBurst how
	// many at once: 5 and 10. Private messages, topics and questions (VerbWho, VerbHistory and the like) count
	// too. MoveRate and MoveBurst are for joining and leaving rooms and changing the nick: 1 and 10; all members
	// from one address together have five times that. Who tries ten times as much, or sends as many bytes as that could be, is ended with ErrFlooding. A negative rate means no limit. Clients in process have none.
	MessageRate  float64
	MessageBurst int
	MoveRate     float64
	MoveBurst    int
	// RateUpTo is the highest role these rates are for. The zero value is RoleMember, and exempts
	// moderators and admins.
	RateUpTo Role

	// History is how many messages a room keeps for those who join, as far as HistoryBytes allow; 50, negative means none.
	// Joins, leaves and the like in between are kept too, at most ten for each message.
	History int
	// HistoryBytes is about how many bytes of events a room keeps at most for those who join, and
	// at least for those who come back after a lost connection; 1 MiB.
	HistoryBytes int
	// WelcomeMembers is up to how many members a welcome lists all of them; 200. In a larger room it lists a
	// few. VerbWho lists all.
	WelcomeMembers int
	// Notices is how many joins and leaves a second a room is told one by one; 20, negative means
	// all. Of more at a time it is told together, in a KindCrowd twice a second.
	Notices int

	Sniff     time.Duration // silence after which a front that speaks first does so; 300 ms
	Handshake time.Duration // time from the beginning to the first attempt to join, and for each further one; 10 s
	Idle      time.Duration // silence after which a member is sent a ping; 30 s
	Pong      time.Duration // silence after a ping that ends the connection; 10 s
	Write     time.Duration // time in which a peer must take some of what it is sent; 5 s
	Callback  time.Duration // time an Authenticator, a BanStore or AddrOf has; 5 s
	Filter    time.Duration // time a Filter has; 1 s
	Linger    time.Duration // time in which a lost connection can be resumed; 30 s, negative means none

	// A busy room brings what is said in it to its members in rounds, FlushMin apart at least, and at most
	// FlushMax after the last one; 0 and 30 ms, and a negative FlushMax means at once.
	FlushMin, FlushMax time.Duration

	// Lag is how many bytes a member may be behind its room, and how many may wait for it alone;
	// 1 MiB. Past it the member is cut off with ErrTooSlow.
	Lag int
}

func (l Limits) withDefaults() Limits {
	set(&l.LineBytes, 8<<10)
	set(&l.TextBytes, 4<<10)
	for _, rate := range []*float64{&l.MessageRate, &l.MoveRate} {
		switch {
		case math.IsNaN(*rate):
			*rate = 0
		case math.IsInf(*rate, 1): // which JSON has not
			*rate = -1
		}
	}
	setUnlessNone(&l.Members, 10_000)
	setUnlessNone(&l.Rooms, 1000)
	setUnlessNone(&l.RoomsPerMember, 10)
	setUnlessNone(&l.History, 50)
	setUnlessNone(&l.Conns, 2*l.Members)
	setUnlessNone(&l.Handshakes, 1000)
	setUnlessNone(&l.ConnsPerAddr, 20)
	setUnlessNone(&l.ConnRatePerAddr, 60)
	setUnlessNone(&l.MessageRate, 5)
	set(&l.MessageBurst, 10)
	setUnlessNone(&l.MoveRate, 1)
	set(&l.MoveBurst, 10)
	set(&l.HistoryBytes, 1<<20)
	if most := l.HistoryBytes / leastCost; l.History > most { // a room has a place for each
		l.History = max(most, 1)
	}
	set(&l.WelcomeMembers, 200)
	setUnlessNone(&l.Notices, 20)
	set(&l.Sniff, 300*time.Millisecond)
	set(&l.Handshake, 10*time.Second)
	set(&l.Idle, 30*time.Second)
	set(&l.Pong, 10*time.Second)
	set(&l.Write, 5*time.Second)
	set(&l.Callback, 5*time.Second)
	set(&l.Filter, time.Second)
	setUnlessNone(&l.Linger, 30*time.Second)
	setUnlessNone(&l.FlushMax, 30*time.Millisecond)
	set(&l.Lag, 1<<20)
	return l
}

// wire returns the limits a member with that role has to know.
func (l *Limits) wire(role Role) WireLimits {
	w := WireLimits{LineBytes: l.LineBytes, TextBytes: l.TextBytes, Idle: l.Idle}
	if role <= l.RateUpTo {
		w.MessageRate, w.MoveRate = max(l.MessageRate, 0), max(l.MoveRate, 0)
	}
	if w.MessageRate > 0 {
		w.MessageBurst = l.MessageBurst
	}
	if w.MoveRate > 0 {
		w.MoveBurst = l.MoveBurst
	}
	return w
}

func set[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

func setUnlessNone[T int | float64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// An Option configures a server in New.
type Option func(*config)

type config struct {
	limits Limits
	home   string   // the default room
	fixed  []string // other rooms that are always there
	// fixedOnly says that there are no rooms but home and fixed.
	fixedOnly bool
	motd      string
	auth      Authenticator
	bans      BanStore
	fronts    []Front
	log       *slog.Logger

	filters   []FilterStep
	reserved  []string
	failOpen  bool // who cannot be looked up among the bans comes in
	plaintext bool // secrets may come in the clear
	exempt    []netip.Prefix
	addrOf    func(net.Conn) netip.Addr // nil: as the connection says
}

// WithLimits sets the server's numbers; fields left zero have their defaults.
func WithLimits(l Limits) Option { return func(c *config) { c.limits = l } }

// WithRoom names the default room, the one a member joins who names none; "lobby" without it.
func WithRoom(name string) Option {
	return func(c *config) {
		if name != "" {
			c.home = name
		}
	}
}

// WithFixedRooms makes these rooms and the default one the only ones there are. Without it a room
// comes into being when somebody joins it, and is forgotten when the last member leaves.
func WithFixedRooms(names ...string) Option {
	return func(c *config) { c.fixed, c.fixedOnly = names, true }
}

// WithMOTD sets the message of the day, which a member is shown once, on joining the server. It may
// have several lines.
func WithMOTD(text string) Option { return func(c *config) { c.motd = text } }

// WithAuthenticator sets who decides who may join; nil leaves the default, OpenDoor.
func WithAuthenticator(a Authenticator) Option {
	return func(c *config) {
		if a != nil {
			c.auth = a
		}
	}
}

// WithBanStore sets where bans are kept; nil leaves the default, a MemoryBans.
func WithBanStore(s BanStore) Option {
	return func(c *config) {
		if s != nil {
			c.bans = s
		}
	}
}

// WithFronts sets the protocols a connection may speak, in the order they are asked. Without it
// they are JSONFront and then a TextFront whose Home is the default room.
func WithFronts(fronts ...Front) Option {
	return func(c *config) {
		if len(fronts) > 0 {
			c.fronts = fronts
		}
	}
}

// WithLogger sets where the server logs; nil leaves the default, which discards.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) {
		if l != nil {
			c.log = l
		}
	}
}

// A FilterStep is a place in the chain of filters.
type FilterStep struct {
	Name   string // in the audit, in Stats and in logs
	Filter Filter
	// Dry says that the filter's verdicts are counted, and some of them audited, but not carried
	// out.
	Dry bool
	// UpTo is the highest role that is reviewed. The zero value is RoleMember, and exempts
	// moderators and admins.
	UpTo Role
}

// WithFilter adds a filter behind those that are there: what members say passes them in that
// order, and the first that does more than allow or rewrite decides. A step without a Filter adds
// none.
func WithFilter(step FilterStep) Option {
	return func(c *config) {
		if step.Filter != nil {
			c.filters = append(c.filters, step)
		}
	}
}

// WithReservedNicks sets the nicks that only somebody with the account of that name may have, in
// every spelling that looks like them; see ReservedNick. Without it they are ReservedNicks().
// Clients in process may have any.
func WithReservedNicks(nicks ...string) Option {
	return func(c *config) { c.reserved = nicks }
}

// WithFailOpen lets people in when the BanStore does not answer. Without it they are turned away
// with ErrUnavailable until it does.
func WithFailOpen() Option { return func(c *config) { c.failOpen = true } }

// WithExempt takes these addresses out of the limits for one address: ConnsPerAddr, ConnRatePerAddr, and
// what all members from one may move. It is for this machine while something is tried out, or for a
// proxy behind which everybody has its address.
func WithExempt(addrs ...netip.Prefix) Option {
	return func(c *config) { c.exempt = append(c.exempt, addrs...) }
}

// WithAddrOf sets who knows better than a connection's RemoteAddr where its peer is, as a WebSocket's
// handler may. Bans, limits, logs and Authenticators go by what f returns; the zero Addr means that it does not
// know. It is called once for each connection, and one for which it takes longer than Limits.Callback is closed; see ProxyListener, too.
func WithAddrOf(f func(net.Conn) netip.Addr) Option {
	return func(c *config) { c.addrOf = f }
}

// WithPlaintextSecrets lets passwords and tokens come over connections that others can read.
// Without it a secret is taken over TLS, a Unix socket or from this machine only.
func WithPlaintextSecrets() Option { return func(c *config) { c.plaintext = true } }
