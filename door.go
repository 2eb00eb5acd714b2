package chatroom

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// ask calls embedder code: under no lock, with a deadline, its panics made errors. A call that does
// not return by then is given up, and its result lost. With maxLost of those that have not returned
// nothing more is asked.
func ask[T any](ctx context.Context, s *server, what string, f func(context.Context) (T, error)) (T, error) {
	lost, _ := s.lost.LoadOrStore(what, new(atomic.Int32))
	if n := lost.(*atomic.Int32); n.Load() < maxLost {
		return askFor(ctx, s, what, s.limits.Callback, n, f)
	}
	var none T
	return none, fmt.Errorf("%s does not return from %d calls", what, maxLost)
}

// maxLost bounds the goroutines that hang in a store or an authenticator. It is large, as who finds a
// way to hang one of them must not find it easy to keep everybody out.
const maxLost = 1000

// overtime is how long a call may take to notice that its context has ended.
const overtime = 100 * time.Millisecond

// askFor is ask with a deadline of its own, and a count of the calls that were given up and have not returned.
func askFor[T any](ctx context.Context, s *server, what string, limit time.Duration, stuck *atomic.Int32, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() { // waited for below, unless it does not return
		var r result
		defer func() { results <- r }()
		defer s.recovered(what, &r.err)
		r.value, r.err = f(ctx)
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
	}
	late := time.NewTimer(overtime)
	defer late.Stop()
	select {
	case r := <-results:
		return r.value, r.err
	case <-late.C:
	}
	if stuck != nil {
		stuck.Add(1)
		go func() {
			<-results
			stuck.Add(-1)
		}()
	}
	var none T
	return none, fmt.Errorf("%s does not return: %w", what, ctx.Err())
}

// authenticate asks the Authenticator, and checks what it says.
func (s *server) authenticate(ctx context.Context, req AuthRequest) (Identity, error) {
	if !s.plaintext && secretExposed(req) {
		return Identity{}, errNoTLS
	}
	var id Identity
	var err error
	if door, open := s.auth.(openDoor); open { // which cannot hang, and keeps nobody waiting
		id, err = door.Authenticate(ctx, req)
	} else {
		id, err = ask(ctx, s, "authenticator", func(ctx context.Context) (Identity, error) { return s.auth.Authenticate(ctx, req) })
	}
	if err == nil && id.Nick != req.Nick { // which was looked at
		id.Nick, err = ValidNick(id.Nick)
	}
	if err == nil && !id.mayBeCalled(s.masks) {
		err = &Error{Code: CodeNickInvalid, Text: id.Nick + " is reserved; choose another nick"}
	}
	if err == nil && (id.Role < RoleMember || id.Role > RoleAdmin) {
		err = fmt.Errorf("authenticator gives %s, which is no role", id.Role)
	}
	if err == nil && id.Account != "" && checkAccount(id.Account) != nil {
		err = fmt.Errorf("authenticator gives %q, which is no account that could be banned", id.Account)
	}
	switch {
	case err == nil:
		return id, nil
	case !errors.Is(err, ErrNoAccount):
	case req.Secret == "" && req.Current == nil:
		err = ErrPasswordRequired
	default:
		err = ErrUnauthorized
	}
	if !s.plaintext && errors.Is(err, ErrPasswordRequired) && exposed(req) {
		err = errNoTLS
	}
	if _, ok := err.(*Error); !ok { // it has a cause, which is not told
		s.log.Error("authenticator failed", "nick", req.Nick, "err", err)
	}
	return Identity{}, public(err)
}

// admitted asks whether somebody at that address is to be listened to.
func (s *server) admitted(ctx context.Context, c *Conn) error {
	a, ok := s.auth.(Admitter)
	if !ok {
		return nil
	}
	_, err := ask(ctx, s, "admitter", func(ctx context.Context) (struct{}, error) { return struct{}{}, a.Admit(ctx, c.RemoteAddr()) })
	return err
}

// watchAgain is how long the server waits before it watches again after that failed.
const watchAgain = 5 * time.Second

// watch keeps up with bans and accounts that change by other hands, until the server closes.
func (s *server) watch() {
	if w, ok := s.bans.(BanWatcher); ok {
		s.running.Go(func() {
			s.keepWatching("bans", func(ctx context.Context) error { return w.Watch(ctx, s.reloadBans) }, s.reloadBans)
		})
	}
	if r, ok := s.auth.(Refresher); ok {
		changed := func(account string) {
			s.revised.Add(1)
			for _, m := range s.everybody() {
				if m.account == account {
					s.refresh(r, m)
				}
			}
		}
		s.running.Go(func() {
			s.keepWatching("accounts", func(ctx context.Context) error { return r.Watch(ctx, changed) }, func() {
				s.revised.Add(1)
				for _, m := range s.everybody() {
					s.refresh(r, m)
				}
			})
		})
	}
}

// keepWatching watches, and when that fails catches up and watches again after a while.
func (s *server) keepWatching(what string, watch func(context.Context) error, catchUp func()) {
	for {
		_, err := askFor(s.base, s, "watching "+what, math.MaxInt64, nil, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, watch(ctx)
		})
		if s.base.Err() != nil {
			return
		}
		s.log.Error("watching "+what+" failed", "again", watchAgain, "err", err)
		select {
		case <-time.After(watchAgain):
		case <-s.done:
			return
		}
		catchUp()
	}
}

// reloadBans lists the bans anew and applies them to who is here.
func (s *server) reloadBans() {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.matcher == nil {
		s.index.listing()
		bans, err := ask(s.base, s, "ban store", s.bans.List)
		if err != nil {
			s.log.Error("bans cannot be read again; those known stay", "err", err)
			bans = s.index.all()
		}
		s.index.replace(bans)
	}
	s.bansGiven.Add(1)
	s.recheck(s.base, actor{source: SourceServer, role: roleProgram}, nil, nil)
}

// refresh asks what an account is now. Who has none any more is ended; another role is told.
func (s *server) refresh(r Refresher, m *member) {
	if m.account == "" || m.conn == nil && !m.parked() {
		return
	}
	was := s.identity(m)
	id, err := ask(s.base, s, "refresher", func(ctx context.Context) (Identity, error) { return r.Refresh(ctx, was) })
	if err != nil {
		_, ok := errors.AsType[*Error](err)
		told := public(err)
		switch {
		case errors.Is(err, ErrNoAccount):
			told = &Error{Code: CodeUnauthorized, Text: "the account " + m.account + " is no more", Retry: RetryNever}
		case !ok:
			s.log.Error("account cannot be refreshed; its member stays", "account", m.account, "err", err)
			return
		}
		s.mu.Lock()
		s.currentLocked(m).base = RoleMember
		s.mu.Unlock()
		s.expel(m, told, nil)
		return
	}
	if id.Role == was.Role || id.Role < RoleMember || id.Role > RoleAdmin {
		return
	}
	a := actor{source: SourceServer, role: roleProgram}
	for {
		s.mu.Lock()
		m = s.currentLocked(m)
		m.base = id.Role
		info := m.infoLocked()
		s.mu.Unlock()
		if info.Role == id.Role {
			return
		}
		verb := VerbPromote
		if id.Role < info.Role {
			verb = VerbDemote
		}
		act := &Act{ID: s.newID(), Verb: verb, Role: id.Role}
		if s.setRole(m, info.Role, id.Role, a.telling(Command{}, KindRole, info.Nick, act)) {
			s.audit(a, Audit{ID: act.ID, Verb: verb, Target: info.Nick, Role: id.Role.String(), Hit: []MemberInfo{info}}, nil)
			return
		}
	}
}
