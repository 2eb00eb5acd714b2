package chatroom_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"github.com/google/go-cmp/cmp"
)

type cmd = chatroom.Command

// What each verb does, whoever gives it in whatever way.
var verbs = []struct {
	name string
	hold func(c *court)
	want string // the events of the answers and whom they concern, or the codes of the refusals
	acts string // what is recorded
}{
	{"kick", func(c *court) {
		e, _ := c.does(chatroom.Kick("BOB", "spam"))
		if _, end := received(c.bob); wantCode(c.t, end, chatroom.CodeKicked).Ref != e.Act.ID || !strings.Contains(end.Error(), "spam") {
			c.t.Errorf("bob is told %v; the act is %+v", end, e.Act)
		}
		_, err := say(c.t, c.bob, "late")
		wantCode(c.t, err, chatroom.CodeKicked)
		wantCode(c.t, c.enters("bob"), "")
		c.does(chatroom.Kick("bob", ""))
	}, "kick bob, ! no_such_nick", "kick bob"},

	{"ban", func(c *court) {
		e, _ := c.does(cmd{Verb: chatroom.VerbBan, Nick: "bob", For: time.Hour, Reason: "spam", Note: "known for it"})
		_, end := received(c.bob)
		told := wantCode(c.t, end, chatroom.CodeBanned)
		if told.Ref != e.Act.ID || !told.Until.Equal(e.Act.Until) || told.Retry != chatroom.RetryNever || strings.Contains(told.Text, "known") {
			c.t.Errorf("bob is told %+v; the act is %+v", told, e.Act)
		}
		for _, nick := range []string{"bob", "BOB", "ｂｏｂ", "bоb"} { // the last o is Cyrillic
			told := wantCode(c.t, c.enters(nick), chatroom.CodeBanned)
			if !strings.HasPrefix(told.Ref, e.Act.ID) || !strings.Contains(told.Text, "spam") {
				c.t.Errorf("%s is told %+v", nick, told)
			}
		}
		time.Sleep(time.Hour)
		wantCode(c.t, c.enters("bob"), "")
	}, "ban bob", "ban bob"},

	{"unban", func(c *court) {
		e, _ := c.does(chatroom.BanPerson("bob", 0, ""))
		c.does(cmd{Verb: chatroom.VerbUnban, Nick: "bob", Reason: "sorry"})
		wantCode(c.t, c.enters("bob"), "")
		c.does(cmd{Verb: chatroom.VerbUnban, Ref: e.Act.ID})
		e, _ = c.does(cmd{Verb: chatroom.VerbBan, Target: "b?b"})
		wantCode(c.t, c.enters("bob"), chatroom.CodeBanned)
		c.does(cmd{Verb: chatroom.VerbUnban, Ref: e.Act.ID})
		wantCode(c.t, c.enters("bob"), "")
		c.does(cmd{Verb: chatroom.VerbUnban})
	}, "ban bob, act, ! no_such_ref, act, act, ! bad_request", "ban bob, unban bob, ban b?b, unban " + anID},

	{"allow", func(c *court) {
		c.does(cmd{Verb: chatroom.VerbAllow, Nick: "bob"})
		c.does(cmd{Verb: chatroom.VerbBan, Target: "b*"})
		wantCode(c.t, c.enters("bill"), chatroom.CodeBanned)
		if !c.inRoom("bob") {
			c.t.Error("bob is not there any more")
		}
	}, "act bob, act", "allow bob, ban b*"},

	{"bans", func(c *court) {
		c.does(chatroom.BanPerson("bob", time.Hour, "spam"))
		e, _ := c.does(cmd{Verb: chatroom.VerbBans})
		other, _ := c.does(cmd{Verb: chatroom.VerbBans, Nick: "eve"})
		time.Sleep(time.Hour)
		over, _ := c.does(cmd{Verb: chatroom.VerbBans})
		if e.Report.Count != 1 || e.Report.Bans[0].Value != "bob" || e.Report.Bans[0].Reason != "spam" || other.Report.Count+over.Report.Count > 0 {
			c.t.Errorf("bans %+v; of eve %+v; an hour later %+v", e.Report, other.Report, over.Report)
		}
	}, "ban bob, bans, bans, bans", "ban bob"},

	{"preview", func(c *court) {
		e, _ := c.does(cmd{Verb: chatroom.VerbBan, Target: "???", Preview: true})
		hit := slices.DeleteFunc(c.srv.Members("lobby"), func(m chatroom.MemberInfo) bool { return len(m.Nick) != 3 })
		if diff := cmp.Diff(hit, e.Report.Hits); diff != "" || len(e.Report.Notes) == 0 {
			c.t.Errorf("it would hit (-want +got):\n%s%q", diff, e.Report.Notes)
		}
		c.does(cmd{Verb: chatroom.VerbBan, Nick: "bob", Preview: true})
		c.bob.Close()
		e, _ = c.does(cmd{Verb: chatroom.VerbBan, Nick: "bob", Preview: true})
		if len(e.Report.Hits) != 0 || len(e.Report.Left) != 1 || e.Report.Left[0].Nick != "bob" {
			c.t.Errorf("after bob left: %+v", e.Report)
		}
	}, "preview, preview, preview", ""},

	{"force", func(c *court) {
		c.does(cmd{Verb: chatroom.VerbBan, Target: "::/0"})
		c.does(cmd{Verb: chatroom.VerbMute, Target: "???"})
		e, _ := c.does(cmd{Verb: chatroom.VerbMute, Target: "???", Force: true})
		_, err := say(c.t, c.eve, "hush")
		if wantCode(c.t, err, chatroom.CodeMuted).Ref != e.Act.ID {
			c.t.Errorf("the act is %+v", e.Act)
		}
	}, "! needs_force, ! needs_force, mute bob", "mute ???"},

	{"mute", func(c *court) {
		e, _ := c.does(cmd{Verb: chatroom.VerbMute, Nick: "bob", For: time.Minute, Reason: "calm down"})
		for _, attempt := range []cmd{chatroom.Say("", "x"), chatroom.Action("", "x"), chatroom.Topic("", "x"), chatroom.Rename("rob"), chatroom.Private("eve", "x")} {
			_, err := c.bob.Send(c.t.Context(), attempt)
			told := wantCode(c.t, err, chatroom.CodeMuted)
			if told.Ref != e.Act.ID || !told.Until.Equal(e.Act.Until) {
				c.t.Errorf("%s is refused with %+v; the act is %+v", attempt.Verb, told, e.Act)
			}
		}
		c.bob.Close()
		c.bob = joinInside(c.t, c.srv, "bob")
		_, err := say(c.t, c.bob, "I am back")
		wantCode(c.t, err, chatroom.CodeMuted)
		time.Sleep(time.Minute)
		_, err = say(c.t, c.bob, "a minute later")
		wantCode(c.t, err, "")
	}, "mute bob", "mute bob"},

	{"unmute", func(c *court) {
		c.does(cmd{Verb: chatroom.VerbMute, Nick: "bob"})
		c.does(cmd{Verb: chatroom.VerbUnmute, Nick: "bob", Reason: "enough"})
		_, err := say(c.t, c.bob, "thank you")
		wantCode(c.t, err, "")
		c.does(cmd{Verb: chatroom.VerbUnmute, Nick: "bob"})
	}, "mute bob, unmute bob, ! no_such_ref", "mute bob, unmute bob"},

	{"slow", func(c *court) {
		c.does(cmd{Verb: chatroom.VerbSlow, Every: 10 * time.Second, For: time.Hour})
		time.Sleep(10 * time.Second)
		_, first := say(c.t, c.bob, "one")
		time.Sleep(4 * time.Second)
		_, second := say(c.t, c.bob, "two")
		wantCode(c.t, first, "")
		if told := wantCode(c.t, second, chatroom.CodeRateLimited); told.After != 6*time.Second {
			c.t.Errorf("bob has to wait %v", told.After)
		}
		time.Sleep(6 * time.Second)
		_, third := say(c.t, c.bob, "three")
		wantCode(c.t, third, "")
		c.does(cmd{Verb: chatroom.VerbSlow})
		_, fourth := say(c.t, c.bob, "four")
		wantCode(c.t, fourth, "")
		c.does(cmd{Verb: chatroom.VerbSlow, Every: -1})
		c.does(cmd{Verb: chatroom.VerbSlow, Every: 1, Room: "attic"})
	}, "slow, slow, ! bad_request, ! no_such_room", "slow, slow"},

	{"lock", func(c *court) {
		c.does(cmd{Verb: chatroom.VerbLock, For: time.Hour, Reason: "raid"})
		told := wantCode(c.t, c.enters("dan"), chatroom.CodeLocked)
		if !strings.Contains(told.Text, "raid") || time.Until(told.Until) <= 0 {
			c.t.Errorf("dan is told %+v", told)
		}
		c.does(cmd{Verb: chatroom.VerbLock, Accounts: true})
		wantCode(c.t, c.enters("dan"), chatroom.CodeLocked)
		m, err := c.srv.Join(c.t.Context(), chatroom.Identity{Nick: "joe", Account: "joe"})
		if err != nil {
			c.t.Fatalf("joe, who has an account: %v", err)
		}
		m.Close()
		c.does(cmd{Verb: chatroom.VerbUnlock})
		wantCode(c.t, c.enters("dan"), "")
		c.does(cmd{Verb: chatroom.VerbLock, For: time.Minute})
		time.Sleep(time.Minute)
		wantCode(c.t, c.enters("dan"), "")
	}, "lock, lock, unlock, lock", "lock, lock, unlock, lock"},

	{"delete", func(c *court) {
		e, _ := say(c.t, c.bob, "one")
		say(c.t, c.bob, "two")
		say(c.t, c.bob, "three")
		c.does(cmd{Verb: chatroom.VerbDelete, Seq: e.Seq})
		c.does(cmd{Verb: chatroom.VerbDelete, Seq: e.Seq})
		c.does(cmd{Verb: chatroom.VerbDelete, Nick: "bob"})
		if got := history(c, "bob"); got != "deleted, two, deleted" {
			c.t.Errorf("the history is %s", got)
		}
	}, "delete bob, ! no_such_ref, delete bob", "delete bob, delete bob"},

	{"clear", func(c *court) {
		say(c.t, c.bob, "one")
		say(c.t, c.eve, "mine")
		say(c.t, c.bob, "two")
		c.bob.Close()
		c.does(cmd{Verb: chatroom.VerbClear, Nick: "bob", Reason: "spam"})
		if got := history(c, "bob", "eve"); got != "deleted, mine, deleted" {
			c.t.Errorf("the history is %s", got)
		}
	}, "delete bob", "clear bob"},

	{"acts", func(c *court) {
		c.does(chatroom.Kick("bob", ""))
		e, _ := c.does(cmd{Verb: chatroom.VerbActs})
		other, _ := c.does(cmd{Verb: chatroom.VerbActs, Nick: "nobody"})
		if e.Report.Count != 1 || e.Report.Acts[0].Target != "bob" || other.Report.Count != 0 {
			c.t.Errorf("acts %+v, of nobody %+v", e.Report, other.Report)
		}
	}, "kick bob, acts, acts", "kick bob"},

	{
		"undo", func(c *court) {
			c.does(cmd{Verb: chatroom.VerbUndo})
			c.does(chatroom.BanPerson("bob", 0, ""))
			c.does(cmd{Verb: chatroom.VerbUndo, Reason: "a mistake"})
			wantCode(c.t, c.enters("bob"), "")
			c.does(cmd{Verb: chatroom.VerbUndo})
			lock, _ := c.does(cmd{Verb: chatroom.VerbLock})
			c.does(chatroom.Kick("eve", ""))
			c.does(cmd{Verb: chatroom.VerbUndo})
			c.does(cmd{Verb: chatroom.VerbUndo, Ref: lock.Act.ID})
			wantCode(c.t, c.enters("dan"), "")
			c.does(cmd{Verb: chatroom.VerbUndo, Ref: lock.Act.ID})
		}, "! no_such_ref, ban bob, act, ! no_such_ref, lock, kick eve, ! denied, act, ! bad_request",
		"ban bob, undo bob, lock, kick eve, undo",
	},

	{"promote", func(c *court) {
		if c.walter == nil { // the program may
			c.does(cmd{Verb: chatroom.VerbPromote, Nick: "bob"})
			c.does(cmd{Verb: chatroom.VerbDemote, Nick: "bob"})
		} else {
			_, err := c.moderate(cmd{Verb: chatroom.VerbPromote, Nick: "bob"})
			wantCode(c.t, err, chatroom.CodeDenied)
			c.note(c.walter.Send(c.t.Context(), cmd{Verb: chatroom.VerbPromote, Nick: "bob"}))
			_, err = c.bob.Send(c.t.Context(), chatroom.Kick("alice", ""))
			wantCode(c.t, err, chatroom.CodeDenied)
			c.note(c.walter.Send(c.t.Context(), cmd{Verb: chatroom.VerbDemote, Nick: "bob"}))
		}
		_, err := c.bob.Send(c.t.Context(), chatroom.Kick("eve", ""))
		wantCode(c.t, err, chatroom.CodeDenied)
	}, "role bob, role bob", "promote bob, demote bob"},

	{"nonsense", func(c *court) {
		c.does(cmd{Verb: "dance"})
		c.does(cmd{Verb: chatroom.VerbKick})
		c.does(cmd{Verb: chatroom.VerbUnban, Nick: "bob", Preview: true})
		c.does(cmd{Verb: chatroom.VerbBan, Nick: "bob", Target: "bob"})
		c.does(cmd{Verb: chatroom.VerbBan, Nick: "bob", For: -time.Second})
		c.does(cmd{Verb: chatroom.VerbBan, Nick: "bob", For: 101 * 365 * 24 * time.Hour})
		c.does(cmd{Verb: chatroom.VerbBan, Target: "1.2.3.4/99"})
		c.does(cmd{Verb: chatroom.VerbBan, Nick: "bob", Reason: strings.Repeat("x", 513)})
		c.does(cmd{Verb: chatroom.VerbDelete})
		c.does(cmd{Verb: chatroom.VerbUndo, Ref: "nothing"})
		c.does(cmd{Verb: chatroom.VerbApprove, Ref: "nothing"})
	}, "! unknown_command, ! bad_request, ! bad_request, ! bad_request, ! bad_request, ! bad_request, ! bad_request, ! text_too_long, " +
		"! bad_request, ! no_such_ref, ! no_such_ref", ""},
}

