package chatroom

import (
	"math"
	"runtime"
)

// Allocated returns how many bytes f allocates, which is the least of so many calls: others allocate too.
func Allocated(times int, f func()) uint64 {
	used := uint64(math.MaxUint64)
	var before, after runtime.MemStats
	for range times {
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		used = min(used, after.TotalAlloc-before.TotalAlloc)
	}
	return used
}
