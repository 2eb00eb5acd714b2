//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// A trial is one server process measured once.
type trial struct {
	*bench
	kind    kind
	variant variant
	name    string

	server *child
	gen    *generator
}

// run starts a server, measures it, and ends it.
func (t *trial) run(s *scenario) (m measured, err error) {
	if t.ctx.Err() != nil {
		return m, t.ctx.Err()
	}
	began := time.Now()
	if t.server, err = startChild(t.kind, t.procs); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, t.server.stop()) }()
	if t.gen, err = newGenerator(t.ctx, t.kind, t.server.addr); err != nil {
		return m, err
	}
	defer t.gen.close()
	m, err = s.run(t)
	m.faults = t.gen.faults
	fmt.Fprintf(t.log, "%s: %.1f s, faults: %v\n", t.name, time.Since(began).Seconds(), m.faults)
	return m, err
}

// span shortens a time for a quick look.
func (t *trial) span(d time.Duration) time.Duration {
	if t.short {
		return d / 4
	}
	return d
}

// files are those for the server's profiles.
func (t *trial) files() *profiles {
	file := func(dir, suffix string) string {
		if dir == "" {
			return ""
		}
		return filepath.Join(dir, t.name+suffix)
	}
	return &profiles{
		CPU:   file(t.profiles.cpu, ".cpu"),
		Mem:   file(t.profiles.mem, ".mem"),
		Mutex: file(t.profiles.mutex, ".mutex"),
	}
}

func (t *trial) ask(req request) (sample, error) {
	return await(t.gen, func() (sample, error) { return t.server.ask(req) })
}

// assemble lets all members join, and waits until everybody has heard of everybody.
func (t *trial) assemble() error {
	if err := t.gen.join(t.variant.members); err != nil {
		return err
	}
	return t.gen.settle()
}

// talk measures a room in which some speak.
func (t *trial) talk() (m measured, err error) {
	if err := t.assemble(); err != nil {
		return m, err
	}
	hush := t.begin(senders)
	defer func() { err = errors.Join(err, hush()) }()
	if err := t.gen.run(t.span(t.variant.warm)); err != nil {
		return m, err
	}
	if err := t.watch(&m, func() error { return t.gen.run(t.span(t.variant.window)) }); err != nil {
		return m, err
	}
	if err := hush(); err != nil {
		return m, err
	}
	return m, t.gen.finish()
}

// window is how many messages a sender has under way where nothing else paces it.
const window = 64

// begin makes n members speak. The function it returns makes them stop; it may be called twice.
func (t *trial) begin(n int) (hush func() error) {
	if t.variant.rate == 0 {
		t.gen.appoint(n, window)
		return func() error {
			t.gen.hush()
			return nil
		}
	}
	t.gen.appoint(n, 0)
	ctx, cancel := context.WithCancel(t.ctx)
	paced := make(chan error, 1)
	go func() { paced <- t.gen.pace(ctx, time.Second/time.Duration(t.variant.rate)) }()
	stopped := false
	return func() (err error) {
		if !stopped {
			stopped = true
			cancel()
			_, err = await(t.gen, func() (struct{}, error) { return struct{}{}, <-paced })
		}
		return err
	}
}

