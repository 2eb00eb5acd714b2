package chatroom_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/chatroom"
)

// isControl reports whether r steers a terminal or ends a line: C0 but the tab, DEL, C1, and the
// separators of Unicode.
func isControl(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) && r != '\t' }

// controls are all of those.
func controls() (list []rune) {
	for r := range rune(0x3000) {
		if isControl(r) {
			list = append(list, r)
		}
	}
	return list
}

// mustBeClean checks that nothing in v, which encoding/json has read, is a control character.
func mustBeClean(t *testing.T, v any, line string) {
	t.Helper()
	switch v := v.(type) {
	case string:
		if strings.ContainsFunc(v, isControl) || !utf8.ValidString(v) {
			t.Fatalf("%q in %q", v, line)
		}
	case []any:
		for _, v := range v {
			mustBeClean(t, v, line)
		}
	case map[string]any:
		for _, v := range v {
			mustBeClean(t, v, line)
		}
	}
}

// An audience hears all there is to hear, over each front.
type audience struct {
	json, text []*caller
	program    chatroom.Client
}

// check checks what the audience has heard since the last time, and returns how many lines that was.
func (a *audience) check(t *testing.T) (lines int) {
	t.Helper()
	for _, c := range a.json {
		for _, line := range c.lines() {
			checkLine(t, line, false)
			var v map[string]any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
			if v["type"] == "error" {
				delete(v, "id") // as who is told calls it
			}
			mustBeClean(t, v, line)
			lines++
		}
	}
	for _, c := range a.text {
		for _, line := range c.lines() {
			checkLine(t, line, true)
			if leftOpen(line) {
				t.Fatalf("open to the next line: %q", line)
			}
			lines++
		}
	}
	for _, e := range unread(t, a.program) {
		if strings.ContainsFunc(e.Text+e.From+e.Nick+e.Room, isControl) {
			t.Fatalf("%+v", e)
		}
		lines++
	}
	return lines
}

func TestThreat18ControlCharacters(t *testing.T) {
	// %s is where the character stands.
	asJSON := []string{
		`{"type":"say","room":"lobby","text":"a%sb"}`, `{"type":"action","room":"lobby","text":"a%sb"}`, `{"type":"private","nick":"bob","text":"a%sb"}`,
		`{"type":"topic","room":"lobby","text":"a%sb"}`, `{"type":"topic","room":"lobby","text":"x","reason":"a%sb"}`,
		`{"type":"slow","room":"lobby","every":0,"reason":"a%sb"}`, `{"type":"lock","room":"tea","for":1,"reason":"a%sb"}`,
		`{"type":"mute","nick":"bob","for":1,"reason":"a%sb","note":"a%sb"}`, `{"type":"ban","nick":"nobody","reason":"a%sb","note":"a%sb"}`,
		`{"type":"bans"}`, `{"type":"acts"}`, `{"type":"unban","nick":"nobody"}`,
		`{"type":"join","room":"a%sb"}`, `{"type":"leave","room":"tea","text":"a%sb"}`, `{"type":"join","room":"tea"}`,
		`{"type":"nick","nick":"a%sb"}`, `{"type":"who","room":"a%sb"}`, `{"type":"kick","nick":"a%sb"}`, `{"type":"ban","target":"a%sb"}`,
		`{"type":"ban","target":"account:a%sb"}`, `{"type":"bans","nick":"a%sb"}`, `{"type":"undo","ref":"a%sb"}`, `{"type":"promote","nick":"bob","role":"a%sb"}`,
		`{"type":"rooms","id":"a%sb"}`, `{"type":"a%sb"}`, `{"a%sb":1,"type":7}`, `a%sb`,
	}
	asText := []string{"a%sb", "/me a%sb", "/topic a%sb", "/msg ann a%sb", "/nick a%sb", "/join a%sb", "/who a%sb", "/a%sb", "/kick a%sb", "//a%sb"}
	byProgram := func(text string) []chatroom.Command {
		return []chatroom.Command{
			{Verb: chatroom.VerbTopic, Text: text, Reason: text},
			{Verb: chatroom.VerbSlow, Reason: text},
			{Verb: chatroom.VerbAllow, Nick: "nobody", Reason: text, Note: text, For: time.Second},
		}
	}
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, chatroom.WithAuthenticator(users{"ann": {role: chatroom.RoleAdmin}, "cat": {role: chatroom.RoleAdmin}, "dan": {role: chatroom.RoleAdmin}}))
		ann, bob, cat, dan := call(t, srv), call(t, srv), call(t, srv), call(t, srv)
		ann.send(`{"type":"join","nick":"ann"}`, `{"type":"join","room":"tea"}`)
		bob.send("bob")
		cat.send(`{"type":"join","nick":"cat"}`)
		dan.send("dan", "/join tea")
		heard := &audience{[]*caller{ann, cat}, []*caller{bob, dan}, joinAs(t, srv, "eve", "lobby", "tea")}
		bob.hear()
		dan.hear() // the questions have no end

		fill := func(pattern, with string) string { return strings.ReplaceAll(pattern, "%s", with) }
		for _, r := range controls() {
			lines := 0
			for _, pattern := range asJSON {
				for _, form := range []string{inJSON([]byte(string(r))), fmt.Sprintf(`\u%04x`, r)} {
					ann.send(fill(pattern, form))
					lines += heard.check(t)
					time.Sleep(time.Second)
				}
			}
			for _, pattern := range asText {
				bob.send(fill(pattern, string(r)))
				lines += heard.check(t)
				time.Sleep(time.Second)
			}
			for _, cmd := range byProgram("a" + string(r) + "b") {
				asProgram(t, srv, cmd)
			}
			if _, err := srv.Announce(t.Context(), "", "a"+string(r)+"b"); err != nil {
				t.Fatal(err)
			}
			lines += heard.check(t)
			if lines < 5*len(asJSON) {
				t.Fatalf("%U: only %d lines were heard", r, lines)
			}
			time.Sleep(time.Second) // the mute is over
		}
	})
}

