package pychat

import (
	"bytes"
	"regexp"
	"strings"

	"example.com/chatroom"
)

// A splitter finds the messages in what a client sends, which has no framing. The client writes
// its nick and a colon before each; some end with a newline, and some with nothing at all.
//
// A message ends at a newline, before the client's own prefix, or with a silence. The prefix
// behind white space is part of what was said: "ann: as ann: would" is one message of ann's, and
// "ann: oneann: two" are two. That is a guess. It is wrong about "ann: one ann: two", of which the
// console client would have to send the first with a space at its end.
type splitter struct {
	nick   string // as the client calls itself, whatever it is called in the room
	buf    []byte
	silent bool // nothing has followed for a while: what is in buf is all there is
	most   int  // bytes of a message; a longer one is skipped

	skipping bool // within a message that is too long
	skipped  int  // bytes of it
}

// A part is one thing a client sent: a message, or with VerbKick or VerbBan the bare command of
// the admin's client, whose text is behind it.
type part struct {
	verb chatroom.Verb
	text string
}

const (
	kickWord = "KICK "
	banWord  = "BAN "
)

// merged finds commands directly behind a message. Behind a capital letter it would be a
// word: nobody is banned by KICKBAN.
var merged = regexp.MustCompile(`[^\sA-Z]((?:(?:KICK|BAN) \S{1,128})+)$`)

func (s *splitter) prefix() string { return s.nick + ": " }

func (s *splitter) add(b []byte) {
	s.buf = append(s.buf, b...)
	s.silent = false
}

// next takes the next part off what was sent; false means that there is no whole one yet. With
// commands the client may be an admin's, in which a bare command can follow a message directly.
func (s *splitter) next(commands bool) (p part, ok bool) {
	for !s.unfinished() {
		start, verb := s.begin()
		end, next := s.end(start)
		if end < 0 {
			break
		}
		if commands {
			if m := merged.FindSubmatchIndex(s.buf[start:end]); m != nil {
				end = start + m[2]
				next = end
			}
		}
		p = part{verb, strings.TrimSuffix(string(s.buf[start:end]), "\r")}
		skip := s.skipping
		s.skipping, s.skipped = false, 0
		if s.buf = s.buf[next:]; len(s.buf) == 0 {
			s.buf = nil // an idle client holds nothing
		}
		if !skip && strings.TrimSpace(p.text) != "" {
			return p, true
		}
	}
	return part{}, false
}

// unfinished reports whether what is there is nothing, or the beginning of something that no
// client leaves at that, however long it takes.
func (s *splitter) unfinished() bool {
	if s.skipping {
		return false
	}
	s.buf = bytes.TrimLeft(s.buf, "\r\n")
	for _, begun := range []string{s.prefix(), s.nick + s.prefix(), kickWord, banWord} {
		if len(s.buf) <= len(begun) && strings.HasPrefix(begun, string(s.buf)) {
			return true
		}
	}
	return false
}

// begin returns where the text of the first part begins, and what kind of part it is.
func (s *splitter) begin() (start int, verb chatroom.Verb) {
	has := func(word string) bool { return bytes.HasPrefix(s.buf, []byte(word)) }
	if !s.skipping && has(s.nick+s.prefix()) {
		s.buf = s.buf[len(s.nick):] // it has seen a question where there was none
	}
	switch {
	case s.skipping:
	case has(s.prefix()):
		return len(s.prefix()), chatroom.VerbSay
	case has(kickWord):
		return len(kickWord), chatroom.VerbKick
	case has(banWord):
		return len(banWord), chatroom.VerbBan
	}
	return 0, chatroom.VerbSay
}

// end returns where the text of the first part ends, and where the next part begins; -1 means
// that this cannot be told yet.
func (s *splitter) end(start int) (end, next int) {
	line := bytes.IndexByte(s.buf[start:], '\n') + start
	search := line
	if line < start {
		search = len(s.buf)
	}
	for from := start; ; from++ {
		i := bytes.Index(s.buf[from:search], []byte(s.prefix()))
		if i < 0 {
			break
		}
		if from += i; from == start || s.buf[from-1] != ' ' && s.buf[from-1] != '\t' {
			return from, from
		}
	}
	switch {
	case line >= start:
		return line, line + 1
	case s.silent:
		return len(s.buf), len(s.buf)
	}
	return -1, -1
}

// bound lets go of a message that has become too long. It returns an Error the first time, and
// when there is no end to it another.
func (s *splitter) bound() error {
	if len(s.buf) < s.most {
		return nil
	}
	keep := min(len(s.prefix()), len(s.buf)) // it may end within the next message's
	s.skipped += len(s.buf) - keep
	s.buf = bytes.Clone(s.buf[len(s.buf)-keep:])
	if s.skipped >= 8*s.most {
		return errEndless
	}
	if s.skipping {
		return nil
	}
	s.skipping = true
	return chatroom.ErrLineTooLong
}

// errEndless ends a connection, as it does with the other fronts.
var errEndless = &chatroom.Error{Code: chatroom.CodeFlooding, Text: "a message without end", Retry: chatroom.RetryLater}

// cutNick finds the nick in a client's first answer. With silent nothing has followed the answer for
// a while; false means that the nick has not all come yet. Who is quick sends a message right behind the
// nick, as in "annann: hi", and who was quicker than the question sends it before: "ann: hiann".
func cutNick(s string, silent bool) (nick, rest string, ok bool) {
	s = strings.TrimLeft(s, "\r\n")
	before, _, message := strings.Cut(s, ": ")
	if line, rest, ended := strings.Cut(before, "\n"); ended {
		if message {
			rest = s[len(line)+1:]
		}
		return strings.TrimSuffix(line, "\r"), rest, true
	}
	if !message {
		return s, "", silent && s != ""
	}
	if half := len(before) / 2; half > 0 && before[:half] == before[half:] {
		return before[:half], s[half:], true
	}
	if said, after, ok := strings.Cut(s, before+before+": "); ok {
		return before, said + before + ": " + after, true
	}
	if said, ok := strings.CutSuffix(strings.TrimRight(s, "\r\n"), before); ok && silent && len(said) > len(before) {
		return before, said, true
	}
	return "", "", false
}

// cutSecret finds the password in an answer.
func (s *splitter) cutSecret(answer string, silent bool) (secret, rest string, ok bool) {
	if line, rest, ended := strings.Cut(answer, "\n"); ended {
		return strings.TrimSuffix(line, "\r"), rest, true
	}
	if i := strings.Index(answer, s.prefix()); i > 0 {
		return answer[:i], answer[i:], silent
	}
	return answer, "", silent && answer != ""
}
