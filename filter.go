package chatroom

import (
	"context"
	"net/netip"
	"time"
)

// A Filter reviews what members want to say before a room orders it. It runs in the speaker's
// goroutine, outside every lock, with a context that ends after Limits.Filter, and is called from
// many goroutines. It never acts by itself: its Verdict says what the server shall do. A Filter
// that fails, panics or is late abstains.
type Filter interface {
	Review(ctx context.Context, d Draft) (Verdict, error)
}

// A FilterFunc is a function that is a Filter.
type FilterFunc func(ctx context.Context, d Draft) (Verdict, error)

// Review calls f.
func (f FilterFunc) Review(ctx context.Context, d Draft) (Verdict, error) { return f(ctx, d) }

// A Draft is something a member wants to say.
type Draft struct {
	Verb Verb   // VerbSay, VerbAction, VerbTopic, VerbPrivate, VerbLeave or VerbQuit
	Room string // empty for VerbPrivate, and for VerbQuit from several rooms
	To   string // the nick a VerbPrivate is for
	Text string // as the filters before this one left it
	Time time.Time

	// Who wants to say it.
	Nick    string
	Member  uint64
	Account string // empty for a guest
	Role    Role
	Addr    netip.Addr // the zero Addr in process
	Joined  time.Time
}

// A Decision is what a Verdict comes to.
type Decision string

// The decisions. The empty Decision allows.
const (
	DecisionAllow   Decision = ""
	DecisionRewrite Decision = "rewrite" // Verdict.Text takes the place of the text; later filters review that
	DecisionRefuse  Decision = "refuse"  // the speaker is told Verdict.Reason
	DecisionHold    Decision = "hold"    // a moderator decides, with VerbApprove or VerbReject
	DecisionMute    Decision = "mute"    // refuse, and mute the speaker for Verdict.For
	DecisionKick    Decision = "kick"    // refuse, and kick the speaker
	DecisionBan     Decision = "ban"     // refuse, and ban the speaker for Verdict.For
)

// A Verdict is what a Filter says about a Draft. The zero Verdict allows it.
type Verdict struct {
	Decision Decision
	Text     string        // with DecisionRewrite; with DecisionHold what is held, if not the draft's text
	Reason   string        // for the speaker, and for the room where it concerns the room
	For      time.Duration // with DecisionMute and DecisionBan: how long. Zero means an hour: a filter gives nothing for ever

	// For the audit.
	Rule     string  // which rule decided
	Score    float64 // how sure it is, on the filter's own scale
	Evidence string  // what it saw
}
