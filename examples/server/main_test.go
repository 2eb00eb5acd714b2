package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWrongUsageExitsWithTwo(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown flag":         {"-frobnicate"},
		"an argument":             {"5555"},
		"a negative history":      {"-history", "-1"},
		"a negative rate":         {"-rate", "-1"},
		"fewer than no members":   {"-max-members", "-1"},
		"a rate that is none":     {"-rate", "nan"},
		"a level nobody knows":    {"-log-level", "loud"},
		"a certificate alone":     {"-tls-cert", "cert.pem"},
		"a certificate's key too": {"-tls-key", "key.pem"},
		"two certificates":        {"-tls-cert", "cert.pem", "-tls-key", "key.pem", "-tls-self-signed", "server.pem"},
		"no file of accounts":     {"-accounts", ""},
		"an account for nobody":   {"-add-account", "", "-accounts", "accounts"},
		"an account nowhere":      {"-add-account", "ann"},
		"a role nobody knows":     {"-add-account", "ann", "-accounts", "accounts", "-role", "king"},
		"a role for nobody":       {"-role", "admin"},
		"bans from a list alone":  {"-import-bans", "bans.txt"},
		"bans to a list alone":    {"-export-bans", "bans.txt"},
		"two things at once":      {"-add-account", "ann", "-accounts", "accounts", "-verify-audit", "audit"},
		"no port for pychat":      {"-pychat", ""},
		"debugging for nobody":    {"-debug-public"},
		"debugging nowhere":       {"-debug-addr", ""},
		"a hash that is none":     {"-verify-audit", "audit", "d1e"},
		"two hashes":              {"-verify-audit", "audit", firstHash, firstHash},
	} {
		t.Run(name, func(t *testing.T) { fails(t, 2, args...) })
	}
}

func TestFailureExitsWithOne(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	nowhere := filepath.Join(dir, "nowhere")
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("no file of the server's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"a port that is taken":          {"-addr", taken.Addr().String()},
		"an address that is none":       {"-addr", "lobby"},
		"a port for pychat, taken":      {"-addr", "127.0.0.1:0", "-pychat", taken.Addr().String()},
		"a port for debugging, taken":   {"-addr", "127.0.0.1:0", "-debug-addr", taken.Addr().String()},
		"debugging for the network":     {"-addr", "127.0.0.1:0", "-debug-addr", ":0"},
		"debugging for any address":     {"-addr", "127.0.0.1:0", "-debug-addr", "0.0.0.0:0"},
		"debugging at no address":       {"-addr", "127.0.0.1:0", "-debug-addr", "6060"},
		"a room name that is none":      {"-room", "a\nb"},
		"a certificate that is missing": {"-tls-cert", nowhere, "-tls-key", nowhere},
		"accounts that are missing":     {"-accounts", nowhere},
		"accounts that are none":        {"-accounts", other},
		"bans that are none":            {"-bans", other},
		"an audit file that is none":    {"-audit", other},
		"an account with no nick":       {"-add-account", "a b", "-accounts", nowhere},
		"a list that is missing":        {"-import-bans", nowhere, "-bans", filepath.Join(dir, "bans")},
		"bans that are missing":         {"-export-bans", filepath.Join(dir, "list"), "-bans", nowhere},
		"a record that is missing":      {"-verify-audit", nowhere},
	} {
		t.Run(name, func(t *testing.T) { fails(t, 1, args...) })
	}
}

func TestWordsThatAreMissingAreToldOnce(t *testing.T) {
	said := fails(t, 1, "-addr", "127.0.0.1:0", "-words", filepath.Join(t.TempDir(), "words"))
	if strings.Count(said, "read words") != 1 {
		t.Errorf("it said %q", said)
	}
}

// fails checks that the program ends by itself with that exit code, and returns what it says.
func fails(t *testing.T, code int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var stderr strings.Builder
	if got := run(ctx, args, nil, io.Discard, &stderr); got != code {
		t.Errorf("exit code %d, want %d; it said %q", got, code, &stderr)
	}
	if stderr.Len() == 0 {
		t.Error("it does not say what is wrong")
	}
	return stderr.String()
}

func TestHelpIsNoFailure(t *testing.T) {
	var stderr strings.Builder
	if code := run(t.Context(), []string{"-help"}, nil, io.Discard, &stderr); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if !strings.Contains(stderr.String(), "-addr host:port") {
		t.Errorf("no help on -addr in %q", &stderr)
	}
}

