package chatroomtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/chatroom"
)

func endedCall(ctx context.Context, b *banStoreTest) error {
	kept := full("kept")
	if err := b.add(ctx, kept); err != nil {
		return err
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancel()
	calls := map[string]func(context.Context) error{
		"Add":              func(ctx context.Context) error { return b.store.Add(ctx, full("new")) },
		"Add, replacing":   func(ctx context.Context) error { return b.store.Add(ctx, ban("kept")) },
		"Remove":           func(ctx context.Context) error { return b.store.Remove(ctx, "kept") },
		"Remove of no ban": func(ctx context.Context) error { return b.store.Remove(ctx, "new") },
		"List":             func(ctx context.Context) error { _, err := b.store.List(ctx); return err },
	}
	if m, ok := b.store.(chatroom.BanMatcher); ok {
		calls["Match"] = func(ctx context.Context) error {
			_, err := m.Match(ctx, chatroom.Subject{Nick: "bob", Keys: chatroom.NickKeys("bob")})
			return err
		}
	}
	for range 20 { // a select picks any of what is ready
		for _, name := range slices.Sorted(maps.Keys(calls)) {
			for _, ended := range []context.Context{canceled, late} {
				if err := within(prompt, name, func() error { return calls[name](ended) }); !errors.Is(err, ended.Err()) {
					return fmt.Errorf("%s returned %v, not %q", name, err, ended.Err())
				}
			}
		}
		if err := b.holds(ctx, kept); err != nil {
			return fmt.Errorf("something was done: %w", err)
		}
	}
	return nil
}

func concurrentCallers(ctx context.Context, b *banStoreTest) error {
	const callers, each = 8, 24
	var want []chatroom.Ban
	results := make(chan error, callers) // room for all: nobody waits once one has failed
	for i := range callers {
		var mine []chatroom.Ban
		for j := range each {
			one := full(fmt.Sprint(i, "-", j))
			one.Reason = strings.Repeat(one.ID, 20)
			mine = append(mine, one)
			if j%3 != 0 {
				want = append(want, one)
			}
		}
		go func() { results <- within(patience, "a caller", func() error { return addAndRemove(ctx, b, mine) }) }()
	}
	var err error
	for range callers {
		err = cmp.Or(err, <-results)
	}
	if err != nil {
		return err
	}
	return b.holds(ctx, want...)
}

// addAndRemove adds bans, removes every third, and looks at each step whether it sees its own.
func addAndRemove(ctx context.Context, b *banStoreTest, mine []chatroom.Ban) error {
	for i, one := range mine {
		if err := b.add(ctx, one); err != nil {
			return err
		}
		if i%3 == 0 {
			if err := b.store.Remove(ctx, one.ID); err != nil {
				return fmt.Errorf("Remove of ban %q, which was there, failed: %w", one.ID, err)
			}
		}
		list, err := b.store.List(ctx)
		if err != nil {
			return fmt.Errorf("List failed: %w", err)
		}
		at := slices.IndexFunc(list, func(b chatroom.Ban) bool { return b.ID == one.ID })
		switch {
		case i%3 == 0 && at >= 0:
			return fmt.Errorf("List after Remove returns ban %q", one.ID)
		case i%3 != 0 && at < 0:
			return fmt.Errorf("List after Add does not return ban %q", one.ID)
		case at >= 0:
			if err := sameBan(one, list[at]); err != nil {
				return err
			}
		}
	}
	return nil
}

func sameID(ctx context.Context, b *banStoreTest) error {
	const callers = 8
	for round := range 10 {
		results := make(chan error, callers) // room for all: nobody waits once one has failed
		for i := range callers {
			go func() {
				results <- within(patience, "Add", func() error { return b.store.Add(ctx, version(i)) })
			}()
		}
		var err error
		for range callers {
			err = cmp.Or(err, <-results)
		}
		if err != nil {
			return fmt.Errorf("Add failed: %w", err)
		}
		if err := b.holdsVersion(ctx, callers); err != nil {
			return err
		}
		for range callers {
			go func() {
				results <- within(patience, "Remove", func() error { return b.store.Remove(ctx, "same") })
			}()
		}
		removed := 0
		for range callers {
			switch err := <-results; {
			case err == nil:
				removed++
			case !errors.Is(err, chatroom.ErrNoBan):
				return fmt.Errorf("Remove failed: %w", err)
			}
		}
		if removed != 1 {
			return fmt.Errorf("%d of %d calls removed the one ban, in round %d", removed, callers, round)
		}
	}
	return b.holds(ctx)
}

// version returns one of the bans that sameID adds.
func version(i int) chatroom.Ban {
	one := full("same")
	one.Value = strings.Repeat(fmt.Sprint(i), 50)
	one.Reason, one.Note, one.By = one.Value, one.Value, one.Value
	return one
}

func (b *banStoreTest) holdsVersion(ctx context.Context, versions int) error {
	list, err := b.store.List(ctx)
	if err != nil {
		return fmt.Errorf("List failed: %w", err)
	}
	if len(list) != 1 {
		return fmt.Errorf("List returns %d bans after Adds of one ID", len(list))
	}
	for i := range versions {
		if sameBan(version(i), list[0]) == nil {
			return nil
		}
	}
	return fmt.Errorf("the ban is a mixture of several: %+.200v", list[0])
}

func durable(ctx context.Context, b *banStoreTest) error {
	if b.reopen == nil {
		return fmt.Errorf("%w: no WithReopen", errNotClaimed)
	}
	one, two := full("one"), ban("two")
	again := full("again")
	again.Reason = "the second one"
	if err := b.add(ctx, one, full("again"), full("gone"), two, again); err != nil {
		return err
	}
	if err := b.store.Remove(ctx, "gone"); err != nil {
		return fmt.Errorf("Remove failed: %w", err)
	}
	for restarts := 1; restarts <= 2; restarts++ {
		b.store = b.reopen(b.store)
		if err := b.holds(ctx, one, two, again); err != nil {
			return fmt.Errorf("after restart %d %w", restarts, err)
		}
	}
	if err := b.store.Remove(ctx, "gone"); !errors.Is(err, chatroom.ErrNoBan) {
		return fmt.Errorf("Remove after a restart of what was removed before it returned %v", err)
	}
	return nil
}

func watchEnds(ctx context.Context, b *banStoreTest) error {
	w, ok := b.store.(chatroom.BanWatcher)
	if !ok {
		return fmt.Errorf("%w: no BanWatcher", errNotClaimed)
	}
	ctx, cancel := context.WithTimeout(ctx, start)
	defer cancel()
	err := within(start+prompt, "Watch", func() error { return w.Watch(ctx, func() {}) })
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("Watch returned %v", err)
	}
	return nil
}

