package client

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"example.com/chatroom"
)

// room returns where the member is, by the name the server gives the room; nil if it is not there.
func (c *Client) room(name string) *room {
	for _, r := range c.rooms {
		if strings.EqualFold(r.name, name) { // somebody else may have made it again
			return r
		}
	}
	return nil
}

// welcomed takes a welcome: to a room that is new to the member, or to one it was in when its
// connection was lost.
func (c *Client) welcomed(l *link, e chatroom.Event, size int) {
	w := e.Welcome
	// A session that goes on has no new token, and is the same member.
	again := w.Resumed || w.Session == "" && c.token != "" && e.Member == c.self.Member
	c.token, w.Session = cmp.Or(w.Session, c.token), ""
	r := c.room(e.Room)
	oldest := w.Seq - min(w.Seq, uint64(max(w.History, 0)))
	c.mu.Lock()
	c.limits = w.Limits
	c.self = chatroom.MemberInfo{Nick: e.Nick, Member: e.Member, Role: w.Role}
	k := c.takeCallLocked(func(k *call) bool { return k.id == e.ID })
	c.mu.Unlock()
	if e.Room == "" {
		return // it is back, and in no room
	}
	if r == nil || !c.lasting() {
		c.rooms = slices.DeleteFunc(c.rooms, func(other *room) bool { return other == r })
		c.rooms = append(c.rooms, &room{
			name: e.Room, epoch: w.Epoch, joined: w.Seq, last: max(oldest, 1) - 1, welcome: w,
		})
		c.deliver(k, e, size)
		return
	}
	r.name, r.welcome = e.Room, w
	same := r.epoch == w.Epoch
	if w.Resumed && same && !r.gone {
		c.tell(State{Kind: Resumed, Room: r.name, Missed: w.History})
		return
	}
	kind := Rejoined
	if again && !r.gone {
		kind = Resumed
	}
	missed := unknown(r.name, r.last+1)
	r.gone, r.joined = false, w.Seq
	if same {
		w.History = int(w.Seq - min(w.Seq, max(oldest, r.last+1)))
		c.tell(State{Kind: kind, Room: r.name, Missed: w.History})
		c.deliver(k, e, size)
		return
	}
	r.epoch, r.last, r.gapped = w.Epoch, max(oldest, 1)-1, true
	c.tell(State{Kind: kind, Room: r.name, Missed: -1})
	c.deliver(k, e, size)
	c.push(missed)
}

func (c *Client) deliver(k *call, e chatroom.Event, size int) {
	c.mu.Lock()
	c.pushLocked(e, size)
	c.mu.Unlock()
	ring(c.arrived)
	c.answer(k, e)
}

// unknown returns the gap that begins in a room at that number and has no known end.
func unknown(name string, from uint64) chatroom.Event {
	return chatroom.Event{Kind: chatroom.KindGap, Room: name, Time: time.Now().UTC(), Gap: &chatroom.Gap{From: from}}
}

// follows reports whether e is new, and notes that it was received. r is its room, if any. What is missing before it becomes
// a KindGap.
func (c *Client) follows(e *chatroom.Event, r *room) bool {
	switch {
	case e.Kind == chatroom.KindGap && e.Room == "":
		c.private = max(c.private, e.Gap.To)
	case e.Kind == chatroom.KindGap && r != nil:
		from := max(e.Gap.From, r.last+1)
		if from > e.Gap.To {
			return false
		}
		e.Gap.From, r.last, r.gapped = from, e.Gap.To, true
	case e.Private != 0:
		if e.Private <= c.private {
			return false
		}
		c.private = e.Private
	case e.Ordered() && r != nil:
		if e.Seq <= r.last {
			return false
		}
		if e.Seq > r.last+1 {
			gap := unknown(r.name, r.last+1)
			gap.Gap.To = e.Seq - 1
			r.gapped = true
			c.push(gap)
		}
		r.last = e.Seq
	}
	return true
}

// answerAgain gives the Send it answers what a command led to that was carried out before the
// connection was lost. Receive has that, or gets it in its place.
func (c *Client) answerAgain(e chatroom.Event, r *room) {
	c.mu.Lock()
	if e.Kind == chatroom.KindNick {
		c.self.Nick = e.Nick
	}
	k := c.takeCallLocked(func(k *call) bool { return k.id == e.ID })
	c.mu.Unlock()
	if k == nil {
		return
	}
	switch e.Kind { // the server may have let go of the text, and does not keep welcomes
	case chatroom.KindMessage, chatroom.KindAction, chatroom.KindTopic, chatroom.KindPrivate:
		e.Text = cmp.Or(e.Text, k.cmd.Text)
	case chatroom.KindWelcome:
		if r != nil {
			e.Welcome = r.welcome
		}
	}
	c.answer(k, e)
}

// seen returns how far the member has read its rooms.
func (c *Client) seen() (all []chatroom.Seen) {
	for _, r := range c.rooms {
		all = append(all, r.seen())
	}
	return all
}

func (r *room) seen() chatroom.Seen { return chatroom.Seen{Room: r.name, Epoch: r.epoch, Seq: r.last} }

