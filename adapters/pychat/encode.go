package pychat

import (
	"fmt"

	"example.com/chatroom"
)

// AppendEvent appends e in ASCII: in the words of the old server, and where it had none as TextFront
// has it. Every line ends with a newline and says more than a word that means something to a client.
func (f Front) AppendEvent(dst []byte, e *chatroom.Event) []byte {
	e = inASCII(e)
	switch e.Kind {
	case chatroom.KindMessage:
		return f.line(dst, e, "%s: %s", e.From, e.Text)
	case chatroom.KindJoin:
		return f.line(dst, e, "%s has just joined the chat !", e.From)
	case chatroom.KindLeave:
		if e.Text != "" {
			return f.line(dst, e, "%s has left the chat. (%s)", e.From, e.Text)
		}
		return f.line(dst, e, "%s has left the chat.", e.From)
	case chatroom.KindKick:
		if e.Act.Reason != "" {
			return f.line(dst, e, "%s was kicked by an admin: %s", e.Nick, e.Act.Reason)
		}
		return f.line(dst, e, "%s was kicked by an admin", e.Nick)
	case chatroom.KindWelcome:
		if e.ID == greeting {
			dst = append(append(dst, lost...), "Successfully Connected to Server\n"...)
		}
	case chatroom.KindError:
		if e.Err.Code == chatroom.CodeDenied {
			dst = append(dst, "Command was refused!\n"...)
		}
	case chatroom.KindBye:
		if e.Err.Code == chatroom.CodeKicked || e.Err.Code == chatroom.CodeBanned {
			dst = append(dst, "You were kicked\n"...)
		}
	}
	return f.text(dst, e)
}

// line appends one line.
func (f Front) line(dst []byte, e *chatroom.Event, format string, args ...any) []byte {
	text := fmt.Sprintf(format, args...)
	if f.Home != "" && e.Room != f.Home {
		text = "[" + e.Room + "] " + text
	}
	return append(ascii(dst, oneLine(text)), '\n')
}

// text appends e as people with nc see it.
func (f Front) text(dst []byte, e *chatroom.Event) []byte {
	text := chatroom.TextFront{Home: f.Home, Location: f.Location}
	if f.Home == "" {
		text.Home = e.Room
	}
	return ascii(dst, string(text.AppendEvent(nil, e)))
}
