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
	KindCrowd   Kind = "crowd"   // Crowd came in and left, too many at a time for a KindJoin and a KindLeave each
	KindNick    Kind = "nick"    // From is called Nick now
	KindTopic   Kind = "topic"   // From set the topic to Text
	KindDeleted Kind = "deleted" // in history: a message of From stood here until a moderator deleted it
)

// Events of moderation in a room's order. Act says what was done, From by whom, Nick to whom.
const (
	KindKick    Kind = "kick"    // Nick was kicked: it left, and may come back
	KindBan     Kind = "ban"     // Nick was banned: it left
	KindMute    Kind = "mute"    // Nick may not speak
	KindUnmute  Kind = "unmute"  // Nick may speak again
	KindSlow    Kind = "slow"    // members may say one thing every Act.Every; zero is as fast as they like
	KindLock    Kind = "lock"    // nobody may join the room; with Act.Accounts, only those with an account
	KindUnlock  Kind = "unlock"  // everybody may join the room
	KindRole    Kind = "role"    // Nick has the role Act.Role
	KindDelete  Kind = "delete"  // the messages with the numbers Act.Seqs are deleted
	KindRestore Kind = "restore" // and these are not deleted any more
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
	KindAct     Kind = "act"     // Act was done, for who gave it; no room of theirs was told
	KindPreview Kind = "preview" // Report says what an act would do; answers one with Preview
	KindBans    Kind = "bans"    // Report.Bans; answers VerbBans
	KindActs    Kind = "acts"    // Report.Acts; answers VerbActs
	KindHeld    Kind = "held"    // Report.Held waits for a moderator; answers VerbHeld
	KindGap     Kind = "gap"     // what has the numbers Gap.From to Gap.To in Room was missed and is gone
	KindHistory Kind = "history" // Report.Events; answers VerbHistory
	KindHold    Kind = "hold"    // Report.Held waits for a moderator since now: for the room's moderators
)

// Answer reports whether events of that kind only answer whoever asked: they come from Send and
// nowhere else.
func (k Kind) Answer() bool {
	switch k {
	case KindMembers, KindRooms, KindPong, KindPreview, KindBans, KindActs, KindHeld, KindHistory:
		return true
	}
	return false
}

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

	// Private numbers the events for this member alone that are told again after a lost connection:
	// 1 for a session's first, one more for each after it. Zero for all others.
	Private uint64

	// History is set by Receive, not by the server: the event happened before this member joined.
	History bool
	// Again says that the command was carried out before, and the event is what it led to then.
	Again bool

	Act     *Act         // in events of moderation
	Report  *Report      // in KindPreview, KindBans, KindActs, KindHeld and KindHold
	Welcome *Welcome     // in KindWelcome
	Members []MemberInfo // in KindMembers
	Rooms   []RoomInfo   // in KindRooms
	Gap     *Gap         // in KindGap
	Crowd   *Crowd       // in KindCrowd
	Err     *Error       // in KindError and KindBye
}

// A Gap is a range of numbers that are missing: of a room's events, or, if the event names no
// room, of those for the member alone.
type Gap struct{ From, To uint64 }

// A Crowd is who came in and who left during a storm. Whoever did both is in neither list. A welcome
// may have listed some of Joined already.
type Crowd struct {
	// Joined and Left name all, or in a room of more than Limits.WelcomeMembers a few.
	Joined, Left []MemberInfo
	// How many they are.
	JoinedCount, LeftCount int
	// Count is how many are in the room now.
	Count int
}

// Seen is how far a member has read a room.
type Seen struct {
	Room  string `json:"room"`
	Epoch string `json:"epoch"` // of the room, from its welcome
	Seq   uint64 `json:"seq"`   // of the last event received
}

// Ordered reports whether e has a place in its room's order.
func (e *Event) Ordered() bool { return e.Seq != 0 }

