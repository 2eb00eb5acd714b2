package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// errTorn is about a file that ends within a line, which may be the beginning of a record.
var errTorn = errors.New("the last line was cut short, as by a crash, or is being written")

// firstHash is what the first line of a file gives as the hash of the one before it.
var firstHash = strings.Repeat("0", 64)

// auditLine matches a line without its end: what is hashed, the hash of the line before, the line's own.
var auditLine = regexp.MustCompile(`^(\{"prev":"([0-9a-f]{64})",.*),"hash":"([0-9a-f]{64})"\}$`)

// A chain is as much of an audit file as is good.
type chain struct {
	records int
	size    int    // in bytes
	last    string // the hash of the last record
}

// checkChain checks an audit file. Each line is a record: an object in JSON whose first member is
// "prev", the hash of the line before, and whose last is "hash", the SHA-256 in hexadecimal digits
// of the line up to, and without, the comma in front of "hash".
//
//	{"prev":"000…000","seq":1,…,"verb":"kick","by":"ann","target":"bob","hash":"5f2…b07"}
//
// So a line cannot be changed, removed, inserted or moved without a trace, unless all after it are
// made anew; and that, or cutting off the end, shows to those who have noted a later hash.
func checkChain(data []byte) (chain, error) {
	c := chain{last: firstHash}
	for line := range bytes.Lines(data) {
		text, whole := bytes.CutSuffix(line, []byte("\n"))
		if !whole && begins(string(text), c.last) {
			return c, errTorn
		}
		m := auditLine.FindSubmatch(text)
		switch {
		case m == nil:
			return c, fmt.Errorf("line %d is no audit record", c.records+1)
		case string(m[3]) != hashOf(m[1]):
			return c, fmt.Errorf("line %d was edited: its hash is not that of what it says", c.records+1)
		case string(m[2]) != c.last:
			return c, misplaced(data, c.records+1, string(m[2]))
		}
		c.records++
		c.size += len(line)
		c.last = string(m[3])
	}
	return c, nil
}

// begins reports whether text may be the beginning of a record that follows the one with the hash
// prev. A crash can leave NULs behind.
func begins(text, prev string) bool {
	text = strings.TrimRight(text, "\x00")
	head := fmt.Sprintf(`{"prev":"%s",`, prev)
	return strings.HasPrefix(text, head) || strings.HasPrefix(head, text)
}

// misplaced says what is wrong with a good line that names prev, which is not the hash of the line
// before it.
func misplaced(data []byte, number int, prev string) error {
	switch after := lineWith(data, prev); {
	case prev == firstHash:
		return fmt.Errorf("line %d was the first: lines were inserted or moved before it", number)
	case after == 0 && number == 1:
		return errors.New("line 1 was not the first: what was before it was removed")
	case after == 0:
		return fmt.Errorf("line %d does not follow line %d: what was between them was removed or replaced", number, number-1)
	case after < number:
		return fmt.Errorf("line %d follows line %d: lines were inserted or moved between them", number, after)
	default:
		return fmt.Errorf("line %d follows line %d: lines were moved", number, after)
	}
}

// lineWith returns the number of the line with that hash; 0 if there is none.
func lineWith(data []byte, hash string) int {
	at := bytes.Index(data, []byte(hashField(hash)))
	if at < 0 {
		return 0
	}
	return bytes.Count(data[:at], []byte("\n")) + 1
}

// verifyAudit checks the audit file at path. If head is not empty, a record with that hash has to
// be there: later ones may follow.
func verifyAudit(path, head string, stdout io.Writer) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("verify audit file: %w", err)
	}
	c, err := checkChain(data)
	if err == nil && head != "" && head != firstHash && lineWith(data, head) == 0 {
		err = fmt.Errorf("cut off after line %d: the record with the hash %s is missing", c.records, head)
	}
	if errors.Is(err, errTorn) {
		err = fmt.Errorf("line %d: %w; the %d records before it are intact, last %s", c.records+1, err, c.records, c.last)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Fprintf(stdout, "%d records, intact, last %s\n", c.records, c.last)
	return nil
}
