package chatroom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// TextFront is the Front for people: they connect with nc or telnet, are asked for a nickname and
// type. Lines begin with the time; see AppendEvent for their shapes.
type TextFront struct {
	// Home is the room whose lines do not name it, the default room as a rule; empty means that all do.
	Home string
	// Location is where lines tell the time; nil means time.Local.
	Location *time.Location
}

// Name returns "text".
func (TextFront) Name() string { return "text" }

// Detect takes every connection, the silent ones too.
func (TextFront) Detect([]byte) Detection { return Mine }

// Serve asks for a nickname, and then turns lines into commands.
func (f TextFront) Serve(ctx context.Context, c *Conn) error {
	t := &typist{front: f, c: c}
	if err := t.join(ctx); err != nil {
		return err
	}
	return c.Continue(func() error { return t.next(ctx) })
}

// next takes the next line.
func (t *typist) next(ctx context.Context) error {
	line, err := t.in.read(t.c)
	if errors.Is(err, ErrLineTooLong) {
		t.refuse(err)
		return nil
	}
	if err == nil {
		t.take(ctx, line)
	}
	return err
}

// A typist is somebody at a keyboard, and the room that plain lines go to.
type typist struct {
	front TextFront
	c     *Conn
	in    telnet
	room  string
}

// What the handshake says.
const (
	askNick     = "Your nickname: "
	askPassword = "Your password: "
	noChat      = "This is a chat room. Connect with nc or a chat client.\n"
)

// join asks until somebody has joined.
func (t *typist) join(ctx context.Context) error {
	req := JoinRequest{Encoder: t.front}
	question, answer := askNick, &req.Nick
	for tries := 1; ; tries++ {
		if _, err := io.WriteString(t.c, question); err != nil {
			return err
		}
		if tries == 1 && t.isProgram() {
			_, _ = io.WriteString(t.c, "\n") // ends the line of the question; reading tells if this failed
			return ErrNoFront
		}
		line, err := t.in.read(t.c)
		if err == nil && answer == &req.Nick && otherProtocol(line) {
			_, _ = io.WriteString(t.c, noChat) // it is hung up on either way
			return &Error{Code: CodeBadRequest, Text: "another protocol"}
		}
		if err == nil {
			*answer = string(line)
			var welcome Event
			if welcome, err = t.c.Join(ctx, req); err == nil {
				t.room = welcome.Room
				t.c.Reply(Event{Kind: KindNotice, Text: "Type to talk, or /help."})
				return nil
			}
		}
		refused, ok := errors.AsType[*Error](err)
		if !ok {
			return err
		}
		question = withStop(refused.Text) + "\n" + askNick
		answer, req.Secret = &req.Nick, ""
		if refused.Code == CodePasswordRequired {
			question, answer = askPassword, &req.Secret
		}
		if endsHandshake(refused) || tries == maxTries {
			_, _ = io.WriteString(t.c, withStop(refused.Text)+" Goodbye.\n") // it is hung up on either way
			return err
		}
	}
}

// isProgram recognises a program that was slow to speak first. It skips what does not look like
// JSON.
func (t *typist) isProgram() bool {
	first, err := t.c.Peek()
	return err == nil && first[0] == '{'
}

// otherProtocol recognises programs that took the port for something else: TLS, SSH, HTTP.
func otherProtocol(line []byte) bool {
	return bytes.HasPrefix(line, []byte{0x16, 0x03}) || bytes.HasPrefix(line, []byte("SSH-")) ||
		bytes.Contains(line, []byte(" HTTP/")) || bytes.HasPrefix(line, []byte("PRI * HTTP"))
}

// take does what a line says.
func (t *typist) take(ctx context.Context, line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	cmd, err := ParseLine(string(line))
	if err != nil {
		t.refuse(err)
		return
	}
	if cmd.Verb == VerbHelp {
		t.c.Reply(Event{Kind: KindNotice, Text: Help(t.c.Self().Role)})
		return
	}
	if cmd.Room == "" && cmd.Verb != VerbRooms {
		cmd.Room = t.room
	}
	e, err := t.c.Send(ctx, cmd)
	switch {
	case cmd.Verb == VerbJoin && errors.Is(err, ErrInRoom):
		t.room = cmd.Room
		if room, err := t.c.Send(ctx, Command{Verb: VerbRoom, Room: cmd.Room}); err == nil {
			t.room = room.Room
		}
		t.c.Reply(Event{Kind: KindNotice, Text: "What you type is said in " + t.room + " now."})
	case err != nil:
		t.refuse(err)
	case e.Kind == KindWelcome:
		t.room = e.Room
	case e.Kind == KindLeave && e.Room == t.room:
		t.room = "" // the only room left, if there is one
	case e.Kind.Answer():
		t.c.Reply(e)
	}
}

