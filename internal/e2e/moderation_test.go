//go:build unix

package e2e

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A moderated is a server with all its files, and ann, who is its admin.
type moderated struct {
	*server
	t           *testing.T
	args        []string
	bans, audit string
	ann         *peer
}

// moderate starts a server that keeps its files in dir.
func moderate(t *testing.T, dir, accounts string) *moderated {
	t.Helper()
	m := &moderated{t: t, bans: filepath.Join(dir, "bans"), audit: filepath.Join(dir, "audit.jsonl")}
	m.args = []string{"-bans", m.bans, "-audit", m.audit, "-accounts", accounts}
	m.start()
	return m
}

// quickAccounts returns a file of accounts, ann's and dan's, that takes no time to log in to.
func quickAccounts(t *testing.T) string {
	t.Helper()
	const salt = "no secret"
	sum, err := pbkdf2.Key(sha256.New, password, []byte(salt), 1, 32)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawStdEncoding.EncodeToString
	hash := fmt.Sprintf("$pbkdf2-sha256$i=1$%s$%s", b64([]byte(salt)), b64(sum))
	path := filepath.Join(t.TempDir(), "accounts")
	text := fmt.Sprintf("# chatroom accounts 1\nann admin %s\ndan member %s\n", hash, hash)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (m *moderated) start() {
	m.t.Helper()
	m.server = startServer(m.t, m.args...)
	m.ann = logIn(m.t, m.addr, "ann")
}

func (m *moderated) restart() {
	m.t.Helper()
	m.ends(0)
	m.start()
}

// ends stops the server and checks its exit code.
func (m *moderated) ends(code int) {
	m.t.Helper()
	m.stop()
	m.ann.sees("--- Goodbye: the server is shutting down.\n")
	m.ann.conn.Close()
	m.exits(code)
}

func TestAKickedMemberIsGoneAtOnceAndMayRejoin(t *testing.T) {
	t.Parallel()
	m := moderate(t, t.TempDir(), quickAccounts(t))
	ann := m.ann
	ann.types("$5 for lunch?")
	ann.sees("<ann> $5 for lunch?\n")

	bob := joinText(t, m.addr, "bob")
	go io.WriteString(bob.conn, strings.Repeat("me again\n", 5000)) // he is cut off in between
	ann.sees("<bob> me again\n")
	ann.types("$kick bob stop it")
	ann.sees("--- ann kicked bob: stop it\n")
	ann.types("at last")
	if late := ann.before("<ann> at last\n"); strings.Contains(late, "bob") {
		t.Errorf("after the kick ann got %q", late)
	}
	bob.sees("--- Goodbye: you were kicked by ann: stop it.\n")
	bob.ends()

	bob = joinText(t, m.addr, "bob")
	ann.sees("--> bob joined\n")
	ann.types("/kick bob")
	ann.sees("--- ann kicked bob\n")
	bob.sees("--- Goodbye: you were kicked by ann.\n")
	bob.ends()

	bob = joinText(t, m.addr, "bob")
	bob.types("/kick ann")
	bob.sees("!!! /kick is for moderators.\n")
	ann.types("/undo")
	ann.sees("!!! a kick cannot be taken back; bob may come in again.\n")
}

func TestABannedMemberStaysOutUntilUnbanned(t *testing.T) {
	t.Parallel()
	accounts := filepath.Join(t.TempDir(), "accounts")
	addAccount(t, accounts, "ann", "admin")
	m := moderate(t, t.TempDir(), accounts)
	bob := joinText(t, m.addr, "bob")
	m.ann.types("$ban bob 1h spam")
	m.ann.sees("--- ann banned bob until ", ": spam\n")
	bob.sees("--- Goodbye: you were banned by ann until ", " UTC: spam (ban ")
	id := bob.before(")")
	bob.sees(".\n")
	bob.ends()
	m.staysOut(id, "bob", "Bob", "BOB", "bob ", "ｂｏｂ", "bоb", "bοb") // Cyrillic and Greek

	m.restart()
	m.staysOut(id, "bob", "BOB", "ｂｏｂ", "bоb")
	m.ann.types("/bans")
	m.ann.sees("--- " + id + " ban bob until ")
	m.ann.types("/unban bob")
	m.ann.sees(": unban bob\n")
	bob = joinText(t, m.addr, "bob")

	m.ann.types("/undo")
	m.ann.sees(": undo unban bob (")
	bob.sees("--- Goodbye: you were banned by ann until ", "(ban "+id+").\n")
	bob.ends()
	m.staysOut(id, "bob")
	m.ann.types("/unban " + id)
	m.ann.sees(": unban " + id)
	bob = joinText(t, m.addr, "bob")

	m.ann.types("/ban bob 1 h spam")
	m.ann.sees("!!! usage: /ban ", "1d12h")
	m.ann.types("/ban bob spam")
	m.ann.sees("--- ann banned bob for good: spam\n")
	bob.sees("--- Goodbye: you were banned by ann: spam (ban ")
	again := bob.before(")")
	m.staysOut(again, "bob")
	m.ann.types("/undo")
	m.ann.sees(": undo ban bob (" + again + ")")
	joinText(t, m.addr, "bob")
	m.restart()
	joinText(t, m.addr, "bob")
}

// staysOut checks that whoever goes by one of these nicks is told of the ban and hung up on.
func (m *moderated) staysOut(id string, nicks ...string) {
	m.t.Helper()
	for _, nick := range nicks {
		if told := m.keptOut(nick); !strings.Contains(told, " (ban "+id+"); it is no use to try again") {
			m.t.Errorf("%q was told %q", nick, told)
		}
	}
}

// keptOut checks that whoever goes by that nick is banned, and returns what it is told.
func (m *moderated) keptOut(nick string) string {
	m.t.Helper()
	p := dial(m.t, nick, m.addr)
	p.types(nick) // without waiting for the question, which takes a while to come
	told := p.before("Goodbye.\n")
	p.ends()
	p.conn.Close()
	if !strings.HasPrefix(told, "Your nickname: you are banned") {
		m.t.Errorf("%q was told %q", nick, told)
	}
	return told
}

func TestAChangedAuditFileShows(t *testing.T) {
	t.Parallel()
	m := moderate(t, t.TempDir(), quickAccounts(t))
	joinText(t, m.addr, "bob")
	m.ann.types("$ban bob 1h spam")
	m.ann.sees("--- ann banned bob")
	m.ann.types("/unban bob")
	m.ann.sees(": unban bob")
	m.restart() // a second run appends
	m.ann.types("/ban bob 2h more spam")
	m.ann.sees(": ban bob until ")
	m.ann.types("/topic tea")
	m.ann.sees("set the topic: tea")
	m.ends(0)

	verify := func(code int) *program {
		t.Helper()
		p := start(t, nil, "server", "-verify-audit", m.audit)
		p.exits(code)
		return p
	}
	verify(0).out.sees("4 records, intact, last ")
	data, err := os.ReadFile(m.audit)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(data, []byte("more spam"))
	data[at] = 'M'
	if err := os.WriteFile(m.audit, data, 0o600); err != nil {
		t.Fatal(err)
	}
	verify(1).stderr.sees("line 3 was edited")
}
