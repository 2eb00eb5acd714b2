package pychat_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

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
			line := front.AppendEvent([]byte("before\n"), &e)
			line, ok := bytes.CutPrefix(line, []byte("before\n"))
			if !ok || len(line) > 0 && line[len(line)-1] != '\n' {
				t.Errorf("%s: %q", e.Kind, line)
			}
			for _, b := range line {
				if b > '~' || b < ' ' && b != '\n' && b != '\t' {
					t.Errorf("%s: %#x in %q", e.Kind, b, line)
				}
			}
			if slices.Contains(words, strings.TrimSpace(string(line))) {
				t.Errorf("%s: %q", e.Kind, line)
			}
		}
	})
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
