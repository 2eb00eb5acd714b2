package chatroom

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// roleProgram is above every role a member can have.
const roleProgram = RoleAdmin + 1

// An actor is who carries out an act: a member, the program or a filter.
type actor struct {
	member  *member // nil for the program and for filters
	source  Source
	name    string
	account string
	role    Role
	why     Audit // what the record says beside the act: a note, and what a filter says
	settles bool  // it takes several acts back, and looks everybody up itself when it has
}

func (m *member) actor() actor {
	info := m.info()
	return actor{member: m, source: SourceMember, name: info.Nick, account: m.account, role: info.Role}
}

// from is how the actor is called in events: nothing for the program, as in a notice.
func (a actor) from() (nick string, number uint64) {
	if a.member == nil {
		return "", 0
	}
	return a.name, a.member.number
}

// A moderating is what carries out a verb of moderation, for those with a role.
type moderating struct {
	role Role
	do   func(*server, context.Context, actor, Command) (Event, error)
}

var moderation map[Verb]moderating

func init() { // what the functions call leads back here
	moderation = map[Verb]moderating{
		VerbKick:    {RoleModerator, (*server).kick},
		VerbBan:     {RoleModerator, (*server).ban},
		VerbUnban:   {RoleModerator, (*server).unban},
		VerbAllow:   {RoleModerator, (*server).ban},
		VerbBans:    {RoleModerator, (*server).listBans},
		VerbMute:    {RoleModerator, (*server).ban},
		VerbUnmute:  {RoleModerator, (*server).unban},
		VerbSlow:    {RoleModerator, (*server).slow},
		VerbLock:    {RoleModerator, (*server).lock},
		VerbUnlock:  {RoleModerator, (*server).lock},
		VerbPromote: {RoleAdmin, (*server).giveRole},
		VerbDemote:  {RoleAdmin, (*server).giveRole},
		VerbDelete:  {RoleModerator, (*server).delete},
		VerbClear:   {RoleModerator, (*server).delete},
		VerbUndo:    {RoleModerator, (*server).undo},
		VerbActs:    {RoleModerator, (*server).listActs},
		VerbHeld:    {RoleModerator, (*server).listHeld},
		VerbApprove: {RoleModerator, (*server).decide},
		VerbReject:  {RoleModerator, (*server).decide},
		VerbTopic:   {roleProgram, (*server).topic},
	}
}

func (s *server) Moderate(ctx context.Context, cmd Command) (Event, error) {
	return s.moderate(ctx, actor{source: SourceServer, role: roleProgram}, cmd)
}

// moderate carries out a verb of moderation, the one way there is for members, the program and
// filters.
func (s *server) moderate(ctx context.Context, a actor, cmd Command) (Event, error) {
	v, ok := moderation[cmd.Verb]
	switch {
	case !ok:
		return Event{}, ErrUnknownCommand
	case a.role < v.role:
		return Event{}, &Error{Code: CodeDenied, Text: fmt.Sprintf("/%s is for %ss", cmd.Verb, v.role)}
	case cmd.For < 0 || cmd.Every < 0 || cmd.For > maxFor || cmd.Every > maxFor, cmd.For > 0 && cmd.For < time.Second:
		return Event{}, &Error{Code: CodeBadRequest, Text: "that is too long or too short a time"}
	case cmd.Preview && cmd.Verb != VerbBan && cmd.Verb != VerbMute && cmd.Verb != VerbAllow:
		return Event{}, &Error{Code: CodeBadRequest, Text: "there is no preview of /" + string(cmd.Verb)}
	case cmd.Nick != "" && cmd.Target != "":
		return Event{}, &Error{Code: CodeBadRequest, Text: "say either a nick or a target"}
	}
	for _, text := range []*string{&cmd.Reason, &cmd.Note} {
		if *text == "" {
			continue
		}
		clean, err := cleanText(*text, min(s.limits.TextBytes, maxReason))
		if err != nil {
			return Event{}, err
		}
		*text = clean
	}
	a.why.Note = cmd.Note
	return v.do(s, ctx, a, cmd)
}

const (
	maxFor    = 100 * 365 * 24 * time.Hour
	maxReason = 512 // bytes
)

// newID returns an id for an act and the bans it gives: short enough to type, and new.
func (s *server) newID() string {
	n := 6
	if s.matcher != nil {
		n = 12 // the bans there are cannot be looked at
	}
	for {
		id := strings.ToLower(rand.Text()[:n])
		if _, taken := s.index.get(id); !taken && s.acts.find(id) == nil {
			return id
		}
	}
}