func (t *typist) refuse(err error) { t.c.Reply(refusal("", err)) }

// AppendEvent appends e as one line, or a few. Everything a member wrote stands behind that
// member's name, so that no text can pass for a notice, and whatever e holds is clean in its line (see Clean):
//
//	12:03 <ann> a message          12:03 --> ann joined
//	12:03 * ann does something     12:03 <-- ann left
//	12:03 [ann -> bob] private     12:03 --- ann is now called anna
//	12:03 *** a notice             !!! a refusal
//
// In rooms other than Home the room's name stands in brackets behind the time.
func (f TextFront) AppendEvent(dst []byte, e *Event) []byte {
	switch e.Kind {
	case KindWelcome:
		return appendWelcome(dst, e)
	case KindMembers:
		return appendLine(dst, "--- In %s (%d): %s", e.Room, len(e.Members), nickList(e.Members, len(e.Members)))
	case KindRooms:
		for _, r := range e.Rooms {
			n := len(dst)
			dst = fmt.Appendf(dst, "--- %s (%d)", r.Room, r.Members)
			switch {
			case r.Topic != "":
				dst = append(append(dst, ": "...), r.Topic...)
			case e.Room != "": // it was asked about alone
				dst = append(dst, " has no topic"...)
			}
			dst = endLine(dst, n)
		}
		return dst
	case KindNotice:
		if e.Ordered() {
			break
		}
		for line := range strings.SplitSeq(e.Text, "\n") {
			dst = appendLine(dst, "--- %s", line)
		}
		return dst
	case KindError:
		if e.Err.Code == CodeHeld { // which is no refusal
			return appendLine(dst, "--- %s", withStop(capital(e.Err.Text)))
		}
		return appendLine(dst, "!!! %s", withStop(e.Err.Text))
	case KindBye:
		if e.Err.Text == "" || e.Err.Code == CodeClosed {
			return append(dst, "--- Goodbye.\n"...)
		}
		return appendLine(dst, "--- Goodbye: %s", withStop(e.Err.Text))
	case KindPong:
		return append(dst, "--- pong\n"...)
	case KindPreview, KindBans, KindActs, KindHeld, KindHold:
		return f.appendReport(dst, e)
	case KindHistory:
		dst = fmt.Appendf(dst, "--- Earlier here (%d of %d):\n", len(e.Report.Events), e.Report.Count)
		for i := range e.Report.Events {
			dst = f.appendMoment(dst, &e.Report.Events[i])
		}
		return append(dst, "--- That was it.\n"...)
	case KindPing:
		return dst
	}
	return f.appendMoment(dst, e)
}

// appendLine appends one line.
func appendLine(dst []byte, format string, args ...any) []byte {
	n := len(dst)
	return endLine(fmt.Appendf(dst, format, args...), n)
}

// endLine ends the line that begins at dst[n], and makes what it holds clean.
func endLine(dst []byte, n int) []byte {
	plain := func(b byte) bool { return b >= ' ' && b < 0x7f || b == '\t' }
	for _, b := range dst[n:] {
		if !plain(b) {
			dst = append(dst[:n], Clean(string(dst[n:]))...)
			break
		}
	}
	return append(dst, '\n')
}

