package chatroom_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"github.com/google/go-cmp/cmp"
)

// A visitor is a program that resumes its session: it notes what it has seen.
type visitor struct {
	*caller
	srv     chatroom.Server
	nick    string
	token   string
	member  uint64
	seen    map[string]chatroom.Seen
	private uint64
}

// visit joins with a session.
func visit(t testing.TB, srv chatroom.Server, nick string) *visitor {
	v := &visitor{caller: call(t, srv), srv: srv, nick: nick, seen: make(map[string]chatroom.Seen)}
	v.send(fmt.Sprintf(`{"type":"join","nick":%q,"resume":true}`, nick))
	v.take()
	if v.token == "" {
		t.Fatalf("%s has no session", nick)
	}
	return v
}

// take returns what was heard, a short line for each event.
func (v *visitor) take() (heard []string) {
	v.t.Helper()
	for _, line := range v.lines() {
		var e chatroom.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			v.t.Fatalf("%s: %v", line, err)
		}
		heard = append(heard, v.note(&e))
	}
	return heard
}

// note notes how far v has read, and returns the event in short.
func (v *visitor) note(e *chatroom.Event) string {
	short := string(e.Kind)
	again := ""
	if e.Again {
		again = "again "
	}
	switch {
	case e.Welcome != nil:
		if e.Welcome.Session != "" {
			v.token, v.private = e.Welcome.Session, 0
			short += " session"
		}
		if e.Welcome.Resumed {
			short += " resumed"
		}
		v.member = e.Member
		if was, ok := v.seen[e.Room]; e.Room != "" && (!ok || was.Epoch != e.Welcome.Epoch) {
			v.seen[e.Room] = chatroom.Seen{Room: e.Room, Epoch: e.Welcome.Epoch}
		}
		return fmt.Sprint(short, " ", e.Room, " ", e.Welcome.History)
	case e.Gap != nil:
		return fmt.Sprint(short, " ", e.Room, " ", e.Gap.From, "-", e.Gap.To)
	case e.Err != nil:
		return fmt.Sprint(short, " ", e.ID, " ", e.Err.Code)
	case e.Seq != 0 && !e.Again:
		s := v.seen[e.Room]
		s.Seq = e.Seq
		v.seen[e.Room] = s
	case e.Private != 0 && !e.Again:
		if e.Private != v.private+1 {
			v.t.Errorf("%s: private %d after %d", v.nick, e.Private, v.private)
		}
		v.private = e.Private
		return fmt.Sprint(short, " p", e.Private, " ", e.From, " ", e.Text)
	}
	return strings.TrimSpace(fmt.Sprint(again, short, " ", e.Seq, " ", e.From, " ", e.Nick+e.Text))
}

// cut loses the connection.
func (v *visitor) cut() {
	v.conn.Close()
	synctest.Wait()
}

// back resumes over a new connection, and returns what it hears then.
func (v *visitor) back() []string {
	v.t.Helper()
	v.caller = call(v.t, v.srv)
	var seen []chatroom.Seen
	for _, s := range v.seen {
		if s.Seq > 0 {
			seen = append(seen, s)
		}
	}
	list, err := json.Marshal(seen)
	if err != nil {
		v.t.Fatal(err)
	}
	v.send(fmt.Sprintf(`{"type":"join","nick":%q,"resume":true,"session":%q,"seen":%s,"private":%d}`, v.nick, v.token, list, v.private))
	return v.take()
}

func lingers(srv chatroom.Server, nick string) bool {
	for _, m := range srv.Members("lobby") {
		if m.Nick == nick {
			return m.Lingering
		}
	}
	return false
}

func saying(text string) string { return fmt.Sprintf(`{"type":"say","text":%q}`, text) }

func want(t testing.TB, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// bubble runs a test in a bubble, with a server.
func bubble(t *testing.T, test func(t *testing.T, srv chatroom.Server), opts ...chatroom.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, hostBubble(t, opts...)) })
}

func TestALostConnectionIsResumedWhereItWas(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		bob.take()
		ann.cut()
		if !lingers(srv, "ann") || srv.Stats().Members != 2 || srv.Stats().Ended[chatroom.CodeLost] != 0 {
			t.Errorf("ann does not linger: %+v, %+v", srv.Members("lobby"), srv.Stats())
		}
		bob.send(`{"type":"who","id":"w"}`)
		if s := bob.hear(); !strings.Contains(s, `"role":"member","lingering":true}`) {
			t.Errorf("who says %s", s)
		}
		bob.send(saying("one"), `{"type":"private","nick":"ann","text":"psst"}`, `{"type":"nick","nick":"rob"}`, saying("two"))
		want(t, bob.take(), "message 3 bob one", "private p1 bob psst", "nick 4 bob rob", "message 5 rob two")
		want(t, ann.back(), "welcome resumed lobby 3", "message 3 bob one", "nick 4 bob rob", "message 5 rob two", "private p1 bob psst")
		ann.send(saying("here"))
		want(t, ann.take(), "message 6 ann here")
		want(t, bob.take(), "message 6 ann here")
		bob.send(`{"type":"private","nick":"ann","text":"so"}`)
		want(t, ann.take(), "private p2 rob so")
		ann.cut()
		want(t, ann.back(), "welcome resumed lobby 0")
	})
}

