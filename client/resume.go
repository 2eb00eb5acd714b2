package client

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"example.com/chatroom"
)

// room returns where the member is, by the name the server gives the room; nil if it is not there.
func (c *Client) room(name string) *room {
	for _, r := range c.rooms {
		if r.name == name {
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
	if r == nil || !c.lasting() {
		c.rooms = slices.DeleteFunc(c.rooms, func(other *room) bool { return other == r })
		c.rooms = append(c.rooms, &room{
			name: e.Room, epoch: w.Epoch, joined: w.Seq, last: max(oldest, 1) - 1, welcome: w,
		})
		c.deliver(k, e, size)
		return
	}
	r.welcome = w
	same := r.epoch == w.Epoch
	if w.Resumed && same {
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
		all = append(all, chatroom.Seen{Room: r.name, Epoch: r.epoch, Seq: r.last})
	}
	return all
}

// anew begins a new session in the place of one that is lost: the rooms but the one that has
// welcomed the member already are joined again, and of what was written in the old session it
// is to be found out whether it was done.
func (c *Client) anew(here string) {
	c.private, c.token = 0, ""
	var rejoins []*call
	for _, r := range c.rooms {
		r.gone = true
		if r.name == here {
			continue
		}
		cmd := chatroom.JoinRoom(r.name)
		cmd.ID = c.newID()
		if line, err := commandLine(cmd, c.limits); err == nil {
			rejoins = append(rejoins, &call{id: cmd.ID, cmd: cmd, line: line, answer: make(chan answer, 1), rejoin: true})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.calls {
		if k.member != 0 && !k.lost && !k.rejoin {
			c.doubtLocked(k)
		}
	}
	c.calls = slices.DeleteFunc(c.calls, func(k *call) bool { return k.rejoin })
	c.calls = append(rejoins, c.calls...)
}

// doubtLocked decides what becomes of a call that was written in a session that is lost. c.mu
// must be held.
func (c *Client) doubtLocked(k *call) {
	switch k.cmd.Verb {
	case chatroom.VerbSay, chatroom.VerbAction, chatroom.VerbTopic:
		if k.doubt = c.where(k) != nil; k.doubt {
			return
		}
	case chatroom.VerbNick, chatroom.VerbJoin, chatroom.VerbLeave, chatroom.VerbWho, chatroom.VerbRooms, chatroom.VerbRoom,
		chatroom.VerbPing, chatroom.VerbHistory, chatroom.VerbBans, chatroom.VerbActs, chatroom.VerbHeld:
		return // doing it again does no harm
	}
	k.lost = true
	c.releaseLocked(k)
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
	settled := false
	for _, k := range c.calls {
		if !k.doubt || c.where(k) != r {
			continue
		}
		k.doubt, settled = false, true
		if r.gapped {
			k.lost = true
			c.releaseLocked(k)
		}
	}
	c.mu.Unlock()
	r.gapped = false
	if settled {
		l.sending.Go(func() { c.resend(l) })
	}
}

// shutOut ends the member's stay in a room that does not let it in again.
func (c *Client) shutOut(name string, why *chatroom.Error) {
	r := c.room(name)
	if r == nil {
		return
	}
	c.mu.Lock()
	for _, k := range c.calls {
		if k.doubt && c.where(k) == r {
			k.doubt, k.lost = false, true
			c.releaseLocked(k)
		}
	}
	c.rooms = slices.DeleteFunc(c.rooms, func(other *room) bool { return other == r })
	self := c.self
	c.pushLocked(unknown(name, r.last+1), 0)
	c.pushLocked(chatroom.Event{
		Kind: chatroom.KindLeave, Room: name, Time: time.Now().UTC(),
		From: self.Nick, Member: self.Member, Text: why.Text,
	}, 0)
	c.mu.Unlock()
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
