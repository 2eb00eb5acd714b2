package chatroom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A departed is somebody who left lately, for bans on people who are gone and for previews.
type departed struct {
	subject Subject
	info    MemberInfo
	base    Role // which it comes back with
}

const maxDeparted = 256

// departLocked notes that m leaves. s.mu must be held.
func (s *server) departLocked(m *member) {
	d := departed{m.subjectLocked(), m.infoLocked(), m.base}
	if len(s.departed) == maxDeparted {
		s.departed = slices.Delete(s.departed, 0, 1)
	}
	s.departed = append(s.departed, d)
}

// subjectLocked returns what bans are compared with. server.mu must be held.
func (m *member) subjectLocked() Subject {
	return Subject{Nick: m.nick, Keys: m.keys, Account: m.account, Addr: m.addr(), role: m.role}
}

// subjectAs returns what bans would be compared with if m had that nick.
func (m *member) subjectAs(nick string, keys []string) Subject {
	return Subject{Nick: nick, Keys: keys, Account: m.account, Addr: m.addr(), role: m.info().Role}
}

// look returns the ban and the mute that are on somebody, if any. An error means that nobody
// knows; a server that fails open has none then.
func (s *server) look(ctx context.Context, sub Subject) (ban, mute *Ban, err error) {
	if s.matcher == nil {
		ban, mute = standing(s.index.on(sub, time.Now()), sub.role)
		return ban, mute, nil
	}
	found, err := ask(ctx, s, "ban store", func(ctx context.Context) ([]Ban, error) { return s.matcher.Match(ctx, sub) })
	if err != nil {
		s.log.Error("bans cannot be looked up", "nick", sub.Nick, "open", s.failOpen, "err", err)
		if s.failOpen {
			return nil, nil, nil
		}
		return nil, nil, ErrUnavailable
	}
	at := time.Now()
	found = slices.DeleteFunc(found, func(b Ban) bool { return !b.covers(&sub, at) })
	ban, mute = standing(found, sub.role)
	return ban, mute, nil
}

// door returns the mute that is on somebody, or the Error for whoever may not come in.
func (s *server) door(ctx context.Context, sub Subject) (mute *Ban, err error) {
	ban, mute, err := s.look(ctx, sub)
	if err != nil {
		return nil, err
	}
	if ban != nil {
		return nil, bannedError(ban)
	}
	return mute, nil
}

// bannedError is what somebody is told at the door whom b is on.
func bannedError(b *Ban) *Error {
	e := b.error("you are banned", "")
	e.Text += "; it is no use to try again"
	if !b.Expires.IsZero() {
		e.Text += " before"
	}
	return e
}

// error returns the Error for somebody b is on: what happened, by whom, until when, and why.
func (b *Ban) error(what, by string) *Error {
	text := what + by
	if !b.Expires.IsZero() {
		text += " until " + b.Expires.UTC().Format(untilFormat)
	}
	return &Error{
		Code: CodeBanned, Text: withReason(text, Clean(b.Reason)) + " (ban " + actOf(b.ID) + ")",
		Retry: RetryNever, Ref: actOf(b.ID), Until: b.Expires.UTC(),
	}
}

const untilFormat = "2006-01-02 15:04 MST"

// mutedError is what somebody is told who may not speak because of b.
func mutedError(b *Ban) *Error {
	text := "you are muted"
	if !b.Expires.IsZero() {
		text += " until " + b.Expires.UTC().Format(untilFormat)
	}
	return &Error{Code: CodeMuted, Text: withReason(text, Clean(b.Reason)), Ref: actOf(b.ID), Until: b.Expires.UTC()}
}

// A sentence is a ban, a mute or an allowance before it is passed.
type sentence struct {
	name   string   // whom or what it is on
	person bool     // it is on somebody, by all there is
	bans   []Ban    // what is to be stored
	notes  []string // what it does not stop
	force  []string // why it is refused without force
	hits   []MemberInfo
	left   []MemberInfo
	self   bool // it hits whoever gives it

	member *member  // the person, if here
	keys   []string // and what it was called when looked for
}