func TestWhoDoesNotComeBackHasLeft(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		bob.take()
		ann.cut()
		time.Sleep(9 * time.Second)
		want(t, bob.take())
		time.Sleep(time.Second + time.Millisecond)
		want(t, bob.take(), "leave 3 ann connection lost")
		if st := srv.Stats(); st.Members != 1 || st.Ended[chatroom.CodeLost] != 1 {
			t.Errorf("%+v", st)
		}
		other := visit(t, srv, "ann")
		want(t, bob.take(), "join 4 ann")
		other.send(`{"type":"quit"}`)
		other.hear()
		if lingers(srv, "ann") {
			t.Error("who quits lingers")
		}
		want(t, bob.take(), "leave 5 ann")
		bob.send(saying("one"))
		// Past the linger it is a new join, which goes on where it was all the same.
		want(t, ann.back(), "welcome session lobby 4", "leave 3 ann connection lost", "join 4 ann", "leave 5 ann", "message 6 bob one", "join 7 ann")
	}, brisk(chatroom.Limits{Linger: 10 * time.Second}))
}

func TestASecondConnectionTakesOver(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		bob.take()
		first := *ann
		bob.send(saying("one"), `{"type":"private","nick":"ann","text":"psst"}`)
		bob.take()
		want(t, ann.back(), "welcome resumed lobby 1", "message 3 bob one", "private p1 bob psst")
		told := first.hear()
		if !strings.HasSuffix(told, `"code":"replaced","text":"this session goes on over another connection","retry":"never","time":"2000-01-01T00:00:00.000Z"}`+"\n") || !first.gone() {
			t.Errorf("the first connection was told %s", told)
		}
		bob.send(saying("two"))
		want(t, ann.take(), "message 4 bob two")
		want(t, bob.take(), "message 4 bob two")
		// Many at the same time: one of them has it in the end, and the others are told.
		var all []*caller
		for range 10 {
			c := call(t, srv)
			all = append(all, c)
			go fmt.Fprintf(c.conn, `{"type":"join","nick":"ann","session":%q}`+"\n", ann.token)
		}
		synctest.Wait()
		stay := 0
		for _, c := range all {
			if !c.gone() {
				stay++
			}
		}
		if n := len(srv.Members("lobby")); stay != 1 || n != 2 || lingers(srv, "ann") {
			t.Errorf("%d connections stay; %+v", stay, srv.Members("lobby"))
		}
		want(t, bob.take())
	})
}

func TestWhatEndsAMemberEndsItsSession(t *testing.T) {
	mods := chatroom.WithAuthenticator(users{"mod": {role: chatroom.RoleModerator}})
	for _, act := range []string{"kick", "ban"} {
		for _, when := range []string{"lingering", "at that moment", "connected"} {
			t.Run(act+" "+when, func(t *testing.T) {
				bubble(t, func(t *testing.T, srv chatroom.Server) {
					mod, ann := visit(t, srv, "mod"), visit(t, srv, "ann")
					mod.take()
					switch when {
					case "lingering":
						ann.cut()
					case "at that moment":
						ann.conn.Close()
					}
					mod.send(fmt.Sprintf(`{"type":%q,"id":"k","nick":"ann","reason":"spam"}`, act))
					got := mod.take()
					if len(got) == 0 || got[0] != act+" 3 mod ann" {
						t.Errorf("the moderator saw %q", got)
					}
					if n := len(srv.Members("lobby")); n != 1 {
						t.Errorf("%d members are left", n)
					}
					ann.hear()
					got = ann.back()
					if act == "ban" {
						want(t, got, "bye  banned")
					} else if got[0] != "welcome session lobby 1" {
						t.Errorf("back: %q", got)
					}
					time.Sleep(time.Minute)
					ann.conn.Close()
				}, mods)
			})
		}
	}
}

