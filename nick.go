package chatroom

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

const (
	maxNick = 32 // characters
	maxRoom = 64 // bytes
	maxID   = 64 // bytes

	// Characters that mean something to one front or another.
	nickSpecial = ".:!@#,/<>*?\"\\"
)

// ValidNick returns nick as it will be shown, without white space around it, or an Error with
// CodeNickInvalid that says what is wrong with it. A nick has 1 to 32 characters; white space,
// control, invisible and bidirectional control characters and any of .:!@#,/<>*?"\ are refused, a - or a combining
// mark at its beginning, and what the PRECIS Nickname profile (RFC 8266) refuses.
func ValidNick(nick string) (string, error) {
	nick = strings.TrimSpace(nick)
	if err := checkName("a nick", nick); err != nil {
		return "", &Error{Code: CodeNickInvalid, Text: err.Error()}
	}
	if utf8.RuneCountInString(nick) > maxNick {
		return "", &Error{Code: CodeNickInvalid, Text: fmt.Sprintf("a nick has at most %d characters", maxNick)}
	}
	return nick, nil
}

// validRoom does for a room's name what ValidNick does for a nick. A leading # is taken off, for
// those used to write one.
func validRoom(name string) (string, error) {
	name = strings.TrimPrefix(strings.TrimSpace(name), "#")
	if err := checkName("a room name", name); err != nil {
		return "", &Error{Code: CodeRoomInvalid, Text: err.Error()}
	}
	if len(name) > maxRoom {
		return "", &Error{Code: CodeRoomInvalid, Text: fmt.Sprintf("a room name has at most %d bytes", maxRoom)}
	}
	return name, nil
}

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s has at least one character", what)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s must be UTF-8", what)
	case name[0] == '-':
		return fmt.Errorf("%s does not begin with -", what)
	}
	// It would change what is shown before it: < with a stroke through it is another character.
	if first, _ := utf8.DecodeRuneInString(name); unicode.Is(unicode.M, first) {
		return fmt.Errorf("%s does not begin with the combining mark %U", what, first)
	}
	for _, r := range name {
		if kind := badInName(r); kind != "" {
			return fmt.Errorf("%s may not contain %s", what, kind)
		}
	}
	key, err := precis.Nickname.CompareKey(name)
	if err != nil {
		return fmt.Errorf("%s may not contain these characters together", what)
	}
	// A fullwidth @ is an @ to whoever compares.
	for _, r := range key {
		if kind := badInName(r); kind != "" {
			return fmt.Errorf("%s may not contain %s", what, kind)
		}
	}
	return nil
}

// badInName says what kind of forbidden character r is, or nothing.
func badInName(r rune) string {
	switch {
	case unicode.Is(unicode.Bidi_Control, r):
		return fmt.Sprintf("the bidirectional control character %U", r)
	case unicode.IsControl(r):
		return fmt.Sprintf("the control character %U", r)
	case unicode.IsSpace(r):
		return "white space"
	case r == '\u2800': // BRAILLE PATTERN BLANK
		return fmt.Sprintf("the invisible character %U", r)
	case unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return fmt.Sprintf("the invisible character %U", r)
	case !unicode.IsPrint(r):
		return fmt.Sprintf("the character %U", r)
	case strings.ContainsRune(nickSpecial, r):
		return fmt.Sprintf("%q", r)
	}
	return ""
}

// fold returns what two spellings of one nick or room name have in common: the comparison key of
// the PRECIS Nickname profile. A name the profile refuses folds to itself.
func fold(name string) string {
	if !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return strings.ToLower(name) // which is all the profile does then
	}
	key, err := precis.Nickname.CompareKey(name)
	if err != nil {
		return name
	}
	// The profile lowers Σ to σ and О to о, but leaves a final ς and a narrow ᲂ as they are, which
	// are Σ and О in capitals too.
	return strings.Map(func(r rune) rune {
		if unicode.IsMark(r) || unicode.SimpleFold(r) == r {
			return r
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}, key)
}