// ban carries out VerbBan, VerbMute and VerbAllow.
func (s *server) ban(ctx context.Context, a actor, cmd Command) (Event, error) {
	st, err := s.sentence(a, cmd)
	if err != nil {
		return Event{}, err
	}
	if cmd.Preview {
		report := &Report{Hits: st.hits, Left: st.left, Count: len(st.hits), Notes: append(st.notes, st.force...)}
		return Event{Kind: KindPreview, ID: cmd.ID, Time: now(), Report: report}, nil
	}
	if err := a.frees(st.bans); cmd.Verb == VerbAllow && err != nil {
		return Event{}, err
	}
	if len(st.force) > 0 && !cmd.Force {
		return Event{}, &Error{Code: CodeNeedsForce, Text: strings.Join(st.force, "; ") + "; -f insists, -n shows whom"}
	}
	id := s.newID()
	for i := range st.bans {
		b := &st.bans[i]
		b.ID = togetherID(id, i)
		b.Reason, b.Note, b.By = cmd.Reason, cmd.Note, a.name
		b.Created, b.Expires = now(), until(cmd.For)
		if a.member != nil && !st.self {
			b.Rank = a.role
		}
	}
	if err := s.store(ctx, st.bans); err != nil {
		return Event{}, err
	}
	act := &Act{ID: id, Verb: cmd.Verb, Target: st.bans[0].Target(), Reason: cmd.Reason, Until: st.bans[0].Expires}
	kind, nick := KindAct, ""
	if st.person {
		nick = st.name
		act.Target = ""
	}
	switch cmd.Verb {
	case VerbBan:
		kind = KindBan
	case VerbMute:
		kind = KindMute
	}
	t := a.telling(cmd, kind, nick, act)
	hit := s.execute(ctx, a, cmd, st, t)
	rec := Audit{
		ID: id, Verb: cmd.Verb, Target: cmp.Or(nick, act.Target), Reason: cmd.Reason,
		Until: act.Until, Bans: st.bans, Hit: hit,
	}
	s.audit(a, rec, func(ctx context.Context, a actor, undo *Act) error {
		return s.lift(ctx, a, rec.Bans, a.telling(Command{}, KindUnmute, "", undo))
	})
	done := t.finish()
	for _, note := range st.notes {
		a.tell(note + ".")
	}
	s.removeExpired(context.WithoutCancel(ctx))
	return done, nil
}

// sentence works out what cmd would store, and whom that would hit.
func (s *server) sentence(a actor, cmd Command) (*sentence, error) {
	st := &sentence{}
	switch {
	case cmd.Target != "":
		kind, value, err := ParseTarget(cmd.Target)
		if err != nil {
			return nil, err
		}
		st.bans = []Ban{{Kind: kind, Value: value}}
		st.name = st.bans[0].Target()
		st.widen(kind, value)
	case cmd.Nick != "":
		nick, err := ValidNick(cmd.Nick)
		if err != nil {
			return nil, err
		}
		s.person(st, nick)
	default:
		return nil, &Error{Code: CodeBadRequest, Text: "say whom"}
	}
	effects := map[Verb]Effect{VerbBan: EffectBan, VerbMute: EffectMute, VerbAllow: EffectAllow}
	for i := range st.bans {
		st.bans[i].Effect = effects[cmd.Verb]
	}
	if cmd.Verb == VerbAllow {
		err := s.aim(actor{role: roleProgram}, st)
		st.force, st.notes = nil, nil
		return st, err
	}
	return st, s.aim(a, st)
}

// widen notes that a target is everybody.
func (st *sentence) widen(kind BanKind, value string) {
	p, err := netip.ParsePrefix(value)
	if kind == BanAddr && err == nil && p.Bits() == 0 || kind == BanMask && strings.Trim(value, "*?") == "" {
		st.force = append(st.force, value+" is everybody")
	}
}

