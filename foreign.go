package chatroom

import (
	"bytes"
	"fmt"
	"strings"
)

// A stranger is a protocol that no chat speaks, by how its peers begin.
type stranger struct {
	name   string
	begins []string
	within string // its first line, if not empty
	answer string // that its peers understand; none if it is empty
	never  bool   // no front may have it
}

const (
	notHere  = "This is a chat room. Connect with nc or a chat client.\r\n"
	tlsAlert = "\x15\x03\x01\x00\x02\x02\x28" // RFC 8446, section 6: fatal, handshake_failure
)

var httpAnswer = fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(notHere), notHere)

// In none of these, up to where it can be told from others, could be a nick: a nick has no space in it and no control
// character.
var strangers = []stranger{
	{name: "a PROXY header", begins: []string{proxyText, proxyBinary}, never: true},
	{name: "RTSP", within: " RTSP/", begins: []string{"DESCRIBE ", "SETUP "}, answer: "RTSP/1.0 400 Bad Request\r\n\r\n"},
	{name: "SIP", within: " SIP/", begins: []string{"REGISTER ", "INVITE "}, answer: "SIP/2.0 400 Bad Request\r\n\r\n"},
	{
		name: "HTTP", within: " HTTP/", answer: httpAnswer,
		begins: []string{"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ", "PRI "},
	},
	{name: "TLS", begins: []string{"\x16\x03"}, answer: tlsAlert},
	{name: "SSH", begins: []string{"SSH-"}, answer: notHere},
	{name: "SMTP", begins: []string{"EHLO ", "HELO ", "LHLO "}, answer: "554 " + notHere},
}

var noText = stranger{name: "no text"}

// beginsLike returns the protocol that somebody speaks who begins like that. NeedMore means that it may turn out to be one.
func beginsLike(first []byte) (*stranger, Detection) {
	begun, line := NotMine, first
	if end := bytes.IndexByte(first, '\n'); end >= 0 {
		line = first[:end]
	}
	for i := range strangers {
		s := &strangers[i]
		if s.within != "" && bytes.Contains(line, []byte(s.within)) {
			return s, Mine
		}
		for _, b := range s.begins {
			switch {
			case bytes.HasPrefix(first, []byte(b)):
				return s, Mine
			case strings.HasPrefix(b, string(first[:min(len(first), len(b))])):
				begun = NeedMore
			}
		}
	}
	if len(first) > 0 && first[0] < ' ' && bytes.IndexByte(first[:min(len(first), 4)], 0) >= 0 {
		return &noText, Mine
	}
	return nil, begun
}

// turnOut tells a peer in its own protocol that this is none for it.
func (c *Conn) turnOut(s *stranger) error {
	if s.answer != "" && c.write([]byte(s.answer)) == nil {
		// It has more to say, which has to be read, or its system may throw the answer away.
		c.hangUp(nil)
		c.readOut()
	}
	return fmt.Errorf("%w: it begins like %s", ErrNoFront, s.name)
}
