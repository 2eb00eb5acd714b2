package filters_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
	"example.com/chatroom/filters"
)

// An act is what a verdict does.
type act struct {
	Decision chatroom.Decision
	For      time.Duration
}

func acts(t *testing.T, f chatroom.Filter, at ...time.Duration) []act {
	t.Helper()
	var got []act
	for _, by := range at {
		v := review(t, f, later(draft("spam"), by))
		got = append(got, act{v.Decision, v.For})
	}
	return got
}

var refusal = chatroom.Verdict{Decision: chatroom.DecisionRefuse, Reason: "no spam", Rule: "spam", Score: 0.5, Evidence: "it"}

func TestTheLadder(t *testing.T) {
	const m, h, day = time.Minute, time.Hour, 24 * time.Hour
	with := func(steps ...filters.Step) filters.Ladder { return filters.Ladder{Steps: steps} }
	tests := []struct {
		name   string
		f      chatroom.Verdict
		ladder filters.Ladder
		at     []time.Duration
		want   []act
	}{
		{
			"the default", refusal,
			filters.Ladder{},
			[]time.Duration{0, 0, 0, 0, 0, 0},
			[]act{{"refuse", 0}, {"mute", 10 * m}, {"kick", 0}, {"ban", h}, {"ban", day}, {"ban", day}},
		},
		{
			"whoever comes back after each", refusal,
			filters.Ladder{},
			[]time.Duration{0, m, 11 * m, 12 * m, 12*m + h, 12*m + h + day},
			[]act{{"refuse", 0}, {"mute", 10 * m}, {"kick", 0}, {"ban", h}, {"ban", day}, {"ban", day}},
		},
		{
			"decay", refusal,
			filters.Ladder{},
			[]time.Duration{0, m, 12 * m, 72 * m, 72*m + 3*h},
			[]act{{"refuse", 0}, {"mute", 10 * m}, {"kick", 0}, {"kick", 0}, {"refuse", 0}},
		},
		{
			"decay begins after a mute", refusal,
			filters.Ladder{},
			[]time.Duration{0, 0, 69 * m, 69*m + h},
			[]act{{"refuse", 0}, {"mute", 10 * m}, {"kick", 0}, {"kick", 0}},
		},
		{
			"a ban lasts longer than its strike", refusal,
			filters.Ladder{Decay: m},
			[]time.Duration{0, 0, 0, 0, h + 59*time.Second, h + day + 10*m},
			[]act{{"refuse", 0}, {"mute", 10 * m}, {"kick", 0}, {"ban", h}, {"ban", day}, {"refuse", 0}},
		},
		{"a clock set back", refusal, filters.Ladder{}, []time.Duration{0, -day}, []act{{"refuse", 0}, {"mute", 10 * m}}},
		{
			"harsher stands",
			chatroom.Verdict{Decision: "mute", For: 30 * m},
			filters.Ladder{},
			[]time.Duration{0, 0, 0, 0},
			[]act{{"mute", 30 * m}, {"mute", 30 * m}, {"kick", 0}, {"ban", h}},
		},
		{
			"an hour by default stands",
			chatroom.Verdict{Decision: "mute"},
			filters.Ladder{},
			[]time.Duration{0, 0, 0},
			[]act{{"mute", 0}, {"mute", 0}, {"kick", 0}},
		},
		{
			"a hold is no strike",
			chatroom.Verdict{Decision: "hold"},
			filters.Ladder{},
			[]time.Duration{0, 0, 0},
			[]act{{"hold", 0}, {"hold", 0}, {"hold", 0}},
		},
		{
			"a rewriting is no strike",
			chatroom.Verdict{Decision: "rewrite"},
			filters.Ladder{},
			[]time.Duration{0, 0},
			[]act{{"rewrite", 0}, {"rewrite", 0}},
		},
		{
			"nor what nobody knows",
			chatroom.Verdict{Decision: "tickle"},
			filters.Ladder{},
			[]time.Duration{0, 0},
			[]act{{"tickle", 0}, {"tickle", 0}},
		},
		{
			"nothing for ever", refusal, with(filters.Step{Decision: "ban", For: 1 << 62}, filters.Step{Decision: "mute"}, filters.Step{Decision: "ban", For: -1}, filters.Step{Decision: "kick", For: h}),
			[]time.Duration{0, 0, 0, 0},
			[]act{{"ban", 30 * day}, {"mute", h}, {"ban", h}, {"kick", 0}},
		},
		{
			"steps that are none", refusal, with(filters.Step{}, filters.Step{Decision: "hold"}, filters.Step{Decision: "tickle", For: h}),
			[]time.Duration{0, 0, 0},
			[]act{{"refuse", 0}, {"refuse", 0}, {"refuse", 0}},
		},
		{"one step", refusal, with(filters.Step{Decision: "kick"}), []time.Duration{0, 0}, []act{{"kick", 0}, {"kick", 0}}},
		{
			"decay without end has one", refusal,
			filters.Ladder{Decay: 1 << 62},
			[]time.Duration{0, 30 * day},
			[]act{{"refuse", 0}, {"refuse", 0}},
		},
	}
	for _, tt := range tests {
		f := tt.f
		f.Reason, f.Rule, f.Score, f.Evidence = "no spam", "spam", 0.5, "it"
		if diff := cmp.Diff(tt.want, acts(t, filters.Strikes(always(f), tt.ladder), tt.at...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestAWarningSaysWhatComesNext(t *testing.T) {
	warn := filters.Step{Decision: chatroom.DecisionRefuse}
	f := filters.Strikes(always(refusal), filters.Ladder{Steps: []filters.Step{
		warn, warn, {Decision: chatroom.DecisionMute, For: 90 * time.Second}, warn, {Decision: chatroom.DecisionKick}, warn, {Decision: chatroom.DecisionBan, For: 72 * time.Hour}, warn,
	}})
	want := []string{
		"no spam; this is a warning; so is the next one",
		"no spam; this is a warning; the next time you are muted for 90 seconds",
		"no spam",
		"no spam; this is a warning; the next time you are kicked",
		"no spam",
		"no spam; this is a warning; the next time you are banned for 3 days",
		"no spam",
		"no spam; this is a warning",
		"no spam; this is a warning",
	}
	for i, reason := range want {
		v := review(t, f, draft("spam"))
		if v.Reason != reason {
			t.Errorf("strike %d: %q, want %q", i+1, v.Reason, reason)
		}
		if want := fmt.Sprintf("it; strike %d", min(i+1, 8)); v.Evidence != want || v.Rule != "spam" || v.Score != 0.5 {
			t.Errorf("strike %d: %+v", i+1, v)
		}
	}
}

func TestStrikesSpeaksForAFilterThatSaysNothing(t *testing.T) {
	v, err := filters.Strikes(always(chatroom.Verdict{Decision: chatroom.DecisionRefuse}), filters.Ladder{}).Review(t.Context(), draft("x"))
	want := chatroom.Verdict{
		Decision: "refuse", Rule: "strikes", Evidence: "strike 1",
		Reason: "that is not allowed here; this is a warning; the next time you are muted for 10 minutes",
	}
	if diff := cmp.Diff(want, v); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestAnErrorIsNoStrike(t *testing.T) {
	wrong := errors.New("wrong")
	fails := true
	f := filters.Strikes(chatroom.FilterFunc(func(context.Context, chatroom.Draft) (chatroom.Verdict, error) {
		if fails {
			return refusal, wrong
		}
		return refusal, nil
	}), filters.Ladder{})
	if _, err := f.Review(t.Context(), draft("x")); err != wrong {
		t.Errorf("%v", err)
	}
	fails = false
	if v := review(t, f, draft("x")); v.Decision != chatroom.DecisionRefuse {
		t.Errorf("%+v", v)
	}
}

func TestStrikesMemoryIsBounded(t *testing.T) {
	f := filters.Strikes(always(refusal), filters.Ladder{})
	for i := range 100_000 {
		review(t, f, from(i, "x"))
	}
	if n := filters.PeopleIn(f); n != filters.MaxPeople {
		t.Errorf("%d people", n)
	}
	if v := review(t, f, from(99_999, "x")); v.Decision != chatroom.DecisionMute {
		t.Errorf("the last one: %+v", v)
	}
	if v := review(t, f, from(0, "x")); v.Decision != chatroom.DecisionRefuse {
		t.Errorf("the first one: %+v", v)
	}
}

func TestThoseWithoutStrikesAreNotRemembered(t *testing.T) {
	f := filters.Strikes(always(chatroom.Verdict{}), filters.Ladder{})
	review(t, f, draft("x"))
	if n := filters.PeopleIn(f); n != 0 {
		t.Errorf("%d people", n)
	}
}

func TestManyPeopleTalkAtOnce(t *testing.T) {
	f := filters.Strikes(filters.Repetition(filters.RepetitionLimits{}), filters.Ladder{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				review(t, f, from(i%50, ordinary[(i*7+g)%len(ordinary)]))
			}
		})
	}
	wg.Wait()
}
