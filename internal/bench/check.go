//go:build linux

package main

import "fmt"

// A checker follows what one member receives: of each sender everything, once, in the order it was sent.
type checker struct {
	last  [maxSenders]uint32
	order uint64 // a hash of everything in its order, to compare with other members'
}

// Faults count what was delivered wrongly.
type faults struct {
	lost, duplicated, disordered, damaged uint64
	incomplete                            int // members who had not received everything in the end
	differing                             int // members who received it in another order than the first
	gone                                  int // members whose connection ended
}

// take notes a payload and reports whether it was the next of its sender.
func (c *checker) take(p payload, f *faults) bool {
	last := c.last[p.sender]
	switch {
	case p.count == last:
		f.duplicated++
		return false
	case p.count < last:
		f.disordered++
		return false
	case p.count > last+1:
		f.lost += uint64(p.count - last - 1)
	}
	c.last[p.sender] = p.count
	c.order = (c.order ^ uint64(p.sender)<<32 ^ uint64(p.count)) * 0x9e3779b97f4a7c15
	return true
}

func (f faults) plus(g faults) faults {
	return faults{
		f.lost + g.lost, f.duplicated + g.duplicated, f.disordered + g.disordered, f.damaged + g.damaged,
		f.incomplete + g.incomplete, f.differing + g.differing, f.gone + g.gone,
	}
}

func (f faults) String() string {
	if f == (faults{}) {
		return "none"
	}
	var s string
	add := func(n uint64, what string) {
		if n > 0 {
			s += fmt.Sprintf("%d %s ", n, what)
		}
	}
	add(f.lost, "lost")
	add(f.duplicated, "duplicated")
	add(f.disordered, "disordered")
	add(f.damaged, "damaged")
	add(uint64(f.incomplete), "incomplete")
	add(uint64(f.differing), "differing")
	add(uint64(f.gone), "gone")
	return s[:len(s)-1]
}
