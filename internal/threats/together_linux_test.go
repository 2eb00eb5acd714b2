package threats

import (
	"sync"
	"testing"
	"time"

	"example.com/chatroom"
)

// crawl has peers connect who say nothing, or a byte a second, until stop is closed. Once they are hung up on they do not come again.
func crawl(t *testing.T, s *server, n int, stop <-chan struct{}) (wait func()) {
	t.Helper()
	var all []*peer
	for i := range n {
		p := mustDial(t, s.addr, address(attacks+2, i/20))
		t.Cleanup(p.drop)
		all = append(all, p)
	}
	var running sync.WaitGroup
	running.Go(func() { drip(all[:n/2], stop) })
	return running.Wait
}

// A room goes on, and lets in who wants in, while others read nothing, are slow to join and connect without end, all
// at once, with the limits that a server has unless told otherwise.
func TestThreat43AllAtOnce(t *testing.T) {
	healthy, deaf, slow, flood := pick(450, 50), pick(50, 10), pick(2000, 100), pick(10_000, 1000)
	lag := pick(1<<20, 256<<10)
	s := start(t, setup{Limits: chatroom.Limits{Lag: lag}})
	a := gather(t, s, healthy, pick(128, 256))
	a.attacked.Store(true)
	stop := make(chan struct{})
	joins, visited := visitors(t, s, stop)
	crawled := crawl(t, s, slow, stop)
	deafen(t, s, deaf)
	addresses := flood / 50
	var mu sync.Mutex
	var held []*peer
	paced(flood, pick(10*time.Second, time.Second), func(i int) {
		p, err := dial(s.addr, address(attacks+1, i%addresses))
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		held = append(held, p)
	})
	eventually(t, "the deaf are cut off", func() bool { return s.ask(look).Ended[chatroom.CodeTooSlow] == uint64(deaf) })
	close(stop)
	visited()
	crawled()
	for _, p := range held {
		p.drop()
	}
	a.leave(t)
	v := s.ask(look)
	t.Logf("beside %d members: %d deaf cut off, %d slow and %d more connections, %d of which were turned away, and %d hung up on in favour of others; calm: %v; then: %v; joins meanwhile: %v",
		healthy, v.Ended[chatroom.CodeTooSlow], slow, flood, v.TurnedAway, v.Dropped[chatroom.CodeTimeout], &a.calm, &a.busy, joins)
	delete(v.Ended, chatroom.CodeLost) // visitors, who leave without a word
	delete(v.Ended, chatroom.CodeClosed)
	if len(v.Ended) != 1 || v.Ended[chatroom.CodeTooSlow] != uint64(deaf) {
		t.Errorf("members ended by %v", v.Ended)
	}
	if came := v.Accepted + v.TurnedAway; came < uint64(slow+flood) {
		t.Errorf("%d connections came", came)
	}
	atMost(t, "p99 of the joins", joins.p99(), 100*time.Millisecond)
	a.notices(t)
}
