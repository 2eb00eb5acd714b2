package pychat_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"example.com/chatroom"
	"example.com/chatroom/adapters/pychat"
)

// Whatever happens is told in whole lines of ASCII, none of which is a word that means something
// to a client.
func FuzzLinesAreHarmless(f *testing.F) {
	f.Add("NICK", "bob", "pass", "lobby")
	f.Add("BAN", "", "NICK\nBAN\nIncorrect", "den")
	f.Add("Жan", "é", "\x00\r\xff☕", "")
	words := []string{"NICK", "pass", "BAN", "Incorrect"}
	front := pychat.Front{Home: "lobby", Location: time.UTC}
	f.Fuzz(func(t *testing.T, from, nick, text, room string) {
		for _, e := range everyKind(from, nick, text, room) {
			line := harmless(t, front, e)
			if slices.Contains(words, strings.TrimSpace(string(line))) {
				t.Errorf("%s: %q", e.Kind, line)
			}
		}
	})
}

// harmless returns what the front says of e, which has to be whole lines of ASCII.
func harmless(t *testing.T, front pychat.Front, e chatroom.Event) []byte {
	t.Helper()
	lines, ok := bytes.CutPrefix(front.AppendEvent([]byte("before\n"), &e), []byte("before\n"))
	if !ok || len(lines) > 0 && lines[len(lines)-1] != '\n' {
		t.Errorf("%s: %q", e.Kind, lines)
	}
	for _, b := range lines {
		if b > '~' || b < ' ' && b != '\n' && b != '\t' {
			t.Errorf("%s: %#x in %q", e.Kind, b, lines)
		}
	}
	return lines
}

// The kinds that are told in several lines.
var severalLines = []chatroom.Kind{
	chatroom.KindWelcome, chatroom.KindRooms, chatroom.KindPreview, chatroom.KindBans, chatroom.KindActs, chatroom.KindHeld, chatroom.KindHold,
}

func TestThreat17LineInjection(t *testing.T) {
	front := pychat.Front{Home: "lobby", Location: time.UTC}
	for _, end := range []string{"\n", "\r", "\r\n", "\x00", "\v", "\f", "\u0085", "\u2028", "\u2029", "\xff\n", "\n\n"} {
		evil := "a" + end + "BAN" + end
		for _, e := range everyKind(evil, evil, evil, evil) {
			if slices.Contains(severalLines, e.Kind) {
				continue
			}
			most := 1
			if e.Kind == chatroom.KindError {
				most = 2 // the first says in the old server's words that it is one
			}
			if lines := bytes.Count(harmless(t, front, e), []byte("\n")); lines > most {
				t.Errorf("%q makes %d lines of %s", end, lines, e.Kind)
			}
		}
	}
}

func TestThreat18ControlCharacters(t *testing.T) {
	front := pychat.Front{Home: "lobby", Location: time.UTC}
	for r := range rune(0x3000) {
		if !unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			continue
		}
		evil := "a" + string(r) + "b"
		for _, e := range everyKind(evil, evil, evil, evil) {
			harmless(t, front, e)
		}
	}
}

func everyKind(from, nick, text, room string) (events []chatroom.Event) {
	member := []chatroom.MemberInfo{{Nick: nick}}
	for _, k := range []chatroom.Kind{
		chatroom.KindMessage, chatroom.KindAction, chatroom.KindNotice, chatroom.KindJoin, chatroom.KindLeave,
		chatroom.KindNick, chatroom.KindTopic, chatroom.KindDeleted, chatroom.KindKick, chatroom.KindBan,
		chatroom.KindMute, chatroom.KindUnmute, chatroom.KindSlow, chatroom.KindLock, chatroom.KindUnlock,
		chatroom.KindRole, chatroom.KindDelete, chatroom.KindRestore, chatroom.KindWelcome, chatroom.KindPrivate,
		chatroom.KindMembers, chatroom.KindRooms, chatroom.KindPong, chatroom.KindPing, chatroom.KindError,
		chatroom.KindBye, chatroom.KindAct, chatroom.KindPreview, chatroom.KindBans, chatroom.KindActs,
		chatroom.KindHeld, chatroom.KindHold,
	} {
		events = append(events, chatroom.Event{
			Kind: k, Seq: 1, ID: "greeting", From: from, Nick: nick, Text: text, Room: room,
			Act:     &chatroom.Act{Verb: chatroom.VerbKick, Reason: text},
			Report:  &chatroom.Report{Hits: member, Left: member, Notes: []string{text}, Held: []chatroom.Held{{Text: text}}, Bans: []chatroom.Ban{{Reason: text}}},
			Welcome: &chatroom.Welcome{Members: member, Topic: text, MOTD: text},
			Members: member,
			Rooms:   []chatroom.RoomInfo{{Room: room, Topic: text}},
			Err:     &chatroom.Error{Code: chatroom.CodeDenied, Text: text},
		})
	}
	return events
}
