package chatroom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// JSONVersion is the version of the JSON protocol that JSONFront speaks.
const JSONVersion = 1

const wireTime = "2006-01-02T15:04:05.000Z"

// JSONFront is the Front for programs: one JSON object a line, as PROTOCOL.md describes.
type JSONFront struct{}

// Name returns "json".
func (JSONFront) Name() string { return "json" }

// Detect takes a connection whose first byte is {.
func (JSONFront) Detect(first []byte) Detection {
	switch {
	case len(first) == 0:
		return NeedMore
	case first[0] == '{':
		return Mine
	}
	return NotMine
}

// AppendEvent appends e as one line.
func (JSONFront) AppendEvent(dst []byte, e *Event) []byte {
	return append(appendEvent(dst, e), '\n')
}

// Serve holds a conversation in JSON lines.
func (f JSONFront) Serve(ctx context.Context, c *Conn) error {
	if err := f.join(ctx, c); err != nil {
		return err
	}
	for {
		line, err := c.ReadLine()
		if errors.Is(err, ErrLineTooLong) {
			c.Reply(refusal("", err))
			continue
		}
		if err != nil {
			return err
		}
		req, err := parseRequest(line)
		if err == nil && (req.Type == "" || req.Type == "pong") {
			continue // a blank line or a pong: a sign of life
		}
		var e Event
		if err == nil {
			e, err = c.Send(ctx, req.command())
		}
		switch {
		case err != nil:
			c.Reply(refusal(req.ID, err))
		case e.Kind == KindMembers, e.Kind == KindRooms, e.Kind == KindPong:
			c.Reply(e)
		}
	}
}

// maxTries is how many answers somebody gets before a front gives up.
const maxTries = 5

// join answers lines until one of them joins.
func (f JSONFront) join(ctx context.Context, c *Conn) error {
	for tries := 1; ; tries++ {
		id, err := f.tryJoin(ctx, c)
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			return err
		}
		told := refusal(id, err)
		over := endsHandshake(told.Err) || tries == maxTries
		if over {
			told.Kind = KindBye
		}
		if _, werr := c.Write(f.AppendEvent(nil, &told)); werr != nil || over {
			return err
		}
	}
}

// endsHandshake reports whether trying again is no use.
func endsHandshake(e *Error) bool {
	switch e.Code {
	case CodeTimeout, CodeShutdown, CodeFlooding, CodeLost, CodeClosed:
		return true
	}
	return e.Retry == RetryNever
}

func (f JSONFront) tryJoin(ctx context.Context, c *Conn) (id string, err error) {
	line, err := c.ReadLine()
	if err != nil {
		return "", err
	}
	req, err := parseRequest(line)
	if err != nil {
		return req.ID, err
	}
	if req.Type != string(VerbJoin) {
		return req.ID, ErrNotJoined
	}
	if req.Version != 0 && req.Version != JSONVersion {
		return req.ID, &Error{
			Code: CodeBadVersion, Retry: RetryNever,
			Text: fmt.Sprintf("this server speaks version %d", JSONVersion),
		}
	}
	_, err = c.Join(ctx, JoinRequest{
		Nick: req.Nick, Account: req.Account, Secret: req.Password, Room: req.Room, ID: req.ID,
		Encoder: f, Pings: true,
	})
	return req.ID, err
}

// refusal is the event that tells a member its command was refused.
func refusal(id string, err error) Event {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e, _ = errors.AsType[*Error](ErrInternal)
	}
	return Event{Kind: KindError, ID: id, Err: e}
}

// A request is a line from a program.
type request struct {
	Type     string `json:"type"`
	ID       string `json:"id,omitempty"`
	Room     string `json:"room,omitempty"`
	Nick     string `json:"nick,omitempty"`
	Text     string `json:"text,omitempty"`
	Account  string `json:"account,omitempty"`
	Password string `json:"password,omitempty"`
	Version  int    `json:"version,omitempty"`
}

