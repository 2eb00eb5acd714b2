package chatroom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net"
	"sync"
	"time"
)

// CodeRateLimited refuses what was asked for too often.
const CodeRateLimited Code = "rate_limited"

// ErrRateLimited is for errors.Is; what is returned says how long to wait.
var ErrRateLimited error = &Error{Code: CodeRateLimited, Text: "too fast", Retry: RetryLater}

// Tries are the numbers Throttle keeps to. A field that is zero has its default.
type Tries struct {
	Free    int           // wrong passwords from one address before it has to wait; 5
	Wait    time.Duration // the first wait; each wrong password after it doubles the next one; 1 min
	MaxWait time.Duration // the longest wait, and the time after one that makes it forgotten; 15 min

	// Account is how many wrong passwords one account takes from all addresses together, and one
	// more each Wait; 20. It does not concern addresses from which somebody has logged in to that account.
	Account int
	// PerSecond is how many passwords are checked in a second, right ones too, and how many of
	// them at once; 20.
	PerSecond int
}

func (t Tries) withDefaults() Tries {
	set(&t.Free, 5)
	set(&t.Wait, time.Minute)
	set(&t.MaxWait, 15*time.Minute)
	set(&t.Account, 20)
	set(&t.PerSecond, 20)
	return t
}

// Throttle returns auth with a limit on guessing passwords. It counts the requests that have a
// Secret, by address (an IPv6 one by its /64) and by account, and refuses those over the limit with
// ErrRateLimited without asking auth. A right password does not count, nor a failure that is no Error, but it makes
// up for no wrong one. Connections whose address is not an IP address count as one.
//
// An address that keeps guessing has tried 5 passwords after a minute and 12 after an hour. It
// can't lock others out of an account: that takes more addresses than an account has tries in MaxWait. Memory is
// bounded by the checks that PerSecond allows in twice MaxWait, about 4 MB, whatever is tried.
func Throttle(auth Authenticator, tries Tries) Authenticator {
	t := &throttle{
		auth: auth, tries: tries.withDefaults(), seed: maphash.MakeSeed(),
		addrs:    make(map[uint64]tally),
		accounts: make(map[uint64]meter),
		known:    make(map[[2]uint64]struct{}),
	}
	return withAddOns(t, []Authenticator{auth}, nil)
}

// maxKnown is how many pairs of an address and an account are remembered as good.
const maxKnown = 10_000

type throttle struct {
	// Set once.
	auth  Authenticator
	tries Tries
	seed  maphash.Seed

	mu       sync.Mutex
	addrs    map[uint64]tally // by hash, as are accounts
	accounts map[uint64]meter
	known    map[[2]uint64]struct{} // addresses and accounts that were logged in to from there
	all      meter
	swept    time.Time
}

// A tally is what an address has tried.
type tally struct {
	wrong int // those that are being checked count as wrong
	until time.Time
}

func (t *throttle) Authenticate(ctx context.Context, req AuthRequest) (Identity, error) {
	if req.Secret == "" {
		return t.auth.Authenticate(ctx, req)
	}
	from := [2]uint64{t.addrKey(req.Addr), maphash.String(t.seed, "account "+fold(cmp.Or(req.Account, req.Nick)))}
	if wait := t.begin(from); wait > 0 {
		return Identity{}, &Error{
			Code: CodeRateLimited, Retry: RetryLater, After: wait,
			Text: fmt.Sprintf("too many tries; wait %v", max(time.Second, wait.Round(time.Second))),
		}
	}
	wrong := true // after a panic too
	defer func() { t.finish(from, wrong) }()
	id, err := t.auth.Authenticate(ctx, req)
	if _, refused := errors.AsType[*Error](err); !refused && !errors.Is(err, ErrNoAccount) {
		wrong = false
	}
	if err == nil && id.Account != "" {
		t.remember(from)
	}
	return id, err
}

func (t *throttle) addrKey(addr net.Addr) uint64 {
	return maphash.Comparable(t.seed, addrKey(ipOf(addr)))
}

// begin counts a try, or returns how long it has to wait.
func (t *throttle) begin(from [2]uint64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, each := time.Now(), time.Second/time.Duration(t.tries.PerSecond)
	t.sweepLocked(now)
	a, account := t.addrs[from[0]], t.accounts[from[1]]
	if now.Sub(a.until) >= t.tries.MaxWait {
		a = tally{}
	}
	wait := max(a.until.Sub(now), t.all.wait(now, t.tries.PerSecond, each))
	if _, known := t.known[from]; !known {
		wait = max(wait, account.wait(now, t.tries.Account, t.tries.Wait))
	}
	if wait > 0 {
		return wait
	}
	a.wrong++
	a.until = now
	if over := a.wrong - t.tries.Free; over >= 0 {
		a.until = now.Add(min(t.tries.Wait<<min(over, 10), t.tries.MaxWait))
	}
	t.addrs[from[0]] = a
	t.accounts[from[1]] = account.add(now, 1, t.tries.Wait)
	t.all = t.all.add(now, 1, each)
	return 0
}

// finish takes a try back that was not wrong.
func (t *throttle) finish(from [2]uint64, wrong bool) {
	if wrong {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.addrs[from[0]]; a.wrong > 1 {
		t.addrs[from[0]] = tally{wrong: a.wrong - 1, until: time.Now()}
	} else {
		delete(t.addrs, from[0])
	}
	t.accounts[from[1]] = meter(time.Time(t.accounts[from[1]]).Add(-t.tries.Wait))
}

// remember notes that somebody logged in to an account from an address.
func (t *throttle) remember(from [2]uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= maxKnown {
		for some := range t.known { // what is forgotten is a favour, not a debt
			delete(t.known, some)
			break
		}
	}
	t.known[from] = struct{}{}
}

// sweepLocked forgets, once in MaxWait, what no longer matters. t.mu must be held.
func (t *throttle) sweepLocked(now time.Time) {
	if now.Sub(t.swept) < t.tries.MaxWait {
		return
	}
	t.swept = now
	maps.DeleteFunc(t.addrs, func(_ uint64, a tally) bool { return now.Sub(a.until) >= t.tries.MaxWait })
	maps.DeleteFunc(t.accounts, func(_ uint64, m meter) bool { return !time.Time(m).After(now) })
}
