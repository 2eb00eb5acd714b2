package chatroom

import (
	"context"
	"iter"
	"slices"
	"sync"
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
// password and nothing said in private. What its slices hold must not be changed.
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

const (
	maxActs  = 4096 // acts the server remembers
	maxShown = 50   // acts, bans or held messages in one answer
)

// A journal holds the latest acts, and of those by moderators some more.
type journal struct {
	mu    sync.Mutex
	count uint64 // acts ever
	ring  []*act // the act n is at n % maxActs
	// kept are the latest that can be undone and that members can't bring about by what they say,
	// oldest first: they are found when ring has let go of them.
	kept  []*act
	grown chan struct{}
}

// An act is a record and what it takes to take it back.
type act struct {
	Audit
	member uint64 // who did it; zero for the program and for filters
	role   Role   // of who did it
	// revert takes the act back and tells the rooms, with undo as the act; nil means it can't be.
	revert revert
	undone bool // guarded by journal.mu
}

type revert func(ctx context.Context, a actor, undo *Act) error

// audit records an act.
func (s *server) audit(a actor, rec Audit, back revert) {
	rec.Source, rec.By, rec.Account, rec.Time = a.source, a.name, a.account, now()
	rec.Note, rec.Rule, rec.Score, rec.Evidence = a.why.Note, a.why.Rule, a.why.Score, a.why.Evidence
	if rec.Messages == nil {
		rec.Messages = a.why.Messages
	}
	entry := &act{role: a.role, revert: back}
	if a.member != nil {
		entry.member = a.member.number
	}
	s.acts.add(entry, rec)
	attrs := []any{"verb", rec.Verb, "act", rec.ID, "source", rec.Source}
	for _, attr := range [][2]string{{"by", rec.By}, {"target", rec.Target}, {"room", rec.Room}, {"reason", rec.Reason}} {
		if attr[1] != "" {
			attrs = append(attrs, attr[0], attr[1])
		}
	}
	s.log.Info("act", attrs...)
}

func (j *journal) add(entry *act, rec Audit) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count++
	rec.Seq = j.count
	entry.Audit = rec
	i := int(rec.Seq % maxActs)
	if i >= len(j.ring) {
		j.ring = append(j.ring, make([]*act, i+1-len(j.ring))...)
	}
	j.ring[i] = entry
	if entry.revert != nil && (entry.role > RoleMember || entry.member == 0) {
		if len(j.kept) == maxActs {
			j.kept = slices.Delete(j.kept, 0, maxActs/2)
		}
		j.kept = append(j.kept, entry)
	}
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
}

// latestLocked yields the acts there are, the newest first. j.mu must be held.
func (j *journal) latestLocked(yield func(*act) bool) {
	for n := j.count; n > 0 && n+maxActs > j.count; n-- {
		if !yield(j.ring[n%maxActs]) {
			return
		}
	}
	for _, a := range slices.Backward(j.kept) {
		if a.Seq+maxActs <= j.count && !yield(a) {
			return
		}
	}
}

// find returns the act with that id, or nil.
func (j *journal) find(id string) *act {
	j.mu.Lock()
	defer j.mu.Unlock()
	for a := range j.latestLocked {
		if a.ID == id {
			return a
		}
	}
	return nil
}

// after returns the oldest record there is after the number seq, or a channel that is closed
// when there may be one.
func (j *journal) after(seq uint64) (Audit, bool, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq < j.count {
		seq = max(seq+1, j.count-min(j.count, maxActs-1))
		return j.ring[seq%maxActs].Audit, true, nil
	}
	if j.grown == nil {
		j.grown = make(chan struct{})
	}
	return Audit{}, false, j.grown
}

func (s *server) Audits(ctx context.Context) iter.Seq[Audit] {
	return func(yield func(Audit) bool) {
		closed := false
		for seq := uint64(0); ; {
			rec, ok, grown := s.acts.after(seq)
			if ok {
				seq = rec.Seq
				if !yield(rec) {
					return
				}
				continue
			}
			if closed {
				return
			}
			select {
			case <-grown:
			case <-ctx.Done():
				return
			case <-s.done:
				s.running.Wait() // whoever is at something may still do it
				closed = true
			}
		}
	}
}

// listActs answers VerbActs.
func (s *server) listActs(_ context.Context, _ actor, cmd Command) (Event, error) {
	report := &Report{}
	by := fold(cmd.Nick)
	s.acts.mu.Lock()
	for a := range s.acts.latestLocked {
		if cmd.Nick != "" && fold(a.By) != by {
			continue
		}
		if report.Count++; report.Count <= maxShown {
			report.Acts = append(report.Acts, a.Audit)
		}
	}
	s.acts.mu.Unlock()
	return Event{Kind: KindActs, ID: cmd.ID, Time: now(), Report: report}, nil
}
