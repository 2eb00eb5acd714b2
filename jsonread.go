package chatroom

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// A wireEvent is an event as encoding/json reads it.
type wireEvent struct {
	Type       Kind         `json:"type"`
	Version    int          `json:"version"`
	Seq        uint64       `json:"seq"`
	ID         string       `json:"id"`
	Room       string       `json:"room"`
	From       wireFrom     `json:"from"`
	Member     uint64       `json:"member"`
	Nick       string       `json:"nick"`
	Text       string       `json:"text"`
	Time       time.Time    `json:"time"`
	Code       Code         `json:"code"`
	Retry      Retry        `json:"retry"`
	RetryAfter float64      `json:"retry_after"`
	History    int          `json:"history"`
	Epoch      string       `json:"epoch"`
	Role       wireRole     `json:"role"`
	Topic      string       `json:"topic"`
	MOTD       string       `json:"motd"`
	Members    []wireMember `json:"members"`
	Count      int          `json:"count"`
	Joined     []wireMember `json:"joined"`
	Rooms      []wireRoom   `json:"rooms"`
	Limits     wireLimits   `json:"limits"`

	Act      string       `json:"act"`
	Verb     Verb         `json:"verb"`
	Target   string       `json:"target"`
	Reason   string       `json:"reason"`
	Until    time.Time    `json:"until"`
	Every    float64      `json:"every"`
	Accounts bool         `json:"accounts"`
	Seqs     []uint64     `json:"seqs"`
	Undoes   string       `json:"undoes"`
	Ref      string       `json:"ref"`
	Bans     []Ban        `json:"bans"`
	Acts     []Audit      `json:"acts"`
	Held     []Held       `json:"held"`
	Hits     []wireMember `json:"hits"`
	Left     []wireMember `json:"left"`

	JoinedCount int `json:"joined_count"`
	LeftCount   int `json:"left_count"`

	Notes []string `json:"notes"`

	Session string  `json:"session"`
	Resumed bool    `json:"resumed"`
	Private uint64  `json:"private"`
	Again   bool    `json:"again"`
	To      uint64  `json:"to"`
	Events  []Event `json:"events"`
}

// act returns the act that an event of moderation tells of.
func (w *wireEvent) act() *Act {
	return &Act{
		ID: w.Act, Verb: cmp.Or(w.Verb, Verb(w.Type)), Target: w.Target, Reason: w.Reason, Until: w.Until, Every: seconds(w.Every),
		Accounts: w.Accounts, Role: Role(w.Role), Seqs: w.Seqs, Undoes: w.Undoes,
	}
}

type wireMember struct {
	Nick   string   `json:"nick"`
	Member uint64   `json:"member"`
	Role   wireRole `json:"role"`

	Lingering bool `json:"lingering"`
}

// A wireFrom is an author's nick, or in a KindGap a sequence number.
type wireFrom struct {
	nick string
	seq  uint64
}

func (f *wireFrom) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &f.nick)
	}
	return json.Unmarshal(b, &f.seq)
}

// A wireRole is a Role; one that a later version may know is read as RoleMember.
type wireRole Role

func (r *wireRole) UnmarshalText(b []byte) error {
	var known Role
	_ = known.UnmarshalText(b) // an unknown one leaves RoleMember
	*r = wireRole(known)
	return nil
}

type wireRoom struct {
	Room    string `json:"room"`
	Topic   string `json:"topic"`
	Members int    `json:"members"`
}

type wireLimits struct {
	LineBytes int     `json:"line_bytes"`
	TextBytes int     `json:"text_bytes"`
	Idle      float64 `json:"idle"`

	MessageRate  float64 `json:"message_rate"`
	MessageBurst int     `json:"message_burst"`
	MoveRate     float64 `json:"move_rate"`
	MoveBurst    int     `json:"move_burst"`
}

func (w *wireLimits) limits() WireLimits {
	return WireLimits{
		LineBytes: w.LineBytes, TextBytes: w.TextBytes, Idle: seconds(w.Idle),
		MessageRate: w.MessageRate, MessageBurst: w.MessageBurst, MoveRate: w.MoveRate, MoveBurst: w.MoveBurst,
	}
}

// maxNesting is more than any event needs. Events within events are read over and over, so what has
// no such bound takes its reader minutes.
const maxNesting = 32

// nesting returns how deep the objects and lists in b are in one another.
func nesting(b []byte) (deepest int) {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// UnmarshalJSON takes an event as it goes on the wire.
func (e *Event) UnmarshalJSON(b []byte) error {
	if plain, ok := plainEvent(string(bytes.TrimRight(b, "\n"))); ok {
		*e = plain
		return nil
	}
	if nesting(b) > maxNesting {
		return errors.New("read event: it is nested too deep")
	}
	var w wireEvent
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	*e = Event{
		Kind: w.Type, Seq: w.Seq, ID: w.ID, Room: w.Room, From: w.From.nick, Member: w.Member,
		Nick: w.Nick, Text: w.Text, Time: w.Time, Private: w.Private, Again: w.Again,
	}
	switch w.Type {
	case KindError, KindBye:
		e.Text = ""
		e.Err = &Error{Code: w.Code, Text: w.Text, Retry: w.Retry, After: seconds(w.RetryAfter), Ref: w.Ref, Until: w.Until}
	case KindGap:
		e.Gap = &Gap{From: w.From.seq, To: w.To}
	case KindHistory:
		e.Report = &Report{Events: w.Events, Count: w.Count}
	case KindPreview:
		e.Report = &Report{Hits: memberInfos(w.Hits), Left: memberInfos(w.Left), Notes: w.Notes, Count: w.Count}
	case KindBans, KindActs, KindHeld, KindHold:
		e.Report = &Report{Bans: w.Bans, Acts: w.Acts, Held: w.Held, Count: w.Count}
	case KindWelcome:
		e.Seq = 0
		e.Welcome = &Welcome{
			Seq: w.Seq, History: w.History, Epoch: w.Epoch, Topic: w.Topic, MOTD: w.MOTD, Role: Role(w.Role),
			Members: memberInfos(w.Members), Count: w.Count, Session: w.Session, Resumed: w.Resumed,
			Limits: w.Limits.limits(),
		}
	case KindCrowd:
		e.Crowd = &Crowd{
			Joined: memberInfos(w.Joined), Left: memberInfos(w.Left),
			JoinedCount: w.JoinedCount, LeftCount: w.LeftCount, Count: w.Count,
		}
	case KindMembers:
		e.Members = memberInfos(w.Members)
	case KindRooms:
		for _, r := range w.Rooms {
			e.Rooms = append(e.Rooms, RoomInfo(r))
		}
	}
	if w.Act != "" {
		e.Act = w.act()
	}
	return nil
}

func memberInfos(members []wireMember) []MemberInfo {
	infos := make([]MemberInfo, len(members))
	for i, m := range members {
		infos[i] = MemberInfo{Nick: m.Nick, Member: m.Member, Role: Role(m.Role), Lingering: m.Lingering}
	}
	return infos
}

// seconds returns s as a duration; what is too long for one is as long as one can be.
func seconds(s float64) time.Duration {
	const most = float64(math.MaxInt64 / int64(time.Second))
	return time.Duration(math.Round(max(-most, min(s, most)) * float64(time.Second)))
}
