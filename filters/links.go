package filters

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"example.com/chatroom"
	"example.com/chatroom/internal/skeleton"
)

// LinkLimits say who may say which links. A field that is zero has its default.
type LinkLimits struct {
	Newcomer time.Duration // how long somebody without an account is new; 10 min
	Refuse   bool          // refuse a newcomer's links; otherwise a moderator decides about them
	Allowed  []string      // hosts that everybody may name, with all hosts below them, such as "example.org"
}

// Links holds or refuses what somebody without an account says in the first minutes if there is a
// link in it. Whoever leaves and comes back is new again.
//
// A link is what has ://, or begins with www., with a host after it; a host with a top-level domain
// that hardly stands for anything else (evil.com, evil.ru); and any other host with a path after it
// (evil.example/x, t.me/x). So are hxxp://, evil[.]example, evil(dot)example, "evil dot com" and "evil . com". It is a
// guess: evil.io is no link, because java.io is none. Names of files, numbers, versions, e-mail
// addresses and a dot without a space after it are none, and nor is localhost.
func Links(l LinkLimits) chatroom.Filter {
	if l.Newcomer <= 0 {
		l.Newcomer = 10 * time.Minute
	}
	l.Allowed = slices.Clone(l.Allowed)
	for i, host := range l.Allowed {
		l.Allowed[i] = strings.Trim(strings.ToLower(host), ".")
	}
	return links(l)
}

type links LinkLimits

func (l links) Review(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
	if d.Account != "" || d.Time.Sub(d.Joined) >= l.Newcomer {
		return chatroom.Verdict{}, nil
	}
	said, rule, score := l.find(d.Text)
	if said == "" {
		return chatroom.Verdict{}, nil
	}
	v := chatroom.Verdict{
		Decision: chatroom.DecisionHold,
		Reason:   "somebody new may not say links yet; a moderator will look at this",
		Rule:     rule,
		Score:    score,
		Evidence: quote(d, said),
	}
	if l.Refuse {
		v.Decision = chatroom.DecisionRefuse
		v.Reason = "no links in the first " + howLong(l.Newcomer) + ", please"
	}
	return v, nil
}

// hidden stands for a dot that was written so as to hide it. NFKC leaves none in a text.
const hidden = '\u2024'

var (
	hiddenDot = regexp.MustCompile(`(?i)([\pL\pN]{2}) ?[\[({<] ?(?:\.|dot) ?[\])}>] ?(\pL{2})`)
	spokenDot = regexp.MustCompile(`(?i)([\pL\pN-]{2,}) (?:dot (?:com|org|ru|xyz|io|gg|example)|\. (?:com|org|ru|xyz))\b`)
)

// find returns the first link in text that is not allowed, or nothing.
func (l links) find(text string) (said, rule string, score float64) {
	if !mayHaveDot(text) {
		return "", "", 0
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '。':
			return '.'
		case glyphOf(r).kind == unseen:
			return -1
		}
		return r
	}, norm.NFKC.String(text))
	if hasBracketed(text) {
		text = hiddenDot.ReplaceAllString(text, "$1\u2024$2")
	}
	if strings.Contains(text, " . ") || saysDot(text) {
		text = spokenDot.ReplaceAllStringFunc(text, sayDot)
	}
	for word := range strings.FieldsSeq(text) {
		if !strings.ContainsAny(word, ".\u2024") && !strings.Contains(word, "://") {
			continue
		}
		if said, rule, score = l.findIn(word); said != "" {
			return strings.ReplaceAll(said, string(hidden), "[.]"), rule, score
		}
	}
	return "", "", 0
}

// mayHaveDot reports whether text has a dot of some kind, or a host without one.
func mayHaveDot(text string) bool {
	return strings.IndexByte(text, '.') >= 0 || strings.Contains(text, "://") || !isASCII(text) || saysDot(text)
}

// hasBracketed reports whether a bracket opens before what may be a dot.
func hasBracketed(text string) bool {
	for i := range len(text) - 2 {
		if strings.IndexByte("[({<", text[i]) >= 0 && strings.IndexByte(". dD", text[i+1]) >= 0 {
			return true
		}
	}
	return false
}

func saysDot(text string) bool {
	for i := range len(text) - 2 {
		if text[i]|0x20 == 'd' && strings.EqualFold(text[i:i+3], "dot") {
			return true
		}
	}
	return false
}

// beforeDot are words before "dot com" that are no names of hosts.
var beforeDot = strings.Fields("the an this that my your our every any of in and or not old early")

// sayDot puts the dot into "evil dot com", but not into "the dot com".
func sayDot(said string) string {
	f := strings.Fields(said)
	if slices.Contains(beforeDot, strings.ToLower(f[0])) {
		return said
	}
	return f[0] + string(hidden) + f[2]
}

// findIn looks for links in a word. A path may name files and other hosts, so after a host only :// counts.
func (l links) findIn(word string) (said, rule string, score float64) {
	before, rest, ok := strings.Cut(word, "://")
	if said, rule, score = l.findBare(before); said != "" {
		return said, rule, score
	}
	for ok {
		host := rest
		if end := strings.IndexAny(rest, `/\?#`); end >= 0 {
			host = rest[:end]
		}
		host = host[strings.LastIndexByte(host, '@')+1:]
		if isHost(host) && !l.allowed(host) {
			return word, "link", 1
		}
		_, rest, ok = strings.Cut(rest, "://")
	}
	return "", "", 0
}