// until returns when something that lasts for d from now is over; zero means never.
func until(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return now().Add(d)
}

// steady returns t with a monotonic reading, which UTC takes off again: whatever becomes of the machine's clock, time.Now
// is past t when as much time has gone by as there is until then. What is too far away gets none, as zero does.
func steady(t time.Time) time.Time {
	if t.IsZero() || t != t.Round(0) { // it has one
		return t
	}
	at := time.Now()
	if s := at.Add(t.Sub(at)); s.Equal(t) {
		return s
	}
	return t
}

// victim returns the member called nick, if a may act on it.
func (s *server) victim(a actor, nick string) (*member, MemberInfo, error) {
	if nick == "" {
		return nil, MemberInfo{}, &Error{Code: CodeBadRequest, Text: "say whom"}
	}
	m := s.lookUp(nick)
	if m == nil {
		return nil, MemberInfo{}, noSuchNick(nick)
	}
	info := m.info()
	if info.Role >= a.role {
		return nil, MemberInfo{}, outranked(info)
	}
	return m, info, nil
}

func noSuchNick(nick string) error {
	return &Error{Code: CodeNoSuchNick, Text: "nobody here is called " + quoteNick(nick)}
}

func outranked(info MemberInfo) error {
	if info.Role == RoleMember {
		return &Error{Code: CodeDenied, Text: info.Nick + " is a member, as you are"}
	}
	return &Error{Code: CodeDenied, Text: fmt.Sprintf("%s is %s %s, and you are not above that", info.Nick, article(info.Role), info.Role)}
}

func article(r Role) string {
	if r == RoleAdmin {
		return "an"
	}
	return "a"
}

// A telling is the event that tells rooms of an act.
type telling struct {
	event Event
	ack   *ack
}

// An ack is how an actor learns that its act was done: by the event that tells a room it is in,
// which carries the command's id then, or by one of its own.
type ack struct {
	actor actor
	id    string // the command's

	mu    sync.Mutex
	told  bool
	given bool
	last  Event // as a room ordered it, at best with the id
}

// by says who the actor is, if it is a member, to whom it hits.
func (a actor) by() string {
	if a.member == nil {
		return ""
	}
	return " by " + a.name
}

func (a actor) telling(cmd Command, kind Kind, nick string, act *Act) *telling {
	e := Event{Kind: kind, Nick: nick, Act: act}
	e.From, e.Member = a.from()
	return &telling{e, &ack{actor: a, id: cmd.ID}}
}

// on returns t about one of those whom the act hits. What rooms are told does not say what a ban is
// on, which may be an address.
func (t *telling) on(nick string) *telling {
	e := t.event
	act := *e.Act
	act.Target = ""
	e.Nick, e.Act = nick, &act
	return &telling{e, t.ack}
}

// inLocked orders the event in a room. r.mu must be held.
func (t *telling) inLocked(r *room) {
	t.ack.mu.Lock()
	defer t.ack.mu.Unlock()
	e := t.event
	if _, here := r.seats[t.ack.actor.member]; here && !t.ack.given {
		e.ID, t.ack.given = t.ack.id, true
	}
	r.appendLocked(&e)
	if !t.ack.told || e.ID != "" {
		t.ack.last, t.ack.told = e, true
	}
}

// in tells a room.
func (t *telling) in(r *room) {
	r.mu.Lock()
	t.inLocked(r)
	r.mu.Unlock()
	r.deliver()
}

// finish returns the event that acknowledges the act.
func (t *telling) finish() Event {
	t.ack.mu.Lock()
	defer t.ack.mu.Unlock()
	m := t.ack.actor.member
	if t.ack.given || m == nil && t.ack.told {
		return t.ack.last
	}
	e := t.event
	e.Kind, e.ID, e.Time = KindAct, t.ack.id, now()
	if m != nil {
		m.srv.post(m, &e)
	}
	return e
}

// tell tells a member something for it alone, if it is one.
func (a actor) tell(text string) {
	if a.member != nil && text != "" {
		a.member.srv.post(a.member, &Event{Kind: KindNotice, Time: now(), Text: text})
	}
}

// kick ends a member.
func (s *server) kick(_ context.Context, a actor, cmd Command) (Event, error) {
	m, info, err := s.victim(a, cmd.Nick)
	if err != nil {
		return Event{}, err
	}
	act := &Act{ID: s.newID(), Verb: VerbKick, Reason: cmd.Reason}
	t := a.telling(cmd, KindKick, info.Nick, act)
	if !s.expel(m, &Error{Code: CodeKicked, Text: withReason("you were kicked"+a.by(), cmd.Reason), Ref: act.ID}, t) {
		return Event{}, noSuchNick(cmd.Nick) // it left just then
	}
	s.audit(a, Audit{ID: act.ID, Verb: VerbKick, Target: info.Nick, Reason: cmd.Reason, Hit: []MemberInfo{info}}, nil)
	return t.finish(), nil
}

