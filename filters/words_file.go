package filters

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"example.com/chatroom"
)

const (
	maxWordFile = 8 << 20
	maxEntries  = 100_000
	maxPatterns = 1000
	maxEntry    = 16 // words
)

// An entry is one line of a word file.
type entry struct {
	line   int
	rule   string // as it is in the file
	step   Step
	reason string
}

// A list is what a word file says. It does not change.
type list struct {
	entries  []entry
	plain    table // by the words in lower case
	look     table // by what they look like
	patterns []pattern
}

type pattern struct {
	re    *regexp.Regexp
	entry int
}

// A table finds entries by the words they begin with.
type table struct {
	nodes    map[string]node
	prefixes map[string]int
	lengths  []int // of the prefixes, in bytes, ascending
}

// A node is what is known of some words in a row, with one space between them.
type node struct {
	entry int  // none if negative
	more  bool // longer entries begin like this
}

// readList reads the word file, and describes it as it was before that.
func readList(path string) (*list, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for somebody to write to it
		return nil, info, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxWordFile+1))
	if err != nil {
		return nil, info, err
	}
	if len(data) > maxWordFile {
		return nil, info, fmt.Errorf("more than %d MiB", maxWordFile>>20)
	}
	l, err := parseList(string(data))
	return l, info, err
}