func TestAMuteReachesASession(t *testing.T) {
	mods := chatroom.WithAuthenticator(users{"mod": {role: chatroom.RoleModerator}})
	for _, when := range []string{"lingering", "at that moment"} {
		t.Run(when, func(t *testing.T) {
			bubble(t, func(t *testing.T, srv chatroom.Server) {
				mod, ann := visit(t, srv, "mod"), visit(t, srv, "ann")
				mod.take()
				ann.conn.Close()
				if when == "lingering" {
					synctest.Wait()
				}
				mod.send(`{"type":"mute","id":"k","nick":"ann","reason":"spam"}`)
				if got := mod.take(); len(got) == 0 || got[0] != "mute 3 mod ann" {
					t.Errorf("the moderator saw %q", got)
				}
				want(t, ann.back(), "welcome resumed lobby 1", "mute 3 mod ann")
				ann.send(`{"type":"say","id":"1","text":"hm"}`)
				want(t, ann.take(), "error 1 muted")
				ann.cut()
				mod.send(`{"type":"unmute","nick":"ann"}`)
				mod.take()
				want(t, ann.back(), "welcome resumed lobby 1", "unmute 4 mod ann")
				ann.send(`{"type":"say","id":"2","text":"hm"}`)
				want(t, ann.take(), "message 5 ann hm")
			}, mods)
		})
	}
}

// What hits a member and the loss of its connection come at the same time, many times over.
func TestActsAndLossesAtTheSameTime(t *testing.T) {
	srv, addr := host(t, brisk(roomy))
	rounds := 200
	if testing.Short() {
		rounds = 30
	}
	for i := range rounds {
		nick := fmt.Sprint("m", i)
		ann := dial(t, addr)
		ann.send(fmt.Sprintf(`{"type":"join","nick":%q,"resume":true}`, nick))
		token := field([]byte(ann.until(`"session"`)), "session")
		ann.until(`{"type":"join","seq":`)
		verb := []chatroom.Verb{chatroom.VerbMute, chatroom.VerbPromote, chatroom.VerbKick}[i%3]
		again := dial(t, addr)
		var wg sync.WaitGroup
		wg.Go(func() { ann.Close() })
		wg.Go(func() { again.send(fmt.Sprintf(`{"type":"join","nick":%q,"session":%q}`, nick, token)) })
		_, err := srv.Moderate(t.Context(), chatroom.Command{Verb: verb, Nick: nick})
		wg.Wait()
		if err != nil {
			if verb != chatroom.VerbKick {
				t.Fatalf("%s: %v", verb, err)
			}
			continue
		}
		switch verb {
		case chatroom.VerbMute:
			again.send(`{"type":"say","id":"x","text":"hm"}`)
			if line := again.until(`"id":"x"`); field([]byte(line), "code") != "muted" {
				t.Fatalf("round %d: muted, and %s", i, line)
			}
		case chatroom.VerbPromote:
			for _, m := range srv.Members("lobby") {
				if m.Nick == nick && m.Role != chatroom.RoleModerator {
					t.Fatalf("round %d: promoted, and %+v", i, m)
				}
			}
		}
		again.Close()
	}
}

func TestARevokedAccountEndsALingeringSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoke := make(chan string)
		srv := hostBubble(t, chatroom.WithAuthenticator(&revocable{users: users{"ann": {}}, revoked: revoke}))
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		bob.take()
		ann.cut()
		revoke <- "ann"
		want(t, bob.take(), "leave 3 ann the account ann is no more")
	})
}

// revocable accounts are no more once their names come through revoked.
type revocable struct {
	users
	revoked chan string
}

func (r *revocable) Refresh(context.Context, chatroom.Identity) (chatroom.Identity, error) {
	return chatroom.Identity{}, chatroom.ErrNoAccount
}

func (r *revocable) Watch(ctx context.Context, changed func(string)) error {
	for {
		select {
		case account := <-r.revoked:
			changed(account)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestAServerClosesWhileMembersLinger(t *testing.T) {
	for name, end := range map[string]func(chatroom.Server) error{
		"Close":    func(srv chatroom.Server) error { return srv.Close() },
		"Shutdown": func(srv chatroom.Server) error { return srv.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, srv chatroom.Server) {
				var all []*visitor
				for i := range 10 {
					all = append(all, visit(t, srv, fmt.Sprint("m", i)))
				}
				for i, v := range all {
					v.conn.Close()
					if i%2 == 0 {
						synctest.Wait()
					}
					if i%3 == 0 {
						v.back()
					}
				}
				began := time.Now()
				if err := end(srv); err != nil || time.Since(began) > time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				if n := srv.Stats().Members; n != 0 {
					t.Errorf("%d members", n)
				}
			})
		})
	}
}

