package chatroom_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// A court is a room, those in it, and somebody who moderates in one of three ways. alice moderates
// and walter is an admin; bob and eve are guests, and kim is one over JSON.
type court struct {
	t             *testing.T
	srv           chatroom.Server
	bob, eve, kim chatroom.Client
	moderate      func(chatroom.Command) (chatroom.Event, error)
	walter        chatroom.Client // nil when the program moderates
	events        []chatroom.Event
	errs          []*chatroom.Error
}

var courtUsers = users{"alice": {role: chatroom.RoleModerator}, "walter": {role: chatroom.RoleAdmin}}

// joinInside joins in process.
func joinInside(t testing.TB, srv chatroom.Server, nick string) chatroom.Client {
	t.Helper()
	id := chatroom.Identity{Nick: nick}
	if u, ok := courtUsers[nick]; ok {
		id.Account, id.Role = nick, u.role
	}
	c, err := srv.Join(t.Context(), id)
	if err != nil {
		t.Fatalf("%s joins: %v", nick, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// joinByJSON joins with package client over a pipe.
func joinByJSON(t testing.TB, srv chatroom.Server, nick string) chatroom.Client {
	t.Helper()
	near, far := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.ServeConn(context.Background(), far) })
	c, err := client.New(t.Context(), near, client.WithNick(nick))
	if err != nil {
		t.Fatalf("%s joins: %v", nick, err)
	}
	t.Cleanup(func() {
		c.Close()
		serving.Wait()
	})
	return c
}

// The ways to moderate: how alice joins; nil is the program, which does not.
var moderatingWays = []struct {
	name string
	join func(testing.TB, chatroom.Server, string) chatroom.Client
}{
	{"in process", joinInside},
	{"JSON", joinByJSON},
	{"program", nil},
}

// does moderates and notes what comes of it. Over a connection the first room's event is the answer,
// and the act may have more to do by then.
func (c *court) does(cmd chatroom.Command) (chatroom.Event, error) {
	c.t.Helper()
	defer synctest.Wait()
	return c.note(c.moderate(cmd))
}

func (c *court) note(e chatroom.Event, err error) (chatroom.Event, error) {
	c.t.Helper()
	told, ok := errors.AsType[*chatroom.Error](err)
	if err != nil && !ok {
		c.t.Fatalf("%v is no Error", err)
	}
	c.events, c.errs = append(c.events, e), append(c.errs, told)
	return e, err
}

// got is what has come of it so far, as the rows write it.
func (c *court) got() string {
	var lines []string
	for i, e := range c.events {
		if err := c.errs[i]; err != nil {
			lines = append(lines, "! "+string(err.Code))
			continue
		}
		lines = append(lines, strings.TrimSpace(string(e.Kind)+" "+e.Nick))
	}
	return strings.Join(lines, ", ")
}

func say(t testing.TB, c chatroom.Client, text string) (chatroom.Event, error) {
	t.Helper()
	return c.Send(t.Context(), chatroom.Say("", text))
}

// wantCode checks that err is an Error with that code; an empty one is no error.
func wantCode(t testing.TB, err error, code chatroom.Code) *chatroom.Error {
	t.Helper()
	told, _ := errors.AsType[*chatroom.Error](err)
	switch {
	case code == "" && err == nil:
	case told == nil || told.Code != code:
		t.Errorf("error %v; want %q", err, code)
	}
	if told == nil {
		return &chatroom.Error{}
	}
	return told
}

// received returns what a client has received, up to now or to its end, and why it ended.
func received(c chatroom.Client) (events []chatroom.Event, end error) {
	over, cancel := context.WithTimeout(context.Background(), time.Millisecond) // in the bubble's time
	defer cancel()
	for {
		e, err := c.Receive(over)
		if over.Err() != nil {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
}

// inRoom reports whether somebody of that nick is in the lobby.
func (c *court) inRoom(nick string) bool { return isIn(c.srv, nick) }

func isIn(srv chatroom.Server, nick string) bool {
	return slices.ContainsFunc(srv.Members("lobby"), func(m chatroom.MemberInfo) bool { return m.Nick == nick })
}

// enters tries to join in process, and returns the refusal.
func (c *court) enters(nick string) error {
	m, err := c.srv.Join(c.t.Context(), chatroom.Identity{Nick: nick})
	if err == nil {
		m.Close()
	}
	return err
}

// audits returns the records there are.
func audits(srv chatroom.Server) []chatroom.Audit {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	return slices.Collect(srv.Audits(over))
}

func auditLines(srv chatroom.Server) string {
	var lines []string
	for _, a := range audits(srv) {
		lines = append(lines, strings.TrimSpace(string(a.Verb)+" "+a.Target))
	}
	return strings.Join(lines, ", ")
}

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

const anID = "ID"

// history returns what somebody new reads of what those have said.
func history(c *court, nicks ...string) string {
	m, err := c.srv.Join(c.t.Context(), chatroom.Identity{Nick: "reader"})
	if err != nil {
		c.t.Fatal(err)
	}
	defer m.Close()
	events, _ := received(m)
	var texts []string
	for _, e := range events {
		switch {
		case !e.History || !slices.Contains(nicks, e.From):
		case e.Kind == chatroom.KindMessage:
			texts = append(texts, e.Text)
		case e.Kind == chatroom.KindDeleted:
			texts = append(texts, "deleted")
		}
	}
	return strings.Join(texts, ", ")
}

// What cannot be the same in two servers: times in the text of an undo, and ids that were made up.
var actsAlike = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(chatroom.Event{}, "ID"),
	cmpopts.IgnoreFields(chatroom.Act{}, "ID", "Undoes"),
	cmpopts.IgnoreFields(chatroom.Audit{}, "ID", "Undoes"),
	cmpopts.IgnoreFields(chatroom.Ban{}, "ID"),
	cmpopts.IgnoreFields(chatroom.Error{}, "Ref"),
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Target" },
		cmp.Transformer("withoutIDs", withoutIDs)),
}

// withoutIDs puts ID in place of what is an id.
func withoutIDs(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz234567", r) })
	for _, w := range words {
		if len(w) == 6 && !slices.Contains([]string{"delete", "unmute", "demote", "reject", "unlock", "walter"}, w) {
			s = strings.ReplaceAll(s, w, anID)
		}
	}
	return s
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

// convene opens a court for somebody who joins in that way; nil is the program.
func convene(t *testing.T, join func(testing.TB, chatroom.Server, string) chatroom.Client) *court {
	c := &court{t: t, srv: hostBubble(t, chatroom.WithAuthenticator(courtUsers))}
	if join != nil {
		alice := join(t, c.srv, "alice")
		c.walter = join(t, c.srv, "walter")
		c.moderate = func(cmd chatroom.Command) (chatroom.Event, error) { return alice.Send(t.Context(), cmd) }
	} else {
		c.moderate = func(cmd chatroom.Command) (chatroom.Event, error) { return c.srv.Moderate(t.Context(), cmd) }
	}
	c.bob, c.eve, c.kim = joinInside(t, c.srv, "bob"), joinInside(t, c.srv, "eve"), joinByJSON(t, c.srv, "kim")
	return c
}

// compareWatchers checks that eve, in process, has received what kim has over JSON.
func (c *court) compareWatchers() {
	c.t.Helper()
	sinceKim := func(events []chatroom.Event) []chatroom.Event {
		i := slices.IndexFunc(events, func(e chatroom.Event) bool { return e.Kind == chatroom.KindJoin && e.From == "kim" })
		return events[i+1:]
	}
	inside, end := received(c.eve)
	outside, _ := received(c.kim)
	in, out := sinceKim(inside), sinceKim(outside)
	if end != nil {
		out = out[:min(len(in), len(out))] // eve was kicked
	}
	if diff := cmp.Diff(in, out, cmpopts.EquateEmpty()); diff != "" {
		c.t.Errorf("received in process and over JSON (-in process +JSON):\n%s", diff)
	}
}

// A member who has left all rooms is a member still.
func TestKickOfAMemberInNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		bob := joinInside(t, srv, "bob")
		if _, err := bob.Send(t.Context(), chatroom.LeaveRoom("", "")); err != nil {
			t.Fatal(err)
		}
		e, err := srv.Moderate(t.Context(), chatroom.Kick("bob", ""))
		if err != nil || e.Kind != chatroom.KindAct || auditLines(srv) != "kick bob" {
			t.Errorf("Moderate: %+v, %v; recorded %q", e, err, auditLines(srv))
		}
		_, end := received(bob)
		wantCode(t, end, chatroom.CodeKicked)
	})
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

