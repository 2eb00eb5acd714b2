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

	"example.com/chatroom"
	"example.com/chatroom/client"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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
