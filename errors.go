package chatroom

import (
	"context"
	"errors"
	"time"
)

// A Code names a refusal or the end of a connection. Codes go on the wire and do not change.
type Code string

// The codes a server gives.
const (
	CodeBadRequest       Code = "bad_request"       // not a command in this protocol
	CodeBadVersion       Code = "bad_version"       // a protocol version this server does not speak
	CodeUnknownCommand   Code = "unknown_command"   // a command nobody knows
	CodeNotJoined        Code = "not_joined"        // a command before joining
	CodeNotInRoom        Code = "not_in_room"       // a command for a room the member is not in
	CodeInRoom           Code = "in_room"           // a room the member is in already
	CodeNoSuchNick       Code = "no_such_nick"      // nobody here has that nick
	CodeNoSuchRoom       Code = "no_such_room"      // no room of that name, and none may be made
	CodeNickInvalid      Code = "nick_invalid"      // a nick with a character or length not allowed
	CodeNickInUse        Code = "nick_in_use"       // the nick, or one that looks the same, is taken
	CodeRoomInvalid      Code = "room_invalid"      // a room name with a character or length not allowed
	CodeTextInvalid      Code = "text_invalid"      // a text that is empty or not UTF-8
	CodeTextTooLong      Code = "text_too_long"     // a text over Limits.TextBytes
	CodeLineTooLong      Code = "line_too_long"     // a line over Limits.LineBytes
	CodeFull             Code = "full"              // no room for another member, or for another room
	CodeDenied           Code = "denied"            // not for this member
	CodeBanned           Code = "banned"            // banned
	CodeKicked           Code = "kicked"            // kicked; who was may come back
	CodeMuted            Code = "muted"             // not allowed to speak
	CodeRefused          Code = "refused"           // refused by a filter
	CodeHeld             Code = "held"              // not refused: it waits for a moderator
	CodeLocked           Code = "locked"            // the room takes nobody new, or no guests
	CodeNeedsForce       Code = "needs_force"       // it would hit more than seems meant; Command.Force insists
	CodeNoSuchRef        Code = "no_such_ref"       // no act, ban, message or held message like that
	CodeUnavailable      Code = "unavailable"       // something the server needs for this does not answer
	CodePasswordRequired Code = "password_required" // this nick or server needs a password
	CodeUnauthorized     Code = "unauthorized"      // the password or token was refused
	CodeTimeout          Code = "timeout"           // too slow to answer: the handshake, or a ping
	CodeTooSlow          Code = "too_slow"          // too far behind the room
	CodeFlooding         Code = "flooding"          // bytes without end, or ten times as much as a limit allows
	CodeShutdown         Code = "shutdown"          // the server is going away
	CodeReplaced         Code = "replaced"          // the session goes on over another connection
	CodeClosed           Code = "closed"            // the member left, or closed its connection
	CodeLost             Code = "connection_lost"   // the connection broke
	CodeInternal         Code = "internal"          // the server's own fault; its log says more
)

// Retry says whether doing it again makes sense.
type Retry string

// What a refusal or a farewell can say about trying again. The empty Retry says nothing.
const (
	RetryNever Retry = "never" // the answer will be the same
	RetryLater Retry = "later" // not before Error.After has passed
)

// An Error is a refusal, or the reason a connection ended. It is what goes on the wire, and the
// same value comes out of a Client in process and over TCP. Two Errors are the same to errors.Is
// when their codes are equal, so errors.Is(err, ErrBanned) holds for every ban.
type Error struct {
	Code  Code
	Text  string        // for people; never holds an internal cause
	Retry Retry         // whether to try again
	After time.Duration // with RetryLater: how long to wait; zero means whenever you like

	Ref   string    // with CodeBanned, CodeMuted, CodeKicked and CodeHeld: the id of it
	Until time.Time // with CodeBanned, CodeMuted and CodeLocked: when it is over; zero means never
}

// Error returns the text and the code.
func (e *Error) Error() string {
	if e.Text == "" {
		return "chatroom: " + string(e.Code)
	}
	return "chatroom: " + e.Text + " (" + string(e.Code) + ")"
}

