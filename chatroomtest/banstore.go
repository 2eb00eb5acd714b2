package chatroomtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"example.com/chatroom"
)

// TestBanStore checks what a server relies on in a BanStore, clause by clause, and in the add-ons
// BanWatcher and BanMatcher if it has them. Run it with the race detector. Each clause gets a new,
// empty store from open, which sees with t.Cleanup to what has to be undone.
func TestBanStore(t *testing.T, open func(t *testing.T) chatroom.BanStore, opts ...BanStoreOption) {
	for _, c := range banClauses {
		t.Run(c.name, func(t *testing.T) {
			switch err := c.checked(t, open, opts); {
			case errors.Is(err, errNotClaimed):
				t.Skip(err)
			case err != nil:
				t.Errorf("the clause is: %s; but %v", c.says, err)
			}
		})
	}
}

// A BanStoreOption tells TestBanStore more about the stores it tests.
type BanStoreOption func(*banStoreTest)

// WithReopen says that bans survive a restart: reopen closes s and returns a store that holds
// what s held.
func WithReopen(reopen func(t *testing.T, s chatroom.BanStore) chatroom.BanStore) BanStoreOption {
	return func(b *banStoreTest) {
		b.reopen = func(s chatroom.BanStore) chatroom.BanStore { return reopen(b.t, s) }
	}
}

// WithElsewhere tests what Watch notices: elsewhere adds a ban to what s holds, but not by means of
// s, and returns when that is done. Without it, Watch is asked only to end with its context.
func WithElsewhere(elsewhere func(t *testing.T, s chatroom.BanStore, b chatroom.Ban)) BanStoreOption {
	return func(o *banStoreTest) {
		o.elsewhere = func(s chatroom.BanStore, b chatroom.Ban) { elsewhere(o.t, s, b) }
	}
}

// A banStoreTest is what a clause works with.
type banStoreTest struct {
	t         *testing.T
	store     chatroom.BanStore
	reopen    func(chatroom.BanStore) chatroom.BanStore // nil unless bans survive a restart
	elsewhere func(s chatroom.BanStore, b chatroom.Ban) // nil if nobody else can add one
}

// errNotClaimed leaves out a clause about something a store does not say it can do.
var errNotClaimed = errors.New("the store makes no such claim")

// A banClause is one of the contract of a BanStore.
type banClause struct {
	name, says string
	check      func(context.Context, *banStoreTest) error
}

var banClauses = []banClause{
	{"empty", "a new store has no bans", emptyStore},
	{"fields", "a store gives every field back as it was", everyField},
	{"times", "a store gives times back to the second, in whatever zone they were", times},
	{"characters", "a store gives fields back whatever characters they hold", characters},
	{"long", "a store gives fields back however long they are", longFields},
	{"ids", "an ID is any printable ASCII, and case matters in it", ids},
	{"replace", "Add replaces a ban with the same ID, in every field", replacement},
	{"remove", "Remove forgets the ban with that ID, and no other", removal},
	{"unknown", "Remove returns ErrNoBan for an ID that is not there", unknownBan},
	{"expired", "List returns every ban once, expired ones too", expired},
	{"yours", "the caller may change what List returned", callersList},
	{"context", "a call whose context has ended does nothing and returns the context's error", endedCall},
	{"concurrent", "what one call stored, every later call sees, with many callers as well", concurrentCallers},
	{"same", "of many calls at one time for the same ID each is done wholly or not at all", sameID},
	{"durable", "what was stored survives a restart", durable},
	{"watch", "Watch returns the context's error once it has ended", watchEnds},
	{"changed", "Watch calls changed after bans may have changed by another hand", watchTells},
	{"match", "Match returns every ban that may be on the subject", matches},
}

// checked runs the clause on a new store.
func (c banClause) checked(t *testing.T, open func(*testing.T) chatroom.BanStore, opts []BanStoreOption) error {
	b := &banStoreTest{t: t, store: open(t)}
	for _, o := range opts {
		o(b)
	}
	return within(patience, "the test", func() error { return c.check(t.Context(), b) })
}

// add adds bans.
func (b *banStoreTest) add(ctx context.Context, bans ...chatroom.Ban) error {
	for _, ban := range bans {
		if err := b.store.Add(ctx, ban); err != nil {
			return fmt.Errorf("Add of ban %q failed: %w", ban.ID, err)
		}
	}
	return nil
}

