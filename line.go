package chatroom

import (
	"fmt"
	"strconv"
	"strings"
)

// VerbHelp is what ParseLine makes of /help. Whoever asked ParseLine answers it, with Help; a
// room does not know it.
const VerbHelp Verb = "help"

// A typed is a command as people type it.
type typed struct {
	names []string
	args  string // as /help shows them
	help  string
	role  Role // the lowest that may use it
	// parse takes what follows the name, without white space around it; false means that
	// arguments are missing or wrong.
	parse func(rest string) (Command, bool)
}

var typedCommands = []typed{
	{[]string{"me"}, "TEXT", "do something: /me waves", RoleMember, withText(VerbAction)},
	{[]string{"msg", "w"}, "NICK TEXT", "tell one member something", RoleMember, func(rest string) (Command, bool) {
		nick, text := cutWord(rest)
		return Private(nick, text), text != ""
	}},
	{[]string{"nick"}, "NICK", "change your nickname", RoleMember, func(rest string) (Command, bool) {
		return Rename(rest), rest != ""
	}},
	{[]string{"who", "names"}, "[ROOM]", "list who is here", RoleMember, withRoom(VerbWho)},
	{[]string{"topic"}, "[TEXT]", "show the topic, or set it; /topic - clears it", RoleMember, parseTopic},
	{[]string{"join", "j"}, "ROOM", "join a room, or turn to one you are in", RoleMember, func(rest string) (Command, bool) {
		return JoinRoom(rest), rest != ""
	}},
	{[]string{"leave", "part"}, "[ROOM]", "leave a room", RoleMember, withRoom(VerbLeave)},
	{[]string{"rooms", "list"}, "", "list the rooms", RoleMember, func(string) (Command, bool) {
		return Command{Verb: VerbRooms}, true
	}},
	{[]string{"history"}, "[COUNT]", "show again what happened here lately: /history 100", RoleMember, func(rest string) (Command, bool) {
		if rest == "" {
			return Command{Verb: VerbHistory}, true
		}
		n, err := strconv.Atoi(rest)
		return Command{Verb: VerbHistory, Count: n}, err == nil && n > 0
	}},
	{[]string{"kick"}, "NICK [REASON]", "end a member, who may come back", RoleModerator, parseKick},
	{[]string{"ban"}, "[-n] [-f] WHO [TIME] [REASON]", "keep somebody out: /ban bob 2h spam; -n shows whom it would hit", RoleModerator, parseBan(VerbBan)},
	{[]string{"unban"}, "WHO [REASON]", "let them in again, by nick, target or the ban's id", RoleModerator, parseBan(VerbUnban)},
	{[]string{"allow"}, "WHO [TIME] [REASON]", "let somebody in and speak in spite of bans", RoleModerator, parseBan(VerbAllow)},
	{[]string{"bans"}, "[WHO]", "list the bans, mutes and allowances", RoleModerator, parseBans},
	{[]string{"mute"}, "[-n] [-f] WHO [TIME] [REASON]", "keep somebody from speaking", RoleModerator, parseBan(VerbMute)},
	{[]string{"unmute"}, "WHO [REASON]", "let them speak again", RoleModerator, parseBan(VerbUnmute)},
	{[]string{"slow"}, "EVERY|off [TIME] [REASON]", "slow mode: /slow 10s", RoleModerator, parseSlow},
	{[]string{"lock"}, "[accounts] [TIME] [REASON]", "let nobody new in, or no guests", RoleModerator, parseLock},
	{[]string{"unlock"}, "[REASON]", "let everybody in", RoleModerator, func(rest string) (Command, bool) {
		return Command{Verb: VerbUnlock, Reason: rest}, true
	}},
	{[]string{"promote"}, "NICK [moderator|admin] [REASON]", "give a role, until they leave", RoleAdmin, parseRole(VerbPromote)},
	{[]string{"demote"}, "NICK [member|moderator] [REASON]", "take a role away", RoleAdmin, parseRole(VerbDemote)},
	{[]string{"delete", "del"}, "NICK [COUNT] [REASON] | #NUMBER [REASON]", "delete the last message, or the last few", RoleModerator, parseDelete},
	{[]string{"clear"}, "NICK [REASON]", "delete all that somebody said lately", RoleModerator, func(rest string) (Command, bool) {
		nick, reason := cutWord(rest)
		return Command{Verb: VerbClear, Nick: nick, Reason: reason}, nick != ""
	}},
	{[]string{"undo"}, "[ID | NICK TIME]", "take back your last act, one, or somebody's last ones", RoleModerator, parseUndo},
	{[]string{"acts"}, "[NICK]", "list the latest acts", RoleModerator, func(rest string) (Command, bool) {
		return Command{Verb: VerbActs, Nick: rest}, true
	}},
	{[]string{"held"}, "", "list the messages that wait for you", RoleModerator, func(string) (Command, bool) {
		return Command{Verb: VerbHeld}, true
	}},
	{[]string{"approve"}, "ID [REASON]", "let a held message be said", RoleModerator, parseRef(VerbApprove)},
	{[]string{"reject"}, "ID [REASON]", "drop a held message", RoleModerator, parseRef(VerbReject)},
	{[]string{"help", "?"}, "", "show this", RoleMember, func(string) (Command, bool) {
		return Command{Verb: VerbHelp}, true
	}},
	{[]string{"quit", "exit"}, "[REASON]", "leave the chat", RoleMember, func(rest string) (Command, bool) {
		return Quit(rest), true
	}},
}