// isHost reports whether what follows :// names a host elsewhere.
func isHost(s string) bool {
	return strings.ContainsAny(s, ".[\u2024") && strings.ContainsFunc(s, isLabel) ||
		s != "" && strings.Trim(s, "0123456789") == ""
}

// allowed reports whether a host may be named.
func (l links) allowed(host string) bool {
	host = strings.ToLower(strings.ReplaceAll(host, string(hidden), "."))
	host = strings.TrimRight(host, `.,;!)]}>'":`)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.Trim(host[i+1:], "0123456789") == "" {
		host = host[:i]
	}
	host = strings.Trim(host, ".")
	if host == "localhost" || host == "127.0.0.1" {
		return true
	}
	for _, a := range l.Allowed {
		if below, ok := strings.CutSuffix(host, a); ok && a != "" && (below == "" || strings.HasSuffix(below, ".")) {
			return true
		}
	}
	return false
}

func isLabel(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) || r == '-' || r == '_'
}

// findBare looks for hosts that have no :// before them.
func (l links) findBare(word string) (said, rule string, score float64) {
	notHost := func(r rune) bool { return !isLabel(r) && r != '.' && r != hidden }
	for from := 0; from < len(word); {
		end := strings.IndexFunc(word[from:], notHost)
		if end < 0 {
			end = len(word) - from
		}
		name, after := word[from:from+end], word[from+end:]
		mail := from > 0 && word[from-1] == '@' || strings.HasPrefix(after, "@")
		if rule, score = bare(name, after); rule != "" && !mail {
			if !l.allowed(name) {
				return word[from:], rule, score
			}
			if after != "" && after[0] == '/' {
				return "", "", 0
			}
		}
		_, size := utf8.DecodeRuneInString(after)
		from += end + size
	}
	return "", "", 0
}

// bare says by which rule name is a host, given what follows it, and how sure that is; the rule is empty if
// it is none.
func bare(name, after string) (rule string, score float64) {
	host := strings.Trim(name, ".-_\u2024")
	labels := strings.Split(strings.ReplaceAll(host, string(hidden), "."), ".")
	n := len(labels)
	if n < 2 || slices.Contains(labels, "") {
		return "", 0
	}
	top := labels[n-1]
	if strings.EqualFold(labels[0], "www") {
		return "link", 1
	}
	if utf8.RuneCountInString(top) < 2 || strings.ContainsFunc(top, notLetter) && !strings.HasPrefix(strings.ToLower(top), "xn--") {
		return "", 0
	}
	path := after != "" && strings.IndexByte("/?#", after[0]) >= 0 && !strings.HasSuffix(name, ".") &&
		strings.ContainsFunc(after, isLabel)
	switch {
	case strings.ContainsRune(host, hidden):
		return "hidden link", 0.9
	case isTop(top) && path:
		return "link", 1
	case newSentence(labels), slices.Contains(products, strings.ToLower(host)), strings.HasPrefix(after, "("):
		return "", 0
	case isTop(top):
		return "host", 0.9
	case path && isASCII(top) && !capitalised(top) && !slices.Contains(extensions, strings.ToLower(top)):
		return "host and path", 0.7
	}
	return "", 0
}

// newSentence reports whether a space is missing after a full stop, as in "done.So what".
func newSentence(labels []string) bool {
	start, _ := utf8.DecodeRuneInString(labels[len(labels)-2])
	return capitalised(labels[len(labels)-1]) && !unicode.IsUpper(start)
}

func capitalised(s string) bool {
	first, size := utf8.DecodeRuneInString(s)
	return unicode.IsUpper(first) && strings.ContainsFunc(s[size:], unicode.IsLower)
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// tops are top-level domains that are neither words that often begin a sentence, nor file names'
// extensions, nor the names of things in programs.
var tops = strings.Fields(`com net org biz edu gov xyz icu vip club shop website dev ru su ua cn de uk fr jp kr nl eu cc tk ga cf gq
	tv gg br mx cz ch se dk fi hu ro bg tr ir vn tw hk nz au za ly рф укр бел`)

// topLooks are tops as they look.
var topLooks = func() map[string]bool {
	looks := make(map[string]bool)
	for _, t := range tops {
		looks[skeleton.Key(t)] = true
	}
	return looks
}()

// isTop reports whether a label is one of tops, or looks like one with characters that are no ASCII.
func isTop(label string) bool {
	if isASCII(label) || utf8.RuneCountInString(label) > 8 {
		return slices.Contains(tops, strings.ToLower(label))
	}
	return topLooks[skeleton.Key(label)] || topLooks[skeleton.Key(strings.ToLower(label))]
}

// products are names that look like hosts and are said as names.
var products = []string{"asp.net", "ado.net", "vb.net", "ml.net", "paint.net", "battle.net"}

// extensions are what names of files end in and hosts do not.
var extensions = strings.Fields(`go mod sum js ts jsx tsx mjs c h cpp hpp java class jar txt json yml yaml toml xml html htm css
	csv log conf cfg ini env exe dll bin dat db sql png jpg jpeg gif svg pdf doc docx odt mp3 mp4 tar gz bz2 xz bak tmp lock kt php rb swift`)
