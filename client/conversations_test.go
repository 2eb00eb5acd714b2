package client_test

import (
	"errors"
	"strings"

	"example.com/chatroom"
)

// conversations are held by TestClientsAlike. Their transcripts name who made which call ("<" is
// Receive) and what came out: an event, with its room and sequence number, or a refusal's code.
var conversations = []struct {
	name    string
	options []chatroom.Option
	hold    func(h *house)
	want    string
}{
	{
		name: "talking",
		hold: func(h *house) {
			ann, bob := h.join("ann"), h.join("bob")
			ann.until(chatroom.KindJoin, "bob")
			ann.does(chatroom.Say("", "hello <all> & \"sundry\"\t😀"))
			ann.does(chatroom.Action("lobby", "waves"))
			ann.does(chatroom.Topic("", "tea"))
			ann.does(chatroom.Rename("anna"))
			bob.does(chatroom.Private("anna", "psst"))
			bob.does(chatroom.Topic("", ""))
			ann.until(chatroom.KindTopic, "bob")
			bob.until(chatroom.KindTopic, "bob")
		},
		want: `
			ann < welcome lobby/0 ann seq=1 history=0 topic="" +ann
			ann < join lobby/1 ann
			bob < welcome lobby/0 bob seq=2 history=0 topic="" +ann +bob
			bob < join lobby/2 bob
			ann < join lobby/2 bob
			ann say message lobby/3 ann hello <all> & "sundry"	😀
			ann action action lobby/4 ann waves
			ann topic topic lobby/5 ann tea
			ann nick nick lobby/6 ann anna
			bob private private bob anna psst
			bob topic topic lobby/7 bob
			ann < message lobby/3 ann hello <all> & "sundry"	😀
			ann < action lobby/4 ann waves
			ann < topic lobby/5 ann tea
			ann < nick lobby/6 ann anna
			ann < private bob anna psst
			ann < topic lobby/7 bob
			bob < message lobby/3 ann hello <all> & "sundry"	😀
			bob < action lobby/4 ann waves
			bob < topic lobby/5 ann tea
			bob < nick lobby/6 ann anna
			bob < private bob anna psst
			bob < topic lobby/7 bob`,
	},
	{
		name: "answers come out of Send alone",
		hold: func(h *house) {
			ann := h.join("ann")
			ann.does(chatroom.Who(""))
			ann.does(chatroom.Command{Verb: chatroom.VerbRooms})
			ann.does(chatroom.Command{Verb: chatroom.VerbRoom, Room: "lobby"})
			ann.does(chatroom.Command{Verb: chatroom.VerbPing})
			ann.does(chatroom.Say("", " "))
			ann.does(chatroom.Say("", "done"))
			ann.next()
		},
		want: `
			ann < welcome lobby/0 ann seq=1 history=0 topic="" +ann
			ann < join lobby/1 ann
			ann who members lobby/0 +ann
			ann rooms rooms lobby(1)
			ann room rooms lobby/0 lobby(1)
			ann ping pong
			ann say ! text_invalid
			ann say message lobby/2 ann done
			ann < message lobby/2 ann done`,
	},
	{
		name: "refusals",
		hold: func(h *house) {
			ann := h.join("ann")
			h.join("bob")
			for _, cmd := range []chatroom.Command{
				chatroom.Say("", ""),
				chatroom.Say("", "\xff"),
				chatroom.Say("", strings.Repeat("x", 4097)),
				chatroom.Say("", strings.Repeat("x", 10_000)),
				chatroom.Say("attic", "hello"),
				chatroom.Private("nobody", "hello"),
				chatroom.Private("bob", ""),
				chatroom.Rename("bob"),
				chatroom.Rename("BOB"),
				chatroom.Rename("a b"),
				chatroom.JoinRoom("lobby"),
				chatroom.JoinRoom("a b"),
				chatroom.LeaveRoom("attic", ""),
				chatroom.Who("attic"),
				{Verb: chatroom.VerbRoom, Room: "attic"},
				{Verb: "dance"},
				{Verb: "pong"},
				{},
				{Verb: chatroom.VerbSay, Text: "hello", ID: "two words"},
				{Verb: chatroom.VerbSay, Text: "hello", ID: strings.Repeat("x", 65)},
			} {
				ann.does(cmd)
			}
			// The longest text goes through, whatever it is made of.
			if _, err := ann.Send(within(h.t), chatroom.Say("", strings.Repeat("<", 4096))); err != nil {
				h.t.Errorf("the longest text: %v", err)
			}
			h.turnedAway("bob")
			h.turnedAway("Bob")
			h.turnedAway("")
			h.turnedAway("a b")
			h.turnedAway("cid", "a b")
		},
		want: `
			ann < welcome lobby/0 ann seq=1 history=0 topic="" +ann
			ann < join lobby/1 ann
			bob < welcome lobby/0 bob seq=2 history=0 topic="" +ann +bob
			bob < join lobby/2 bob
			ann say ! text_invalid
			ann say ! text_invalid
			ann say ! text_too_long
			ann say ! text_too_long
			ann say ! not_in_room
			ann private ! no_such_nick
			ann private ! text_invalid
			ann nick ! nick_in_use
			ann nick ! nick_in_use
			ann nick ! nick_invalid
			ann join ! in_room
			ann join ! room_invalid
			ann leave ! not_in_room
			ann who ! not_in_room
			ann room ! no_such_room
			ann dance ! unknown_command
			ann pong ! unknown_command
			ann  ! unknown_command
			ann say ! bad_request
			ann say ! bad_request
			bob join ! nick_in_use
			Bob join ! nick_in_use
			 join ! nick_invalid
			a b join ! nick_invalid
			cid join ! room_invalid`,
	},
	{
		name: "a full house, and a ban",
		options: []chatroom.Option{
			brisk(chatroom.Limits{Members: 2, RoomsPerMember: 2}),
			chatroom.WithBanStore(chatroom.MemoryBans(chatroom.Ban{ID: "1", Kind: chatroom.BanNick, Value: "eve", Reason: "spam"})),
			chatroom.WithMOTD("be kind"),
		},
		hold: func(h *house) {
			ann := h.join("ann")
			h.turnedAway("Eve")
			ann.does(chatroom.Rename("eve"))
			ann.does(chatroom.JoinRoom("attic"))
			ann.does(chatroom.JoinRoom("cellar"))
			h.join("bob")
			h.turnedAway("cid")
		},
		want: `
			ann < welcome lobby/0 ann seq=1 history=0 topic="" +ann
			ann < join lobby/1 ann
			Eve join ! banned
			ann nick ! banned
			ann join welcome attic/0 ann seq=1 history=0 topic="" +ann
			ann join ! full
			bob < welcome lobby/0 bob seq=2 history=0 topic="" +ann +bob
			bob < join lobby/2 bob
			cid join ! full`,
	},
	{
		name: "several rooms",
		hold: func(h *house) {
			ann := h.join("ann", "attic")
			ann.does(chatroom.JoinRoom("#Cellar"))
			ann.until(chatroom.KindJoin, "ann")
			ann.does(chatroom.Say("", "where?"))
			ann.does(chatroom.Say("cellar", "dark here"))
			ann.next() // the order between rooms is nobody's promise
			ann.does(chatroom.Rename("anna"))
			ann.next()
			ann.next()
			ann.does(chatroom.LeaveRoom("Attic", "dust"))
			ann.next()
			ann.does(chatroom.Say("attic", "anybody?"))
			ann.does(chatroom.Say("", "only here"))
			ann.does(chatroom.LeaveRoom("", ""))
			ann.does(chatroom.Say("", "nowhere"))
			ann.does(chatroom.Rename("ann"))
			ann.until(chatroom.KindNick, "anna")
		},
		want: `
			ann < welcome attic/0 ann seq=1 history=0 topic="" +ann
			ann < join attic/1 ann
			ann join welcome Cellar/0 ann seq=1 history=0 topic="" +ann
			ann < welcome Cellar/0 ann seq=1 history=0 topic="" +ann
			ann < join Cellar/1 ann
			ann say ! not_in_room
			ann say message Cellar/2 ann dark here
			ann < message Cellar/2 ann dark here
			ann nick nick attic/2 ann anna
			ann < nick attic/2 ann anna
			ann < nick Cellar/3 ann anna
			ann leave leave attic/3 anna dust
			ann < leave attic/3 anna dust
			ann say ! not_in_room
			ann say message Cellar/4 anna only here
			ann leave leave Cellar/5 anna
			ann say ! not_in_room
			ann nick nick anna ann
			ann < message Cellar/4 anna only here
			ann < leave Cellar/5 anna
			ann < nick anna ann`,
	},
	{
		name: "history",
		hold: func(h *house) {
			ann := h.join("ann")
			ann.does(chatroom.Say("", "one"))
			ann.does(chatroom.Topic("", "tea"))
			ann.does(chatroom.Action("", "waits"))
			bob := h.join("bob")
			bob.does(chatroom.Say("", "two"))
			bob.until(chatroom.KindMessage, "bob")
			// Who comes back finds what was missed, and the own words, as history.
			bob.does(chatroom.JoinRoom("attic"))
			bob.does(chatroom.LeaveRoom("lobby", ""))
			ann.does(chatroom.Say("", "three"))
			bob.does(chatroom.JoinRoom("lobby"))
			bob.until(chatroom.KindMessage, "ann")
			bob.until(chatroom.KindMessage, "ann")
			bob.until(chatroom.KindJoin, "bob")
		},
		want: `
			ann < welcome lobby/0 ann seq=1 history=0 topic="" +ann
			ann < join lobby/1 ann
			ann say message lobby/2 ann one
			ann topic topic lobby/3 ann tea
			ann action action lobby/4 ann waits
			bob < welcome lobby/0 bob seq=5 history=3 topic="tea" +ann +bob
			bob < earlier message lobby/2 ann one
			bob < earlier topic lobby/3 ann tea
			bob < earlier action lobby/4 ann waits
			bob < join lobby/5 bob
			bob say message lobby/6 bob two
			bob < message lobby/6 bob two
			bob join welcome attic/0 bob seq=1 history=0 topic="" +bob
			bob leave leave lobby/7 bob
			ann say message lobby/8 ann three
			bob join welcome lobby/0 bob seq=9 history=7 topic="tea" +ann +bob
			bob < welcome attic/0 bob seq=1 history=0 topic="" +bob
			bob < join attic/1 bob
			bob < leave lobby/7 bob
			bob < welcome lobby/0 bob seq=9 history=7 topic="tea" +ann +bob
			bob < earlier message lobby/2 ann one
			bob < earlier topic lobby/3 ann tea
			bob < earlier action lobby/4 ann waits
			bob < earlier join lobby/5 bob
			bob < earlier message lobby/6 bob two
			bob < earlier leave lobby/7 bob
			bob < earlier message lobby/8 ann three
			bob < join lobby/9 bob`,
	},
	{
		name: "what one says in public and in private keeps its order",
		hold: func(h *house) {
			ann, bob := h.join("ann"), h.join("bob")
			for range 3 {
				ann.does(chatroom.Say("", "public"))
				ann.does(chatroom.Private("bob", "private"))
			}
			ann.does(chatroom.Private("ann", "to myself"))
			for range 6 {
				bob.next()
			}
			ann.until(chatroom.KindJoin, "bob")
			for range 7 {
				ann.next()
			}
		},
		want: `
			ann < welcome lobby/0 ann seq=1 history=0 topic="" +ann
			ann < join lobby/1 ann
			bob < welcome lobby/0 bob seq=2 history=0 topic="" +ann +bob
			bob < join lobby/2 bob
			ann say message lobby/3 ann public
			ann private private ann bob private
			ann say message lobby/4 ann public
			ann private private ann bob private
			ann say message lobby/5 ann public
			ann private private ann bob private
			ann private private ann ann to myself
			bob < message lobby/3 ann public
			bob < private ann bob private
			bob < message lobby/4 ann public
			bob < private ann bob private
			bob < message lobby/5 ann public
			bob < private ann bob private
			ann < join lobby/2 bob
			ann < message lobby/3 ann public
			ann < private ann bob private
			ann < message lobby/4 ann public
			ann < private ann bob private
			ann < message lobby/5 ann public
			ann < private ann bob private
			ann < private ann ann to myself`,
	},
	{
		name: "ids come back to all",
		hold: func(h *house) {
			ann, bob := h.join("ann"), h.join("bob")
			ann.until(chatroom.KindJoin, "bob")
			// Another member's id is anybody's to use.
			for _, g := range []*guest{ann, bob} {
				if e, err := g.does(chatroom.Command{Verb: chatroom.VerbSay, ID: "my-1", Text: g.name}); e.ID != "my-1" {
					h.t.Errorf("the id is %q, %v", e.ID, err)
				}
			}
			if e, err := ann.does(chatroom.Command{Verb: chatroom.VerbWho, ID: "my-2"}); e.ID != "my-2" {
				h.t.Errorf("the id is %q, %v", e.ID, err)
			}
			ann.until(chatroom.KindMessage, "bob")
			bob.until(chatroom.KindMessage, "bob")
		},
		want: `
			ann < welcome lobby/0 ann seq=1 history=0 topic="" +ann
			ann < join lobby/1 ann
			bob < welcome lobby/0 bob seq=2 history=0 topic="" +ann +bob
			bob < join lobby/2 bob
			ann < join lobby/2 bob
			ann say message lobby/3 ann ann
			bob say message lobby/4 bob bob
			ann who members lobby/0 +ann +bob
			ann < message lobby/3 ann ann
			ann < message lobby/4 bob bob
			bob < message lobby/3 ann ann
			bob < message lobby/4 bob bob`,
	},
	{
		name: "quitting",
		hold: func(h *house) {
			ann, bob := h.join("ann"), h.join("bob")
			bob.does(chatroom.Say("", "bye all"))
			if e, err := bob.does(chatroom.Command{Verb: chatroom.VerbQuit, ID: "my-quit", Text: "tired"}); e.ID != "my-quit" {
				h.t.Errorf("the id is %q, %v", e.ID, err)
			}
			bob.ends()
			bob.ends()
			bob.does(chatroom.Say("", "late"))
			bob.does(chatroom.Quit(""))
			ann.until(chatroom.KindLeave, "bob")
			bob.Close()
			bob.does(chatroom.Say("", "later"))
		},
		want: `
			ann < welcome lobby/0 ann seq=1 history=0 topic="" +ann
			ann < join lobby/1 ann
			bob < welcome lobby/0 bob seq=2 history=0 topic="" +ann +bob
			bob < join lobby/2 bob
			bob say message lobby/3 bob bye all
			bob quit bye
			bob < message lobby/3 bob bye all
			bob < ! closed
			bob < ! closed
			bob say ! closed
			bob quit ! closed
			ann < join lobby/2 bob
			ann < message lobby/3 bob bye all
			ann < leave lobby/4 bob tired
			bob say ! closed`,
	},
	{
		name: "closing",
		hold: func(h *house) {
			ann, bob := h.join("ann"), h.enter("bob")
			bob.does(chatroom.Say("", "hello"))
			for range 2 {
				if err := bob.Close(); err != nil {
					h.t.Errorf("Close: %v", err)
				}
			}
			bob.does(chatroom.Say("", "late"))
			bob.does(chatroom.Command{})
			bob.ends()
			bob.ends()
			ann.until(chatroom.KindLeave, "bob")
			if _, err := bob.Receive(within(h.t)); !errors.Is(err, chatroom.ErrClosed) {
				h.t.Errorf("Receive: %v", err)
			}
		},
		want: `
			ann < welcome lobby/0 ann seq=1 history=0 topic="" +ann
			ann < join lobby/1 ann
			bob say message lobby/3 bob hello
			bob say ! closed
			bob  ! closed
			bob < welcome lobby/0 bob seq=2 history=0 topic="" +ann +bob
			bob < join lobby/2 bob
			bob < message lobby/3 bob hello
			bob < ! closed
			bob < ! closed
			ann < join lobby/2 bob
			ann < message lobby/3 bob hello
			ann < leave lobby/4 bob`,
	},
}
