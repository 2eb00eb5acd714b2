package chatroom_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/chatroom"
)

// FuzzResume lets somebody try whatever a wish to resume can hold, in a house where ann lingers and bob is connected. What
// comes of it is a member of its own, a refusal, or, for who has both a token and the nick that goes with it, that
// member; nobody else is touched, and nothing that was said to ann or bob alone is told to anybody else.
func FuzzResume(f *testing.F) {
	const sight = `{"room":"lobby","epoch":"$epoch","seq":3}`
	for _, session := range []string{
		`"$ann"`, `"$bob"`, `"$stale"`, `"$short"`, `"$rotated"`, `"$lower"`, `"$epoch"`, `"$ann$bob"`, `" $ann"`, `"AAAAAAAAAAAAAAAAAAAAAAAAAA"`,
		`""`, `null`, `7`, `["$ann"]`, `{"session":"$ann"}`, `"\u0000"`, `"$ann","session":"$bob"`,
	} {
		for _, nick := range []string{`"ann"`, `"bob"`, `"eve"`} {
			f.Add(nick, session, "["+sight+"]", `0`, ``)
		}
	}
	for _, seen := range []string{
		`null`, `{}`, `"lobby"`, `[7]`, `[null]`, `[[]]`, `[{}]`, `[{"room":7}]`, `[{"room":"lobby","epoch":"x","seq":1}]`,
		`[{"room":"lobby","epoch":"$epoch","seq":-1}]`, `[{"room":"lobby","epoch":"$epoch","seq":18446744073709551615}]`,
		`[{"room":"lobby","epoch":"$epoch","seq":99}]`, `[{"room":"lobby","epoch":"$epoch","seq":1099511627776}]`, `[{"room":"lobby","epoch":"$epoch","seq":18446744073709551616}]`, `[{"room":"lobby","epoch":"$epoch","seq":1e3}]`,
		`[{"room":"LOBBY","epoch":"$epoch","seq":0},` + sight + `]`, "[" + strings.Repeat(sight+",", 99) + sight + "]", "[" + strings.Repeat(sight+",", 200) + sight + "]",
		strings.Repeat("[", 2000),
	} {
		f.Add(`"eve"`, `""`, seen, `0`, ``)
		f.Add(`"ann"`, `"$ann"`, seen, `0`, ``)
	}
	for _, private := range []string{`-1`, `1`, `2`, `18446744073709551615`, `18446744073709551616`, `1.5`, `"1"`, `null`, `1e30`} {
		f.Add(`"ann"`, `"$ann"`, `[]`, private, ``)
	}
	for _, extra := range []string{`,"room":"den"`, `,"room":"a,b"`, `,"resume":false`, `,"SESSION":"$ann"`, `,"version":2`, `,"id":"\u0000"`, `,"after":9`, `,"nick":"ann"`} {
		f.Add(`"eve"`, `"$ann"`, `[]`, `0`, extra)
	}
	f.Fuzz(func(t *testing.T, nick, session, seen, private, extra string) {
		line := fmt.Sprintf(`{"type":"join","id":"z","resume":true,"nick":%s,"session":%s,"seen":%s,"private":%s%s}`, nick, session, seen, private, extra)
		synctest.Test(t, func(t *testing.T) { tryToResume(t, strings.ReplaceAll(line, "\n", "")) })
	})
}

