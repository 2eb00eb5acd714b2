package chatroom

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// ReadBanList reads a list of banned nicks, one a line, such as the bans.txt of the Python
// chatroom. White space around a nick, empty lines and repeated nicks are left out. A ban's ID
// comes from its nick, so that reading a list twice gives the same bans. A line that is not UTF-8
// or longer than 64 KiB is an error.
func ReadBanList(r io.Reader) ([]Ban, error) {
	var bans []Ban
	listed := make(map[string]bool)
	lines := bufio.NewScanner(r)
	number := 1
	for ; lines.Scan(); number++ {
		line := lines.Bytes()
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if !utf8.Valid(line) {
			return nil, fmt.Errorf("ban list: line %d is not UTF-8", number)
		}
		nick := strings.TrimSpace(string(line))
		if nick == "" || listed[nick] {
			continue
		}
		listed[nick] = true
		sum := sha256.Sum256([]byte(nick))
		bans = append(bans, Ban{ID: fmt.Sprintf("list-%x", sum[:8]), Kind: BanNick, Value: nick})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("ban list: line %d: %w", number, err)
	}
	return bans, nil
}

// WriteBanList writes the nicks that are banned for good, one a line, in the order of bans. A
// list has no words for anything else, so it leaves out masks, accounts, addresses, mutes,
// exceptions and bans that end, and of the others the reason, the note, who gave them and when. A
// nick that would be read as another is an error: one with a line break in it, white space around
// it, or that is not UTF-8.
func WriteBanList(w io.Writer, bans []Ban) error {
	out := bufio.NewWriter(w)
	for i := range bans {
		b := &bans[i]
		if b.Kind != BanNick || b.Effect != "" && b.Effect != EffectBan || !b.Expires.IsZero() {
			continue
		}
		if b.Value == "" || b.Value != strings.TrimSpace(b.Value) || strings.ContainsAny(b.Value, "\n\ufeff") || !utf8.ValidString(b.Value) {
			return fmt.Errorf("ban list: ban %s: a list cannot hold the nick %q", b.ID, b.Value)
		}
		// A write that fails is reported by Flush.
		_, _ = out.WriteString(b.Value + "\n")
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("ban list: %w", err)
	}
	return nil
}
