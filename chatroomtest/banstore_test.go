package chatroomtest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"example.com/chatroom"
	"example.com/chatroom/chatroomtest"
)

func TestMemoryBansKeepTheContract(t *testing.T) {
	chatroomtest.TestBanStore(t, func(*testing.T) chatroom.BanStore { return chatroom.MemoryBans() })
}

func TestFileBansKeepTheContract(t *testing.T) {
	paths := make(map[chatroom.BanStore]string)
	open := func(t *testing.T, path string) chatroom.BanStore {
		s, err := chatroom.FileBans(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() }) // it may be closed already
		paths[s] = path
		return s
	}
	chatroomtest.TestBanStore(t,
		func(t *testing.T) chatroom.BanStore { return open(t, filepath.Join(t.TempDir(), "bans")) },
		chatroomtest.WithReopen(func(t *testing.T, s chatroom.BanStore) chatroom.BanStore {
			if err := s.(*chatroom.FileBanStore).Close(); err != nil {
				t.Error(err)
			}
			return open(t, paths[s])
		}),
		chatroomtest.WithElsewhere(func(t *testing.T, s chatroom.BanStore, b chatroom.Ban) {
			f, err := os.OpenFile(paths[s], os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := fmt.Fprintf(f, `{"id":%q,"kind":"nick","value":"bob"}`+"\n", b.ID); err != nil {
				t.Error(err)
			}
		}),
	)
}

// A table is a BanStore, a BanWatcher and a BanMatcher that keeps the contract, unless one of its
// parts is replaced.
type table struct {
	mu      sync.Mutex
	bans    map[string]chatroom.Ban
	news    chan struct{} // what others change
	key     func(id string) string
	fix     func(b chatroom.Ban) chatroom.Ban // what comes back of a ban
	add     func(s *table, ctx context.Context, b chatroom.Ban) error
	remove  func(s *table, ctx context.Context, id string) error
	list    func(s *table, ctx context.Context) ([]chatroom.Ban, error)
	watch   func(s *table, ctx context.Context, changed func()) error
	matches func(s *table, who chatroom.Subject) []chatroom.Ban
}

func newTable() *table {
	return &table{
		bans:    make(map[string]chatroom.Ban),
		news:    make(chan struct{}, 1),
		key:     func(id string) string { return id },
		fix:     func(b chatroom.Ban) chatroom.Ban { return b },
		add:     (*table).rightAdd,
		remove:  (*table).rightRemove,
		list:    (*table).rightList,
		watch:   (*table).rightWatch,
		matches: (*table).all,
	}
}

func (s *table) Add(ctx context.Context, b chatroom.Ban) error    { return s.add(s, ctx, b) }
func (s *table) Remove(ctx context.Context, id string) error      { return s.remove(s, ctx, id) }
func (s *table) List(ctx context.Context) ([]chatroom.Ban, error) { return s.list(s, ctx) }
func (s *table) Watch(ctx context.Context, changed func()) error  { return s.watch(s, ctx, changed) }

func (s *table) Match(ctx context.Context, who chatroom.Subject) ([]chatroom.Ban, error) {
	return s.matches(s, who), ctx.Err()
}

func (s *table) rightAdd(ctx context.Context, b chatroom.Ban) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	s.bans[s.key(b.ID)] = s.fix(b)
	return nil
}

func (s *table) rightRemove(ctx context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, ok := s.bans[s.key(id)]; !ok {
		return chatroom.ErrNoBan
	}
	delete(s.bans, s.key(id))
	return nil
}

func (s *table) rightList(ctx context.Context) ([]chatroom.Ban, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.all(chatroom.Subject{}), nil
}

func (s *table) all(chatroom.Subject) []chatroom.Ban {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.bans))
}

func (s *table) rightWatch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.news:
			changed()
		}
	}
}

// tableOptions are how a table is opened again, and changed by another hand.
func tableOptions(reopened func(s *table)) []chatroomtest.BanStoreOption {
	return []chatroomtest.BanStoreOption{
		chatroomtest.WithReopen(func(_ *testing.T, s chatroom.BanStore) chatroom.BanStore {
			reopened(s.(*table))
			return s
		}),
		chatroomtest.WithElsewhere(func(t *testing.T, s chatroom.BanStore, b chatroom.Ban) {
			if err := s.(*table).rightAdd(t.Context(), b); err != nil {
				t.Error(err)
			}
			select {
			case s.(*table).news <- struct{}{}:
			default:
			}
		}),
	}
}

func TestAStoreWithEveryAddOnKeepsTheContract(t *testing.T) {
	chatroomtest.TestBanStore(t, func(*testing.T) chatroom.BanStore { return newTable() }, tableOptions(func(*table) {})...)
}

