package threats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

const (
	programs = 6 // talkers that speak the protocol themselves
	bots     = 4 // talkers that are clients of package client
)

// A talker behaves: it says numbers, one after the other, and notes what it hears.
type talker struct {
	g    *siege
	nick string
	// say says something and returns when it was heard.
	say    func(ctx context.Context, text string) error
	part   func()
	said   int
	client *client.Client // of bots and moderators

	mu    sync.Mutex
	seen  uint64
	heard map[string]int // the last number of each
	echo  chan struct{}
}

// assemble lets in those who behave.
func (g *siege) assemble() {
	talks := func(nick string) *talker {
		return &talker{g: g, nick: nick, heard: make(map[string]int), echo: make(chan struct{}, 1)}
	}
	for i := range 2 {
		m := &moderator{talker: talks(fmt.Sprint("mod", i))}
		m.enterAsClient(address(homes, 100+i))
		g.moderators = append(g.moderators, m)
	}
	for i := range programs + bots {
		m := talks(fmt.Sprint("good", i))
		g.good = append(g.good, m)
		if i < programs {
			m.enterRaw(address(homes, i))
		} else {
			m.enterAsClient(address(homes, i))
		}
	}
}

// enterRaw joins by hand.
func (m *talker) enterRaw(from net.IP) {
	raw := enter(m.g.t, m.g.s.addr, from, m.nick, func(line []byte) {
		var e chatroom.Event
		if err := json.Unmarshal(line, &e); err != nil {
			m.g.fault("%s received %q: %v", m.nick, line, err)
			return
		}
		m.take(&e)
	})
	m.say = func(ctx context.Context, text string) error {
		if err := raw.say(`{"type":"say","text":"` + text + `"}`); err != nil {
			return err
		}
		select {
		case <-m.echo:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-raw.over:
			return errors.New("cut off: " + raw.last)
		}
	}
	m.part = func() {
		if !raw.here() {
			m.g.fault("%s was cut off: %s", m.nick, raw.last)
		}
		raw.leave()
	}
}

// enterAsClient joins with package client. Nothing ever has to be resumed.
func (m *talker) enterAsClient(from net.IP) {
	c, over := m.connect(from)
	m.client = c
	m.say = func(ctx context.Context, text string) error {
		_, err := c.Send(ctx, chatroom.Say("", text))
		return err
	}
	m.part = func() {
		if err := c.Close(); err != nil {
			m.g.fault("%s: %v", m.nick, err)
		}
		<-over
	}
}

// connect returns a Client, and what is closed when it has ended.
func (m *talker) connect(from net.IP) (*client.Client, chan struct{}) {
	ctx, cancel := context.WithTimeout(m.g.t.Context(), patience)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	dial := func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", m.g.s.addr) }
	conn, err := dial(ctx)
	if err != nil {
		m.g.t.Fatal(err)
	}
	c, err := client.New(ctx, conn, client.WithNick(m.nick), client.WithDial(dial), client.WithState(func(s client.State) {
		if s.Kind == client.Reconnecting {
			m.g.fault("%s has lost its connection: %v", m.nick, s.Err)
		}
	}))
	if err != nil {
		m.g.t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			e, err := c.Receive(context.Background())
			if err != nil {
				return
			}
			m.take(&e)
		}
	}()
	m.g.t.Cleanup(func() {
		c.Close()
		<-over
	})
	return c, over
}

// take checks that an event is the next one, and the same for everybody.
func (m *talker) take(e *chatroom.Event) {
	if !e.Ordered() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen != 0 && e.Seq != m.seen+1 {
		m.g.fault("%s has seen %d and received %d", m.nick, m.seen, e.Seq)
	}
	m.seen = e.Seq
	if !m.g.journal.note(e) {
		m.g.fault("%s received another %d than others", m.nick, e.Seq)
	}
	number, good := strings.CutPrefix(e.Text, "number ")
	if e.Kind != chatroom.KindMessage || !good || !strings.HasPrefix(e.From, "good") {
		return
	}
	n, err := strconv.Atoi(number)
	if err != nil || n != m.heard[e.From]+1 {
		m.g.fault("%s has heard %d from %s and received %q", m.nick, m.heard[e.From], e.From, e.Text)
	}
	m.heard[e.From] = n
	if e.From == m.nick {
		select {
		case m.echo <- struct{}{}:
		default:
		}
	}
}

