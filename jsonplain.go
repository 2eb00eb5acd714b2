package chatroom

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// What nearly every line is, an object of a few strings without escapes and of numbers, is read here, in a fraction of the time
// that encoding/json takes. No other line is taken, and what is taken means what it means there.

// plainRequest reads a request. The line must be UTF-8.
func plainRequest(line []byte) (req request, ok bool) {
	rest, ok := bytes.CutPrefix(bytes.TrimRight(line, " "), []byte("{"))
	for more := ok; more; {
		var key, value []byte
		if key, rest, ok = plainString(rest, ':'); !ok {
			return request{}, false
		}
		if value, rest, more = plainString(rest, ','); !more {
			if value, rest, ok = plainString(rest, '}'); !ok || len(rest) > 0 {
				return request{}, false
			}
		}
		switch string(key) {
		case "type":
			req.Type = string(value)
		case "id":
			req.ID = string(value)
		case "room":
			req.Room = string(value)
		case "nick":
			req.Nick = string(value)
		case "text":
			req.Text = string(value)
		default:
			return request{}, false
		}
	}
	return req, ok && req.Type != ""
}

// plainEvent reads an event of a kind that has nothing else in it. Its strings share the memory of line.
func plainEvent(line string) (e Event, ok bool) {
	if !utf8.ValidString(line) || line == "" || line[0] != '{' {
		return e, false
	}
	for rest, more := line[1:], true; more; {
		var key, value string
		var n uint64
		if key, rest, ok = plainString(rest, ':'); !ok {
			return e, false
		}
		switch key {
		case "seq", "member", "private":
			n, rest, ok = plainNumber(rest)
		default:
			value, rest, ok = plainValue(rest)
		}
		if !ok || rest == "" || rest[0] != ',' && rest != "}" || !e.setPlain(key, value, n) {
			return e, false
		}
		more = rest[0] == ','
		rest = rest[1:]
	}
	return e, e.Kind != ""
}

// setPlain sets what the member key of an object says.
func (e *Event) setPlain(key, value string, n uint64) bool {
	switch key {
	case "type":
		e.Kind = plainKind(value)
		return e.Kind != ""
	case "seq":
		e.Seq = n
	case "member":
		e.Member = n
	case "private":
		e.Private = n
	case "id":
		e.ID = value
	case "room":
		e.Room = value
	case "from":
		e.From = value
	case "nick":
		e.Nick = value
	case "text":
		e.Text = value
	case "time":
		e.Time = time.Time{}
		return e.Time.UnmarshalText([]byte(value)) == nil
	default:
		return false
	}
	return true
}

// plainKind returns the kind of that name, if it has nothing in it but what plainEvent reads.
func plainKind(name string) Kind {
	switch k := Kind(name); k {
	case KindMessage, KindAction, KindNotice, KindJoin, KindLeave, KindNick, KindTopic, KindPrivate:
		return k
	}
	return ""
}

// plainString reads a string, and the byte that has to follow it.
func plainString[T string | []byte](b T, then byte) (s, rest T, ok bool) {
	if s, rest, ok = plainValue(b); ok {
		if rest = skipSpaces(rest); len(rest) > 0 && rest[0] == then {
			return s, rest[1:], true
		}
	}
	return s, b, false
}

// plainValue reads a string.
func plainValue[T string | []byte](b T) (s, rest T, ok bool) {
	b = skipSpaces(b)
	if len(b) == 0 || b[0] != '"' {
		return s, b, false
	}
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '"':
			return b[1:i], b[i+1:], true
		case b[i] < ' ', b[i] == '\\':
			return s, b, false
		}
	}
	return s, b, false
}

// plainNumber reads a number that is no fraction and less than 10¹⁸.
func plainNumber(s string) (n uint64, rest string, ok bool) {
	i := 0
	for ; i < len(s) && i < 18 && s[i] >= '0' && s[i] <= '9'; i++ {
		n = 10*n + uint64(s[i]-'0')
	}
	return n, s[i:], i == 1 || i > 0 && s[0] != '0'
}

func skipSpaces[T string | []byte](b T) T {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}
