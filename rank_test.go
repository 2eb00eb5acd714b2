package chatroom_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

// Nobody acts on somebody of the same or a higher role, not on one who is away either, and nobody
// undoes in advance what somebody of a higher role will do.
func TestABanIsNotOnThoseAboveWhoGaveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
			roles := map[string]chatroom.Role{"root": chatroom.RoleAdmin, "max": chatroom.RoleModerator}
			return chatroom.Identity{Nick: req.Nick, Account: req.Nick, Role: roles[req.Nick]}, nil
		})
		srv := hostBubble(t, chatroom.WithAuthenticator(auth), chatroom.WithReservedNicks())
		mod := enterAs(t, srv, "mod", chatroom.RoleModerator)
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbBan, Target: "account:root"})
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbBan, Target: "203.0.113.0/24"})
		for nick, in := range map[string]bool{"root": true, "max": true, "bob": false} {
			c := callFrom(t, srv, "203.0.113.7")
			c.send(`{"type":"join","nick":"` + nick + `"}`)
			synctest.Wait()
			if c.gone() == in {
				t.Errorf("%s is in: %t", nick, !in)
			}
		}

		// What an admin gives holds in spite of a moderator's allowance.
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbAllow, Target: "account:eve"})
		admin := enterAs(t, srv, "admin", chatroom.RoleAdmin)
		mustSend(t, admin, chatroom.Command{Verb: chatroom.VerbBan, Target: "account:eve"})
		eve := chatroom.Identity{Nick: "eve", Account: "eve"}
		if _, err := srv.Join(t.Context(), eve); !errors.Is(err, chatroom.ErrBanned) {
			t.Errorf("eve: %v", err)
		}
		mustSend(t, admin, chatroom.Command{Verb: chatroom.VerbAllow, Target: "account:eve"})
		if _, err := srv.Join(t.Context(), eve); err != nil {
			t.Errorf("eve: %v", err)
		}
	})
}

func TestAFileKeepsWhoseBanItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bans")
	want := chatroom.Ban{ID: "a", Kind: chatroom.BanNick, Value: "bob", Rank: chatroom.RoleModerator}
	s, err := chatroom.FileBans(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), chatroom.Ban{ID: "b", Kind: chatroom.BanNick, Value: "eve", Rank: 7}); err == nil {
		t.Error("it takes a rank that is no role")
	}
	if err := errors.Join(s.Add(t.Context(), want), s.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err = chatroom.FileBans(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.List(t.Context())
	if diff := cmp.Diff([]chatroom.Ban{want}, got); diff != "" || err != nil {
		t.Errorf("-want +got:\n%s%v", diff, err)
	}
}
