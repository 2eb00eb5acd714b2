package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"example.com/chatroom"
)

// end is the last thing that is said in a run, by the witness.
const end = "END"

var hashSeed = maphash.MakeSeed()

func hash(line []byte) uint64 { return maphash.Bytes(hashSeed, line) }

func parse(line []byte) (e chatroom.Event, err error) {
	err = json.Unmarshal(line, &e)
	return e, err
}

// A journal holds a record for each server process.
type journal struct {
	mu      sync.Mutex
	records []*record
	byEpoch map[string]*record
	places  map[string][]place // what commands led to, by their marks; one place, but for a nick
}

type place struct {
	*record
	seq, member uint64
}

// A record is the order of one epoch, as far as anybody has received it.
type record struct {
	epoch    string
	index    int
	events   []event // by their numbers, from 1 on
	messages int
	last     bool   // the run ends in this epoch
	ended    uint64 // where the END stands
}

// An event is what the comparison needs of one; the zero event is one that nobody has received.
type event struct {
	hash       uint64
	kind       chatroom.Kind
	member     uint64
	from, nick string
	text       bool // it has one
	at         time.Time
	cost       int64
}

// begin begins the record of a new epoch.
func (j *journal) begin(epoch string) (*record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.byEpoch == nil {
		j.byEpoch, j.places = make(map[string]*record), make(map[string][]place)
	}
	if j.byEpoch[epoch] != nil {
		return nil, fmt.Errorf("a new server goes on with the epoch %q", epoch)
	}
	r := &record{epoch: epoch, index: len(j.records)}
	j.records, j.byEpoch[epoch] = append(j.records, r), r
	return r, nil
}

// of returns the record of an epoch; nil if no witness has seen it begin.
func (j *journal) of(epoch string) *record {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.byEpoch[epoch]
}

// note notes what somebody has received, or compares it with what others have.
func (j *journal) note(r *record, e *chatroom.Event, h uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for uint64(len(r.events)) < e.Seq {
		r.events = append(r.events, event{})
	}
	known := &r.events[e.Seq-1]
	if known.hash == h {
		return nil
	}
	if known.hash != 0 {
		return fmt.Errorf("in epoch %d others have received another %d", r.index, e.Seq)
	}
	*known = event{
		hash: h, kind: e.Kind, member: e.Member, from: e.From, nick: e.Nick, text: e.Text != "", at: e.Time,
		cost: int64(128 + len(e.Text) + len(e.From) + len(e.Nick) + len(e.ID)),
	}
	if e.Kind == chatroom.KindMessage {
		r.messages++
	}
	if e.Text == end {
		r.ended = e.Seq
	}
	mark := markOf(e)
	if mark == "" {
		return nil
	}
	for _, was := range j.places[mark] {
		// A client gives the nick that was asked for to whoever it is in the next session, too.
		if e.Kind != chatroom.KindNick || was.record == r && was.member == e.Member {
			return fmt.Errorf("command %s was carried out twice: as %d in epoch %d and as %d in epoch %d", mark, was.seq, was.index, e.Seq, r.index)
		}
	}
	j.places[mark] = append(j.places[mark], place{r, e.Seq, e.Member})
	return nil
}

// markOf returns the id of the command that an event comes from. That of a kick is its reason: the
// event has no id when who kicks has lost the connection meanwhile.
func markOf(e *chatroom.Event) string {
	if e.Kind == chatroom.KindKick && e.Act != nil {
		return e.Act.Reason
	}
	return e.ID
}

// messages and size count what is in all records.
func (j *journal) messages() (n int) {
	for _, r := range j.records {
		n += r.messages
	}
	return n
}

func (j *journal) size() (n int) {
	for _, r := range j.records {
		n += len(r.events)
	}
	return n
}

// A witness is on a sound connection, from before anybody else comes until its server ends.
type witness struct {
	s      *soak
	conn   net.Conn
	in     *bufio.Reader
	record *record
	seen   uint64
	bye    *chatroom.Error
	over   chan struct{} // closed when nothing more comes
}

func newWitness(s *soak) *witness {
	conn, err := net.Dial("tcp", s.server.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	w := &witness{s: s, conn: conn, in: bufio.NewReaderSize(conn, 64<<10), over: make(chan struct{})}
	w.write(`{"type":"join","nick":"witness"}`)
	e, _, err := w.read()
	if err != nil || e.Kind != chatroom.KindWelcome || e.Welcome.Seq != 1 {
		s.t.Fatalf("the witness received %+v: %v", e, err)
	}
	if w.record, err = s.journal.begin(e.Welcome.Epoch); err != nil {
		s.t.Fatal(err)
	}
	go w.run()
	return w
}

func (w *witness) write(line string) {
	if _, err := io.WriteString(w.conn, line+"\n"); err != nil {
		w.s.t.Error(err)
	}
}

func (w *witness) say(text string) {
	w.write(fmt.Sprintf(`{"type":"say","text":%q}`, text))
	w.record.last = true
}

// read reads one event; a server that waited long for the join has asked for a nickname first.
func (w *witness) read() (chatroom.Event, []byte, error) {
	for {
		line, err := w.in.ReadBytes('\n')
		if err != nil {
			return chatroom.Event{}, nil, err
		}
		if line[0] == '{' {
			e, err := parse(line)
			return e, line, err
		}
	}
}

func (w *witness) run() {
	defer close(w.over)
	for {
		e, line, err := w.read()
		if err != nil {
			return
		}
		switch {
		case e.Kind == chatroom.KindPing:
			w.write(`{"type":"pong"}`)
		case e.Kind == chatroom.KindBye:
			w.bye = e.Err
		case e.Seq != w.seen+1:
			w.s.violate("the witness has seen %d and received %s", w.seen, strings.TrimSpace(string(line)))
		default:
			w.seen = e.Seq
			if err := w.s.journal.note(w.record, &e, hash(line)); err != nil {
				w.s.violate("the witness: %v", err)
			}
		}
	}
}

// outlives checks how the witness's connection ends with its server.
func (w *witness) outlives(killed bool) {
	<-w.over
	w.conn.Close()
	if !killed && (w.bye == nil || w.bye.Code != chatroom.CodeShutdown || w.bye.Retry != chatroom.RetryLater) {
		w.s.violate("a server that shuts down says goodbye with %v", w.bye)
	}
	if killed && w.bye != nil {
		w.s.violate("a server that was killed, or was about to be, says goodbye with %v", w.bye)
	}
}

func (w *witness) close() {
	w.conn.Close()
	<-w.over
}
