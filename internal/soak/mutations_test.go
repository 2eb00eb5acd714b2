package soak

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var mutations = flag.Bool("mutations", false, "run TestSoakNoticesWhatIsBroken, which takes minutes")

// A mutation breaks one thing that deliveries rely on.
type mutation struct{ what, file, old, new string }

var mutants = []mutation{
	{"nothing", "", "", ""},
	{
		"a command that is sent again is done again", "resume.go",
		`if m.session == nil || cmd.ID == "" || cmd.asks() {`, `if true {`,
	},
	{
		"a gap is not told", "hub.go",
		`if from.lost != 0 && from.lost < from.from {`, `if false {`,
	},
	{
		"whoever comes back is put where somebody new is", "resume.go",
		`seen := sights(req.Seen).in(r)`, `var seen *Seen`,
	},
	{
		"a session is not taken over from a connection that is there", "resume.go",
		"case !known:\n\t\t\treturn nil, Event{}, nil\n", "case !known || !old.parked:\n\t\t\treturn nil, Event{}, nil\n",
	},
	{
		"an attempt that is late takes the session over", "resume.go",
		`return attempt < n.attempt`, `return false`,
	},
	{
		"whoever comes back reads one event twice", "hub.go",
		`from.lost = min(seen.Seq, r.log.next-1) + 1`, `from.lost = max(1, min(seen.Seq, r.log.next-1))`,
	},
	{
		"whoever comes back misses an event", "hub.go",
		`from.lost = min(seen.Seq, r.log.next-1) + 1`, `from.lost = min(seen.Seq+1, r.log.next-1) + 1`,
	},
	{
		"a history is half as long as it has to be", "hub.go",
		`bytes := int64(r.srv.limits.HistoryBytes)`, `bytes := int64(r.srv.limits.HistoryBytes / 2)`,
	},
	{
		"what is private is not told again", "resume.go",
		"if e.Private > number {\n\t\t\tevents", "if false {\n\t\t\tevents",
	},
	{
		"what is private is told again from the beginning", "resume.go",
		`if e.Private > number {`, `if true {`,
	},
	{
		"a private message to somebody who is away is not kept", "member.go",
		"\tif m.session != nil {\n\t\te = m.session.number(e)", "\tif m.session != nil && !m.parked {\n\t\te = m.session.number(e)",
	},
	{
		"one private message of fifty is not delivered", "commands.go",
		`ok := here && there && to.offer(&e)`, `ok := here && there && (e.Time.UnixMilli()%50 == 0 || to.offer(&e))`,
	},
	{
		"a session is over with its connection", "resume.go",
		`if m.session == nil || m.parked() || !reason.lost() {`, `if true {`,
	},
	{
		"what was refused is done all the same", "commands.go",
		"\tto := m.srv.lookUp(cmd.Nick)\n\tif to == nil {\n", "\tto := m.srv.lookUp(cmd.Nick)\n\tif to == nil {\n\t\t_, _ = m.speak(ctx, cmd, KindMessage)\n",
	},
	{
		"a client in doubt sends again at once", "client/resume.go",
		"\t\tk.doubt = c.where(k)\n", "\t\treturn false\n",
	},
	{
		"a client does not tell that a room's history is lost", "client/resume.go",
		`c.push(missed)`, `_ = missed`,
	},
}

// What is broken has to be there.
func TestEveryMutationCanBeMade(t *testing.T) {
	dir := t.TempDir()
	copyModule(t, dir)
	for _, m := range mutants {
		m.apply(t, dir)
		copyModule(t, dir)
	}
}

// TestSoakNoticesWhatIsBroken breaks copies of this module in one place each, and checks that TestSoak fails with them.
func TestSoakNoticesWhatIsBroken(t *testing.T) {
	if !*mutations {
		t.Skip("it takes minutes: go test -v -run TestSoakNoticesWhatIsBroken ./internal/soak -mutations")
	}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.what, " ", "_"), func(t *testing.T) {
			dir := t.TempDir()
			copyModule(t, dir)
			m.apply(t, dir)
			began := time.Now()
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run=^TestSoak$", "-timeout=5m", "./internal/soak", "-length=25s")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOWORK=off")
			out, err := cmd.CombinedOutput()
			caught := bytes.Contains(out, []byte("--- FAIL: TestSoak "))
			switch {
			case m.file == "" && err != nil, m.file != "" && !caught:
				t.Errorf("%v: %s", err, out)
			case caught:
				t.Logf("caught in %v:\n%s", time.Since(began).Round(time.Second), broken(out))
			}
		})
	}
}

// apply makes the change, at the one place where it can be made.
func (m mutation) apply(t *testing.T, dir string) {
	if m.file == "" {
		return
	}
	path := filepath.Join(dir, filepath.FromSlash(m.file))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Fatalf("%s has %q %d times, not once", m.file, m.old, n)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyModule copies the root module, without the modules in it.
func copyModule(t *testing.T, dir string) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(dir, rel), 0o700)
		}
		switch filepath.Ext(path) {
		case ".go", ".mod", ".sum":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, rel), text, 0o600)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// broken returns the first promises that TestSoak found broken.
func broken(out []byte) string {
	var lines []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "    ") && len(lines) < 4 {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
