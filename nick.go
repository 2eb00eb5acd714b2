package chatroom

import (
	"fmt"
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
	if utf8.RuneCountInString(nick) > maxNick {
		return "", &Error{Code: CodeNickInvalid, Text: fmt.Sprintf("a nick has at most %d characters", maxNick)}
	}
	if err := checkName("a nick", nick); err != nil {
		return "", &Error{Code: CodeNickInvalid, Text: err.Error()}
	}
	return nick, nil
}

// validRoom does for a room's name what ValidNick does for a nick. A leading # is taken off, for
// those used to write one.
func validRoom(name string) (string, error) {
	name = strings.TrimPrefix(strings.TrimSpace(name), "#")
	if len(name) > maxRoom {
		return "", &Error{Code: CodeRoomInvalid, Text: fmt.Sprintf("a room name has at most %d bytes", maxRoom)}
	}
	if err := checkName("a room name", name); err != nil {
		return "", &Error{Code: CodeRoomInvalid, Text: err.Error()}
	}
	return name, nil
}

// checkName checks a name that is not too long: the profile takes a hundred times its length.
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
