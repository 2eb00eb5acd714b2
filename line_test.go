package chatroom_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

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
		{"/history", chatroom.Command{Verb: chatroom.VerbHistory}},
		{"/history 100", chatroom.Command{Verb: chatroom.VerbHistory, Count: 100}},
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
		switch name {
		case "/slow":
			cmd, err = chatroom.ParseLine("/slow 10s")
		case "/history":
			cmd, err = chatroom.ParseLine("/history 10")
		}
		if err != nil || cmd.Verb == chatroom.VerbSay {
			t.Errorf("Help lists %s: %+v, %v", name, cmd, err)
		}
		listed[cmd.Verb] = true
	}
	for _, verb := range []chatroom.Verb{
		chatroom.VerbAction, chatroom.VerbPrivate, chatroom.VerbNick, chatroom.VerbJoin, chatroom.VerbLeave,
		chatroom.VerbTopic, chatroom.VerbWho, chatroom.VerbRooms, chatroom.VerbHelp, chatroom.VerbQuit,
		chatroom.VerbKick, chatroom.VerbBan, chatroom.VerbUnban, chatroom.VerbAllow, chatroom.VerbBans,
		chatroom.VerbMute, chatroom.VerbUnmute, chatroom.VerbSlow, chatroom.VerbLock, chatroom.VerbUnlock,
		chatroom.VerbPromote, chatroom.VerbDemote, chatroom.VerbDelete, chatroom.VerbClear, chatroom.VerbUndo,
		chatroom.VerbActs, chatroom.VerbHeld, chatroom.VerbApprove, chatroom.VerbReject,
	} {
		if !listed[verb] {
			t.Errorf("Help has nothing for %q", verb)
		}
	}
}

// helpFor returns the commands that Help lists for a role, without their descriptions.
func helpFor(role chatroom.Role) (lines []string) {
	for line := range strings.Lines(chatroom.Help(role)) {
		command, _, _ := strings.Cut(line, "  ")
		lines = append(lines, command)
	}
	return lines
}

func TestHelpListsWhatARoleMayUse(t *testing.T) {
	member, moderator, admin := helpFor(chatroom.RoleMember), helpFor(chatroom.RoleModerator), helpFor(chatroom.RoleAdmin)
	for _, tt := range []struct {
		command          string
		member, mod, adm bool
	}{
		{"/me TEXT", true, true, true},
		{"/kick NICK [REASON]", false, true, true},
		{"/ban [-n] [-f] WHO [TIME] [REASON]", false, true, true},
		{"/promote NICK [moderator|admin] [REASON]", false, false, true},
	} {
		got := []bool{slices.Contains(member, tt.command), slices.Contains(moderator, tt.command), slices.Contains(admin, tt.command)}
		if diff := cmp.Diff([]bool{tt.member, tt.mod, tt.adm}, got); diff != "" {
			t.Errorf("who is told of %s: -want +got\n%s", tt.command, diff)
		}
	}
}

