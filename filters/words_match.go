package filters

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"example.com/chatroom"
)

// How sure a match is.
const (
	scorePlain   = 1.0
	scoreLook    = 0.9
	scoreSpelled = 0.8
	scoreDrawn   = 0.8
)

// A match is a place in a text where an entry matches.
type match struct {
	entry int
	text  span
	score float64
}

// review looks at all of the text, because the harshest entry decides.
func (l *list) review(ctx context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
	text := norm.NFC.String(d.Text)
	r := readings.Get().(*reading)
	defer readings.Put(r)
	r.read(text)
	found := l.words(r, text)
	for _, p := range l.patterns {
		if err := ctx.Err(); err != nil {
			return chatroom.Verdict{}, err
		}
		if l.entries[p.entry].step.Decision == chatroom.DecisionRewrite {
			for _, at := range p.re.FindAllStringIndex(text, -1) {
				found = append(found, match{p.entry, span{at[0], at[1]}, scorePlain})
			}
		} else if at := p.re.FindStringIndex(text); at != nil {
			found = append(found, match{p.entry, span{at[0], at[1]}, scorePlain})
		}
	}
	if len(found) == 0 {
		return chatroom.Verdict{}, nil
	}
	return l.verdict(d, text, found), nil
}

func (l *list) verdict(d chatroom.Draft, text string, found []match) chatroom.Verdict {
	worst := found[0]
	for _, m := range found[1:] {
		if l.harsher(m.entry, worst.entry) {
			worst = m
		}
	}
	e := l.entries[worst.entry]
	v := chatroom.Verdict{
		Decision: e.step.Decision,
		For:      e.step.For,
		Reason:   e.reasonFor(),
		Rule:     e.rule,
		Score:    worst.score,
		Evidence: fmt.Sprintf("line %d: %s", e.line, quote(d, text[worst.text.from:worst.text.to])),
	}
	if v.Decision == chatroom.DecisionRewrite {
		v.Text = starred(text, found)
	}
	return v
}

// words returns where words of the list are.
func (l *list) words(r *reading, text string) []match {
	var found []match
	add := func(entry int, from, to token, score float64) bool {
		if entry >= 0 {
			found = append(found, match{entry, span{from.text.from, to.text.to}, score})
		}
		return entry >= 0
	}
	spelledTo := 0
	for i, t := range r.tokens {
		if e, last, score := l.longest(r, i); !add(e, t, r.tokens[last], score) && t.stretched {
			add(l.drawn(r, text, t), t, t, scoreDrawn)
		}
		if i >= spelledTo {
			spelledTo = max(r.spelled(text, i), i+1)
			if n := spelledTo - i; n >= 3 && n <= maxRuns {
				e, first := l.spelled(r, text, i, spelledTo)
				add(e, r.tokens[first], r.tokens[spelledTo-1], scoreSpelled)
			}
		}
	}
	return found
}

// longest returns the harshest entry that matches tokens from the ith on, and the last of them.
func (l *list) longest(r *reading, i int) (entry, last int, score float64) {
	t := r.tokens[i]
	entry, last, score = l.find(&l.plain, r.plain[t.plain.from:t.plain.to]), i, scorePlain
	better := func(e, to int, s float64) {
		if e >= 0 && (l.harsher(e, entry) || to > last && !l.harsher(entry, e)) {
			entry, last, score = e, to, s
		}
	}
	if t.odd {
		better(l.find(&l.look, r.look[t.look.from:t.look.to]), i, scoreLook)
	}
	plain, look, odd := true, true, false
	for j := i; j < len(r.tokens) && (plain || look); j++ {
		to := r.tokens[j]
		odd = odd || to.odd
		if plain {
			n, ok := l.plain.nodes[string(r.plain[t.plain.from:to.plain.to])]
			if plain = ok && n.more; ok {
				better(n.entry, j, scorePlain)
			}
		}
		if look {
			n, ok := l.look.nodes[string(r.look[t.look.from:to.look.to])]
			if look = ok && n.more; ok && odd {
				better(n.entry, j, scoreLook)
			}
		}
	}
	return entry, last, score
}

// doubled are everyday words with a letter twice that is drawn out now and then, so that gooood is not god.
var doubled = map[string]bool{
	"been": true, "cool": true, "feel": true, "food": true, "good": true, "keep": true, "need": true, "root": true,
	"see": true, "seen": true, "shoot": true, "soon": true, "too": true, "week": true, "all": true, "well": true,
}

// drawn returns the harshest entry for what a stretched word may stand for.
func (l *list) drawn(r *reading, text string, t token) int {
	entry := -1
	word := text[t.text.from:t.text.to]
	everyday := false
	try := func(in *table) func([]byte) {
		return func(guess []byte) {
			everyday = everyday || doubled[string(guess)] && l.find(in, guess) < 0
			if e := l.find(in, guess); l.harsher(e, entry) {
				entry = e
			}
		}
	}
	r.guesses(word, func(g glyph) string { return g.plain }, try(&l.plain))
	if t.odd {
		r.guesses(word, func(g glyph) string { return g.look }, try(&l.look))
	}
	if everyday {
		return -1
	}
	return entry
}

// spelled returns the entry for the word that the tokens spell out, and with which of them it begins: an a or an
// I before it may be a word by itself.
func (l *list) spelled(r *reading, text string, from, to int) (entry, first int) {
	begin, last := r.tokens[from], r.tokens[to-1]
	odd := slices.ContainsFunc(r.tokens[from:to], func(t token) bool { return t.odd || t.numbers > 0 })
	for first = from; ; first++ {
		begin = r.tokens[first]
		if e := l.find(&l.plain, r.without(r.plain[begin.plain.from:last.plain.to])); e >= 0 {
			return e, first
		}
		if odd {
			if e := l.find(&l.look, r.without(r.look[begin.look.from:last.look.to])); e >= 0 {
				return e, first
			}
		}
		word := string(r.plain[begin.plain.from:begin.plain.to])
		if first > from || to-from < 4 || word != "a" && word != "i" || text[begin.text.to] != ' ' {
			return -1, from
		}
	}
}

// starred returns text with stars in the places where it matched.
func starred(text string, found []match) string {
	slices.SortFunc(found, func(a, b match) int { return cmp.Compare(a.text.from, b.text.from) })
	var b strings.Builder
	done := 0
	for _, m := range found {
		if m.text.to <= done {
			continue
		}
		from := max(m.text.from, done)
		b.WriteString(text[done:from])
		for _, c := range text[from:m.text.to] {
			switch g := glyphOf(c); {
			case unicode.IsSpace(c):
				b.WriteRune(c)
			case g.kind != unseen && g.kind != mark:
				b.WriteByte('*')
			}
		}
		done = m.text.to
	}
	b.WriteString(text[done:])
	return b.String()
}
