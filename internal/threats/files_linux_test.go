package threats

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// A server that is out of files costs nothing while it waits, and goes on when it has some.
func TestThreat08OutOfFiles(t *testing.T) {
	const there, flood = 10, 200
	s := start(t, setup{Files: 64})
	var heard atomic.Int64
	members := crowd(t, s.addr, there, func(line []byte) {
		if bytes.HasPrefix(line, []byte(`{"type":"message"`)) {
			heard.Add(1)
		}
	})
	var all []*peer
	for i := range flood {
		all = append(all, mustDial(t, s.addr, address(attacks, i)))
	}
	eventually(t, "the server is out of files", func() bool { return s.files() >= 63 && s.ask(look).Logged > 0 })
	cpu, logged, began := s.cpu(), s.ask(look).Logged, time.Now()
	<-time.After(pick(4*time.Second, 1500*time.Millisecond))
	cpu, logged = s.cpu()-cpu, s.ask(look).Logged-logged
	elapsed := time.Since(began)
	for _, p := range all {
		p.drop()
	}
	took, err := visit(s.addr, address(visits, 0), "late")
	if err != nil {
		t.Error(err)
	}
	for _, m := range members {
		if err := m.say(fmt.Sprintf(`{"type":"say","text":"%s is here"}`, m.nick)); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "all members have heard all", func() bool { return heard.Load() == there*there })
	t.Logf("%d connections with 64 files: in %v %v of CPU time and %d lines in the log; a join after them took %v; %d of %d members stayed",
		flood, elapsed.Round(time.Millisecond), cpu, logged, took.Round(time.Millisecond), s.ask(look).Members, there)
	if most := elapsed / 20; cpu > most && !raced {
		t.Errorf("%v of CPU time in %v; want %v at most", cpu, elapsed, most)
	}
	if most := int64(2 * elapsed / time.Second); logged > max(most, 3) {
		t.Errorf("%d lines in the log in %v", logged, elapsed)
	}
	atMost(t, "a join when there are files again", took, 1500*time.Millisecond)
}
