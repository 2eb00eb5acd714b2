package chatroom

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
)

const segmentSize = 64 << 10

// A logModel is what a log of ints should be: a slice of records. Element i of the log is i.
type logModel struct {
	first   uint64
	records [][]int
	size    int
}

// add makes the next record and returns it.
func (m *logModel) add(n int) []int {
	record := make([]int, n)
	for i := range record {
		record[i] = m.size + i
	}
	m.records = append(m.records, record)
	m.size += n
	return record
}

// after returns what a reader placed before the record with that number has yet to read.
func (m *logModel) after(number uint64) []int {
	return slices.Concat(m.records[number-m.first:]...)
}

// someSize returns a length: mostly small, at times more than a segment takes.
func someSize(r *rand.Rand) int {
	switch r.IntN(100) {
	case 0:
		return segmentSize/8 + r.IntN(segmentSize/8)
	case 1, 2, 3, 4, 5:
		return 0
	}
	return r.IntN(300)
}

// add appends as an encoder does: to the space there is.
func add(l *log[int], record []int) { l.commit(append(l.space(), record...)) }

func readOn(c *cursor[int]) []int {
	var all []int
	for span := c.span(); len(span) > 0; span = c.span() {
		all = append(all, span...)
		c.i += int64(len(span))
	}
	return all
}

func TestALogIsItsRecordsInOrder(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		first := r.Uint64N(100)
		l, model := newLog[int](first, segmentSize), logModel{first: first}
		start, _ := l.find(first)
		oldest := first // what trim was asked to keep
		for range r.IntN(300) {
			add(l, model.add(someSize(r)))
			oldest = min(oldest+r.Uint64N(3), l.next)
			l.trim(oldest)
			if _, found := l.find(oldest); found != oldest {
				t.Fatalf("seed %d: after trim(%d) find(%[2]d) = %d", seed, oldest, found)
			}
		}
		if l.end.Load() != int64(model.size) || l.next != first+uint64(len(model.records)) {
			t.Fatalf("seed %d: the log ends at %d, %d; want %d, %d", seed, l.end.Load(), l.next, model.size, len(model.records))
		}
		if !slices.Equal(model.after(first), readOn(&start)) {
			t.Fatalf("seed %d: a cursor from before every trim does not read everything", seed)
		}
		for range 10 {
			checkFind(t, l, &model, r.Uint64N(l.next+3), oldest)
		}
	}
}

// checkFind checks that find goes before the record with that number, or as near as the log still
// reaches.
func checkFind(t *testing.T, l *log[int], model *logModel, number, oldest uint64) {
	t.Helper()
	c, found := l.find(number)
	switch {
	case number >= l.next:
		if found != l.next {
			t.Fatalf("find(%d) = %d; want the end, %d", number, found, l.next)
		}
	case found > max(number, oldest) || number >= oldest && found != number:
		t.Fatalf("find(%d) = %d; everything from %d on is kept", number, found, oldest)
	}
	want := model.after(found)
	if pos := c.pos(); pos != int64(model.size-len(want)) {
		t.Fatalf("find(%d) is at %d; want %d", number, pos, model.size-len(want))
	}
	if !slices.Equal(want, readOn(&c)) {
		t.Fatalf("find(%d) does not read what follows record %d", number, found)
	}
	if len(c.span()) > 0 || c.pos() != int64(model.size) {
		t.Fatalf("a cursor at the end is at %d and reads %d more", c.pos(), len(c.span()))
	}
}

func TestTrimLetsSegmentsGo(t *testing.T) {
	l := newLog[byte](1, segmentSize)
	for range 100 {
		l.commit(append(l.space(), make([]byte, segmentSize/4)...))
	}
	l.trim(l.next - 1)
	kept := 0
	for s := l.head; s != nil; s = s.next.Load() {
		kept += len(s.elems)
	}
	if kept > 2*segmentSize {
		t.Errorf("a log trimmed to its last record of %d bytes keeps %d", segmentSize/4, kept)
	}
}

func TestReadersSeeEachElementOnceWhileTheLogGrows(t *testing.T) {
	const readers, records = 4, 3000
	l := newLog[int](1, segmentSize)
	var running sync.WaitGroup
	done := make(chan struct{})
	read := func(c cursor[int]) {
		want := int(c.pos())
		for last := false; ; {
			span := c.span()
			for _, got := range span {
				if got != want {
					t.Errorf("read %d; want %d", got, want)
					return
				}
				want++
			}
			c.i += int64(len(span))
			if len(span) > 0 {
				continue
			}
			if last {
				break
			}
			select {
			case <-done:
				last = true // look once more
			default:
				runtime.Gosched()
			}
		}
		if end := int(l.end.Load()); want != end {
			t.Errorf("read up to %d; the log ends at %d", want, end)
		}
	}
	start, _ := l.find(1)
	for range readers {
		running.Go(func() { read(start) })
	}
	r := rand.New(rand.NewPCG(1, 2))
	model := logModel{first: 1}
	for i := range records {
		record := model.add(someSize(r))
		add(l, record)
		if l.next > 100 {
			l.trim(l.next - 100)
		}
		late, _ := l.find(l.next - r.Uint64N(min(l.next, 50)))
		if i%(records/readers) == 0 {
			running.Go(func() { read(late) })
		}
	}
	close(done)
	running.Wait()
}

// A cursor in a record knows where that ends, in every segment of a log.
func TestRecordEnd(t *testing.T) {
	l := newLog[byte](1, 640) // segments of 10 bytes at first
	var ends []int64
	for n := range 60 {
		l.commit(append(l.space(), make([]byte, n%7)...))
		ends = append(ends, l.end.Load())
	}
	c, _ := l.find(1)
	for c.pos() < l.end.Load() {
		if len(c.span()) == 0 {
			t.Fatalf("nothing follows %d of %d", c.pos(), l.end.Load())
		}
		want := c.pos()
		for _, end := range ends {
			if end >= c.pos() {
				want = end
				break
			}
		}
		if got := c.recordEnd(); got != want && c.i > 0 || c.i == 0 && got != c.pos() {
			t.Fatalf("at %d the record ends at %d, want %d", c.pos(), got, want)
		}
		c.i++
	}
}