func TestNoLineOfTheKickedFollowsTheKick(t *testing.T) {
	for _, way := range moderatingWays[:2] {
		t.Run(way.name, func(t *testing.T) {
			srv, err := chatroom.New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { srv.Close() })
			eve := joinInside(t, srv, "eve")
			for range 30 {
				bob := way.join(t, srv, "bob") // at once: the nick is free
				var talking sync.WaitGroup
				for i := range 8 {
					talking.Go(func() {
						for {
							c := chatroom.Say("", "spam")
							if i%2 == 0 {
								c = chatroom.Private("eve", "spam")
							}
							if _, err := bob.Send(t.Context(), c); err != nil {
								return
							}
						}
					})
				}
				talking.Go(func() {
					for {
						if _, err := bob.Receive(t.Context()); err != nil {
							return
						}
					}
				})
				kick, err := srv.Moderate(t.Context(), chatroom.Kick("bob", ""))
				if err != nil {
					t.Fatal(err)
				}
				if isIn(srv, "bob") {
					t.Error("bob is there after the kick")
				}
				talking.Wait()
				end, err := srv.Announce(t.Context(), "lobby", "end")
				if err != nil {
					t.Fatal(err)
				}
				kicked := false
				for e := (chatroom.Event{}); e.Seq != end.Seq; {
					if e, err = eve.Receive(t.Context()); err != nil {
						t.Fatal(err)
					}
					kicked = kicked || e.Seq == kick.Seq
					if kicked && e.From == "bob" {
						t.Fatalf("after the kick: %+v", e)
					}
				}
			}
		})
	}
}

