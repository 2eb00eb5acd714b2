package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A full disk costs the bans that are given meanwhile, and nothing else.
func TestABanOnAFullDiskIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k,mode=700")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("it takes a disk of its own: mount: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the server has ended
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	m := moderate(t, dir, quickAccounts(t))
	m.ann.types("/ban mallory 1h spam")
	m.ann.sees(": ban mallory until ")
	fill(t, filepath.Join(dir, "filler"))
	given, refused := m.untilRefused("ban", floods())
	lifted, _ := m.untilRefused("unban", given) // its records are shorter
	given = given[len(lifted):]
	bob := joinText(t, m.addr, "bob")
	stays := func() {
		t.Helper()
		m.ann.types("/ban bob spam")
		m.ann.sees("!!! that did not stick: the disk of the ban store is full.\n")
		bob.types("still here")
		m.ann.sees("<bob> still here\n")
		joinText(t, m.addr, refused).types("I may come in")
		m.ann.sees("<" + refused + "> I may come in\n")
		for _, nick := range append(given, "mallory") {
			m.keptOut(nick)
		}
	}
	stays()
	m.ann.types("/kick bob")
	bob.sees("--- Goodbye: you were kicked by ann.\n")

	m.ends(1) // as the audit file lacks records
	m.stderr.sees("ban not stored", "no space left on device", "server: audit file: records ", " were not written")
	m.start()
	bob = joinText(t, m.addr, "bob")
	stays()

	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	m.ann.types("$ban bob 1h spam")
	bob.sees("--- Goodbye: you were banned by ann until ")
	m.keptOut("bob")
	m.restart()
	m.keptOut("bob")
	m.keptOut("mallory")
	start(t, nil, "server", "-verify-audit", m.audit).exits(0)
}

// floods are more nicks than bans fit into the last page of a file.
func floods() (nicks []string) {
	for i := range 26 * 26 {
		nicks = append(nicks, fmt.Sprintf("flood-%c%c", 'a'+i/26, 'a'+i%26))
	}
	return nicks
}

// untilRefused has ann do something to one nick after another, and returns those it was done to
// and the one it was not.
func (m *moderated) untilRefused(verb string, nicks []string) (done []string, refused string) {
	m.t.Helper()
	for i, nick := range nicks {
		m.ann.types("/" + verb + " " + nick)
		told := m.ann.line()
		for !strings.HasPrefix(told, "!!! ") && !strings.Contains(told, ": "+verb+" "+nick) {
			told = m.ann.line()
		}
		if told == "!!! that did not stick: the disk of the ban store is full." {
			return nicks[:i], nick
		}
	}
	m.t.Fatal("the disk is not full")
	return nil, ""
}

// fill fills the disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