// parseList reads the content of a word file. An error begins with the number of the line.
func parseList(data string) (*list, error) {
	l := &list{}
	for _, t := range []*table{&l.plain, &l.look} {
		*t = table{nodes: make(map[string]node), prefixes: make(map[string]int)}
	}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(data, "\ufeff")) {
		n++
		if err := l.addLine(n, strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	l.plain.seal()
	l.look.seal()
	return l, nil
}

func (l *list) addLine(n int, line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	if !utf8.ValidString(line) {
		return errors.New("not UTF-8")
	}
	if len(l.entries) == maxEntries {
		return fmt.Errorf("more than %d entries", maxEntries)
	}
	e := entry{line: n, step: Step{Decision: chatroom.DecisionRefuse}}
	action, rest, ok := cutAction(line)
	if ok {
		var err error
		if e.step, err = parseStep(action); err != nil {
			return err
		}
	} else if first, others, _ := strings.Cut(line, " "); isAction(first) && others != "" && strings.TrimSpace(others)[0] != '#' {
		return fmt.Errorf("a colon comes after an action; if you mean the words, write refuse: %s", line)
	}
	if strings.HasPrefix(rest, "/") {
		return l.addPattern(e, rest)
	}
	return l.addWords(e, rest)
}

func isAction(word string) bool {
	return word != "" && slices.Contains(mildToHarsh, chatroom.Decision(strings.ToLower(word)))
}

// cutAction cuts what comes before the first colon off a line, if that is no part of a pattern or
// of a reason.
func cutAction(line string) (action, rest string, ok bool) {
	i := strings.IndexAny(line, ":/")
	if i < 0 || line[i] == '/' || reasonAt(line[:i]) >= 0 {
		return "", line, false
	}
	return line[:i], strings.TrimSpace(line[i+1:]), true
}

// reasonAt returns where the # is that a reason follows, a negative number if there is none.
func reasonAt(s string) int {
	for i := range len(s) {
		if s[i] == '#' && i > 0 && (s[i-1] == ' ' || s[i-1] == '\t') {
			return i
		}
	}
	return -1
}

func parseStep(action string) (Step, error) {
	name, duration, _ := strings.Cut(strings.TrimSpace(action), " ")
	s := Step{Decision: chatroom.Decision(strings.ToLower(name))}
	if !isAction(name) {
		return s, fmt.Errorf("%q is none of refuse, hold, rewrite, mute, kick and ban", name)
	}
	if duration = strings.TrimSpace(duration); duration == "" {
		return s.bounded(), nil
	}
	if !s.lasts() {
		return s, fmt.Errorf("a %s has no duration", s.Decision)
	}
	d, err := time.ParseDuration(duration)
	if err != nil {
		return s, fmt.Errorf("%q is no duration such as 10m or 1h", duration)
	}
	if d <= 0 || d > maxFor {
		return s, fmt.Errorf("a duration is more than nothing and at most %v", maxFor)
	}
	s.For = d
	return s, nil
}

// addPattern adds a line such as /re/ # reason. What follows the closing slash decides which that is.
func (l *list) addPattern(e entry, s string) error {
	end := 1
	for end < len(s) && s[end] != '/' {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return errors.New("the pattern has no / at its end")
	}
	after := s[end+1:]
	if at := reasonAt(after); at >= 0 && strings.TrimSpace(after[:at]) == "" {
		e.reason = strings.TrimSpace(after[at+1:])
	} else if after != "" {
		return fmt.Errorf("%q after the pattern; write \\/ for a / in it, and a # before a reason", after)
	}
	e.rule = s[:end+1]
	re, err := regexp.Compile(s[1:end])
	switch {
	case err != nil:
		return err
	case re.MatchString(""):
		return errors.New("the pattern matches nothing at all, and so everything")
	case len(l.patterns) == maxPatterns:
		return fmt.Errorf("more than %d patterns", maxPatterns)
	}
	l.patterns = append(l.patterns, pattern{re, len(l.entries)})
	l.entries = append(l.entries, e)
	return nil
}

// addWords adds a line such as word* # reason.
func (l *list) addWords(e entry, s string) error {
	if at := reasonAt(s); at >= 0 {
		s, e.reason = s[:at], strings.TrimSpace(s[at+1:])
	}
	e.rule = strings.TrimSpace(s)
	words, isPrefix := strings.CutSuffix(e.rule, "*")
	words = norm.NFC.String(words)
	if strings.ContainsFunc(words, func(c rune) bool { return c != '\t' && unicode.IsControl(c) || c == '*' || c == ':' }) {
		return fmt.Errorf("%q is no word; write a pattern between slashes", e.rule)
	}
	r := readings.Get().(*reading)
	defer readings.Put(r)
	r.read(words)
	switch n := len(r.tokens); {
	case n == 0:
		return fmt.Errorf("there is no letter and no digit in %q", e.rule)
	case n > maxEntry:
		return fmt.Errorf("more than %d words", maxEntry)
	case isPrefix && r.tokens[n-1].text.to != len(words):
		return errors.New("a * follows a letter or a digit")
	case isPrefix && n > 1:
		return errors.New("a * follows one word, not several")
	}
	l.entries = append(l.entries, e)
	l.add(&l.plain, r.plain, isPrefix)
	l.add(&l.look, r.look, isPrefix)
	return nil
}

// add adds the last entry to a table. Of two for the same words, the harsher counts.
func (l *list) add(t *table, words []byte, isPrefix bool) {
	last := len(l.entries) - 1
	best := func(old int) int {
		if l.harsher(last, old) {
			return last
		}
		return old
	}
	if isPrefix {
		if old, ok := t.prefixes[string(words)]; ok {
			last = best(old)
		}
		t.prefixes[string(words)] = last
		return
	}
	for i, c := range words {
		if c == ' ' {
			n, ok := t.nodes[string(words[:i])]
			if !ok {
				n.entry = -1
			}
			n.more = true
			t.nodes[string(words[:i])] = n
		}
	}
	n, ok := t.nodes[string(words)]
	if !ok {
		n.entry = -1
	}
	n.entry = best(n.entry)
	t.nodes[string(words)] = n
}

// seal ends the adding.
func (t *table) seal() {
	for p := range t.prefixes {
		t.lengths = append(t.lengths, len(p))
	}
	slices.Sort(t.lengths)
	t.lengths = slices.Compact(t.lengths)
}

// find returns the harshest of the entries for exactly these words and of those for how they begin; a
// negative number if there is none.
func (l *list) find(t *table, words []byte) int {
	best := -1
	if n, ok := t.nodes[string(words)]; ok {
		best = n.entry
	}
	for _, n := range t.lengths {
		if n > len(words) {
			break
		}
		if e, ok := t.prefixes[string(words[:n])]; ok && l.harsher(e, best) {
			best = e
		}
	}
	return best
}

// harsher reports whether entry a is harsher than entry b; any is harsher than none.
func (l *list) harsher(a, b int) bool {
	return b < 0 || a >= 0 && l.entries[a].step.harsher(l.entries[b].step)
}

// reasonFor returns what the speaker is told.
func (e entry) reasonFor() string {
	what := "a word in that is not allowed here"
	switch {
	case e.step.Decision == chatroom.DecisionRewrite:
		what = "a word was starred out"
	case strings.HasPrefix(e.rule, "/"):
		what = "something in that is not allowed here"
	}
	return cmp.Or(e.reason, what)
}