func TestVerbsOfModeration(t *testing.T) {
	for _, v := range verbs {
		t.Run(v.name, func(t *testing.T) {
			var first *court
			for _, w := range moderatingWays {
				synctest.Test(t, func(t *testing.T) {
					c := convene(t, w.join)
					v.hold(c)
					synctest.Wait()
					if got := c.got(); got != v.want {
						t.Errorf("%s: answers\n%s; want\n%s", w.name, got, v.want)
					}
					if got := withoutIDs(auditLines(c.srv)); got != v.acts {
						t.Errorf("%s: recorded\n%s; want\n%s", w.name, got, v.acts)
					}
					c.compareWatchers()
					if first == nil {
						first = c
					} else if w.join != nil {
						if diff := cmp.Diff(first.events, c.events, actsAlike); diff != "" {
							t.Errorf("events are not as in process (-in process +%s):\n%s", w.name, diff)
						}
						if diff := cmp.Diff(first.errs, c.errs, actsAlike); diff != "" {
							t.Errorf("errors are not as in process (-in process +%s):\n%s", w.name, diff)
						}
					}
				})
			}
		})
	}
}

func TestNobodyActsOnTheirEqual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		join := func(nick string, role chatroom.Role) chatroom.Client {
			c, err := srv.Join(t.Context(), chatroom.Identity{Nick: nick, Account: nick, Role: role})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		}
		members := map[string]chatroom.Client{
			"member": join("member1", chatroom.RoleMember), "moderator": join("ann", chatroom.RoleModerator), "admin": join("zoe", chatroom.RoleAdmin),
		}
		join("member2", chatroom.RoleMember)
		others := map[string]chatroom.Client{"max": join("max", chatroom.RoleModerator), "yan": join("yan", chatroom.RoleAdmin)}
		for _, who := range []string{"max", "yan"} {
			e, err := srv.Moderate(t.Context(), cmd{Verb: chatroom.VerbSlow}) // an act of the program
			if err != nil {
				t.Fatal(err)
			}
			role := map[string]string{"max": "moderator", "yan": "admin"}[who]
			m := members[role]
			said, err := say(t, others[who], "mine")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []cmd{
				{Verb: chatroom.VerbDelete, Nick: who},
				{Verb: chatroom.VerbDelete, Seq: said.Seq},
				{Verb: chatroom.VerbClear, Nick: who},
				chatroom.Kick(who, ""), chatroom.BanPerson(who, 0, ""),
				{Verb: chatroom.VerbMute, Nick: who},
				{Verb: chatroom.VerbBan, Target: who},
				{Verb: chatroom.VerbBan, Target: who[:2] + "*"},
				{Verb: chatroom.VerbBan, Target: "account:" + who},
				{Verb: chatroom.VerbBan, Target: who, Force: true},
				{Verb: chatroom.VerbDemote, Nick: who},
				{Verb: chatroom.VerbUndo, Ref: e.Act.ID},
			} {
				_, err := m.Send(t.Context(), c)
				wantCode(t, err, chatroom.CodeDenied)
			}
		}
		for verb := range strings.FieldsSeq("kick ban unban allow bans mute unmute slow lock unlock promote demote delete clear undo acts held approve reject") {
			_, err := members["member"].Send(t.Context(), cmd{Verb: chatroom.Verb(verb), Nick: "member2", Ref: "x"})
			wantCode(t, err, chatroom.CodeDenied)
		}
		if got := auditLines(srv); got != "slow, slow" {
			t.Errorf("recorded %s", got)
		}
	})
}

