package chatroom

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKilledProgramLosesNoAcknowledgedBan kills a program that bans and unbans, 50 times or as
// often as KILLS says, and looks at the file each time.
func TestKilledProgramLosesNoAcknowledgedBan(t *testing.T) {
	kills := 50
	if n, err := strconv.Atoi(os.Getenv("KILLS")); err == nil {
		kills = n
	} else if testing.Short() {
		kills = 5
	}
	path := filepath.Join(t.TempDir(), "bans")
	acked := make(map[string]Ban)
	var changes, done, torn int
	var slowest time.Duration
	for round := range kills {
		doubtful, n := killBanner(t, path, acked)
		changes += n
		began := time.Now()
		s, err := FileBans(path)
		if err != nil {
			t.Fatalf("kill %d: %v", round, err)
		}
		slowest = max(slowest, time.Since(began))
		if !explains(acked, doubtful, s.bans) {
			t.Fatalf("kill %d: found %v, acknowledged %v, under way %v", round, s.bans, acked, doubtful)
		}
		if len(doubtful) > 0 && !maps.Equal(acked, s.bans) {
			done++
		}
		if s.Err() != nil {
			torn++
		}
		acked = maps.Clone(s.bans)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills in %d acknowledged changes; %d changes were made and not acknowledged; %d torn lines; slowest start %v",
		kills, changes, done, torn, slowest)
}

// killBanner runs TestBanner in a process of its own and kills it. It makes the changes in acked
// that were acknowledged, and returns the one that was not.
func killBanner(t *testing.T, path string, acked map[string]Ban) (doubtful []Ban, changes int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBanner$")
	cmd.Env = append(os.Environ(), "BANNER_FILE="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := 1 + rand.IntN(60) // odd for an intention, even for an acknowledgement
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		id, value, _ := strings.Cut(rest, " ")
		switch verb {
		case "add":
			doubtful = []Ban{{ID: id, Kind: BanNick, Value: value}}
		case "remove":
			doubtful = []Ban{{ID: id}}
		case "done":
			apply(acked, doubtful[0])
			doubtful = nil
			changes++
		default:
			t.Errorf("the program said %q", lines.Text())
		}
		if n == 1 {
			if _, err := FileBans(path); !errors.Is(err, ErrBansLocked) {
				t.Errorf("opened while another program has it open: %v", err)
			}
		}
		if n == last {
			_ = cmd.Process.Kill() // Wait tells whether it worked
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.Exited() {
		t.Fatalf("the program ended by itself: %v", err)
	}
	return doubtful, changes
}

// TestBanner is the program that TestKilledProgramLosesNoAcknowledgedBan kills.
func TestBanner(t *testing.T) {
	path := os.Getenv("BANNER_FILE")
	if path == "" {
		t.Skip("only as a program of its own")
	}
	s, err := FileBans(path)
	if err != nil {
		t.Fatal(err)
	}
	s.slack = 10 // so that many a kill hits a file being written anew
	for i := 0; ; i++ {
		id := strconv.Itoa(rand.IntN(10))
		if _, there := s.bans[id]; there && rand.IntN(2) == 0 {
			fmt.Println("remove", id)
			err = s.Remove(t.Context(), id)
		} else {
			value := fmt.Sprintf("%d-%d", os.Getpid(), i)
			fmt.Println("add", id, value)
			err = s.Add(t.Context(), Ban{ID: id, Kind: BanNick, Value: value})
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("done")
	}
}
