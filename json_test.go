package chatroom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/chatroom"
)

var moment = time.Date(2026, 11, 22, 12, 0, 0, 123e6, time.UTC)

func TestEventsOnTheWire(t *testing.T) {
	ann := chatroom.MemberInfo{Nick: "ann", Member: 7}
	bob := chatroom.MemberInfo{Nick: "bob", Member: 8, Role: chatroom.RoleModerator}
	tests := []struct {
		event chatroom.Event
		wire  string
	}{
		{
			chatroom.Event{Kind: chatroom.KindMessage, Seq: 42, Time: moment, ID: "k7", Room: "lobby", From: "ann", Member: 7, Text: "hi"},
			`{"type":"message","seq":42,"id":"k7","room":"lobby","from":"ann","member":7,"text":"hi","time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindAction, Seq: 43, Time: moment, Room: "lobby", From: "ann", Member: 7, Text: "waves"},
			`{"type":"action","seq":43,"room":"lobby","from":"ann","member":7,"text":"waves","time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindNotice, Seq: 44, Time: moment, Room: "lobby", Text: "Restart at noon."},
			`{"type":"notice","seq":44,"room":"lobby","text":"Restart at noon.","time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindNotice, Text: "Restart\nat noon."},
			`{"type":"notice","text":"Restart\nat noon."}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindJoin, Seq: 1, Time: moment, Room: "lobby", From: "ann", Member: 7},
			`{"type":"join","seq":1,"room":"lobby","from":"ann","member":7,"time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindLeave, Seq: 45, Time: moment, ID: "k8", Room: "lobby", From: "ann", Member: 7, Text: "lunch"},
			`{"type":"leave","seq":45,"id":"k8","room":"lobby","from":"ann","member":7,"text":"lunch","time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindNick, Seq: 46, Time: moment, Room: "lobby", From: "ann", Member: 7, Nick: "anna"},
			`{"type":"nick","seq":46,"room":"lobby","from":"ann","member":7,"nick":"anna","time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindTopic, Seq: 47, Time: moment, Room: "lobby", From: "ann", Member: 7, Text: `"Lunch"`},
			`{"type":"topic","seq":47,"room":"lobby","from":"ann","member":7,"text":"\"Lunch\"","time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindWelcome, Time: moment, ID: "1", Room: "lobby", Member: 7, Nick: "ann", Welcome: &chatroom.Welcome{
				Seq: 41, History: 3, Epoch: "E", Topic: "Lunch", Members: []chatroom.MemberInfo{ann, bob}, Count: 2,
				MOTD: "Be kind.", Role: chatroom.RoleAdmin,
				Limits: chatroom.WireLimits{LineBytes: 8192, TextBytes: 4096, Idle: 1500 * time.Millisecond},
			}},
			`{"type":"welcome","version":1,"seq":41,"id":"1","room":"lobby","member":7,"nick":"ann","history":3,"epoch":"E",` +
				`"role":"admin","topic":"Lunch","motd":"Be kind.","members":[{"nick":"ann","member":7,"role":"member"},` +
				`{"nick":"bob","member":8,"role":"moderator"}],"count":2,"limits":{"line_bytes":8192,"text_bytes":4096,"idle":1.5},` +
				`"time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindPrivate, Time: moment, From: "ann", Member: 7, Nick: "bob", Text: "psst"},
			`{"type":"private","from":"ann","member":7,"nick":"bob","text":"psst","time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindMembers, Time: moment, ID: "2", Room: "lobby", Members: []chatroom.MemberInfo{ann}},
			`{"type":"members","id":"2","room":"lobby","members":[{"nick":"ann","member":7,"role":"member"}],"time":"2026-11-22T12:00:00.123Z"}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindRooms, Time: moment, Rooms: []chatroom.RoomInfo{{Room: "den"}, {Room: "lobby", Topic: "Lunch", Members: 2}}},
			`{"type":"rooms","rooms":[{"room":"den"},{"room":"lobby","topic":"Lunch","members":2}],"time":"2026-11-22T12:00:00.123Z"}`,
		},
		{chatroom.Event{Kind: chatroom.KindPong, ID: "3"}, `{"type":"pong","id":"3"}`},
		{chatroom.Event{Kind: chatroom.KindPing}, `{"type":"ping"}`},
		{
			chatroom.Event{Kind: chatroom.KindError, ID: "4", Err: &chatroom.Error{
				Code: chatroom.CodeFull, Text: "full", Retry: chatroom.RetryLater, After: 1594 * time.Millisecond,
			}},
			`{"type":"error","id":"4","code":"full","text":"full","retry":"later","retry_after":1.594}`,
		},
		{
			chatroom.Event{Kind: chatroom.KindBye, Time: moment, Err: &chatroom.Error{Code: chatroom.CodeBanned, Text: "spam", Retry: chatroom.RetryNever}},
			`{"type":"bye","code":"banned","text":"spam","retry":"never","time":"2026-11-22T12:00:00.123Z"}`,
		},
	}
	for _, tt := range tests {
		got, err := json.Marshal(tt.event)
		if err != nil || string(got) != tt.wire {
			t.Errorf("%s on the wire: %v\n got %s\nwant %s", tt.event.Kind, err, got, tt.wire)
		}
		var back chatroom.Event
		if err := json.Unmarshal([]byte(tt.wire), &back); err != nil {
			t.Errorf("read %s: %v", tt.wire, err)
		}
		if diff := cmp.Diff(tt.event, back); diff != "" {
			t.Errorf("%s read back (-want +got):\n%s", tt.event.Kind, diff)
		}
	}
}

func TestCommandsOnTheWire(t *testing.T) {
	tests := []struct {
		command chatroom.Command
		wire    string
	}{
		{chatroom.Say("lobby", `"hi"`), `{"type":"say","room":"lobby","text":"\"hi\""}`},
		{chatroom.Action("", "waves"), `{"type":"action","text":"waves"}`},
		{chatroom.Private("bob", "psst"), `{"type":"private","nick":"bob","text":"psst"}`},
		{chatroom.Rename("anna"), `{"type":"nick","nick":"anna"}`},
		{chatroom.JoinRoom("den"), `{"type":"join","room":"den"}`},
		{
			chatroom.Command{Verb: chatroom.VerbJoin, Room: "den", Seen: []chatroom.Seen{{Room: "den", Epoch: "E", Seq: 7}, {}}},
			`{"type":"join","room":"den","seen":[{"room":"den","epoch":"E","seq":7},{"room":"","epoch":"","seq":0}]}`,
		},
		{chatroom.LeaveRoom("den", "lunch"), `{"type":"leave","room":"den","text":"lunch"}`},
		{chatroom.Topic("", ""), `{"type":"topic"}`},
		{chatroom.Who("den"), `{"type":"who","room":"den"}`},
		{chatroom.Command{Verb: chatroom.VerbRooms, ID: "k7"}, `{"type":"rooms","id":"k7"}`},
		{chatroom.Command{Verb: chatroom.VerbRoom, Room: "den"}, `{"type":"room","room":"den"}`},
		{chatroom.Command{Verb: chatroom.VerbPing}, `{"type":"ping"}`},
		{chatroom.Quit("gone"), `{"type":"quit","text":"gone"}`},
	}
	for _, tt := range tests {
		got, err := json.Marshal(tt.command)
		if err != nil || string(got) != tt.wire {
			t.Errorf("%s on the wire: %v\n got %s\nwant %s", tt.command.Verb, err, got, tt.wire)
		}
		var back chatroom.Command
		if err := json.Unmarshal([]byte(tt.wire), &back); err != nil {
			t.Errorf("read %s: %v", tt.wire, err)
		}
		if diff := cmp.Diff(tt.command, back); diff != "" {
			t.Errorf("%s read back (-want +got):\n%s", tt.command.Verb, diff)
		}
	}
}

func TestACommandThatIsNotUTF8DoesNotGoOnTheWire(t *testing.T) {
	for _, cmd := range []chatroom.Command{
		chatroom.Say("lobby", "\xff"),
		{Verb: chatroom.VerbJoin, Seen: []chatroom.Seen{{Room: "\xff"}}},
		{Verb: chatroom.VerbJoin, Seen: []chatroom.Seen{{Epoch: "\xff"}}},
	} {
		if line, err := cmd.MarshalJSON(); !errors.Is(err, chatroom.ErrTextInvalid) {
			t.Errorf("%+v is %s, %v", cmd, line, err)
		}
	}
}

func TestAnEventOfALaterVersionCanBeRead(t *testing.T) {
	var e chatroom.Event
	line := `{"type":"poll","seq":9,"room":"lobby","options":["a","b"],"role":"owner","members":[{"nick":"ann","role":"owner"}]}`
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(chatroom.Event{Kind: "poll", Seq: 9, Room: "lobby"}, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whoever reads a hostile server's events is not kept busy by them: reading takes no time that grows with
// how deep they are in one another.
func TestEventsWithinEventsAreBounded(t *testing.T) {
	nested := func(depth int) string {
		return strings.Repeat(`{"type":"history","events":[`, depth) + `{"type":"message","text":"\"}][{"}` + strings.Repeat("]}", depth)
	}
	var e chatroom.Event
	for _, depth := range []int{1, 2, 15} {
		if err := json.Unmarshal([]byte(nested(depth)), &e); err != nil {
			t.Errorf("%d deep: %v", depth, err)
		}
	}
	for _, line := range []string{nested(16), nested(4000), `{"type":"acts","acts":[{"messages":[` + nested(4000) + `]}]}`, `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`} {
		if err := json.Unmarshal([]byte(line), &e); err == nil {
			t.Errorf("%.80s is read", line)
		}
	}
}

func TestARefusalNamesTheCommandItIsAbout(t *testing.T) {
	lines := []string{
		`{"type":"say","id":"k7","text":7}`,
		`{"text":{},"type":"say","id":"k7"}`,
		`{"id":"k7","text":"hi"}`,
		`{"type":"shout","id":"k7"}`,
		`{"type":"say","id":"k7","text":""}`,
	}
	synctest.Test(t, func(t *testing.T) {
		ann := call(t, hostBubble(t))
		ann.send(`{"type":"join","nick":"ann"}`)
		ann.hear()
		for _, line := range lines {
			ann.send(line)
			if heard := ann.hear(); !strings.HasPrefix(heard, `{"type":"error","id":"k7",`) {
				t.Errorf("%s is answered %s", line, heard)
			}
		}
	})
}

// eventFields is the table of PROTOCOL.md as encoding/json understands it.
type eventFields struct {
	Type       string         `json:"type"`
	Version    int            `json:"version,omitzero"`
	Seq        uint64         `json:"seq,omitzero"`
	ID         string         `json:"id,omitzero"`
	Room       string         `json:"room,omitzero"`
	From       string         `json:"from,omitzero"`
	Member     uint64         `json:"member,omitzero"`
	Nick       string         `json:"nick,omitzero"`
	Text       string         `json:"text,omitzero"`
	Time       string         `json:"time,omitzero"`
	Code       string         `json:"code,omitzero"`
	Retry      string         `json:"retry,omitzero"`
	RetryAfter float64        `json:"retry_after,omitzero"`
	History    int            `json:"history,omitzero"`
	Epoch      string         `json:"epoch,omitzero"`
	Role       string         `json:"role,omitzero"`
	Topic      string         `json:"topic,omitzero"`
	MOTD       string         `json:"motd,omitzero"`
	Members    []memberFields `json:"members,omitzero"`
	Count      int            `json:"count,omitzero"`
	Rooms      []roomFields   `json:"rooms,omitzero"`
	Limits     *limitFields   `json:"limits,omitzero"`
}

type memberFields struct {
	Nick   string `json:"nick,omitzero"`
	Member uint64 `json:"member,omitzero"`
	Role   string `json:"role"`
}

type roomFields struct {
	Room    string `json:"room,omitzero"`
	Topic   string `json:"topic,omitzero"`
	Members int    `json:"members,omitzero"`
}

type limitFields struct {
	LineBytes int     `json:"line_bytes,omitzero"`
	TextBytes int     `json:"text_bytes,omitzero"`
	Idle      float64 `json:"idle,omitzero"`
}

// fieldsOf returns what e is on the wire.
func fieldsOf(e chatroom.Event) eventFields {
	f := eventFields{
		Type: string(e.Kind), Seq: e.Seq, ID: e.ID, Room: e.Room, From: e.From, Member: e.Member, Nick: e.Nick, Text: e.Text,
	}
	if !e.Time.IsZero() {
		f.Time = e.Time.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if err := e.Err; err != nil {
		f.Code, f.Text, f.Retry, f.RetryAfter = string(err.Code), err.Text, string(err.Retry), float64(err.After)/1e9
	}
	members := e.Members
	if w := e.Welcome; w != nil {
		f.Version, f.Seq, f.History, f.Epoch = chatroom.JSONVersion, w.Seq, w.History, w.Epoch
		f.Role, f.Topic, f.MOTD, f.Count = w.Role.String(), w.Topic, w.MOTD, w.Count
		f.Limits = &limitFields{w.Limits.LineBytes, w.Limits.TextBytes, float64(w.Limits.Idle) / 1e9}
		members = w.Members
	}
	for _, m := range members {
		f.Members = append(f.Members, memberFields{m.Nick, m.Member, m.Role.String()})
	}
	for _, r := range e.Rooms {
		f.Rooms = append(f.Rooms, roomFields(r))
	}
	return f
}

// FuzzEventJSON compares an event's JSON with what encoding/json makes of it, and reads it back.
func FuzzEventJSON(f *testing.F) {
	for kind := range kinds {
		f.Add(uint8(kind), uint64(42), uint64(7), "k7", "lobby", "ann", "hi\n\"\\\u2028\x00\x1b\xff", uint32(1500))
	}
	f.Fuzz(func(t *testing.T, kind uint8, seq, member uint64, id, room, nick, text string, millis uint32) {
		event := func(id, room, nick, text string) chatroom.Event {
			return eventOf(kinds[int(kind)%len(kinds)], seq, member, id, room, nick, text, time.Duration(millis)*time.Millisecond)
		}
		e := event(id, room, nick, text)
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if own := (chatroom.JSONFront{}).AppendEvent(nil, &e); string(own) != string(line)+"\n" {
			// json.Marshal escapes what might be HTML, and is else the same.
			var a, b any
			if json.Unmarshal(own, &a) != nil || json.Unmarshal(line, &b) != nil || !cmp.Equal(a, b) {
				t.Fatalf("the front says %q, and json.Marshal %q", own, line)
			}
			line = bytes.TrimSuffix(own, []byte("\n"))
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, line); err != nil || compact.String() != string(line) {
			t.Fatalf("%s is %s when compact: %v", line, compact.Bytes(), err)
		}
		if !utf8.Valid(line) || bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x2028 || r == 0x2029 }) {
			t.Fatalf("%q is not one line of UTF-8", line)
		}
		var got, want any
		standard, err := json.Marshal(fieldsOf(e))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(json.Unmarshal(line, &got), json.Unmarshal(standard, &want)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-encoding/json +own):\n%s", diff)
		}
		var back chatroom.Event
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatal(err)
		}
		readable := event(inUTF8(id), inUTF8(room), inUTF8(nick), inUTF8(text))
		if diff := cmp.Diff(readable, back, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s read back (-want +got):\n%s", line, diff)
		}
	})
}

var kinds = []chatroom.Kind{
	chatroom.KindMessage, chatroom.KindAction, chatroom.KindNotice, chatroom.KindJoin, chatroom.KindLeave,
	chatroom.KindNick, chatroom.KindTopic, chatroom.KindWelcome, chatroom.KindPrivate, chatroom.KindMembers,
	chatroom.KindRooms, chatroom.KindPong, chatroom.KindPing, chatroom.KindError, chatroom.KindBye,
}

// eventOf returns an event of that kind with all that such an event can hold.
func eventOf(kind chatroom.Kind, seq, member uint64, id, room, nick, text string, d time.Duration) chatroom.Event {
	e := chatroom.Event{Kind: kind, Time: moment.Add(d), ID: id, Room: room, Member: member, Nick: nick}
	members := []chatroom.MemberInfo{{Nick: nick, Member: member, Role: chatroom.Role(member % 3)}, {Nick: text}}
	switch kind {
	case chatroom.KindWelcome:
		e.Welcome = &chatroom.Welcome{
			Seq: seq, History: int(seq % 1000), Epoch: id, Topic: text, Members: members, Count: int(member % 1000), MOTD: text,
			Role:   chatroom.Role(seq % 3),
			Limits: chatroom.WireLimits{LineBytes: int(seq % 1000), TextBytes: int(member % 1000), Idle: d},
		}
	case chatroom.KindMembers:
		e.Members = members
	case chatroom.KindRooms:
		e.Rooms = []chatroom.RoomInfo{{Room: room, Topic: text, Members: int(seq % 1000)}, {Room: nick}}
	case chatroom.KindError, chatroom.KindBye:
		e.Err = &chatroom.Error{Code: chatroom.Code(id), Text: text, Retry: chatroom.Retry(nick), After: d}
	default:
		e.Seq, e.From, e.Text = seq, nick, text
	}
	return e
}

// inUTF8 returns s with a replacement character for each byte that is not UTF-8.
func inUTF8(s string) string { return string([]rune(s)) }

// FuzzJSONLine sends any line before and after joining. Each gets an answer that can be read, and
// the server lives.
func FuzzJSONLine(f *testing.F) {
	for _, line := range []string{
		"", "{", "null", "[]", "{}", `"`, `{"type":"say"}`, `{"type":"say","text":"hi"}`, `{"type":"say","text":7}`,
		`{"type":"join","nick":"eve"}`, `{"type":"join","room":"den"}`, `{"type":"leave"}`, `{"type":"quit","text":"\u0000"}`,
		`{"type":"nick","nick":"eve"}`, `{"type":"pong"}`, `{"type":"help"}`, `{"type":"private","nick":"ann","text":"x"}`,
		`{"type":"join","version":2}`, `{"TYPE":"rooms","id":"\n"}`, "{\"type\":\"say\",\"text\":\"\xff\"}", "{\"type\":\"say\",\"id\":\"\x7f\u009b\"}", strings.Repeat("[", 8191),
		`{"type":"ban","target":"ip:192.0.2.0/24","for":86400.5,"reason":"r","note":"n","force":true,"role":"admin","count":-1}`,
		`{"type":"join","seen":[{"room":"lobby","epoch":"x","seq":7}` + strings.Repeat(",{}", 2600) + `]}`,
	} {
		f.Add(line, line)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		before, after = strings.ReplaceAll(before, "\n", ""), strings.ReplaceAll(after, "\n", "")
		checkCommand(t, after[:min(len(after), 8<<10)])
		synctest.Test(t, func(t *testing.T) {
			srv := hostBubble(t)
			ann := call(t, srv)
			ann.send(`{"type":"ping","id":"0"}`)
			checkAnswer(t, ann, `{"type":"ping","id":"0"}`, false)
			ann.send(before)
			joined := checkAnswer(t, ann, before, false)
			if !joined && !ann.gone() {
				ann.send(`{"type":"join","nick":"ann"}`)
				joined = checkAnswer(t, ann, `{"type":"join"}`, false)
			}
			if !ann.gone() {
				ann.send(after)
				checkAnswer(t, ann, after, joined)
			}
			bob := call(t, srv)
			bob.send(`{"type":"join","nick":"b-o-b"}`, `{"type":"say","text":"alive"}`)
			if heard := bob.hear(); !strings.Contains(heard, `"text":"alive"`) {
				t.Fatalf("after %q and %q the server says %q", before, after, heard)
			}
		})
	})
}

// checkCommand checks that a line can be read without much memory, and that the command it holds, if any, comes back
// from the line that is made of it.
func checkCommand(t *testing.T, line string) {
	t.Helper()
	var cmd, again chatroom.Command
	var err error
	// What a list of rooms holds takes fifteen times the three bytes of an empty one, and lists grow by doubling.
	mustAllocate(t, 50*len(line)+4<<10, func() {
		cmd = chatroom.Command{}
		err = cmd.UnmarshalJSON([]byte(line))
	})
	if err != nil {
		if _, ok := err.(*chatroom.Error); !ok {
			t.Fatalf("%q: %v, which is no Error", line, err)
		}
		return
	}
	if cmd.Verb == "" {
		return // a blank line
	}
	own, err := cmd.MarshalJSON()
	if err == nil {
		err = again.UnmarshalJSON(own)
	}
	cmd.Count = max(cmd.Count, 0)
	aboutAsLong := cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() <= a.Abs()>>40 })
	if diff := cmp.Diff(cmd, again, aboutAsLong, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Fatalf("%q is written %q, which is read as something else: %v\n%s", line, own, err, diff)
	}
}

// checkAnswer checks what c has heard since it sent line, and reports whether c has joined.
func checkAnswer(t *testing.T, c *caller, line string, joined bool) bool {
	t.Helper()
	var events []chatroom.Event
	for _, heard := range c.lines() {
		checkLine(t, heard, false)
		var e chatroom.Event
		if err := json.Unmarshal([]byte(heard), &e); err != nil {
			t.Fatalf("%q is answered %q: %v", line, heard, err)
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		var req struct{ Type string }
		_ = json.Unmarshal([]byte(line), &req) // what cannot be read has an empty type
		blank := strings.TrimSpace(line) == ""
		if !joined || !blank && req.Type != "pong" {
			t.Fatalf("%q is not answered", line)
		}
		return joined
	}
	switch first := events[0]; first.Kind {
	case chatroom.KindWelcome:
		return true
	case chatroom.KindError, chatroom.KindBye:
		if len(events) > 1 || first.Err.Code == "" || first.Err.Code == chatroom.CodeInternal {
			t.Fatalf("%q is answered %+v", line, events)
		}
	}
	if bye := events[0].Kind == chatroom.KindBye; bye != c.gone() {
		t.Fatalf("%q is answered %+v; hung up: %v", line, events, c.gone())
	}
	return joined
}

// What is read by the short way must mean what it means by the long one, which a tab takes.
func FuzzPlainRequest(f *testing.F) {
	for _, line := range []string{
		`{"type":"say","id":"k7","room":"lobby","text":"hi"}`, `{"type":"say","text":"a","text":"b"}`, `{ "type" : "nick" , "nick" : "bob" } `,
		`{"type":"say","text":"a\n"}`, `{"type":"say","text":"ö"}`, `{"Type":"say"}`, `{"type":"say",}`, `{"type":"say"}}`, `{"type":""}`, `{}`, `{"type":"say" "text":"x"}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 || line[0] != '{' {
			return
		}
		var short, long chatroom.Command
		shortErr, longErr := short.UnmarshalJSON(line), long.UnmarshalJSON(slices.Concat([]byte("{\t"), line[1:]))
		if diff := cmp.Diff(long, short); diff != "" {
			t.Errorf("%q (-long +short):\n%s", line, diff)
		}
		if fmt.Sprint(shortErr) != fmt.Sprint(longErr) {
			t.Errorf("%q: %v, but by the long way %v", line, shortErr, longErr)
		}
	})
}

// The same for events.
func FuzzPlainEvent(f *testing.F) {
	e := chatroom.Event{Kind: chatroom.KindMessage, Seq: 42, ID: "k7", Room: "lobby", From: "ann", Member: 3, Text: "hi", Time: moment}
	f.Add(chatroom.JSONFront{}.AppendEvent(nil, &e))
	for _, line := range []string{
		`{"type":"private","from":"a","private":7,"text":"ö"}`, `{"type":"gap","from":1,"to":2}`, `{"type":"join","seq":01}`, `{"type":"join","seq":1e3}`, `{"type":"join","seq":-1}`,
		`{"type":"join","seq":99999999999999999999}`, `{"type":"join","time":"2026-11-22T1:00:00Z"}`, `{"type":"join","from":1}`, `{"type":"join"}}`, `{"type":"join",}`, `{"text":"x"}`,
		`{"type":"message","text":"\ud800"}`, `{"Type":"join"}`, `{"type":"kick","act":"x"}`, `{"type":"topic","text":"a","text":""}`, "{\"type\":\"topic\",\"text\":\"\xff\"}",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 || line[0] != '{' {
			return
		}
		var short, long chatroom.Event
		shortErr, longErr := short.UnmarshalJSON(line), long.UnmarshalJSON(slices.Concat([]byte("{\t"), line[1:]))
		if diff := cmp.Diff(long, short); diff != "" {
			t.Errorf("%q (-long +short):\n%s", line, diff)
		}
		if (shortErr == nil) != (longErr == nil) {
			t.Errorf("%q: %v, but by the long way %v", line, shortErr, longErr)
		}
	})
}
