package threats

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	full   = flag.Bool("full", false, "attack in full, on a machine that does nothing else, and hold what the server does against the clock")
	length = flag.Duration("length", 0, "how long TestThreat43AttackedSoak takes; zero means 5 s, and 30 minutes with -full")
)

// patience is how long anything may take that has to happen in the end, on however busy a machine.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if conf := os.Getenv(childVariable); conf != "" {
		if err := serveChild(conf, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// pick returns what is for a run in full, or for a short one.
func pick[T any](inFull, short T) T {
	if *full {
		return inFull
	}
	return short
}

// atMost checks what was promised of a duration. In a short run, beside which the machine may do anything, it only has to
// have happened.
func atMost(t *testing.T, what string, got, most time.Duration) {
	t.Helper()
	if got > pick(most, patience) {
		t.Errorf("%s: %v; want %v at most", what, got, most)
	}
}

// eventually waits for something to come true. It returns how long that took.
func eventually(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > patience {
			t.Fatalf("after %v it is still not so: %s", patience, what)
		}
		<-time.After(10 * time.Millisecond)
	}
	return time.Since(began)
}
