package pychat

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"example.com/chatroom"
)

// readable is what is written for characters that do not decompose into ASCII.
var readable = map[rune]string{
	'‐': "-", '‑': "-", '‒': "-", '–': "-", '—': "-", '―': "-", '−': "-", '⁄': "/",
	'‘': "'", '’': "'", '‚': ",", '‛': "'", '′': "'", '“': `"`, '”': `"`, '„': `"`, '″': `"`, '‹': "<", '›': ">", '«': "<<", '»': ">>",
	'•': "*", '·': "*", '×': "x", '÷': "/", '±': "+-", '≤': "<=", '≥': ">=", '≠': "!=", '→': "->", '←': "<-", '⇒': "=>",
	'Æ': "AE", 'æ': "ae", 'Œ': "OE", 'œ': "oe", 'Ø': "O", 'ø': "o", 'Ð': "D", 'ð': "d", 'Đ': "D", 'đ': "d", 'Þ': "Th", 'þ': "th",
	'ß': "ss", 'ẞ': "SS", 'Ł': "L", 'ł': "l", 'Ħ': "H", 'ħ': "h", 'ı': "i", 'ŋ': "ng", '¡': "!", '¿': "?",
	'€': "EUR", '£': "GBP", '¥': "JPY", '¢': "c", '©': "(c)", '®': "(r)",
}

// ascii appends text in ASCII: decomposed, without accents, and with a question mark for each character that
// leaves nothing to show. Control characters, and the pictures that stand for them, are shown
// as ^X, but for tabs and newlines.
func ascii(dst []byte, text string) []byte {
	if plain(text) {
		return append(dst, text...)
	}
	for _, r := range norm.NFKD.String(text) {
		switch {
		case r == '\n' || r == '\t' || r >= ' ' && r <= '~':
			dst = append(dst, byte(r))
		case r < ' ', r == 0x7f:
			dst = append(dst, '^', byte(r)^0x40)
		case r >= 0x2400 && r < 0x2420:
			dst = append(dst, '^', byte(r-0x2400)^0x40)
		case readable[r] != "":
			dst = append(dst, readable[r]...)
		case unicode.IsSpace(r):
			dst = append(dst, ' ')
		case !invisible(r):
			dst = append(dst, '?')
		}
	}
	return dst
}

// plain reports whether text is ASCII already, with nothing in it that ascii changes.
func plain(text string) bool {
	for i := range len(text) {
		if b := text[i]; (b < ' ' && b != '\n' && b != '\t') || b > '~' {
			return false
		}
	}
	return true
}

// invisible reports whether there is nothing to see of r by itself.
func invisible(r rune) bool {
	return unicode.In(r, unicode.M, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// asciiNick returns a nick in ASCII. Unless nobody else could be called that beside nick, there is a # in
// it, which no nick has: an ádmin is not shown as admin. A character that does not decompose is
// its number, so that two nicks in another script can be told apart.
func asciiNick(nick string) string {
	if plain(nick) {
		return nick
	}
	var out []byte
	for _, r := range norm.NFKD.String(nick) {
		shown := ascii(nil, string(r))
		if string(shown) == "?" {
			shown = fmt.Appendf(nil, "#%x", r)
		}
		out = append(out, shown...)
	}
	same := func(key string) bool { return slices.Contains(chatroom.NickKeys(nick), key) }
	if bytes.IndexByte(out, '#') < 0 && !slices.ContainsFunc(chatroom.NickKeys(string(out)), same) {
		out = append(out, '#')
	}
	return string(out)
}

// inASCII returns a copy of e whose nicks are in ASCII.
func inASCII(e *chatroom.Event) *chatroom.Event {
	c := *e
	c.From, c.Nick = asciiNick(e.From), asciiNick(e.Nick)
	c.Members = membersInASCII(e.Members)
	if e.Welcome != nil {
		w := *e.Welcome
		w.Members = membersInASCII(w.Members)
		c.Welcome = &w
	}
	if e.Report != nil {
		r := *e.Report
		r.Hits, r.Left = membersInASCII(r.Hits), membersInASCII(r.Left)
		c.Report = &r
	}
	return &c
}

func membersInASCII(members []chatroom.MemberInfo) []chatroom.MemberInfo {
	members = slices.Clone(members)
	for i := range members {
		members[i].Nick = asciiNick(members[i].Nick)
	}
	return members
}

// oneLine returns text without newlines.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }
