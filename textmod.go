package chatroom

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// How people are told of moderation.

// actWords appends what was done, as a sentence; false means there are no words for it.
func (f TextFront) actWords(dst *[]byte, e *Event) bool {
	who := cmp.Or(e.From, "the server")
	a := e.Act
	say := func(format string, args ...any) {
		*dst = fmt.Appendf(*dst, format, args...)
	}
	switch e.Kind {
	case KindKick:
		say("%s kicked %s", who, e.Nick)
	case KindBan:
		say("%s banned %s%s", who, e.Nick, f.lasting(a.Until))
	case KindMute:
		say("%s muted %s%s", who, e.Nick, f.lasting(a.Until))
	case KindUnmute:
		say("%s may speak again", e.Nick)
	case KindSlow:
		if a.Every == 0 {
			say("%s ended slow mode", who)
		} else {
			say("%s set slow mode: one message every %s%s", who, span(a.Every), f.until(a.Until))
		}
	case KindLock:
		to := "everybody new"
		if a.Accounts {
			to = "guests"
		}
		say("%s locked the room to %s%s", who, to, f.until(a.Until))
	case KindUnlock:
		say("%s unlocked the room", who)
	case KindRole:
		say("%s made %s %s", who, e.Nick, map[Role]string{RoleMember: "a member", RoleModerator: "a moderator", RoleAdmin: "an admin"}[a.Role])
	case KindDelete:
		say("%s deleted %s of %s", who, messages(len(a.Seqs)), e.Nick)
	case KindRestore:
		say("%s brought %s of %s back", who, messages(len(a.Seqs)), e.Nick)
	case KindAct:
		what := cmp.Or(e.Nick, a.Target)
		if strings.Contains(a.Undoes, " ") {
			what = a.Undoes // several acts, of which Target is but one
		}
		say("done (%s): %s", a.ID, strings.TrimSpace(string(a.Verb)+" "+what)+f.lastingOf(a.Verb, a.Undoes, a.Until))
	default:
		return false
	}
	if a.Reason != "" {
		say(": %s", a.Reason)
	}
	return true
}

func messages(n int) string {
	if n == 1 {
		return "a message"
	}
	return fmt.Sprintf("%d messages", n)
}

// lasting tells how long a punishment lasts, so that nobody gives one for good by accident.
func (f TextFront) lasting(until time.Time) string { return cmp.Or(f.until(until), " for good") }

// lastingOf tells how long what an act gave lasts.
func (f TextFront) lastingOf(v Verb, undoes string, until time.Time) string {
	if undoes == "" && (v == VerbBan || v == VerbMute || v == VerbAllow) {
		return f.lasting(until)
	}
	return f.until(until)
}

// until tells a time at which something is over.
func (f TextFront) until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + f.moment(t)
}

// moment tells a date and a time.
func (f TextFront) moment(t time.Time) string {
	return t.In(cmp.Or(f.Location, time.Local)).Format("2006-01-02 15:04 MST")
}

// appendReport appends the answer to a moderator, a line for each thing in it.
func (f TextFront) appendReport(dst []byte, e *Event) []byte {
	r := e.Report
	line := func(format string, args ...any) {
		dst = appendLine(dst, "--- "+format, args...)
	}
	shown := 0
	switch e.Kind {
	case KindPreview:
		if len(r.Hits) == 0 {
			line("It would hit nobody who is here.")
		} else {
			line("It would hit %s.", nickList(r.Hits, r.Count))
		}
		if len(r.Left) > 0 {
			line("Of those who left, it is on %s.", nickList(r.Left, len(r.Left)))
		}
		for _, note := range r.Notes {
			line("%s.", capital(note))
		}
		return dst
	case KindBans:
		for i := range r.Bans {
			line("%s", f.banWords(&r.Bans[i]))
		}
		shown = len(r.Bans)
	case KindActs:
		for i := range r.Acts {
			line("%s", f.auditWords(&r.Acts[i]))
		}
		shown = len(r.Acts)
	case KindHeld, KindHold:
		for _, h := range r.Held {
			from := "<" + h.From + ">"
			if h.Verb == VerbAction {
				from = "* " + h.From
			}
			line("held %s in %s %s %s (%s)", h.ID, h.Room, from, h.Text, cmp.Or(h.Reason, h.Filter))
		}
		if shown = len(r.Held); e.Kind == KindHold {
			line("/approve or /reject it.")
		}
	}
	switch more := r.Count - shown; {
	case r.Count == 0:
		line("There are none.")
	case more > 0:
		line("and %d more", more)
	}
	return dst
}

func (f TextFront) banWords(b *Ban) string {
	text := fmt.Sprintf("%s %s %s%s", b.ID, cmp.Or(b.Effect, EffectBan), b.Target(), f.lasting(b.Expires))
	if b.Reason != "" {
		text += ": " + b.Reason
	}
	if b.By != "" {
		text += ", by " + b.By
	}
	if b.Note != "" {
		text += " // " + b.Note
	}
	return text
}

func (f TextFront) auditWords(a *Audit) string {
	text := fmt.Sprintf("%s %s %s: %s %s", a.ID, f.moment(a.Time), cmp.Or(a.By, "the server"), a.Verb, cmp.Or(a.Target, a.Room))
	if a.Undoes != "" {
		text += " (" + a.Undoes + ")"
	}
	if a.Role != "" {
		text += " to " + a.Role
	}
	if a.Every != 0 {
		text += " every " + span(seconds(a.Every))
	}
	text += f.lastingOf(a.Verb, a.Undoes, a.Until)
	if a.Dry {
		text += " (dry)"
	}
	if a.Verb == VerbTopic && a.Text != "" {
		text += ": " + a.Text
	}
	if a.Reason != "" {
		text += ": " + a.Reason
	}
	if a.Note != "" {
		text += " // " + a.Note
	}
	return text
}

// span tells how long d is as people type it: 1h, and not 1h0m0s.
func span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// withStop returns text with a full stop, unless it ends as a sentence does.
func withStop(text string) string {
	if last, _ := utf8.DecodeLastRuneInString(text); strings.ContainsRune(".!?…", last) {
		return text
	}
	return text + "."
}

// capital returns text with a capital letter at its beginning.
func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + text[size:]
}
