package chatroom

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// unban carries out VerbUnban and VerbUnmute.
func (s *server) unban(ctx context.Context, a actor, cmd Command) (Event, error) {
	bans, err := s.chosen(ctx, cmd)
	if err != nil {
		return Event{}, err
	}
	if err := a.frees(bans); err != nil {
		return Event{}, err
	}
	act := &Act{ID: s.newID(), Verb: cmd.Verb, Target: cmp.Or(cmd.Target, cmd.Ref), Reason: cmd.Reason}
	if cmd.Nick != "" {
		act.Target = quoteNick(cmd.Nick)
	}
	t := a.telling(cmd, KindUnmute, "", act)
	if err := s.lift(ctx, a, bans, t); err != nil {
		return Event{}, err
	}
	rec := Audit{ID: act.ID, Verb: cmd.Verb, Target: act.Target, Reason: cmd.Reason, Bans: bans}
	s.audit(a, rec, func(ctx context.Context, a actor, _ *Act) error {
		if err := s.store(ctx, bans); err != nil {
			return err
		}
		s.recheck(ctx, a, bans, nil)
		return nil
	})
	return t.finish(), nil
}

// lift removes bans and lets those who were muted by them speak, which t tells.
func (s *server) lift(ctx context.Context, a actor, bans []Ban, t *telling) error {
	if err := s.unstore(ctx, bans); err != nil {
		s.log.Error("ban not removed", "ban", bans[0].ID, "err", err)
		return unstuck(err)
	}
	s.recheck(ctx, a, bans, t)
	return nil
}

// bansLike returns what the store holds, or at least what is on the command's nick or target, has its
// id, or was given with one of these.
func (s *server) bansLike(ctx context.Context, cmd Command) ([]Ban, error) {
	if s.matcher != nil {
		bans, err := ask(ctx, s, "ban store", s.bans.List)
		if err != nil {
			s.log.Error("bans cannot be listed", "err", err)
			return nil, ErrUnavailable
		}
		return bans, nil
	}
	kind, value := BanKind(""), ""
	if cmd.Target != "" {
		var err error
		if kind, value, err = ParseTarget(cmd.Target); err != nil {
			return nil, err
		}
	}
	return s.index.like(NickKeys(cmd.Nick), kind, value, cmp.Or(cmd.Ref, cmd.Nick)), nil
}

// chosen returns the bans that an unban is about: the one with the id and those given with it, or
// all with that effect that are on the nick or the target.
func (s *server) chosen(ctx context.Context, cmd Command) ([]Ban, error) {
	all, err := s.bansLike(ctx, cmd)
	if err != nil {
		return nil, err
	}
	effect := EffectBan
	if cmd.Verb == VerbUnmute {
		effect = EffectMute
	}
	// Of what an act gave a part may be gone, if the program was killed while it was being removed.
	gave := func(act string) func(*Ban) bool {
		ids := make([]string, maxTogether)
		for i := range ids {
			ids[i] = togetherID(act, i)
		}
		return func(b *Ban) bool { return slices.Contains(ids, b.ID) }
	}
	is := gave(cmd.Ref)
	if cmd.Ref == "" {
		on, err := onWhat(cmd)
		if err != nil {
			return nil, err
		}
		is = func(b *Ban) bool { return cmp.Or(b.Effect, EffectBan) == effect && on(b) }
		if !slices.ContainsFunc(all, func(b Ban) bool { return is(&b) }) {
			is = gave(cmd.Nick) // an id may look like a nick
		}
	}
	acts := make(map[giving]bool)
	for i := range all {
		if b := &all[i]; is(b) {
			acts[b.giving()] = true
		}
	}
	bans := slices.DeleteFunc(all, func(b Ban) bool { return !acts[b.giving()] })
	if len(bans) == 0 {
		return nil, &Error{Code: CodeNoSuchRef, Text: fmt.Sprintf("there is no %s on that", effect)}
	}
	return bans, nil
}

// maxTogether is how many bans one act gives at most.
const maxTogether = 2

// togetherID returns the ID of one of the bans that an act gives, which are counted from 0.
func togetherID(act string, i int) string {
	if i == 0 {
		return act
	}
	return fmt.Sprintf("%s.%d", act, i+1)
}

// actOf returns the act that gave the ban with that ID, if a server gave it.
func actOf(id string) string {
	act, _, _ := strings.Cut(id, ".")
	return act
}

// A giving is what the bans have in common that one act gave, and an unban removes together. The ID
// alone does not tell, as other programs may call their bans 1.1 and 1.2.
type giving struct {
	act, by string
	created int64 // in seconds, as stores keep it
}

func (b *Ban) giving() giving { return giving{actOf(b.ID), b.By, b.Created.Unix()} }

// onWhat returns what tells whether a ban is on the command's nick or target.
func onWhat(cmd Command) (func(*Ban) bool, error) {
	switch {
	case cmd.Nick != "":
		keys := NickKeys(cmd.Nick)
		return func(b *Ban) bool { return b.Kind == BanNick && overlap(keys, NickKeys(b.Value)) }, nil
	case cmd.Target == "":
		return nil, &Error{Code: CodeBadRequest, Text: "say whom, or the ban's id"}
	}
	kind, value, err := ParseTarget(cmd.Target)
	if err != nil {
		return nil, err
	}
	return func(b *Ban) bool { return b.Kind == kind && b.Value == value }, nil
}

// listBans answers VerbBans.
func (s *server) listBans(ctx context.Context, _ actor, cmd Command) (Event, error) {
	at := time.Now()
	e := Event{Kind: KindBans, ID: cmd.ID, Time: now(), Report: &Report{}}
	is := func(*Ban) bool { return true }
	if cmd.Nick != "" || cmd.Target != "" {
		var err error
		if is, err = onWhat(cmd); err != nil {
			return Event{}, err
		}
	} else if s.matcher == nil {
		e.Report.Bans, e.Report.Count = s.index.latest(maxShown, at)
		showBans(e.Report.Bans)
		return e, nil
	}
	all, err := s.bansLike(ctx, cmd)
	if err != nil {
		return Event{}, err
	}
	all = slices.DeleteFunc(all, func(b Ban) bool { return b.Expired(at) || !is(&b) })
	slices.SortFunc(all, func(a, b Ban) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	e.Report.Bans, e.Report.Count = all[:min(len(all), maxShown)], len(all)
	showBans(e.Report.Bans)
	return e, nil
}

// showBans makes bans fit to be shown, whatever their store holds.
func showBans(bans []Ban) {
	for i := range bans {
		for _, text := range []*string{&bans[i].Value, &bans[i].Reason, &bans[i].Note, &bans[i].By} {
			*text = Clean(*text)
		}
	}
}
