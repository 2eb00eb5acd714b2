package chatroom_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

func TestAMutedMemberGetsNoTextOut(t *testing.T) {
	for name, last := range map[string]chatroom.Command{
		"leave": chatroom.LeaveRoom("lobby", "PILLS"),
		"quit":  chatroom.Quit("PILLS"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostBubble(t)
				ann, bob := enterAs(t, srv, "ann", 0), enterAs(t, srv, "bob", 0)
				asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbMute, Nick: "bob", For: time.Hour})
				mustRefuse(t, bob, chatroom.Say("", "PILLS"), chatroom.ErrMuted)
				mustRefuse(t, bob, chatroom.Action("", "PILLS"), chatroom.ErrMuted)
				mustRefuse(t, bob, chatroom.Topic("", "PILLS"), chatroom.ErrMuted)
				mustRefuse(t, bob, chatroom.Private("ann", "PILLS"), chatroom.ErrMuted)
				mustRefuse(t, bob, chatroom.Rename("PILLS"), chatroom.ErrMuted)
				mustRefuse(t, bob, chatroom.JoinRoom("PILLS"), chatroom.ErrMuted)
				mustSend(t, bob, last)
				mustNotSee(t, unread(t, ann), "PILLS")
				if rooms := srv.Rooms(); len(rooms) != 1 {
					t.Errorf("there are the rooms %v", rooms)
				}
			})
		})
	}
}

func TestAMuteOnANickEndsWithNoRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		bob := enterAs(t, srv, "bob", 0)
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbMute, Nick: "bob", For: time.Minute})
		mustRefuse(t, bob, chatroom.Rename("robert"), chatroom.ErrMuted)
		mustRefuse(t, bob, chatroom.Say("", "hi"), chatroom.ErrMuted)
		time.Sleep(time.Minute)
		mustSend(t, bob, chatroom.Rename("robert"))
		mustSend(t, bob, chatroom.Say("", "hi"))
	})
}

func TestNothingIsSaidAfterAMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var srv chatroom.Server
		mutes := func(ctx context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
			_, err := srv.Moderate(ctx, chatroom.Command{Verb: chatroom.VerbMute, Nick: d.Nick})
			return chatroom.Verdict{}, err
		}
		srv = hostBubble(t, chatroom.WithFilter(chatroom.FilterStep{Name: "slow", Filter: chatroom.FilterFunc(mutes)}))
		bob := enterAs(t, srv, "bob", 0)
		mustRefuse(t, bob, chatroom.Say("", "hi"), chatroom.ErrMuted)
	})
}

// A meddler is a BanMatcher and a BanWatcher in whose calls other things happen.
type meddler struct {
	chatroom.BanStore
	matched func(chatroom.Subject) // once the answer is known
	adds    func()
	watched chan func() // holds what Watch was given
}

func meddling() *meddler {
	return &meddler{BanStore: chatroom.MemoryBans(), watched: make(chan func(), 1)}
}

func (m *meddler) Match(ctx context.Context, s chatroom.Subject) ([]chatroom.Ban, error) {
	bans, err := m.List(ctx)
	if m.matched != nil {
		m.matched(s)
	}
	return bans, err
}

func (m *meddler) Add(ctx context.Context, b chatroom.Ban) error {
	if m.adds != nil {
		m.adds()
	}
	return m.BanStore.Add(ctx, b)
}

func (m *meddler) Watch(ctx context.Context, changed func()) error {
	m.watched <- changed
	<-ctx.Done()
	return ctx.Err()
}

func TestAMuteGivenDuringAnUnmuteHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := meddling()
		srv := hostBubble(t, chatroom.WithBanStore(store))
		bob := enterAs(t, srv, "bob", 0)
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbMute, Target: "b*"})
		store.matched = func(chatroom.Subject) {
			store.matched = nil
			asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbMute, Nick: "bob"})
		}
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbUnmute, Target: "b*"})
		mustRefuse(t, bob, chatroom.Say("", "hi"), chatroom.ErrMuted)
	})
}

func TestABanByAnotherHandDuringAJoinHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := meddling()
		srv := hostBubble(t, chatroom.WithBanStore(store))
		changed := <-store.watched
		store.matched = func(chatroom.Subject) {
			store.matched = nil
			if err := store.BanStore.Add(t.Context(), chatroom.Ban{ID: "x", Kind: chatroom.BanNick, Value: "bob"}); err != nil {
				t.Error(err)
			}
			changed()
		}
		if _, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bob"}); !errors.Is(err, chatroom.ErrBanned) {
			t.Errorf("bob joins: %v", err)
		}
	})
}

func TestAMutedModeratorStaysMuted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		mod, other := enterAs(t, srv, "mod", chatroom.RoleModerator), enterAs(t, srv, "other", chatroom.RoleModerator)
		id := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbMute, Nick: "mod"}).Act.ID
		for _, cmd := range []chatroom.Command{
			{Verb: chatroom.VerbUnmute, Nick: "mod"},
			{Verb: chatroom.VerbUnban, Ref: id},
			{Verb: chatroom.VerbAllow, Nick: "mod"},
			{Verb: chatroom.VerbAllow, Target: "*"},
			{Verb: chatroom.VerbUndo, Ref: id},
		} {
			mustRefuse(t, mod, cmd, chatroom.ErrDenied)
		}
		mustRefuse(t, mod, chatroom.Say("", "hi"), chatroom.ErrMuted)
		mustSend(t, other, chatroom.Command{Verb: chatroom.VerbUnmute, Nick: "mod"})
		mustSend(t, mod, chatroom.Say("", "hi"))

		// What one has done oneself one may take back.
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbMute, Target: "m*", Force: true})
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbUndo})
		mustSend(t, mod, chatroom.Say("", "hi"))
	})
}
