package chatroom_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// binaryHeader returns a header of version 2.
func binaryHeader(command, family byte, body string) string {
	b := append([]byte(signature), command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(body)))) + body
}

const (
	fromTCP4 = "\xc0\x00\x02\x01" + "\xc6\x33\x64\x02" + "\x12\x34" + "\x01\xbb" // 192.0.2.1:4660
	prefix6  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	fromTCP6 = prefix6 + "\x01" + prefix6 + "\x02" + "\x12\x34" + "\x01\xbb" // [2001:db8::1]:4660
)

var (
	fromUnix = strings.Repeat("/run/peer.sock\x00", 20)[:216]
	tlvs     = "\x04\x00\x03abc\x01\x00\x02h2"
)

// proxyHeaders are what proxies send, and what follows. An empty addr is the proxy's own.
var proxyHeaders = map[string]struct {
	sent  string
	addr  string
	rest  string
	fails bool
}{
	"IPv4":                         {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n", addr: "192.0.2.1:4660"},
	"IPv6":                         {sent: "PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n", addr: "[2001:db8::1]:4660"},
	"the longest IPv6":             {sent: "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", addr: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535"},
	"IPv4 in IPv6":                 {sent: "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 4660 443\r\n", addr: "192.0.2.1:4660"},
	"port 0":                       {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n", addr: "192.0.2.1:0"},
	"late bytes":                   {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\nhello\r\n", addr: "192.0.2.1:4660", rest: "hello\r\n"},
	"a second header is a text":    {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\nPROXY TCP4 192.0.2.9 198.51.100.2 1 2\r\n", addr: "192.0.2.1:4660", rest: "PROXY TCP4 192.0.2.9 198.51.100.2 1 2\r\n"},
	"unknown":                      {sent: "PROXY UNKNOWN\r\n"},
	"unknown with addresses":       {sent: "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\nhello", rest: "hello"},
	"unknown with anything":        {sent: "PROXY UNKNOWN \x00 what ever\t\r\nhello", rest: "hello"},
	"truncated":                    {sent: "PROXY TCP4 192.0.2.1 198.51.1", fails: true},
	"truncated at the CR":          {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r", fails: true},
	"only the beginning":           {sent: "PROX", fails: true},
	"nothing":                      {fails: true},
	"no header":                    {sent: "hello\r\n", fails: true},
	"lower case":                   {sent: "proxy TCP4 192.0.2.1 198.51.100.2 4660 443\r\n", fails: true},
	"LF alone":                     {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\n", fails: true},
	"CR alone":                     {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\rhello\r\n", fails: true},
	"LF alone, unknown":            {sent: "PROXY UNKNOWN\nhello\r\n", fails: true},
	"longer than it may be":        {sent: "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", fails: true},
	"as long as it may be":         {sent: "PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n"},
	"without an end":               {sent: "PROXY TCP4 " + strings.Repeat("1", 10_000), fails: true},
	"IPv6 called IPv4":             {sent: "PROXY TCP4 2001:db8::1 2001:db8::2 4660 443\r\n", fails: true},
	"IPv4 called IPv6":             {sent: "PROXY TCP6 192.0.2.1 198.51.100.2 4660 443\r\n", fails: true},
	"one of each":                  {sent: "PROXY TCP4 192.0.2.1 2001:db8::2 4660 443\r\n", fails: true},
	"a zone":                       {sent: "PROXY TCP6 fe80::1%eth0 fe80::2 4660 443\r\n", fails: true},
	"UDP":                          {sent: "PROXY UDP4 192.0.2.1 198.51.100.2 4660 443\r\n", fails: true},
	"a port too large":             {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", fails: true},
	"a port below zero":            {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n", fails: true},
	"a port with a sign":           {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 +80 443\r\n", fails: true},
	"a port with a zero before it": {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 080 443\r\n", fails: true},
	"a port that is a word":        {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 http 443\r\n", fails: true},
	"a name":                       {sent: "PROXY TCP4 localhost 198.51.100.2 4660 443\r\n", fails: true},
	"an octet too large":           {sent: "PROXY TCP4 192.0.2.256 198.51.100.2 4660 443\r\n", fails: true},
	"an octet missing":             {sent: "PROXY TCP4 192.0.2 198.51.100.2 4660 443\r\n", fails: true},
	"two spaces":                   {sent: "PROXY TCP4  192.0.2.1 198.51.100.2 4660 443\r\n", fails: true},
	"a field too many":             {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443 1\r\n", fails: true},
	"a field missing":              {sent: "PROXY TCP4 192.0.2.1 198.51.100.2 4660\r\n", fails: true},
	"no fields":                    {sent: "PROXY \r\n", fails: true},

	"2: IPv4":                       {sent: binaryHeader(0x21, 0x11, fromTCP4), addr: "192.0.2.1:4660"},
	"2: IPv6":                       {sent: binaryHeader(0x21, 0x21, fromTCP6), addr: "[2001:db8::1]:4660"},
	"2: TLVs":                       {sent: binaryHeader(0x21, 0x11, fromTCP4+tlvs) + "hello", addr: "192.0.2.1:4660", rest: "hello"},
	"2: much behind the addresses":  {sent: binaryHeader(0x21, 0x21, fromTCP6+strings.Repeat("x", 4096-36)) + "hello", addr: "[2001:db8::1]:4660", rest: "hello"},
	"2: too much behind them":       {sent: binaryHeader(0x21, 0x21, fromTCP6+strings.Repeat("x", 4097-36)), fails: true},
	"2: late bytes":                 {sent: binaryHeader(0x21, 0x11, fromTCP4) + signature, addr: "192.0.2.1:4660", rest: signature},
	"2: local":                      {sent: binaryHeader(0x20, 0x00, "") + "hello", rest: "hello"},
	"2: local, with addresses":      {sent: binaryHeader(0x20, 0x11, fromTCP4) + "hello", rest: "hello"},
	"2: local, of no known family":  {sent: binaryHeader(0x20, 0xff, "abc") + "hello", rest: "hello"},
	"2: unspecified":                {sent: binaryHeader(0x21, 0x00, "abc") + "hello", rest: "hello"},
	"2: a Unix socket":              {sent: binaryHeader(0x21, 0x31, fromUnix) + "hello", rest: "hello"},
	"2: a Unix socket, cut short":   {sent: binaryHeader(0x21, 0x31, fromUnix[:215]), fails: true},
	"2: UDP":                        {sent: binaryHeader(0x21, 0x12, fromTCP4), fails: true},
	"2: no known family":            {sent: binaryHeader(0x21, 0x41, fromTCP6), fails: true},
	"2: IPv6 in as much as IPv4":    {sent: binaryHeader(0x21, 0x21, fromTCP4), fails: true},
	"2: IPv4 cut short":             {sent: binaryHeader(0x21, 0x11, fromTCP4[:11]), fails: true},
	"2: version 1":                  {sent: binaryHeader(0x11, 0x11, fromTCP4), fails: true},
	"2: version 3":                  {sent: binaryHeader(0x31, 0x11, fromTCP4), fails: true},
	"2: an unknown command":         {sent: binaryHeader(0x22, 0x11, fromTCP4), fails: true},
	"2: truncated":                  {sent: binaryHeader(0x21, 0x11, fromTCP4)[:20], fails: true},
	"2: truncated in its signature": {sent: signature[:8], fails: true},
	"2: another signature":          {sent: "\r\n\r\n\x00\r\nQUIT\r" + "\x21\x11\x00\x0c" + fromTCP4, fails: true},
}

// throughProxy sends s in pieces of that size over a connection from a trusted address, and returns what the
// listener makes of it.
func throughProxy(t *testing.T, s string, size int) (addr net.Addr, rest string, err error) {
	l := newPipes(t)
	near, far := net.Pipe()
	go func() { l.queue <- from(far, "10.0.0.1") }()
	conn, err := chatroom.ProxyListener(l, netip.MustParsePrefix("10.0.0.0/8")).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		for len(s) > 0 {
			n, err := near.Write([]byte(s[:min(size, len(s))]))
			if err != nil {
				return
			}
			s = s[n:]
		}
		near.Close()
	}()
	b, err := io.ReadAll(conn)
	return conn.RemoteAddr(), string(b), err
}

func TestProxyHeaders(t *testing.T) {
	for name, tt := range proxyHeaders {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{len(tt.sent) + 1, 1, 7} {
				synctest.Test(t, func(t *testing.T) {
					addr, rest, err := throughProxy(t, tt.sent, size)
					if tt.addr == "" {
						tt.addr = "10.0.0.1:4000"
					}
					if (err != nil) != tt.fails || addr.String() != tt.addr || rest != tt.rest {
						t.Errorf("in pieces of %d: a connection from %v that says %q and then %v", size, addr, rest, err)
					}
				})
			}
		})
	}
}

// fromProxy returns a connection from a trusted address, and the proxy's end of it.
func fromProxy(t *testing.T) (conn, proxy net.Conn) {
	l := newPipes(t)
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	go func() { l.queue <- from(far, "10.0.0.1") }()
	conn, err := chatroom.ProxyListener(l, netip.MustParsePrefix("10.0.0.1/32")).Accept()
	if err != nil {
		t.Fatal(err)
	}
	return conn, near
}

func TestAProxyHas5SecondsForItsHeader(t *testing.T) {
	for name, deadline := range map[string]time.Duration{"without a deadline": 0, "with a later one": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, proxy := fromProxy(t)
				began := time.Now()
				if deadline > 0 {
					conn.SetDeadline(began.Add(deadline))
				}
				var sending sync.WaitGroup
				defer sending.Wait()
				defer proxy.Close()
				sending.Go(func() {
					for _, s := range []string{"PROXY", " TCP4 ", "1", "9", "2", "."} {
						if _, err := proxy.Write([]byte(s)); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				})
				_, err := conn.Read(make([]byte, 10))
				if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != 5*time.Second {
					t.Errorf("Read returned %v after %v", err, took)
				}
				conn.SetReadDeadline(time.Time{})
				if _, again := conn.Read(make([]byte, 10)); again == nil || again.Error() != err.Error() {
					t.Errorf("and then %v", again)
				}
			})
		})
	}
}

// Somebody who reads with deadlines of its own loses nothing of the header, and gets its deadline back.
func TestDeadlinesOfAProxysConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, proxy := fromProxy(t)
		began := time.Now()
		expired := func(after time.Duration) {
			t.Helper()
			if n, err := conn.Read(make([]byte, 10)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != after {
				t.Errorf("read %d bytes, %v after %v; want %v", n, err, time.Since(began), after)
			}
		}
		conn.SetReadDeadline(began.Add(time.Second))
		go func() { _, _ = proxy.Write([]byte("PROXY TCP4 192.0.2.1")) }()
		expired(time.Second)
		conn.SetReadDeadline(began.Add(8 * time.Second))
		go func() { _, _ = proxy.Write([]byte(" 198.51.100.2 4660 443\r\nhello")) }()
		b := make([]byte, 3)
		for _, want := range []string{"hel", "lo"} {
			if n, err := conn.Read(b); string(b[:n]) != want || err != nil {
				t.Errorf("read %q, %v", b[:n], err)
			}
		}
		if got := conn.RemoteAddr().String(); got != "192.0.2.1:4660" {
			t.Errorf("it comes from %s", got)
		}
		expired(8 * time.Second)
	})
}

func FuzzProxyHeader(f *testing.F) {
	for _, tt := range proxyHeaders {
		f.Add([]byte(tt.sent))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		peer, size, err := chatroom.ParseProxyHeader(b)
		mustAllocate(t, 4*len(b)+1<<10, func() { _, _, _ = chatroom.ParseProxyHeader(b) }) // it says the same
		switch {
		case err != nil && (size != 0 || peer.IsValid()):
			t.Errorf("%v, %d bytes with %v", peer, size, err)
		case size < 0 || size > len(b):
			t.Errorf("a header of %d bytes in %d", size, len(b))
		case size == 0 && err == nil && len(b) >= 16+4096:
			t.Error("a header without an end")
		}
		if size == 0 {
			return
		}
		// What follows does not matter, and what comes before its end is not enough.
		again, n, err := chatroom.ParseProxyHeader(append(b[:size:size], "hello"...))
		if again != peer || n != size || err != nil {
			t.Errorf("with other bytes behind it: %v, %d, %v", again, n, err)
		}
		for cut := range size {
			if again, n, err := chatroom.ParseProxyHeader(b[:cut]); again.IsValid() || n != 0 || err != nil {
				t.Fatalf("cut at %d of %d: %v, %d, %v", cut, size, again, n, err)
			}
		}
	})
}

// Through a proxy, over TCP and TLS, a conversation goes from its beginning to its end.
func TestAConversationThroughAProxy(t *testing.T) {
	cert, _ := certificates(t)
	for name, secure := range map[string]bool{"TCP": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			var conf *tls.Config
			if secure {
				conf = &tls.Config{Certificates: []tls.Certificate{cert}}
			}
			converseThroughProxy(t, conf)
		})
	}
}

func converseThroughProxy(t *testing.T, conf *tls.Config) {
	srv, err := chatroom.New(chatroom.WithFronts(chatroom.JSONFront{}, clockFront))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxies := netip.MustParsePrefix("127.0.0.0/8")
	outer := chatroom.ProxyListener(l, proxies)
	if conf != nil {
		outer = tls.NewListener(outer, conf)
	}
	serve(t, srv, outer, chatroom.ErrServerClosed)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	peer, begin := conn, header1
	if conf != nil {
		if _, err := io.WriteString(conn, header1); err != nil {
			t.Fatal(err)
		}
		peer, begin = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), "" // the certificate is not what is tested
	}
	long := strings.Repeat("hello ", 100)
	if _, err := io.WriteString(peer, begin+"ann\n"+long+"there\nhello\n/quit\n"); err != nil {
		t.Fatal(err)
	}
	heard, err := io.ReadAll(peer)
	if !strings.Contains(string(heard), "<ann> "+long+"there\n") || !strings.Contains(string(heard), "<ann> hello\n") || !strings.HasSuffix(string(heard), "--- Goodbye.\n") || err != nil {
		t.Errorf("heard %q, %v", heard, err)
	}
}
