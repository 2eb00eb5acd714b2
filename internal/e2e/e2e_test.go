//go:build unix

// Package e2e runs the examples as programs of their own, and talks to them over TCP as people
// and programs do.
package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if dir, _ := built(); dir != "" {
			os.RemoveAll(dir)
		}
		os.Exit(code)
	}))
}

// A peer is the other end of a connection to the server: nc, or a program.
type peer struct {
	reader
	conn net.Conn
}

func connect(t *testing.T, who string, conn net.Conn, err error) *peer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{reader{t: t, who: who, from: conn}, conn}
}

func dial(t *testing.T, who, addr string) *peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	return connect(t, who, conn, err)
}

// types sends a line.
func (p *peer) types(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.conn, line); err != nil {
		p.t.Fatal(err)
	}
}

// An event is what these tests look at in a line of the JSON protocol.
type event struct {
	Type, ID, Room, From, Nick, Text, Code, Retry string
}

// gets reads lines up to one of that type, and checks it.
func (p *peer) gets(want event) {
	p.t.Helper()
	for {
		line := p.line()
		var got event
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			p.t.Fatalf("%s got %q: %v", p.who, line, err)
		}
		if got.Type != want.Type {
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			p.t.Fatalf("%s (-want +got):\n%s", p.who, diff)
		}
		return
	}
}

// ends checks that nothing follows but the end.
func (p *peer) ends() {
	p.t.Helper()
	if rest := p.rest(); rest != "" {
		p.t.Errorf("%s got %q before the end", p.who, rest)
	}
}

// joinText joins as somebody with nc does.
func joinText(t *testing.T, addr, nick string) *peer {
	t.Helper()
	p := dial(t, nick, addr)
	p.sees("Your nickname: ")
	p.types(nick)
	p.sees("--- You are " + nick + ", in lobby")
	return p
}

// logIn joins as somebody with an account does.
func logIn(t *testing.T, addr, nick string) *peer {
	t.Helper()
	p := dial(t, nick, addr)
	p.sees("Your nickname: ")
	p.types(nick)
	p.sees("Your password: ")
	p.types(password)
	p.sees("--- You are " + nick + ", in lobby")
	return p
}

// addAccount adds an account to a file, with the password of all accounts.
func addAccount(t *testing.T, accounts, name, role string) {
	t.Helper()
	stdin, keys := pipe(t)
	fmt.Fprintln(keys, password)
	keys.Close()
	p := start(t, stdin, "server", "-add-account", name, "-role", role, "-accounts", accounts)
	p.exits(0)
	p.out.sees(role + " " + name + " was added")
}

const password = "secret"

func TestPeopleAndProgramsMeet(t *testing.T) {
	t.Parallel()
	srv := startServer(t, "-motd", "be kind", "-history", "2")

	ann := joinText(t, srv.addr, "ann")
	ann.sees("--- be kind\n", "/help")
	ann.types("one")
	ann.types("two")
	ann.types("three")
	ann.sees("<ann> one\n", "<ann> two\n", "<ann> three\n")

	bot := dial(t, "bot", srv.addr)
	bot.types(`{"type":"join","id":"1","nick":"bot"}`)
	bot.gets(event{Type: "welcome", ID: "1", Room: "lobby", Nick: "bot"})
	bot.gets(event{Type: "message", Room: "lobby", From: "ann", Text: "two"})
	bot.gets(event{Type: "message", Room: "lobby", From: "ann", Text: "three"})
	ann.sees("--> bot joined\n")

	bot.types(`{"type":"say","id":"2","text":"hello ann"}`)
	bot.gets(event{Type: "message", ID: "2", Room: "lobby", From: "bot", Text: "hello ann"})
	ann.sees("<bot> hello ann\n")
	ann.types("/msg bot between us")
	bot.gets(event{Type: "private", From: "ann", Nick: "bot", Text: "between us"})
	ann.types("/frobnicate")
	ann.sees("!!! unknown command")
	bot.types(`{"type":"frobnicate","id":"3"}`)
	bot.gets(event{Type: "error", ID: "3", Text: "unknown command", Code: "unknown_command"})

	second := dial(t, "a second ann", srv.addr)
	second.sees("Your nickname: ")
	second.types("Ann")
	second.sees("taken", "Your nickname: ")
	second.conn.Close()

	bot.types(`{"type":"quit","id":"4","text":"done"}`)
	bot.gets(event{Type: "bye", Text: "done", Code: "closed"})
	bot.ends()
	ann.sees("<-- bot left (done)\n")
	ann.types("/quit")
	ann.sees("Goodbye.\n")
	ann.ends()
}

func TestClientSaysWhatIsPipedIntoIt(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	ann := joinText(t, srv.addr, "ann")

	stdin, keys := pipe(t)
	cat := start(t, stdin, "client", "-addr", srv.addr, "-nick", "cat")
	ann.sees("--> cat joined\n")
	ann.types("hello cat")
	cat.out.sees("<ann> hello cat\n")
	if _, err := keys.WriteString("from a pipe\nand the last line has no end"); err != nil {
		t.Fatal(err)
	}
	keys.Close()
	cat.exits(0)
	ann.sees("<cat> from a pipe\n", "<cat> and the last line has no end\n", "<-- cat left")

	// A whole conversation that is there from the start.
	stdin, keys = pipe(t)
	for i := range 100 {
		fmt.Fprintln(keys, "line", i)
	}
	keys.Close()
	start(t, stdin, "client", "-addr", srv.addr, "-nick", "dan").exits(0)
	ann.sees("--> dan joined\n")
	for i := range 100 {
		ann.sees(fmt.Sprintf("<dan> line %d\n", i))
	}
	ann.sees("<-- dan left")

	taken := start(t, nil, "client", "-addr", srv.addr, "-nick", "ann")
	taken.exits(1)
	taken.stderr.sees("taken")
}

