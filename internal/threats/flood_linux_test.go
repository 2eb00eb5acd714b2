package threats

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/chatroom"
)

// paced calls do n times in that time, each in a goroutine of its own, and returns when all have returned.
func paced(n int, in time.Duration, do func(i int)) {
	var running sync.WaitGroup
	began := time.Now()
	for i := range n {
		if wait := time.Until(began.Add(in * time.Duration(i) / time.Duration(n))); wait > 0 {
			<-time.After(wait)
		}
		running.Go(func() { do(i) })
	}
	running.Wait()
}

// visitors has somebody join and leave again and again, from other addresses than anybody else, until stop is closed.
func visitors(t *testing.T, s *server, stop <-chan struct{}) (joins *delays, wait func()) {
	joins = new(delays)
	var running sync.WaitGroup
	running.Go(func() {
		for i := 0; ; i++ {
			took, err := visit(s.addr, address(visits, i/20), fmt.Sprint("visitor", i))
			if err != nil {
				t.Error(err)
			}
			joins.add(took)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-stop:
				return
			}
		}
	})
	return joins, running.Wait
}

// Of many connections from one address as many are let in as it may have, and others do not notice.
func TestThreat06ConnectionFlood(t *testing.T) {
	const each, allowed = 50, 20
	addresses := pick(200, 20)
	s := start(t, setup{Limits: chatroom.Limits{Handshake: 2 * patience, Handshakes: -1}})
	if _, err := visit(s.addr, address(visits, 0), "first"); err != nil {
		t.Fatal(err)
	}
	base := s.returnsTo(footing{s.files(), s.base + 2})
	before := s.settled().resident
	stop := make(chan struct{})
	joins, visited := visitors(t, s, stop)

	in := make([]atomic.Int64, addresses)
	var mu sync.Mutex
	var held []*peer
	refused := 0
	paced(addresses*each, pick(10*time.Second, time.Second), func(i int) {
		p, err := dial(s.addr, address(attacks, i%addresses))
		if err != nil {
			t.Error(err)
			return
		}
		p.SetDeadline(time.Now().Add(patience))
		first, err := p.in.ReadByte() // of a question, or of a refusal
		mu.Lock()
		defer mu.Unlock()
		if err == nil && first != '{' {
			in[i%addresses].Add(1)
			held = append(held, p)
			return
		}
		refused++
		p.drop()
	})
	close(stop)
	visited()
	idle := eventually(t, "those who look in are gone", func() bool { return s.ask(look).Conns == len(held) })
	rough := s.resident() - before
	memory := s.settled().resident - before
	v := s.ask(look)
	for _, p := range held {
		p.drop()
	}
	s.returnsTo(base)
	t.Logf("%d connections from %d addresses: %d let in, %d turned away; joins meanwhile: %v; %d bytes for each idle connection, garbage included %d (after %v)",
		addresses*each, addresses, len(held), refused, joins, memory/int64(len(held)), rough/int64(len(held)), idle.Round(time.Millisecond))
	for i := range in {
		if n := in[i].Load(); n != allowed {
			t.Errorf("%d connections from %v were let in; want %d", n, address(attacks, i), allowed)
		}
	}
	if want := uint64(addresses * (each - allowed)); v.TurnedAway != want || refused != int(want) {
		t.Errorf("the server has turned away %d, and %d were; want %d", v.TurnedAway, refused, want)
	}
	if each := memory / int64(len(held)); each > 16<<10 && !raced {
		t.Errorf("%d bytes for each", each)
	}
	atMost(t, "p99 of the joins", joins.p99(), 100*time.Millisecond)
}

// Of many connections one after the other from one address as many are let in as it may have in a minute.
func TestThreat06ConnectionRate(t *testing.T) {
	const each, allowed = 100, 60
	s := start(t, setup{})
	addresses := pick(50, 5)
	var in [50]int
	var running sync.WaitGroup
	began := time.Now()
	for a := range addresses {
		running.Go(func() {
			for range each {
				p, err := dial(s.addr, address(attacks, a))
				if err != nil {
					t.Error(err)
					return
				}
				p.SetDeadline(time.Now().Add(patience))
				_ = p.say("GET / HTTP/1.1") // to be hung up on at once
				if first, err := p.in.ReadByte(); err == nil && first != '{' {
					in[a]++
				}
				p.drop()
			}
		})
	}
	running.Wait()
	took := time.Since(began)
	v := s.ask(look)
	t.Logf("%d connections one after the other from each of %d addresses, in %v: %d let in, %d turned away", each, addresses, took.Round(time.Millisecond), v.Accepted, v.TurnedAway)
	for a := range addresses {
		if in[a] != allowed && took < time.Minute {
			t.Errorf("%d from %v were let in; want %d", in[a], address(attacks, a), allowed)
		}
	}
}

// Those who come and go in a storm are told of together, so that it costs the room little.
func TestThreat07MoveFlood(t *testing.T) {
	members, joins, during := pick(500, 100), pick(10_000, 600), pick(10*time.Second, 2*time.Second)
	s := start(t, setup{})
	var lines atomic.Int64
	crowd(t, s.addr, members, func([]byte) { lines.Add(1) })
	room := newProbe(t, s, 20*time.Millisecond)
	before, heard := s.ask(look), lines.Load()
	var took delays
	var failed atomic.Pointer[error]
	began := time.Now()
	paced(joins, during, func(i int) {
		d, err := visit(s.addr, address(attacks, i%500), fmt.Sprint("j", i))
		if err != nil {
			failed.Store(&err)
		}
		took.add(d)
	})
	eventually(t, "those who came are gone", func() bool { return s.ask(look).Members == before.Members })
	elapsed := time.Since(began)
	v := s.ask(look)
	probes := room.count()
	room.end(t, 100*time.Millisecond)
	moves, told := v.Joined-before.Joined+uint64(took.count()), int(v.Published-before.Published)-probes
	t.Logf("%d joins and leaves in %v beside %d members: %d events told of them, %d lines to members; room: %v; joins: %v",
		moves, elapsed.Round(time.Millisecond), members, told, lines.Load()-heard, &room.delays, &took)
	if err := failed.Load(); err != nil {
		t.Error(*err)
	}
	// One by one up to 20 a second, with a second's worth at once, and the rest twice a second.
	if most := int(elapsed.Seconds()+2) * 23; told > most {
		t.Errorf("the room was told %d times; want %d at most", told, most)
	}
}