// usage says how the command is used by one of its names.
func (t *typed) usage(name string) string {
	text := fmt.Sprintf("usage: /%s %s", name, t.args)
	if strings.Contains(t.args, "[TIME]") {
		text += "; a time is 90s, 10m, 2h, 1d12h or 2w, and a reason begins with no digit"
	}
	return text
}

func withText(v Verb) func(string) (Command, bool) {
	return func(rest string) (Command, bool) { return Command{Verb: v, Text: rest}, rest != "" }
}

func withRoom(v Verb) func(string) (Command, bool) {
	return func(rest string) (Command, bool) { return Command{Verb: v, Room: rest}, true }
}

// parseTopic reads the arguments of /topic. Without any it asks for the room, which comes with
// its topic.
func parseTopic(rest string) (Command, bool) {
	switch rest {
	case "":
		return Command{Verb: VerbRoom}, true
	case "-":
		rest = ""
	}
	return Command{Verb: VerbTopic, Text: rest}, true
}

// ParseLine turns a line that somebody typed into a command. A line that does not begin with / is
// said; two slashes say one. $kick and $ban are /kick and /ban. An Error with CodeUnknownCommand or CodeBadRequest tells what is
// wrong with any other. A command without a room is meant for the one they are talking in.
func ParseLine(line string) (Command, error) {
	line = strings.TrimRight(line, " \t")
	if word, _ := cutWord(line); strings.HasPrefix(line, word) && (strings.EqualFold(word, "$kick") || strings.EqualFold(word, "$ban")) {
		line = "/" + line[1:]
	}
	if !strings.HasPrefix(line, "/") {
		return Say("", line), nil
	}
	if strings.HasPrefix(line, "//") {
		return Say("", line[1:]), nil
	}
	name, rest := cutWord(line[1:])
	for _, t := range typedCommands {
		for _, n := range t.names {
			if !strings.EqualFold(n, name) {
				continue
			}
			cmd, ok := t.parse(rest)
			if !ok {
				return Command{}, &Error{Code: CodeBadRequest, Text: t.usage(n)}
			}
			cmd.cutNote()
			return cmd, nil
		}
	}
	return Command{}, &Error{Code: CodeUnknownCommand, Text: "unknown command; /help lists those there are, // says a slash"}
}

// cutWord returns the first word of s and what follows it.
func cutWord(s string) (word, rest string) {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}

// Help returns the commands that ParseLine knows and a member with that role may use, one a line.
func Help(role Role) string {
	var lines, helps []string
	width := 0
	for _, t := range typedCommands {
		if t.role > role {
			continue
		}
		line := strings.TrimSpace("/" + t.names[0] + " " + t.args)
		lines, helps, width = append(lines, line), append(helps, t.help), max(width, len(line))
	}
	for i := range lines {
		lines[i] = fmt.Sprintf("%-*s  %s", width, lines[i], helps[i])
	}
	return strings.Join(lines, "\n")
}
