package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
)

// acts are records numbered as they are told.
func acts(numbers ...uint64) iter.Seq[chatroom.Audit] {
	return func(yield func(chatroom.Audit) bool) {
		for _, n := range numbers {
			if !yield(act(n)) {
				return
			}
		}
	}
}

func act(n uint64) chatroom.Audit {
	return chatroom.Audit{
		Seq: n, ID: fmt.Sprintf("a%d", n), Time: time.Unix(1_800_000_000, 5), Verb: "kick", Source: chatroom.SourceMember,
		By: "ann", Target: "bob", Reason: `"spam", <he said>,"hash":"` + firstHash + "\"}\n\xff",
	}
}

// opens opens an audit file, and returns what was logged about it.
func opens(t *testing.T, path string) (*auditFile, *strings.Builder) {
	t.Helper()
	var said strings.Builder
	a, err := openAudit(path, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a, &said
}

// recorded returns a file with the records that were made in two runs of a server, and its lines.
func recorded(t *testing.T) (path string, data []byte, lines [][]byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.jsonl")
	for _, n := range []uint64{3, 2} {
		a, _ := opens(t, path)
		if err := a.follow(acts([]uint64{1, 2, 3}[:n]...)); err != nil {
			t.Fatal(err)
		}
		a.Close()
	}
	return path, read(t, path), slices.Collect(bytes.Lines(read(t, path)))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// intact checks that a file is a whole chain of that many records.
func intact(t *testing.T, path string, records int) chain {
	t.Helper()
	c, err := checkChain(read(t, path))
	if err != nil || c.records != records {
		t.Fatalf("%d records, want %d; %v", c.records, records, err)
	}
	return c
}

func TestAuditFileHoldsTheRecords(t *testing.T) {
	path, _, lines := recorded(t)
	intact(t, path, 5)
	for i, line := range lines {
		var got struct {
			chatroom.Audit
			Prev, Hash string
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		want := act([]uint64{1, 2, 3, 1, 2}[i])
		if got.Seq != want.Seq || got.ID != want.ID || !got.Time.Equal(want.Time) || got.Target != "bob" || len(got.Hash) != 64 {
			t.Errorf("line %d holds %+v", i+1, got)
		}
		if want := firstHash; i == 0 && got.Prev != want {
			t.Errorf("the first line follows %s", got.Prev)
		}
	}
	does(t, "5 records, intact, last "+intact(t, path, 5).last+"\n", "-verify-audit", path)
}

func TestEveryChangedByteShows(t *testing.T) {
	_, data, _ := recorded(t)
	for i := range data {
		for _, flip := range []byte{1, 0x20, 0x80} {
			changed := bytes.Clone(data)
			changed[i] ^= flip
			if _, err := checkChain(changed); err == nil {
				t.Fatalf("byte %d of %d: %q passes for %q", i, len(data), changed[i], data[i])
			} else if torn := errors.Is(err, errTorn); torn && i != len(data)-1 {
				t.Fatalf("byte %d of %d: %q in place of %q: %v", i, len(data), changed[i], data[i], err)
			}
		}
	}
}

func TestChangedLinesShow(t *testing.T) {
	path, _, lines := recorded(t)
	_, foreign, _ := recorded(t)
	head := intact(t, path, 5).last
	edited := bytes.Replace(lines[2], []byte("bob"), []byte("eve"), 1)
	body := auditLine.FindSubmatch(bytes.TrimSuffix(edited, []byte("\n")))[1]
	sealed := append(bytes.Clone(body), hashField(hashOf(body))...)
	next, _, err := seal(lineHash(lines[1]), act(9))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		lines [][]byte
		want  string
	}{
		"edited":                     {[][]byte{lines[0], lines[1], edited, lines[3], lines[4]}, "line 3 was edited: its hash is not that of what it says"},
		"edited, with a hash to fit": {[][]byte{lines[0], lines[1], sealed, lines[3], lines[4]}, "line 4 does not follow line 3: what was between them was removed or replaced"},
		"the first removed":          {lines[1:], "line 1 was not the first: what was before it was removed"},
		"one removed":                {[][]byte{lines[0], lines[2], lines[3], lines[4]}, "line 2 does not follow line 1: what was between them was removed or replaced"},
		"the last removed":           {lines[:4], "cut off after line 4: the record with the hash " + head + " is missing"},
		"all removed":                {nil, "cut off after line 0: the record with the hash " + head + " is missing"},
		"two swapped":                {[][]byte{lines[0], lines[2], lines[1], lines[3], lines[4]}, "line 2 follows line 3: lines were moved"},
		"one twice":                  {[][]byte{lines[0], lines[1], lines[1], lines[2], lines[3], lines[4]}, "line 3 follows line 1: lines were inserted or moved between them"},
		"one inserted":               {[][]byte{lines[0], lines[1], next, lines[2], lines[3], lines[4]}, "line 4 follows line 2: lines were inserted or moved between them"},
		"two files in one":           {append(slices.Clone(lines), bytes.SplitAfter(foreign, []byte("\n"))...), "line 6 was the first: lines were inserted or moved before it"},
		"an empty line":              {[][]byte{lines[0], []byte("\n"), lines[1], lines[2], lines[3], lines[4]}, "line 2 is no audit record"},
		"something behind":           {append(slices.Clone(lines), []byte("# the end")), "line 6 is no audit record"},
		"lines ended as on Windows":  {[][]byte{bytes.ReplaceAll(bytes.Join(lines, nil), []byte("\n"), []byte("\r\n"))}, "line 1 is no audit record"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			write(t, path, bytes.Join(tt.lines, nil))
			if err := verifyAudit(path, head, io.Discard); err == nil || err.Error() != path+": "+tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
			if tt.want[:3] == "cut" {
				return // which only shows to who knows the hash
			}
			before := read(t, path)
			if a, err := openAudit(path, slog.New(slog.DiscardHandler)); err == nil {
				a.Close()
				t.Error("it is opened to append to it")
			} else if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("opened: %v", err)
			}
			if !bytes.Equal(read(t, path), before) {
				t.Error("opening it changed it")
			}
		})
	}
}

