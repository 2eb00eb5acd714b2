// Package filters is the automatic moderation that comes with the library: Words, Repetition and
// Links review what is said, Strikes makes each next offence cost more, and Chain makes one filter
// of several. Each is a chatroom.Filter.
//
// A server is given them one by one, each with a name for the audit, as in
//
//	words, err := filters.Words("words.txt")
//	...
//	chatroom.WithFilter(chatroom.FilterStep{Name: "words", Filter: words})
//
// where FilterStep.Dry lets one run without doing anything, to see what it would have done, and
// FilterStep.UpTo says up to which role people are reviewed. Strikes counts what it is put around, so
// what shall share one ladder goes into one Chain:
//
//	all := filters.Chain(words, filters.Links(filters.LinkLimits{}), filters.Repetition(filters.RepetitionLimits{}))
//	chatroom.WithFilter(chatroom.FilterStep{Name: "moderation", Filter: filters.Strikes(all, filters.Ladder{})})
//
// Private messages are reviewed as everything else is, but no verdict on one quotes it: what
// verdicts hold goes into the audit.
//
// # Who is one person
//
// Repetition and Strikes remember people: an account is one, whatever its nick and wherever it comes from. A guest is its address, an IPv6 one
// its /64, so a new nick is no new person; people who share an address are one. Behind a proxy that hides
// addresses, give ServeConn connections that tell the real one, or all guests are one person.
// Guests without an address, which are in process or on a pipe, are their nicks.
//
// # What it costs
//
// The filters have no goroutines and may be used from any number of them. Time is Draft.Time alone, and expiry is
// arithmetic when somebody says something. Each filter remembers the 10,000 people it heard of
// last; who is heard of after them takes the place of the one longest silent. No verdict is for longer than 30 days,
// but for what Strikes and Chain pass on from a filter of another package.
package filters

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/chatroom"
)

const (
	maxFor     = 30 * 24 * time.Hour
	defaultFor = time.Hour // what chatroom.Verdict makes of no duration
)

// mildToHarsh are the decisions in order.
var mildToHarsh = []chatroom.Decision{
	chatroom.DecisionAllow, chatroom.DecisionRewrite, chatroom.DecisionHold, chatroom.DecisionRefuse,
	chatroom.DecisionMute, chatroom.DecisionKick, chatroom.DecisionBan,
}

// A Step is what somebody gets.
type Step struct {
	Decision chatroom.Decision
	For      time.Duration // with DecisionMute and DecisionBan; zero means an hour
}

func (s Step) lasts() bool {
	return s.Decision == chatroom.DecisionMute || s.Decision == chatroom.DecisionBan
}

// bounded returns s with a duration where one belongs, and an end.
func (s Step) bounded() Step {
	switch {
	case !s.lasts():
		s.For = 0
	case s.For <= 0:
		s.For = defaultFor
	default:
		s.For = min(s.For, maxFor)
	}
	return s
}

func (s Step) harsher(than Step) bool {
	a, b := slices.Index(mildToHarsh, s.Decision), slices.Index(mildToHarsh, than.Decision)
	if a != b {
		return a > b
	}
	return s.bounded().For > than.bounded().For
}

// howLong says d to people.
func howLong(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		from time.Duration // shorter ones are said in the next unit
		name string
	}{
		{24 * time.Hour, 48 * time.Hour, "day"},
		{time.Hour, time.Hour, "hour"},
		{time.Minute, time.Minute, "minute"},
		{time.Second, 0, "second"},
	} {
		n := (d + unit.of - 1) / unit.of
		if d < unit.from || d%unit.of != 0 && unit.of != time.Second && d < 10*unit.of {
			continue
		}
		if n == 1 {
			return "1 " + unit.name
		}
		return fmt.Sprintf("%d %ss", n, unit.name)
	}
	return d.String() // not reached: everything is some seconds
}

const maxQuote = 80 // bytes

// quote returns what was said as evidence, unless it was said in private.
func quote(d chatroom.Draft, said string) string {
	if d.Verb == chatroom.VerbPrivate {
		return "something private"
	}
	if len(said) > maxQuote {
		end := maxQuote
		for end > maxQuote-utf8.UTFMax && !utf8.RuneStart(said[end]) {
			end--
		}
		said = said[:end] + "…"
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(said, "�"))
}