func (m *talker) heardOf(nick string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard[nick]
}

// run says one number after the other.
func (m *talker) run() {
	for m.g.talk.Err() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := m.say(ctx, fmt.Sprintf("number %d", m.said+1))
		cancel()
		if err != nil {
			m.g.fault("%s said number %d: %v", m.nick, m.said+1, err)
			return
		}
		m.said++
		wait(m.g.talk, time.Duration(300+rand.IntN(200))*time.Millisecond)
	}
}

// Targets are the nicks that attackers have had lately.
type targets struct {
	next  atomic.Int64
	nicks [32]atomic.Pointer[string]
}

func (t *targets) add(nick string) { t.nicks[t.next.Add(1)%int64(len(t.nicks))].Store(&nick) }

func (t *targets) pick() string {
	if nick := t.nicks[rand.IntN(len(t.nicks))].Load(); nick != nil {
		return *nick
	}
	return "nobody"
}

// verbs are what moderators do.
var verbs = []chatroom.Verb{
	chatroom.VerbKick, chatroom.VerbBan, chatroom.VerbUnban, chatroom.VerbMute, chatroom.VerbDelete, chatroom.VerbClear, chatroom.VerbUndo, chatroom.VerbBans, chatroom.VerbActs,
}

// A moderator does to attackers what it can.
type moderator struct {
	*talker
	given []chatroom.Command // bans and mutes to take back
}

// act makes up something to do.
func (m *moderator) act() chatroom.Command {
	cmd := chatroom.Command{Verb: verbs[rand.IntN(len(verbs))], Nick: m.g.targets.pick(), Reason: "attacks"}
	if n := len(m.given); n > 0 && (n > 20 || cmd.Verb == chatroom.VerbUnban) {
		cmd.Verb, cmd.Nick, cmd.Target = chatroom.VerbUnban, m.given[0].Nick, m.given[0].Target
		m.given = m.given[1:]
	}
	switch cmd.Verb {
	case chatroom.VerbBan, chatroom.VerbMute:
		cmd.For = time.Duration(1+rand.IntN(3)) * time.Second
		if rand.IntN(4) == 0 {
			cmd.Nick, cmd.Target = "", address(attacks+rand.IntN(9), 0).String()
		}
	case chatroom.VerbDelete:
		cmd.Room, cmd.Count = "lobby", 1+rand.IntN(5)
	case chatroom.VerbClear:
		cmd.Room = "lobby"
	case chatroom.VerbUndo, chatroom.VerbBans, chatroom.VerbActs:
		cmd.Nick, cmd.Reason = "", ""
	}
	return cmd
}

// run acts until there is peace.
func (m *moderator) run() {
	for wait(m.g.peace, 50*time.Millisecond) {
		cmd := m.act()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := m.client.Send(ctx, cmd)
		cancel()
		if _, refused := errors.AsType[*chatroom.Error](err); err != nil && !refused {
			m.g.fault("%s asked for %+v: %v", m.nick, cmd, err)
		}
		if err != nil {
			continue
		}
		m.g.done[cmd.Verb].Add(1)
		if cmd.Verb == chatroom.VerbBan || cmd.Verb == chatroom.VerbMute {
			m.given = append(m.given, cmd)
		}
	}
}

// moderate has the moderators act, and another one fill a room that those join who read nothing.
func (g *siege) moderate(running *sync.WaitGroup) {
	for _, m := range g.moderators {
		running.Go(m.run)
	}
	shouter := mustDial(g.t, g.s.addr, address(homes, 200))
	if err := shouter.joinRoom("mod-shouter", pit); err != nil {
		g.t.Fatal(err)
	}
	m := listen(g.t, shouter, "mod-shouter", nil)
	running.Go(func() {
		line := `{"type":"say","text":"` + strings.Repeat("x", longText) + `"}`
		for wait(g.peace, 10*time.Millisecond) {
			if err := m.say(line); err != nil {
				g.fault("the shouter was cut off: %v %s", err, m.last)
				return
			}
		}
		m.leave()
	})
}

// pit is the room in which much is said.
const pit = "pit"
