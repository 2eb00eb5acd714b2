package chatroom

import (
	"time"
)

// A Source says what kind of thing acted.
type Source string

// Who acts.
const (
	SourceMember Source = "member" // a member, with a line or a Client's Send
	SourceServer Source = "server" // the program, with Server.Moderate
	SourceFilter Source = "filter" // a filter's verdict
)

// An Audit is the record of one act: who did what to whom, why and until when. It holds no
// password and nothing said in private.
type Audit struct {
	Seq     uint64    `json:"seq"` // 1 for the server's first act, one more for each after it
	ID      string    `json:"id"`  // the act's, for VerbUndo; short, unique, printable ASCII
	Time    time.Time `json:"time"`
	Verb    Verb      `json:"verb"` // what was done
	Source  Source    `json:"source"`
	By      string    `json:"by,omitempty"`      // the nick of who did it, or the name of the filter
	Account string    `json:"account,omitempty"` // the account of who did it
	Room    string    `json:"room,omitempty"`    // where, if it concerns one room
	Target  string    `json:"target,omitempty"`  // whom or what: a nick, or a ban's target
	Reason  string    `json:"reason,omitempty"`
	Note    string    `json:"note,omitempty"`
	Text    string    `json:"text,omitempty"`  // the topic that was set, or the text that a filter put in place of another
	Role    string    `json:"role,omitempty"`  // the role that was given
	Until   time.Time `json:"until,omitzero"`  // when it ends by itself
	Every   float64   `json:"every,omitempty"` // slow mode: seconds between two messages of a member
	Undoes  string    `json:"undoes,omitempty"`

	// Bans are what was stored, or removed.
	Bans []Ban `json:"bans,omitempty"`
	// Hit are those it was done to, as far as they were there.
	Hit []MemberInfo `json:"hit,omitempty"`
	// Messages are those it is about: deleted, held, or reviewed by a filter. None is private.
	Messages []Event `json:"messages,omitempty"`

	// What a filter says about its verdict.
	Rule     string  `json:"rule,omitempty"`
	Score    float64 `json:"score,omitempty"`
	Evidence string  `json:"evidence,omitempty"`
	Dry      bool    `json:"dry,omitempty"` // the filter runs dry: nothing was done
}
