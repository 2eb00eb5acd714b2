package chatroom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// JSONVersion is the version of the JSON protocol that JSONFront speaks.
const JSONVersion = 1

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
	return c.Continue(func() error { return f.next(ctx, c) })
}

// next takes the next line.
func (f JSONFront) next(ctx context.Context, c *Conn) error {
	line, err := c.ReadLine()
	if errors.Is(err, ErrLineTooLong) {
		c.Reply(refusal("", err))
		return nil
	}
	if err != nil {
		return err
	}
	req, err := parseRequest(line)
	if err == nil && (req.Type == "" || req.Type == "pong") {
		return nil // a blank line or a pong: a sign of life
	}
	var e Event
	if err == nil {
		e, err = c.Send(ctx, req.command())
	}
	switch {
	case err != nil:
		c.Reply(refusal(req.ID, err))
	case e.Again, e.Kind.Answer():
		c.Reply(e)
	}
	return nil
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
		Resume: req.Resume, Session: req.Session, Seen: req.Seen, Private: req.Private, Attempt: req.Attempt,
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

// MarshalJSON returns the command as it goes on the wire. What is not UTF-8 is refused with an
// Error, as a server would.
func (c Command) MarshalJSON() ([]byte, error) {
	texts := []string{string(c.Verb), c.ID, c.Room, c.Nick, c.Text, c.Target, c.Reason, c.Note, c.Ref}
	for _, s := range c.Seen {
		texts = append(texts, s.Room, s.Epoch)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return nil, &Error{Code: CodeTextInvalid, Text: "a text must be UTF-8"}
		}
	}
	o := object("{").str("type", string(c.Verb)).str("id", c.ID).str("room", c.Room)
	o = o.str("nick", c.Nick).str("text", c.Text).str("target", c.Target).str("reason", c.Reason).str("note", c.Note)
	o = o.seconds("for", c.For).seconds("every", c.Every).str("ref", c.Ref).num("seq", c.Seq).num("before", c.Before).num("after", c.After).num("count", uint64(max(c.Count, 0)))
	if c.Role != RoleMember {
		o = o.str("role", c.Role.String())
	}
	if len(c.Seen) > 0 {
		o = o.list("seen", c.Seen)
	}
	return append(o.flag("accounts", c.Accounts).flag("preview", c.Preview).flag("force", c.Force), '}'), nil
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
	return o.float(name, float64(d)/1e9)
}

// float adds a number unless it is zero.
func (o object) float(name string, value float64) object {
	if value == 0 {
		return o
	}
	return strconv.AppendFloat(o.key(name), value, 'f', -1, 64)
}

// flag adds a claim if it holds.
func (o object) flag(name string, value bool) object {
	if !value {
		return o
	}
	return append(o.key(name), "true"...)
}

// when adds a time unless it is zero.
func (o object) when(name string, t time.Time) object {
	if t.IsZero() {
		return o
	}
	o = append(o.key(name), '"')
	return append(appendTime(o, t), '"')
}

// appendTime appends t as RFC 3339 has it, in UTC and with milliseconds.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	dst = t.AppendFormat(dst, time.RFC3339) // which is many times as fast as a layout with a fraction
	ms := t.Nanosecond() / 1e6
	return append(dst[:len(dst)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
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
		o = o.str("ref", e.Err.Ref).when("until", e.Err.Until)
	}
	o = o.num("private", e.Private).flag("again", e.Again)
	if e.Gap != nil {
		o = o.num("from", e.Gap.From).num("to", e.Gap.To)
	}
	if e.Act != nil {
		o = o.act(e.Kind, e.Act)
	}
	if e.Report != nil {
		o = o.report(e.Kind, e.Report)
	}
	if w := e.Welcome; w != nil {
		o = o.str("session", w.Session).flag("resumed", w.Resumed)
		o = o.num("history", uint64(w.History)).str("epoch", w.Epoch)
		o = o.str("role", w.Role.String()).str("topic", w.Topic).str("motd", w.MOTD)
		o = o.members("members", w.Members).num("count", uint64(w.Count))
		o = append(o.key("limits"), '{')
		o = o.num("line_bytes", uint64(w.Limits.LineBytes)).num("text_bytes", uint64(w.Limits.TextBytes))
		o = o.seconds("idle", w.Limits.Idle)
		o = o.float("message_rate", w.Limits.MessageRate).num("message_burst", uint64(w.Limits.MessageBurst))
		o = o.float("move_rate", w.Limits.MoveRate).num("move_burst", uint64(w.Limits.MoveBurst))
		o = append(o, '}')
	}
	if c := e.Crowd; c != nil {
		o = o.members("joined", c.Joined).num("joined_count", uint64(c.JoinedCount))
		o = o.members("left", c.Left).num("left_count", uint64(c.LeftCount)).num("count", uint64(c.Count))
	}
	if e.Kind == KindMembers {
		o = o.members("members", e.Members)
	}
	if e.Kind == KindRooms {
		o = o.rooms(e.Rooms)
	}
	return append(o.when("time", e.Time), '}')
}

func (o object) act(kind Kind, a *Act) object {
	o = o.str("act", a.ID).str("reason", a.Reason).str("target", a.Target).when("until", a.Until)
	if string(a.Verb) != string(kind) {
		o = o.str("verb", string(a.Verb))
	}
	switch kind {
	case KindSlow:
		if a.Every == 0 {
			return append(o.key("every"), '0')
		}
	case KindRole:
		o = o.str("role", a.Role.String())
	}
	if len(a.Seqs) > 0 {
		o = append(o.key("seqs"), '[')
		for i, seq := range a.Seqs {
			if i > 0 {
				o = append(o, ',')
			}
			o = strconv.AppendUint(o, seq, 10)
		}
		o = append(o, ']')
	}
	return o.seconds("every", a.Every).flag("accounts", a.Accounts).str("undoes", a.Undoes)
}

func (o object) report(kind Kind, r *Report) object {
	switch kind {
	case KindPreview:
		o = o.members("hits", r.Hits).members("left", r.Left).list("notes", r.Notes)
	case KindBans:
		o = o.list("bans", r.Bans)
	case KindActs:
		o = o.list("acts", r.Acts)
	case KindHeld, KindHold:
		o = o.list("held", r.Held)
	case KindHistory:
		o = o.list("events", r.Events)
	}
	return strconv.AppendInt(o.key("count"), int64(r.Count), 10)
}

// list adds what encoding/json makes of a list, which is an empty one at least. That leaves control
// characters above U+007E as they are.
func (o object) list(name string, values any) object {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(values); err != nil || b.String() == "null\n" {
		return append(o.key(name), "[]"...) // there is nothing in them that could fail
	}
	o = o.key(name)
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if r >= 0x7f && r <= 0x9f { // within a string, as all that is not ASCII
			o = fmt.Appendf(o, `\u%04x`, r)
		} else {
			o = utf8.AppendRune(o, r)
		}
	}
	return o
}

func (o object) members(name string, members []MemberInfo) object {
	o = append(o.key(name), '[')
	for i := range members {
		if i > 0 {
			o = append(o, ',')
		}
		o = append(o, '{')
		o = o.str("nick", members[i].Nick).num("member", members[i].Member)
		o = append(o.str("role", members[i].Role.String()).flag("lingering", members[i].Lingering), '}')
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
