package chatroom_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// TestUndoingSeveralActsSettlesBeforeAnybodyIsHit takes a ban and its unban back together: in between
// the ban is there again, and the member it was on is here.
func TestUndoingSeveralActsSettlesBeforeAnybodyIsHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		admin, mod := enterAs(t, srv, "admin", chatroom.RoleAdmin), enterAs(t, srv, "mod", chatroom.RoleModerator)
		enterAs(t, srv, "bob", 0)
		mustSend(t, mod, chatroom.BanPerson("bob", time.Hour, "spam"))
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbUnban, Nick: "bob"})
		bob := enterAs(t, srv, "bob", 0)
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbMute, Nick: "bob"})

		mustSend(t, admin, chatroom.Command{Verb: chatroom.VerbUndo, Nick: "mod", For: time.Minute})
		mustSend(t, bob, chatroom.Say("", "still here, and heard"))
		if e := mustSend(t, admin, chatroom.Command{Verb: chatroom.VerbBans}); e.Report.Count != 0 {
			t.Errorf("the bans are %v", e.Report.Bans)
		}
	})
}