func lineHash(line []byte) string {
	return string(auditLine.FindSubmatch(bytes.TrimSuffix(line, []byte("\n")))[3])
}

// Every line alone: removed, doubled, swapped with every other.
func TestEveryMovedLineShows(t *testing.T) {
	_, _, lines := recorded(t)
	head := lineHash(lines[4])
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	shows := func(what string, lines [][]byte) {
		t.Helper()
		write(t, path, bytes.Join(lines, nil))
		if err := verifyAudit(path, head, io.Discard); err == nil {
			t.Errorf("%s passes", what)
		}
	}
	for i := range lines {
		shows(fmt.Sprintf("line %d removed", i+1), slices.Delete(slices.Clone(lines), i, i+1))
		for j := range len(lines) + 1 {
			shows(fmt.Sprintf("line %d again before line %d", i+1, j+1), slices.Insert(slices.Clone(lines), j, lines[i]))
			if j < i {
				swapped := slices.Clone(lines)
				swapped[i], swapped[j] = swapped[j], swapped[i]
				shows(fmt.Sprintf("lines %d and %d swapped", j+1, i+1), swapped)
			}
		}
	}
}

// A crash can cut a file anywhere behind what was synced: that is no tampering.
func TestTornLineIsNoTampering(t *testing.T) {
	_, data, lines := recorded(t)
	for cut := range data {
		for _, junk := range []string{"", "\x00\x00\x00"} {
			left := append(bytes.Clone(data[:cut]), junk...)
			whole := bytes.Count(left, []byte("\n"))
			torn := len(left) > 0 && left[len(left)-1] != '\n'
			c, err := checkChain(left)
			if torn != errors.Is(err, errTorn) || !torn && err != nil || c.records != whole {
				t.Fatalf("cut at byte %d, then %q: %d records, %v", cut, junk, c.records, err)
			}
			if lineWith(left, lineHash(lines[4])) != 0 {
				t.Fatalf("cut at byte %d, then %q: nobody misses the end", cut, junk)
			}
		}
	}
}

