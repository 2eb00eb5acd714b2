//go:build linux

package main

import (
	"context"
	"io"
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
	t.Parallel()
	for _, tt := range []struct {
		server string
		rate   int
	}{{"ours-json", 0}, {"ours-tls", 200}, {"floor-batch", 0}, {"floor-batch", 200}} {
		v := try(t, "saturated", tt.server, variant{members: 10, rate: tt.rate, warm: 20 * time.Millisecond, window: 100 * time.Millisecond}).values
		if v[cpu] <= 0 || v[generatorCPU] <= 0 || v[size] < payloadBytes || v[rss] < 1<<20 {
			t.Errorf("%v: %v", tt, v)
		}
		if v[p50] <= 0 || v[p99] < v[p50] || v[p999] < v[p99] {
			t.Errorf("%v: delays %v %v %v", tt, v[p50], v[p99], v[p999])
		}
		if want := float64(10 * tt.rate); tt.rate > 0 && (v[deliveries] < want/2 || v[deliveries] > 2*want) {
			t.Errorf("%v: %.0f deliveries/s, want about %.0f", tt, v[deliveries], want)
		}
	}
}

func TestIdleMembersAreMeasured(t *testing.T) {
	t.Parallel()
	v := try(t, "idle", "ours-json", variant{members: 50}).values
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

func TestHistogramKnowsItsQuantiles(t *testing.T) {
	var h histogram
	for v := range int64(1_000_000) {
		h.add(v)
	}
	for _, q := range []float64{0.001, 0.5, 0.99, 0.999, 1} {
		got, want := float64(h.quantile(q)), q*1_000_000
		if got < want-1 || got > want*(1+1.0/32)+1 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
}
