// Package soak holds a test of the promise that deliveries can be relied on: a server in a process of its own, members that
// talk to it through a network that fails all the time, and a record to compare with what each of them has received.
package soak

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/chatroom"
)

var (
	length  = flag.Duration("length", 0, "how long members talk; zero means not at all")
	seed    = flag.Uint64("seed", 0, "what chance begins with; zero means the time")
	members = flag.Int("members", 20, "how many members there are")
)

const (
	linger       = 2 * time.Second
	historyBytes = 128 << 10
)

func TestMain(m *testing.M) {
	if os.Getenv("CHATROOM_SOAK") == "server" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serve is the server process. It says where it listens, and ends with its input.
func serve() error {
	srv, err := chatroom.New(
		chatroom.WithLimits(chatroom.Limits{Linger: linger, HistoryBytes: historyBytes, MessageRate: -1, MoveRate: -1, ConnsPerAddr: -1, ConnRatePerAddr: -1}),
		chatroom.WithAuthenticator(chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
			id := chatroom.Identity{Nick: req.Nick}
			if strings.HasPrefix(req.Nick, "m0") {
				id.Role = chatroom.RoleModerator
			}
			return id, nil
		})))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it only ends
		_ = srv.Close()
	}()
	if err := srv.Serve(l); err != chatroom.ErrServerClosed {
		return err
	}
	return srv.Close()
}

// start starts the server process and returns its address.
func start(t *testing.T) string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHATROOM_SOAK=server")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// A record is what a member on a sound connection has received: the room's order.
type record struct {
	mu    sync.Mutex
	first uint64
	lines []uint64       // hashes, by sequence number from first on
	cost  []int64        // of all events up to this one
	texts map[string]int // how often something was said, or somebody kicked
}

// A soak is one run.
type soak struct {
	t      *testing.T
	proxy  *proxy
	direct string
	record record
	over   atomic.Bool // nobody begins anything new

	resumes, fresh, takeovers, gaps, privates, events, again atomic.Int64
	violations                                               atomic.Int64
}

// violate reports that a promise is broken; the first few times.
func (s *soak) violate(format string, args ...any) {
	if s.violations.Add(1) <= 20 {
		s.t.Errorf(format, args...)
	}
}

func TestSoak(t *testing.T) {
	if *length == 0 {
		t.Skip("it takes a machine of its own: go test -run TestSoak ./internal/soak -length 10s")
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	s := &soak{t: t, direct: start(t)}
	s.record.texts = make(map[string]int)
	var err error
	if s.proxy, err = newProxy(s.direct, *seed); err != nil {
		t.Fatal(err)
	}
	witness, err := s.witness()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var all []*model
	var running sync.WaitGroup
	for i := range *members {
		m := newModel(s, i, *seed)
		all = append(all, m)
		running.Go(m.run)
	}
	time.Sleep(*length)
	s.over.Store(true)
	s.proxy.calm.Store(true)
	time.Sleep(2 * linger) // what is under way ends, or its senders never learn of it
	if _, err := io.WriteString(witness, `{"type":"say","text":"END"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(30*time.Second, func() {
		for _, m := range all {
			m.giveUp()
		}
	})
	running.Wait()
	late.Stop()
	witness.Close()
	s.proxy.Close()
	s.compare(all)
	t.Logf("seed %d: %v, %d members, %d events in the room, %d received, %d private; %d cuts, %d resumes, %d takeovers, %d fresh joins, %d gaps, %d answered again; %d violations",
		*seed, time.Since(began).Round(time.Second), len(all), len(s.record.lines), s.events.Load(), s.privates.Load(), s.proxy.cuts.Load(), s.resumes.Load(),
		s.takeovers.Load(), s.fresh.Load(), s.gaps.Load(), s.again.Load(), s.violations.Load())
	s.proxy.running.Wait()
}

// witness joins on a sound connection and keeps the record.
func (s *soak) witness() (net.Conn, error) {
	conn, err := net.Dial("tcp", s.direct)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, `{"type":"join","nick":"witness"}`+"\n"); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	if _, err := in.ReadString('\n'); err != nil {
		return nil, err
	}
	go func() {
		for {
			line, err := in.ReadBytes('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(string(line), `{"type":"ping"`) {
				_, _ = io.WriteString(conn, `{"type":"pong"}`+"\n")
			}
			s.record.note(s, line)
		}
	}()
	return conn, nil
}

func (r *record) note(s *soak, line []byte) {
	e, err := parse(line)
	if err != nil || e.Seq == 0 {
		if err != nil || e.Kind == chatroom.KindBye {
			s.violate("the witness received %s", line)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == 0 {
		r.first = e.Seq
		r.cost = append(r.cost, 0)
	}
	if e.Seq != r.first+uint64(len(r.lines)) {
		s.violate("the witness received %d after %d events from %d on", e.Seq, len(r.lines), r.first)
	}
	r.lines = append(r.lines, hash(line))
	r.cost = append(r.cost, r.cost[len(r.cost)-1]+int64(128+len(e.Text)+len(e.From)+len(e.Nick)+len(e.ID)))
	switch e.Kind {
	case chatroom.KindMessage:
		r.texts[e.Text]++
	case chatroom.KindKick:
		r.texts["kick "+e.Nick]++
	}
}

// upTo returns what all events up to that number cost.
func (r *record) upTo(seq uint64) int64 {
	return r.cost[min(max(seq+1, r.first)-r.first, uint64(len(r.lines)))]
}

// compare compares what members have received and were told with the record.
func (s *soak) compare(all []*model) {
	r := &s.record
	r.mu.Lock()
	defer r.mu.Unlock()
	heard := make(map[string]int) // private texts
	for _, m := range all {
		for seq, h := range m.lines {
			if seq < r.first || seq-r.first >= uint64(len(r.lines)) || r.lines[seq-r.first] != h {
				s.violate("%s received another %d than the record has", m.nick, seq)
			}
		}
		for _, g := range m.gaps {
			if missed := r.upTo(g.last) - r.upTo(g.to); missed <= historyBytes {
				s.violate("%s was told of a gap up to %d, behind which there are only %d bytes up to %d", m.nick, g.to, missed, g.last)
			}
		}
		if kicks := r.texts["kick "+m.nick] + r.texts["kick "+m.nick+"x"]; m.early > kicks {
			s.violate("%s lost its session %d times before it was over, and was kicked %d times", m.nick, m.early, kicks)
		}
		for text, n := range m.heard {
			heard[text] += n
		}
	}
	for text, n := range r.texts {
		if n > 1 && !strings.HasPrefix(text, "kick ") {
			s.violate("%q was said %d times", text, n)
		}
	}
	for text, n := range heard {
		if n > 1 {
			s.violate("%q was received %d times", text, n)
		}
	}
	for _, m := range all {
		for _, c := range m.done {
			switch n := r.texts[c.text]; {
			case c.text == "": // it says nothing
			case c.to == nil && c.outcome == acknowledged && n != 1:
				s.violate("%q was acknowledged to %s and said %d times", c.text, m.nick, n)
			case c.to == nil && c.outcome == refused && n != 0:
				s.violate("%q was refused to %s and said all the same", c.text, m.nick)
			case c.to != nil && c.outcome == refused && heard[c.text] != 0:
				s.violate("%q was refused to %s and received all the same", c.text, m.nick)
			case c.to != nil && c.outcome == acknowledged && heard[c.text] == 0 && !c.to.excused(c.at):
				s.violate("%q was acknowledged to %s and never received", c.text, m.nick)
			}
		}
	}
}
