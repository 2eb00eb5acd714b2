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

// TestWhatIsLeftOfAnActCanBeLifted has a store that a server was killed over while it removed the two
// bans of one act.
func TestWhatIsLeftOfAnActCanBeLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := chatroom.Ban{ID: "abcdef.2", Kind: chatroom.BanNick, Value: "bob"}
		srv := hostBubble(t, chatroom.WithBanStore(chatroom.MemoryBans(left)))
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbUnban, Ref: "abcdef"})
		enterAs(t, srv, "bob", 0)
	})
}
