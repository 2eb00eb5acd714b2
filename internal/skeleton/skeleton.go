// Package skeleton tells whether two names look alike, after Unicode Technical Standard 39.
//
// Its functions keep no state and may be called from any goroutine.
package skeleton

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

//go:generate go run ./gen -in confusables.txt

// Of returns the skeleton of s, which UTS 39 calls internalSkeleton: strings with one skeleton look
// alike. Case counts, so Ν is N and ν is v. A skeleton is not for showing, and that of a skeleton
// may differ from it.
//
// The bidiSkeleton of UTS 39, which sees strings of mixed direction in the order they are shown in,
// is not here.
func Of(s string) string {
	s = norm.NFD.String(s)
	var b strings.Builder
	done := 0
	for i, r := range s {
		p, ok := prototype(r)
		if ignorable(r) {
			p = ""
		} else if !ok {
			continue
		}
		if done == 0 {
			b.Grow(len(s) + 8)
		}
		b.WriteString(s[done:i])
		b.WriteString(p)
		done = i + utf8.RuneLen(r)
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return norm.NFD.String(b.String())
}

// Key returns what nick shares with the nicks it could be taken for, whatever their case: its
// skeleton, then that in lower case after NFKD and its skeleton again until nothing changes, and in
// the end l for every i. Key(Key(nick)) is Key(nick).
//
// nick comes as it is shown. The PRECIS comparison key has lost what Key sees: the Greek Ν looks
// like N but ν like v, the Cyrillic Т like T but т like no Latin letter. That is why the skeleton
// comes before the lower case. It comes again after, as M is its own prototype and m's is rn. NFKD
// adds the variants UTS 39 leaves out, such as ⓐ and ᵃ. And I, i's capital, looks like l: whoever
// knows ian takes lan for Ian.
//
// For the same reason, two spellings of one nick may differ in Key: Νίκος from νίκος. So nicks are
// too close if either their Keys or their PRECIS comparison keys are equal.
func Key(nick string) string {
	keys := asciiKeys()
	if len(nick) == 1 && nick[0] < utf8.RuneSelf {
		return keys[nick[0]]
	}
	var b strings.Builder
	b.Grow(len(nick) + 4)
	for i := range len(nick) {
		if nick[i] >= utf8.RuneSelf {
			return key(nick)
		}
		b.WriteString(keys[nick[i]])
	}
	return b.String()
}

var asciiKeys = sync.OnceValue(func() *[utf8.RuneSelf]string {
	var keys [utf8.RuneSelf]string
	for c := range keys {
		keys[c] = key(string(rune(c)))
	}
	return &keys
})

// key comes to an end because no step joins characters, and each character alone settles.
func key(s string) string {
	s = Of(s)
	for {
		next := Of(strings.Map(unicode.ToLower, norm.NFKD.String(s)))
		if next == s {
			return strings.ReplaceAll(s, "i", "l")
		}
		s = next
	}
}

// prototype finds the record of r in table, if it has one.
func prototype(r rune) (string, bool) {
	records := table
	if r < utf8.RuneSelf {
		records = table[:tableASCII]
	}
	for records != "" {
		start := strings.LastIndexByte(records[:len(records)/2], '\n') + 1
		end := start + strings.IndexByte(records[start:], '\n')
		source, size := utf8.DecodeRuneInString(records[start:])
		switch {
		case r < source:
			records = records[:start]
		case r > source:
			records = records[end+1:]
		default:
			return records[start+size : end], true
		}
	}
	return "", false
}

// ignorable reports whether r has the property Default_Ignorable_Code_Point, as UAX 44 derives it.
func ignorable(r rune) bool {
	if r < 0xad || r >= 0xfff9 && r <= 0xfffb || r >= 0x13430 && r <= 0x1343f {
		return false
	}
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Cf, unicode.Variation_Selector) &&
		!unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}
