package filters

import (
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"example.com/chatroom/internal/skeleton"
)

// A glyph is what a character is to those who compare texts.
type glyph struct {
	plain string // in lower case
	look  string // what skeleton.Key makes of it
	kind  kind
}

type kind uint8

const (
	gap    kind = iota // stands between words
	letter             // or something that stands for one, such as ⓢ
	number
	alone  // a letter of a script that puts no gaps between words
	mark   // goes with the character before
	unseen // zero-width, or a mark such as those that are heaped on Latin letters
)

// unspaced are the scripts of letters that are alone.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// glyphs are filled by the 256 characters of a page when one of them is first asked for. All of
// them would be 6 MB; the pages of a few scripts are 10 KB each.
var glyphs [0x200]atomic.Pointer[[256]glyph]

// glyphOf returns the glyph of r. Combining marks are what they are after NFC.
func glyphOf(r rune) glyph {
	n := int(r >> 8)
	if n < 0 || n >= len(glyphs) {
		return newGlyph(r)
	}
	page := glyphs[n].Load()
	if page == nil {
		page = new([256]glyph)
		for i := range page {
			page[i] = newGlyph(r&^0xff | rune(i))
		}
		glyphs[n].Store(page) // two who fill a page at once fill it alike
	}
	return page[r&0xff]
}

func newGlyph(r rune) glyph {
	if r == utf8.RuneError || !utf8.ValidRune(r) {
		return glyph{}
	}
	g := glyph{plain: string(lower(r)), look: skeleton.Key(string(r))}
	switch {
	case g.look == "" || unicode.IsMark(r) && unicode.Is(unicode.Inherited, r):
		return glyph{kind: unseen}
	case unicode.IsMark(r):
		g.kind = mark
	case unicode.IsNumber(r):
		g.kind = number
	case unicode.IsLetter(r) && unicode.In(r, unspaced...):
		g.kind = alone
	case unicode.IsLetter(r), unicode.Is(unicode.So, r) && isASCIILetter(norm.NFKD.String(string(r))):
		g.kind = letter
	default:
		return glyph{}
	}
	return g
}

func lower(r rune) rune {
	if r = unicode.ToLower(r); r == 'ς' {
		return 'σ'
	}
	return r
}

func isASCIILetter(s string) bool {
	return len(s) == 1 && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z')
}