func TestTornLineIsDropped(t *testing.T) {
	_, data, lines := recorded(t)
	fourth := len(data) - len(lines[4])
	for _, tt := range []struct {
		left    string
		records int
		says    string
	}{
		{string(data[:1]), 0, "line=1 bytes=1"},
		{"\x00\x00\x00", 0, "line=1 bytes=3"},
		{string(data[:fourth]), 4, ""},
		{string(data[:fourth+1]), 4, "line=5 bytes=1"},
		{string(data[:fourth+100]) + "\x00", 4, "line=5 bytes=101"},
		{string(data[:len(data)-1]), 4, fmt.Sprintf("line=5 bytes=%d", len(lines[4])-1)},
		{string(data), 5, ""},
	} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		write(t, path, []byte(tt.left))
		if tt.says != "" {
			want := fmt.Sprintf("line %d: the last line was cut short, as by a crash, or is being written; the %d records", tt.records+1, tt.records)
			if said := fails(t, 1, "-verify-audit", path); !strings.Contains(said, want) {
				t.Errorf("%d bytes: verifying said %q", len(tt.left), said)
			}
		}
		a, said := opens(t, path)
		if !strings.Contains(said.String(), tt.says) || (tt.says == "") != (said.Len() == 0) {
			t.Errorf("%d bytes: opening said %q", len(tt.left), said)
		}
		intact(t, path, tt.records)
		if err := a.append(act(7)); err != nil {
			t.Fatal(err)
		}
		intact(t, path, tt.records+1)
	}
}

// A hash noted earlier is found in a file that has grown since.
func TestNotedHashIsLookedFor(t *testing.T) {
	path, _, lines := recorded(t)
	for _, head := range []string{firstHash, lineHash(lines[0]), strings.ToUpper(lineHash(lines[2])), lineHash(lines[4])} {
		does(t, "5 records, intact", "-verify-audit", path, head)
	}
	fails(t, 1, "-verify-audit", path, strings.Repeat("d", 64))
}

func TestOneServerAppendsToAnAuditFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a, _ := opens(t, path)
	if second, err := openAudit(path, slog.New(slog.DiscardHandler)); !errors.Is(err, errInUse) {
		second.Close()
		t.Errorf("a second one: %v", err)
	}
	if err := a.append(act(1)); err != nil {
		t.Fatal(err)
	}
	does(t, "1 records, intact", "-verify-audit", path) // meanwhile
	a.Close()
	opens(t, path)
}

// notes returns the notes and numbers of the records in a file.
func notes(t *testing.T, path string) (all []string) {
	t.Helper()
	for line := range bytes.Lines(read(t, path)) {
		var rec chatroom.Audit
		if err := json.Unmarshal(line, &rec); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSpace(fmt.Sprint(rec.Seq, " ", rec.Note)))
	}
	return all
}

func TestAuditFileTellsOfRecordsThatCameTooFast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a, said := opens(t, path)
	err := a.follow(acts(2, 3, 7))
	if !errors.Is(err, errTooSlow) || !strings.Contains(err.Error(), "records 1 to 1 are missing") {
		t.Errorf("followed: %v", err)
	}
	want := []string{
		"1 records 1 to 1 are missing: they came faster than they could be written", "2", "3",
		"4 records 4 to 6 are missing: they came faster than they could be written", "7",
	}
	if got := notes(t, path); !slices.Equal(got, want) {
		t.Errorf("the file has %q", got)
	}
	if got := strings.Count(said.String(), "the audit file has a gap"); got != 2 {
		t.Errorf("it said %q", said)
	}
	intact(t, path, 5)
}

func TestAuditFileOutlivesADiskThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a, said := opens(t, path)
	good := a.file
	full, err := os.Open(path) // writing to it fails
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	err = a.follow(func(yield func(chatroom.Audit) bool) {
		for n := range uint64(8) {
			switch n + 1 {
			case 3, 7:
				a.file = full
			case 6:
				a.file = good
			}
			if !yield(act(n + 1)) {
				t.Error("it no longer wants records")
			}
		}
		a.file = good
	})
	if err == nil || !strings.Contains(err.Error(), "record 3 was not written") {
		t.Errorf("followed: %v", err)
	}
	got := notes(t, path)
	for i, want := range []string{"1", "2", "3 records 3 to 5 are missing: write " + path, "6", "7 records 7 to 8 are missing: write " + path} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Fatalf("the file has %q", got)
		}
	}
	intact(t, path, 5)
	if got := strings.Count(said.String(), "audit records are not written"); got != 2 {
		t.Errorf("it said %q", said)
	}
}

func TestAuditFileTellsOfEveryRecordADiskThatStaysFullCosts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a, _ := opens(t, path)
	full, err := os.Open(path) // writing to it fails
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	good := a.file
	err = a.follow(func(yield func(chatroom.Audit) bool) {
		yield(act(1))
		a.file = full
		for n := range uint64(3) {
			yield(act(n + 2))
		}
	})
	a.file = good
	if err == nil || !strings.Contains(err.Error(), "records 2 to 4 were not written") {
		t.Errorf("followed: %v", err)
	}
	intact(t, path, 1)
}