// person takes the strongest there is on the person called nick, here or gone lately: the
// account, else the address unless others share it; and the nick.
func (s *server) person(st *sentence, nick string) {
	st.name, st.person = nick, true
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := Subject{Nick: nick}
	m := s.nicks[fold(nick)]
	if _, here := s.members[m]; here {
		sub, st.name = m.subjectLocked(), m.nick
	} else {
		m = nil
		for _, d := range slices.Backward(s.departed) {
			if fold(d.info.Nick) == fold(nick) {
				sub, st.name = d.subject, d.info.Nick
				break
			}
		}
	}
	addr := banAddr(sub.Addr)
	switch {
	case sub.Account != "":
		st.bans = append(st.bans, Ban{Kind: BanAccount, Value: sub.Account})
		st.notes = append(st.notes, "It is on the account "+sub.Account+" and the nick; it does not stop another account")
	case addr == "":
		st.notes = append(st.notes, "It is on the nick alone; it does not stop another nick")
	case sub.Addr.IsLoopback():
		st.notes = append(st.notes, "It is on the nick alone, as the address is this machine's; it does not stop another nick")
	default:
		b := Ban{Kind: BanAddr, Value: addr}
		on := covering([]Ban{b})
		others := 0
		for other := range s.members {
			if sub := other.subjectLocked(); other != m && on(&sub) != nil {
				others++
			}
		}
		if others > 0 {
			st.notes = append(st.notes, fmt.Sprintf("It is on the nick alone, as %d more share the address; it does not stop another nick", others))
			break
		}
		st.bans = append(st.bans, b)
		st.notes = append(st.notes, "It is on "+addr+" and the nick; it does not stop another address with another nick")
	}
	st.bans = append(st.bans, Ban{Kind: BanNick, Value: sub.Nick})
	st.member, st.keys = m, sub.Keys
}

// person returns what is the same for somebody who comes again.
func (s *Subject) person() string {
	if s.Account != "" {
		return s.Account
	}
	return "/" + fold(s.Nick)
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(key string) bool { return slices.Contains(b, key) })
}

// banAddr returns what a ban on somebody at that address is on: an IPv4 address, or the /64 an
// IPv6 one is in.
func banAddr(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	if addr.Is4() {
		return addr.String()
	}
	p, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return ""
	}
	return p.String()
}

// covering returns what finds one of bans that is on somebody; nil means none is. It looks the bans
// up as an index does, and is for one goroutine.
func covering(bans []Ban) func(*Subject) *Ban {
	var t banTables
	for i := range bans {
		t.put(&bans[i], nil)
	}
	at := time.Now()
	return func(sub *Subject) *Ban {
		if found := t.on(sub, at); len(found) > 0 {
			return found[0]
		}
		return nil
	}
}

// A present is a member as it was at one moment.
type present struct {
	member *member
	sub    Subject
	info   MemberInfo
}

// present returns those who are here, in the order in which they came.
func (s *server) present() []present {
	s.mu.Lock()
	all := make([]present, 0, len(s.members))
	for m := range s.members {
		all = append(all, present{m, m.subjectLocked(), m.infoLocked()})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b present) int { return cmp.Compare(a.info.Member, b.info.Member) })
	return all
}

// frees returns an Error if a is muted, and would get out of that by what is done about bans.
func (a actor) frees(bans []Ban) error {
	if a.member == nil || a.member.muted() == nil {
		return nil
	}
	a.member.srv.mu.Lock()
	sub := a.member.subjectLocked()
	a.member.srv.mu.Unlock()
	if covering(bans)(&sub) == nil {
		return nil
	}
	return &Error{Code: CodeDenied, Text: "you are muted, and cannot change that yourself"}
}

// mayHit reports whether a may act on somebody: on itself, and on whoever is below it.
func (a actor) mayHit(p present) bool { return p.member == a.member || p.info.Role < a.role }

