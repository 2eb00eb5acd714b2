package chatroom_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

var update = flag.Bool("update", false, "rewrite what the servers in testdata/*.txtar and PROTOCOL.md say")

// The transcripts are conversations with a server, and what PROTOCOL.md shows. In each file the
// section "server" sets the server up, and "conversation" is what was said: PROTOCOL.md explains
// the notation. A replay sends what the peers say and writes down what the server answers.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			comment, sections := readArchive(t, file)
			var said string
			synctest.Test(t, func(t *testing.T) {
				said = replay(t, sections["server"], sections["conversation"])
			})
			if !*update {
				if diff := cmp.Diff(sections["conversation"], said); diff != "" {
					t.Errorf("%s (-file +replay):\n%s", file, diff)
				}
				return
			}
			sections["conversation"] = said
			for _, name := range slices.Backward(slices.Sorted(maps.Keys(sections))) {
				comment += "-- " + name + " --\n" + sections[name]
			}
			if err := os.WriteFile(file, []byte(comment), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

var fenced = regexp.MustCompile("(?ms)^```(.*?)\n(.*?)^```$")

// Each conversation in PROTOCOL.md is one that TestTranscripts replays, or a part of it.
func TestPROTOCOLShowsTranscripts(t *testing.T) {
	text := readFile(t, "PROTOCOL.md")
	blocks := fenced.FindAllStringSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("no conversations")
	}
	for _, block := range blocks {
		name, ok := strings.CutPrefix(block[1], "transcript ")
		if !ok {
			t.Errorf("a block does not say which transcript it is:\n%s", block[0])
			continue
		}
		_, sections := readArchive(t, filepath.Join("testdata", name+".txtar"))
		said := sections["conversation"]
		if block[2] != "" && strings.Contains("\n"+said, "\n"+block[2]) {
			continue
		}
		if !*update {
			t.Errorf("PROTOCOL.md shows another transcript %s (-file +shown):\n%s", name, cmp.Diff(said, block[2]))
		}
		text = strings.Replace(text, block[0], "```"+block[1]+"\n"+excerpt(said, block[2])+"```", 1)
	}
	if *update {
		if err := os.WriteFile("PROTOCOL.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// excerpt returns the lines of a conversation that were once was: as many, with what was first sent in the same place. Without
// that it is the whole conversation.
func excerpt(said, was string) string {
	now, old := strings.SplitAfter(said, "\n"), strings.SplitAfter(was, "\n")
	sent := slices.IndexFunc(old, func(line string) bool {
		name, _, ok := strings.Cut(line, "> ")
		return ok && !strings.Contains(name, " ")
	})
	if sent < 0 {
		return said
	}
	from := slices.Index(now, old[sent]) - sent
	if from < 0 || from+len(old) > len(now) {
		return said
	}
	return strings.Join(now[from:from+len(old)-1], "")
}

// readArchive reads a file in the txtar format: a comment, and sections that begin with a line
// "-- name --".
func readArchive(t testing.TB, file string) (comment string, sections map[string]string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sections = make(map[string]string)
	name := ""
	for line := range strings.Lines(string(data)) {
		if inner, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(inner, " --") {
			name = strings.TrimSuffix(inner, " --")
			sections[name] = ""
		} else if name == "" {
			comment += line
		} else {
			sections[name] += line
		}
	}
	return comment, sections
}

// setUp returns the options that a transcript's section "server" asks for, a line each, and the
// addresses that its peers connect from.
func setUp(t testing.TB, section string) (opts []chatroom.Option, addrs map[string]string) {
	t.Helper()
	limits := chatroom.Limits{MessageRate: -1, MoveRate: -1}
	var bans []chatroom.Ban
	users := make(users)
	addrs = make(map[string]string)
	for line := range strings.Lines(section) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.Atoi(rest) // zero where there is no number
		switch word {
		case "":
		case "motd":
			opts = append(opts, chatroom.WithMOTD(rest))
		case "rooms":
			opts = append(opts, chatroom.WithFixedRooms(strings.Fields(rest)...))
		case "history":
			limits.History = n
		case "line-bytes":
			limits.LineBytes = n
		case "text-bytes":
			limits.TextBytes = n
		case "members":
			limits.Members = n
		case "notices":
			limits.Notices = n
		case "message-rate":
			limits.MessageRate = float64(n)
		case "message-burst":
			limits.MessageBurst = n
		case "ban":
			nick, reason, _ := strings.Cut(rest, " ")
			bans = append(bans, chatroom.Ban{ID: nick, Kind: chatroom.BanNick, Value: nick, Reason: reason})
		case "password":
			nick, secret, _ := strings.Cut(rest, " ")
			users[nick] = user{role: chatroom.RoleModerator, secret: secret}
		case "role": // NICK ROLE: who has an account of that name, and needs no password
			nick, name, _ := strings.Cut(rest, " ")
			u := user{}
			if err := u.role.UnmarshalText([]byte(name)); err != nil {
				t.Fatal(err)
			}
			users[nick] = u
		case "addr": // PEER ADDRESS: where a peer connects from
			name, addr, _ := strings.Cut(rest, " ")
			addrs[name] = addr
		case "filter", "dry-filter": // DECISION WORD [REASON]: what becomes of texts with the word
			f := strings.SplitN(rest, " ", 3)
			v := chatroom.Verdict{Decision: chatroom.Decision(f[0]), Reason: strings.Join(f[2:], ""), Rule: f[1]}
			if v.Decision == chatroom.DecisionRewrite {
				v.Text = "***"
			}
			step := chatroom.FilterStep{Name: "words", Filter: wordFilter(f[1], v)}
			step.Dry = word == "dry-filter"
			opts = append(opts, chatroom.WithFilter(step))
		case "plaintext-secrets":
			opts = append(opts, chatroom.WithPlaintextSecrets())
		default:
			t.Fatalf("section server: %q is no setting", line)
		}
	}
	opts = append(opts, chatroom.WithLimits(limits), chatroom.WithBanStore(chatroom.MemoryBans(bans...)), chatroom.WithAuthenticator(users))
	return opts, addrs
}

// The users of a transcript's server, by nick, which is their account too. Everybody else is a guest.
type users map[string]user

type user struct {
	role   chatroom.Role
	secret string // none is needed if it is empty
}

func (u users) Authenticate(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	if req.Current != nil {
		return chatroom.Identity{Nick: req.Nick, Account: req.Current.Account, Role: req.Current.Role}, nil
	}
	known, ok := u[req.Nick]
	switch {
	case !ok:
		return chatroom.Identity{Nick: req.Nick}, nil
	case known.secret != "" && req.Secret == "":
		return chatroom.Identity{}, chatroom.ErrPasswordRequired
	case known.secret != req.Secret:
		return chatroom.Identity{}, chatroom.ErrUnauthorized
	}
	return chatroom.Identity{Nick: req.Nick, Account: req.Nick, Role: known.role}, nil
}

// wordFilter has one verdict on every text with that word in it.
func wordFilter(word string, v chatroom.Verdict) chatroom.Filter {
	return chatroom.FilterFunc(func(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
		if !strings.Contains(d.Text, word) {
			return chatroom.Verdict{}, nil
		}
		return v, nil
	})
}

// A stage is a replay under way.
type stage struct {
	t       testing.TB
	srv     chatroom.Server
	names   []string // in the order they connected
	callers map[string]*caller
	addrs   map[string]string // where they connect from
	acts    []string          // the ids of the acts so far
	tokens  map[string]string // by who was told them last, what they are and of which room, in quotes
	out     strings.Builder
}

var (
	spoken  = regexp.MustCompile(`^(\w+)> ?(.*)$`)
	heard   = regexp.MustCompile(`^\w+< |^\w+<$|^\(\w+ is disconnected\)$`)
	remark  = regexp.MustCompile(`^\((\w+) (connects|hangs up|sends) ?(.*)\)$`)
	passing = regexp.MustCompile(`^\((\w+) pass(?:es)?\)$`)
)

// replay carries out the parts of the peers and returns the whole conversation.
func replay(t testing.TB, server, conversation string) string {
	opts, addrs := setUp(t, server)
	s := &stage{t: t, srv: hostBubble(t, opts...), callers: make(map[string]*caller), addrs: addrs, tokens: make(map[string]string)}
	for line := range strings.Lines(conversation) {
		line = strings.TrimSuffix(line, "\n")
		if heard.MatchString(line) {
			continue // what the server says is written down anew
		}
		fmt.Fprintln(&s.out, line)
		s.act(line)
		s.listen()
	}
	return s.out.String()
}

func (s *stage) act(line string) {
	if line == "" || strings.HasPrefix(line, "#") {
		return
	}
	if m := spoken.FindStringSubmatch(line); m != nil {
		said := actName.ReplaceAllStringFunc(m[2], s.actID)
		said = strings.ReplaceAll(said, `"SESSION"`, s.tokens[m[1]+" session"])
		s.caller(m[1]).send(seenRoom.ReplaceAllStringFunc(said, func(seen string) string {
			room := seenRoom.FindStringSubmatch(seen)[1]
			return strings.Replace(seen, `"EPOCH"`, s.tokens[m[1]+" epoch "+room], 1)
		}))
		return
	}
	if line == "(the server shuts down)" {
		if err := s.srv.Shutdown(s.t.Context()); err != nil {
			s.t.Errorf("Shutdown: %v", err)
		}
		return
	}
	if m := passing.FindStringSubmatch(line); m != nil {
		d, err := time.ParseDuration(m[1])
		if err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(d)
		return
	}
	m := remark.FindStringSubmatch(line)
	if m == nil {
		s.t.Fatalf("cannot replay %q", line)
	}
	switch c := s.caller(m[1]); m[2] {
	case "hangs up":
		c.conn.Close()
		s.forget(m[1])
	case "sends":
		times, quoted, ok := strings.Cut(m[3], " times ")
		if !ok {
			times, quoted = "1", m[3]
		}
		n, err := strconv.Atoi(times)
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		bytes, err := strconv.Unquote(quoted)
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		c.sendRaw(strings.Repeat(bytes, n))
	}
}

// caller returns who has that name, who connects now if need be.
func (s *stage) caller(name string) *caller {
	if s.callers[name] == nil {
		s.callers[name] = callFrom(s.t, s.srv, s.addrs[name])
		s.names = append(s.names, name)
	}
	return s.callers[name]
}

func (s *stage) forget(name string) {
	delete(s.callers, name)
	s.names = slices.DeleteFunc(s.names, func(n string) bool { return n == name })
}

var (
	random   = regexp.MustCompile(`"(epoch|session)":"[A-Z2-7]{26,}"`)
	seenRoom = regexp.MustCompile(`"room":"(\w+)","epoch":"EPOCH"`)
	inRoom   = regexp.MustCompile(`"room":"(\w+)"`)
)

// Ids of acts are random. They are called ACT1, ACT2 and so on, in the order of the acts.
var actName = regexp.MustCompile(`\bACT\d+\b`)

// actID returns the id that an act's name stands for.
func (s *stage) actID(name string) string {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "ACT"))
	if n < 1 || n > len(s.acts) {
		s.t.Fatalf("there is no %s yet", name)
	}
	return s.acts[n-1]
}

