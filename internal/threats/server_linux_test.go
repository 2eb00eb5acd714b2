package threats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A server is a server process, as seen from here. Its methods may be called from many goroutines.
type server struct {
	t    *testing.T
	addr string
	base int // goroutines without a server
	cmd  *exec.Cmd
	in   io.WriteCloser

	mu  sync.Mutex // held while it is asked something
	out *json.Decoder
}

// start starts a server process, which ends with the test.
func start(t *testing.T, conf setup) *server {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, cmd: exec.Command(self)}
	s.cmd.Env = append(os.Environ(), childVariable+"="+string(text), "GORACE=atexit_sleep_ms=10 "+os.Getenv("GORACE"))
	s.cmd.Stderr = os.Stderr // which tells of data races
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	s.out = json.NewDecoder(out)
	v := s.hear()
	s.addr, s.base = v.Addr, v.Base
	return s
}

// ask has the process do something, and returns what it says then.
func (s *server) ask(what wish) view {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := json.NewEncoder(s.in).Encode(what); err != nil {
		s.t.Error(err)
	}
	return s.hear()
}

func (s *server) hear() (v view) {
	s.t.Helper()
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() }) // and then reading fails
	defer late.Stop()
	if err := s.out.Decode(&v); err != nil {
		s.t.Errorf("the server process: %v", err)
	} else if v.Err != "" {
		s.t.Errorf("the server process: %s", v.Err)
	}
	return v
}

// stop ends the process. One that has found a data race says so by how it ends.
func (s *server) stop() {
	s.in.Close()
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the server process: %v", err)
	}
}

func (s *server) proc(name string) string { return fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, name) }

// files returns how many files the process has open.
func (s *server) files() int {
	s.t.Helper()
	list, err := os.ReadDir(s.proc("fd"))
	if err != nil {
		s.t.Error(err)
	}
	return len(list)
}

// field returns a number from a file about the process, whose fields are counted from 0 on behind its name; proc(5).
func (s *server) field(file string, i int) int64 {
	s.t.Helper()
	b, err := os.ReadFile(s.proc(file))
	if err != nil {
		s.t.Error(err)
		return 0
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if i >= len(fields) {
		s.t.Errorf("%s: %q", file, b)
		return 0
	}
	n, err := strconv.ParseInt(string(fields[i]), 10, 64)
	if err != nil {
		s.t.Error(err)
	}
	return n
}

// resident returns how many bytes of the process are in memory.
func (s *server) resident() int64 { return s.field("statm", 1) * int64(os.Getpagesize()) }

// settled returns how many bytes are in memory without garbage, and how many of them the server uses.
func (s *server) settled() memory {
	s.t.Helper()
	v := s.ask(settle)
	return memory{s.resident(), int64(v.Heap)}
}

// A memory is what a process has of it.
type memory struct{ resident, heap int64 }

func (m memory) String() string {
	return fmt.Sprintf("%s, heap %s", mebibytes(m.resident), mebibytes(m.heap))
}

// cpu returns how much time of processors the process has taken.
func (s *server) cpu() time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Linux runs Go
	return time.Duration(s.field("stat", 11)+s.field("stat", 12)) * tick
}

// A footing is what a server process has open, and how many goroutines.
type footing struct{ files, goroutines int }

// footing returns what the process has now. It is best taken after somebody was there and has left.
func (s *server) footing() footing { return footing{s.files(), s.ask(look).Goroutines} }

// returnsTo checks that in the end the process has no more than that.
func (s *server) returnsTo(was footing) (is footing) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("no more than %+v is left", was), func() bool {
		is = s.footing()
		return is.files <= was.files && is.goroutines <= was.goroutines
	})
	return is
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
