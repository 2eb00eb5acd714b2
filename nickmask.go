package chatroom

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"example.com/chatroom/internal/skeleton"
)

// A nickMask is a nick with placeholders, in each form that nicks are compared in. It matches a nick
// if one of its forms matches one of the nick's texts.
type nickMask []maskForm

// A maskForm has what the characters between the placeholders fold to, or what they look like. It
// may be matched against texts of either sort: what looks like a folded nick looks like the nick.
type maskForm []maskPart

type maskPart struct {
	wild byte   // '*', '?', or 0 for the text
	text string // not empty
}

// newMask makes a mask ready to be compared: * stands for any characters, ? for one. A mask with
// white space in it matches no nick.
func newMask(mask string) nickMask {
	mask = strings.TrimSpace(mask)
	if strings.ContainsFunc(mask, unicode.IsSpace) {
		return nil
	}
	forms := nickMask{newMaskForm(mask, fold)}
	for _, s := range spellings(mask) {
		f := newMaskForm(s, skeleton.Key)
		if !slices.ContainsFunc(forms, func(g maskForm) bool { return slices.Equal(f, g) }) {
			forms = append(forms, f)
		}
	}
	return forms
}

func newMaskForm(mask string, form func(string) string) maskForm {
	parts := make(maskForm, 0, 2)
	for mask != "" {
		end := strings.IndexAny(mask, "*?")
		switch {
		case end == 0:
			parts = append(parts, maskPart{wild: mask[0]})
			mask = mask[1:]
			continue
		case end < 0:
			end = len(mask)
		}
		if text := form(mask[:end]); text != "" {
			parts = append(parts, maskPart{text: text})
		}
		mask = mask[end:]
	}
	return parts
}

func (m nickMask) matches(texts []maskText) bool {
	for _, f := range m {
		for _, t := range texts {
			if f.matches(t) {
				return true
			}
		}
	}
	return false
}

// A maskText is what masks are matched against: a folded nick, or what one looks like.
//
// A mask must not match half a character, so the text comes with the places between them. The skeleton
// of m is rn, and still r* is not on mike, nor *n on tom; that of ä is an a with two dots after it,
// and still a* is not on änne.
type maskText struct {
	text string
	cut  []bool // whether a character begins, or the text ends, at a byte
}

// maskTexts returns what a mask has to match one of to match nick.
func maskTexts(nick string) []maskText {
	nick = strings.TrimSpace(nick)
	if nick == "" {
		return nil
	}
	texts := []maskText{newMaskText(fold(nick), func(s string) string { return s })}
	for _, s := range spellings(nick) {
		t := newMaskText(norm.NFC.String(s), skeleton.Key)
		if !slices.ContainsFunc(texts, func(u maskText) bool { return t.text == u.text && slices.Equal(t.cut, u.cut) }) {
			texts = append(texts, t)
		}
	}
	return texts
}

// newMaskText takes the form of each character of s, which is one with the marks on it.
func newMaskText(s string, form func(string) string) maskText {
	t := maskText{cut: make([]bool, 1, len(s)+8)}
	text := make([]byte, 0, len(s)+8)
	for s != "" {
		t.cut[len(text)] = true
		_, end := utf8.DecodeRuneInString(s)
		end += len(s[end:]) - len(strings.TrimLeftFunc(s[end:], unicode.IsMark))
		text = append(text, form(s[:end])...)
		for len(t.cut) <= len(text) {
			t.cut = append(t.cut, false)
		}
		s = s[end:]
	}
	t.cut[len(text)] = true
	t.text = string(text)
	return t
}

// next returns where the character after the one at pos begins.
func (t maskText) next(pos int) int {
	for pos++; !t.cut[pos]; pos++ {
	}
	return pos
}

// matches reports whether f matches all of t. A * takes as little as it can, and only the last
// one is ever tried again, as an earlier one that took more would leave less for what comes after.
// So the time is at most the product of both lengths.
func (f maskForm) matches(t maskText) bool {
	pos, i := 0, 0
	star, taken := -1, 0 // the last * met, and up to where it takes
	for i < len(f) || pos < len(t.text) {
		if i < len(f) && f[i].wild == '*' {
			star, taken = i, pos
			i++
			continue
		}
		if i < len(f) {
			if next, ok := f[i].match(t, pos); ok {
				pos = next
				i++
				continue
			}
		}
		if star < 0 || taken == len(t.text) {
			return false
		}
		taken = t.next(taken)
		pos, i = taken, star+1
	}
	return true
}

// match returns up to where p matches t from pos on.
func (p maskPart) match(t maskText, pos int) (next int, ok bool) {
	if p.wild == '?' {
		if pos == len(t.text) {
			return 0, false
		}
		return t.next(pos), true
	}
	next = pos + len(p.text)
	return next, strings.HasPrefix(t.text[pos:], p.text) && t.cut[next]
}
