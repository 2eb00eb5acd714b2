package chatroom

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// undo takes acts back: one by its id, those of somebody in the last while, or the actor's last one.
func (s *server) undo(ctx context.Context, a actor, cmd Command) (Event, error) {
	acts, err := s.acts.choose(a, cmd)
	if err != nil {
		return Event{}, err
	}
	done := &Act{Verb: VerbUndo, Reason: cmd.Reason}
	var undone []string
	a.settles = len(acts) > 1
	for _, old := range acts {
		undo := &Act{ID: s.newID(), Verb: VerbUndo, Reason: cmd.Reason, Undoes: old.ID}
		if err = s.revert(ctx, a, old, undo); err != nil {
			if len(acts) > 1 {
				a.tell(old.title() + ": " + public(err).Text + ".")
			}
			continue
		}
		s.audit(a, Audit{ID: undo.ID, Verb: VerbUndo, Room: old.Room, Target: old.Target, Reason: cmd.Reason, Undoes: old.ID, Bans: old.Bans}, nil)
		done.ID, done.Target = undo.ID, old.title()
		undone = append(undone, old.ID)
	}
	if a.settles { // what one act gave another may have taken
		a.settles = false
		s.recheck(ctx, a, nil, nil)
	}
	if undone == nil {
		return Event{}, err
	}
	done.Undoes = strings.Join(undone, " ")
	return a.telling(cmd, KindAct, "", done).finish(), nil
}

// title is how people are told which act is meant.
func (old *act) title() string {
	return strings.TrimSpace(string(old.Verb)+" "+cmp.Or(old.Target, old.Room)) + " (" + old.ID + ")"
}

// revert takes one act back, once.
func (s *server) revert(ctx context.Context, a actor, old *act, undo *Act) error {
	s.acts.mu.Lock()
	undone := old.undone
	old.undone = true
	s.acts.mu.Unlock()
	if undone {
		return errUndone
	}
	err := old.revert(ctx, a, undo)
	if err != nil {
		s.acts.mu.Lock()
		old.undone = false
		s.acts.mu.Unlock()
	}
	return err
}

var errUndone = &Error{Code: CodeBadRequest, Text: "that was taken back already"}

// choose returns the acts that an undo is about, the newest first.
func (j *journal) choose(a actor, cmd Command) ([]*act, error) {
	switch {
	case cmd.Ref != "":
		old := j.find(cmd.Ref)
		if old == nil {
			return nil, &Error{Code: CodeNoSuchRef, Text: "there is no such act; /acts lists them"}
		}
		return []*act{old}, a.mayUndo(old)
	case cmd.Nick != "" && cmd.For == 0:
		return nil, &Error{Code: CodeBadRequest, Text: "say how far back, as in /undo ann 10m"}
	}
	since, by := now().Add(-cmd.For), fold(cmd.Nick)
	j.mu.Lock()
	defer j.mu.Unlock()
	var acts []*act
	for old := range j.latestLocked {
		if old.undone || old.Verb == VerbUndo || old.Dry {
			continue
		}
		if cmd.Nick == "" {
			if a.did(old) {
				return []*act{old}, a.mayUndo(old)
			}
			continue
		}
		if old.Time.Before(since) || fold(old.By) != by || old.revert == nil {
			continue
		}
		if err := a.mayUndo(old); err != nil {
			return nil, err
		}
		acts = append(acts, old)
	}
	if acts == nil {
		return nil, &Error{Code: CodeNoSuchRef, Text: "there is nothing to take back"}
	}
	return acts, nil
}

// did reports whether an act is the actor's own.
func (a actor) did(old *act) bool {
	if a.member == nil {
		return old.Source == a.source && old.By == a.name
	}
	return old.member == a.member.number
}

// mayUndo returns an Error if an act can't be taken back, or not by a.
func (a actor) mayUndo(old *act) error {
	switch {
	case !a.did(old) && old.Source != SourceFilter && old.role >= a.role:
		return &Error{Code: CodeDenied, Text: "that is an act of " + cmp.Or(old.By, "the program") + ", and you are not above that"}
	case a.did(old) && old.role > a.role:
		return &Error{Code: CodeDenied, Text: fmt.Sprintf("you did that as %s %s, and are not one now", article(old.role), old.role)}
	case old.revert != nil:
		return nil
	case old.Verb == VerbKick:
		return &Error{Code: CodeDenied, Text: "a kick cannot be taken back; " + old.Target + " may come in again"}
	}
	return &Error{Code: CodeDenied, Text: string(old.Verb) + " cannot be taken back"}
}
