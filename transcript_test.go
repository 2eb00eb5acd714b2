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
		if strings.Contains("\n"+said, "\n"+block[2]) {
			continue
		}
		if !*update {
			t.Errorf("PROTOCOL.md shows another transcript %s (-file +shown):\n%s", name, cmp.Diff(said, block[2]))
		}
		text = strings.Replace(text, block[0], "```"+block[1]+"\n"+said+"```", 1)
	}
	if *update {
		if err := os.WriteFile("PROTOCOL.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
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

// setUp returns the options that a transcript's section "server" asks for, a line each.
func setUp(t testing.TB, section string) []chatroom.Option {
	t.Helper()
	var limits chatroom.Limits
	var opts []chatroom.Option
	var bans []chatroom.Ban
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
		case "ban":
			nick, reason, _ := strings.Cut(rest, " ")
			bans = append(bans, chatroom.Ban{ID: nick, Kind: chatroom.BanNick, Value: nick, Reason: reason})
		case "password":
			nick, secret, _ := strings.Cut(rest, " ")
			opts = append(opts, chatroom.WithAuthenticator(passwordFor(nick, secret)))
		default:
			t.Fatalf("section server: %q is no setting", line)
		}
	}
	return append(opts, chatroom.WithLimits(limits), chatroom.WithBanStore(chatroom.MemoryBans(bans...)))
}

// passwordFor lets nick in with that password only, as a moderator, and everybody else without one.
func passwordFor(nick, secret string) chatroom.Authenticator {
	return chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
		switch {
		case req.Nick != nick:
			return chatroom.Identity{Nick: req.Nick}, nil
		case req.Secret == "":
			return chatroom.Identity{}, chatroom.ErrPasswordRequired
		case req.Secret != secret:
			return chatroom.Identity{}, chatroom.ErrUnauthorized
		}
		return chatroom.Identity{Nick: nick, Account: nick, Role: chatroom.RoleModerator}, nil
	})
}

// A stage is a replay under way.
type stage struct {
	t       testing.TB
	srv     chatroom.Server
	names   []string // in the order they connected
	callers map[string]*caller
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
	s := &stage{t: t, srv: hostBubble(t, setUp(t, server)...), callers: make(map[string]*caller)}
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
		s.caller(m[1]).send(m[2])
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
		s.callers[name] = call(s.t, s.srv)
		s.names = append(s.names, name)
	}
	return s.callers[name]
}

func (s *stage) forget(name string) {
	delete(s.callers, name)
	s.names = slices.DeleteFunc(s.names, func(n string) bool { return n == name })
}

var random = regexp.MustCompile(`"(epoch|session)":"[A-Z2-7]{26,}"`)

// listen writes down what everybody has heard.
func (s *stage) listen() {
	for _, name := range slices.Clone(s.names) {
		c := s.callers[name]
		for line := range strings.Lines(c.hear()) {
			text, ended := strings.CutSuffix(line, "\n")
			if !ended {
				text += "_"
			}
			text = random.ReplaceAllStringFunc(text, func(field string) string {
				key, _, _ := strings.Cut(field, ":")
				return key + `:"` + strings.ToUpper(strings.Trim(key, `"`)) + `"`
			})
			fmt.Fprintln(&s.out, strings.TrimRight(name+"< "+text, " "))
		}
		if c.gone() {
			fmt.Fprintf(&s.out, "(%s is disconnected)\n", name)
			s.forget(name)
		}
	}
}
