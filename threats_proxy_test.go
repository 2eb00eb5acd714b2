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

const header1, header2 = "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n", "PROXY TCP4 192.0.2.2 198.51.100.2 4660 443\r\n"

// listenBehind is listen with ProxyListener around the pipes: 10.0.0.1 is a proxy.
func listenBehind(t testing.TB, srv chatroom.Server, around func(net.Listener) net.Listener) *pipes {
	l := newPipes(t)
	outer := chatroom.ProxyListener(l, netip.MustParsePrefix("10.0.0.1/32"))
	if around != nil {
		outer = around(outer)
	}
	serve(t, srv, outer, chatroom.ErrServerClosed)
	return l
}

// A visitors is an Authenticator that notes where people come from.
type visitors struct {
	mu    sync.Mutex
	addrs []string
}

func (v *visitors) Authenticate(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.addrs = append(v.addrs, req.Addr.String())
	return chatroom.Identity{Nick: req.Nick}, nil
}

func (v *visitors) seen() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.addrs, " ")
}

func TestThreat11ProxySpoof(t *testing.T) {
	for name, header := range map[string]string{
		"version 1":   header1,
		"version 2":   binaryHeader(0x21, 0x11, fromTCP4),
		"local":       binaryHeader(0x20, 0x00, ""),
		"unknown":     "PROXY UNKNOWN\r\n",
		"a bad one":   "PROXY TCP4 nowhere\r\n",
		"not a whole": "PROXY ",
	} {
		for _, from := range []string{"192.0.2.66", "10.0.0.2", ""} {
			t.Run(name+" from "+from, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := &visitors{}
					srv := hostBubble(t, chatroom.WithAuthenticator(v))
					l := listenBehind(t, srv, nil)
					c := l.dial(from)
					c.sendRaw(header + "mallory\r\n")
					if got := c.farewell(); got != "EOF" {
						t.Errorf("it was told %q, hung up on: %v", got, c.gone())
					}
					if seen := v.seen(); seen != "" || srv.Stats().Members != 0 {
						t.Errorf("%q has joined", seen)
					}
				})
			})
		}
	}
}

// A proxy that sends no header is not listened to: without one nobody knows whose words these are.
func TestThreat11ProxyWithoutAHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, log := &visitors{}, &logbook{}
		srv := hostBubble(t, chatroom.WithAuthenticator(v), log.logger())
		l := listenBehind(t, srv, nil)
		for range 100 {
			c := l.dial("10.0.0.1")
			c.sendRaw("mallory\r\n" + header1)
			if got := c.farewell(); got != "EOF" {
				t.Fatalf("it was told %q, hung up on: %v", got, c.gone())
			}
		}
		silent := l.dial("10.0.0.1")
		// It keeps nobody waiting.
		began := time.Now()
		good := l.dial("10.0.0.1")
		good.send(header1 + "ann")
		if heard := good.hear(); !strings.Contains(heard, "You are ann") || time.Since(began) > 0 {
			t.Errorf("after %v ann heard %q", time.Since(began), heard)
		}
		time.Sleep(5 * time.Second)
		if got := silent.farewell(); got != "EOF" {
			t.Errorf("a proxy that says nothing was told %q, hung up on: %v", got, silent.gone())
		}
		if seen := v.seen(); seen != "192.0.2.1:4660" {
			t.Errorf("joined from %q", seen)
		}
		if n := len(log.about("header is missing")); n != 2 {
			t.Errorf("%d lines in the log: %q", n, log.lines)
		}
	})
}

func TestThreat11BehindAProxyEverybodyHasTheirAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, log := &visitors{}, &logbook{}
		bans := chatroom.MemoryBans(chatroom.Ban{ID: "b1", Kind: chatroom.BanAddr, Value: "192.0.2.1"})
		srv := hostBubble(t, chatroom.WithAuthenticator(v), chatroom.WithBanStore(bans), log.logger())
		l := listenBehind(t, srv, nil)
		banned := l.dial("10.0.0.1")
		banned.send(header1 + `{"type":"join","nick":"mallory"}`)
		if got := banned.farewell(); !strings.Contains(got, `"code":"banned"`) {
			t.Errorf("who is banned was told %q", got)
		}
		ann := l.dial("10.0.0.1")
		ann.send(header2 + `{"type":"join","nick":"ann"}`)
		if heard := ann.hear(); !strings.Contains(heard, `"welcome"`) {
			t.Errorf("ann heard %q", heard)
		}
		direct := l.dial("192.0.2.3")
		direct.send(`{"type":"join","nick":"bob"}`)
		if heard := direct.hear(); !strings.Contains(heard, `"welcome"`) {
			t.Errorf("who came without the proxy heard %q", heard)
		}
		if seen := v.seen(); seen != "192.0.2.1:4660 192.0.2.2:4660 192.0.2.3:4000" {
			t.Errorf("they came from %s", seen)
		}
		if len(log.about(`msg="member joined" nick=ann member=2 addr=192.0.2.2`)) != 1 {
			t.Errorf("the log has %q", log.lines)
		}
	})
}

func TestThreat11BehindAProxyLimitsAreForThePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostWith(t, chatroom.Limits{})
		l := listenBehind(t, srv, nil)
		for _, header := range []string{header1, header2} {
			for i := range 30 {
				c := l.dial("10.0.0.1")
				c.sendRaw(header)
				if got := c.farewell(); (got != "") != (i >= 20) || i >= 20 && got != tooManyFromThere {
					t.Fatalf("connection %d was told %q", i+1, got)
				}
			}
		}
		for _, own := range []string{binaryHeader(0x20, 0x00, ""), "PROXY UNKNOWN\r\n"} {
			for i := range 100 {
				c := l.dial("10.0.0.1")
				c.sendRaw(own)
				if got := c.farewell(); got != "" {
					t.Fatalf("the proxy's own connection %d was told %q", i+1, got)
				}
			}
		}
		if st := srv.Stats(); st.TurnedAway != 20 || st.Conns != 240 {
			t.Errorf("%+v", st)
		}
	})
}

