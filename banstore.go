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

// What a ban can be on.
const (
	BanNick    BanKind = "nick"    // a nick, in every spelling that looks the same
	BanMask    BanKind = "mask"    // a nick mask: * stands for any characters, ? for one
	BanAccount BanKind = "account" // an account's name
	BanAddr    BanKind = "addr"    // an address or a CIDR prefix
)

// An Effect says what a Ban does to those it is on.
type Effect string

// The effects. The empty Effect is EffectBan.
const (
	EffectBan   Effect = "ban"   // they may not join
	EffectMute  Effect = "mute"  // they may not speak
	EffectAllow Effect = "allow" // no ban is on them
)

// A Ban keeps somebody out, or quiet, or in spite of other bans in. Its JSON form is what
// FileBans writes, a line each.
type Ban struct {
	ID     string  `json:"id"` // unique in its store, short, printable ASCII; case matters
	Effect Effect  `json:"effect,omitempty"`
	Kind   BanKind `json:"kind"`
	Value  string  `json:"value"`
	Reason string  `json:"reason,omitempty"` // told to whoever it hits
	Note   string  `json:"note,omitempty"`   // for moderators
	By     string  `json:"by,omitempty"`     // who gave it
	// Rank is the role of the moderator who gave it: it is on nobody with that role or a higher one. Zero
	// means that it is on everybody.
	Rank    Role      `json:"rank,omitzero"`
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"` // zero means never
}

// Expired reports whether the ban is over at now.
func (b *Ban) Expired(now time.Time) bool { return !b.Expires.IsZero() && !now.Before(b.Expires) }

// ErrNoBan is returned by BanStore.Remove for an id that is not there.
var ErrNoBan = errors.New("chatroom: no such ban")

// A BanStore keeps bans; that is all it does. Whom a ban hits, and whether it has expired, is
// decided by the server, which calls a store outside every lock, from many goroutines, and with a
// context that ends after Limits.Callback. A store may be slow, fail or panic: that costs the
// caller only.
//
// Of the bans that a server has listed it removes some that expired more than an hour ago whenever it stores others. From a
// BanMatcher it removes none.
//
// A store gives every field back as it was, to the second in its times, whatever characters it
// holds. A call whose context has ended does nothing and returns the context's error. What one
// call stored, every later call sees. chatroomtest.TestBanStore checks a store against all this.
type BanStore interface {
	// Add stores b, replacing a ban with the same ID, and returns once it would survive a
	// restart, if the store survives one. An error means that b may or may not be stored.
	Add(ctx context.Context, b Ban) error
	// Remove forgets the ban with that ID, as durably as Add stores one; ErrNoBan when there is
	// none.
	Remove(ctx context.Context, id string) error
	// List returns every ban once, expired ones too, in no particular order. The caller may
	// change what it gets.
	List(ctx context.Context) ([]Ban, error)
}

// A BanWatcher is a BanStore that other programs write to as well.
type BanWatcher interface {
	BanStore
	// Watch calls changed after bans may have changed by another hand, until ctx ends, and
	// returns ctx's error then. The server lists the bans again.
	Watch(ctx context.Context, changed func()) error
}

// A BanMatcher is a BanStore with so many bans that a server should not hold them all. The server
// does not call its List, but asks it about everybody who joins or speaks.
type BanMatcher interface {
	BanStore
	// Match returns every ban that may be on s; the server looks at each of them itself. A store
	// finds nicks by NickKeys, and returns all its masks, as only the server knows what they match.
	Match(ctx context.Context, s Subject) ([]Ban, error)
}

// A Subject is somebody a ban may be on.
type Subject struct {
	Nick    string     // as shown; empty if there is none yet
	Keys    []string   // NickKeys(Nick)
	Account string     // empty for a guest
	Addr    netip.Addr // invalid if unknown

	role Role // bans by those of a lower or the same role are not on it
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
