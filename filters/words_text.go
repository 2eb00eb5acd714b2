package filters

import (
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A span is a piece of a text or of a buffer.
type span struct{ from, to int }

// A token is a word of a text.
type token struct {
	text  span // in the text
	plain span // in reading.plain
	look  span // in reading.look

	size      int  // characters
	numbers   int  // characters that are digits and the like
	alone     bool // it is one of a script without gaps
	odd       bool // it may be meant to look like another, so its look counts as well
	stretched bool // a character stands three times in a row, or more often
}

// A reading is a text taken apart. Tokens that follow one another in the text stand in plain and in
// look with a space between them, so several are as easily looked up as one.
type reading struct {
	plain, look []byte
	tokens      []token
	runs        []run
	guess       []byte
}

var readings = sync.Pool{New: func() any { return new(reading) }}

// read takes text apart, which is in NFC.
func (r *reading) read(text string) {
	r.plain, r.look, r.tokens = r.plain[:0], r.look[:0], r.tokens[:0]
	var t token
	var last string
	var row int // how often last stood in a row
	end := func() {
		if t.size > 0 {
			t.plain.to, t.look.to = len(r.plain), len(r.look)
			// 10l is a number of litres.
			t.odd = t.odd || t.numbers > 0 && t.size >= 2*t.numbers
			r.tokens = append(r.tokens, t)
		}
		t = token{}
	}
	for i, c := range text {
		g := glyphOf(c)
		switch {
		case g.kind == unseen:
			continue
		case g.kind == gap, g.kind == mark && t.size == 0:
			end()
			continue
		case g.kind == alone:
			end()
		}
		if t.size == 0 {
			r.begin(&t, i)
			t.alone = g.kind == alone
			last, row = "", 0
		}
		if row++; g.look != last {
			last, row = g.look, 1
		}
		t.stretched = t.stretched || row >= 3
		t.odd = t.odd || g.kind != number && c >= utf8.RuneSelf || odd(text[t.text.from:], i-t.text.from)
		if g.kind != mark {
			t.size++
		}
		if g.kind == number {
			t.numbers++
		}
		t.text.to = i + utf8.RuneLen(c)
		r.plain = append(r.plain, g.plain...)
		r.look = append(r.look, g.look...)
		if t.alone && !markFollows(text[t.text.to:]) {
			end()
		}
	}
	end()
}

func (r *reading) begin(t *token, at int) {
	if len(r.tokens) > 0 {
		r.plain, r.look = append(r.plain, ' '), append(r.look, ' ')
	}
	t.text.from, t.plain.from, t.look.from = at, len(r.plain), len(r.look)
}

func markFollows(text string) bool {
	c, _ := utf8.DecodeRuneInString(text)
	return c >= utf8.RuneSelf && glyphOf(c).kind == mark
}

// odd reports whether the character at i in a word is an I that stands for an l, as in kiII, or an l
// for an I, as in KlLL.
func odd(word string, i int) bool {
	if i == 0 || word[i] != 'I' && word[i] != 'l' {
		return false
	}
	before := rune(word[i-1])
	if word[i] == 'I' {
		return unicode.IsLower(before)
	}
	after := rune(' ')
	if i+1 < len(word) {
		after = rune(word[i+1])
	}
	return unicode.IsUpper(before) && (unicode.IsUpper(after) || i > 1 && !unicode.IsLower(after))
}

// A run is a character that stands n times in a row.
type run struct {
	char string
	n    int
}

// maxRuns bounds the words that are guessed at: longer ones mean nothing.
const maxRuns = 64

// guesses calls try with the words that a stretched one may stand for: in each run of three and
// more, the character may be meant once, twice or three times. With more than three such runs, they are
// all meant alike.
func (r *reading) guesses(word string, form func(glyph) string, try func(guess []byte)) {
	r.runs = r.runs[:0]
	long := 0
	for _, c := range word {
		g := glyphOf(c)
		if g.kind == unseen {
			continue
		}
		if n := len(r.runs); n > 0 && r.runs[n-1].char == form(g) {
			if r.runs[n-1].n++; r.runs[n-1].n == 3 {
				long++
			}
			continue
		}
		if len(r.runs) == maxRuns {
			return
		}
		r.runs = append(r.runs, run{form(g), 1})
	}
	if long == 0 {
		return
	}
	ways := 3
	if long <= 3 {
		ways = []int{3, 9, 27}[long-1]
	}
	for way := range ways {
		r.guess = r.guess[:0]
		for _, one := range r.runs {
			n := one.n
			if n >= 3 {
				n = way%3 + 1
				if long <= 3 {
					way /= 3
				}
			}
			for range n {
				r.guess = append(r.guess, one.char...)
			}
		}
		try(r.guess)
	}
}

// spelled returns the first token that no longer belongs to a word spelled out from tokens[i] on,
// as in s.p.a.m: single characters with gaps between them no wider than the first.
func (r *reading) spelled(text string, i int) int {
	widest := 3
	for j := i; ; j++ {
		if j == len(r.tokens) || r.tokens[j].size > 1 || r.tokens[j].alone {
			return j
		}
		if j == i {
			continue
		}
		wide := utf8.RuneCountInString(text[r.tokens[j-1].text.to:r.tokens[j].text.from])
		if wide > widest {
			return j
		}
		widest = min(widest, wide)
	}
}

// without returns b without its spaces, in r.guess.
func (r *reading) without(b []byte) []byte {
	r.guess = slices.DeleteFunc(append(r.guess[:0], b...), func(c byte) bool { return c == ' ' })
	return r.guess
}
