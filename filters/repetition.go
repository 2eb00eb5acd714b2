package filters

import (
	"context"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"time"

	"example.com/chatroom"
)

// RepetitionLimits are the numbers Repetition keeps to. A field that is zero has its default.
type RepetitionLimits struct {
	Window  time.Duration // 2 min, and at most a day
	Own     int           // how often one person may say nearly the same in Window: at once, and then one each Window/Own; 3
	Several int           // how many people may say nearly the same in Window; 5, and at most 100
	// Often is how many times as often everyday texts may be said; 5. To one person these are texts of fewer than 8
	// letters (ok, lol, +1), among several those of fewer than 20 (happy birthday ann).
	Often int
}

const (
	shortOwn     = 8
	shortSeveral = 20
	maxSeveral   = 100
)

func (l RepetitionLimits) withDefaults() RepetitionLimits {
	if l.Window <= 0 {
		l.Window = 2 * time.Minute
	}
	if l.Own <= 0 {
		l.Own = 3
	}
	if l.Several <= 0 {
		l.Several = 5
	}
	if l.Often <= 0 {
		l.Often = 5
	}
	l.Window = min(l.Window, 24*time.Hour)
	l.Own, l.Often, l.Several = min(l.Own, 1000), min(l.Often, 1000), min(l.Several, maxSeveral)
	return l
}

const (
	ownTexts = 8    // texts remembered of one person
	allTexts = 1024 // texts remembered of all
)

// Repetition refuses what one person says again and again, in whatever rooms or privately to whomever, and
// what several people do: a raid. By default one person may say nearly the same three times in two
// minutes, and 15 times if it is short; after five people, or 25 if it is short, nobody may say it any more
// until two minutes have passed without anybody trying.
//
// Nearly the same are texts of the same letters, whatever their case, look-alikes, digits, punctuation, spaces and doubled
// letters. Texts of 12 letters and more are nearly the same, too, if their simhashes over three letters
// differ in at most 12 of 64 bits, or half as many bits as letters if they are shorter than 24: a word added, or "@ann" before it, makes
// no other text, but "good evening everyone" is not "good morning everyone".
//
// It remembers 8 texts of each person and 1,024 of all together, about 10 MB in all at most.
func Repetition(l RepetitionLimits) chatroom.Filter {
	return &repetition{limits: l.withDefaults(), people: newPeople[[ownTexts]ownText]()}
}

type repetition struct {
	limits RepetitionLimits

	mu     sync.Mutex
	people *people[[ownTexts]ownText]
	all    []sharedText
}

// An ownText is something one person said.
type ownText struct {
	imprint imprint
	full    time.Time // when the last time it was said will be forgotten
}

// A sharedText is something somebody said.
type sharedText struct {
	imprint imprint
	last    time.Time
	by      []saying // each person once
}

type saying struct {
	who  uint64
	last time.Time
}

func (r *repetition) Review(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
	p := imprintOf(d.Text)
	who := r.people.hash(person(d))
	r.mu.Lock()
	others, like := r.sharedLocked(p, who, d.Time)
	wait, likeOwn := r.ownLocked(p, who, d.Time)
	r.mu.Unlock()
	v := chatroom.Verdict{Decision: chatroom.DecisionRefuse}
	switch {
	case wait > 0:
		v.Rule = "repetition"
		v.Reason = "you have just said that; say it again in " + howLong(max(wait, time.Second))
		v.Score = likeOwn
		v.Evidence = "said again: " + quote(d, d.Text)
	case others > 0:
		v.Rule = "raid"
		v.Reason = fmt.Sprintf("%d people have just said that; say something else", others)
		v.Score = like
		v.Evidence = fmt.Sprintf("said by %d: %s", others+1, quote(d, d.Text))
	default:
		return chatroom.Verdict{}, nil
	}
	return v, nil
}

// ownLocked counts what somebody says, or returns how long it takes until it may be said again, and
// how like it is to what was said. r.mu must be held.
func (r *repetition) ownLocked(p imprint, who uint64, now time.Time) (wait time.Duration, like float64) {
	burst := r.limits.Own
	if p.letters < shortOwn {
		burst *= r.limits.Often
	}
	each := r.limits.Window / time.Duration(burst)
	texts := r.people.at(who)
	t, like := &texts[0], 0.0
	for i := range texts {
		if like = p.like(texts[i].imprint); like > 0 {
			t = &texts[i]
			break
		}
		if texts[i].full.Before(t.full) {
			t = &texts[i]
		}
	}
	if like == 0 {
		*t = ownText{imprint: p}
	}
	if wait = t.full.Add(-time.Duration(burst-1) * each).Sub(now); wait > 0 {
		return wait, like
	}
	if t.full.Before(now) {
		t.full = now
	}
	t.full = t.full.Add(each)
	return 0, like
}

