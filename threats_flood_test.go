package chatroom_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/adapters/pychat"
)

// hostWith returns a server in a bubble that keeps to the limits as they are given.
func hostWith(t testing.TB, l chatroom.Limits, opts ...chatroom.Option) chatroom.Server {
	return hostBubble(t, append([]chatroom.Option{chatroom.WithLimits(l)}, opts...)...)
}

// enter connects a program that joins.
func enter(t testing.TB, srv chatroom.Server, nick string) *caller {
	c := call(t, srv)
	c.send(`{"type":"join","nick":"` + nick + `"}`)
	return c
}

// count returns how many of the lines contain text.
func count(lines []string, text string) (n int) {
	for _, line := range lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func TestThreat05MessageFlood(t *testing.T) {
	for _, flooders := range []int{1, 10} {
		t.Run(fmt.Sprint(flooders), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostWith(t, chatroom.Limits{})
				bob := enter(t, srv, "bob")
				var all []*caller
				for i := range flooders {
					all = append(all, enter(t, srv, fmt.Sprint("flooder", i)))
				}
				const each = 25 * time.Millisecond // not ten times too fast
				for range 10 * time.Second / each {
					for _, c := range all {
						c.send(`{"type":"say","text":"flood"}`)
					}
					time.Sleep(each)
				}
				heard := bob.lines()
				for i, c := range all {
					// Ten at once, and then five a second.
					if n := count(heard, fmt.Sprintf(`"from":"flooder%d","member":%d,"text":"flood"`, i, i+2)); n < 58 || n > 60 {
						t.Errorf("%d of 400 messages in 10 s were delivered", n)
					}
					if n := count(c.lines(), `"retry":"later","retry_after":0.`); n < 340 {
						t.Errorf("the flooder was told to wait %d times", n)
					}
					if c.gone() {
						t.Error("the flooder was cut off, who was not ten times too fast")
					}
				}
			})
		})
	}
}

func TestThreat05WhoInsistsIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostWith(t, chatroom.Limits{})
		bob := enter(t, srv, "bob")
		for name, line := range map[string]string{
			"talk":      `{"type":"say","text":"flood"}`,
			"questions": `{"type":"who"}`,
			"pings":     `{"type":"ping"}`,
			"garbage":   `flood`,
			"unknown":   `{"type":"flood"}`,
			"moves":     `{"type":"nick","nick":"other"}`,
		} {
			c := enter(t, srv, name)
			bob.hear()
			c.sendRaw(strings.Repeat(line+"\n", 100))
			if c.gone() {
				t.Errorf("%s: cut off at ten times the burst", name)
			}
			c.send(line)
			heard := c.lines()
			if !c.gone() || count(heard, `"type":"bye","code":"flooding","text":"flooding","retry":"later","retry_after":10,`) != 1 {
				t.Errorf("%s: not cut off beyond ten times the burst; the last it heard: %s", name, heard[len(heard)-1])
			}
			told := bob.lines()
			if n := count(told, "flood"); n > 11 || count(told, `"type":"leave"`) != 1 {
				t.Errorf("%s: the room heard %d lines: %s", name, n, told)
			}
		}
	})
}

// What is answered by nothing costs something too, and so does what comes byte by byte.
func TestThreat05WhoSendsWithoutEndIsCut(t *testing.T) {
	lines := map[int]int{1: 4000, 1000: 8000}
	for _, tt := range []struct {
		name, hello, sends string
		front              chatroom.Front
		most               map[int]int // sent before it is cut off, by how many at a time
	}{
		{"blank lines", `{"type":"join","nick":"eve"}`, "\n", chatroom.JSONFront{}, lines},
		{"pongs", `{"type":"join","nick":"eve"}`, `{"type":"pong"}` + "\n", chatroom.JSONFront{}, lines},
		{"returns", "eve", "\r\n", clockFront, lines},
		{"negotiations", "eve", "\xff\xf1\n", clockFront, lines},
		{"newlines", "eve", "\n", pychat.Front{Home: "lobby"}, map[int]int{1: 7000, 1000: 2 << 20}},
	} {
		for _, each := range []int{1, 1000} {
			t.Run(fmt.Sprint(tt.name, " ", each), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := hostWith(t, chatroom.Limits{}, chatroom.WithFronts(tt.front))
					bob, eve := joinAs(t, srv, "bob"), call(t, srv)
					eve.send(tt.hello)
					time.Sleep(time.Second)
					for range 1000 / each { // as when somebody leans on a key
						eve.sendRaw(strings.Repeat(tt.sends, each))
						time.Sleep(time.Duration(each) * 10 * time.Millisecond)
					}
					if eve.gone() {
						t.Fatal("cut off who was not ten times too fast")
					}
					unread(t, bob)
					for sent := 0; !eve.gone(); sent += each {
						if sent > tt.most[each] {
							t.Fatal("not cut off")
						}
						eve.sendRaw(strings.Repeat(tt.sends, each))
					}
					if left := unread(t, bob); len(left) != 1 || left[0].Kind != chatroom.KindLeave || !strings.Contains(eve.hear(), "flooding") {
						t.Errorf("bob received %+v", left)
					}
				})
			})
		}
	}
}