// holds returns an error unless List returns these bans, each once.
func (b *banStoreTest) holds(ctx context.Context, want ...chatroom.Ban) error {
	list, err := b.store.List(ctx)
	if err != nil {
		return fmt.Errorf("List failed: %w", err)
	}
	got := make(map[string][]chatroom.Ban)
	for _, ban := range list {
		got[ban.ID] = append(got[ban.ID], ban)
	}
	for _, ban := range want {
		switch found := got[ban.ID]; len(found) {
		case 0:
			return fmt.Errorf("List does not return ban %q (%d of %d bans are there)", ban.ID, len(list), len(want))
		case 1:
			if err := sameBan(ban, found[0]); err != nil {
				return err
			}
		default:
			return fmt.Errorf("List returns ban %q more than once", ban.ID)
		}
		delete(got, ban.ID)
	}
	if extra := slices.Sorted(maps.Keys(got)); len(extra) > 0 {
		return fmt.Errorf("List returns ban %q, which should not be there", extra[0])
	}
	return nil
}

// keeps adds bans and looks whether they come back.
func (b *banStoreTest) keeps(ctx context.Context, bans ...chatroom.Ban) error {
	if err := b.add(ctx, bans...); err != nil {
		return err
	}
	return b.holds(ctx, bans...)
}

// sameBan returns an error that names the first field in which two bans differ.
func sameBan(want, got chatroom.Ban) error {
	for _, f := range []struct{ name, want, got string }{
		{"ID", want.ID, got.ID},
		{"Effect", string(want.Effect), string(got.Effect)},
		{"Kind", string(want.Kind), string(got.Kind)},
		{"Value", want.Value, got.Value},
		{"Reason", want.Reason, got.Reason},
		{"Note", want.Note, got.Note},
		{"By", want.By, got.By},
		{"Rank", want.Rank.String(), got.Rank.String()},
		{"Created", instant(want.Created), instant(got.Created)},
		{"Expires", instant(want.Expires), instant(got.Expires)},
	} {
		if f.want != f.got {
			return fmt.Errorf("the %s of ban %q is %s, not %s", f.name, want.ID, quoted(f.got), quoted(f.want))
		}
	}
	return nil
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// quoted quotes a text in ASCII, the beginning of it if it is long.
func quoted(text string) string {
	if len(text) > 100 {
		return fmt.Sprintf("%+.100q… (%d bytes)", text, len(text))
	}
	return fmt.Sprintf("%+q", text)
}

func replacement(ctx context.Context, b *banStoreTest) error {
	old, other := full("same"), full("other")
	bare := ban("same")
	bare.Value = "carl"
	for _, next := range []chatroom.Ban{bare, old, bare} {
		if err := b.add(ctx, old, other, next); err != nil {
			return err
		}
		if err := b.holds(ctx, next, other); err != nil {
			return fmt.Errorf("after two Adds of one ID %w", err)
		}
	}
	return nil
}

func removal(ctx context.Context, b *banStoreTest) error {
	one, two, three := full("one"), full("two"), full("three")
	if err := b.add(ctx, one, two, three); err != nil {
		return err
	}
	if err := b.store.Remove(ctx, "two"); err != nil {
		return fmt.Errorf("Remove failed: %w", err)
	}
	if err := b.holds(ctx, one, three); err != nil {
		return fmt.Errorf("after Remove %w", err)
	}
	if err := b.keeps(ctx, one, two, three); err != nil {
		return fmt.Errorf("when the ban is added again, %w", err)
	}
	return nil
}

func unknownBan(ctx context.Context, b *banStoreTest) error {
	one := full("one")
	if err := b.add(ctx, one, full("two")); err != nil {
		return err
	}
	if err := b.store.Remove(ctx, "two"); err != nil {
		return fmt.Errorf("Remove failed: %w", err)
	}
	for _, id := range []string{"two", "three", "ONE", "on", "one*", "bob*", "%"} {
		if err := b.store.Remove(ctx, id); !errors.Is(err, chatroom.ErrNoBan) {
			return fmt.Errorf("Remove of %q returned %v", id, err)
		}
	}
	return b.holds(ctx, one)
}

func expired(ctx context.Context, b *banStoreTest) error {
	now := time.Now()
	var bans []chatroom.Ban
	for i, d := range []time.Duration{-20 * 365 * 24 * time.Hour, -time.Hour, -time.Second, time.Hour} {
		one := ban(fmt.Sprint("expires-", i))
		one.Created, one.Expires = now.Add(d-time.Hour), now.Add(d)
		bans = append(bans, one, ban(fmt.Sprint("stays-", i)))
	}
	return b.keeps(ctx, bans...)
}

func callersList(ctx context.Context, b *banStoreTest) error {
	bans := []chatroom.Ban{full("one"), full("two"), full("three")}
	if err := b.add(ctx, bans...); err != nil {
		return err
	}
	list, err := b.store.List(ctx)
	if err != nil {
		return fmt.Errorf("List failed: %w", err)
	}
	for i := range list {
		list[i] = ban(fmt.Sprint("changed-", i))
	}
	_ = append(list[:0], ban("appended"))
	if err := b.holds(ctx, bans...); err != nil {
		return fmt.Errorf("after a change of what List had returned %w", err)
	}
	return nil
}