// Each store breaks the contract in one way. The clause has to be found, and what is said about it
// has to name what is wrong.
func TestBrokenBanStoresAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(s *table)
		clause string
		says   string
	}{
		"forgets a restart":            {nil, "durable", `after restart 1 List does not return ban "one"`},
		"begins with a ban":            {func(s *table) { s.bans["x"] = chatroom.Ban{ID: "x"} }, "empty", `ban "x", which should not be there`},
		"drops the note":               {fixing(func(b *chatroom.Ban) { b.Note = "" }), "fields", `the Note of ban "full" is "", not "third time"`},
		"takes every effect for a ban": {fixing(func(b *chatroom.Ban) { b.Effect = chatroom.EffectBan }), "fields", `the Effect of ban "full" is "ban", not "mute"`},
		"gives bare bans a creation":   {fixing(created), "fields", `the Created of ban "bare"`},
		"loses the zone":               {fixing(localTime), "times", `the Created of ban "created-1" is "2026-03-29T02:30:00Z", not "2026-03-29T00:30:00Z"`},
		"keeps minutes":                {fixing(func(b *chatroom.Ban) { b.Expires = b.Expires.Truncate(time.Minute) }), "times", "the Expires of ban"},
		"rounds up":                    {fixing(func(b *chatroom.Ban) { b.Created = b.Created.Round(time.Second) }), "times", `the Created of ban "created-3"`},
		"knows ASCII only":             {fixing(ascii), "characters", `the Value of ban "0" is "Zo?", not "Zo\u00eb"`},
		"trims white space":            {fixing(func(b *chatroom.Ban) { b.Reason = strings.TrimSpace(b.Reason) }), "characters", "the Reason of ban"},
		"writes one line":              {fixing(func(b *chatroom.Ban) { b.Note = strings.ReplaceAll(b.Note, "\n", " ") }), "characters", "the Note of ban"},
		"truncates the reason":         {fixing(func(b *chatroom.Ban) { b.Reason = b.Reason[:min(255, len(b.Reason))] }), "long", "(255 bytes)"},
		"ignores case in ids":          {func(s *table) { s.key = strings.ToLower }, "ids", `List does not return ban`},
		"removes by pattern":           {func(s *table) { s.remove = (*table).patternRemove }, "unknown", `Remove of "on" returned <nil>`},
		"keeps the first of an ID":     {func(s *table) { s.add = (*table).firstAdd }, "replace", `the Effect of ban "same"`},
		"merges bans of an ID":         {func(s *table) { s.add = (*table).mergingAdd }, "replace", `after two Adds of one ID the Effect of ban "same" is "mute", not ""`},
		"keeps two of an ID":           {func(s *table) { s.add = (*table).secondAdd }, "replace", `List returns ban "same" more than once`},
		"removes nothing":              {func(s *table) { s.remove = (*table).lazyRemove }, "remove", `after Remove List returns ban "two", which should not be there`},
		"removes all":                  {func(s *table) { s.remove = (*table).eagerRemove }, "remove", `List does not return ban "one"`},
		"knows every ID":               {func(s *table) { s.remove = (*table).silentRemove }, "unknown", `Remove of "two" returned <nil>`},
		"has its own error":            {func(s *table) { s.remove = (*table).vagueRemove }, "unknown", "returned not found"},
		"hides expired bans":           {func(s *table) { s.list = (*table).currentList }, "expired", `List does not return ban "expires-0"`},
		"lists expired bans twice":     {func(s *table) { s.list = (*table).doubleList }, "expired", `List returns ban "expires-0" more than once`},
		"gives its own list away":      {aliasing, "yours", `after a change of what List had returned List does not return ban "one"`},
		"ignores the context": {func(s *table) {
			s.add = func(s *table, _ context.Context, b chatroom.Ban) error { return s.rightAdd(t.Context(), b) }
		}, "context", `Add returned <nil>, not "context canceled"`},
		"lists for ever": {func(s *table) {
			s.list = func(s *table, _ context.Context) ([]chatroom.Ban, error) { return s.rightList(t.Context()) }
		}, "context", "List returned <nil>"},
		"adds after the end":          {func(s *table) { s.add = (*table).lateAdd }, "context", "something was done"},
		"renames the context's error": {func(s *table) { s.add = (*table).opaqueAdd }, "context", "Add returned gave up"},
		"loses concurrent bans":       {func(s *table) { s.add = (*table).racyAdd }, "concurrent", `ban "`},
		"shows a ban later":           {func(s *table) { s.list = staleList() }, "concurrent", "List after Add does not return ban"},
		"writes field by field":       {func(s *table) { s.add = (*table).piecemealAdd }, "same", "the ban is a mixture of several"},
		"removes one ban twice":       {func(s *table) { s.remove = (*table).racyRemove }, "same", "8 of 8 calls removed the one ban"},
		"never calls changed": {func(s *table) {
			s.watch = func(_ *table, ctx context.Context, _ func()) error { <-ctx.Done(); return ctx.Err() }
		}, "changed", "0 calls of changed later"},
		"calls changed too soon":   {func(s *table) { s.watch = (*table).hastyWatch }, "changed", "there is no call after which List returns one"},
		"watches nothing":          {func(s *table) { s.watch = func(*table, context.Context, func()) error { return nil } }, "watch", "Watch returned <nil>"},
		"panics while watching":    {func(s *table) { s.watch = func(*table, context.Context, func()) error { panic("oh") } }, "watch", "it panicked: oh"},
		"matches no networks":      {matching(func(b chatroom.Ban) bool { return !strings.Contains(b.Value, "/") }), "match", `did not return ban "net4"`},
		"matches no exceptions":    {matching(func(b chatroom.Ban) bool { return b.Effect != chatroom.EffectAllow }), "match", `did not return ban "allow"`},
		"matches equal nicks only": {func(s *table) { s.matches = (*table).literalMatch }, "match", `did not return ban "alike"`},
		"matches what is removed":  {remembering, "match", `Match after Remove of ban "nick" returned it`},
		"matches a ban twice": {func(s *table) {
			s.matches = func(s *table, who chatroom.Subject) []chatroom.Ban { return append(s.all(who), s.all(who)...) }
		}, "match", "twice"},
		"panics on an unknown ID": {func(s *table) { s.remove = (*table).strictRemove }, "unknown", "it panicked: no ban two"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				open := func(*testing.T) chatroom.BanStore {
					s := newTable()
					if c.spoil != nil {
						c.spoil(s)
					}
					return s
				}
				opts := tableOptions(func(s *table) {
					if c.spoil == nil {
						clear(s.bans)
					}
				})
				broken := chatroomtest.BrokenBanClauses(t, open, opts...)
				if err := broken[c.clause]; err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("about clause %s is said: %v\nwant: %s\nbroken: %v", c.clause, err, c.says, slices.Sorted(maps.Keys(broken)))
				}
			})
		})
	}
}

