package chatroom_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

// A register is a Refresher whose accounts a test changes.
type register struct {
	role    chatroom.Role
	gone    bool
	asked   func() // while somebody is at the door
	watched chan func(string)
}

func (r *register) Authenticate(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	id := chatroom.Identity{Nick: req.Nick, Account: req.Nick, Role: r.role}
	if r.asked != nil {
		r.asked()
	}
	return id, nil
}

func (r *register) Watch(ctx context.Context, changed func(string)) error {
	r.watched <- changed
	<-ctx.Done()
	return ctx.Err()
}

func (r *register) Refresh(_ context.Context, id chatroom.Identity) (chatroom.Identity, error) {
	if r.gone {
		return chatroom.Identity{}, chatroom.ErrNoAccount
	}
	id.Role = r.role
	return id, nil
}

func TestAnAccountRevokedDuringAJoinIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		accounts := &register{watched: make(chan func(string), 1)}
		srv := hostBubble(t, chatroom.WithAuthenticator(accounts))
		changed := <-accounts.watched
		accounts.asked = func() {
			accounts.gone = true
			changed("ann")
		}
		ann := call(t, srv)
		ann.send(`{"type":"join","nick":"ann"}`)
		if heard := ann.hear(); !strings.Contains(heard, `"type":"bye","code":"unauthorized"`) {
			t.Errorf("ann hears %s", heard)
		}
	})
}

// stuckStore is a store, a filter's backend and whatever else that hangs for ever, until a test ends.
type stuckStore struct {
	chatroom.BanStore
	calls atomic.Int32
	freed chan struct{}
}

func (s *stuckStore) Match(context.Context, chatroom.Subject) ([]chatroom.Ban, error) {
	s.calls.Add(1)
	<-s.freed
	return nil, nil
}

func (s *stuckStore) Watch(context.Context, func()) error {
	<-s.freed
	return nil
}

func TestAStoreThatHangsHoldsABoundedNumberOfGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stuckStore{BanStore: chatroom.MemoryBans(), freed: make(chan struct{})}
		defer close(store.freed)
		srv, err := chatroom.New(chatroom.WithBanStore(store))
		if err != nil {
			t.Fatal(err)
		}
		for wave := range 3 {
			var joining sync.WaitGroup
			for i := range 1000 {
				joining.Go(func() {
					_, err := srv.Join(t.Context(), chatroom.Identity{Nick: fmt.Sprintf("bot%d-%d", wave, i)})
					if !errors.Is(err, chatroom.ErrUnavailable) {
						t.Errorf("Join: %v", err)
					}
				})
			}
			joining.Wait()
		}
		if calls := store.calls.Load(); calls > 1000 {
			t.Errorf("%d calls hang in the store", calls)
		}
		srv.Close() // returns, though Watch does not
	})
}

func TestAStoreSteersNoTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		evil := "\x1b[2J\nann> hi\u202e"
		srv := hostBubble(t, chatroom.WithBanStore(chatroom.MemoryBans(
			chatroom.Ban{ID: "a", Kind: chatroom.BanNick, Value: "bob", Reason: evil, Note: evil, By: evil},
			chatroom.Ban{ID: "b", Kind: chatroom.BanNick, Value: evil, Effect: chatroom.EffectMute, Reason: evil},
		)))
		enterAs(t, srv, "ann", 0)
		bob := call(t, srv)
		bob.send("bob")
		if heard := bob.hear(); strings.Contains(heard, "\x1b") || strings.Contains(heard, "\nann> ") {
			t.Errorf("bob hears %q", heard)
		}
		e := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbBans})
		if shown := string(clockFront.AppendEvent(nil, &e)); strings.Contains(shown, "\x1b") || strings.Contains(shown, "\nann> ") {
			t.Errorf("moderators are shown %q", shown)
		}
	})
}

// A hoarder is a store that keeps what is to be removed, once it is told to.
type hoarder struct {
	chatroom.BanStore
	greedy atomic.Bool
}

func (h *hoarder) Remove(ctx context.Context, id string) error {
	if h.greedy.Load() {
		return errStore
	}
	return h.BanStore.Remove(ctx, id)
}

func TestWhatExpiredLongAgoIsRemoved(t *testing.T) {
	var bans []chatroom.Ban
	add := func(n int, name string, expires time.Time) {
		for i := range n {
			id := fmt.Sprint(name, i)
			bans = append(bans, chatroom.Ban{ID: id, Kind: chatroom.BanNick, Value: id, Expires: expires})
		}
	}
	add(300, "old", time.Now().Add(-61*time.Minute))
	add(50, "late", time.Now().Add(-30*time.Minute))
	add(50, "live", time.Now().Add(30*time.Minute))
	add(50, "ever", time.Time{})
	store := &hoarder{BanStore: chatroom.MemoryBans(bans...)}
	srv := hostBubble(t, chatroom.WithBanStore(store))
	left := func() map[string]int {
		all, err := store.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := make(map[string]int)
		for _, b := range all {
			n[strings.TrimRight(b.Value, "0123456789")]++
		}
		return n
	}
	again := func() {
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbBan, Target: "nick:mallory"})
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbUnban, Target: "nick:mallory"})
	}
	store.greedy.Store(true)
	for range 10 {
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbBan, Target: "nick:mallory"})
	}
	want := map[string]int{"old": 300, "late": 50, "live": 50, "ever": 50, "mallory": 10}
	if diff := cmp.Diff(want, left()); diff != "" {
		t.Errorf("a store that removes nothing (-want +got):\n%s", diff)
	}
	store.greedy.Store(false)
	for i := 0; i < 10_000 && left()["old"] > 0; i++ {
		again()
	}
	want = map[string]int{"late": 50, "live": 50, "ever": 50}
	if diff := cmp.Diff(want, left()); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
	if id := "live7"; !t.Failed() {
		_, err := srv.Join(t.Context(), chatroom.Identity{Nick: id})
		wantCode(t, err, chatroom.CodeBanned)
	}
}
