package chatroom

import (
	"slices"
	"time"
)

// A crowd is those who have come to a room or gone in a storm, of whom the room has yet to be told: all together,
// as telling each of thousands of each would cost the square of their number. Guarded by room.mu.
type crowd struct {
	until  time.Time // the moment up to which what was told one by one counts
	joined []MemberInfo
	left   []MemberInfo
	where  map[uint64]int // by number: who is in joined
}

const (
	// crowdPause is how long a room is told nothing of those who come and go in a storm.
	crowdPause = 500 * time.Millisecond
	// crowdNames is how many of a crowd a room is told by name that is too large for its welcomes to list everybody.
	crowdNames = 20
)

// oneByOne reports whether one more join or leave may be told by itself, with so many of them a second.
func (c *crowd) oneByOne(rate int) bool {
	if rate < 0 {
		return true
	}
	now := time.Now()
	if c.until.Before(now) {
		c.until = now
	}
	if len(c.joined)+len(c.left) > 0 || c.until.Sub(now) > time.Second {
		return false
	}
	c.until = c.until.Add(time.Second / time.Duration(rate))
	return true
}

// comeLocked tells the room that the member of s has joined, or notes it for when it is told. r.mu must be held.
func (r *room) comeLocked(s *seat) {
	s.joined = r.log.next
	if r.crowd.oneByOne(r.srv.limits.Notices) {
		r.appendLocked(&Event{Kind: KindJoin, From: s.nick, Member: s.member.number})
		return
	}
	r.gatherLocked()
	if r.crowd.where == nil {
		r.crowd.where = make(map[uint64]int)
	}
	r.crowd.where[s.member.number] = len(r.crowd.joined)
	r.crowd.joined = append(r.crowd.joined, s.info())
}

// goLocked is comeLocked for the member's leaving. Of whoever has come and gone unnoticed nothing is told.
func (r *room) goLocked(s *seat, text string) {
	c := &r.crowd
	if i, gathered := c.where[s.member.number]; gathered {
		delete(c.where, s.member.number)
		c.joined[i].Member = 0
		return
	}
	if c.oneByOne(r.srv.limits.Notices) {
		r.appendLocked(&Event{Kind: KindLeave, Text: text, From: s.nick, Member: s.member.number})
		return
	}
	r.gatherLocked()
	c.left = append(c.left, s.info())
}

// gatherLocked sees to it that a crowd that begins to gather is told of. r.mu must be held.
func (r *room) gatherLocked() {
	if len(r.crowd.joined)+len(r.crowd.left) > 0 {
		return
	}
	time.AfterFunc(crowdPause, func() {
		r.mu.Lock()
		r.tellCrowdLocked()
		r.mu.Unlock()
		r.deliver()
	})
}

// tellCrowdLocked tells the room of the crowd, if there is one. r.mu must be held.
func (r *room) tellCrowdLocked() {
	joined := slices.DeleteFunc(r.crowd.joined, func(m MemberInfo) bool { return m.Member == 0 })
	left := r.crowd.left
	r.crowd.joined, r.crowd.left, r.crowd.where = nil, nil, nil
	if len(joined)+len(left) == 0 {
		return
	}
	told := &Crowd{Joined: joined, Left: left, JoinedCount: len(joined), LeftCount: len(left), Count: len(r.seats)}
	if len(r.seats) > r.srv.limits.WelcomeMembers {
		told.Joined, told.Left = slices.Clone(joined[:min(len(joined), crowdNames)]), slices.Clone(left[:min(len(left), crowdNames)])
	}
	r.appendLocked(&Event{Kind: KindCrowd, Crowd: told})
}

// introduceLocked tells the room of the crowd before something that concerns one of them. r.mu must be held.
func (r *room) introduceLocked(e *Event) {
	if len(r.crowd.joined)+len(r.crowd.left) == 0 || e.Kind == KindCrowd {
		return
	}
	// A rename may be to the nick of somebody who has left.
	if _, gathered := r.crowd.where[e.Member]; gathered || e.Act != nil || e.Kind == KindNick {
		r.tellCrowdLocked()
	}
}

// info returns the seat's member as the room knows it. room.mu must be held.
func (s *seat) info() MemberInfo {
	return MemberInfo{Nick: s.nick, Member: s.member.number, Role: s.role, Lingering: s.member.parked()}
}
