package chatroom_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// lasts connects, sends what it is told to, a line each time after that time, and returns how long the server waits and
// the last it says.
func lasts(t *testing.T, srv chatroom.Server, wrap func(net.Conn) net.Conn, pause time.Duration, sent ...string) (time.Duration, string) {
	near, far := net.Pipe()
	if wrap != nil {
		far = wrap(far)
	}
	began := time.Now()
	var running sync.WaitGroup
	running.Go(func() { _ = srv.ServeConn(t.Context(), far) }) // how it ended is seen on the pipe
	running.Go(func() {
		for _, s := range sent {
			time.Sleep(pause)
			if _, err := near.Write([]byte(s)); err != nil {
				return
			}
		}
	})
	var heard []byte
	buf := make([]byte, 1024)
	for {
		n, err := near.Read(buf)
		heard = append(heard, buf[:n]...)
		if err != nil {
			break
		}
	}
	took := time.Since(began)
	near.Close()
	running.Wait()
	lines := strings.Split(strings.TrimSuffix(string(heard), "\n"), "\n")
	return took, lines[len(lines)-1]
}

func TestThreat01Slowloris(t *testing.T) {
	cert, _ := certificates(t)
	secure := func(conn net.Conn) net.Conn {
		return tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	letters := func(s string) []string { return strings.Split(s, "") }
	const bye = `{"type":"bye","code":"timeout","text":"too slow to answer","retry":"later"}`
	for name, tt := range map[string]struct {
		wrap  func(net.Conn) net.Conn
		pause time.Duration
		sent  []string
		want  time.Duration
		last  string
	}{
		"silent":             {last: "Your nickname: too slow to answer. Goodbye.", want: 10 * time.Second},
		"a byte a second":    {pause: time.Second, sent: letters(strings.Repeat("a", 100)), want: 10 * time.Second, last: "Your nickname: too slow to answer. Goodbye."},
		"JSON, by bytes":     {pause: time.Second, sent: letters(`{"type":"join","nick":"ann"}`), want: 10 * time.Second, last: bye},
		"lines that say no":  {pause: 3 * time.Second, sent: []string{"{}\n", "{}\n", "{}\n", "{}\n"}, want: 10 * time.Second, last: bye},
		"a silent handshake": {wrap: secure, want: 10 * time.Second},
		"a slow handshake":   {wrap: secure, pause: time.Second, sent: letters("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 50)), want: 10 * time.Second},
		"a nick that is refused, and then nothing": {pause: 9 * time.Second, sent: []string{"a b\n"}, want: 19 * time.Second, last: "Your nickname: too slow to answer. Goodbye."},
		"nicks that are refused":                   {pause: 9 * time.Second, sent: []string{"a b\n", "a b\n", "a b\n", "a b\n", "a b\n"}, want: 45 * time.Second, last: "Your nickname: a nick may not contain white space. Goodbye."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				took, last := lasts(t, hostBubble(t), tt.wrap, tt.pause, tt.sent...)
				if took != tt.want || last != tt.last {
					t.Errorf("closed after %v with %q; want %v, %q", took, last, tt.want, tt.last)
				}
			})
		})
	}
}

// A thousand who are silent and a thousand who drip do not keep anybody waiting.
func TestThreat01SlowlorisKeepsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		l := listen(t, srv, chatroom.ErrServerClosed)
		began := time.Now()
		var slow []*caller
		for i := range 1000 {
			slow = append(slow, l.dial(fmt.Sprintf("192.0.2.%d", i%100)), l.dial(fmt.Sprintf("198.51.100.%d", i%100)))
		}
		for s := range 12 {
			for i := 1; i < len(slow); i += 2 {
				slow[i].sendRaw("x")
			}
			if s < 10 {
				for i := range 10 {
					at := time.Now()
					good := l.dial("203.0.113.1")
					good.send(fmt.Sprintf(`{"type":"join","nick":"good%d"}`, 10*s+i))
					if heard := good.hear(); !strings.Contains(heard, `"type":"welcome"`) || time.Since(at) > 0 {
						t.Fatalf("after %v it heard %q", time.Since(at), heard)
					}
				}
			}
			time.Sleep(time.Until(began.Add(time.Duration(s+1) * time.Second)))
		}
		for _, c := range slow {
			if !c.gone() {
				t.Fatal("somebody who has not joined is there after 12 s")
			}
		}
		if st := srv.Stats(); st.Conns != 100 || st.Members != 100 {
			t.Errorf("%+v", st)
		}
	})
}

const (
	tooManyFromThere = `{"type":"bye","code":"full","text":"too many connections from your address","retry":"later","retry_after":5}` + "\n"
	serverIsFull     = `{"type":"bye","code":"full","text":"the server is full","retry":"later","retry_after":5}` + "\n"
)