// An Act is what a moderator, the program or a filter has done.
type Act struct {
	ID       string        // for VerbUndo, and in the audit
	Verb     Verb          // what was done
	Target   string        // in KindAct: what a ban is on, as VerbBan takes it
	Reason   string        // as the one it hits is told
	Until    time.Time     // when it ends by itself; zero means never
	Every    time.Duration // in KindSlow
	Accounts bool          // in KindLock
	Role     Role          // in KindRole
	Seqs     []uint64      // in KindDelete and KindRestore
	Undoes   string        // the acts that this one takes back, with spaces between them
}

// A Report is what a moderator has asked for.
type Report struct {
	Bans  []Ban        // newest first
	Acts  []Audit      // newest first
	Held  []Held       // oldest first
	Count int          // how many there are; the list may be cut short
	Hits  []MemberInfo // in KindPreview: who would be hit now
	Left  []MemberInfo // in KindPreview: who would have been hit, of those who left lately
	Notes []string     // in KindPreview: what it would not stop, and what it needs Force for

	Events []Event // in KindHistory: oldest first; Count is how many the room keeps
}

// Held is a message that waits for a moderator.
type Held struct {
	ID     string    `json:"ref"` // for VerbApprove and VerbReject
	Time   time.Time `json:"time"`
	Room   string    `json:"room"`
	From   string    `json:"from"`
	Verb   Verb      `json:"verb"` // VerbSay or VerbAction
	Text   string    `json:"text"`
	Filter string    `json:"filter"` // which filter holds it
	Reason string    `json:"reason,omitempty"`
}

// Welcome is what a member finds in a room it has joined. It holds the state as of the sequence
// number Seq, which is the member's own KindJoin unless that is told later, in a KindCrowd. Events
// before Seq that follow are history.
type Welcome struct {
	Seq     uint64 // the sequence number of the first event that is new to the member
	History int    // how many events before Seq follow
	Epoch   string // changes when the server's memory of the room is lost
	Topic   string
	// Members are those in the room, this one included, if there are no more than Limits.WelcomeMembers,
	// or else a few of them; Count is how many there are.
	Members []MemberInfo
	Count   int
	MOTD    string // the message of the day; only in a connection's first welcome
	// Session is the token with which a lost connection can be resumed; only in a session's first
	// welcome, for those who asked for one.
	Session string
	// Resumed says that the member was in the room all the time; the History events before the
	// latest that follow are those it has not seen.
	Resumed bool
	Role    Role // the member's own
	Limits  WireLimits
}

// WireLimits are the limits a member has to know.
type WireLimits struct {
	LineBytes int           // longest line a front takes, with its end
	TextBytes int           // longest text
	Idle      time.Duration // silence after which the server sends a ping

	// How fast this member may speak and move: a second on the long run, and at once. See
	// Limits.MessageRate; zero means no limit.
	MessageRate, MoveRate   float64
	MessageBurst, MoveBurst int
}

// MemberInfo is one member as others see it.
type MemberInfo struct {
	Nick   string `json:"nick"`
	Member uint64 `json:"member"` // the number Event.Member refers to
	Role   Role   `json:"role"`
	// Lingering says that the member's connection is lost, and it has a while to come back.
	Lingering bool `json:"lingering,omitempty"`
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
	VerbHistory Verb = "history" // KindHistory: up to Count events of Room, before Before or after After
	VerbQuit    Verb = "quit"    // KindBye: leave everything; Text says why
)