func watchTells(ctx context.Context, b *banStoreTest) error {
	w, ok := b.store.(chatroom.BanWatcher)
	if !ok || b.elsewhere == nil {
		return fmt.Errorf("%w: no BanWatcher, or no WithElsewhere", errNotClaimed)
	}
	ctx, cancel := context.WithTimeout(ctx, notice)
	defer cancel()
	changed := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- within(notice+prompt, "Watch", func() error {
			return w.Watch(ctx, func() {
				select {
				case changed <- struct{}{}:
				default: // one is enough
				}
			})
		})
	}()
	err := awaitBan(ctx, b, changed, ended)
	cancel()
	return cmp.Or(err, within(prompt, "Watch", func() error { <-ended; return nil }))
}

// awaitBan adds bans elsewhere, since a Watch may be slow to begin, until one is listed after
// changed was called.
func awaitBan(ctx context.Context, b *banStoreTest, changed chan struct{}, ended chan error) error {
	again := time.NewTicker(notice / 5)
	defer again.Stop()
	calls := 0
	for i := 0; ; {
		b.elsewhere(b.store, full(fmt.Sprint("elsewhere-", i)))
		i++
		select {
		case <-changed:
			calls++
		case <-again.C:
			continue
		case err := <-ended:
			ended <- err
			if ctx.Err() == nil {
				return fmt.Errorf("Watch returned %v while its context went on", err)
			}
			return fmt.Errorf("%d bans added elsewhere and %d calls of changed later there is no call after which List returns one", i, calls)
		}
		list, err := b.store.List(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("List failed: %w", err)
		}
		if slices.ContainsFunc(list, func(b chatroom.Ban) bool { return strings.HasPrefix(b.ID, "elsewhere-") }) {
			return nil
		}
	}
}