func TestThreat06ConnectionFlood(t *testing.T) {
	for name, from := range map[string][]string{
		"IPv4":                {"192.0.2.1"},
		"IPv4 in IPv6":        {"192.0.2.1", "::ffff:192.0.2.1"},
		"an IPv6 /64":         {"2001:db8::1", "2001:db8::2", "2001:db8::ffff:ffff:ffff:ffff"},
		"a link-local IPv6":   {"fe80::1%eth0", "fe80::2%eth0"},
		"this machine itself": {"127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostWith(t, chatroom.Limits{})
				l := listen(t, srv, chatroom.ErrServerClosed)
				var all []*caller
				for i := range 40 {
					c := l.dial(from[i%len(from)])
					if got := c.farewell(); (got != "") != (i >= 20) || i >= 20 && got != tooManyFromThere {
						t.Fatalf("connection %d was told %q", i+1, got)
					}
					all = append(all, c)
				}
				for _, other := range []string{"192.0.2.2", "2001:db8:0:1::1", ""} {
					if got := l.dial(other).farewell(); got != "" {
						t.Errorf("%q was told %q", other, got)
					}
				}
				all[0].conn.Close()
				synctest.Wait()
				for i, want := range []bool{true, false} {
					if in := l.dial(from[0]).farewell() == ""; in != want {
						t.Errorf("connection %d after one has ended is let in: %v", i+1, in)
					}
				}
				if st := srv.Stats(); st.Accepted != 24 || st.TurnedAway != 21 || st.Conns != 23 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestThreat06ConnectionRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, hostWith(t, chatroom.Limits{}), chatroom.ErrServerClosed)
		// connect connects n times, hanging up each time, and returns how many were let in, and the last refusal.
		connect := func(addr string, n int) (in int, refused string) {
			for range n {
				c := l.dial(addr)
				if got := c.farewell(); got == "" {
					in++
				} else {
					refused = got
				}
				c.conn.Close()
				synctest.Wait()
			}
			return in, refused
		}
		for _, step := range []struct {
			after time.Duration
			want  int
			wait  string
		}{
			{0, 60, "1m0s"},
			{59 * time.Second, 0, "1s"},
			{time.Second, 60, "1m0s"},
		} {
			time.Sleep(step.after)
			in, refused := connect("192.0.2.1", 100)
			if in != step.want || !strings.Contains(refused, `"code":"rate_limited","text":"too many connections from your address; wait `+step.wait+`","retry":"later"`) {
				t.Errorf("after %v more %d were let in, and others told %q", step.after, in, refused)
			}
		}
		if in, _ := connect("192.0.2.2", 10); in != 10 {
			t.Error("another address had to wait too")
		}
		// A connection every second for two minutes is as many as are allowed.
		for range 120 {
			if in, refused := connect("192.0.2.3", 1); in != 1 {
				t.Fatal(refused)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestThreat06ExemptAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostWith(t, chatroom.Limits{}, chatroom.WithExempt(netip.MustParsePrefix("127.0.0.0/8")), chatroom.WithExempt(netip.MustParsePrefix("fe80::/10")))
		l := listen(t, srv, chatroom.ErrServerClosed)
		for i := range 100 {
			for _, addr := range []string{"127.0.0.7", "fe80::1%eth0"} {
				if got := l.dial(addr).farewell(); got != "" {
					t.Fatalf("connection %d from %s was told %q", i+1, addr, got)
				}
			}
		}
	})
}

func TestThreat06NoLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostWith(t, chatroom.Limits{Conns: -1, Handshakes: -1, ConnsPerAddr: -1, ConnRatePerAddr: -1, Members: -1})
		l := listen(t, srv, chatroom.ErrServerClosed)
		for i := range 2000 {
			if got := l.dial("192.0.2.1").farewell(); got != "" {
				t.Fatalf("connection %d was told %q", i+1, got)
			}
		}
	})
}

// Who has a whole IPv6 network, and so any number of addresses, cannot make the server remember them all.
func TestThreat06AddressesAreForgotten(t *testing.T) {
	srv, err := chatroom.New()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	for i := range chatroom.MaxQuiet + 1000 {
		near, far := net.Pipe()
		near.Close()
		_ = srv.ServeConn(t.Context(), from(far, fmt.Sprintf("2001:db8:%x:%x::1", i/65536, i%65536)))
	}
	if n := chatroom.Origins(srv); n != chatroom.MaxQuiet {
		t.Errorf("%d addresses are remembered; want %d", n, chatroom.MaxQuiet)
	}
}

func TestThreat06AddressesAreForgottenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		l := listen(t, srv, chatroom.ErrServerClosed)
		for i := range 100 {
			l.dial(fmt.Sprintf("192.0.2.%d", i)).conn.Close()
		}
		time.Sleep(time.Minute)
		last := l.dial("192.0.2.200")
		last.conn.Close()
		synctest.Wait()
		if n := chatroom.Origins(srv); n != 1 {
			t.Errorf("%d addresses are remembered; want 1", n)
		}
	})
}

func TestAFullServerSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, hostWith(t, chatroom.Limits{Conns: 3}), chatroom.ErrServerClosed)
		first := l.dial("192.0.2.1")
		l.dial("192.0.2.2")
		l.dial("")
		if got := l.dial("192.0.2.4").farewell(); got != serverIsFull {
			t.Errorf("told %q", got)
		}
		first.conn.Close()
		synctest.Wait()
		if got := l.dial("192.0.2.4").farewell(); got != "" {
			t.Errorf("told %q when somebody had left", got)
		}
	})
}

func TestTheConnectionsOfAServerAreTwiceItsMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, hostWith(t, chatroom.Limits{Members: 2}), chatroom.ErrServerClosed)
		for i := range 5 {
			if got := l.dial("").farewell(); (got != "") != (i == 4) {
				t.Errorf("connection %d was told %q", i+1, got)
			}
		}
	})
}

// Who has not joined makes room for others: first those of the address that has most of them.
func TestThoseWhoHaveNotJoinedCannotCrowdOutOthers(t *testing.T) {
	const crowded = "Your nickname: too slow to answer, and others wait. Goodbye.\n"
	synctest.Test(t, func(t *testing.T) {
		srv := hostWith(t, chatroom.Limits{Handshakes: 5})
		l := listen(t, srv, chatroom.ErrServerClosed)
		early := l.dial("192.0.2.1")
		joined := l.dial("192.0.2.9")
		joined.send(`{"type":"join","nick":"ann"}`)
		var crowd []*caller
		for range 4 {
			crowd = append(crowd, l.dial("192.0.2.9"))
		}
		time.Sleep(time.Second)
		fresh := l.dial("192.0.2.2")
		time.Sleep(time.Second)
		if got := crowd[0].farewell(); got != crowded {
			t.Errorf("the oldest of a crowd was told %q", got)
		}
		for i, c := range []*caller{early, joined, crowd[1], crowd[2], crowd[3], fresh} {
			if c.gone() {
				t.Errorf("number %d was hung up on: %q", i, c.hear())
			}
		}
		l.dial("192.0.2.9")
		time.Sleep(time.Second)
		if !crowd[1].gone() {
			t.Error("a crowd that grows does not lose its oldest")
		}
		for _, addr := range []string{"192.0.2.3", "192.0.2.4", "192.0.2.5"} {
			l.dial(addr)
		}
		time.Sleep(time.Second)
		if !crowd[2].gone() || !crowd[3].gone() || !early.gone() || fresh.gone() || joined.gone() {
			t.Error("where nobody has more than others, the oldest does not make room")
		}
		if st := srv.Stats(); st.TurnedAway != 0 {
			t.Errorf("%d were turned away at the door", st.TurnedAway)
		}
	})
}

// A peer that is turned away costs no goroutine, and no time that it can choose.
func TestWhoIsTurnedAwayIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, hostWith(t, chatroom.Limits{ConnsPerAddr: 1}), chatroom.ErrServerClosed)
		l.dial("192.0.2.1")
		began := time.Now()
		for range 100 {
			near, far := net.Pipe() // nobody reads
			defer near.Close()
			l.queue <- from(far, "192.0.2.1")
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("a hundred peers that read nothing took %v", took)
		}
	})
}

// In a TLS connection a line of plain text would be an error of the protocol.
func TestWhoIsTurnedAwayFromTLSIsToldNothing(t *testing.T) {
	cert, _ := certificates(t)
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, hostWith(t, chatroom.Limits{ConnsPerAddr: 1}), chatroom.ErrServerClosed)
		secure := func(conn net.Conn) net.Conn {
			return tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		}
		l.dial("192.0.2.1", secure)
		if got := l.dial("192.0.2.1", secure).farewell(); got != "EOF" {
			t.Errorf("told %q", got)
		}
	})
}

// The line that turns a peer away is one of the listener's front.
func TestWhoIsTurnedAwayIsToldInItsProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostWith(t, chatroom.Limits{Conns: 1}, chatroom.WithFronts(silenceFront{}))
		l := listen(t, srv, chatroom.ErrServerClosed)
		l.dial("")
		if got := l.dial("").farewell(); got != "bye \n" {
			t.Errorf("told %q", got)
		}
		near, far := net.Pipe()
		c := &caller{t: t, conn: near}
		go c.listen()
		var refused *chatroom.Error
		if err := srv.ServeConn(context.Background(), far, clockFront); !errors.As(err, &refused) || refused.Code != chatroom.CodeFull {
			t.Errorf("ServeConn: %v", err)
		}
		if got := c.farewell(); got != "--- Goodbye: the server is full.\n" {
			t.Errorf("told %q", got)
		}
	})
}