func TestWhatModeratorsType(t *testing.T) {
	const h = time.Hour
	for line, want := range map[string]chatroom.Command{
		"/kick bob":                      {Verb: "kick", Nick: "bob"},
		"/kick bob spam // third time":   {Verb: "kick", Nick: "bob", Reason: "spam", Note: "third time"},
		"/kick bob // third time":        {Verb: "kick", Nick: "bob", Note: "third time"},
		"/kick bob see http://x.example": {Verb: "kick", Nick: "bob", Reason: "see http://x.example"},
		"/unban bob sorry // was me":     {Verb: "unban", Nick: "bob", Reason: "sorry", Note: "was me"},
		"/slow 10s 1h // raid":           {Verb: "slow", Every: 10 * time.Second, For: h, Note: "raid"},
		"/lock raid // from the forum":   {Verb: "lock", Reason: "raid", Note: "from the forum"},
		"/unlock over // for now":        {Verb: "unlock", Reason: "over", Note: "for now"},
		"/demote bob // asked for it":    {Verb: "demote", Nick: "bob", Note: "asked for it"},
		"/delete bob 3 rude // and how":  {Verb: "delete", Nick: "bob", Count: 3, Reason: "rude", Note: "and how"},
		"/clear bob // all of it":        {Verb: "clear", Nick: "bob", Note: "all of it"},
		"/undo abc123 sorry // wrong":    {Verb: "undo", Ref: "abc123", Reason: "sorry", Note: "wrong"},
		"/reject abc123 no // again":     {Verb: "reject", Ref: "abc123", Reason: "no", Note: "again"},
		"/topic tea // at four":          {Verb: "topic", Text: "tea // at four"},
		"/quit tea // at four":           {Verb: "quit", Text: "tea // at four"},
		"$kick bob get out":              {Verb: "kick", Nick: "bob", Reason: "get out"},
		"$KICK\tbob":                     {Verb: "kick", Nick: "bob"},
		" $kick bob":                     {Verb: "say", Text: " $kick bob"},
		"$ban bob":                       {Verb: "ban", Nick: "bob"},
		"/ban bob 2h spam // third time": {Verb: "ban", Nick: "bob", For: 2 * h, Reason: "spam", Note: "third time"},
		"/ban -n 10.0.0.0/8":             {Verb: "ban", Target: "10.0.0.0/8", Preview: true},
		"/ban -f -n spam* 1d12h":         {Verb: "ban", Target: "spam*", For: 36 * h, Force: true, Preview: true},
		"/ban account:bob":               {Verb: "ban", Target: "account:bob"},
		"/ban nick:bob":                  {Verb: "ban", Target: "nick:bob"},
		"/unban bob sorry":               {Verb: "unban", Nick: "bob", Reason: "sorry"},
		"/allow 10.1.2.3 1w guest":       {Verb: "allow", Target: "10.1.2.3", For: 7 * 24 * h, Reason: "guest"},
		"/bans":                          {Verb: "bans"},
		"/mute bob 90s // he knows":      {Verb: "mute", Nick: "bob", For: 90 * time.Second, Note: "he knows"},
		"/unmute bob":                    {Verb: "unmute", Nick: "bob"},
		"/slow 10":                       {Verb: "slow", Every: 10 * time.Second},
		"/slow 1m 1h too fast":           {Verb: "slow", Every: time.Minute, For: h, Reason: "too fast"},
		"/slow off":                      {Verb: "slow"},
		"/lock":                          {Verb: "lock"},
		"/lock accounts 10m raid":        {Verb: "lock", Accounts: true, For: 10 * time.Minute, Reason: "raid"},
		"/unlock over":                   {Verb: "unlock", Reason: "over"},
		"/promote bob":                   {Verb: "promote", Nick: "bob"},
		"/promote bob admin for tonight": {Verb: "promote", Nick: "bob", Role: chatroom.RoleAdmin, Reason: "for tonight"},
		"/demote bob enough":             {Verb: "demote", Nick: "bob", Reason: "enough"},
		"/delete bob":                    {Verb: "delete", Nick: "bob"},
		"/delete bob 3 rude":             {Verb: "delete", Nick: "bob", Count: 3, Reason: "rude"},
		"/delete #42 rude":               {Verb: "delete", Seq: 42, Reason: "rude"},
		"/clear bob":                     {Verb: "clear", Nick: "bob"},
		"/undo":                          {Verb: "undo"},
		"/undo abc123 a mistake":         {Verb: "undo", Ref: "abc123", Reason: "a mistake"},
		"/undo ann 10m":                  {Verb: "undo", Nick: "ann", For: 10 * time.Minute},
		"/acts":                          {Verb: "acts"},
		"/held":                          {Verb: "held"},
		"/approve abc123":                {Verb: "approve", Ref: "abc123"},
		"/reject abc123 not here":        {Verb: "reject", Ref: "abc123", Reason: "not here"},
		"$5 for lunch?":                  {Verb: "say", Text: "$5 for lunch?"},
		"$banana is a currency":          {Verb: "say", Text: "$banana is a currency"},
		"/ban bob two weeks":             {Verb: "ban", Nick: "bob", Reason: "two weeks"},
		"/ban bob 2h 3 strikes":          {Verb: "ban", Nick: "bob", For: 2 * h, Reason: "3 strikes"},
		"/ban bob - spam":                {Verb: "ban", Nick: "bob", Reason: "- spam"},
		"/unban bob 2 complaints":        {Verb: "unban", Nick: "bob", Reason: "2 complaints"},
		"/undo abc123 2 mistakes":        {Verb: "undo", Ref: "abc123", Reason: "2 mistakes"},
	} {
		got, err := chatroom.ParseLine(line)
		if err != nil {
			t.Errorf("ParseLine(%q): %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseLine(%q): -want +got\n%s", line, diff)
		}
	}
	for _, line := range []string{"/kick", "/ban", "$ban", "/ban -n", "/slow", "/slow fast", "/delete", "/delete #x", "/clear", "/approve"} {
		if cmd, err := chatroom.ParseLine(line); !errors.Is(err, chatroom.ErrBadRequest) {
			t.Errorf("ParseLine(%q) = %+v, %v", line, cmd, err)
		}
	}
}

