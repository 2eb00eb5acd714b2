package chatroom

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A BanKind says what a Ban's Value is compared with.
type BanKind string

// What can be banned.
const (
	BanNick    BanKind = "nick"    // a nick, in any spelling that looks the same
	BanAccount BanKind = "account" // an account's name
	BanAddr    BanKind = "addr"    // an address or a CIDR prefix
)

// A Ban keeps somebody out.
type Ban struct {
	ID      string // unique in its store, and short
	Kind    BanKind
	Value   string
	Reason  string // told to whoever it hits
	Note    string // for moderators
	By      string // who gave it
	Created time.Time
	Expires time.Time // zero means never
}

// ErrNoBan is returned by BanStore.Remove for an id that is not there.
var ErrNoBan = errors.New("chatroom: no such ban")

// A BanStore keeps bans; that is all it does. Whom a ban hits, and whether it has expired, is
// decided by the server, which calls a store outside every lock, from many goroutines, and with a
// context that ends after Limits.Callback. A store may be slow, fail or panic: that costs the
// caller only.
type BanStore interface {
	// Add stores b, replacing a ban with the same ID, and returns once it would survive a
	// restart, if the store survives one.
	Add(ctx context.Context, b Ban) error
	// Remove forgets the ban with that ID; ErrNoBan when there is none.
	Remove(ctx context.Context, id string) error
	// List returns every ban, expired ones too, in no particular order. The caller may change
	// what it gets.
	List(ctx context.Context) ([]Ban, error)
}

// MemoryBans returns a BanStore that forgets everything when the program ends, holding bans.
func MemoryBans(bans ...Ban) BanStore {
	s := &memoryBans{bans: make(map[string]Ban, len(bans))}
	for _, b := range bans {
		s.bans[b.ID] = b
	}
	return s
}

type memoryBans struct {
	mu   sync.Mutex
	bans map[string]Ban
}

func (s *memoryBans) Add(ctx context.Context, b Ban) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.bans[b.ID] = b
	return nil
}

func (s *memoryBans) Remove(ctx context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, ok := s.bans[id]; !ok {
		return fmt.Errorf("%w: %q", ErrNoBan, id)
	}
	delete(s.bans, id)
	return nil
}

func (s *memoryBans) List(ctx context.Context) ([]Ban, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	bans := make([]Ban, 0, len(s.bans))
	for _, b := range s.bans {
		bans = append(bans, b)
	}
	slices.SortFunc(bans, func(a, b Ban) int { return strings.Compare(a.ID, b.ID) })
	return bans, nil
}

// hits reports whether b keeps out somebody with that folded nick, account and address at now.
func (b *Ban) hits(nickKey, account string, addr netip.Addr, now time.Time) bool {
	if !b.Expires.IsZero() && !now.Before(b.Expires) {
		return false
	}
	switch b.Kind {
	case BanNick:
		return fold(b.Value) == nickKey
	case BanAccount:
		return account != "" && b.Value == account
	case BanAddr:
		if p, err := netip.ParsePrefix(b.Value); err == nil {
			return addr.IsValid() && p.Contains(addr)
		}
		a, err := netip.ParseAddr(b.Value)
		return err == nil && a.Unmap() == addr
	}
	return false
}