func tryToResume(t *testing.T, line string) {
	var failures bytes.Buffer
	srv := hostBubble(t, chatroom.WithLogger(slog.New(slog.NewTextHandler(&failures, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	ann, bob, gone := visit(t, srv, "ann"), visit(t, srv, "bob"), visit(t, srv, "gone")
	gone.send(`{"type":"quit"}`)
	ann.take()
	ann.send(`{"type":"private","nick":"bob","text":"for bob alone"}`)
	ann.take()
	ann.cut()
	bob.send(`{"type":"private","nick":"ann","text":"for ann alone"}`, saying("for all"))
	bob.take()
	before := srv.Members("lobby")

	token := ann.token
	line = strings.NewReplacer("$ann", token, "$bob", bob.token, "$stale", gone.token, "$short", token[:25], "$rotated", token[1:]+token[:1],
		"$lower", strings.ToLower(token), "$epoch", ann.seen["lobby"].Epoch).Replace(line)
	eve := call(t, srv)
	eve.send(line)
	wish := wishIn(line)
	h := &hearing{t: t, line: line}
	h.sighted = slices.ContainsFunc(wish.Seen, func(s chatroom.Seen) bool { return s.Epoch == ann.seen["lobby"].Epoch })
	for _, v := range []*visitor{ann, bob} {
		if wish.holds(v) {
			h.as = v.nick
		}
	}
	h.hears(eve)
	if h.as == "" {
		checkUntouched(t, srv, before, ann, bob, h.joined)
	}
	nina := call(t, srv)
	nina.send(`{"type":"join","nick":"n-i-n-a"}`, saying("alive"))
	if s := nina.hear(); !strings.Contains(s, `"text":"alive"`) {
		t.Errorf("%s: the server says %s", line, s)
	}
	h.hears(eve)
	if h.inLobby && h.heard != "alive" {
		t.Errorf("%s: the last it heard is %q", line, h.heard)
	}
	if strings.Contains(failures.String(), "panic") {
		t.Errorf("%s: the log says %s", line, &failures)
	}
}

type resumeWish struct {
	Session, Nick string
	Seen          []chatroom.Seen
}

// wishIn returns what a line wishes, as far as it can be read.
func wishIn(line string) (wish resumeWish) {
	_ = json.Unmarshal([]byte(line), &wish)
	return wish
}

// holds reports whether the wish has the token of v, and a nick that could pass for v's.
func (w *resumeWish) holds(v *visitor) bool {
	return w.Session == v.token && slices.ContainsFunc(chatroom.NickKeys(strings.TrimSpace(w.Nick)), func(key string) bool {
		return slices.Contains(chatroom.NickKeys(v.nick), key)
	})
}

// A hearing is what eve may hear and has heard.
type hearing struct {
	t    *testing.T
	line string // that she sent
	as   string // the nick of whom she may be, of those who were there

	sighted bool // she knows the lobby's epoch

	joined  string // as whom
	inLobby bool
	last    uint64 // number in the lobby
	heard   string // the last text
}

func (h *hearing) hears(eve *caller) {
	h.t.Helper()
	lines := eve.lines()
	if len(lines) == 0 && h.joined == "" && h.heard == "" {
		h.t.Errorf("%s is not answered", h.line)
	}
	for _, heard := range lines {
		var e chatroom.Event
		if err := json.Unmarshal([]byte(heard), &e); err != nil {
			h.t.Fatalf("%s: %s: %v", h.line, heard, err)
		}
		if !h.may(&e, eve) {
			h.t.Errorf("%s: %s after %+v", h.line, heard, *h)
		}
	}
}

// may reports whether she may hear e now.
func (h *hearing) may(e *chatroom.Event, eve *caller) bool {
	for _, nick := range []string{"ann", "bob"} { // who wrote to one another
		if e.Text == "for "+nick+" alone" && h.as != "ann" && h.as != "bob" {
			return false
		}
	}
	switch {
	case e.Kind == chatroom.KindError, e.Kind == chatroom.KindBye:
		h.heard = e.Err.Text
		return h.joined == "" && (e.Kind == chatroom.KindBye) == eve.gone()
	case e.Welcome != nil:
		again := h.joined != ""
		h.joined, h.inLobby = e.Nick, e.Room == "lobby"
		h.last = e.Welcome.Seq - 1 - min(uint64(e.Welcome.History), e.Welcome.Seq-1)
		if h.as != "" {
			h.last = 0 // the number is that of a join long ago
		}
		own := e.Nick == h.as || h.as == "" && e.Nick != "ann" && e.Nick != "bob"
		return !again && own && (!e.Welcome.Resumed || h.as != "" && h.sighted)
	case e.Gap != nil:
		if e.Room != "" {
			h.last = e.Gap.To
		}
		return e.Gap.From > 0 && e.Gap.To >= e.Gap.From
	case e.Seq != 0:
		follows := e.Seq == h.last+1 || h.last == 0
		h.last, h.heard = e.Seq, e.Text
		return h.joined != "" && follows
	}
	return e.Private != 0 && h.joined != ""
}

// checkUntouched checks that ann and bob are where they were, and that ann can come back to what was said to her.
func checkUntouched(t *testing.T, srv chatroom.Server, before []chatroom.MemberInfo, ann, bob *visitor, joined string) {
	t.Helper()
	after := slices.DeleteFunc(srv.Members("lobby"), func(m chatroom.MemberInfo) bool { return m.Nick == joined })
	if !slices.Equal(before, after) || bob.gone() {
		t.Errorf("%+v became %+v; bob is gone: %v", before, after, bob.gone())
	}
	for _, heard := range bob.take() {
		if !strings.HasPrefix(heard, "join ") || !strings.HasSuffix(heard, " "+joined) {
			t.Errorf("bob heard %q", heard)
		}
	}
	got := ann.back()
	if len(got) < 3 || !strings.HasPrefix(got[0], "welcome resumed lobby ") || got[1] != "message 5 bob for all" || ann.private != 2 {
		t.Errorf("ann is back and hears %q", got)
	}
}
