//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// try runs a scenario's trial with a server process of its own.
func try(t *testing.T, scenario, server string, v variant) measured {
	t.Helper()
	k, ok := kindNamed(server)
	if !ok {
		t.Fatal(server)
	}
	for _, s := range scenarios {
		if s.name != scenario {
			continue
		}
		b := &bench{ctx: context.Background(), log: io.Discard, procs: 2}
		m, err := (&trial{bench: b, kind: k, variant: v, name: t.Name()}).run(s)
		if err != nil {
			t.Fatal(err)
		}
		if m.faults != (faults{}) {
			t.Error(m.faults)
		}
		return m
	}
	t.Fatal(scenario)
	return measured{}
}

func TestTalkIsMeasured(t *testing.T) {
	for _, server := range []string{"ours-json", "ours-tls", "floor-batch"} {
		for _, rate := range []int{0, 200} {
			t.Run(fmt.Sprintf("%s/%d", server, rate), func(t *testing.T) {
				t.Parallel()
				v := try(t, "saturated", server, variant{members: 10, rate: rate, warm: 20 * time.Millisecond, window: 500 * time.Millisecond}).values
				if v[deliveries] <= 0 || v[cpu] <= 0 || v[generatorCPU] <= 0 || v[size] < payloadBytes || v[rss] < 1<<20 {
					t.Error(v)
				}
				if line := float64(len(floorWire.appendSay(nil, payload{}))); server == "floor-batch" && math.Abs(v[size]-line) > 0.05*line {
					t.Errorf("%v bytes a delivery, want %v", v[size], line)
				}
				if v[p50] <= 0 || v[p99] < v[p50] || v[p999] < v[p99] {
					t.Errorf("delays %v %v %v", v[p50], v[p99], v[p999])
				}
			})
		}
	}
}

func TestProfilesAreWritten(t *testing.T) {
	dir := t.TempDir()
	var out, log strings.Builder
	args := []string{"-short", "-run", "^saturated/10$", "-servers", "ours-text", "-cpuprofile", dir, "-memprofile", dir, "-mutexprofile", dir}
	if err := run(t.Context(), args, &out, &log); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".cpu", ".mem.base", ".mem", ".mutex"} {
		if b, err := os.ReadFile(filepath.Join(dir, "saturated-10-ours-text-1"+suffix)); err != nil || len(b) == 0 {
			t.Errorf("%s: %d bytes, %v", suffix, len(b), err)
		}
	}
	if rows := strings.Count(out.String(), "ours-text"); rows != 1 {
		t.Errorf("%d rows:\n%s", rows, out.String())
	}
}