func fixing(fix func(b *chatroom.Ban)) func(*table) {
	return func(s *table) {
		s.fix = func(b chatroom.Ban) chatroom.Ban {
			fix(&b)
			return b
		}
	}
}

func created(b *chatroom.Ban) {
	if b.Created.IsZero() {
		b.Created = time.Now()
	}
}

func localTime(b *chatroom.Ban) {
	t := b.Created
	b.Created = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

func ascii(b *chatroom.Ban) {
	b.Value = strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, b.Value)
}

func (s *table) patternRemove(ctx context.Context, id string) error {
	for _, b := range s.all(chatroom.Subject{}) {
		if strings.HasPrefix(b.ID, id) {
			return s.rightRemove(ctx, b.ID)
		}
	}
	return s.rightRemove(ctx, id)
}

func (s *table) firstAdd(ctx context.Context, b chatroom.Ban) error {
	s.mu.Lock()
	_, there := s.bans[b.ID]
	s.mu.Unlock()
	if there {
		return ctx.Err()
	}
	return s.rightAdd(ctx, b)
}

func (s *table) mergingAdd(ctx context.Context, b chatroom.Ban) error {
	s.mu.Lock()
	if old := s.bans[b.ID]; b.Effect == "" {
		b.Effect = old.Effect
	}
	s.mu.Unlock()
	return s.rightAdd(ctx, b)
}

func (s *table) secondAdd(ctx context.Context, b chatroom.Ban) error {
	s.mu.Lock()
	if old, there := s.bans[b.ID]; there && ctx.Err() == nil {
		s.bans[b.ID+" of old"] = old
	}
	s.mu.Unlock()
	return s.rightAdd(ctx, b)
}

func (s *table) lazyRemove(ctx context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.bans[id]; !there && ctx.Err() == nil {
		return chatroom.ErrNoBan
	}
	return ctx.Err()
}

func (s *table) eagerRemove(ctx context.Context, id string) error {
	err := s.rightRemove(ctx, id)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(s.bans)
	}
	return err
}

func (s *table) silentRemove(ctx context.Context, id string) error {
	if err := s.rightRemove(ctx, id); !errors.Is(err, chatroom.ErrNoBan) {
		return err
	}
	return nil
}

func (s *table) vagueRemove(ctx context.Context, id string) error {
	if err := s.rightRemove(ctx, id); !errors.Is(err, chatroom.ErrNoBan) {
		return err
	}
	return errors.New("not found")
}

func (s *table) strictRemove(ctx context.Context, id string) error {
	if err := s.rightRemove(ctx, id); !errors.Is(err, chatroom.ErrNoBan) {
		return err
	}
	panic("no ban " + id)
}