// sharedLocked counts who says it and returns how many others have, if that is too many. r.mu must be held.
func (r *repetition) sharedLocked(p imprint, who uint64, now time.Time) (others int, like float64) {
	t, like := r.sharedText(p)
	if now.After(t.last) {
		t.last = now
	}
	several := r.limits.Several
	if p.letters < shortSeveral {
		several = min(several*r.limits.Often, maxSeveral)
	}
	oldest, mine := 0, -1
	for i, s := range t.by {
		switch {
		case s.who == who:
			mine = i
		case now.Sub(s.last) < r.limits.Window:
			others++
		}
		if s.last.Before(t.by[oldest].last) {
			oldest = i
		}
	}
	switch {
	case mine >= 0:
		t.by[mine].last = now
	case len(t.by) <= several:
		t.by = append(t.by, saying{who, now})
	default:
		t.by[oldest] = saying{who, now}
	}
	if others < several {
		return 0, like
	}
	return others, like
}

// sharedText returns what is known of a text, which takes the place of the oldest if nothing is.
func (r *repetition) sharedText(p imprint) (*sharedText, float64) {
	oldest := 0
	for i := range r.all {
		if like := p.like(r.all[i].imprint); like > 0 {
			return &r.all[i], like
		}
		if r.all[i].last.Before(r.all[oldest].last) {
			oldest = i
		}
	}
	if len(r.all) < allTexts {
		r.all = append(r.all, sharedText{})
		oldest = len(r.all) - 1
	}
	t := &r.all[oldest]
	*t = sharedText{imprint: p, by: t.by[:0]}
	return t, 0
}

// An imprint is what is remembered of a text.
type imprint struct {
	exact   uint64 // of all letters, or of everything if there are none
	near    uint64 // simhash over three letters
	letters int
}

const (
	minNear  = 12 // letters that a text needs to be like one it does not equal
	maxApart = 12 // bits
)

// like says how like two texts are: 1 if they are the same, 0 if they are not nearly so.
func (p imprint) like(o imprint) float64 {
	if p.exact == o.exact && p.letters == o.letters {
		return 1
	}
	n := min(p.letters, o.letters)
	if n < minNear {
		return 0
	}
	apart := bits.OnesCount64(p.near ^ o.near)
	if apart > min(maxApart, n/2) {
		return 0
	}
	return 1 - float64(apart)/64
}

const maxLetters = 4096 // what comes after them is not compared

func imprintOf(text string) imprint {
	var p imprint
	var s simhash
	var a, b uint64
	last := ""
	p.exact = fnvStart
	for _, r := range text {
		g := glyphOf(r)
		if g.kind != letter && g.kind != alone || g.look == last {
			continue
		}
		last = g.look
		c := fnv(fnvStart, g.look)
		p.exact = fnv(p.exact, g.look)
		if p.letters++; p.letters >= 3 {
			s.add(mix(a*3 ^ b*5 ^ c*7))
		}
		a, b = b, c
		if p.letters == maxLetters {
			break
		}
	}
	if p.letters == 0 {
		for word := range strings.FieldsSeq(text) {
			p.exact = fnv(p.exact, word)
		}
	}
	p.near = s.sum()
	return p
}

// fnv and mix need not resist anybody: who looks for texts of one imprint finds a way to be refused.
const fnvStart = 14695981039346656037

func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// A simhash says, bit by bit, whether most of the hashes added have it set. It counts in bytes, eight
// to a word, and empties them before they are full.
type simhash struct {
	bytes  [8]uint64
	set    [64]int
	n, old int
}

// spread has a byte for each bit of its index.
var spread = func() (t [256]uint64) {
	for i := range t {
		for bit := range 8 {
			t[i] |= uint64(i>>bit&1) << (8 * bit)
		}
	}
	return t
}()

func (s *simhash) add(h uint64) {
	for i := range s.bytes {
		s.bytes[i] += spread[byte(h>>(8*i))]
	}
	if s.n++; s.n == 255 {
		s.empty()
	}
}

func (s *simhash) empty() {
	for i, word := range s.bytes {
		for bit := range 8 {
			s.set[8*i+bit] += int(byte(word >> (8 * bit)))
		}
	}
	s.bytes = [8]uint64{}
	s.n, s.old = 0, s.old+s.n
}

func (s *simhash) sum() uint64 {
	s.empty()
	var h uint64
	for i, n := range s.set {
		if 2*n > s.old {
			h |= 1 << i
		}
	}
	return h
}