func TestWhatDoesNotExistIsNotRun(t *testing.T) {
	for _, args := range [][]string{{"-run", "saturated/11$"}, {"-run", "joins", "-servers", "floor-write"}, {"-servers", "ours"}, {"-run", "("}, {"-x"}, {"x"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestWhoIsTurnedAwayIsNotWaitedFor(t *testing.T) {
	k, _ := kindNamed("ours-json")
	_, addr := serveKind(t, k)
	k.wire = &wire{join: `{"type":"join","nick":"m0","version":9}` + "\n%s", welcome: "welcome", head: "none"}
	g, err := newGenerator(t.Context(), k, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if err := g.join(2); err == nil || !strings.Contains(err.Error(), "bad_version") {
		t.Errorf("%v", err)
	}
}

func TestFaultsAreAnError(t *testing.T) {
	b := &bench{ctx: t.Context(), log: io.Discard, procs: 2}
	k, _ := kindNamed("floor-greet")
	s := &scenario{run: func(t *trial) (measured, error) {
		t.gen.faults.lost++
		return measured{}, nil
	}}
	r, err := b.runTrials(s, []*trial{{bench: b, kind: k, name: "one"}})
	if len(r) != 1 || err == nil || !strings.Contains(err.Error(), "1 lost") {
		t.Errorf("%v, %v", r, err)
	}
}

func TestPacedSendersTakeTurnsAndNeverHurry(t *testing.T) {
	k, _ := kindNamed("floor-write")
	_, addr := serveKind(t, k)
	g, err := newGenerator(t.Context(), k, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if err := g.join(3); err != nil {
		t.Fatal(err)
	}
	g.appoint(2, 0)
	const every, messages = 5 * time.Millisecond, 21
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	paced := make(chan error, 1)
	go func() { paced <- g.pace(ctx, every) }()
	err = g.until(time.Minute, "hear them", func() bool { return g.delivered >= 3*messages })
	took := time.Since(began)
	cancel()
	if err := errors.Join(err, <-paced, g.finish()); err != nil || g.faults != (faults{}) {
		t.Fatal(err, g.faults)
	}
	if took < (messages-1)*every {
		t.Errorf("%d messages in %v", messages, took)
	}
	if a, b := g.senders[0].sent, g.senders[1].sent; a != b && a != b+1 {
		t.Errorf("one said %d, the other %d", a, b)
	}
}

func TestIdleMembersAreMeasured(t *testing.T) {
	t.Parallel()
	v := try(t, "idle", "ours-json", variant{members: 200}).values
	if v[perConn] < 1<<10 || v[perConn] > 1<<20 {
		t.Errorf("%.0f bytes a connection", v[perConn])
	}
}

func TestJoinsAreMeasured(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"ours-text", "floor-greet"} {
		if v := try(t, "joins", server, variant{members: 30}).values; v[joins] <= 0 || v[cpuJoin] <= 0 {
			t.Errorf("%s: %v", server, v)
		}
	}
}

func TestStuckMembersAreMeasured(t *testing.T) {
	t.Parallel()
	var v [metrics]float64
	for window := time.Second; v[cut] == 0 && window < time.Minute; window *= 2 {
		v = try(t, "stuck", "ours-json", variant{members: 5, stuck: 1, warm: 20 * time.Millisecond, window: window}).values
	}
	if v[cut] != 1 || v[firstCut] <= 0 || v[lastCut] != v[firstCut] || v[cutHealthy] != 0 || v[pause] <= 0 {
		t.Errorf("%v", v)
	}
}

func TestTargetsAreAboutWhatIsMeasured(t *testing.T) {
	for _, s := range scenarios {
		r := make(results)
		for _, v := range s.variants {
			for _, server := range s.servers {
				r[cell{v.label, server}] = []measured{{}}
			}
		}
		for _, target := range s.targets {
			if _, ok := target.value(r); !ok {
				t.Errorf("%s: nothing for %s", s.name, target.what)
			}
		}
	}
}

func TestTableShowsMediansAndVerdicts(t *testing.T) {
	r := make(results)
	for server, all := range map[string][]float64{"ours-json": {130, 100, 120}, "floor-batch": {100}} {
		for _, v := range all {
			m := measured{faults: faults{lost: 1}}
			m.values[cpu] = v
			m.values[deliveries] = 1234567
			r[cell{"100", server}] = append(r[cell{"100", server}], m)
		}
	}
	var b strings.Builder
	(&scenario{
		name: "saturated", about: "test", variants: []variant{{label: "100"}},
		columns: []column{{"deliveries/s", deliveries, plain}, {"CPU", cpu, micros}},
		targets: []target{
			atMost("ratio", 1.5, 1.25, ratio(cpu, "100", "ours-json", "100", "floor-batch")),
			atMost("ratio", 1.1, 0, ratio(cpu, "100", "ours-json", "100", "floor-batch")),
			atLeast("ns", 120, number(cpu, "100", "ours-json", 1)),
			atLeast("nothing", 1, number(cpu, "10", "ours-json", 1)),
		},
	}).print(&b, r, true)
	const want = `
### saturated

test.

| saturated | server | deliveries/s | CPU | faults |
|---|---|---|---|---|
| 100 | ours-json | 1,234,567 | 0.120 (0.100 to 0.130) | 3 lost |
| 100 | floor-batch | 1,234,567 | 0.100 | 1 lost |

| target | measured | bound |  |
|---|---|---|---|
| ratio | 1.200 | ≤ 1.5 | met, and ≤ 1.25 |
| ratio | 1.200 | ≤ 1.1 | missed |
| ns | 120.000 | ≥ 120 | met |
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s", got)
	}
}