func (s *table) currentList(ctx context.Context) ([]chatroom.Ban, error) {
	list, err := s.rightList(ctx)
	return slices.DeleteFunc(list, func(b chatroom.Ban) bool { return b.Expired(time.Now()) }), err
}

func (s *table) doubleList(ctx context.Context) ([]chatroom.Ban, error) {
	list, err := s.rightList(ctx)
	for _, b := range list {
		if b.Expired(time.Now()) {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b chatroom.Ban) int { return strings.Compare(a.ID, b.ID) })
	return list, err
}

// aliasing makes List return the same slice until the next Add or Remove.
func aliasing(s *table) {
	var kept []chatroom.Ban
	s.list = func(s *table, ctx context.Context) ([]chatroom.Ban, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if kept == nil {
			kept = slices.Collect(maps.Values(s.bans))
		}
		return kept, ctx.Err()
	}
	forget := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		kept = nil
	}
	s.add = func(s *table, ctx context.Context, b chatroom.Ban) error {
		defer forget()
		return s.rightAdd(ctx, b)
	}
	s.remove = func(s *table, ctx context.Context, id string) error {
		defer forget()
		return s.rightRemove(ctx, id)
	}
}

func (s *table) lateAdd(ctx context.Context, b chatroom.Ban) error {
	return errors.Join(s.rightAdd(context.WithoutCancel(ctx), b), ctx.Err())
}

func (s *table) opaqueAdd(ctx context.Context, b chatroom.Ban) error {
	if err := s.rightAdd(ctx, b); err != nil {
		return fmt.Errorf("gave up: %v", err)
	}
	return nil
}

// racyAdd writes back what it read a moment ago.
func (s *table) racyAdd(ctx context.Context, b chatroom.Ban) error {
	s.mu.Lock()
	bans := maps.Clone(s.bans)
	s.mu.Unlock()
	time.Sleep(time.Millisecond)
	if err := ctx.Err(); err != nil {
		return err
	}
	bans[b.ID] = b
	s.mu.Lock()
	s.bans = bans
	s.mu.Unlock()
	return nil
}

// staleList returns a List that reads the bans once a second.
func staleList() func(s *table, ctx context.Context) ([]chatroom.Ban, error) {
	var mu sync.Mutex
	var read time.Time
	var kept []chatroom.Ban
	return func(s *table, ctx context.Context) ([]chatroom.Ban, error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(read) > time.Second {
			read, kept = time.Now(), s.all(chatroom.Subject{})
		}
		return slices.Clone(kept), ctx.Err()
	}
}

func (s *table) piecemealAdd(ctx context.Context, b chatroom.Ban) error {
	s.mu.Lock()
	old, there := s.bans[b.ID]
	s.mu.Unlock()
	if there && ctx.Err() == nil {
		old.Value = b.Value
		if err := s.rightAdd(ctx, old); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
		s.mu.Lock()
		b.Value = s.bans[b.ID].Value
		s.mu.Unlock()
	}
	return s.rightAdd(ctx, b)
}

func (s *table) racyRemove(ctx context.Context, id string) error {
	s.mu.Lock()
	_, there := s.bans[id]
	s.mu.Unlock()
	if !there {
		return s.rightRemove(ctx, id)
	}
	time.Sleep(time.Millisecond)
	return s.silentRemove(ctx, id)
}

// hastyWatch calls changed once, before there is anything to see.
func (s *table) hastyWatch(ctx context.Context, changed func()) error {
	s.list = func(s *table, ctx context.Context) ([]chatroom.Ban, error) { return nil, ctx.Err() }
	changed()
	<-ctx.Done()
	return ctx.Err()
}

func matching(f func(b chatroom.Ban) bool) func(*table) {
	return func(s *table) {
		s.matches = func(s *table, who chatroom.Subject) []chatroom.Ban {
			return slices.DeleteFunc(s.all(who), func(b chatroom.Ban) bool { return !f(b) })
		}
	}
}

// literalMatch looks for nicks by their first key alone.
func (s *table) literalMatch(who chatroom.Subject) []chatroom.Ban {
	return slices.DeleteFunc(s.all(who), func(b chatroom.Ban) bool {
		return b.Kind == chatroom.BanNick && !slices.Equal(chatroom.NickKeys(b.Value)[:1], who.Keys[:1])
	})
}

// remembering makes Match see what was added, but not what was removed.
func remembering(s *table) {
	added := make(map[string]chatroom.Ban)
	s.add = func(s *table, ctx context.Context, b chatroom.Ban) error {
		s.mu.Lock()
		added[b.ID] = b
		s.mu.Unlock()
		return s.rightAdd(ctx, b)
	}
	s.matches = func(s *table, _ chatroom.Subject) []chatroom.Ban {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Collect(maps.Values(added))
	}
}