// A slowMatcher answers for who asks now, after a while.
type slowMatcher struct {
	chatroom.BanStore
	asked chan chan struct{} // nil once nobody waits; each is closed to go on
}

func (m *slowMatcher) Match(ctx context.Context, _ chatroom.Subject) ([]chatroom.Ban, error) {
	bans, err := m.List(ctx)
	select {
	case gate := <-m.asked:
		<-gate
	default:
	}
	return bans, err
}

// Whoever is looked up before a ban is given, and comes in after it, is looked up again.
func TestABanGivenAfterTheLookUpHolds(t *testing.T) {
	for _, way := range []string{"join", "rename"} {
		synctest.Test(t, func(t *testing.T) {
			store := &slowMatcher{BanStore: chatroom.MemoryBans(), asked: make(chan chan struct{}, 1)}
			srv := hostBubble(t, chatroom.WithBanStore(store))
			eve := joinInside(t, srv, "eve")
			gate := make(chan struct{})
			store.asked <- gate
			var coming sync.WaitGroup
			coming.Go(func() {
				var err error
				if way == "join" {
					_, err = srv.Join(t.Context(), chatroom.Identity{Nick: "bob"})
				} else {
					_, err = eve.Send(t.Context(), chatroom.Rename("bob"))
				}
				wantCode(t, err, chatroom.CodeBanned)
			})
			synctest.Wait()
			if _, err := srv.Moderate(t.Context(), cmd{Verb: chatroom.VerbBan, Target: "bob"}); err != nil {
				t.Fatal(err)
			}
			close(gate)
			coming.Wait()
			if isIn(srv, "bob") {
				t.Errorf("after a %s bob is in", way)
			}
		})
	}
}

// Whoever comes back to a session may come from elsewhere.
func TestABanGivenWhileASessionIsResumedHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowMatcher{BanStore: chatroom.MemoryBans(), asked: make(chan chan struct{}, 1)}
		srv := hostBubble(t, chatroom.WithBanStore(store))
		ann := callFrom(t, srv, "192.0.2.1")
		ann.send(`{"type":"join","nick":"ann","resume":true}`)
		session := field([]byte(ann.lines()[0]), "session")
		ann.conn.Close()
		synctest.Wait()
		gate := make(chan struct{})
		store.asked <- gate
		ann = callFrom(t, srv, "198.51.100.7")
		ann.send(`{"type":"join","nick":"ann","session":"` + session + `"}`)
		if _, err := srv.Moderate(t.Context(), cmd{Verb: chatroom.VerbBan, Target: "198.51.100.7"}); err != nil {
			t.Fatal(err)
		}
		close(gate)
		if heard := ann.hear(); !strings.Contains(heard, `"code":"banned"`) || strings.Contains(heard, "welcome") {
			t.Errorf("ann hears %s", heard)
		}
	})
}

func TestABanGivenWhileTheVictimJoinsHolds(t *testing.T) {
	for name, ban := range map[string]cmd{
		"person": chatroom.BanPerson("bob", 0, ""), "mask": {Verb: chatroom.VerbBan, Target: "b*"}, "account": {Verb: chatroom.VerbBan, Target: "account:bob"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := chatroom.New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { srv.Close() })
			roger := joinInside(t, srv, "roger")
			for i := range 300 {
				var wg sync.WaitGroup
				var bob chatroom.Client
				wg.Go(func() { bob, _ = srv.Join(t.Context(), chatroom.Identity{Nick: "bob", Account: "bob"}) })
				var given chatroom.Event
				wg.Go(func() {
					if given, err = srv.Moderate(t.Context(), ban); err != nil {
						t.Errorf("ban: %v", err)
					}
				})
				wg.Go(func() {
					if i%2 == 0 { // another way in
						_, _ = roger.Send(t.Context(), chatroom.Rename("bob"))
					}
				})
				wg.Wait()
				if bob != nil {
					for err = nil; err == nil; {
						_, err = bob.Receive(t.Context())
					}
					wantCode(t, err, chatroom.CodeBanned)
				}
				if name != "account" && isIn(srv, "bob") || bob != nil && slices.ContainsFunc(srv.Members("lobby"), func(m chatroom.MemberInfo) bool { return m.Member == bob.Self().Member }) {
					t.Fatalf("bob is in, banned: %v", srv.Members("lobby"))
				}
				if _, err := srv.Moderate(t.Context(), cmd{Verb: chatroom.VerbUnban, Ref: given.Act.ID}); err != nil {
					t.Fatal(err)
				}
				roger.Close()
				if roger, err = srv.Join(t.Context(), chatroom.Identity{Nick: "roger"}); err != nil {
					t.Fatal(err)
				}
			}
			roger.Close()
		})
	}
}