// What a failed write leaves behind goes, even if that fails at first.
func TestHalfARecordIsOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a, _ := opens(t, path)
	if err := a.append(act(1)); err != nil {
		t.Fatal(err)
	}
	a.ragged = true
	if _, err := a.file.WriteAt(bytes.Repeat([]byte("half a record"), 1000), a.size); err != nil {
		t.Fatal(err)
	}
	if err := a.append(act(2)); err != nil {
		t.Fatal(err)
	}
	intact(t, path, 2)
}

func TestRecordThatIsNoJSONLeavesAGap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a, _ := opens(t, path)
	odd := act(1)
	odd.Score = math.NaN()
	if err := a.follow(slices.Values([]chatroom.Audit{odd, act(2)})); err == nil {
		t.Error("nobody is told")
	}
	if got := notes(t, path); len(got) != 2 || !strings.Contains(got[0], "NaN") {
		t.Errorf("the file has %q", got)
	}
}

func TestServerRefusesAnAuditFileThatWasChanged(t *testing.T) {
	path, data, _ := recorded(t)
	write(t, path, bytes.Replace(data, []byte("bob"), []byte("eve"), 1))
	if said := fails(t, 1, "-addr", "127.0.0.1:0", "-audit", path); !strings.Contains(said, "line 1 was edited") {
		t.Errorf("it said %q", said)
	}
}

func TestServerAppendsToTheAuditFile(t *testing.T) {
	path, _, _ := recorded(t)
	srv := start(t, "-audit", path)
	srv.stop()
	if code := <-srv.exit; code != 0 {
		t.Errorf("exit code %d", code)
	}
	intact(t, path, 5)
}

// TestKilledServerLosesNoRecord kills a program that appends, and looks at the file each time.
func TestKilledServerLosesNoRecord(t *testing.T) {
	kills := 10
	if testing.Short() {
		kills = 3
	}
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	acked := 0
	for round := range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRecorder$")
		cmd.Env = append(os.Environ(), "RECORDER_FILE="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before := acked
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(lines.Text()) {
				t.Errorf("the program said %q", lines.Text())
			}
			if acked++; acked == before+1+round*3 {
				_ = cmd.Process.Kill() // Wait tells whether it worked
			}
		}
		if err := cmd.Wait(); cmd.ProcessState.Exited() {
			t.Fatalf("the program ended by itself: %v", err)
		}
		a, _ := opens(t, path)
		a.Close()
		c, err := checkChain(read(t, path))
		if err != nil || c.records != acked && c.records != acked+1 {
			t.Fatalf("kill %d: %d records, %d acknowledged; %v", round, c.records, acked, err)
		}
		acked = c.records
	}
}

// TestRecorder is the program that TestKilledServerLosesNoRecord kills.
func TestRecorder(t *testing.T) {
	path := os.Getenv("RECORDER_FILE")
	if path == "" {
		t.Skip("only as a program of its own")
	}
	a, _ := opens(t, path)
	for n := uint64(1); ; n++ {
		if err := a.append(act(n)); err != nil {
			t.Fatal(err)
		}
		fmt.Println(a.last)
	}
}

func FuzzCheckChain(f *testing.F) {
	var data []byte
	for n, prev := uint64(1), firstHash; n < 4; n++ {
		line, hash, err := seal(prev, act(n))
		if err != nil {
			f.Fatal(err)
		}
		data, prev = append(data, line...), hash
		f.Add(data)
		f.Add(data[:len(data)-70])
	}
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := checkChain(data)
		if c.size > len(data) || err == nil && c.size != len(data) {
			t.Fatalf("%d of %d bytes, %v", c.size, len(data), err)
		}
		// What is good is what it takes to make it again.
		again, last := []byte(nil), firstHash
		for line := range bytes.Lines(data[:c.size]) {
			body := line[:len(line)-len(hashField(firstHash))]
			if !bytes.HasPrefix(body, []byte(`{"prev":"`+last+`",`)) {
				t.Fatalf("%q does not follow %s", line, last)
			}
			last = hashOf(body)
			again = append(append(again, body...), hashField(last)...)
		}
		if !bytes.Equal(again, data[:c.size]) || last != c.last || bytes.Count(again, []byte("\n")) != c.records {
			t.Fatalf("%+v for %q", c, data)
		}
	})
}
