package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"example.com/chatroom"
)

// addsAccount runs -add-account with that input, and returns the exit code and what it said.
func addsAccount(t *testing.T, accounts, input string, args ...string) (code int, said string) {
	t.Helper()
	stdin, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	fmt.Fprint(keys, input)
	keys.Close()
	var out strings.Builder
	code = run(t.Context(), append(args, "-accounts", accounts), stdin, &out, &out)
	return code, out.String()
}

func TestAddAccountReadsThePasswordFromAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts")
	for _, step := range []struct {
		args  []string
		input string
		says  string
		role  chatroom.Role
	}{
		{[]string{"-add-account", "ann", "-role", "admin"}, "secret\n", "admin ann was added", chatroom.RoleAdmin},
		{[]string{"-add-account", "ann"}, "without a new line", "admin ann was changed", chatroom.RoleAdmin},
		{[]string{"-add-account", "ann", "-role", "member"}, "of Windows\r\n", "member ann was changed", chatroom.RoleMember},
	} {
		code, said := addsAccount(t, path, step.input, step.args...)
		if code != 0 || !strings.Contains(said, step.says) {
			t.Fatalf("%q: exit code %d, said %q", step.args, code, said)
		}
		accounts, err := chatroom.Passwords(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := accounts.Accounts(); len(got) != 1 || got[0].Role != step.role {
			t.Errorf("%q: the accounts are %v", step.args, got)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %04o", mode)
	}
}

func TestAddAccountMakesNoFileWithoutAPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts")
	for _, input := range []string{"", "\n", "\r\n"} {
		if code, said := addsAccount(t, path, input, "-add-account", "ann"); code != 1 || !strings.Contains(said, "password of ann: there is none") {
			t.Errorf("%q: exit code %d, said %q", input, code, said)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is there: %v", err)
	}
}

func TestAccountsLogInBesideGuests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts")
	if code, said := addsAccount(t, path, "secret\r\n", "-add-account", "ann"); code != 0 {
		t.Fatal(said)
	}
	srv := start(t, "-accounts", path, "-plaintext-passwords")
	ann := srv.join(t, "ann", nil)
	sees(t, ann, "Your password: ")
	fmt.Fprintln(ann, "wrong")
	sees(t, ann, "Your ")
	again := srv.join(t, "Ann", nil)
	sees(t, again, "Your password: ")
	fmt.Fprintln(again, "secret")
	sees(t, again, "You are Ann, in lobby")
	sees(t, srv.join(t, "bob", nil), "You are bob, in lobby")
}

func TestAskingForAPasswordEndsWithTheContext(t *testing.T) {
	stdin, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	ended := make(chan int)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		ended <- run(ctx, []string{"-add-account", "ann", "-accounts", filepath.Join(t.TempDir(), "accounts")}, stdin, io.Discard, io.Discard)
	}()
	cancel()
	if code := <-ended; code != 1 {
		t.Errorf("exit code %d", code)
	}
	keys.Close() // ends who still reads
}
