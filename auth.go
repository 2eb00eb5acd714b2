package chatroom

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// An Authenticator decides who may join, and as whom. It is asked in the joining connection's
// goroutine, outside every lock, with a context that ends after Limits.Callback; it may be slow, fail
// or panic, which costs that connection only. It is called from many goroutines.
//
// Who gives a Secret or names an Account, and is wrong, is refused with ErrUnauthorized and not let in as
// a guest, whether there is such an account or not. Nobody else may have an account's nick, and best none
// that looks like it: see NickKeys. chatroomtest.TestAuthenticator checks an Authenticator against what a
// server relies on.
type Authenticator interface {
	// Authenticate returns the identity of whoever asks, or an error: an *Error is told to the
	// peer as it is (ErrPasswordRequired makes a front ask for one), any other is logged and
	// told as ErrInternal.
	Authenticate(ctx context.Context, req AuthRequest) (Identity, error)
}

// An AuthenticatorFunc is a function that is an Authenticator.
type AuthenticatorFunc func(ctx context.Context, req AuthRequest) (Identity, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, req AuthRequest) (Identity, error) {
	return f(ctx, req)
}

// An AuthRequest is what is known about somebody at the door.
type AuthRequest struct {
	Nick    string // as typed; already found valid
	Account string // empty when none was named
	// Current is who asks, when it is a member who wants another nick; nil at the door. There is
	// no Secret then: the question is whether that identity may have the nick.
	Current *Identity
	Secret  string // a password or token; empty when none was given. Never log it.
	Addr    net.Addr
	TLS     *tls.ConnectionState // nil without TLS
	Front   string               // the Front's name
}

// An Admitter is an Authenticator that turns addresses away before a byte is read.
type Admitter interface {
	Authenticator
	// Admit returns an error for a peer that is not to be listened to. The connection is closed
	// without a word.
	Admit(ctx context.Context, addr net.Addr) error
}

// A Refresher is an Authenticator whose accounts change while their members are connected.
type Refresher interface {
	Authenticator
	// Watch calls changed with each account that was revoked or whose role may have changed,
	// from whatever goroutines, until ctx ends, and returns ctx's error then. Any other error
	// means that watching failed: the server logs it, asks about every account, and watches again after a
	// while.
	Watch(ctx context.Context, changed func(account string)) error
	// Refresh returns what id is now. An error ends the member, who is told it if it is an
	// *Error.
	Refresh(ctx context.Context, id Identity) (Identity, error)
}

// ErrNoAccount is what an Authenticator returns about somebody it does not know and does not
// claim: FirstOf asks the next one then. A peer who gave no secret is told ErrPasswordRequired,
// and ErrUnauthorized otherwise.
var ErrNoAccount = errors.New("chatroom: no such account")

// OpenDoor is the default Authenticator: everybody may join, as a guest with RoleMember and the
// nick they asked for.
func OpenDoor() Authenticator { return openDoor{} }

type openDoor struct{}

func (openDoor) Authenticate(_ context.Context, req AuthRequest) (Identity, error) {
	return Identity{Nick: req.Nick}, nil
}