func (r *request) command() Command {
	return Command{Verb: Verb(r.Type), ID: r.ID, Room: r.Room, Nick: r.Nick, Text: r.Text}
}

// parseRequest reads a line; a blank one gives the zero request. With an error the request holds
// what could be read, so that its id can be named.
func parseRequest(line []byte) (req request, err error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return req, nil
	}
	if !utf8.Valid(line) {
		return req, &Error{Code: CodeTextInvalid, Text: "a line must be UTF-8"}
	}
	if err := json.Unmarshal(line, &req); err != nil {
		if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
			return req, &Error{Code: CodeBadRequest, Text: "the field " + t.Field + " may not be a " + t.Value}
		}
		return request{}, &Error{Code: CodeBadRequest, Text: "a line must be one JSON object"}
	}
	if req.Type == "" {
		return req, &Error{Code: CodeBadRequest, Text: "the field type is missing"}
	}
	return req, nil
}

// MarshalJSON returns the command as it goes on the wire. What is not UTF-8 is refused with an
// Error, as a server would.
func (c Command) MarshalJSON() ([]byte, error) {
	for _, s := range []string{string(c.Verb), c.ID, c.Room, c.Nick, c.Text} {
		if !utf8.ValidString(s) {
			return nil, &Error{Code: CodeTextInvalid, Text: "a text must be UTF-8"}
		}
	}
	o := object("{").str("type", string(c.Verb)).str("id", c.ID).str("room", c.Room)
	return append(o.str("nick", c.Nick).str("text", c.Text), '}'), nil
}

// UnmarshalJSON takes a command as it goes on the wire; its errors are Errors.
func (c *Command) UnmarshalJSON(b []byte) error {
	req, err := parseRequest(b)
	if err == nil {
		*c = req.command()
	}
	return err
}

// MarshalJSON returns the event as it goes on the wire.
func (e Event) MarshalJSON() ([]byte, error) { return appendEvent(nil, &e), nil }

// An object is a JSON object under construction.
type object []byte

// key begins a member of the object.
func (o object) key(name string) object {
	if o[len(o)-1] != '{' {
		o = append(o, ',')
	}
	o = append(o, '"')
	o = append(o, name...)
	return append(o, '"', ':')
}

// str adds a string unless it is empty.
func (o object) str(name, value string) object {
	if value == "" {
		return o
	}
	return appendString(o.key(name), value)
}

// num adds a number unless it is zero.
func (o object) num(name string, value uint64) object {
	if value == 0 {
		return o
	}
	return strconv.AppendUint(o.key(name), value, 10)
}

// seconds adds a duration unless it is zero.
func (o object) seconds(name string, d time.Duration) object {
	if d == 0 {
		return o
	}
	return strconv.AppendFloat(o.key(name), float64(d.Milliseconds())/1000, 'f', -1, 64)
}

func appendEvent(dst []byte, e *Event) []byte {
	o := object(append(dst, '{')).str("type", string(e.Kind))
	if e.Kind == KindWelcome && e.Welcome != nil {
		o = o.num("version", JSONVersion).num("seq", e.Welcome.Seq)
	}
	o = o.num("seq", e.Seq).str("id", e.ID).str("room", e.Room)
	o = o.str("from", e.From).num("member", e.Member).str("nick", e.Nick)
	o = o.str("text", e.Text)
	if e.Err != nil {
		o = o.str("code", string(e.Err.Code)).str("text", e.Err.Text)
		o = o.str("retry", string(e.Err.Retry)).seconds("retry_after", e.Err.After)
	}
	if w := e.Welcome; w != nil {
		o = o.num("history", uint64(w.History)).str("epoch", w.Epoch)
		o = o.str("role", w.Role.String()).str("topic", w.Topic).str("motd", w.MOTD)
		o = o.members(w.Members).num("count", uint64(w.Count))
		o = append(o.key("limits"), '{')
		o = o.num("line_bytes", uint64(w.Limits.LineBytes)).num("text_bytes", uint64(w.Limits.TextBytes))
		o = append(o.seconds("idle", w.Limits.Idle), '}')
	}
	if e.Kind == KindMembers {
		o = o.members(e.Members)
	}
	if e.Kind == KindRooms {
		o = o.rooms(e.Rooms)
	}
	if !e.Time.IsZero() {
		o = append(o.key("time"), '"')
		o = append(e.Time.UTC().AppendFormat(o, wireTime), '"')
	}
	return append(o, '}')
}

