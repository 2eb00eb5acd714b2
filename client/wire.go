package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"example.com/chatroom"
)

const (
	// maxLine is the longest line taken from a server: the list of a hundred thousand members.
	maxLine = 8 << 20
	// maxPrompt is how many lines of another protocol may come first. A program that is slow to
	// speak is taken for a person, and prompted, until it does.
	maxPrompt = 8
)

var (
	pongLine = []byte(`{"type":"pong"}` + "\n")
	quitLine = []byte(`{"type":"quit"}` + "\n")
)

// readLine returns the next line with its end, valid until the next read. One that does not fit
// into r's buffer gets memory of its own.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > maxLine {
			return nil, garbage("a line without end")
		}
		line, err = r.ReadSlice('\n')
		long = append(long, line...)
	}
	return long, err
}

// readEvent reads one event, and how many bytes it took.
func readEvent(r *bufio.Reader) (e chatroom.Event, size int, err error) {
	line, err := readLine(r)
	if err != nil {
		return e, 0, err
	}
	// Its error quotes nothing a person could use; the line does.
	if err := e.UnmarshalJSON(line); err != nil || e.Kind == "" {
		return e, 0, garbage(fmt.Sprintf("%.60q", line))
	}
	return e, len(line), nil
}

// skipPrompt reads up to the first line that begins with {.
func skipPrompt(r *bufio.Reader) error {
	for range maxPrompt {
		first, err := r.Peek(1)
		if err != nil || first[0] == '{' {
			return err
		}
		if _, err := readLine(r); err != nil {
			return err
		}
	}
	return garbage("another protocol")
}

// garbage is the reason a connection ends on which the server says what is no event.
func garbage(what string) error {
	return &chatroom.Error{
		Code: chatroom.CodeBadRequest, Retry: chatroom.RetryNever,
		Text: "the server does not speak this protocol: " + what,
	}
}

// A request is the wish to join, as it goes on the wire.
type request struct {
	Type     string `json:"type"`
	Version  int    `json:"version"`
	Room     string `json:"room,omitempty"`
	Nick     string `json:"nick"`
	Account  string `json:"account,omitempty"`
	Password string `json:"password,omitempty"`

	Resume  bool            `json:"resume,omitempty"`
	Session string          `json:"session,omitempty"`
	Seen    []chatroom.Seen `json:"seen,omitempty"`
	Private uint64          `json:"private,omitempty"`
	Attempt uint64          `json:"attempt,omitempty"`
}

// line returns r as one line. What is not UTF-8 is refused here, as a server would: encoding/json
// would send something else instead.
func (r *request) line() ([]byte, error) {
	for _, s := range []string{r.Room, r.Nick, r.Account, r.Password} {
		if !utf8.ValidString(s) {
			return nil, &chatroom.Error{Code: chatroom.CodeTextInvalid, Text: "a text must be UTF-8"}
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a password's < would be six bytes, and a line is bounded
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encode %s: %w", r.Type, err)
	}
	return b.Bytes(), nil
}

// commandLine returns cmd as one line that a server with these limits reads.
func commandLine(cmd chatroom.Command, limits chatroom.WireLimits) ([]byte, error) {
	switch cmd.Verb {
	case "", "pong":
		return nil, chatroom.ErrUnknownCommand // these have no answer
	}
	line, err := cmd.MarshalJSON()
	if err != nil {
		return nil, err
	}
	line = append(line, '\n')
	if limits.LineBytes <= 0 || len(line) <= limits.LineBytes {
		return line, nil
	}
	// A server throws such a line away unread, so that it cannot say which command it refuses.
	if limits.TextBytes > 0 && len(cmd.Text) > limits.TextBytes {
		return nil, &chatroom.Error{
			Code: chatroom.CodeTextTooLong,
			Text: fmt.Sprintf("a text has at most %d bytes, that one has %d", limits.TextBytes, len(cmd.Text)),
		}
	}
	return nil, chatroom.ErrLineTooLong
}