// appendMoment appends what happened in a room, or in private, at one moment.
func (f TextFront) appendMoment(dst []byte, e *Event) []byte {
	where := f.Location
	if where == nil {
		where = time.Local
	}
	n := len(dst)
	dst = e.Time.In(where).AppendFormat(dst, "15:04 ")
	if e.Room != "" && e.Room != f.Home {
		dst = fmt.Appendf(dst, "[%s] ", e.Room)
	}
	switch e.Kind {
	case KindMessage:
		dst = fmt.Appendf(dst, "<%s> %s", e.From, e.Text)
	case KindAction:
		dst = fmt.Appendf(dst, "* %s %s", e.From, e.Text)
	case KindPrivate:
		dst = fmt.Appendf(dst, "[%s -> %s] %s", e.From, e.Nick, e.Text)
	case KindNotice:
		dst = fmt.Appendf(dst, "*** %s", e.Text)
	case KindJoin:
		dst = fmt.Appendf(dst, "--> %s joined", e.From)
	case KindLeave:
		dst = fmt.Appendf(dst, "<-- %s left", e.From)
		if e.Text != "" {
			dst = fmt.Appendf(dst, " (%s)", e.Text)
		}
	case KindCrowd:
		if c := e.Crowd; c == nil || c.JoinedCount+c.LeftCount <= 0 {
			return dst[:n]
		}
		dst = appendCrowd(dst, e.Crowd)
	case KindNick:
		dst = fmt.Appendf(dst, "--- %s is now called %s", e.From, e.Nick)
	case KindTopic:
		if e.Text == "" {
			dst = fmt.Appendf(dst, "--- %s cleared the topic", e.From)
		} else {
			dst = fmt.Appendf(dst, "--- %s set the topic: %s", e.From, e.Text)
		}
	case KindDeleted:
		dst = fmt.Appendf(dst, "--- a message of %s was deleted", e.From)
	default:
		if e.Act == nil {
			return dst[:n] // a kind this format has no words for
		}
		if dst = append(dst, "--- "...); !f.actWords(&dst, e) {
			return dst[:n]
		}
	}
	return endLine(dst, n)
}

// appendCrowd appends who came and who went, in one line.
func appendCrowd(dst []byte, c *Crowd) []byte {
	if c.JoinedCount > 0 {
		dst = fmt.Appendf(dst, "--> %s joined", nickList(c.Joined, c.JoinedCount))
	}
	if c.JoinedCount > 0 && c.LeftCount > 0 {
		dst = append(dst, "; "...)
	}
	if c.LeftCount > 0 {
		dst = fmt.Appendf(dst, "<-- %s left", nickList(c.Left, c.LeftCount))
	}
	return dst
}

func appendWelcome(dst []byte, e *Event) []byte {
	w, n := e.Welcome, len(dst)
	dst = fmt.Appendf(dst, "--- You are %s, in %s", e.Nick, e.Room)
	others := slices.DeleteFunc(slices.Clone(w.Members), func(m MemberInfo) bool { return m.Member == e.Member })
	if len(others) > 0 {
		dst = fmt.Appendf(dst, " with %s", nickList(others, w.Count-1))
	}
	dst = endLine(append(dst, '.'), n)
	if w.Topic != "" {
		dst = appendLine(dst, "--- Topic: %s", w.Topic)
	}
	if w.MOTD != "" {
		for line := range strings.SplitSeq(w.MOTD, "\n") {
			dst = appendLine(dst, "--- %s", line)
		}
	}
	if w.History > 0 {
		dst = append(dst, "--- Earlier here:\n"...)
	}
	return dst
}

const maxListed = 20

// nickList names up to maxListed of count members.
func nickList(members []MemberInfo, count int) string {
	var b strings.Builder
	for i, m := range members {
		if i == maxListed {
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(m.Nick)
		if m.Role > RoleMember {
			fmt.Fprintf(&b, " (%s)", m.Role)
		}
	}
	if more := count - min(len(members), maxListed); more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// telnet takes what a telnet client says to a telnet server (RFC 854) out of lines.
type telnet struct{ sub bool } // within a subnegotiation

const (
	telnetSE   = 240
	telnetSB   = 250
	telnetWill = 251
	telnetDont = 254
	telnetIAC  = 255
)

func (t *telnet) read(c *Conn) ([]byte, error) {
	line, err := c.ReadLine()
	if err == nil && (t.sub || bytes.IndexByte(line, telnetIAC) >= 0) {
		line = t.strip(line)
	}
	return line, err
}

func (t *telnet) strip(line []byte) []byte {
	out := line[:0]
	for i := 0; i < len(line); i++ {
		if line[i] != telnetIAC || i+1 == len(line) {
			if !t.sub && line[i] != telnetIAC {
				out = append(out, line[i])
			}
			continue
		}
		i++
		switch cmd := line[i]; {
		case cmd == telnetSB:
			t.sub = true
		case cmd == telnetSE:
			t.sub = false
		case cmd >= telnetWill && cmd <= telnetDont:
			i++ // the option
		}
	}
	return out
}
