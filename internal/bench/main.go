//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if name := os.Getenv(serverVariable); name != "" {
		if err := serveChild(name, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", name, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// A bench is what one run is to do.
type bench struct {
	chosen   *regexp.Regexp
	servers  []string // empty means those of each scenario
	reps     int
	short    bool
	markdown bool
	procs    int
	profiles struct{ cpu, mem, mutex string } // directories

	ctx context.Context
	log io.Writer // progress
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	b := &bench{ctx: ctx, log: stderr}
	if err := b.parse(args, stderr); err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	fmt.Fprintln(stdout, machine(b.procs))
	var failed error
	found := 0
	for _, s := range scenarios {
		trials := b.trials(s)
		if len(trials) == 0 {
			continue
		}
		found += len(trials)
		results, err := b.runTrials(s, trials)
		s.print(stdout, results, b.markdown)
		failed = errors.Join(failed, err)
	}
	if found == 0 {
		return errors.New("there is nothing of that name to run")
	}
	return failed
}

func (b *bench) parse(args []string, stderr io.Writer) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	chosen := f.String("run", "", "a regular `expression` for what to run, out of\n"+strings.Join(everything(), " "))
	servers := f.String("servers", "", "a comma-separated `list` of servers; without it, those that a scenario is about")
	f.IntVar(&b.reps, "reps", 3, "how many times each is measured; the median counts")
	f.BoolVar(&b.short, "short", false, "a quick look: a quarter of the time, and once unless -reps is given")
	f.BoolVar(&b.markdown, "md", false, "write the tables in Markdown")
	f.IntVar(&b.procs, "procs", runtime.NumCPU(), "GOMAXPROCS of the servers")
	f.StringVar(&b.profiles.cpu, "cpuprofile", "", "a `directory` for CPU profiles of the servers while they were measured")
	f.StringVar(&b.profiles.mem, "memprofile", "", "a `directory` for profiles of what they allocated until then; those before the measuring end in .base")
	f.StringVar(&b.profiles.mutex, "mutexprofile", "", "a `directory` for profiles of their contended mutexes")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q: flags are all there is", f.Args())
	}
	var err error
	if b.chosen, err = regexp.Compile(*chosen); err != nil {
		return err
	}
	if *servers != "" {
		b.servers = strings.Split(*servers, ",")
	}
	for _, name := range b.servers {
		if _, ok := kindNamed(name); !ok {
			return fmt.Errorf("no server is called %s", name)
		}
	}
	given := false
	f.Visit(func(f *flag.Flag) { given = given || f.Name == "reps" })
	if b.short && !given {
		b.reps = 1
	}
	return b.makeDirectories()
}

// everything lists what can be run.
func everything() (names []string) {
	for _, s := range scenarios {
		for _, v := range s.variants {
			names = append(names, s.name+"/"+v.label)
		}
	}
	return names
}

func (b *bench) makeDirectories() error {
	for _, dir := range []string{b.profiles.cpu, b.profiles.mem, b.profiles.mutex} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	return nil
}

// trials lists what was chosen of a scenario. The servers take turns, so that what happens to the machine meanwhile happens to
// all of them.
func (b *bench) trials(s *scenario) (trials []*trial) {
	for rep := range b.reps {
		for _, v := range s.variants {
			for _, k := range kinds {
				if b.takesPart(s, k.name) && b.chosen.MatchString(s.name+"/"+v.label) {
					name := fmt.Sprintf("%s-%s-%s-%d", s.name, v.label, k.name, rep+1)
					trials = append(trials, &trial{bench: b, kind: k, variant: v, name: name})
				}
			}
		}
	}
	return trials
}

// runTrials measures. A trial that fails is left out; one in which something was delivered wrongly is shown, and an error
// too.
func (b *bench) runTrials(s *scenario, trials []*trial) (r results, failed error) {
	r = make(results)
	for _, t := range trials {
		m, err := t.run(s)
		if b.ctx.Err() != nil {
			return r, b.ctx.Err()
		}
		if err == nil {
			key := cell{t.variant.label, t.kind.name}
			r[key] = append(r[key], m)
		}
		if err == nil && m.faults != (faults{}) {
			err = fmt.Errorf("faults: %v", m.faults)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", t.name, err))
		}
	}
	return r, failed
}

func (b *bench) takesPart(s *scenario, name string) bool {
	return slices.Contains(s.servers, name) && (len(b.servers) == 0 || slices.Contains(b.servers, name))
}

// machine says what the numbers were measured on.
func machine(procs int) string {
	model := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo") // then it stays unknown
	for line := range strings.Lines(string(info)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %s/%s, Linux %s, %d processors (%s), GOMAXPROCS=%d for each server, %s",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, strings.TrimSpace(string(kernel)), runtime.NumCPU(), model, procs,
		time.Now().UTC().Format("2006-01-02 15:04 MST"))
}
