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
	// The users and bans it shows in the place of the reader's own keep the contracts.
	if err := os.WriteFile(filepath.Join(dir, "d", "kits_test.go"), []byte(kits), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		words := strings.Fields(strings.ReplaceAll(string(c[1]), "/path/to/checkout", root))
		run(words[0], words[1:]...)
	}
	run("go", "vet", "./...")
	run("go", "build", "-o", os.DevNull, "./...")
	run("go", "test", "./d")
}

const kits = `package main

import (
	"testing"

	"example.com/chatroom"
	"example.com/chatroom/chatroomtest"
)

func TestUsers(t *testing.T) {
	chatroomtest.TestAuthenticator(t, chatroomtest.AuthBackend{
		Auth: chatroom.AuthenticatorFunc(users), Account: "ann", Secret: "correct horse", Role: chatroom.RoleAdmin,
	})
	guest := chatroom.Identity{Nick: "bob"}
	for _, nick := range []string{"Ann", "\u0430nn"} {
		for _, req := range []chatroom.AuthRequest{{Nick: nick}, {Nick: nick, Current: &guest}} {
			if id, err := users(t.Context(), req); err == nil {
				t.Errorf("%+v comes in as %+v", req, id)
			}
		}
	}
}

func TestBans(t *testing.T) {
	chatroomtest.TestBanStore(t, func(*testing.T) chatroom.BanStore { return &bans{byID: make(map[string]chatroom.Ban)} })
}
`