// The header is outside TLS. One inside is a spoof, whoever sent it.
func TestThreat11TLSBehindAProxy(t *testing.T) {
	cert, _ := certificates(t)
	synctest.Test(t, func(t *testing.T) {
		v := &visitors{}
		srv := hostBubble(t, chatroom.WithAuthenticator(v))
		l := listenBehind(t, srv, func(l net.Listener) net.Listener {
			return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
		})
		speak := func(addr, outside, inside string) (string, error) {
			near, far := net.Pipe()
			defer synctest.Wait() // until the server has noticed
			defer near.Close()
			l.queue <- from(far, addr)
			near.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := near.Write([]byte(outside)); err != nil {
				return "", err
			}
			conn := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
			if _, err := conn.Write([]byte(inside)); err != nil {
				return "", err
			}
			b := make([]byte, 4096)
			n, err := conn.Read(b)
			return string(b[:n]), err
		}
		join := `{"type":"join","nick":"ann"}` + "\n"
		if heard, err := speak("10.0.0.1", header1, join); !strings.Contains(heard, `"welcome"`) {
			t.Errorf("behind the proxy: heard %q, %v", heard, err)
		}
		if heard, err := speak("192.0.2.9", "", join); !strings.Contains(heard, `"welcome"`) {
			t.Errorf("without the proxy: heard %q, %v", heard, err)
		}
		for name, try := range map[string][3]string{
			"outside":              {"192.0.2.66", header1, join},
			"inside":               {"192.0.2.66", "", header1 + join},
			"inside, from a proxy": {"10.0.0.1", header2, header1 + join},
			"twice":                {"10.0.0.1", header2 + header1, join},
		} {
			if heard, err := speak(try[0], try[1], try[2]); heard != "" || err == nil {
				t.Errorf("a spoof %s: heard %q, %v", name, heard, err)
			}
		}
		if seen := v.seen(); seen != "192.0.2.1:4660 192.0.2.9:4000" {
			t.Errorf("they came from %s", seen)
		}
	})
}

// A tunnel is a connection whose transport knows better where its peer is.
type tunnel struct {
	net.Conn
	peer netip.Addr
}

func TestThreat11TheProgramMayKnowTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitors{}
		bans := chatroom.MemoryBans(chatroom.Ban{ID: "b1", Kind: chatroom.BanAddr, Value: "192.0.2.1"})
		srv := hostBubble(t, chatroom.WithAuthenticator(v), chatroom.WithBanStore(bans), chatroom.WithLimits(chatroom.Limits{ConnsPerAddr: 2}),
			chatroom.WithAddrOf(func(conn net.Conn) netip.Addr {
				peer := conn.(tunnel).peer
				if peer == netip.IPv4Unspecified() {
					panic("nowhere")
				}
				return peer
			}))
		l := listen(t, srv, chatroom.ErrServerClosed)
		dial := func(peer string) *caller {
			return l.dial("10.9.9.9", func(conn net.Conn) net.Conn {
				addr, _ := netip.ParseAddr(peer)
				return tunnel{conn, addr}
			})
		}
		for i, tt := range []struct{ peer, want string }{
			{"192.0.2.1", `"code":"banned"`},
			{"::ffff:192.0.2.1", `"code":"banned"`},
			{"192.0.2.2", `"welcome"`},
			{"192.0.2.2", `"welcome"`},
			{"192.0.2.2", `"too many connections from your address"`},
			{"", `"welcome"`}, // the connection's own address counts
			{"", `"welcome"`},
			{"", `"too many connections from your address"`},
			{"0.0.0.0", ""},
		} {
			c := dial(tt.peer)
			c.send(fmt.Sprintf(`{"type":"join","nick":"m%d"}`, i))
			heard := c.hear()
			if !strings.Contains(heard, tt.want) || tt.want == "" && (heard != "" || !c.gone()) {
				t.Errorf("number %d, from %q, heard %q", i, tt.peer, heard)
			}
		}
		if seen := v.seen(); seen != "192.0.2.1:0 192.0.2.1:0 192.0.2.2:0 192.0.2.2:0 10.9.9.9:4000 10.9.9.9:4000" {
			t.Errorf("they came from %s", seen)
		}
	})
}

func TestThreat38WhoseAddressTakesForEverIsHungUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		srv := hostBubble(t, chatroom.WithAddrOf(func(net.Conn) netip.Addr {
			<-release
			return netip.Addr{}
		}))
		c := call(t, srv)
		time.Sleep(5*time.Second - time.Nanosecond)
		if c.gone() {
			t.Error("it was hung up on too soon")
		}
		time.Sleep(100*time.Millisecond + time.Nanosecond)
		if gone, conns := c.gone(), srv.Stats().Conns; !gone || conns != 0 {
			t.Errorf("hung up on: %v; %d connections are left", gone, conns)
		}
	})
}

func TestServeConnTellsThatThePeerIsOneTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, chatroom.WithLimits(chatroom.Limits{ConnsPerAddr: 1}),
			chatroom.WithAddrOf(func(net.Conn) netip.Addr { return netip.MustParseAddr("192.0.2.1") }))
		call(t, srv)
		synctest.Wait()
		near, far := net.Pipe()
		defer near.Close()
		var refused *chatroom.Error
		if err := srv.ServeConn(t.Context(), far); !errors.As(err, &refused) || refused.Code != chatroom.CodeFull {
			t.Errorf("ServeConn: %v", err)
		}
	})
}