// What was meant as a time, or as an option, does not become the reason of an act that lasts for ever.
func TestWhatIsNearlyATimeIsRefused(t *testing.T) {
	for _, line := range []string{
		"/ban bob 2 weeks", "/ban bob 2weeks spam", "/ban bob 2x", "/ban bob 1mo", "/ban bob 10", "/ban bob 0s", "/ban bob -5m",
		"/ban bob +5m", "/ban bob 9999999999999w", "/ban bob 1.5h", "$ban bob 10 min", "/mute bob 10 min rude", "/allow bob 1y",
		"/slow 10s 5 min", "/slow off 10", "/lock 10 min raid", "/lock accounts 1month",
		"/ban 10.0.0.0/8 -n", "/mute bob -f spam", "/ban spam* -n 1h", "/ban spam* 1h -n",
	} {
		cmd, err := chatroom.ParseLine(line)
		if !errors.Is(err, chatroom.ErrBadRequest) || !strings.Contains(err.Error(), "10m") {
			t.Errorf("ParseLine(%q) = %+v, %v; want a refusal that shows how a time is written", line, cmd, err)
		}
	}
}

func FuzzTextLine(f *testing.F) {
	for _, line := range []string{
		"", "hi ", "//hi", "/me hi", "/msg bob hi", "/", "/ ", "$5", "/topic -", "\xff", "/\x00", " /quit", "/ban -n bob 1h30m spam", "$kick bob", "/lock accounts 5m", "/delete #7",
		"/ban " + strings.Repeat("-n ", 1000),
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		cmd, err := chatroom.ParseLine(line)
		mustAllocate(t, 4*len(line)+512, func() { _, _ = chatroom.ParseLine(line) }) // it says the same
		switch {
		case err != nil:
			if !errors.Is(err, chatroom.ErrUnknownCommand) && !errors.Is(err, chatroom.ErrBadRequest) {
				t.Fatalf("ParseLine(%q): %v", line, err)
			}
			if !command(line) || !cmp.Equal(cmd, chatroom.Command{}) {
				t.Fatalf("ParseLine(%q) = %+v, %v", line, cmd, err)
			}
		case cmd.Verb == chatroom.VerbSay:
			if !strings.HasSuffix(strings.TrimRight(line, " \t"), cmd.Text) || len(line) > 0 && line[0] == '/' && len(cmd.Text) >= len(line) {
				t.Fatalf("ParseLine(%q) says %q", line, cmd.Text)
			}
		case !command(line):
			t.Fatalf("ParseLine(%q) = %+v", line, cmd)
		}
	})
}

// command reports whether a line may be a command.
func command(line string) bool {
	return strings.HasPrefix(line, "/") || strings.HasPrefix(line, "$")
}