// Is reports whether target is an Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// The errors callers branch on, for errors.Is. What a call returns has the same code and usually
// a text that says more.
var (
	ErrBadRequest       error = &Error{Code: CodeBadRequest, Text: "not a command"}
	ErrUnknownCommand   error = &Error{Code: CodeUnknownCommand, Text: "unknown command"}
	ErrNotJoined        error = &Error{Code: CodeNotJoined, Text: "join first"}
	ErrNotInRoom        error = &Error{Code: CodeNotInRoom, Text: "you are not in that room"}
	ErrInRoom           error = &Error{Code: CodeInRoom, Text: "you are in that room already"}
	ErrNoSuchNick       error = &Error{Code: CodeNoSuchNick, Text: "nobody here has that nick"}
	ErrNoSuchRoom       error = &Error{Code: CodeNoSuchRoom, Text: "no such room"}
	ErrNickInvalid      error = &Error{Code: CodeNickInvalid, Text: "that nick is not allowed"}
	ErrNickInUse        error = &Error{Code: CodeNickInUse, Text: "that nick is in use"}
	ErrRoomInvalid      error = &Error{Code: CodeRoomInvalid, Text: "that room name is not allowed"}
	ErrTextInvalid      error = &Error{Code: CodeTextInvalid, Text: "that text is not allowed"}
	ErrTextTooLong      error = &Error{Code: CodeTextTooLong, Text: "that text is too long"}
	ErrLineTooLong      error = &Error{Code: CodeLineTooLong, Text: "that line is too long"}
	ErrFull             error = &Error{Code: CodeFull, Text: "full", Retry: RetryLater}
	ErrDenied           error = &Error{Code: CodeDenied, Text: "you may not do that"}
	ErrBanned           error = &Error{Code: CodeBanned, Text: "you are banned", Retry: RetryNever}
	ErrKicked           error = &Error{Code: CodeKicked, Text: "you were kicked"}
	ErrMuted            error = &Error{Code: CodeMuted, Text: "you are muted"}
	ErrRefused          error = &Error{Code: CodeRefused, Text: "that is not said here"}
	ErrHeld             error = &Error{Code: CodeHeld, Text: "that waits for a moderator"}
	ErrLocked           error = &Error{Code: CodeLocked, Text: "the room is locked", Retry: RetryLater}
	ErrNeedsForce       error = &Error{Code: CodeNeedsForce, Text: "that would hit more than seems meant"}
	ErrNoSuchRef        error = &Error{Code: CodeNoSuchRef, Text: "there is nothing by that id"}
	ErrUnavailable      error = &Error{Code: CodeUnavailable, Text: "that cannot be done just now", Retry: RetryLater}
	ErrPasswordRequired error = &Error{Code: CodePasswordRequired, Text: "a password is needed"}
	ErrUnauthorized     error = &Error{Code: CodeUnauthorized, Text: "that password was refused"}
	ErrTimeout          error = &Error{Code: CodeTimeout, Text: "too slow to answer", Retry: RetryLater}
	ErrTooSlow          error = &Error{Code: CodeTooSlow, Text: "too far behind", Retry: RetryLater}
	ErrFlooding         error = &Error{Code: CodeFlooding, Text: "flooding", Retry: RetryLater}
	ErrShutdown         error = &Error{Code: CodeShutdown, Text: "the server is shutting down", Retry: RetryLater}
	ErrClosed           error = &Error{Code: CodeClosed, Text: "closed"}
	ErrConnectionLost   error = &Error{Code: CodeLost, Text: "connection lost", Retry: RetryLater}
	ErrInternal         error = &Error{Code: CodeInternal, Text: "the server made a mistake", Retry: RetryLater}
)

// ErrServerClosed is returned by Serve, ServeConn, Join and Announce after Shutdown or Close.
var ErrServerClosed = errors.New("chatroom: server closed")

// ErrNoFront ends a connection whose first bytes no front recognised. A Front's Serve may return
// it too, as long as it has consumed nothing: the server then asks the fronts again, by what the
// peer has sent since.
var ErrNoFront = errors.New("chatroom: no front recognises these bytes")

// public returns err as what may be told to a peer: an Error with its text clean, anything else as
// CodeInternal, whose cause stays here.
func public(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		if text := Clean(e.Text); text != e.Text {
			told := *e
			told.Text = text
			return &told
		}
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &Error{Code: CodeTimeout, Text: "the server took too long; try again", Retry: RetryLater}
	}
	return ErrInternal.(*Error)
}
