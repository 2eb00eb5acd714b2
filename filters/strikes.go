package filters

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/chatroom"
)

// A Ladder says what each strike costs. The zero Ladder has the defaults.
type Ladder struct {
	// Steps are what the first strike costs, the second, and so on; the last one is for all after
	// it, too. DecisionRefuse is a warning. By default: a warning, a mute of 10 minutes, a kick, a
	// ban of an hour, a ban of 24 hours. A mute or ban without a duration is for an hour, none for longer than 30 days; a
	// decision that is not one of refuse, mute, kick and ban counts as a warning.
	Steps []Step
	// Decay is the time after which one strike is forgotten, and after as long again the next; an
	// hour, and at most 30 days. It does not run while the mute or the ban lasts that the last strike brought.
	Decay time.Duration
}

func (l Ladder) withDefaults() Ladder {
	if len(l.Steps) == 0 {
		l.Steps = []Step{
			{Decision: chatroom.DecisionRefuse},
			{Decision: chatroom.DecisionMute, For: 10 * time.Minute},
			{Decision: chatroom.DecisionKick},
			{Decision: chatroom.DecisionBan, For: time.Hour},
			{Decision: chatroom.DecisionBan, For: 24 * time.Hour},
		}
	}
	l.Steps = slices.Clone(l.Steps)
	for i, s := range l.Steps {
		if !s.harsher(Step{Decision: chatroom.DecisionRefuse}) {
			s.Decision = chatroom.DecisionRefuse
		}
		l.Steps[i] = s.bounded()
	}
	if l.Decay <= 0 {
		l.Decay = time.Hour
	}
	l.Decay = min(l.Decay, maxFor)
	return l
}

// Strikes returns f with a ladder: every verdict of f that refuses, mutes, kicks or bans is a strike, and
// the ladder says what the strike costs. A verdict of f that is harsher than that stands. What f
// rewrites, holds or allows is no strike. The Reason is that of f, and says of a warning that it is one and what comes
// next. A strike counts whatever the server makes of the verdict, in a dry run as well.
func Strikes(f chatroom.Filter, l Ladder) chatroom.Filter {
	return &strikes{filter: f, ladder: l.withDefaults(), people: newPeople[record]()}
}

type strikes struct {
	filter chatroom.Filter
	ladder Ladder

	mu     sync.Mutex
	people *people[record]
}

// A record is what somebody has on the ladder.
type record struct {
	strikes int
	since   time.Time // the strikes decay from here on
}

func (s *strikes) Review(ctx context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
	v, err := s.filter.Review(ctx, d)
	given := Step{Decision: v.Decision, For: v.For}
	if err != nil || !given.harsher(Step{Decision: chatroom.DecisionHold}) {
		return v, err
	}
	n := s.strike(d, given)
	step := s.step(n)
	v.Rule = cmp.Or(v.Rule, "strikes")
	v.Reason = cmp.Or(v.Reason, "that is not allowed here")
	v.Evidence = joined(v.Evidence, fmt.Sprintf("strike %d", n))
	if given.harsher(step) {
		return v, nil
	}
	v.Decision, v.For = step.Decision, step.For
	if v.Decision == chatroom.DecisionRefuse {
		v.Reason += "; this is a warning" + s.comesNext(n)
	}
	return v, nil
}

// strike counts one more strike for who wants to say d, and returns how many that makes.
func (s *strikes) strike(d chatroom.Draft, given Step) int {
	who := s.people.hash(person(d))
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.people.at(who)
	if forgotten := d.Time.Sub(r.since) / s.ladder.Decay; forgotten > 0 {
		r.strikes = max(0, r.strikes-int(min(forgotten, time.Duration(r.strikes))))
	}
	r.strikes = min(r.strikes+1, len(s.ladder.Steps))
	step := s.step(r.strikes)
	if given.harsher(step) {
		step = given
	}
	if end := d.Time.Add(step.bounded().For); end.After(r.since) {
		r.since = end
	}
	return r.strikes
}

func (s *strikes) step(n int) Step { return s.ladder.Steps[n-1] }

// comesNext says what the strike after the nth costs.
func (s *strikes) comesNext(n int) string {
	if n == len(s.ladder.Steps) {
		return ""
	}
	next := s.step(n + 1)
	switch next.Decision {
	case chatroom.DecisionMute:
		return "; the next time you are muted for " + howLong(next.For)
	case chatroom.DecisionKick:
		return "; the next time you are kicked"
	case chatroom.DecisionBan:
		return "; the next time you are banned for " + howLong(next.For)
	}
	return "; so is the next one"
}