func TestServerSaysGoodbyeWhenItIsTerminated(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	ann := joinText(t, srv.addr, "ann")
	bot := dial(t, "bot", srv.addr)
	bot.types(`{"type":"join","nick":"bot","room":"den"}`)
	bot.gets(event{Type: "welcome", Room: "den", Nick: "bot"})
	silent := dial(t, "somebody who never speaks", srv.addr)
	silent.sees("Your nickname: ")

	srv.stop()
	ann.sees("--- Goodbye: the server is shutting down.\n")
	ann.ends()
	ann.conn.Close()
	bot.gets(event{Type: "bye", Text: "the server is shutting down", Code: "shutdown", Retry: "later"})
	bot.ends()
	bot.conn.Close()
	silent.rest()
	silent.conn.Close()
	srv.exits(0)
	if conn, err := net.Dial("tcp", srv.addr); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}

func TestServerDoesNotWaitForPeersThatStay(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	ann := joinText(t, srv.addr, "ann")
	srv.stop()
	srv.exits(0)
	ann.sees("Goodbye")
}

func TestTheExamplesSpeakTLS(t *testing.T) {
	t.Parallel()
	cert, key, roots := certificate(t)
	srv := startServer(t, "-tls-cert", cert, "-tls-key", key)
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", srv.addr, &tls.Config{RootCAs: roots})
	ann := connect(t, "ann", conn, err)
	ann.sees("Your nickname: ")
	ann.types("ann")
	ann.sees("--- You are ann, in lobby")

	stdin, keys := pipe(t)
	fmt.Fprintln(keys, "under the seal")
	keys.Close()
	start(t, stdin, "client", "-addr", srv.addr, "-nick", "cat", "-tls", "-ca", cert).exits(0)
	ann.sees("<cat> under the seal\n")

	start(t, nil, "client", "-addr", srv.addr, "-nick", "dan", "-tls").exits(1) // an issuer it does not know
	srv.stop()
	ann.sees("Goodbye")
	ann.conn.Close()
	srv.exits(0)
}

func TestTheClientPinsAKeyThatNobodySigned(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "server.pem")
	pins := make([]string, 2)
	for i := range pins {
		srv := startServer(t, "-tls-self-signed", path)
		srv.stderr.sees("client -addr " + srv.addr + " -tls-pin ")
		pins[i] = srv.stderr.line()
		stdin, keys := pipe(t)
		fmt.Fprintln(keys, "/who")
		keys.Close()
		cat := start(t, stdin, "client", "-addr", srv.addr, "-nick", "cat", "-tls-pin", pins[i])
		cat.out.sees("--- In lobby (1): cat\n")
		cat.exits(0)
		start(t, nil, "client", "-addr", srv.addr, "-nick", "dan", "-ca", path).exits(0) // it is for 127.0.0.1 too
		srv.stop()
		srv.exits(0)
	}
	if pins[0] != pins[1] {
		t.Errorf("after a restart the key is %s, and it was %s", pins[1], pins[0])
	}
}

func TestServerReadsItsFilesAgainOnHangup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	accounts, bans := filepath.Join(dir, "accounts"), filepath.Join(dir, "bans")
	addAccount(t, accounts, "ann", "admin")
	srv := startServer(t, "-accounts", accounts, "-bans", bans)
	joinText(t, srv.addr, "bob")
	addAccount(t, accounts, "cat", "member")
	srv.signals(syscall.SIGHUP)
	srv.stderr.sees("files read again")
	cat := logIn(t, srv.addr, "cat")

	if err := os.WriteFile(bans, []byte("no ban\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	srv.signals(syscall.SIGHUP)
	srv.stderr.sees("stays in force", "files read again")
	cat.conn.Close()
	srv.stop()
	srv.exits(0)
}

// certificate makes a certificate for 127.0.0.1, in files and as a pool.
func certificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	save := func(name, kind string, der []byte) (string, []byte) {
		path, text := filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path, text
	}
	cert, text := save("cert.pem", "CERTIFICATE", der)
	key, _ = save("key.pem", "PRIVATE KEY", pkcs8)
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return cert, key, roots
}

func TestExitCodesTellWrongUsageFromFailure(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for _, c := range []struct {
		name, program string
		args          []string
		code          int
	}{
		{"server with an unknown flag", "server", []string{"-frobnicate"}, 2},
		{"server with an argument", "server", []string{"5555"}, 2},
		{"server with half of TLS", "server", []string{"-tls-cert", "cert.pem"}, 2},
		{"server with an unknown level", "server", []string{"-log-level", "loud"}, 2},
		{"server without a file for its accounts", "server", []string{"-add-account", "ann"}, 2},
		{"server with nobody's password", "server", []string{"-add-account", "ann", "-accounts", "nowhere"}, 1},
		{"server with no records to verify", "server", []string{"-verify-audit", "nowhere"}, 1},
		{"server on a port that is taken", "server", []string{"-addr", taken.Addr().String()}, 1},
		{"server without its certificate", "server", []string{"-tls-cert", "nowhere.pem", "-tls-key", "nowhere.pem"}, 1},
		{"client with an unknown flag", "client", []string{"-frobnicate"}, 2},
		{"client without a nick", "client", []string{"-nick", ""}, 2},
		{"client where nobody listens", "client", []string{"-addr", "127.0.0.1:1", "-nick", "cat"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil, c.program, c.args...)
			p.exits(c.code)
			if p.stderr.rest() == "" {
				t.Error("it does not say what is wrong")
			}
		})
	}
}
