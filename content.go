package chatroom

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns text as it may be shown, on one line of a terminal too. Control characters are replaced by
// pictures of them (U+2400 and on), and those of U+0080 to U+009F, U+2028, U+2029 and bytes that
// are not UTF-8 by U+FFFD. Tabs stay. Bidirectional embeddings, overrides and isolates begin and end
// within the text (UAX 9).
//
// What an Event holds has been through it, whoever it comes from. It is for a Front that shows
// something else, and for those who do not trust their server.
func Clean(text string) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, needsCare) < 0 {
		return text
	}
	return balance(strings.Map(picture, text))
}

// cleanLines is Clean for a text of several lines.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = Clean(strings.TrimSuffix(lines[i], "\r"))
	}
	return strings.Join(lines, "\n")
}

// cleanText returns text as it may be relayed: clean, and without white space at its end. It refuses
// what is not UTF-8, has nothing to see, or is longer than max bytes.
func cleanText(text string, max int) (string, error) {
	if !utf8.ValidString(text) {
		return "", &Error{Code: CodeTextInvalid, Text: "a text must be UTF-8"}
	}
	if text = strings.TrimRightFunc(text, unicode.IsSpace); strings.IndexFunc(text, visible) < 0 {
		return "", &Error{Code: CodeTextInvalid, Text: "there is nothing in that text"}
	}
	if len(text) <= max {
		text = Clean(text)
	}
	if len(text) > max {
		return "", &Error{
			Code: CodeTextTooLong,
			Text: fmt.Sprintf("a text has at most %d bytes, that one has %d", max, len(text)),
		}
	}
	return text, nil
}

// visible reports whether there is anything to see of r, if only its picture.
func visible(r rune) bool {
	return !unicode.IsSpace(r) && !unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) && r != 0x2800
}

func needsCare(r rune) bool {
	return r < ' ' && r != '\t' ||
		r >= 0x7f && (r <= 0x9f || r == 0x2028 || r == 0x2029 || unicode.Is(unicode.Bidi_Control, r))
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

// balance closes the bidirectional embeddings, overrides and isolates that text leaves open, and
// drops what would close others (UAX 9), so that none reaches past its ends.
func balance(text string) string {
	var open []rune // the closers owed, innermost last
	isolates := 0   // how many of them are PDI
	text = strings.Map(func(r rune) rune {
		switch r {
		case lre, rle, lro, rlo:
			open = append(open, pdf)
		case lri, rli, fsi:
			open = append(open, pdi)
			isolates++
		case pdf:
			last := len(open) - 1
			if last < 0 || open[last] != pdf {
				return -1
			}
			open = open[:last]
		case pdi:
			if isolates == 0 {
				return -1
			}
			isolates--
			last := len(open) - 1
			for open[last] != pdi { // it closes the embeddings in its isolate too
				last--
			}
			open = open[:last]
		}
		return r
	}, text)
	slices.Reverse(open)
	return text + string(open)
}