// Who is told to wait, and no more than that, may send lines as long as can be.
func TestThreat05LongLinesAreNoMoreThanShortOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eve := enter(t, hostWith(t, chatroom.Limits{}), "eve")
		line := `{"type":"say","text":"` + strings.Repeat("x", 8100) + `"}`
		for range 60 {
			eve.sendRaw(strings.Repeat(line+"\n", 49))
			time.Sleep(time.Second)
			if eve.gone() {
				t.Fatal("cut off who was not ten times too fast")
			}
		}
	})
}

// What a front answers by itself is much longer than what asks for it.
func TestThreat05WhoInsistsOnHelpIsCut(t *testing.T) {
	for name, front := range map[string]chatroom.Front{"text": clockFront, "Python": pychat.Front{Home: "lobby"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := call(t, hostWith(t, chatroom.Limits{}, chatroom.WithFronts(front)))
				c.send("ann")
				c.hear()
				time.Sleep(time.Second) // the greeting counted too
				c.sendRaw(strings.Repeat("/help\n", 100))
				if helped := strings.Count(c.hear(), "show this\n"); helped != 100 || c.gone() {
					t.Fatalf("helped %d times, cut off: %v", helped, c.gone())
				}
				c.send("/help")
				if heard := c.hear(); !c.gone() || !strings.HasSuffix(heard, "--- Goodbye: flooding.\n") {
					t.Errorf("not cut off beyond ten times the burst; heard %q", heard)
				}
			})
		})
	}
}

func TestThreat07JoinFlood(t *testing.T) {
	for name, verbs := range map[string][2]string{
		"joins and leaves": {`{"type":"join","room":"den"}`, `{"type":"leave","room":"den"}`},
		"nicks":            {`{"type":"nick","nick":"ann1"}`, `{"type":"nick","nick":"ann2"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostWith(t, chatroom.Limits{})
				bob := enter(t, srv, "bob")
				bob.send(`{"type":"join","room":"den"}`)
				ann := enter(t, srv, "ann")
				bob.hear()
				const each = 125 * time.Millisecond // not ten times too fast
				ann.hear()
				refused := 0
				for i := range int(20 * time.Second / each) {
					ann.send(verbs[(i-refused)%2])
					refused += count(ann.lines(), `"code":"rate_limited"`)
					time.Sleep(each)
				}
				// Ten at once, and then one a second.
				if n := len(bob.lines()); n < 25 || n > 30 {
					t.Errorf("the rooms were told %d times in 20 s", n)
				}
				if refused < 130 {
					t.Errorf("%d of 160 were refused for being too fast", refused)
				}
				if ann.gone() {
					t.Error("ann was cut off, who was not ten times too fast")
				}
			})
		})
	}
}

// All who come from one address have five times what one has.
func TestThreat07JoinFloodFromOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostWith(t, chatroom.Limits{ConnsPerAddr: 30})
		bob := enter(t, srv, "bob")
		var crowd []*caller
		for i := range 30 {
			c := callFrom(t, srv, fmt.Sprintf("2001:db8::%d", i))
			c.send(fmt.Sprintf(`{"type":"join","nick":"m%d"}`, i))
			crowd = append(crowd, c)
		}
		bob.hear()
		for s := range 20 {
			for i, c := range crowd {
				c.send(fmt.Sprintf(`{"type":"nick","nick":"m%d_%d"}`, i, s), fmt.Sprintf(`{"type":"nick","nick":"m%d-%d"}`, i, s))
			}
			time.Sleep(time.Second)
		}
		if n := count(bob.lines(), `"type":"nick"`); n < 130 || n > 150 {
			t.Errorf("the room was told %d new nicks in 20 s; want fifty, and five a second", n)
		}
		other := callFrom(t, srv, "2001:db8:0:1::1")
		other.send(`{"type":"join","nick":"other"}`, `{"type":"nick","nick":"another"}`)
		if n := count(other.lines(), `"type":"nick"`); n != 1 {
			t.Error("somebody from elsewhere had to wait too")
		}
	})
}

// A peeker is a front that has a peer join, and looks at what it has sent once more when it is told to.
type peeker struct {
	joined, again chan struct{}
	got           chan error
}

func (peeker) Name() string                                     { return "peeker" }
func (peeker) Detect([]byte) chatroom.Detection                 { return chatroom.Mine }
func (peeker) AppendEvent(dst []byte, _ *chatroom.Event) []byte { return dst }

func (p peeker) Serve(ctx context.Context, c *chatroom.Conn) error {
	if _, err := c.Peek(); err != nil {
		return err
	}
	if _, err := c.Join(ctx, chatroom.JoinRequest{Nick: "eve", Encoder: p}); err != nil {
		return err
	}
	close(p.joined)
	<-p.again
	_, err := c.Peek()
	p.got <- err
	return err
}

// A front that takes what there is, line by line or not, has nothing more to answer once its member has ended.
func TestThreat05WhoHasEndedIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := peeker{make(chan struct{}), make(chan struct{}), make(chan error, 1)}
		srv := hostBubble(t, chatroom.WithFronts(p))
		eve := call(t, srv)
		eve.send("and a lot that is not read yet")
		<-p.joined
		asProgram(t, srv, chatroom.Kick("eve", ""))
		close(p.again)
		if err := <-p.got; !errors.Is(err, chatroom.ErrKicked) {
			t.Errorf("there is more to answer, and %v", err)
		}
	})
}
