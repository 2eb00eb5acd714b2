package chatroom

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// FilterStats count what a filter has done.
type FilterStats struct {
	Reviewed uint64 // drafts it was asked about
	Decided  uint64 // verdicts other than DecisionAllow, dry ones too
	Failed   uint64 // reviews that failed, panicked or were late
}

// A filtering is a step in the chain, and what it has done.
type filtering struct {
	FilterStep
	reviewed, decided, failed atomic.Uint64
	stuck                     atomic.Int32 // reviews that were given up and have not returned
	sampled                   atomic.Int64 // when a dry verdict was audited last, in Unix nanoseconds
}

const (
	maxStuck    = 16          // reviews that have not returned; with more a filter is not asked
	sampleEvery = time.Second // of the dry verdicts, one in this time is audited
	maxGiven    = 30 * 24 * time.Hour
	maxHeld     = 200
	maxHeldEach = 20 // of one member, who shall not fill the queue
)

// A holding is a message that waits for a moderator.
type holding struct {
	Held
	draft Draft
	room  *room
	cmd   Command
}

// The held messages, oldest first.
type heldQueue struct {
	mu    sync.Mutex
	queue []*holding
}

// filter reviews what m wants to say and returns the text to say, or why it is not said.
func (s *server) filter(ctx context.Context, m *member, cmd Command, r *room, text string) (string, error) {
	if len(s.chain) == 0 {
		return text, nil
	}
	info := m.info()
	d := Draft{
		Verb: cmd.Verb, Text: text, Time: now(),
		Nick: info.Nick, Member: m.number, Account: m.account, Role: info.Role, Addr: m.addr(), Joined: m.srv.began.Add(m.joined),
	}
	if r != nil {
		d.Room = r.name
	}
	if cmd.Verb == VerbPrivate {
		d.To = cmd.Nick
	}
	for _, f := range s.chain {
		if info.Role > f.UpTo {
			continue
		}
		v, ok := f.review(ctx, s, d)
		if err := ctx.Err(); !ok && err != nil {
			return "", err // the speaker has given up, not the filter
		}
		if !ok || v.Decision == DecisionAllow {
			continue
		}
		f.decided.Add(1)
		if f.Dry {
			if last := f.sampled.Load(); d.Time.UnixNano()-last >= int64(sampleEvery) && f.sampled.CompareAndSwap(last, d.Time.UnixNano()) {
				s.auditVerdict(f, d, v, Audit{ID: s.newID()})
			}
			continue
		}
		if v.Decision == DecisionRewrite {
			clean, err := cleanText(v.Text, s.limits.TextBytes)
			if err != nil {
				s.log.Error("filter rewrites to what cannot be said", "filter", f.Name, "err", err)
				continue
			}
			s.auditVerdict(f, d, v, Audit{ID: s.newID(), Text: clean})
			d.Text = clean
			continue
		}
		return "", s.apply(ctx, m, f, d, v, cmd, r)
	}
	return d.Text, nil
}

// review asks the filter; false means that it abstains.
func (f *filtering) review(ctx context.Context, s *server, d Draft) (Verdict, bool) {
	f.reviewed.Add(1)
	if f.stuck.Load() >= maxStuck {
		f.failed.Add(1)
		return Verdict{}, false
	}
	v, err := askFor(ctx, s, "filter "+f.Name, s.limits.Filter, &f.stuck, func(ctx context.Context) (Verdict, error) { return f.Filter.Review(ctx, d) })
	if err != nil {
		f.failed.Add(1)
		s.log.Error("filter abstains", "filter", f.Name, "err", err)
		return Verdict{}, false
	}
	v.Rule, v.Reason, v.Evidence = Clean(v.Rule), Clean(v.Reason), Clean(v.Evidence)
	return v, true
}

// auditVerdict records a verdict that needs no act beside it.
func (s *server) auditVerdict(f *filtering, d Draft, v Verdict, rec Audit) {
	rec.Verb, rec.Room, rec.Target, rec.Reason, rec.Dry = Verb(v.Decision), d.Room, d.Nick, v.Reason, f.Dry
	rec.Hit = []MemberInfo{{Nick: d.Nick, Member: d.Member, Role: d.Role}}
	if d.Verb == VerbPrivate {
		rec.Text = ""
	}
	s.audit(f.actor(d, v), rec, nil)
}

// actor returns the filter as whoever carries out its verdict. What was said in private is not
// in its record.
func (f *filtering) actor(d Draft, v Verdict) actor {
	a := actor{source: SourceFilter, name: f.Name, role: roleProgram}
	a.why.Rule = v.Rule
	if !math.IsNaN(v.Score) && !math.IsInf(v.Score, 0) { // which JSON has not
		a.why.Score = v.Score
	}
	if d.Verb != VerbPrivate {
		kinds := map[Verb]Kind{VerbSay: KindMessage, VerbAction: KindAction, VerbTopic: KindTopic, VerbLeave: KindLeave, VerbQuit: KindLeave}
		a.why.Evidence = v.Evidence
		a.why.Messages = []Event{{Kind: kinds[d.Verb], Time: d.Time, Room: d.Room, From: d.Nick, Member: d.Member, Text: d.Text}}
	}
	return a
}

