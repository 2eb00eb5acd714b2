package threats

import (
	"bytes"
	crand "crypto/rand"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An attack is a way to do harm, and how often it was tried.
type attack struct {
	name  string
	many  int  // attackers at a time
	stays bool // long enough for a moderator to do something about it
	do    func(a *attacker)
	times atomic.Int64
}

// ways returns all of them.
func ways() []*attack {
	return []*attack{
		{name: "flood", many: 3, stays: true, do: (*attacker).flood},
		{name: "slow", many: 20, do: (*attacker).dawdle},
		{name: "deaf", many: 6, stays: true, do: (*attacker).readNothing},
		{name: "garbage", many: 3, stays: true, do: (*attacker).talkGarbage},
		{name: "endless lines", many: 2, do: (*attacker).neverEnd},
		{name: "connections", many: 2, do: (*attacker).connectOften},
		{name: "storm", many: 4, do: (*attacker).comeAndGo},
		{name: "other protocols", many: 2, do: (*attacker).mistake},
		{name: "guesses", many: 2, do: (*attacker).guess},
	}
}

// An attacker attacks again and again, from a few addresses.
type attacker struct {
	g          *siege
	way        *attack
	block, num int
	times      int
	rand       *rand.Rand
}

// attack lets all attackers loose.
func (g *siege) attack(running *sync.WaitGroup) {
	for i, way := range g.attacks {
		for j := range way.many {
			a := &attacker{g: g, way: way, block: attacks + i, num: j, rand: rand.New(rand.NewPCG(uint64(i), uint64(j)))}
			running.Go(func() {
				for wait(g.peace, time.Duration(a.rand.IntN(100))*time.Millisecond) {
					a.times++
					way.times.Add(1)
					way.do(a)
				}
			})
		}
	}
}

// from is where the attacker is this time. A dozen addresses each are too few for all it does.
func (a *attacker) from() net.IP { return address(a.block, 20*a.num+a.rand.IntN(12)) }

// dial connects, with a small buffer; nil means that the attacker was not let in. What it does after that has 15 s.
func (a *attacker) dial() *peer {
	p, err := dialDeaf(a.g.s.addr, a.from(), 4<<10)
	if err != nil {
		return nil
	}
	p.SetDeadline(time.Now().Add(15 * time.Second))
	return p
}

// enter joins a room under a new nick; nil means that that was refused.
func (a *attacker) enter(room string) *peer {
	p := a.dial()
	if p == nil {
		return nil
	}
	nick := fmt.Sprintf("%c%d-%d", a.way.name[0], a.num, a.times)
	if err := p.joinRoom(nick, room); err != nil {
		p.drop()
		return nil
	}
	if a.way.stays {
		a.g.targets.add(nick)
	}
	return p
}

// drain reads until the server hangs up, for a while.
func (a *attacker) drain(p *peer, most time.Duration) {
	p.SetDeadline(time.Now().Add(most))
	_, _ = io.Copy(io.Discard, p.in) // however it ends
}

func (a *attacker) flood() {
	p := a.enter("lobby")
	if p == nil {
		return
	}
	defer p.drop()
	_, _ = p.Write(bytes.Repeat([]byte(`{"type":"say","text":"flood"}`+"\n"), 50+a.rand.IntN(100)))
	a.drain(p, time.Second)
}

// dawdle sends a byte a second.
func (a *attacker) dawdle() {
	p := a.dial()
	if p == nil {
		return
	}
	defer p.drop()
	for _, c := range []byte(strings.Repeat(`{"type":"join",`, 2)) {
		if _, err := p.Write([]byte{c}); err != nil || !wait(a.g.peace, time.Second) {
			return
		}
	}
}

// readNothing asks much and reads none of the answers, in a room where much is said.
func (a *attacker) readNothing() {
	p := a.enter(pit)
	if p == nil {
		return
	}
	defer p.drop()
	_, _ = p.Write(bytes.Repeat([]byte(`{"type":"history","count":500}`+"\n"), 20))
	wait(a.g.peace, time.Duration(a.rand.IntN(12))*time.Second)
}

// come connects, and joins half of the time after having gone again.
func (a *attacker) come() *peer {
	p := a.dial()
	if p != nil && a.rand.IntN(2) == 0 {
		p.drop()
		p = a.enter("lobby")
	}
	return p
}

// talkGarbage sends what is no command, or none that makes sense, before and after joining.
func (a *attacker) talkGarbage() {
	p := a.come()
	if p == nil {
		return
	}
	defer p.drop()
	noise := make([]byte, 1+a.rand.IntN(4<<10))
	_, _ = crand.Read(noise)
	lines := []string{
		string(noise), strings.Repeat("[", 4000), strings.Repeat(`{"a":`, 1000), "{\"type\":\"say\",\"text\":\"\xff\xfe\"}", "{\"type\":\"say\",\"text\":\"\x00\"}",
		`{"type":"say","text":7}`, `{"type":["say"]}`, `{"type":"nick","nick":"good0"}`, `{"type":"kick","nick":"good0"}`, `{"type":"ban","target":"*","force":true}`,
		`{"type":"private","nick":"good1","text":"\u001b[2J\u202e"}`, `{"type":"delete","room":"lobby","seq":1}`, `{"type":"say","seq":18446744073709551616}`,
		`{"type":"history","before":-1,"count":1e99}`, "\xef\xbb\xbf{}", "null", "\r\r\r", "/quit", strings.Repeat("é", 3000), `{"type":"join","room":"` + strings.Repeat("r", 4000) + `"}`,
	}
	for range 30 {
		if p.say(lines[a.rand.IntN(len(lines))]) != nil {
			return
		}
	}
	a.drain(p, 500*time.Millisecond)
}

// neverEnd sends a line that is too long, or has no end.
func (a *attacker) neverEnd() {
	p := a.come()
	if p == nil {
		return
	}
	defer p.drop()
	if a.rand.IntN(2) == 0 {
		_ = p.say(`{"type":"say","text":"` + strings.Repeat("x", 10_000) + `"}`)
		a.drain(p, 200*time.Millisecond)
		return
	}
	block := bytes.Repeat([]byte("x"), 64<<10)
	for range 64 {
		if _, err := p.Write(block); err != nil {
			return
		}
	}
}

// connectOften holds many connections from one address for a moment.
func (a *attacker) connectOften() {
	from := a.from()
	for range 30 {
		if p, err := dial(a.g.s.addr, from); err == nil {
			defer p.drop()
		}
	}
	wait(a.g.peace, 300*time.Millisecond)
}

// comeAndGo joins, moves and leaves.
func (a *attacker) comeAndGo() {
	p := a.enter("lobby")
	if p == nil {
		return
	}
	defer p.drop()
	for i := range a.rand.IntN(20) {
		room := fmt.Sprintf("room%d", a.rand.IntN(1000))
		_ = p.say(fmt.Sprintf(`{"type":"join","room":"%s"}`, room) + "\n" + fmt.Sprintf(`{"type":"nick","nick":"s%d-%d-%d"}`, a.num, a.times, i) +
			"\n" + fmt.Sprintf(`{"type":"leave","room":"%s"}`, room))
	}
	if a.rand.IntN(2) == 0 {
		_ = p.say(`{"type":"quit"}`)
	}
	a.drain(p, 50*time.Millisecond)
}

// mistake takes the port for another one.
func (a *attacker) mistake() {
	p := a.dial()
	if p == nil {
		return
	}
	defer p.drop()
	_ = p.say([]string{
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "POST /api HTTP/1.1\r\nContent-Length: 99\r\n\r\n{\"type\":\"join\",\"nick\":\"post\"}", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 300), "SSH-2.0-OpenSSH_9.6\r\n", "EHLO localhost\r\n", "NICK eve\r\nUSER eve 0 * :eve\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "OPTIONS sip:nm SIP/2.0\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "\x00\x00\x00\x85\xffSMB", "\xff\xfd\x03\xff\xfb\x18",
	}[a.rand.IntN(12)])
	a.drain(p, 2*time.Second)
}

// guess wants to go on with somebody else's session.
func (a *attacker) guess() {
	p := a.dial()
	if p == nil {
		return
	}
	defer p.drop()
	for range 4 {
		nick := fmt.Sprintf("good%d", a.rand.IntN(programs+bots))
		if p.say(fmt.Sprintf(`{"type":"join","nick":%q,"resume":true,"session":%q,"attempt":9}`, nick, crand.Text())) != nil {
			return
		}
		line, err := p.in.ReadString('\n')
		if err != nil {
			return
		}
		if strings.Contains(line, `"type":"welcome"`) {
			a.g.resumed.Add(1)
			a.g.fault("somebody was taken for %s: %s", nick, line)
		}
	}
}