// learnActs learns the ids of the acts so far, and returns what replaces them by their names.
func (s *stage) learnActs() *strings.Replacer {
	over, cancel := context.WithCancel(s.t.Context())
	cancel()
	s.acts = nil
	var pairs []string
	for rec := range s.srv.Audits(over) { // what there is, without waiting for more
		if !slices.Contains(s.acts, rec.ID) {
			s.acts = append(s.acts, rec.ID)
			pairs = append(pairs, rec.ID, fmt.Sprintf("ACT%d", len(s.acts)))
		}
	}
	return strings.NewReplacer(pairs...)
}

// listen writes down what everybody has heard.
func (s *stage) listen() {
	synctest.Wait()
	acts := s.learnActs()
	for _, name := range slices.Clone(s.names) {
		c := s.callers[name]
		for line := range strings.Lines(c.hear()) {
			text, ended := strings.CutSuffix(line, "\n")
			if !ended {
				text += "_"
			}
			text = random.ReplaceAllStringFunc(text, func(field string) string {
				key, token, _ := strings.Cut(field, ":")
				what := name + " " + strings.Trim(key, `"`)
				if room := inRoom.FindStringSubmatch(text); key == `"epoch"` && room != nil {
					what += " " + room[1]
				}
				s.tokens[what] = token
				return key + `:"` + strings.ToUpper(strings.Trim(key, `"`)) + `"`
			})
			fmt.Fprintln(&s.out, strings.TrimRight(name+"< "+acts.Replace(text), " "))
		}
		if c.gone() {
			fmt.Fprintf(&s.out, "(%s is disconnected)\n", name)
			s.forget(name)
		}
	}
}