// apply carries out a verdict and returns what the speaker is told.
func (s *server) apply(ctx context.Context, m *member, f *filtering, d Draft, v Verdict, cmd Command, r *room) error {
	reason, err := cleanText(v.Reason, maxReason)
	if err != nil {
		reason = "" // none, or none that can be told
	}
	v.Reason = reason
	refused := &Error{Code: CodeRefused, Text: "that is not said here"}
	if reason != "" {
		refused.Text = reason
	}
	punish := Command{Nick: d.Nick, Reason: reason, For: time.Hour}
	if v.For > 0 {
		punish.For = min(max(v.For, time.Second), maxGiven)
	}
	switch v.Decision {
	case DecisionHold:
		if cmd.Verb != VerbSay && cmd.Verb != VerbAction {
			break // nobody reads what is private, a topic can be tried again, and who leaves does not wait
		}
		if text, err := cleanText(v.Text, s.limits.TextBytes); err == nil {
			d.Text = text
		}
		return s.hold(f, d, v, cmd, r)
	case DecisionMute:
		punish.Verb = VerbMute
	case DecisionKick:
		punish.Verb, punish.For = VerbKick, 0
	case DecisionBan:
		punish.Verb = VerbBan
	}
	if punish.Verb == "" {
		s.auditVerdict(f, d, v, Audit{ID: s.newID()})
		return refused
	}
	if _, err := s.moderate(ctx, f.actor(d, v), punish); err != nil {
		s.log.Error("verdict cannot be carried out", "filter", f.Name, "verb", punish.Verb, "nick", d.Nick, "err", err)
		return refused
	}
	if over := m.over(); over != nil {
		return over
	}
	if mute := m.mute.Load(); mute != nil {
		return mutedError(mute)
	}
	return refused
}

// hold keeps a message for the moderators of its room, and tells them.
func (s *server) hold(f *filtering, d Draft, v Verdict, cmd Command, r *room) error {
	h := &holding{draft: d, room: r, cmd: cmd}
	h.Held = Held{
		ID: s.newID(), Time: d.Time, Room: r.name, From: d.Nick, Verb: d.Verb, Text: d.Text,
		Filter: f.Name, Reason: v.Reason,
	}
	s.held.mu.Lock()
	theirs := 0
	for _, other := range s.held.queue {
		if other.draft.Member == d.Member {
			theirs++
		}
	}
	full := len(s.held.queue) >= maxHeld || theirs >= maxHeldEach
	if !full {
		s.held.queue = append(s.held.queue, h)
	}
	s.held.mu.Unlock()
	if full {
		return &Error{Code: CodeFull, Text: "too much waits for a moderator already; try later", Retry: RetryLater, After: errFull.After}
	}
	s.auditVerdict(f, d, v, Audit{ID: h.ID})
	e := &Event{Kind: KindHold, Time: d.Time, Room: r.name, Report: &Report{Held: []Held{h.Held}, Count: 1}}
	for _, m := range s.everybody() {
		s.mu.Lock()
		tell := m.role >= RoleModerator && slices.ContainsFunc(m.rooms, func(seat *seat) bool { return seat.room == r })
		s.mu.Unlock()
		if tell {
			s.post(m, e)
		}
	}
	return &Error{Code: CodeHeld, Text: fmt.Sprintf("that waits for a moderator (%s)", h.ID), Ref: h.ID}
}

// listHeld answers VerbHeld.
func (s *server) listHeld(_ context.Context, _ actor, cmd Command) (Event, error) {
	report := &Report{}
	s.held.mu.Lock()
	report.Count = len(s.held.queue)
	for _, h := range s.held.queue[:min(len(s.held.queue), maxShown)] {
		report.Held = append(report.Held, h.Held)
	}
	s.held.mu.Unlock()
	return Event{Kind: KindHeld, ID: cmd.ID, Time: now(), Report: report}, nil
}

// decide carries out VerbApprove and VerbReject.
func (s *server) decide(_ context.Context, a actor, cmd Command) (Event, error) {
	s.held.mu.Lock()
	i := slices.IndexFunc(s.held.queue, func(h *holding) bool { return h.ID == cmd.Ref })
	if i < 0 {
		s.held.mu.Unlock()
		return Event{}, &Error{Code: CodeNoSuchRef, Text: "nothing by that id waits; /held lists what does"}
	}
	h := s.held.queue[i]
	s.held.queue = slices.Delete(s.held.queue, i, i+1)
	s.held.mu.Unlock()

	if cmd.Verb == VerbApprove && s.room(h.room.name) != h.room {
		return Event{}, &Error{Code: CodeNoSuchRoom, Text: "nobody is in " + h.room.name + " any more, so it is dropped"}
	}
	d := h.draft
	act := &Act{ID: s.newID(), Verb: cmd.Verb, Target: d.Nick, Reason: cmd.Reason}
	said := Event{Kind: KindMessage, ID: h.cmd.ID, From: d.Nick, Member: d.Member, Text: d.Text}
	if d.Verb == VerbAction {
		said.Kind = KindAction
	}
	if cmd.Verb == VerbApprove {
		h.room.mu.Lock()
		h.room.appendLocked(&said)
		h.room.mu.Unlock()
		h.room.deliver()
	} else {
		said.Room, said.Time = d.Room, d.Time
		s.tellAuthor(d, withReason("A moderator did not let through what you said", cmd.Reason))
	}
	rec := Audit{ID: act.ID, Verb: cmd.Verb, Room: d.Room, Target: d.Nick, Reason: cmd.Reason, Messages: []Event{said}}
	s.audit(a, rec, nil)
	return a.telling(cmd, KindAct, d.Nick, act).finish(), nil
}

// tellAuthor tells whoever wrote d, if still here.
func (s *server) tellAuthor(d Draft, text string) {
	for _, m := range s.everybody() {
		if m.number == d.Member {
			s.post(m, &Event{Kind: KindNotice, Time: now(), Text: strings.TrimRight(text, ".") + "."})
		}
	}
}
