package chatroom

import (
	"slices"
	"sync/atomic"
	"unsafe"
)

// The size in bytes of a log's segments; a log's first ones are smaller, so that a room nobody talks in
// costs little. A write ends where a segment does, so those of bytes hold many; an event
// refers to more memory than it takes in its segment, so those of events hold fewer.
const (
	eventSegment = 64 << 10
	byteSegment  = 256 << 10
)

// A log is an append-only sequence of records, each a run of elements: one encoded event in a
// log of bytes, one entry in a log of events. Records are numbered without holes, by the sequence
// numbers of their events.
//
// One goroutine at a time appends, trims and finds: the owner's lock sees to that. Any number
// read through cursors meanwhile, without a lock. A segment that was trimmed lives on for the
// cursors that are still in it.
type log[T any] struct {
	head, tail *segment[T]
	size       int          // of a segment, in bytes
	next       uint64       // the number of the next record
	end        atomic.Int64 // elements ever appended
}

// A segment is a part of a log. Elements up to n are published and never change.
type segment[T any] struct {
	base  int64  // elements in the log before this segment
	first uint64 // number of the first record
	ends  []uint32
	elems []T
	n     atomic.Int64
	next  atomic.Pointer[segment[T]]
}

// A cursor is a position in a log. It belongs to one goroutine at a time.
type cursor[T any] struct {
	seg *segment[T]
	i   int64
}

// newLog returns a log in segments of that size whose first record will have the number first.
func newLog[T any](first uint64, size int) *log[T] {
	l := &log[T]{next: first, size: size}
	l.head = l.newSegment(size / 64)
	l.tail = l.head
	return l
}

func (l *log[T]) newSegment(bytes int) *segment[T] {
	var elem T
	n := max(bytes/int(unsafe.Sizeof(elem)), 1)
	return &segment[T]{base: l.end.Load(), first: l.next, elems: make([]T, n)}
}

// space returns the free end of the log, empty, for a record to be appended to; commit takes the
// result.
func (l *log[T]) space() []T {
	n := l.tail.n.Load()
	return l.tail.elems[n:n]
}

// commit publishes record as the next one. A record never spans segments, so one that outgrew
// the space it was given begins a new segment.
func (l *log[T]) commit(record []T) {
	n := l.tail.n.Load()
	if int64(len(record)) > int64(len(l.tail.elems))-n {
		var elem T
		size := min(2*len(l.tail.elems)*int(unsafe.Sizeof(elem)), l.size)
		s := l.newSegment(max(size, len(record)*int(unsafe.Sizeof(elem))))
		l.tail.next.Store(s)
		l.tail = s
		n = 0
	}
	if len(record) > 0 && &record[0] != &l.tail.elems[n] {
		copy(l.tail.elems[n:], record)
	}
	l.next++
	n += int64(len(record))
	l.tail.ends = append(l.tail.ends, uint32(n))
	l.tail.n.Store(n)
	l.end.Add(int64(len(record)))
}

// trim lets go of whole segments in which every record's number is below first.
func (l *log[T]) trim(first uint64) {
	for l.head != l.tail && l.head.first+uint64(len(l.head.ends)) <= first {
		l.head = l.head.next.Load()
	}
}

// clear lets go of everything there is.
func (l *log[T]) clear() {
	s := l.newSegment(l.size / 64)
	l.tail.next.Store(s)
	l.head, l.tail = s, s
}

// find returns a cursor before the record with that number, or before the oldest one kept, and
// the number of the record it is before.
func (l *log[T]) find(number uint64) (cursor[T], uint64) {
	s := l.head
	for s != l.tail && s.first+uint64(len(s.ends)) <= number {
		s = s.next.Load()
	}
	number = min(max(number, s.first), l.next)
	c := cursor[T]{seg: s}
	if k := number - s.first; k > 0 {
		c.i = int64(s.ends[k-1])
	}
	return c, number
}

// span returns the published elements that follow c in one piece; none means c is at the end.
func (c *cursor[T]) span() []T {
	for {
		// next before n: a segment gets a successor only once its own n is final.
		next := c.seg.next.Load()
		if n := c.seg.n.Load(); c.i < n {
			return c.seg.elems[c.i:n:n]
		}
		if next == nil {
			return nil
		}
		*c = cursor[T]{seg: next}
	}
}

// recordEnd returns the position where the record ends that c is in; that of c if it is between two. It is for the one who
// appends.
func (c *cursor[T]) recordEnd() int64 {
	if c.i == 0 {
		return c.pos()
	}
	k, _ := slices.BinarySearch(c.seg.ends, uint32(c.i))
	return c.seg.base + int64(c.seg.ends[k])
}

// pos returns how many elements of the log are before c.
func (c *cursor[T]) pos() int64 { return c.seg.base + c.i }
