//go:build linux

package main

import (
	"math"
	"math/bits"
	"time"
)

// A histogram counts durations in buckets that are 1/32 of their value wide.
type histogram struct {
	counts [(64 - fineBits) << fineBits]uint64
	total  uint64
}

const fineBits = 5

func (h *histogram) add(ns int64) {
	h.counts[bucket(uint64(max(ns, 0)))]++
	h.total++
}

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

// quantile returns a duration that the fraction q does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.total)))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return upper(i)
		}
	}
	return 0
}
