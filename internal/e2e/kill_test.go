//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// TestAKilledServerLosesNoAcknowledgedBan kills a server whose moderators ban and unban, 5 times
// or as often as KILLS says, and looks at its files each time.
func TestAKilledServerLosesNoAcknowledgedBan(t *testing.T) {
	t.Parallel()
	kills := 5
	if n, err := strconv.Atoi(os.Getenv("KILLS")); err == nil {
		kills = n
	}
	if _, err := built(); err != nil { // or the first start takes longer
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := &court{bans: filepath.Join(dir, "bans"), accounts: quickAccounts(t), given: make(map[string]ruling)}
	for n := range oldBans {
		c.given[fmt.Sprintf("old-%d", n)] = ruling{on: []string{fmt.Sprintf("ban nick old-%d", n)}}
	}
	for i := range kills {
		if i%20 == 0 { // the longer it is, the longer it takes to verify
			c.audit = filepath.Join(dir, fmt.Sprintf("audit-%d.jsonl", i))
		}
		if !t.Run(strconv.Itoa(i), c.round) { // a test of its own closes what it has opened
			break
		}
	}
	t.Logf("%d kills in %d acknowledged acts; %v; slowest start %v", c.rounds, c.acts, &c.left, c.slowest)
}

const oldBans = 500

// A court is the files of one server after another, and what has to be in them.
type court struct {
	bans, audit, accounts string

	given map[string]ruling // what is in force, by the act's id

	rounds, acts int
	left         leftovers
	slowest      time.Duration
}

// A ruling is a ban, a mute or an allowance as it was given.
type ruling struct {
	reason string // which no other ruling has; empty for old bans
	until  time.Time
	on     []string // what records say what about, sorted
}

// A desk is a moderator's, and what it knows while it works.
type desk struct {
	*client.Client
	given    map[string]ruling
	acts     []string // that were acknowledged in this round, by id
	open     ruling   // what was asked for and not acknowledged
	openRef  string   // what was to be taken back, and not acknowledged
	danIsOut bool     // and his account not known
}

// round runs a server, kills it and looks at what is left.
func (c *court) round(t *testing.T) {
	c.age(t)
	began := time.Now()
	srv := startServer(t, "-log-level", "warn", "-bans", c.bans, "-audit", c.audit, "-accounts", c.accounts)
	c.slowest = max(c.slowest, time.Since(began))

	var receiving, working sync.WaitGroup
	defer receiving.Wait()
	desks := c.open(t, srv, &receiving)
	c.listed(t, desks[0])
	after, acts := rand.N[int64](60), new(atomic.Int64)
	reached := make(chan struct{})
	for _, d := range desks {
		working.Go(func() {
			d.work(t, func() {
				if acts.Add(1) == after+1 {
					close(reached)
				}
			})
		})
	}
	select {
	case <-reached:
		<-time.After(rand.N(3 * time.Millisecond)) // anywhere in what they do next
	case <-time.After(patience):
		t.Errorf("%d acts in %v", acts.Load(), patience)
	}
	if err := srv.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = srv.wait() // it was killed
	working.Wait()
	if !srv.cmd.ProcessState.Exited() {
		c.rounds++
	} else {
		t.Errorf("the server ended by itself: %v; it said %q", srv.cmd.ProcessState, srv.stderr.rest())
	}
	c.inspect(t, desks)
}

// open has everybody come in who may: three moderators, a member, and one with an account who
// leaves again.
func (c *court) open(t *testing.T, srv *server, receiving *sync.WaitGroup) []*desk {
	t.Helper()
	join := func(nick string, keptOut bool, opts ...client.Option) *client.Client {
		t.Helper()
		m, err := client.Dial(t.Context(), srv.addr, append(opts, client.WithNick(nick), client.WithoutReconnect())...)
		if got := errors.Is(err, chatroom.ErrBanned); got != keptOut || err != nil && !got {
			t.Fatalf("%s, of whom it should be %v that a ban is on them: %v", nick, keptOut, err)
		}
		if err != nil {
			return nil
		}
		t.Cleanup(func() { m.Close() })
		receiving.Go(func() {
			for {
				if _, err := m.Receive(context.Background()); err != nil {
					return // Send tells why, too
				}
			}
		})
		return m
	}
	desks := []*desk{{Client: join("ann", false, client.WithPassword(password))}, {Client: join("max", false)}, {Client: join("mia", false)}}
	for _, d := range desks[1:] {
		if _, err := desks[0].Send(t.Context(), chatroom.Command{Verb: chatroom.VerbPromote, Nick: d.Self().Nick}); err != nil {
			t.Fatal(err)
		}
	}
	for _, nick := range []string{"alba", "bert", "ALBA", "zed-9"} {
		on := map[string]string{"ALBA": "ban nick alba", "zed-9": "ban mask zed-*"}[nick]
		if on == "" {
			on = "ban nick " + nick
		}
		if m := join(nick, c.inForce(on)); m != nil && nick != "bert" {
			m.Close()
		}
	}
	dan := join("dan", c.inForce("ban account dan") || c.inForce("ban nick dan"), client.WithPassword(password))
	if dan != nil {
		dan.Close()
	}
	for _, d := range desks {
		d.given, d.danIsOut = make(map[string]ruling), dan == nil
	}
	for id, r := range c.given {
		if r.reason == "" {
			continue
		}
		desks[rand.IntN(len(desks))].given[id] = r
	}
	return desks
}

// What moderators act on, and the records of it.
var (
	cases = []chatroom.Command{
		{Verb: chatroom.VerbBan, Nick: "alba"},
		{Verb: chatroom.VerbBan, Nick: "bert"},
		{Verb: chatroom.VerbBan, Nick: "dan"},
		{Verb: chatroom.VerbMute, Nick: "carla"},
		{Verb: chatroom.VerbBan, Target: "zed-*"},
		{Verb: chatroom.VerbBan, Target: "203.0.113.0/24"},
		{Verb: chatroom.VerbBan, Target: "2001:db8::1"},
		{Verb: chatroom.VerbAllow, Target: "account:frida"},
	}
	records = [][]string{
		{"ban nick alba"},
		{"ban nick bert"},
		{"ban account dan", "ban nick dan"},
		{"mute nick carla"},
		{"ban mask zed-*"},
		{"ban addr 203.0.113.0/24"},
		{"ban addr 2001:db8::/64"},
		{"allow account frida"},
	}
)

var rulings atomic.Uint64

// work bans and unbans at random until the connection ends.
func (d *desk) work(t *testing.T, acknowledged func()) {
	for {
		d.open, d.openRef = ruling{}, ""
		var cmd chatroom.Command
		if len(d.given) > 10 || rand.IntN(2) == 0 {
			for d.openRef = range d.given {
				break
			}
			cmd = chatroom.Command{Verb: chatroom.VerbUnban, Ref: d.openRef}
		}
		if d.openRef == "" {
			i := rand.IntN(len(cases))
			cmd = cases[i]
			cmd.Reason = fmt.Sprintf("case %d", rulings.Add(1))
			if rand.IntN(2) == 0 {
				cmd.For = time.Hour
			}
			d.open = ruling{reason: cmd.Reason, on: records[i]}
			if cmd.Nick == "dan" && d.danIsOut {
				d.open.on = d.open.on[1:]
			}
		}
		e, err := d.Send(t.Context(), cmd)
		switch {
		case errors.Is(err, chatroom.ErrConnectionLost):
			return
		case err != nil:
			t.Errorf("%+v: %v", cmd, err)
			return
		case cmd.Verb == chatroom.VerbUnban:
			delete(d.given, d.openRef)
		default:
			d.open.until = e.Act.Until
			d.given[e.Act.ID] = d.open
		}
		d.acts = append(d.acts, e.Act.ID)
		acknowledged()
	}
}
