//go:build unix

package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"example.com/chatroom"
)

// leftovers count what kills left behind.
type leftovers struct{ done, half, torn, rewriting, auditTorn, unrecorded, most int }

func (l *leftovers) String() string {
	return fmt.Sprintf("%d acts were done and not acknowledged, and %d in part; the ban file had %d torn lines and was being written anew %d times; "+
		"the audit file had %d torn lines and lacked %d acknowledged acts, at most %d at a time",
		l.done, l.half, l.torn, l.rewriting, l.auditTorn, l.unrecorded, l.most)
}

// inForce reports whether there is a record of that.
func (c *court) inForce(on string) bool {
	for _, r := range c.given {
		if slices.Contains(r.on, on) {
			return true
		}
	}
	return false
}

// old is a ban that was there before the first round, and stays.
func old(n int) string {
	return fmt.Sprintf(`{"id":"old-%d","kind":"nick","value":"old-%d"}`+"\n", n, n)
}

// age adds old bans to the ban file again, so that within a few acts it is due to be written anew.
func (c *court) age(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(c.bans)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		return // torn
	}
	living := 0
	for _, r := range c.given {
		living += len(r.on)
	}
	text := bytes.NewBuffer(data)
	for n := range max(oldBans, 1000+2*living-rand.IntN(40)) - bytes.Count(data, []byte("\n")) {
		text.WriteString(old(n % oldBans))
	}
	if err := os.WriteFile(c.bans, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listed checks what a moderator is told of the bans that there are.
func (c *court) listed(t *testing.T, d *desk) {
	t.Helper()
	e, err := d.Send(t.Context(), chatroom.Command{Verb: chatroom.VerbBans})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, r := range c.given {
		want += len(r.on)
	}
	if e.Report.Count != want || len(e.Report.Bans) != 50 {
		t.Errorf("the server lists %d of %d, want 50 of %d", len(e.Report.Bans), e.Report.Count, want)
	}
	for id, got := range rulingsOf(e.Report.Bans) {
		if want := c.given[id]; got.reason != want.reason || !got.until.Equal(want.until) || !contains(want.on, got.on) {
			t.Errorf("act %s: the server lists %+v, want %+v", id, got, want)
		}
	}
}

// inspect looks at what a killed server left behind.
func (c *court) inspect(t *testing.T, desks []*desk) {
	t.Helper()
	if _, err := os.Stat(c.bans + ".new"); err == nil {
		c.left.rewriting++
	}
	store, err := chatroom.FileBans(c.bans)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Err(); err != nil {
		c.left.torn++
		t.Log(err)
	}
	bans, err := store.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(c.given, func(_ string, r ruling) bool { return r.reason != "" })
	for _, d := range desks {
		maps.Copy(c.given, d.given)
	}
	found := rulingsOf(bans)
	c.compare(t, found, desks)
	c.given = found
	c.inspectAudit(t, desks)
}

// rulingsOf puts the records of an act together.
func rulingsOf(bans []chatroom.Ban) map[string]ruling {
	found := make(map[string]ruling)
	for _, b := range bans {
		id, _, _ := strings.Cut(b.ID, ".")
		r := ruling{reason: b.Reason, until: b.Expires, on: found[id].on}
		r.on = append(r.on, strings.Join([]string{string(cmp.Or(b.Effect, chatroom.EffectBan)), string(b.Kind), strings.ToLower(b.Value)}, " ")) // ALBA was here last
		slices.Sort(r.on)
		found[id] = r
	}
	return found
}

// compare checks that all that was acknowledged was found, and nothing but that and what is open
// on desks.
func (c *court) compare(t *testing.T, found map[string]ruling, desks []*desk) {
	t.Helper()
	for id, want := range c.given {
		got := found[id]
		switch open := slices.ContainsFunc(desks, func(d *desk) bool { return d.openRef == id }); {
		case open && len(got.on) < len(want.on) && contains(want.on, got.on):
			c.left.unacknowledged(len(got.on) > 0)
		case !slices.Equal(got.on, want.on) || got.reason != want.reason || !got.until.Equal(want.until):
			t.Errorf("act %s: found %+v, acknowledged %+v", id, got, want)
		}
	}
	for id, got := range found {
		if _, known := c.given[id]; known {
			continue
		}
		i := slices.IndexFunc(desks, func(d *desk) bool { return d.open.reason == got.reason })
		if i < 0 || !contains(desks[i].open.on, got.on) {
			t.Errorf("act %s: found %+v, which nobody asked for", id, got)
			continue
		}
		c.left.unacknowledged(len(got.on) < len(desks[i].open.on))
		desks[i].open = ruling{} // it happens once
	}
}

func (l *leftovers) unacknowledged(half bool) {
	if half {
		l.half++
	} else {
		l.done++
	}
}

func contains(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// inspectAudit checks that the audit file is good up to its last line, at least, and counts what is
// not in it.
func (c *court) inspectAudit(t *testing.T, desks []*desk) {
	t.Helper()
	data, err := os.ReadFile(c.audit)
	if err != nil {
		t.Fatal(err)
	}
	whole := bytes.HasSuffix(data, []byte("\n")) || len(data) == 0
	verify := start(t, nil, "server", "-verify-audit", c.audit)
	if whole {
		verify.exits(0)
		verify.out.sees(fmt.Sprintf("%d records, intact", bytes.Count(data, []byte("\n"))))
	} else {
		c.left.auditTorn++
		verify.exits(1)
		verify.stderr.sees("the last line was cut short")
	}
	recorded := make(map[string]bool)
	for line := range bytes.Lines(data) {
		var rec chatroom.Audit
		if err := json.Unmarshal(line, &rec); err != nil && bytes.HasSuffix(line, []byte("\n")) {
			t.Fatal(err)
		}
		recorded[rec.ID] = true
	}
	lacking := 0
	for _, d := range desks {
		c.acts += len(d.acts)
		for _, id := range d.acts {
			if !recorded[id] {
				lacking++
			}
		}
	}
	c.left.unrecorded += lacking
	c.left.most = max(c.left.most, lacking)
}