// What an act has changed is as it was after its undo.
func TestUndoRestoresWhatWas(t *testing.T) {
	tests := []struct {
		name   string
		before []cmd
		act    cmd
	}{
		{"ban", nil, chatroom.BanPerson("dan", 0, "x")},
		{"mute", nil, cmd{Verb: chatroom.VerbMute, Nick: "bob"}},
		{"allow", nil, cmd{Verb: chatroom.VerbAllow, Target: "b*"}},
		{"unban", []cmd{{Verb: chatroom.VerbBan, Target: "d*", Reason: "x", For: time.Hour}}, cmd{Verb: chatroom.VerbUnban, Target: "d*"}},
		{"unmute", []cmd{{Verb: chatroom.VerbMute, Nick: "bob", Reason: "x"}}, cmd{Verb: chatroom.VerbUnmute, Nick: "bob"}},
		{"slow", []cmd{{Verb: chatroom.VerbSlow, Every: time.Hour}}, cmd{Verb: chatroom.VerbSlow}},
		{"lock", nil, cmd{Verb: chatroom.VerbLock}},
		{"unlock", []cmd{{Verb: chatroom.VerbLock, Accounts: true}}, cmd{Verb: chatroom.VerbUnlock}},
		{"promote", nil, cmd{Verb: chatroom.VerbPromote, Nick: "bob"}},
		{"delete", nil, cmd{Verb: chatroom.VerbDelete, Nick: "bob"}},
		{"clear", nil, cmd{Verb: chatroom.VerbClear, Nick: "bob"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := convene(t, nil)
				say(t, c.bob, "hello")
				for _, b := range tt.before {
					if _, err := c.moderate(b); err != nil {
						t.Fatal(err)
					}
				}
				was := c.state()
				if _, err := c.moderate(tt.act); err != nil {
					t.Fatal(err)
				}
				if cmp.Equal(was, c.state()) {
					t.Error("the act changes nothing")
				}
				e, err := c.moderate(cmd{Verb: chatroom.VerbUndo})
				if err != nil || e.Act.Undoes == "" {
					t.Fatalf("undo: %+v, %v", e.Act, err)
				}
				if diff := cmp.Diff(was, c.state()); diff != "" {
					t.Errorf("(-before +after the undo):\n%s", diff)
				}
			})
		})
	}
}
