//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	command = regexp.MustCompile(`(?m)^    (go mod .*)$`)
)

// A program of the README is whole: it compiles in a new module that imports the checkout by the
// commands the README shows.
func TestProgramsOfTheReadmeCompile(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if err := lookAtSources(root); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, commands := goBlock.FindAllSubmatch(readme, -1), command.FindAllSubmatch(readme, -1)
	if len(blocks) != 4 || len(commands) != 2 {
		t.Fatalf("found %d programs and %d commands to import a checkout, want 4 and 2", len(blocks), len(commands))
	}

	dir := t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	run("go", "mod", "init", "fresh")
	for i, block := range blocks {
		sub := filepath.Join(dir, string(rune('a'+i)))
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, "main.go"), block[1], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range commands {
		words := strings.Fields(strings.ReplaceAll(string(c[1]), "/path/to/checkout", root))
		run(words[0], words[1:]...)
	}
	run("go", "vet", "./...")
	run("go", "build", "-o", os.DevNull, "./...")
}