// watch measures what happens during f. The server's CPU time is for the time between its samples, and deliveries for the time
// between ours, so what is compared is the two rates.
func (t *trial) watch(m *measured, f func() error) error {
	first, err := t.ask(request{Begin: t.files()})
	if err != nil {
		return err
	}
	began, err := t.gen.progress()
	if err != nil {
		return err
	}
	t.gen.measure()
	if err := f(); err != nil {
		return err
	}
	t.gen.measured()
	ended, err := t.gen.progress()
	if err != nil {
		return err
	}
	last, err := t.ask(request{End: true})
	if err != nil {
		return err
	}
	n := float64(ended.delivered - began.delivered)
	if n == 0 {
		return errors.New("nothing was delivered")
	}
	v := &m.values
	v[deliveries] = n / ended.at.Sub(began.at).Seconds()
	v[cpu] = float64(last.CPU-first.CPU) / last.At.Sub(first.At).Seconds() / v[deliveries]
	v[generatorCPU] = float64(ended.cpu-began.cpu) / n
	v[size] = float64(ended.received-began.received) / n
	v[batched] = n / float64(ended.reads-began.reads)
	v[p50] = float64(t.gen.delays.Quantile(0.5))
	v[p99] = float64(t.gen.delays.Quantile(0.99))
	v[p999] = float64(t.gen.delays.Quantile(0.999))
	v[pause] = float64(t.gen.pause)
	v[rss] = float64(last.RSS)
	return nil
}

// founders are how many are in before memory is measured, so that what a server takes once does not count for each member.
const founders = 100

// idle measures what members cost who do nothing.
func (t *trial) idle() (m measured, err error) {
	if err := t.gen.join(founders); err != nil {
		return m, err
	}
	before, err := t.ask(request{Settle: true})
	if err != nil {
		return m, err
	}
	if err := t.gen.join(t.variant.members - founders); err != nil {
		return m, err
	}
	if err := t.gen.settle(); err != nil {
		return m, err
	}
	after, err := t.ask(request{Settle: true})
	if err != nil {
		return m, err
	}
	m.values[rss] = float64(after.RSS)
	m.values[perConn] = float64(after.RSS-before.RSS) / float64(t.variant.members-founders)
	return m, nil
}

// stick measures a busy room in which some stop to read after a while.
func (t *trial) stick() (m measured, err error) {
	if err := t.assemble(); err != nil {
		return m, err
	}
	hush := t.begin(1)
	if err := t.gen.run(t.span(t.variant.warm)); err != nil {
		return m, err
	}
	before, err := t.server.ask(request{})
	if err != nil {
		return m, err
	}
	for _, c := range t.gen.conns[t.variant.members-t.variant.stuck:] {
		c.stuck = true
		t.gen.ignore(c)
	}
	if err := t.watch(&m, func() error { return t.observe(&m, before) }); err != nil {
		return m, err
	}
	m.values[cutHealthy] = float64(t.gen.faults.gone)
	if err := hush(); err != nil {
		return m, err
	}
	return m, t.gen.finish()
}

// observe reads while it asks the server again and again how it fares with those who are stuck.
func (t *trial) observe(m *measured, before sample) error {
	const every = 20 * time.Millisecond
	v := &m.values
	for began := time.Now(); time.Since(began) < t.span(t.variant.window); {
		if err := t.gen.run(every); err != nil {
			return err
		}
		s, err := t.ask(request{})
		if err != nil {
			return err
		}
		v[growth] = max(v[growth], float64(s.RSS-before.RSS))
		n := float64(s.TooSlow - before.TooSlow)
		if n == v[cut] {
			continue
		}
		v[lastCut] = float64(time.Since(began))
		if v[cut] == 0 {
			v[firstCut] = v[lastCut]
		}
		v[cut] = n
	}
	return nil
}

// storm measures how fast members come in.
func (t *trial) storm() (m measured, err error) {
	first, err := t.server.ask(request{Begin: t.files()})
	if err != nil {
		return m, err
	}
	began := time.Now()
	if err := t.gen.join(t.variant.members); err != nil {
		return m, err
	}
	took := time.Since(began)
	if err := t.gen.settle(); err != nil { // who is told of a join may be told later
		return m, err
	}
	last, err := t.ask(request{End: true})
	if err != nil {
		return m, err
	}
	m.values[joins] = float64(t.variant.members) / took.Seconds()
	m.values[cpuJoin] = float64(last.CPU-first.CPU) / float64(t.variant.members)
	m.values[rss] = float64(last.RSS)
	return m, nil
}