func TestMembersAreToldWhenTheServerStops(t *testing.T) {
	srv := start(t, "-motd", "be kind", "-room", "den")
	ann := srv.join(t, "ann", nil)
	sees(t, ann, "You are ann, in den.", "be kind", "ann joined")
	srv.stop()
	sees(t, ann, "Goodbye: the server is shutting down.")
	if code := <-srv.exit; code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestHistoryIsWhatIsShownOfEarlier(t *testing.T) {
	for history, shown := range map[uint64]int{0: 0, 1: 1, math.MaxInt64: 2, math.MaxUint64: 2} {
		srv := start(t, "-history", fmt.Sprint(history))
		ann := srv.join(t, "ann", nil)
		fmt.Fprintln(ann, "first\nsecond")
		sees(t, ann, "<ann> second\n")
		bob := srv.join(t, "bob", nil)
		before := sees(t, bob, "bob joined")
		if got := strings.Count(before, "<ann>"); got != shown {
			t.Errorf("-history %d showed %d messages: %q", history, got, before)
		}
	}
}

func TestRateIsWhatOneMaySend(t *testing.T) {
	for rate, said := range map[string]bool{"0": true, "0.5": false} {
		ann := start(t, "-rate", rate).join(t, "ann", nil)
		fmt.Fprint(ann, strings.Repeat("one more\n", 11), "/help\n")
		heard := sees(t, ann, "leave the chat\n")
		if got := !strings.Contains(heard, "!!! too fast"); got != said {
			t.Errorf("-rate %s: all was said: %v", rate, got)
		}
	}
}

func TestMaxMembersIsHowManyThereMayBe(t *testing.T) {
	srv := start(t, "-max-members", "1")
	sees(t, srv.join(t, "ann", nil), "You are ann")
	sees(t, srv.join(t, "bob", nil), "the server is full")
}

func TestPerAddressIsHowManyConnectionsOneMayHave(t *testing.T) {
	srv := start(t, "-per-address", "2")
	for _, nick := range []string{"ann", "bob"} {
		sees(t, srv.join(t, nick, nil), "You are "+nick)
	}
	conn, err := net.Dial("tcp", srv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	sees(t, conn, "too many connections from your address")
}

func TestServesTLS(t *testing.T) {
	cert, key, roots := certificate(t)
	srv := start(t, "-tls-cert", cert, "-tls-key", key)
	ann := srv.join(t, "ann", &tls.Config{RootCAs: roots})
	sees(t, ann, "You are ann, in lobby.")
}

func TestInvitationTellsWhoCannotLogIn(t *testing.T) {
	network, here := &net.TCPAddr{IP: net.IPv6zero, Port: 5555}, &net.TCPAddr{IP: net.IPv6loopback, Port: 5555}
	for _, tt := range []struct {
		o    options
		at   *net.TCPAddr
		told bool
	}{
		{options{accounts: "accounts"}, network, true},
		{options{accounts: "accounts"}, here, false},
		{options{accounts: "accounts", plaintext: true}, network, false},
		{options{accounts: "accounts", cert: "cert.pem"}, network, false},
		{options{}, network, false},
	} {
		if text := invitation(&tt.o, tt.at); strings.Contains(text, "nobody can log in") != tt.told {
			t.Errorf("%+v on %v: %q", tt.o, tt.at, text)
		}
	}
}

func TestOldClientsJoinOnAPortOfTheirOwn(t *testing.T) {
	srv := start(t, "-room", "#den", "-pychat", "127.0.0.1:0")
	ann := srv.join(t, "ann", nil)
	sees(t, ann, "ann joined")
	old, err := net.Dial("tcp", srv.old)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	old.SetDeadline(time.Now().Add(20 * time.Second))
	sees(t, old, "NICK")
	fmt.Fprint(old, "bob")
	sees(t, old, "Successfully Connected to Server", "\nbob has just joined the chat !\n")
	sees(t, ann, "bob joined")
	fmt.Fprint(old, "bob: hi\n")
	sees(t, ann, "<bob> hi")
	srv.stop()
	sees(t, old, "Goodbye: the server is shutting down.")
	sees(t, ann, "Goodbye: the server is shutting down.")
}

func TestInvitationTellsWhereAdminIsNotSafe(t *testing.T) {
	network, here := &net.TCPAddr{IP: net.IPv6zero, Port: 55555}, &net.TCPAddr{IP: net.IPv6loopback, Port: 55555}
	for _, tt := range []struct {
		o    options
		at   *net.TCPAddr
		want string
	}{
		{options{}, network, "None of them can be admin without -accounts"},
		{options{accounts: "accounts"}, network, "From elsewhere none of them can be admin"},
		{options{accounts: "accounts", cert: "cert.pem"}, network, "From elsewhere none of them can be admin"},
		{options{accounts: "accounts", plaintext: true}, network, "IN THE CLEAR"},
		{options{accounts: "accounts"}, here, "join on [::1]:55555.\n\n"},
	} {
		if text := oldInvitation(&tt.o, tt.at); !strings.Contains(text, tt.want) {
			t.Errorf("%+v on %v: %q", tt.o, tt.at, text)
		}
	}
}

// A server is run, on a port of its own.
type server struct {
	addr string
	old  string // where -pychat listens, or -debug-addr
	stop context.CancelFunc
	exit chan int
}

var address = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func start(t *testing.T, args ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	s := &server{stop: cancel, exit: make(chan int, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.exit <- run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), nil, io.Discard, w)
		w.Close()
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	stderr := bufio.NewReader(r)
	another := slices.Contains(args, "-pychat") || slices.Contains(args, "-debug-addr")
	for s.addr == "" || s.old == "" && another {
		line, err := stderr.ReadString('\n')
		if err != nil {
			t.Fatalf("no address: %v, exit code %d", err, <-s.exit)
		}
		switch found := address.FindString(line); {
		case s.addr == "":
			s.addr = found
		default:
			s.old = found
		}
	}
	go io.Copy(io.Discard, stderr) // ends with run
	return s
}

// join joins as somebody with nc does, or with openssl s_client.
func (s *server) join(t *testing.T, nick string, conf *tls.Config) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	if conf != nil {
		conf.ServerName = "127.0.0.1"
		conn = tls.Client(conn, conf)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	sees(t, conn, "Your nickname: ")
	fmt.Fprintln(conn, nick)
	return conn
}

// sees reads on until it has seen these texts, one after another, and returns what it read.
func sees(t *testing.T, conn net.Conn, texts ...string) string {
	t.Helper()
	var all, read []byte
	for _, text := range texts {
		for !strings.Contains(string(read), text) {
			b := make([]byte, 1)
			if _, err := conn.Read(b); err != nil {
				t.Fatalf("no %q: %v after %q", text, err, read)
			}
			all, read = append(all, b...), append(read, b...)
		}
		read = nil
	}
	return string(all)
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
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	for path, b := range map[string][]byte{
		cert: text,
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, roots
}
