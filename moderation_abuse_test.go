package chatroom_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// enterAs joins in process.
func enterAs(t testing.TB, srv chatroom.Server, nick string, role chatroom.Role, rooms ...string) chatroom.Client {
	t.Helper()
	c, err := srv.Join(t.Context(), chatroom.Identity{Nick: nick, Role: role}, rooms...)
	if err != nil {
		t.Fatalf("%s joins: %v", nick, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// unread returns what c has not received yet, in a bubble.
func unread(t testing.TB, c chatroom.Client) (events []chatroom.Event) {
	t.Helper()
	synctest.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for {
		e, err := c.Receive(ctx)
		if err != nil {
			return events
		}
		events = append(events, e)
	}
}

// mustSend sends a command that has to be carried out.
func mustSend(t testing.TB, c chatroom.Client, cmd chatroom.Command) chatroom.Event {
	t.Helper()
	e, err := c.Send(t.Context(), cmd)
	if err != nil {
		t.Fatalf("%+v: %v", cmd, err)
	}
	return e
}

// mustRefuse sends a command that has to be refused for that reason.
func mustRefuse(t testing.TB, c chatroom.Client, cmd chatroom.Command, want error) {
	t.Helper()
	if e, err := c.Send(t.Context(), cmd); !errors.Is(err, want) {
		t.Errorf("%+v: %+v and %v; want %v", cmd, e, err, want)
	}
}

// asProgram has the program moderate.
func asProgram(t testing.TB, srv chatroom.Server, cmd chatroom.Command) chatroom.Event {
	t.Helper()
	e, err := srv.Moderate(t.Context(), cmd)
	if err != nil {
		t.Fatalf("%+v: %v", cmd, err)
	}
	return e
}

// mustNotSee fails the test if any of events holds word in a text or a name.
func mustNotSee(t testing.TB, events []chatroom.Event, word string) {
	t.Helper()
	for _, e := range events {
		if line, _ := e.MarshalJSON(); strings.Contains(string(line), word) {
			t.Errorf("the room was told %s", line)
		}
	}
}

func TestANoteIsForTheAuditAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		bob := enterAs(t, srv, "bob", chatroom.RoleMember)
		ann := enterAs(t, srv, "ann", chatroom.RoleAdmin)
		enterAs(t, srv, "joe", chatroom.RoleMember)
		for range 3 {
			mustSend(t, bob, chatroom.Say("", "hello"))
		}
		unread(t, bob)
		acts := []chatroom.Command{
			{Verb: chatroom.VerbMute, Nick: "bob"},
			{Verb: chatroom.VerbUnmute, Nick: "bob"},
			{Verb: chatroom.VerbSlow, Every: time.Second},
			{Verb: chatroom.VerbLock},
			{Verb: chatroom.VerbUnlock},
			{Verb: chatroom.VerbPromote, Nick: "joe"},
			{Verb: chatroom.VerbDemote, Nick: "joe"},
			{Verb: chatroom.VerbDelete, Nick: "bob"},
			{Verb: chatroom.VerbClear, Nick: "bob"},
			{Verb: chatroom.VerbUndo},
			{Verb: chatroom.VerbKick, Nick: "joe"},
		}
		for i, act := range acts {
			act.Reason, act.Note = "rude", fmt.Sprint("PILLS ", i)
			mustSend(t, ann, act)
		}
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbUnlock, Reason: "over"})
		told := unread(t, bob)
		mustNotSee(t, told, "PILLS")
		if len(told) < len(acts) {
			t.Errorf("bob was told %+v", told)
		}
		for i, rec := range audits(srv) {
			if want := fmt.Sprint("PILLS ", i); i < len(acts) && rec.Note != want || i >= len(acts) && rec.Note != "" {
				t.Errorf("the note of %s is %q, want %q", rec.Verb, rec.Note, want)
			}
		}
	})
}

func TestSlowModeIsForEveryText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		ann, bob := enterAs(t, srv, "ann", 0), enterAs(t, srv, "bob", 0)
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbSlow, Every: time.Minute})
		time.Sleep(time.Minute)
		mustSend(t, bob, chatroom.Say("", "once"))
		mustRefuse(t, bob, chatroom.Topic("", "PILLS"), chatroom.ErrRateLimited)
		mustSend(t, bob, chatroom.LeaveRoom("", "PILLS"))
		mustSend(t, bob, chatroom.JoinRoom("lobby"))
		mustRefuse(t, bob, chatroom.Say("", "PILLS"), chatroom.ErrRateLimited)
		mustSend(t, bob, chatroom.Quit("PILLS"))
		mustNotSee(t, unread(t, ann), "PILLS")
	})
}

func TestFiltersReviewLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reviewed []chatroom.Verb
		noPills := func(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
			reviewed = append(reviewed, d.Verb)
			if strings.Contains(d.Text, "PILLS") {
				return chatroom.Verdict{Decision: chatroom.DecisionHold}, nil
			}
			return chatroom.Verdict{}, nil
		}
		srv := hostBubble(t, chatroom.WithFilter(chatroom.FilterStep{Name: "pills", Filter: chatroom.FilterFunc(noPills)}))
		ann, bob := enterAs(t, srv, "ann", 0), enterAs(t, srv, "bob", 0, "lobby", "den")
		mustSend(t, bob, chatroom.LeaveRoom("lobby", "PILLS"))
		mustSend(t, bob, chatroom.JoinRoom("lobby"))
		mustSend(t, bob, chatroom.Quit("PILLS"))
		mustNotSee(t, unread(t, ann), "PILLS")
		if len(reviewed) != 2 || reviewed[0] != chatroom.VerbLeave || reviewed[1] != chatroom.VerbQuit {
			t.Errorf("reviewed were %v", reviewed)
		}
		if held := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbHeld}); held.Report.Count != 0 {
			t.Errorf("%+v is held", held.Report.Held)
		}
	})
}

func TestWhoIsInNoRoomIsKickedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		mod, bob := enterAs(t, srv, "mod", chatroom.RoleModerator), enterAs(t, srv, "bob", 0)
		mustSend(t, bob, chatroom.LeaveRoom("lobby", ""))
		if e := mustSend(t, mod, chatroom.Kick("bob", "idle")); e.Kind != chatroom.KindAct || e.Act.Reason != "idle" {
			t.Errorf("the moderator is told %+v", e)
		}
		mustRefuse(t, bob, chatroom.JoinRoom("lobby"), chatroom.ErrKicked)
		if acts := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbActs}).Report.Acts; len(acts) != 1 {
			t.Errorf("the acts are %+v", acts)
		}
		mustRefuse(t, mod, chatroom.Kick("bob", ""), chatroom.ErrNoSuchNick)
	})
}

func TestAPersonIsBannedUnderWhateverNick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, verb := range []chatroom.Verb{chatroom.VerbBan, chatroom.VerbMute} {
			store := meddling()
			srv := hostBubble(t, chatroom.WithBanStore(store))
			bob := enterAs(t, srv, "bob", 0)
			store.adds = func() { mustSend(t, bob, chatroom.Rename("robert")) }
			asProgram(t, srv, chatroom.Command{Verb: verb, Nick: "bob"})
			if _, err := bob.Send(t.Context(), chatroom.Say("", "hi")); err == nil {
				t.Errorf("%s: bob speaks as robert", verb)
			}
		}
	})
}

func TestAnUnbanAsksAboutThoseItConcerns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := meddling()
		srv := hostBubble(t, chatroom.WithBanStore(store))
		enterAs(t, srv, "ann", 0)
		bob := enterAs(t, srv, "bob", 0)
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbMute, Nick: "bob"})
		store.matched = func(s chatroom.Subject) {
			if s.Nick != "bob" {
				t.Errorf("the store is asked about %s", s.Nick)
			}
		}
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbUnmute, Nick: "bob"})
		mustSend(t, bob, chatroom.Say("", "hi"))
	})
}

func TestNoUndoEndsWhoIsAbove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		mod := enterAs(t, srv, "mod", chatroom.RoleModerator)
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbBan, Target: "account:root"})
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbUnban, Target: "account:root"})
		root, err := srv.Join(t.Context(), chatroom.Identity{Nick: "ann", Account: "root", Role: chatroom.RoleAdmin})
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbUndo})
		mustSend(t, root, chatroom.Say("", "hi"))
	})
}

func TestNobodyActsOnAnAdminWhoHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		mod := enterAs(t, srv, "mod", chatroom.RoleModerator)
		admin := chatroom.Identity{Nick: "ann", Account: "root", Role: chatroom.RoleAdmin}
		ann, err := srv.Join(t.Context(), admin)
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, ann, chatroom.Say("", "hi"))
		ann.Close()
		mustRefuse(t, mod, chatroom.Command{Verb: chatroom.VerbBan, Nick: "ann"}, chatroom.ErrDenied)
		mustRefuse(t, mod, chatroom.Command{Verb: chatroom.VerbBan, Target: "account:root"}, chatroom.ErrDenied)
		mustRefuse(t, mod, chatroom.Command{Verb: chatroom.VerbDelete, Nick: "ann"}, chatroom.ErrDenied)
		if ann, err = srv.Join(t.Context(), admin); err != nil {
			t.Fatal(err)
		}
		mustSend(t, ann, chatroom.Command{Verb: chatroom.VerbBan, Target: "root*"}) // she was here before, and is no hindrance
		mustSend(t, ann, chatroom.Command{Verb: chatroom.VerbDelete, Nick: "ann"})
		ann.Close()

		// Who comes again as less, or was made more for a while only, is like anybody else.
		admin.Role = chatroom.RoleMember
		if _, err := srv.Join(t.Context(), admin); err != nil {
			t.Fatal(err)
		}
		bob := enterAs(t, srv, "bob", 0)
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbPromote, Nick: "bob", Role: chatroom.RoleAdmin})
		bob.Close()
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbBan, Nick: "ann"})
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbBan, Nick: "bob"})
	})
}

func TestTheRoomIsNotToldAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		ann, mod := enterAs(t, srv, "ann", 0), enterAs(t, srv, "mod", chatroom.RoleModerator)
		bob := callFrom(t, srv, "203.0.113.7")
		bob.send(`{"type":"join","nick":"bob"}`)
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbMute, Target: "203.0.113.7"})
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbBan, Target: "203.0.113.7", Reason: "spam"})
		told := unread(t, ann)
		mustNotSee(t, told, "203.0.113")
		if last := told[len(told)-1]; last.Kind != chatroom.KindBan || last.Nick != "bob" {
			t.Errorf("the room is told %+v", last)
		}
		if heard := bob.hear(); !strings.Contains(heard, `"text":"you were banned by mod: spam (ban `) {
			t.Errorf("bob hears %s", heard)
		}
	})
}

func TestAPreviewOfAnAllowanceSaysWhomItIsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		enterAs(t, srv, "bob", 0)
		r := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbAllow, Target: "b*", Preview: true}).Report
		if r.Count != 1 || len(r.Hits) != 1 || r.Hits[0].Nick != "bob" {
			t.Errorf("%+v", r)
		}
	})
}

func TestAModeratorIsToldOfAnAllowanceInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		mod := enterAs(t, srv, "mod", chatroom.RoleModerator)
		bob := enterAs(t, srv, "bob", 0)
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbAllow, Target: "b*"})
		mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbBan, Nick: "bob"})
		told := false
		for _, e := range unread(t, mod) {
			told = told || e.Kind == chatroom.KindNotice && strings.Contains(e.Text, "allowance")
		}
		if !told {
			t.Error("the moderator is not told why bob is still here")
		}
		mustSend(t, bob, chatroom.Say("", "hi"))
	})
}

func TestClearFindsWhatWasSaidUnderAnotherNick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		enterAs(t, srv, "ann", 0)
		bob := enterAs(t, srv, "bob", 0)
		mustSend(t, bob, chatroom.Say("", "one"))
		mustSend(t, bob, chatroom.Rename("robert"))
		mustSend(t, bob, chatroom.Say("", "two"))
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbBan, Nick: "robert"})
		if e := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbClear, Nick: "robert"}); len(e.Act.Seqs) != 2 {
			t.Errorf("%d messages were deleted, not 2", len(e.Act.Seqs))
		}
	})
}

func TestNobodyIsPromotedToMember(t *testing.T) {
	if cmd, err := chatroom.ParseLine("/promote bob member"); !errors.Is(err, chatroom.ErrBadRequest) {
		t.Errorf("%+v and %v", cmd, err)
	}
}

func TestTalkPushesNoActOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		mod, bob := enterAs(t, srv, "mod", chatroom.RoleModerator), enterAs(t, srv, "bob", 0)
		id := mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbBan, Target: "spam*"}).Act.ID
		for range 10_000 {
			mustSend(t, bob, chatroom.Topic("", "PILLS"))
			unread(t, bob)
			unread(t, mod)
		}
		if acts := mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbActs, Nick: "mod"}).Report.Acts; len(acts) != 1 || acts[0].ID != id {
			t.Errorf("the moderator's acts are %+v", acts)
		}
		if undone := mustSend(t, mod, chatroom.Command{Verb: chatroom.VerbUndo}); undone.Act.Undoes != id {
			t.Errorf("%+v", undone.Act)
		}
		if bans := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbBans}).Report; bans.Count != 0 {
			t.Errorf("there are %+v", bans.Bans)
		}
	})
}

