package chatroom

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

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

	// Of sessions.
	Resume  bool   `json:"resume"`
	Session string `json:"session"`
	Seen    []Seen `json:"seen"`
	Private uint64 `json:"private"`
	Attempt uint64 `json:"attempt"`
	Before  uint64 `json:"before"`
	After   uint64 `json:"after"`

	// Of moderation.
	Target   string   `json:"target"`
	Reason   string   `json:"reason"`
	Note     string   `json:"note"`
	For      float64  `json:"for"` // seconds
	Every    float64  `json:"every"`
	Ref      string   `json:"ref"`
	Seq      uint64   `json:"seq"`
	Count    int      `json:"count"`
	Role     roleName `json:"role"`
	Accounts bool     `json:"accounts"`
	Preview  bool     `json:"preview"`
	Force    bool     `json:"force"`
}

func (r *request) command() Command {
	return Command{
		Verb: Verb(r.Type), ID: r.ID, Room: r.Room, Nick: r.Nick, Text: r.Text,
		Target: r.Target, Reason: r.Reason, Note: r.Note, For: seconds(r.For), Every: seconds(r.Every),
		Before: r.Before, After: r.After, Seen: r.Seen, Ref: r.Ref, Seq: r.Seq, Count: r.Count, Role: Role(r.Role),
		Accounts: r.Accounts, Preview: r.Preview, Force: r.Force,
	}
}

// A roleName is a Role in a request. One that is none is refused where it is used.
type roleName Role

func (r *roleName) UnmarshalText(b []byte) error {
	role := Role(-1)
	_ = role.UnmarshalText(b) // an unknown one leaves a Role that is none
	*r = roleName(role)
	return nil
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
	if req, ok := plainRequest(line); ok {
		return req, nil
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
