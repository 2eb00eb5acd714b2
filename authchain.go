package chatroom

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
)

// FirstOf returns an Authenticator that asks each in turn, until one does not say ErrNoAccount.
//
// An account's name means the same account to all of them, and a nick may belong to an account of
// any: whom one lets in, the others are asked about as about a change of nick, with Current set and no
// Secret, and an error other than ErrNoAccount keeps the member out. So is everybody who wants another nick.
//
// If there are Admitters among them each can turn an address away. If there are Refreshers,
// whoever gave an account refreshes it; if several did, each can end the member, and the lowest role counts.
func FirstOf(auths ...Authenticator) Authenticator {
	f := &firstOf{auths: slices.Clone(auths), gave: make(map[string][]bool)}
	return withAddOns(f, f.auths, f.refresh)
}

type firstOf struct {
	auths []Authenticator // set once

	mu   sync.Mutex
	gave map[string][]bool // by account: which of auths gave it
}

func (f *firstOf) Authenticate(ctx context.Context, req AuthRequest) (Identity, error) {
	if req.Current != nil {
		return f.rename(ctx, req, -1)
	}
	for i, a := range f.auths {
		id, err := a.Authenticate(ctx, req)
		if errors.Is(err, ErrNoAccount) {
			continue
		}
		if err != nil {
			return Identity{}, err
		}
		asked := req
		asked.Nick, asked.Account, asked.Secret, asked.Current = id.Nick, id.Account, "", &id
		if _, err := f.rename(ctx, asked, i); err != nil && !errors.Is(err, ErrNoAccount) {
			return Identity{}, err
		}
		f.given(id.Account, i)
		return id, nil
	}
	return Identity{}, ErrNoAccount
}

// rename asks all but one whether req.Current may have a nick, and returns the first identity.
func (f *firstOf) rename(ctx context.Context, req AuthRequest, except int) (first Identity, err error) {
	err = ErrNoAccount
	for i, a := range f.auths {
		if i == except {
			continue
		}
		switch id, no := a.Authenticate(ctx, req); {
		case errors.Is(no, ErrNoAccount):
		case no != nil:
			return Identity{}, no
		case err != nil:
			first, err = id, nil
		}
	}
	return first, err
}

func (f *firstOf) given(account string, by int) {
	if account == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gave[account] == nil {
		f.gave[account] = make([]bool, len(f.auths))
	}
	f.gave[account][by] = true
}

func (f *firstOf) refresh(ctx context.Context, id Identity) (Identity, error) {
	f.mu.Lock()
	gave := slices.Clone(f.gave[id.Account])
	f.mu.Unlock()
	now, asked := id, false
	for i, yes := range gave {
		if !yes {
			continue
		}
		got := id
		if r, ok := f.auths[i].(Refresher); ok {
			var err error
			if got, err = r.Refresh(ctx, id); err != nil {
				return Identity{}, err
			}
		}
		if asked {
			got.Role = min(got.Role, now.Role)
		}
		now, asked = got, true
	}
	return now, nil
}

// RequireTLS returns auth without passwords in the clear: a Secret that came over a connection
// without TLS is refused, and where auth would ask for one it is not asked for. Connections from
// this machine, over loopback, a Unix socket or a pipe, need no TLS.
func RequireTLS(auth Authenticator) Authenticator {
	return withAddOns(requireTLS{auth}, []Authenticator{auth}, nil)
}

type requireTLS struct{ auth Authenticator }

var errNoTLS = &Error{Code: CodeDenied, Text: "this takes a password, and passwords are taken over TLS only"}

func (r requireTLS) Authenticate(ctx context.Context, req AuthRequest) (Identity, error) {
	if secretExposed(req) {
		return Identity{}, errNoTLS
	}
	id, err := r.auth.Authenticate(ctx, req)
	if errors.Is(err, ErrPasswordRequired) && exposed(req) {
		return Identity{}, errNoTLS
	}
	return id, err
}

// secretExposed reports whether others could have read the request's Secret on its way.
func secretExposed(req AuthRequest) bool { return req.Secret != "" && exposed(req) }

// exposed reports whether others can read what goes over the request's connection.
func exposed(req AuthRequest) bool {
	if req.TLS != nil {
		return false
	}
	if req.Addr == nil {
		return true
	}
	switch req.Addr.Network() {
	case "pipe", "unix":
		return false
	}
	return !ipOf(req.Addr).IsLoopback()
}

// withAddOns returns auth, and what parts implement beside it: all Admitters among them are asked,
// all Refreshers watched. refresh is asked for an identity's state of now; nil means the one
// Refresher there is.
func withAddOns(auth Authenticator, parts []Authenticator, refresh func(context.Context, Identity) (Identity, error)) Authenticator {
	var a admitters
	r := refreshers{refresh: refresh}
	for _, p := range parts {
		if p, ok := p.(Admitter); ok {
			a = append(a, p)
		}
		if p, ok := p.(Refresher); ok {
			r.all = append(r.all, p)
		}
	}
	if refresh == nil && len(r.all) > 0 {
		r.refresh = r.all[0].Refresh
	}
	switch {
	case a != nil && r.all != nil:
		return struct {
			Authenticator
			admitters
			refreshers
		}{auth, a, r}
	case a != nil:
		return struct {
			Authenticator
			admitters
		}{auth, a}
	case r.all != nil:
		return struct {
			Authenticator
			refreshers
		}{auth, r}
	}
	return auth
}

type admitters []Admitter

func (a admitters) Admit(ctx context.Context, addr net.Addr) error {
	for _, p := range a {
		if err := p.Admit(ctx, addr); err != nil {
			return err
		}
	}
	return nil
}

type refreshers struct {
	all     []Refresher
	refresh func(context.Context, Identity) (Identity, error)
}

func (r refreshers) Refresh(ctx context.Context, id Identity) (Identity, error) {
	return r.refresh(ctx, id)
}

// Watch watches all, and returns when one of them does: with its error.
func (r refreshers) Watch(ctx context.Context, changed func(account string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, p := range r.all {
		wg.Go(func() { cancel(p.Watch(ctx, changed)) })
	}
	wg.Wait()
	return context.Cause(ctx)
}