// expel ends a member, or whoever goes on with its session, and returns once it has left. False means
// that it had left.
func (s *server) expel(m *member, reason *Error, t *telling) bool {
	for {
		ended := m.expel(reason, t)
		<-m.opening(&m.left)
		heir := s.current(m)
		if ended || heir == m {
			return ended
		}
		m = heir
	}
}

func withReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}

// modeRoom returns the room that an act changes.
func (s *server) modeRoom(a actor, name string) (*room, error) {
	if name == "" && a.member != nil {
		seat, err := a.member.seat("")
		if err != nil {
			return nil, err
		}
		return seat.room, nil
	}
	if name == "" {
		name = s.home
	}
	if r := s.room(name); r != nil {
		return r, nil
	}
	return nil, ErrNoSuchRoom
}

// A mode is what moderators have set in a room. Each part ends by itself at its time, unless that is zero.
type mode struct {
	slowMode
	lockMode
}

type slowMode struct {
	every     time.Duration // between two messages of one member
	slowUntil time.Time
}

type lockMode struct {
	locked    bool
	accounts  bool // only guests are locked out
	lockUntil time.Time
	reason    string
}

// slowness returns the time between two messages of one member at t.
func (m *mode) slowness(t time.Time) time.Duration {
	if !m.slowUntil.IsZero() && !t.Before(m.slowUntil) {
		return 0
	}
	return m.every
}

// shuts reports whether the lock keeps somebody out at t.
func (m *mode) shuts(account string, t time.Time) bool {
	return m.locked && (m.lockUntil.IsZero() || t.Before(m.lockUntil)) && !(m.accounts && account != "")
}

// setMode changes a room's mode, tells the room and records the act.
func (s *server) setMode(a actor, cmd Command, r *room, kind Kind, change func(*mode)) (Event, error) {
	act := &Act{ID: s.newID(), Verb: cmd.Verb, Reason: cmd.Reason, Until: until(cmd.For), Every: cmd.Every, Accounts: cmd.Accounts}
	t := a.telling(cmd, kind, "", act)
	r.mu.Lock()
	before := r.mode
	change(&r.mode)
	after := r.mode
	t.inLocked(r)
	r.mu.Unlock()
	r.deliver()
	rec := Audit{ID: act.ID, Verb: cmd.Verb, Room: r.name, Reason: cmd.Reason, Until: act.Until, Every: cmd.Every.Seconds()}
	s.audit(a, rec, func(_ context.Context, a actor, undo *Act) error {
		kind := undoneMode(before, cmd.Verb)
		undo.Every, undo.Accounts = before.every, before.accounts
		t := a.telling(Command{}, kind, "", undo)
		r.mu.Lock()
		defer r.deliver()
		defer r.mu.Unlock()
		if cmd.Verb == VerbSlow { // the other part may be another by now
			before.lockMode, after.lockMode = r.mode.lockMode, r.mode.lockMode
		} else {
			before.slowMode, after.slowMode = r.mode.slowMode, r.mode.slowMode
		}
		if r.mode != after {
			return errChangedSince
		}
		r.mode = before
		t.inLocked(r)
		return nil
	})
	return t.finish(), nil
}

var errChangedSince = &Error{Code: CodeDenied, Text: "it was changed again since"}

// undoneMode is the kind of event that tells of a return to before.
func undoneMode(before mode, verb Verb) Kind {
	switch {
	case verb == VerbSlow:
		return KindSlow
	case before.locked:
		return KindLock
	}
	return KindUnlock
}

// topic carries out VerbTopic for the program; members speak.
func (s *server) topic(_ context.Context, a actor, cmd Command) (Event, error) {
	r, err := s.modeRoom(a, cmd.Room)
	if err != nil {
		return Event{}, err
	}
	topic := ""
	if cmd.Text != "" {
		if topic, err = cleanText(cmd.Text, s.limits.TextBytes); err != nil {
			return Event{}, err
		}
	}
	return s.setTopic(a, r, topic, cmd.Reason, func() (Event, error) {
		e := Event{Kind: KindTopic, ID: cmd.ID, Text: topic}
		r.mu.Lock()
		r.appendLocked(&e)
		r.mu.Unlock()
		r.deliver()
		return e, nil
	})
}