// aim finds whom a sentence hits, and what speaks against it.
func (s *server) aim(a actor, st *sentence) error {
	on := covering(st.bans)
	all := s.present()
	self := false
	for _, p := range all {
		if on(&p.sub) == nil {
			continue
		}
		if !a.mayHit(p) {
			return outranked(p.info)
		}
		self = self || p.member == a.member
		st.hits = append(st.hits, p.info)
	}
	slices.SortFunc(st.hits, func(a, b MemberInfo) int { return strings.Compare(a.Nick, b.Nick) })
	s.mu.Lock()
	gone := slices.Clone(s.departed)
	s.mu.Unlock()
	known := make(map[string]bool) // whose present role is known
	for _, p := range all {
		known[p.sub.person()] = true
	}
	for _, d := range slices.Backward(gone) {
		if person := d.subject.person(); !known[person] {
			known[person] = true
			if d.base >= a.role && d.base > RoleMember && on(&d.subject) != nil {
				return outranked(MemberInfo{Nick: d.info.Nick, Role: d.base})
			}
		}
		again := func(info MemberInfo) bool { return info.Nick == d.info.Nick }
		if on(&d.subject) != nil && !slices.ContainsFunc(st.hits, again) && !slices.ContainsFunc(st.left, again) {
			st.left = append(st.left, d.info)
		}
	}
	st.self = self
	if self {
		st.force = append(st.force, "it would hit yourself")
	}
	if n := len(st.hits); n > 1 && 2*n > len(all) {
		st.force = append(st.force, fmt.Sprintf("it would hit %d of the %d who are here", n, len(all)))
	}
	return nil
}

// store stores bans, all or none, and lets them take effect at the door.
func (s *server) store(ctx context.Context, bans []Ban) error {
	for i, b := range bans {
		_, err := ask(ctx, s, "ban store", func(ctx context.Context) (struct{}, error) { return struct{}{}, s.bans.Add(ctx, b) })
		if err == nil {
			continue
		}
		s.log.Error("ban not stored", "ban", b.ID, "target", b.Target(), "err", err)
		// The store may have it all the same. What failed once may fail again, and is logged then.
		if err := s.unstore(context.WithoutCancel(ctx), bans[:i+1]); err != nil {
			s.log.Error("ban that is not in force may be in the store", "ban", b.ID, "err", err)
		}
		return unstuck(err)
	}
	if s.matcher == nil {
		for _, b := range bans {
			s.index.add(b)
		}
	}
	s.bansGiven.Add(1)
	return nil
}

// unstuck is what a moderator is told when the store has failed.
func unstuck(err error) error {
	text := "that did not stick: the ban store does not take it"
	if errors.Is(err, syscall.ENOSPC) {
		text = "that did not stick: the disk of the ban store is full"
	}
	return &Error{Code: CodeUnavailable, Text: text, Retry: RetryLater}
}

// unstore removes bans. One that is not there is no error.
func (s *server) unstore(ctx context.Context, bans []Ban) (err error) {
	for _, b := range bans {
		_, e := ask(ctx, s, "ban store", func(ctx context.Context) (struct{}, error) {
			return struct{}{}, s.bans.Remove(ctx, b.ID)
		})
		if e != nil && !errors.Is(e, ErrNoBan) {
			err = e
			continue
		}
		s.index.remove(b.ID)
	}
	s.bansGiven.Add(1)
	return err
}

const (
	// keepExpired is for how long the store keeps what has expired. The comment of BanStore names it.
	keepExpired = time.Hour
	// expiredAtOnce is how many bans removeExpired removes for each act that gives some: more than one gives, so that they become fewer.
	expiredAtOnce = maxTogether + 1
)

// removeExpired removes some of the bans that expired a while ago, so that what is given for a minute does not stay for years.
func (s *server) removeExpired(ctx context.Context) {
	for _, id := range s.index.expired(expiredAtOnce, time.Now().Add(-keepExpired)) {
		if err := s.unstore(ctx, []Ban{{ID: id}}); err != nil {
			s.log.Error("ban that has expired is not removed", "ban", id, "err", err)
			return
		}
	}
}

// execute applies what was stored to those who are here, and returns them.
func (s *server) execute(ctx context.Context, a actor, cmd Command, st *sentence, t *telling) []MemberInfo {
	if cmd.Verb == VerbAllow {
		s.recheck(ctx, a, st.bans, nil)
		return nil
	}
	on := covering(st.bans)
	var hit []MemberInfo
	for _, p := range s.present() {
		if p.member == st.member { // whatever it is called by now
			p.sub.Keys = slices.Concat(p.sub.Keys, st.keys)
		}
		b := on(&p.sub)
		if b == nil || !a.mayHit(p) {
			continue
		}
		ban, mute, _, err := s.judge(ctx, p, true)
		if err != nil {
			ban, mute = b, b
			if cmd.Verb == VerbMute {
				s.mu.Lock()
				s.currentLocked(p.member).mute.Store(b)
				s.mu.Unlock()
			}
		}
		switch {
		case cmd.Verb == VerbBan && ban != nil:
			if !s.expel(p.member, ban.error("you were banned", a.by()), t.on(p.info.Nick)) {
				continue // it left just then
			}
		case cmd.Verb == VerbMute && mute != nil:
			s.tellRoomsOf(p.member, t.on(p.info.Nick))
		default:
			a.tell("It does not hit " + p.info.Nick + ", whom an allowance is on; /bans " + p.info.Nick + " may show which.")
			continue
		}
		hit = append(hit, p.info)
	}
	return hit
}

// everybody returns those who are here.
func (s *server) everybody() []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*member, 0, len(s.members))
	for m := range s.members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *member) int { return cmp.Compare(a.number, b.number) })
	return all
}

// judge looks a member up, and mutes it or lets it speak. It returns the ban on it, and the mute that
// is on it now and was before. Without harsher nobody is muted who was not.
func (s *server) judge(ctx context.Context, p present, harsher bool) (ban, mute, was *Ban, err error) {
	for range maxLooks {
		given := s.bansGiven.Load()
		if ban, mute, err = s.look(ctx, p.sub); err != nil {
			return nil, nil, nil, err
		}
		s.mu.Lock()
		p.member = s.currentLocked(p.member)
		was = p.member.mute.Load()
		switch {
		case p.member.nick != p.sub.Nick:
			p.sub = p.member.subjectLocked()
		case given == s.bansGiven.Load():
			if was != nil || harsher {
				p.member.mute.Store(mute)
			} else {
				mute = nil
			}
			s.mu.Unlock()
			return ban, mute, was, nil
		}
		s.mu.Unlock()
	}
	s.log.Error("bans are given faster than they can be looked up", "nick", p.sub.Nick)
	return nil, nil, nil, ErrUnavailable
}

// recheck looks those up anew whom bans are on, or everybody if bans is nil: who is banned by now is
// ended, who is muted may not speak. Whoever a may not act on keeps what they have, or is better off. Rooms
// are told with t of those who may speak again, if it is by that act, and else of their mute.
func (s *server) recheck(ctx context.Context, a actor, bans []Ban, t *telling) {
	if a.settles {
		return
	}
	on := covering(bans)
	for _, p := range s.present() {
		mute := p.member.mute.Load()
		muted := mute != nil && slices.ContainsFunc(bans, func(b Ban) bool { return b.ID == mute.ID })
		if bans != nil && !muted && on(&p.sub) == nil {
			continue
		}
		may := a.mayHit(p)
		ban, mute, was, err := s.judge(ctx, p, may)
		if err != nil {
			continue // it is logged; who is here stays
		}
		at := time.Now()
		silent := mute != nil && !mute.Expired(at)
		wasSilent := was != nil && !was.Expired(at)
		switch {
		case ban != nil && may:
			act := &Act{ID: ban.ID, Verb: VerbBan, Reason: Clean(ban.Reason), Until: ban.Expires.UTC()}
			s.expel(p.member, ban.error("you were banned", a.by()), a.telling(Command{}, KindBan, p.info.Nick, act))
		case silent && !wasSilent:
			act := &Act{ID: mute.ID, Verb: VerbMute, Reason: Clean(mute.Reason), Until: mute.Expires.UTC()}
			s.tellRoomsOf(p.member, a.telling(Command{}, KindMute, p.info.Nick, act))
		case !silent && wasSilent:
			over := t
			if over == nil {
				over = a.telling(Command{}, KindUnmute, "", &Act{ID: was.ID, Verb: VerbUnmute})
			}
			s.tellRoomsOf(p.member, over.on(p.info.Nick))
		}
	}
}
