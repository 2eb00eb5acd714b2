package chatroom

import "context"

// A Front speaks one wire protocol: it turns what a connection sends into commands, and events
// into bytes. The server holds one Front for all its connections, so a Front's methods are
// called from many goroutines.
//
// A connection is one goroutine, in Serve: it does the handshake with ReadLine or Read and Write,
// calls Join, and then hands what it reads to Send until reading fails, best by Conn.Continue. From Join on, everything
// that goes out comes from the member's place in the log: Serve writes nothing by itself but
// gives answers to Reply.
type Front interface {
	// Name is what logs and AuthRequest.Front call it.
	Name() string
	// Detect judges a connection by the first bytes its peer sent, without consuming them.
	// Nothing at all (first is empty) means the peer has been silent for Limits.Sniff. A front that takes
	// such a peer is not given one that begins another protocol, such as HTTP, TLS or SSH.
	Detect(first []byte) Detection
	// Serve holds the conversation and returns when it is over: the error from reading, or an
	// Error that tells a joined peer why the server hangs up; or what Conn.Continue returns. ctx is
	// that of ServeConn, or ends with the server; that the peer has gone shows in reading.
	Serve(ctx context.Context, c *Conn) error
}

// A Detection is a Front's judgement of a connection's first bytes.
type Detection int

// What a Front can say about first bytes.
const (
	NotMine  Detection = iota
	NeedMore           // could be, after more bytes; after a silence this counts as NotMine
	Mine
)

// An Encoder turns events into one wire format. An event in a room's order is encoded once for
// all members who read that format, so the result depends on the event alone.
//
// AppendEvent runs in a speaker's goroutine while others wait for the same format: it must not
// block, call the Server or keep e. Encoders are told apart with ==, so an Encoder is a pointer
// or a comparable value.
type Encoder interface {
	// AppendEvent appends e to dst and returns the result; nothing appended means the format has
	// nothing to say about e.
	AppendEvent(dst []byte, e *Event) []byte
}

// A JoinRequest is what a Front knows when its peer wants to join.
type JoinRequest struct {
	Nick    string
	Account string // empty means the account of the same name as the nick, if any
	Secret  string // a password or token; empty for none
	Room    string // empty means the server's default room
	ID      string // comes back as the welcome's ID

	// Resume asks for a session that outlives the connection: when that is lost the member lingers
	// for Limits.Linger, and a request with the Session of its welcome continues where it was.
	Resume  bool
	Session string // the token of a session to continue, whose member has had Nick; without one this is a new join
	// Seen is how far the peer has read its rooms. It receives what followed, after a KindGap where that is
	// not kept any more; in a new join too.
	Seen    []Seen
	Private uint64 // the last Event.Private the peer has received in Session
	// Attempt numbers the peer's attempts to continue Session. One with a lower number than another before is late, and
	// is refused as replaced: it takes nothing over. Zero is never late.
	Attempt uint64

	// Encoder writes what this member receives. It must not be nil.
	Encoder Encoder
	// Pings says that the peer answers a KindPing: after Limits.Idle of silence the server sends
	// one, and after Limits.Pong more it gives the peer up. Without it a silent peer stays as long as its
	// connection does, which TCP keep-alive watches.
	Pings bool
}