func TestACommandSentAgainIsNotDoneAgain(t *testing.T) {
	mods := chatroom.WithAuthenticator(users{"ann": {role: chatroom.RoleModerator}})
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		bob.take()
		commands := []string{
			`{"type":"say","id":"1","text":"one"}`, `{"type":"private","id":"2","nick":"bob","text":"two"}`,
			`{"type":"nick","id":"3","nick":"anna"}`, `{"type":"topic","id":"4","text":"tea"}`,
			`{"type":"join","id":"5","room":"side"}`, `{"type":"say","id":"6","room":"nowhere","text":"x"}`,
			`{"type":"say","id":"7","room":"lobby","text":"last","preview":true}`, // of which there is none
		}
		ann.send(commands...)
		ann.take()
		first := bob.take()
		want(t, first, "message 3 ann one", "private p1 ann two", "nick 4 ann anna", "topic 5 anna tea", "message 6 anna last")
		again := []string{
			"again message 3 ann one", "again private 0 ann bob", "again nick 4 ann anna", "again topic 5 anna tea",
			"welcome side 0", "error 6 not_in_room", "again message 6 anna last",
		}
		ann.send(commands...)
		want(t, ann.take(), again...)
		ann.cut()
		ann.back()
		ann.send(commands...)
		want(t, ann.take(), again...)
		want(t, bob.take())
		ann.send(`{"type":"delete","id":"8","room":"lobby","seq":3}`, commands[0])
		got := ann.take()
		if got[len(got)-1] != "again message 3 ann" {
			t.Errorf("%q", got)
		}
		for i := range 64 {
			ann.send(fmt.Sprintf(`{"type":"say","id":"n%d","room":"lobby","text":"x"}`, i), fmt.Sprintf(`{"type":"who","id":"w%d","room":"lobby"}`, i))
		}
		ann.take()
		ann.send(`{"type":"say","id":"n0","room":"lobby","text":"x"}`, `{"type":"say","id":"7","room":"lobby","text":"last"}`)
		got = ann.take()
		if len(got) != 2 || got[1] != fmt.Sprint("message ", ann.seen["lobby"].Seq, " anna last") || got[0] != "again message 8 anna x" {
			t.Errorf("%q", got)
		}
	}, mods)
}

func TestACommandSentAgainWhileItIsCarriedOut(t *testing.T) {
	for _, lost := range []bool{true, false} {
		t.Run(fmt.Sprint("connection lost meanwhile: ", lost), func(t *testing.T) {
			slow := chatroom.FilterFunc(func(ctx context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
				if d.Nick == "ann" {
					time.Sleep(500 * time.Millisecond)
				}
				return chatroom.Verdict{}, nil
			})
			bubble(t, func(t *testing.T, srv chatroom.Server) {
				bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
				bob.take()
				ann.send(`{"type":"say","id":"1","text":"one"}`)
				if lost {
					ann.cut()
				}
				ann.back()
				ann.send(`{"type":"say","id":"1","text":"one"}`)
				time.Sleep(2 * time.Second)
				want(t, ann.take(), "message 3 ann one")
				want(t, bob.take(), "message 3 ann one")
			}, chatroom.WithFilter(chatroom.FilterStep{Name: "slow", Filter: slow}))
		})
	}
}

func TestPrivateMessagesInTheMomentOfReturn(t *testing.T) {
	srv, addr := host(t, brisk(roomy))
	bob, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	ann := dial(t, addr)
	ann.send(`{"type":"join","nick":"ann","resume":true}`)
	token := field([]byte(ann.until(`"session"`)), "session")
	total := 2000
	if testing.Short() {
		total = 300
	}
	unread := make(chan struct{}, 200) // which is less than a session keeps
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range total {
			unread <- struct{}{}
			if _, err := bob.Send(t.Context(), chatroom.Private("ann", fmt.Sprint(i))); err != nil {
				t.Error(i, err)
			}
		}
	})
	wg.Go(func() {
		for e, err := bob.Receive(t.Context()); err == nil; e, err = bob.Receive(t.Context()) {
			if e.Kind == chatroom.KindPrivate && e.Text == fmt.Sprint(total-1) {
				return
			}
		}
	})
	for seen, conns := 0, 1; seen < total; {
		line := ann.line()
		if strings.HasPrefix(line, `{"type":"gap","from"`) {
			t.Fatalf("%d seen: %s", seen, line)
		}
		if !strings.HasPrefix(line, `{"type":"private"`) {
			continue
		}
		if field([]byte(line), "private") != fmt.Sprint(seen+1) || field([]byte(line), "text") != fmt.Sprint(seen) {
			t.Fatalf("%d seen, on connection %d: %s", seen, conns, line)
		}
		seen++
		<-unread
		if seen%20 == 0 {
			if seen%40 == 0 {
				ann.Close()
			}
			ann = dial(t, addr)
			ann.send(fmt.Sprintf(`{"type":"join","nick":"ann","session":%q,"private":%d}`, token, seen))
			conns++
		}
	}
	wg.Wait()
}