// roomKey folds a room's name as somebody typed it.
func roomKey(name string) string {
	return fold(strings.TrimPrefix(strings.TrimSpace(name), "#"))
}

// quoteNick returns a nick nobody has, as it may be shown to who asked for it.
func quoteNick(nick string) string {
	if nick, err := ValidNick(nick); err == nil {
		return nick
	}
	return "that"
}

// cleanText returns text as it may be relayed: valid UTF-8 in which control characters are
// replaced by pictures of them, and bidirectional embeddings end where the text does. Tabs stay.
// It refuses what is not UTF-8, has nothing to see, or is longer than max bytes.
func cleanText(text string, max int) (string, error) {
	if !utf8.ValidString(text) {
		return "", &Error{Code: CodeTextInvalid, Text: "a text must be UTF-8"}
	}
	if text = strings.TrimRightFunc(text, unicode.IsSpace); strings.IndexFunc(text, visible) < 0 {
		return "", &Error{Code: CodeTextInvalid, Text: "there is nothing in that text"}
	}
	if len(text) <= max && strings.IndexFunc(text, needsCare) >= 0 {
		text = balance(strings.Map(picture, text))
	}
	if len(text) > max {
		return "", &Error{
			Code: CodeTextTooLong,
			Text: fmt.Sprintf("a text has at most %d bytes, that one has %d", max, len(text)),
		}
	}
	return text, nil
}

// shown returns a text that cleanText has not seen, as it comes from a store, as it may be shown.
func shown(text string) string {
	if strings.IndexFunc(text, needsCare) < 0 {
		return text
	}
	return balance(strings.Map(picture, text))
}

// visible reports whether there is anything to see of r, if only its picture.
func visible(r rune) bool {
	return !unicode.IsSpace(r) && !unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) && r != 0x2800
}

func needsCare(r rune) bool {
	if r < 0x7f {
		return r < ' ' && r != '\t'
	}
	return r <= 0x9f || r == 0x2028 || r == 0x2029 || unicode.Is(unicode.Bidi_Control, r)
}

// picture maps a control character to one that shows it.
func picture(r rune) rune {
	switch {
	case r == '\t':
		return r
	case r < ' ':
		return 0x2400 + r
	case r == 0x7f:
		return 0x2421
	case r > 0x7f && r <= 0x9f, r == 0x2028, r == 0x2029:
		return utf8.RuneError
	}
	return r
}

const (
	lre, rle, pdf, lro, rlo = '\u202a', '\u202b', '\u202c', '\u202d', '\u202e'
	lri, rli, fsi, pdi      = '\u2066', '\u2067', '\u2068', '\u2069'
)

// balance closes the bidirectional embeddings, overrides and isolates that text leaves open
// (UAX 9), so that none reaches past its end.
func balance(text string) string {
	var open []rune // the closers owed, innermost last
	for _, r := range text {
		switch r {
		case lre, rle, lro, rlo:
			open = append(open, pdf)
		case lri, rli, fsi:
			open = append(open, pdi)
		case pdf:
			if n := len(open); n > 0 && open[n-1] == pdf {
				open = open[:n-1]
			}
		case pdi:
			// A PDI closes the embeddings inside its isolate too.
			for i := len(open) - 1; i >= 0; i-- {
				if open[i] == pdi {
					open = open[:i]
					break
				}
			}
		}
	}
	slices.Reverse(open)
	return text + string(open)
}

// cleanID refuses an id that could not come back safely.
func cleanID(id string) error {
	if len(id) > maxID {
		return &Error{Code: CodeBadRequest, Text: fmt.Sprintf("an id has at most %d bytes", maxID)}
	}
	for i := range len(id) {
		if id[i] < '!' || id[i] > '~' {
			return &Error{Code: CodeBadRequest, Text: "an id is printable ASCII without spaces"}
		}
	}
	return nil
}