// setTopic sets a room's topic, which order does, as an act of whoever sets it.
func (s *server) setTopic(a actor, r *room, topic, reason string, order func() (Event, error)) (Event, error) {
	before := r.info().Topic
	e, err := order()
	if err != nil {
		return Event{}, err
	}
	s.audit(a, Audit{ID: s.newID(), Verb: VerbTopic, Room: r.name, Text: topic, Reason: reason}, func(_ context.Context, a actor, _ *Act) error {
		back := Event{Kind: KindTopic, Text: before}
		back.From, back.Member = a.from()
		r.mu.Lock()
		defer r.deliver()
		defer r.mu.Unlock()
		if r.topic != topic {
			return errChangedSince
		}
		r.appendLocked(&back)
		return nil
	})
	return e, nil
}

func (s *server) slow(_ context.Context, a actor, cmd Command) (Event, error) {
	r, err := s.modeRoom(a, cmd.Room)
	if err != nil {
		return Event{}, err
	}
	return s.setMode(a, cmd, r, KindSlow, func(m *mode) { m.every, m.slowUntil = cmd.Every, steady(until(cmd.For)) })
}

func (s *server) lock(_ context.Context, a actor, cmd Command) (Event, error) {
	r, err := s.modeRoom(a, cmd.Room)
	if err != nil {
		return Event{}, err
	}
	kind := KindLock
	if cmd.Verb == VerbUnlock {
		kind, cmd.For, cmd.Accounts = KindUnlock, 0, false
	}
	return s.setMode(a, cmd, r, kind, func(m *mode) {
		m.locked, m.accounts, m.lockUntil, m.reason = kind == KindLock, cmd.Accounts, steady(until(cmd.For)), cmd.Reason
	})
}

// giveRole promotes and demotes, until the member leaves.
func (s *server) giveRole(_ context.Context, a actor, cmd Command) (Event, error) {
	m, info, err := s.victim(a, cmd.Nick)
	if err != nil {
		return Event{}, err
	}
	role := cmd.Role
	if cmd.Verb == VerbPromote && role == RoleMember {
		role = RoleModerator
	}
	switch {
	case role < RoleMember || role > RoleAdmin:
		return Event{}, &Error{Code: CodeBadRequest, Text: "there is no such role"}
	case role > a.role:
		return Event{}, &Error{Code: CodeDenied, Text: "you cannot give more than you have"}
	case cmd.Verb == VerbPromote && role <= info.Role, cmd.Verb == VerbDemote && role >= info.Role:
		return Event{}, &Error{Code: CodeBadRequest, Text: fmt.Sprintf("%s is %s %s already", info.Nick, article(info.Role), info.Role)}
	}
	act := &Act{ID: s.newID(), Verb: cmd.Verb, Reason: cmd.Reason, Role: role}
	t := a.telling(cmd, KindRole, info.Nick, act)
	if !s.setRole(m, info.Role, role, t) {
		return Event{}, errChangedSince
	}
	rec := Audit{ID: act.ID, Verb: cmd.Verb, Target: info.Nick, Reason: cmd.Reason, Role: role.String(), Hit: []MemberInfo{info}}
	s.audit(a, rec, func(_ context.Context, a actor, undo *Act) error {
		undo.Role = info.Role
		m := s.numbered(info.Member)
		if m == nil || m.over() != nil || !s.setRole(m, role, info.Role, a.telling(Command{}, KindRole, m.info().Nick, undo)) {
			return errChangedSince
		}
		return nil
	})
	return t.finish(), nil
}

// setRole gives m a role if it has the one it is thought to have, and tells its rooms.
func (s *server) setRole(m *member, from, to Role, t *telling) bool {
	s.mu.Lock()
	m = s.currentLocked(m)
	if m.role != from {
		s.mu.Unlock()
		return false
	}
	m.role = to
	seats := slices.Clone(m.rooms)
	for _, seat := range seats {
		seat.room.mu.Lock()
		seat.role = to
		t.on(seat.nick).inLocked(seat.room) // as in server.forget
		seat.room.mu.Unlock()
	}
	s.mu.Unlock()
	for _, seat := range seats {
		seat.room.deliver()
	}
	return true
}

// tellRoomsOf tells every room that m is in.
func (s *server) tellRoomsOf(m *member, t *telling) {
	s.mu.Lock()
	seats := slices.Clone(s.currentLocked(m).rooms)
	s.mu.Unlock()
	for _, seat := range seats {
		t.in(seat.room)
	}
}
