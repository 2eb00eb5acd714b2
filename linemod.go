package chatroom

import (
	"strconv"
	"strings"
	"time"
)

// How moderators type: the arguments of their commands.

func parseKick(rest string) (Command, bool) {
	nick, reason := cutWord(rest)
	return Kick(nick, reason), nick != ""
}

// parseBan reads [-n] [-f] WHO [TIME] [REASON].
func parseBan(v Verb) func(string) (Command, bool) {
	return func(rest string) (Command, bool) {
		cmd := Command{Verb: v}
		word, rest := cutWord(rest)
		for ; word == "-n" || word == "-f"; word, rest = cutWord(rest) {
			cmd.Preview = cmd.Preview || word == "-n"
			cmd.Force = cmd.Force || word == "-f"
		}
		cmd.setWho(word)
		ok := word != ""
		if v != VerbUnban && v != VerbUnmute {
			return cmd, cmd.setTime(rest) && ok
		}
		cmd.Reason = rest
		return cmd, ok
	}
}

// cutNote takes what is for moderators alone off the reason: REASON // NOTE.
func (c *Command) cutNote() {
	reason, note, _ := strings.Cut(" "+c.Reason, " // ")
	c.Reason, c.Note = strings.TrimSpace(reason), strings.TrimSpace(note)
}

// setWho makes a nick the person, and anything else a target.
func (c *Command) setWho(word string) {
	if strings.ContainsAny(word, "*?:/.") { // which no nick holds
		c.Target = word
		return
	}
	c.Nick = word
}

func parseBans(rest string) (Command, bool) {
	cmd := Command{Verb: VerbBans}
	if rest != "" {
		cmd.setWho(rest)
	}
	return cmd, true
}

func parseSlow(rest string) (Command, bool) {
	word, rest := cutWord(rest)
	cmd := Command{Verb: VerbSlow}
	ok := word == "off"
	if !ok {
		if n, err := strconv.Atoi(word); err == nil && n < 1e6 {
			word = strconv.Itoa(n) + "s"
		}
		cmd.Every, ok = parseTime(word)
	}
	return cmd, cmd.setTime(rest) && ok
}

func parseLock(rest string) (Command, bool) {
	cmd := Command{Verb: VerbLock}
	if word, after := cutWord(rest); word == "accounts" {
		cmd.Accounts, rest = true, after
	}
	return cmd, cmd.setTime(rest)
}

func parseRole(v Verb) func(string) (Command, bool) {
	return func(rest string) (Command, bool) {
		nick, rest := cutWord(rest)
		cmd := Command{Verb: v, Nick: nick, Reason: rest}
		ok := nick != ""
		if word, after := cutWord(rest); cmd.Role.UnmarshalText([]byte(word)) == nil {
			cmd.Reason = after
			ok = ok && !(v == VerbPromote && cmd.Role == RoleMember) // which stands for RoleModerator
		}
		return cmd, ok
	}
}

func parseDelete(rest string) (Command, bool) {
	word, rest := cutWord(rest)
	cmd := Command{Verb: VerbDelete, Reason: rest}
	if number, ok := strings.CutPrefix(word, "#"); ok {
		seq, err := strconv.ParseUint(number, 10, 64)
		cmd.Seq = seq
		return cmd, err == nil && seq > 0
	}
	cmd.Nick = word
	if count, after := cutWord(rest); count != "" {
		if n, err := strconv.Atoi(count); err == nil && n > 0 {
			cmd.Count, cmd.Reason = n, after
		}
	}
	return cmd, word != ""
}

func parseUndo(rest string) (Command, bool) {
	word, rest := cutWord(rest)
	cmd := Command{Verb: VerbUndo}
	d, reason := cutTime(rest)
	if d > 0 {
		cmd.Nick, cmd.For, cmd.Reason = word, d, reason
	} else {
		cmd.Ref, cmd.Reason = word, rest
	}
	return cmd, true
}

func parseRef(v Verb) func(string) (Command, bool) {
	return func(rest string) (Command, bool) {
		ref, reason := cutWord(rest)
		return Command{Verb: v, Ref: ref, Reason: reason}, ref != ""
	}
}

// setTime reads [TIME] [REASON]. What begins like a time and is none is refused, and so is an option in the wrong
// place: as the reason of an act without a time it would be a slip that lasts for ever.
func (c *Command) setTime(rest string) bool {
	c.For, c.Reason = cutTime(rest)
	word, _ := cutWord(c.Reason)
	if word == "-n" || word == "-f" {
		return false
	}
	word = strings.TrimLeft(word, "+-")
	return c.For > 0 || word == "" || word[0] < '0' || word[0] > '9'
}

// cutTime takes a time off the beginning of s, if there is one.
func cutTime(s string) (time.Duration, string) {
	word, rest := cutWord(s)
	if d, ok := parseTime(word); ok {
		return d, rest
	}
	return 0, s
}

const longest = 100 * 365 * 24 * time.Hour

var timeUnits = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
}

// parseTime reads a time as people write it: 90s, 10m, 2h, 1d12h, 2w. Zero is none.
func parseTime(s string) (d time.Duration, ok bool) {
	for s != "" {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		if n == 0 || n > 6 || n == len(s) || timeUnits[s[n]] == 0 {
			return 0, false
		}
		count, _ := strconv.Atoi(s[:n]) // at most six digits
		if d += time.Duration(count) * timeUnits[s[n]]; d > longest {
			return 0, false
		}
		s = s[n+1:]
	}
	return d, d > 0
}
