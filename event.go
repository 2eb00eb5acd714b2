package chatroom

import (
	"fmt"
	"time"
)

// A Kind says what an Event is. Its text is the event's type on the wire.
type Kind string

// Events in a room's order: each takes the room's next sequence number, and every member of the
// room receives it.
const (
	KindMessage Kind = "message" // From said Text
	KindAction  Kind = "action"  // From did Text, as in "/me waves"
	KindNotice  Kind = "notice"  // the server says Text; to one member alone when Seq is zero
	KindJoin    Kind = "join"    // From came in
	KindLeave   Kind = "leave"   // From left; Text says why
	KindNick    Kind = "nick"    // From is called Nick now
	KindTopic   Kind = "topic"   // From set the topic to Text
)

// Events for one member alone; their sequence number is zero.
const (
	KindWelcome Kind = "welcome" // the member is in Room; Welcome says what it finds there
	KindPrivate Kind = "private" // From tells Nick something; both receive it
	KindMembers Kind = "members" // who is in Room; answers VerbWho
	KindRooms   Kind = "rooms"   // which rooms there are; answers VerbRooms
	KindPong    Kind = "pong"    // answers VerbPing
	KindPing    Kind = "ping"    // the server asks for a sign of life
	KindError   Kind = "error"   // the command ID was refused; Err says why
	KindBye     Kind = "bye"     // the last event of a connection; Err says why it ends
)

// An Event is something that happened in a room, or something said to one member.
//
// An Event is a value, shared by all who receive it: what its pointers and slices hold must not
// be changed.
type Event struct {
	Kind Kind
	// Seq is the event's place in its room's order: 1 for the room's first event, one more for
	// each after it. Zero for events that are for one member alone.
	Seq  uint64
	Time time.Time // when the server ordered it
	// ID is the id of the command this comes from, chosen by the member who sent it. Anybody can
	// choose anything: an id means something only together with Member.
	ID     string
	Room   string
	From   string // who did it, by the nick of that moment; empty for the server
	Member uint64 // the number of who did it, which outlives renames; zero for the server
	Nick   string // whom it concerns: the new nick in KindNick, the recipient in KindPrivate
	Text   string // what was said, the topic, or the reason

	// History is set by Receive, not by the server: the event happened before this member joined.
	History bool

	Welcome *Welcome     // in KindWelcome
	Members []MemberInfo // in KindMembers
	Rooms   []RoomInfo   // in KindRooms
	Err     *Error       // in KindError and KindBye
}

// Ordered reports whether e has a place in its room's order.
func (e *Event) Ordered() bool { return e.Seq != 0 }

// Welcome is what a member finds in a room it has joined. It holds the state as of the sequence
// number Seq, the member's own KindJoin event. Events up to Seq that follow are history.
type Welcome struct {
	Seq     uint64 // the sequence number of the member's own join
	History int    // how many events before Seq follow
	Epoch   string // changes when the server's memory of the room is lost
	Topic   string
	// Members are those in the room, this one included, at most Limits.WelcomeMembers of them;
	// Count is how many there are.
	Members []MemberInfo
	Count   int
	MOTD    string // the message of the day; only in a connection's first welcome
	Role    Role   // the member's own
	Limits  WireLimits
}

// WireLimits are the limits a member has to know.
type WireLimits struct {
	LineBytes int           // longest line a front takes, with its end
	TextBytes int           // longest text
	Idle      time.Duration // silence after which the server sends a ping
}

// MemberInfo is one member as others see it.
type MemberInfo struct {
	Nick   string
	Member uint64 // the number Event.Member refers to
	Role   Role
}

// RoomInfo is one room as others see it.
type RoomInfo struct {
	Room    string
	Topic   string
	Members int
}

// A Verb says what a Command does. Its text is the command's type on the wire.
type Verb string

// What a member can ask for, and the kind of event that Send returns for it.
const (
	VerbSay     Verb = "say"     // KindMessage: say Text in Room
	VerbAction  Verb = "action"  // KindAction: do Text in Room, as in "/me waves"
	VerbPrivate Verb = "private" // KindPrivate: tell Nick Text
	VerbNick    Verb = "nick"    // KindNick: be called Nick
	VerbJoin    Verb = "join"    // KindWelcome: join Room as well
	VerbLeave   Verb = "leave"   // KindLeave: leave Room; Text says why
	VerbTopic   Verb = "topic"   // KindTopic: set Room's topic to Text; empty clears it
	VerbWho     Verb = "who"     // KindMembers: who is in Room
	VerbRooms   Verb = "rooms"   // KindRooms: which rooms there are
	VerbRoom    Verb = "room"    // KindRooms: Room alone, with its topic
	VerbPing    Verb = "ping"    // KindPong: a sign of life
	VerbQuit    Verb = "quit"    // KindBye: leave everything; Text says why
)

// A Command is something a member asks for. An empty Room means the one room the member is in;
// with several it must be named.
type Command struct {
	Verb Verb
	ID   string // comes back as Event.ID; at most 64 bytes, printable ASCII; may be empty
	Room string
	Nick string
	Text string
}

// Say returns the command that says text in room; an empty room is the only one joined.
func Say(room, text string) Command { return Command{Verb: VerbSay, Room: room, Text: text} }

// Action returns the command that does text in room, as "/me" does.
func Action(room, text string) Command { return Command{Verb: VerbAction, Room: room, Text: text} }

// Private returns the command that tells nick something nobody else receives.
func Private(nick, text string) Command { return Command{Verb: VerbPrivate, Nick: nick, Text: text} }

// Rename returns the command that changes the sender's nick.
func Rename(nick string) Command { return Command{Verb: VerbNick, Nick: nick} }

// JoinRoom returns the command that joins another room.
func JoinRoom(room string) Command { return Command{Verb: VerbJoin, Room: room} }

// LeaveRoom returns the command that leaves room, giving reason.
func LeaveRoom(room, reason string) Command {
	return Command{Verb: VerbLeave, Room: room, Text: reason}
}

// Topic returns the command that sets the topic of room.
func Topic(room, text string) Command { return Command{Verb: VerbTopic, Room: room, Text: text} }

// Who returns the command that asks who is in room.
func Who(room string) Command { return Command{Verb: VerbWho, Room: room} }

// Quit returns the command that leaves everything, giving reason.
func Quit(reason string) Command { return Command{Verb: VerbQuit, Text: reason} }

// A Role is what a member may do. A higher one may do all that a lower one may.
type Role int8

// The roles.
const (
	RoleMember Role = iota
	RoleModerator
	RoleAdmin
)

var roleNames = [...]string{"member", "moderator", "admin"}

// String returns the role's name as it goes on the wire.
func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return fmt.Sprintf("role(%d)", int8(r))
	}
	return roleNames[r]
}

// MarshalText returns the role's name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText takes a role's name.
func (r *Role) UnmarshalText(b []byte) error {
	for i, name := range roleNames {
		if string(b) == name {
			*r = Role(i)
			return nil
		}
	}
	return fmt.Errorf("chatroom: no role is called %q", b)
}

// An Identity is who a member is, as an Authenticator found or a host says.
type Identity struct {
	Nick    string // 1 to 32 characters; see ValidNick
	Account string // the account behind the nick; empty for a guest
	Role    Role
}
