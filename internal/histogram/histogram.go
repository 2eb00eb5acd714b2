// Package histogram counts durations, however many there are, in a fixed amount of memory.
package histogram

import (
	"math"
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets that are at most 1/32 of their value wide. The zero value is empty.
type Histogram struct {
	counts      [(64 - fineBits) << fineBits]uint64
	total       uint64
	least, most time.Duration
}

const fineBits = 5 // of a duration tell its bucket

// Add counts a duration. A negative one counts as none.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	if h.total == 0 || d < h.least {
		h.least = d
	}
	h.most = max(h.most, d)
	h.counts[bucket(uint64(d))]++
	h.total++
}

// Total returns how many durations there are.
func (h *Histogram) Total() int { return int(h.total) }

func bucket(v uint64) int {
	shift := max(bits.Len64(v)-fineBits-1, 0)
	return shift<<fineBits + int(v>>shift)
}

// upper returns the end of a bucket.
func upper(i int) time.Duration {
	if i < 2<<fineBits {
		return time.Duration(i)
	}
	shift := i>>fineBits - 1
	return time.Duration((uint64(i&(1<<fineBits-1)|1<<fineBits)+1)<<shift - 1)
}

// Quantile returns a duration that the fraction q does not exceed: the least one for 0, the greatest for 1, and otherwise the end
// of a bucket. With no durations it returns 0.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.total)))
	if rank == 0 {
		return h.least
	}
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(upper(i), h.most)
		}
	}
	return h.most
}
