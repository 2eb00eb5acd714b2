//go:build linux

package main

import (
	"fmt"
	"time"
)

// A scenario is something that servers do, in a few variants, and what is expected of it.
type scenario struct {
	name     string
	about    string
	variants []variant
	servers  []string
	run      func(*trial) (measured, error)
	columns  []column
	targets  []target
}

// A variant says how many and how fast.
type variant struct {
	label   string
	members int
	rate    int // messages a second; zero means as many as go
	stuck   int
	warm    time.Duration
	window  time.Duration // how long it is measured
}

// A metric is one of the numbers that come out of a trial. CPU is the server's own.
type metric int

const (
	deliveries   metric = iota // a second
	cpu                        // ns a delivery
	size                       // bytes a delivery
	batched                    // deliveries a read
	generatorCPU               // ns a delivery
	p50                        // ns
	p99
	p999
	pause      // ns; the longest that a member waited
	rss        // bytes
	growth     // bytes
	perConn    // bytes
	joins      // a second
	cpuJoin    // ns a join
	cut        // stuck members cut off
	firstCut   // ns
	lastCut    // ns
	cutHealthy // members that were not stuck
	metrics
)

// Measured is what came out of a trial.
type measured struct {
	values [metrics]float64
	faults faults
}

const senders = 4

func saturated(members int, warm, window time.Duration) variant {
	return variant{label: fmt.Sprint(members), members: members, warm: warm, window: window}
}

func paced(members, perSecond int) variant {
	return variant{
		label: fmt.Sprint(perSecond), members: members, rate: perSecond / members,
		warm: 2 * time.Second, window: 8 * time.Second,
	}
}

func idle(members int) variant { return variant{label: fmt.Sprint(members), members: members} }

func stuck(n int) variant {
	return variant{label: fmt.Sprint(n), members: 100, stuck: n, warm: 2 * time.Second, window: 20 * time.Second}
}

var (
	oursAll   = []string{"ours-json", "ours-text", "ours-tls"}
	floorsAll = []string{"floor-batch", "floor-queue", "floor-write"}
	everybody = append(append([]string(nil), oursAll...), floorsAll...)
)

var scenarios = []*scenario{
	{
		name:    "saturated",
		about:   "4 senders, 64 messages of 100 bytes under way each; by members",
		servers: everybody,
		run:     (*trial).talk,
		variants: []variant{
			saturated(10, 2*time.Second, 8*time.Second),
			saturated(100, 2*time.Second, 8*time.Second),
			saturated(1000, 2*time.Second, 8*time.Second),
			saturated(5000, 5*time.Second, 15*time.Second),
		},
		columns: talkColumns,
		targets: []target{
			atMost("CPU per delivery, 1,000 members: ours-json ÷ floor-batch", 1.5, 1.25, ratio(cpu, "1000", "ours-json", "1000", "floor-batch")),
			atMost("CPU per delivery, 100 members: ours-json ÷ floor-batch", 1.4, 1.2, ratio(cpu, "100", "ours-json", "100", "floor-batch")),
			atMost("CPU per delivery, ours-json: 5,000 members ÷ 100", 1.6, 0, ratio(cpu, "5000", "ours-json", "100", "ours-json")),
		},
	},
	{
		name:     "paced",
		about:    "1,000 members, 4 of whom say 100 bytes in turn; by deliveries a second",
		servers:  everybody,
		run:      (*trial).talk,
		variants: []variant{paced(1000, 20_000), paced(1000, 200_000)},
		columns:  talkColumns,
		targets: []target{
			atMost("CPU per delivery, 20,000/s: ours-json ÷ floor-write", 1.05, 0, ratio(cpu, "20000", "ours-json", "20000", "floor-write")),
			atMost("p99, 20,000/s: ours-json ÷ floor-write", 1, 0, ratio(p99, "20000", "ours-json", "20000", "floor-write")),
			atMost("CPU per delivery, 200,000/s: ours-json ÷ floor-write", 0.45, 0.35, ratio(cpu, "200000", "ours-json", "200000", "floor-write")),
			atMost("p99, 200,000/s: ours-json, ms", 60, 0, number(p99, "200000", "ours-json", 1e6)),
		},
	},
	{
		name:     "idle",
		about:    "members who joined and say nothing; by members",
		servers:  oursAll,
		run:      (*trial).idle,
		variants: []variant{idle(1000), idle(5000), idle(9000)},
		columns: []column{
			{"RSS KiB/connection", perConn, kibibytes},
			{"RSS MiB", rss, mebibytes},
		},
		targets: []target{
			atMost("RSS per connection, 1,000: ours-json, KiB", 5, 4, number(perConn, "1000", "ours-json", 1<<10)),
			atMost("RSS per connection, 5,000: ours-json, KiB", 5, 4, number(perConn, "5000", "ours-json", 1<<10)),
			atMost("RSS per connection, 9,000: ours-json, KiB", 5, 4, number(perConn, "9000", "ours-json", 1<<10)),
		},
	},
	{
		name:     "stuck",
		about:    "100 members, one of whom speaks with 64 messages under way, and some of whom stop reading; by how many do",
		servers:  oursAll,
		run:      (*trial).stick,
		variants: []variant{stuck(0), stuck(1), stuck(10)},
		columns: append(talkColumns[:len(talkColumns):len(talkColumns)],
			column{"longest pause ms", pause, millis},
			column{"RSS growth MiB", growth, mebibytes},
			column{"cut off", cut, plain},
			column{"first after ms", firstCut, millis},
			column{"last after ms", lastCut, millis},
			column{"healthy cut off", cutHealthy, plain},
		),
		targets: []target{
			atMost("p99 of those who read: 10 stuck ÷ none", 1.2, 0, ratio(p99, "10", "ours-json", "0", "ours-json")),
			atMost("longest pause, 10 stuck, ms", 50, 0, number(pause, "10", "ours-json", 1e6)),
			atMost("RSS growth, 10 stuck, MiB", 8, 0, number(growth, "10", "ours-json", 1<<20)),
			atLeast("stuck members cut off, of 10", 10, number(cut, "10", "ours-json", 1)),
			atMost("last cut off after, 10 stuck, ms (Limits.Write is 5 s)", 5000, 0, number(lastCut, "10", "ours-json", 1e6)),
			atMost("healthy members cut off, 10 stuck", 0, 0, number(cutHealthy, "10", "ours-json", 1)),
		},
	},
	{
		name:     "joins",
		about:    "members join one room, 64 at a time; by members",
		servers:  append(oursAll[:len(oursAll):len(oursAll)], "floor-greet"),
		run:      (*trial).storm,
		variants: []variant{{label: "5000", members: 5000}},
		columns: []column{
			{"joins/s", joins, plain},
			{"CPU µs/join", cpuJoin, micros},
			{"RSS MiB", rss, mebibytes},
		},
		targets: []target{
			atLeast("joins/s: ours-json ÷ floor-greet", 0.5, ratio(joins, "5000", "ours-json", "5000", "floor-greet")),
		},
	},
}

var talkColumns = []column{
	{"deliveries/s", deliveries, plain},
	{"CPU µs/delivery", cpu, micros},
	{"bytes/delivery", size, plain},
	{"deliveries/read", batched, tenths},
	{"p50 ms", p50, millis},
	{"p99 ms", p99, millis},
	{"p999 ms", p999, millis},
	{"RSS MiB", rss, mebibytes},
	{"generator µs/delivery", generatorCPU, micros},
}