// anew begins a new session in the place of one that is lost: of what was written in the old one it is
// to be found out whether it was done.
func (c *Client) anew() {
	c.private, c.token = 0, ""
	for _, r := range c.rooms {
		r.gone, r.opaque = true, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = slices.DeleteFunc(c.calls, func(k *call) bool { return k.rejoin || k.member != 0 && c.lostLocked(k) })
}

// regain joins the rooms again that a new session has not joined yet, or leaves them if that was wanted.
func (c *Client) regain() {
	var rejoins []*call
	for _, r := range slices.Clone(c.rooms) {
		switch k, err := c.rejoinCall(r); {
		case !r.gone:
		case c.leavingRoom(r):
			c.shutOut(r, "")
		case err != nil:
			c.shutOut(r, err.Text)
		default:
			rejoins = append(rejoins, k)
		}
	}
	c.mu.Lock()
	c.calls = append(rejoins, c.calls...)
	c.mu.Unlock()
}

// leavingRoom reports whether there is a wish to leave r.
func (c *Client) leavingRoom(r *room) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.calls, c.leaves(r))
}

func (c *Client) leaves(r *room) func(*call) bool {
	return func(k *call) bool { return k.cmd.Verb == chatroom.VerbLeave && c.where(k) == r }
}

// rejoinCall returns the Client's own wish to join r again. Its error is that no server takes such a line.
func (c *Client) rejoinCall(r *room) (*call, *chatroom.Error) {
	cmd := chatroom.JoinRoom(r.name)
	cmd.ID, cmd.Seen = c.newID(), []chatroom.Seen{r.seen()}
	line, err := commandLine(cmd, c.limits)
	if err != nil {
		cmd.Seen = nil
		line, err = commandLine(cmd, c.limits)
	}
	if err != nil {
		return nil, reasonOf(nil, err)
	}
	return &call{id: cmd.ID, cmd: cmd, line: line, answer: make(chan answer, 1), rejoin: true}, nil
}

// lostLocked decides what becomes of a call that was written in a session that is lost, and reports whether
// that cannot be found out any more. c.mu must be held.
func (c *Client) lostLocked(k *call) bool {
	switch k.cmd.Verb {
	case chatroom.VerbNick, chatroom.VerbJoin, chatroom.VerbLeave, chatroom.VerbWho, chatroom.VerbRooms, chatroom.VerbRoom,
		chatroom.VerbPing, chatroom.VerbHistory, chatroom.VerbBans, chatroom.VerbActs, chatroom.VerbHeld:
		return false // doing it again does no harm
	case chatroom.VerbBan, chatroom.VerbMute, chatroom.VerbAllow:
		if k.cmd.Preview {
			return false
		}
	case chatroom.VerbSay, chatroom.VerbAction, chatroom.VerbTopic:
		k.doubt = c.where(k)
	}
	if k.doubt != nil {
		return false
	}
	c.loseLocked(k)
	return true
}

var errSessionLost = errors.New("the session was lost")

// loseLocked ends a call, which is taken off the calls, of which nobody will find out whether it was carried out. c.mu
// must be held.
func (c *Client) loseLocked(k *call) {
	c.releaseLocked(k)
	k.answer <- answer{err: unanswered(k, errSessionLost)}
}

// where returns the room a call is for, or nil if that is not clear.
func (c *Client) where(k *call) *room {
	if k.cmd.Room == "" {
		if len(c.rooms) == 1 {
			return c.rooms[0]
		}
		return nil
	}
	name := strings.TrimPrefix(strings.TrimSpace(k.cmd.Room), "#")
	for _, r := range c.rooms {
		if strings.EqualFold(r.name, name) {
			return r
		}
	}
	return nil
}

// settle ends the doubt about calls for r, all of whose history that there is has come: what is
// not in it was not done, unless a part is missing.
func (c *Client) settle(l *link, r *room) {
	c.mu.Lock()
	settled := c.endDoubtLocked(r, r.gapped)
	c.mu.Unlock()
	r.gapped, r.opaque = false, false
	if settled {
		l.sending.Go(func() { c.resend(l) })
	}
}

// endDoubtLocked ends the doubt about calls for r: they are lost, or will be written again. It reports whether
// there were any. c.mu must be held.
func (c *Client) endDoubtLocked(r *room, lost bool) (ended bool) {
	c.calls = slices.DeleteFunc(c.calls, func(k *call) bool {
		if k.doubt != r {
			return false
		}
		k.doubt, ended = nil, true
		if lost {
			c.loseLocked(k)
		}
		return lost
	})
	return ended
}

// shutOut ends the member's stay in a room that it does not join again.
func (c *Client) shutOut(r *room, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := chatroom.Event{
		Kind: chatroom.KindLeave, Room: r.name, Time: time.Now().UTC(), From: c.self.Nick, Member: c.self.Member, Text: why,
	}
	if k := c.takeCallLocked(c.leaves(r)); k != nil {
		e.ID = k.id
		k.answer <- answer{event: e}
	}
	c.endDoubtLocked(r, true)
	c.rooms = slices.DeleteFunc(c.rooms, func(other *room) bool { return other == r })
	c.pushLocked(unknown(r.name, r.last+1), 0)
	c.pushLocked(e, 0)
	ring(c.arrived)
}

// resend makes l the link that is written to, and writes what it has not had yet.
func (c *Client) resend(l *link) {
	c.writing <- struct{}{}
	c.mu.Lock()
	c.link = l
	c.mu.Unlock()
	c.writeCalls()
	<-c.writing
}