// What comes from the program, its store and its backends is told clean too.
func TestThreat18ControlCharactersOfTheProgram(t *testing.T) {
	evil := "a" + strings.ReplaceAll(string(controls()), "\n", "") + "\u202eb"
	errs := map[string]*chatroom.Error{
		"no": {Code: chatroom.CodeDenied, Text: evil}, "never": {Code: chatroom.CodeDenied, Text: evil, Retry: chatroom.RetryNever},
	}
	auth := chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
		if err := errs[req.Nick]; err != nil {
			return chatroom.Identity{}, err
		}
		id := chatroom.Identity{Nick: req.Nick, Role: chatroom.RoleAdmin}
		if req.Nick == "odd" {
			id.Account = evil
		}
		if req.Nick == "bob" || req.Nick == "banned" {
			id.Role = chatroom.RoleMember
		}
		return id, nil
	})
	opts := []chatroom.Option{
		chatroom.WithAuthenticator(auth), chatroom.WithMOTD(evil),
		chatroom.WithBanStore(chatroom.MemoryBans(
			chatroom.Ban{ID: "1", Kind: chatroom.BanNick, Value: "banned", Reason: evil, Note: evil, By: evil},
			chatroom.Ban{ID: "2", Kind: chatroom.BanAccount, Value: evil, Effect: chatroom.EffectMute, Reason: evil},
			chatroom.Ban{ID: "3", Kind: chatroom.BanNick, Value: "quiet", Effect: chatroom.EffectMute, Reason: evil},
		)),
	}
	for _, decision := range []chatroom.Decision{
		chatroom.DecisionRewrite, chatroom.DecisionRefuse, chatroom.DecisionHold, chatroom.DecisionMute,
	} {
		v := chatroom.Verdict{Decision: decision, Text: "rewritten" + evil, Reason: evil, Rule: evil, Evidence: evil}
		opts = append(opts, chatroom.WithFilter(chatroom.FilterStep{Name: string(decision), Filter: wordFilter(string(decision), v)}))
	}
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, opts...)
		refused := call(t, srv)
		for _, nick := range []string{"no", "odd", "never"} {
			refused.send(`{"type":"join","nick":"` + nick + `"}`)
		}
		asked := call(t, srv)
		asked.send("no", "banned")
		if heard := asked.hear(); !refused.gone() || !asked.gone() {
			t.Errorf("who is never to come back is not hung up on, after %q", heard)
		} else {
			mustBeClean(t, strings.ReplaceAll(heard, "\n", ""), heard)
		}

		ann, bob, dan, quiet := call(t, srv), call(t, srv), call(t, srv), call(t, srv)
		heard := &audience{[]*caller{ann, refused, quiet}, []*caller{bob, dan}, joinAs(t, srv, "eve")}
		quiet.send(`{"type":"join","nick":"quiet"}`, `{"type":"say","text":"may I?"}`)
		ann.send(`{"type":"join","nick":"ann"}`)
		bob.send("bob")
		dan.send("dan")
		for _, decision := range []string{"rewrite", "refuse", "hold", "mute"} {
			bob.send("please " + decision)
		}
		ann.send(`{"type":"bans"}`, `{"type":"acts"}`, `{"type":"held"}`, `{"type":"unban","nick":"banned"}`)
		dan.send("/bans", "/acts", "/held", "/ban -n bob")
		if lines := heard.check(t); lines < 30 {
			t.Errorf("only %d lines were heard", lines)
		}
	})
}
