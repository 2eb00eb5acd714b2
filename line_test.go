package chatroom_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

func TestParseLine(t *testing.T) {
	tests := []struct {
		line string
		want chatroom.Command
	}{
		{"Hello, everybody!", chatroom.Say("", "Hello, everybody!")},
		{"  indented  ", chatroom.Say("", "  indented")},
		{"$5 for lunch?", chatroom.Say("", "$5 for lunch?")},
		{"and/or", chatroom.Say("", "and/or")},
		{" /me waves", chatroom.Say("", " /me waves")},
		{"", chatroom.Say("", "")},
		{"//", chatroom.Say("", "/")},
		{"//me is a command", chatroom.Say("", "/me is a command")},
		{"///", chatroom.Say("", "//")},

		{"/me waves  wildly ", chatroom.Action("", "waves  wildly")},
		{"/ME waves", chatroom.Action("", "waves")},
		{"/ me waves", chatroom.Action("", "waves")},
		{"/msg bob  Lunch at  noon?", chatroom.Private("bob", "Lunch at  noon?")},
		{"/msg\tbob\tLunch?", chatroom.Private("bob", "Lunch?")},
		{"/w bob /me", chatroom.Private("bob", "/me")},
		{"/nick  anna", chatroom.Rename("anna")},
		{"/nick an na", chatroom.Rename("an na")},
		{"/who", chatroom.Who("")},
		{"/who den", chatroom.Who("den")},
		{"/names #den", chatroom.Who("#den")},
		{"/topic Lunch at noon", chatroom.Topic("", "Lunch at noon")},
		{"/topic -", chatroom.Topic("", "")},
		{"/topic", chatroom.Command{Verb: chatroom.VerbRoom}},
		{"/join den", chatroom.JoinRoom("den")},
		{"/j #den", chatroom.JoinRoom("#den")},
		{"/leave", chatroom.LeaveRoom("", "")},
		{"/part den", chatroom.LeaveRoom("den", "")},
		{"/rooms", chatroom.Command{Verb: chatroom.VerbRooms}},
		{"/list", chatroom.Command{Verb: chatroom.VerbRooms}},
		{"/help", chatroom.Command{Verb: chatroom.VerbHelp}},
		{"/? me", chatroom.Command{Verb: chatroom.VerbHelp}},
		{"/quit", chatroom.Quit("")},
		{"/exit gone home", chatroom.Quit("gone home")},
	}
	for _, tt := range tests {
		got, err := chatroom.ParseLine(tt.line)
		if err != nil {
			t.Errorf("ParseLine(%q): %v", tt.line, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ParseLine(%q) (-want +got):\n%s", tt.line, diff)
		}
	}
}

func TestWhatParseLineRefuses(t *testing.T) {
	tests := []struct {
		line string
		want error
		says string
	}{
		{"/", chatroom.ErrUnknownCommand, "/help"},
		{"/ ", chatroom.ErrUnknownCommand, "/help"},
		{"/dance", chatroom.ErrUnknownCommand, "//"},
		{"/mé waves", chatroom.ErrUnknownCommand, "//"},
		{"/usr/bin/env", chatroom.ErrUnknownCommand, "//"},
		{"/me", chatroom.ErrBadRequest, "/me TEXT"},
		{"/me \t ", chatroom.ErrBadRequest, "/me TEXT"},
		{"/msg", chatroom.ErrBadRequest, "/msg NICK TEXT"},
		{"/msg bob", chatroom.ErrBadRequest, "/msg NICK TEXT"},
		{"/W bob ", chatroom.ErrBadRequest, "/w NICK TEXT"},
		{"/nick", chatroom.ErrBadRequest, "/nick NICK"},
		{"/join", chatroom.ErrBadRequest, "/join ROOM"},
	}
	for _, tt := range tests {
		cmd, err := chatroom.ParseLine(tt.line)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("ParseLine(%q) = %+v, %v; want %v that says %q", tt.line, cmd, err, tt.want, tt.says)
		}
	}
}

// Each line of Help begins with a command; given arguments, ParseLine knows it.
func TestHelpListsEveryCommand(t *testing.T) {
	listed := make(map[chatroom.Verb]bool)
	for line := range strings.Lines(chatroom.Help(chatroom.RoleAdmin)) {
		name, _, _ := strings.Cut(line, " ")
		cmd, err := chatroom.ParseLine(name + " some arguments")
		if err != nil || cmd.Verb == chatroom.VerbSay {
			t.Errorf("Help lists %s: %+v, %v", name, cmd, err)
		}
		listed[cmd.Verb] = true
	}
	for _, verb := range []chatroom.Verb{
		chatroom.VerbAction, chatroom.VerbPrivate, chatroom.VerbNick, chatroom.VerbJoin, chatroom.VerbLeave,
		chatroom.VerbTopic, chatroom.VerbWho, chatroom.VerbRooms, chatroom.VerbHelp, chatroom.VerbQuit,
	} {
		if !listed[verb] {
			t.Errorf("Help has nothing for %q", verb)
		}
	}
}

func TestHelpForAMemberListsNothingMoreThanForAnAdmin(t *testing.T) {
	all := chatroom.Help(chatroom.RoleAdmin)
	for line := range strings.Lines(chatroom.Help(chatroom.RoleMember)) {
		if !strings.Contains(all+"\n", strings.TrimSuffix(line, "\n")+"\n") {
			t.Errorf("only a member is told of %q", line)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	for _, line := range []string{"", "hi ", "//hi", "/me hi", "/msg bob hi", "/", "/ ", "$5", "/topic -", "\xff", "/\x00", " /quit"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		cmd, err := chatroom.ParseLine(line)
		switch {
		case err != nil:
			if !errors.Is(err, chatroom.ErrUnknownCommand) && !errors.Is(err, chatroom.ErrBadRequest) {
				t.Fatalf("ParseLine(%q): %v", line, err)
			}
			if !strings.HasPrefix(line, "/") || cmd != (chatroom.Command{}) {
				t.Fatalf("ParseLine(%q) = %+v, %v", line, cmd, err)
			}
		case cmd.Verb == chatroom.VerbSay:
			if !strings.HasSuffix(strings.TrimRight(line, " \t"), cmd.Text) || len(line) > 0 && line[0] == '/' && len(cmd.Text) >= len(line) {
				t.Fatalf("ParseLine(%q) says %q", line, cmd.Text)
			}
		case !strings.HasPrefix(line, "/"):
			t.Fatalf("ParseLine(%q) = %+v", line, cmd)
		}
	})
}