// What moderators can ask for: members with RoleModerator or more, and the program with
// Server.Moderate. Each has a Reason, which is told to whom it hits and to the room. None
// works on somebody of the same or a higher role. Where a kind of event is given and no room of
// the moderator's is concerned, it is KindAct instead.
const (
	VerbKick    Verb = "kick"    // KindKick: end the member Nick, who may come back
	VerbBan     Verb = "ban"     // KindBan: keep the person called Nick out, or Target, for For
	VerbUnban   Verb = "unban"   // KindAct: remove bans, by Ref, Nick or Target
	VerbAllow   Verb = "allow"   // KindAct: no ban or mute is on Nick, or Target, for For
	VerbBans    Verb = "bans"    // KindBans: the bans; with Nick or Target, those on it
	VerbMute    Verb = "mute"    // KindMute: let Nick, or Target, say nothing, for For
	VerbUnmute  Verb = "unmute"  // KindUnmute: remove mutes, by Ref, Nick or Target
	VerbSlow    Verb = "slow"    // KindSlow: let members of Room say one thing every Every, for For
	VerbLock    Verb = "lock"    // KindLock: let nobody new into Room, or with Accounts no guests, for For
	VerbUnlock  Verb = "unlock"  // KindUnlock: let everybody into Room
	VerbPromote Verb = "promote" // KindRole: give Nick the role Role for this session; for admins
	VerbDemote  Verb = "demote"  // KindRole: take Nick's role down to Role for this session; for admins
	VerbDelete  Verb = "delete"  // KindDelete: delete the message Seq, or the last Count of Nick's, in Room
	VerbClear   Verb = "clear"   // KindDelete: delete all that Nick said lately, in Room
	VerbUndo    Verb = "undo"    // KindAct: take back the act Ref, all of Nick's in the last For, or your last
	VerbActs    Verb = "acts"    // KindActs: the latest acts; with Nick, those by Nick
	VerbHeld    Verb = "held"    // KindHeld: the messages that wait for a moderator
	VerbApprove Verb = "approve" // KindAct: let the held message Ref be said
	VerbReject  Verb = "reject"  // KindAct: drop the held message Ref
)

// A Command is something a member asks for. An empty Room means the one room the member is in;
// with several it must be named.
type Command struct {
	Verb Verb
	ID   string // comes back as Event.ID; at most 64 bytes, printable ASCII; may be empty
	Room string
	Nick string
	Text string

	// Of VerbHistory: sequence numbers; with neither, the latest events. Count is 50 if it is zero, and
	// at most 500.
	Before, After uint64

	// Of VerbJoin, for a member that was in Room before: how far it has read it then. It receives what
	// followed, after a KindGap where that is not kept any more, and not what is shown to somebody new.
	// Other rooms, and Room in another epoch, do not count.
	Seen []Seen

	// For moderators.
	Target   string        // of a ban, a mute or an allowance: see ParseTarget; Nick means the person
	Reason   string        // told to whom it hits
	Note     string        // for moderators alone: in the audit, and with a ban, a mute or an allowance
	For      time.Duration // how long it lasts; zero means for ever
	Every    time.Duration // of VerbSlow; zero ends it
	Ref      string        // the id of an act, a ban or a held message
	Seq      uint64        // of the message VerbDelete is for
	Count    int           // how many messages VerbDelete is for; zero means one; see VerbHistory too
	Role     Role          // of VerbPromote and VerbDemote; VerbPromote takes zero for RoleModerator
	Accounts bool          // of VerbLock: those with an account may still come
	Preview  bool          // of VerbBan, VerbMute and VerbAllow: tell whom it would hit and do nothing
	Force    bool          // of VerbBan and VerbMute: even if it hits yourself, or most of those here
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

// History returns the command that asks for up to count events of room before the number before, or
// for the latest if that is zero.
func History(room string, before uint64, count int) Command {
	return Command{Verb: VerbHistory, Room: room, Before: before, Count: count}
}

// Quit returns the command that leaves everything, giving reason.
func Quit(reason string) Command { return Command{Verb: VerbQuit, Text: reason} }

// Kick returns the command that ends the member nick, who is told reason and may come back.
func Kick(nick, reason string) Command { return Command{Verb: VerbKick, Nick: nick, Reason: reason} }

// BanPerson returns the command that bans the person called nick for d, or for ever if d is zero.
func BanPerson(nick string, d time.Duration, reason string) Command {
	return Command{Verb: VerbBan, Nick: nick, For: d, Reason: reason}
}

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
	Account string // the account behind the nick, without control characters; empty for a guest
	Role    Role
}