func (o object) members(members []MemberInfo) object {
	o = append(o.key("members"), '[')
	for i := range members {
		if i > 0 {
			o = append(o, ',')
		}
		o = append(o, '{')
		o = o.str("nick", members[i].Nick).num("member", members[i].Member)
		o = append(o.str("role", members[i].Role.String()), '}')
	}
	return append(o, ']')
}

func (o object) rooms(rooms []RoomInfo) object {
	o = append(o.key("rooms"), '[')
	for i := range rooms {
		if i > 0 {
			o = append(o, ',')
		}
		o = append(o, '{')
		o = o.str("room", rooms[i].Room).str("topic", rooms[i].Topic)
		o = append(o.num("members", uint64(rooms[i].Members)), '}')
	}
	return append(o, ']')
}

// appendString appends s as a JSON string (RFC 8259, section 7). Bytes that are not UTF-8 become
// U+FFFD. U+2028 and U+2029 are escaped, for readers that take them for line ends.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b >= ' ' && b != '"' && b != '\\' && b < 0x7f {
			i++
			continue
		}
		r, size := rune(b), 1
		if b >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
			if !(r == utf8.RuneError && size == 1) && r > 0x9f && r != 0x2028 && r != 0x2029 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', b)
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r == utf8.RuneError:
			dst = append(dst, "\ufffd"...)
		default:
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		}
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// A wireEvent is an event as encoding/json reads it.
type wireEvent struct {
	Type       Kind         `json:"type"`
	Version    int          `json:"version"`
	Seq        uint64       `json:"seq"`
	ID         string       `json:"id"`
	Room       string       `json:"room"`
	From       string       `json:"from"`
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
	Rooms      []wireRoom   `json:"rooms"`
	Limits     wireLimits   `json:"limits"`
}

type wireMember struct {
	Nick   string   `json:"nick"`
	Member uint64   `json:"member"`
	Role   wireRole `json:"role"`
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
}

// UnmarshalJSON takes an event as it goes on the wire.
func (e *Event) UnmarshalJSON(b []byte) error {
	var w wireEvent
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	*e = Event{
		Kind: w.Type, Seq: w.Seq, ID: w.ID, Room: w.Room, From: w.From, Member: w.Member,
		Nick: w.Nick, Text: w.Text, Time: w.Time,
	}
	switch w.Type {
	case KindError, KindBye:
		e.Text = ""
		e.Err = &Error{Code: w.Code, Text: w.Text, Retry: w.Retry, After: seconds(w.RetryAfter)}
	case KindWelcome:
		e.Seq = 0
		e.Welcome = &Welcome{
			Seq: w.Seq, History: w.History, Epoch: w.Epoch, Topic: w.Topic, MOTD: w.MOTD, Role: Role(w.Role),
			Members: memberInfos(w.Members), Count: w.Count,
			Limits: WireLimits{LineBytes: w.Limits.LineBytes, TextBytes: w.Limits.TextBytes, Idle: seconds(w.Limits.Idle)},
		}
	case KindMembers:
		e.Members = memberInfos(w.Members)
	case KindRooms:
		for _, r := range w.Rooms {
			e.Rooms = append(e.Rooms, RoomInfo(r))
		}
	}
	return nil
}

func memberInfos(members []wireMember) []MemberInfo {
	infos := make([]MemberInfo, len(members))
	for i, m := range members {
		infos[i] = MemberInfo{Nick: m.Nick, Member: m.Member, Role: Role(m.Role)}
	}
	return infos
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(s * float64(time.Second))) }
