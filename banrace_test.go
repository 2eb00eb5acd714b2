package chatroom_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/chatroom"
)

// An operation is a ban or an unban of one nick, or an attempt to join with it. It took effect at some
// moment between begin and end, by a clock that counts.
type operation struct {
	begin, end int64
	writes     bool
	banned     bool // what was written, or what joining was told
}

// linearizable returns an error unless there is an order of a nick's operations that explains what each of them
// found, in which none comes before one that had ended when it began. One writer makes that simple: what a
// join found is one of the states it overlaps, and later joins find no earlier one. The earliest that
// fits is taken, as it leaves most to those after it.
func linearizable(history []operation) error {
	states := []operation{{begin: -1, end: -1, writes: true}} // nobody is banned at first
	var joins []operation
	for _, op := range history {
		if op.writes {
			states = append(states, op)
		} else {
			joins = append(joins, op)
		}
	}
	slices.SortFunc(states, func(a, b operation) int { return cmp.Compare(a.begin, b.begin) })
	slices.SortFunc(joins, func(a, b operation) int { return cmp.Compare(a.begin, b.begin) })
	type found struct {
		end   int64
		state int
	}
	var before []found
	for _, join := range joins {
		least := 0
		for i, s := range states {
			if s.end < join.begin {
				least = i
			}
		}
		for _, f := range before {
			if f.end < join.begin {
				least = max(least, f.state)
			}
		}
		i := least
		for i < len(states) && (states[i].banned != join.banned || states[i].begin > join.end) {
			i++
		}
		if i == len(states) {
			return fmt.Errorf("a join from %d to %d, told that it is banned: %v, fits no state from %+v on", join.begin, join.end, join.banned, states[least])
		}
		before = append(before, found{join.end, i})
		if len(before) > 64 { // those that ended long ago say no more than the latest of them
			slices.SortFunc(before, func(a, b found) int { return cmp.Compare(a.end, b.end) })
			for j := range before[:32] {
				before[32].state = max(before[32].state, before[j].state)
			}
			before = slices.Delete(before, 0, 32)
		}
	}
	return nil
}

// The checker would be worth nothing if it found nothing.
func TestBanHistoriesAreJudged(t *testing.T) {
	ban, unban := func(b, e int64) operation { return operation{b, e, true, true} }, func(b, e int64) operation { return operation{b, e, true, false} }
	join := func(b, e int64, banned bool) operation { return operation{b, e, false, banned} }
	for name, tt := range map[string]struct {
		history []operation
		ok      bool
	}{
		"nothing":                      {nil, true},
		"in before the ban":            {[]operation{join(1, 2, false), ban(3, 4)}, true},
		"in after the ban":             {[]operation{ban(1, 2), join(3, 4, false)}, false},
		"in during the ban":            {[]operation{ban(1, 4), join(2, 3, false)}, true},
		"out during the ban":           {[]operation{ban(1, 4), join(2, 3, true)}, true},
		"out before the ban":           {[]operation{join(1, 2, true), ban(3, 4)}, false},
		"in after another was out":     {[]operation{ban(1, 8), join(2, 3, true), join(4, 5, false)}, false},
		"out and in at once":           {[]operation{ban(1, 8), join(2, 5, true), join(3, 6, false)}, true},
		"out after the unban":          {[]operation{ban(1, 2), unban(3, 4), join(5, 6, true)}, false},
		"in after the unban":           {[]operation{ban(1, 2), unban(3, 4), join(5, 6, false)}, true},
		"in between bans, as it seems": {[]operation{ban(1, 2), unban(3, 6), ban(7, 8), join(4, 9, false), join(10, 11, true)}, true},
		"in, though banned throughout": {[]operation{ban(1, 2), ban(3, 4), join(1, 9, true), join(5, 9, false)}, false},
	} {
		if err := linearizable(tt.history); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// For each of many nicks one goroutine bans and unbans, and some join, all at once: 10,000 operations, or as
// many as OPS says.
func TestThreat36BanRaces(t *testing.T) {
	const nicks = 8
	each := times("OPS", 10_000) / nicks
	srv, err := chatroom.New(chatroom.WithLimits(chatroom.Limits{History: -1}))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	var clock atomic.Int64
	var all sync.WaitGroup
	for n := range nicks {
		all.Go(func() { raceBans(t, srv, fmt.Sprintf("nick%d", n), each, &clock) })
	}
	all.Wait()
	if members := srv.Members("lobby"); len(members) > 0 {
		t.Errorf("banned, and still here: %+v", members)
	}
}

// raceBans bans nick and unbans it, while others join with it, for that many operations.
func raceBans(t *testing.T, srv chatroom.Server, nick string, operations int, clock *atomic.Int64) {
	var mu sync.Mutex
	var history []operation
	told := map[bool]int{}
	note := func(op operation) (noted int) {
		op.end = clock.Add(1)
		mu.Lock()
		defer mu.Unlock()
		history = append(history, op)
		if !op.writes {
			told[op.banned]++
		}
		return len(history)
	}
	var joining sync.WaitGroup
	turns := make(chan struct{})
	for range 3 {
		joining.Go(func() {
			for range turns {
				op := operation{begin: clock.Add(1)}
				c, err := srv.Join(t.Context(), chatroom.Identity{Nick: nick})
				op.banned = errors.Is(err, chatroom.ErrBanned)
				if !op.banned && err != nil {
					if !errors.Is(err, chatroom.ErrNickInUse) { // which says nothing of bans
						t.Errorf("join: %v", err)
					}
					continue
				}
				note(op)
				if c != nil && rand.N(2) == 0 {
					c.Close() // or the next ban ends it
				}
			}
		})
	}
	for noted, banned := 0, true; noted < operations || banned; banned = !banned { // a ban comes last
		cmd := chatroom.Command{Verb: chatroom.VerbBan, Nick: nick}
		if !banned {
			cmd.Verb = chatroom.VerbUnban
		}
		op := operation{begin: clock.Add(1), writes: true, banned: banned}
		if _, err := srv.Moderate(t.Context(), cmd); err != nil {
			t.Errorf("%s %s: %v", cmd.Verb, nick, err)
		}
		noted = note(op)
		for range rand.N(5) {
			turns <- struct{}{} // who takes it joins while this goes on
		}
		if banned && isIn(srv, nick) {
			t.Errorf("%s is banned, and is here", nick)
		}
	}
	close(turns)
	joining.Wait()
	if err := linearizable(history); err != nil {
		t.Errorf("%s: %v", nick, err)
	}
	if told[true] == 0 || told[false] == 0 {
		t.Errorf("%s: %d joins, %d refusals", nick, told[false], told[true])
	}
}