// Neither does what they were about to say when they were kicked.
func TestWhatTheKickedWereSayingIsNotSaid(t *testing.T) {
	for _, c := range []cmd{chatroom.Say("", "spam"), chatroom.Private("eve", "spam"), chatroom.Topic("", "spam")} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			srv := hostBubble(t, chatroom.WithFilter(chatroom.FilterStep{Name: "slow", Filter: chatroom.FilterFunc(
				func(context.Context, chatroom.Draft) (chatroom.Verdict, error) {
					<-gate
					return chatroom.Verdict{}, nil
				})}))
			bob, eve := joinInside(t, srv, "bob"), joinInside(t, srv, "eve")
			var speaking sync.WaitGroup
			speaking.Go(func() {
				_, err := bob.Send(t.Context(), c)
				wantCode(t, err, chatroom.CodeKicked)
			})
			synctest.Wait()
			if _, err := srv.Moderate(t.Context(), chatroom.Kick("bob", "")); err != nil {
				t.Fatal(err)
			}
			close(gate)
			speaking.Wait()
			events, _ := received(eve)
			for _, e := range events {
				if e.Text == "spam" {
					t.Errorf("eve received %+v", e)
				}
			}
		})
	}
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

// state is what acts change, as members notice it.
func (c *court) state() map[string]string {
	guest, err := c.srv.Join(c.t.Context(), chatroom.Identity{Nick: "dan"})
	said := "not in"
	if err == nil {
		events, _ := received(guest)
		for _, e := range events {
			if e.History && e.From == "bob" {
				said = fmt.Sprint(e.Kind, e.Text)
			}
		}
		guest.Close()
	}
	_, speaks := c.bob.Send(c.t.Context(), chatroom.Private("eve", "psst"))
	_, pace := say(c.t, c.eve, "tick")
	bans, _ := c.moderate(cmd{Verb: chatroom.VerbBans})
	list := ""
	for _, b := range bans.Report.Bans {
		list += fmt.Sprintln(b.Effect, b.Target(), b.Reason, b.Expires)
	}
	code := func(err error) string { return string(publicCode(err)) }
	return map[string]string{
		"dan": code(err), "history": said, "bob": code(speaks), "pace": code(pace), "bans": list, "role": c.bob.Self().Role.String(),
	}
}

func publicCode(err error) chatroom.Code {
	if e, ok := errors.AsType[*chatroom.Error](err); ok {
		return e.Code
	}
	return ""
}