func TestTheJournalIsBounded(t *testing.T) {
	srv := hostBubble(t)
	before := heap()
	for range 100_000 {
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbSlow, Every: time.Second, Reason: strings.Repeat("x", 500)})
	}
	if grown := heap() - before; grown > 32<<20 {
		t.Errorf("100,000 acts hold %d MB", grown>>20)
	}
}

func TestWhoIsLessNowUndoesNothingDoneAsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		ann, bob := enterAs(t, srv, "ann", chatroom.RoleAdmin), enterAs(t, srv, "bob", 0)
		mustSend(t, ann, chatroom.Command{Verb: chatroom.VerbPromote, Nick: "bob", Role: chatroom.RoleAdmin})
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbDemote, Nick: "ann", Role: chatroom.RoleModerator})
		mustRefuse(t, ann, chatroom.Command{Verb: chatroom.VerbUndo}, chatroom.ErrDenied)
		if role := bob.Self().Role; role != chatroom.RoleAdmin {
			t.Errorf("bob is %v", role)
		}
	})
}

func TestAnUnbanLeavesTheBansOfOthers(t *testing.T) {
	for name, matcher := range map[string]bool{"list": false, "match": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := chatroom.MemoryBans(
					chatroom.Ban{ID: "1.1", Kind: chatroom.BanNick, Value: "bob", By: "import"},
					chatroom.Ban{ID: "1.2", Kind: chatroom.BanNick, Value: "eve", By: "import", Created: time.Unix(1e9, 0)},
				)
				if matcher {
					store = &meddler{BanStore: store, watched: make(chan func(), 1)}
				}
				srv := hostBubble(t, chatroom.WithBanStore(store))
				if e := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbUnban, Nick: "b\u202eob"}); strings.Contains(e.Act.Target, "\u202e") {
					t.Errorf("the target is %q", e.Act.Target)
				}
				left := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbBans}).Report
				if left.Count != 1 || left.Bans[0].ID != "1.2" {
					t.Errorf("left are %+v", left.Bans)
				}

				// What one act gave goes together, by nick and by either id.
				for _, how := range []func(id string) chatroom.Command{
					func(string) chatroom.Command { return chatroom.Command{Verb: chatroom.VerbUnban, Nick: "zoe"} },
					func(id string) chatroom.Command { return chatroom.Command{Verb: chatroom.VerbUnban, Nick: id} },
					func(id string) chatroom.Command { return chatroom.Command{Verb: chatroom.VerbUnban, Ref: id + ".2"} },
				} {
					zoe, err := srv.Join(t.Context(), chatroom.Identity{Nick: "zoe", Account: "z"})
					if err != nil {
						t.Fatal(err)
					}
					id := asProgram(t, srv, chatroom.BanPerson("zoe", 0, "")).Act.ID
					asProgram(t, srv, how(id))
					if left := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbBans}).Report; left.Count != 1 {
						t.Errorf("left are %+v", left.Bans)
					}
					zoe.Close()
				}
			})
		})
	}
}

func TestTheProgramSetsATopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		ann := enterAs(t, srv, "ann", 0)
		mustSend(t, ann, chatroom.Topic("", "hers"))
		if e := asProgram(t, srv, chatroom.Topic("", "ours")); e.Kind != chatroom.KindTopic || e.Seq == 0 || e.From != "" {
			t.Errorf("%+v", e)
		}
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbUndo})
		if topic := srv.Rooms()[0].Topic; topic != "hers" {
			t.Errorf("the topic is %q", topic)
		}
	})
}

func TestGivingUpASendIsNoWayPastAFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, _ chatroom.Draft) (chatroom.Verdict, error) {
			select {
			case <-time.After(time.Second / 2):
				return chatroom.Verdict{Decision: chatroom.DecisionRefuse}, nil
			case <-ctx.Done():
				return chatroom.Verdict{}, ctx.Err()
			}
		}
		srv := hostBubble(t, chatroom.WithFilter(chatroom.FilterStep{Name: "slow", Filter: chatroom.FilterFunc(slow)}))
		ann, bob := enterAs(t, srv, "ann", 0), enterAs(t, srv, "bob", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := bob.Send(ctx, chatroom.Say("", "PILLS")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		mustNotSee(t, unread(t, ann), "PILLS")
	})
}

func TestAnUndoOfSlowModeLeavesTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		bob := enterAs(t, srv, "bob", 0)
		slow := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbSlow, Every: time.Hour}).Act.ID
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbLock})
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbUndo, Ref: slow})
		mustSend(t, bob, chatroom.Say("", "hi"))
		if _, err := srv.Join(t.Context(), chatroom.Identity{Nick: "eve"}); !errors.Is(err, chatroom.ErrLocked) {
			t.Errorf("eve joins: %v", err)
		}
	})
}

func TestOneMemberFillsNoQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := func(context.Context, chatroom.Draft) (chatroom.Verdict, error) {
			return chatroom.Verdict{Decision: chatroom.DecisionHold}, nil
		}
		srv := hostBubble(t, chatroom.WithFilter(chatroom.FilterStep{Name: "hold", Filter: chatroom.FilterFunc(hold)}))
		bob, eve := enterAs(t, srv, "bob", 0, "den"), enterAs(t, srv, "eve", 0)
		for range 20 {
			mustRefuse(t, bob, chatroom.Say("", "hi"), chatroom.ErrHeld)
		}
		mustRefuse(t, bob, chatroom.Say("", "hi"), chatroom.ErrFull)
		mustRefuse(t, eve, chatroom.Say("", "hi"), chatroom.ErrHeld)

		// What nobody is there to read is not said.
		bob.Close()
		held := asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbHeld}).Report.Held[0]
		if _, err := srv.Moderate(t.Context(), chatroom.Command{Verb: chatroom.VerbApprove, Ref: held.ID}); !errors.Is(err, chatroom.ErrNoSuchRoom) {
			t.Errorf("approve: %v", err)
		}
	})
}

func TestModeratingAllAtOnce(t *testing.T) {
	noisy := func(ctx context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
		if len(d.Text)%7 == 0 {
			return chatroom.Verdict{Decision: chatroom.DecisionKick}, nil
		}
		return chatroom.Verdict{}, nil
	}
	srv := hostBubble(t, chatroom.WithFilter(chatroom.FilterStep{Name: "noisy", Filter: chatroom.FilterFunc(noisy)}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	half := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for rec := range srv.Audits(ctx) { // which acts itself
			if rec.Verb == chatroom.VerbMute {
				_, _ = srv.Moderate(ctx, chatroom.Command{Verb: chatroom.VerbUndo, Ref: rec.ID})
			}
		}
	})
	for i := range 6 {
		nick := fmt.Sprintf("bob%d", i)
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c, err := srv.Join(ctx, chatroom.Identity{Nick: nick, Account: nick}, "lobby", "den")
				if err != nil {
					continue
				}
				for _, cmd := range []chatroom.Command{
					chatroom.Say("den", strings.Repeat("x", 1+n%9)), chatroom.Rename(nick + "x"), chatroom.LeaveRoom("den", "bye"),
					chatroom.JoinRoom("den"), chatroom.Private("mod0", "hi"), chatroom.Rename(nick), chatroom.Quit("bye"),
				} {
					_, _ = c.Send(ctx, cmd)
				}
				c.Close()
			}
		})
	}
	for i := range 3 {
		mod := enterAs(t, srv, fmt.Sprintf("mod%d", i), chatroom.RoleAdmin, "lobby", "den")
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := mod.Receive(ctx); err != nil {
					return
				}
			}
		})
		all.Go(func() {
			for n := range 60 {
				if n == 30 && i == 0 {
					close(half)
				}
				bob := fmt.Sprintf("bob%d", n%6)
				for _, cmd := range []chatroom.Command{
					chatroom.Kick(bob, ""), chatroom.BanPerson(bob, time.Minute, ""),
					{Verb: chatroom.VerbUnban, Nick: bob},
					{Verb: chatroom.VerbMute, Nick: bob},
					{Verb: chatroom.VerbUndo},
					{Verb: chatroom.VerbUndo},
					{Verb: chatroom.VerbUnmute, Nick: bob},
					{Verb: chatroom.VerbPromote, Nick: bob},
					{Verb: chatroom.VerbDemote, Nick: bob},
					{Verb: chatroom.VerbSlow, Room: "den"},
					{Verb: chatroom.VerbLock, Room: "den"},
					{Verb: chatroom.VerbUnlock, Room: "den"},
					{Verb: chatroom.VerbClear, Nick: bob, Room: "den"},
					{Verb: chatroom.VerbBan, Target: "bob*", Preview: true},
					{Verb: chatroom.VerbActs},
					{Verb: chatroom.VerbBans},
				} {
					_, _ = mod.Send(ctx, cmd)
				}
			}
		})
	}
	<-half
	closed := make(chan struct{})
	go func() {
		srv.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("Close does not return")
	}
	cancel()
	all.Wait()
}
