package chatroom

import (
	"fmt"
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
	// arguments are missing.
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
	{[]string{"help", "?"}, "", "show this", RoleMember, func(string) (Command, bool) {
		return Command{Verb: VerbHelp}, true
	}},
	{[]string{"quit", "exit"}, "[REASON]", "leave the chat", RoleMember, func(rest string) (Command, bool) {
		return Quit(rest), true
	}},
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
// said; two slashes say one. An Error with CodeUnknownCommand or CodeBadRequest tells what is
// wrong with any other. A command without a room is meant for the one they are talking in.
func ParseLine(line string) (Command, error) {
	line = strings.TrimRight(line, " \t")
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
				return Command{}, &Error{Code: CodeBadRequest, Text: fmt.Sprintf("usage: /%s %s", n, t.args)}
			}
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
	var b strings.Builder
	for _, t := range typedCommands {
		if t.role > role {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%-18s %s", strings.TrimSpace("/"+t.names[0]+" "+t.args), t.help)
	}
	return b.String()
}
