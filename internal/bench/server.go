//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"
)

// serverVariable is set for a process that is to be a server, and names its kind.
const serverVariable = "CHATROOM_BENCH_SERVER"

// A request asks a server process for a sample, and names the files for the profiles of what is to follow.
type request struct {
	Settle bool // collect garbage first, and give memory back
	Begin  *profiles
	End    bool // write the profiles
}

// A sample is what a server process says about itself. The first one it sends by itself.
type sample struct {
	counts
	Addr string        // where it listens
	At   time.Time     // when it was taken
	CPU  time.Duration // user and system time of the process until then
	RSS  int64         // bytes
	Err  string        // why there is no sample
}

// serveChild is a server process: it answers requests from r, and ends when r does.
func serveChild(name string, r io.Reader, w io.Writer) error {
	k, ok := kindNamed(name)
	if !ok {
		return fmt.Errorf("no server is called %s", name)
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	h, err := k.served(l)
	if err != nil {
		return err
	}
	in, out := json.NewDecoder(r), json.NewEncoder(w)
	profiling := new(profiles)
	req := request{}
	for err == nil {
		s := answer(h, &profiling, req)
		s.Addr = l.Addr().String()
		if err = out.Encode(s); err == nil {
			req = request{}
			err = in.Decode(&req)
		}
	}
	l.Close()
	h.close()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// answer does what req asks for, and takes a sample that does not contain it.
func answer(h hosted, profiling **profiles, req request) sample {
	var err error
	if req.Settle {
		runtime.GC() // the first one finds what has finalizers
		runtime.GC()
		debug.FreeOSMemory()
	}
	if req.Begin != nil {
		*profiling = req.Begin
		err = (*profiling).begin()
	}
	s, serr := takeSample()
	if req.End {
		err = (*profiling).end()
	}
	if err = errors.Join(err, serr); err != nil {
		s.Err = err.Error()
	}
	s.counts = h.counts()
	return s
}

func takeSample() (sample, error) {
	cpu, err := processTime()
	if err != nil {
		return sample{}, err
	}
	rss, err := residentBytes()
	return sample{At: time.Now(), CPU: cpu, RSS: rss}, err
}

// processTime returns the user and system time that this process has taken.
func processTime() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// residentBytes returns how much of this process is in memory.
func residentBytes() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b) // the second one is the resident pages; proc(5)
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm: %q", b)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// raiseFileLimit lets this process open as many files as it may.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// Profiles are the files that profiles are written to; an empty name is a profile that is not wanted.
type profiles struct {
	CPU, Mem, Mutex string

	cpu *os.File
}

// begin begins those profiles that have a beginning. Memory's is what was allocated so far, for go tool pprof -base.
func (p *profiles) begin() (err error) {
	if p.Mem != "" {
		err = writeProfile("allocs", p.Mem+".base")
	}
	if p.Mutex != "" {
		runtime.SetMutexProfileFraction(10)
	}
	if p.CPU == "" || err != nil {
		return err
	}
	if p.cpu, err = os.Create(p.CPU); err == nil {
		err = pprof.StartCPUProfile(p.cpu)
	}
	return err
}

func (p *profiles) end() (err error) {
	if p.cpu != nil {
		pprof.StopCPUProfile()
		err = p.cpu.Close()
	}
	if p.Mem != "" {
		err = errors.Join(err, writeProfile("allocs", p.Mem))
	}
	if p.Mutex != "" {
		err = errors.Join(err, writeProfile("mutex", p.Mutex))
		runtime.SetMutexProfileFraction(0)
	}
	*p = profiles{}
	return err
}

func writeProfile(name, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
}
