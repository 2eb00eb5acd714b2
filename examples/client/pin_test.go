package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// A keeper is a server's key, and what its fingerprint is by RFC 7469.
type keeper struct {
	key         *ecdsa.PrivateKey
	fingerprint string
}

func newKeeper(t *testing.T) keeper {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	return keeper{key, "SHA256:" + base64.StdEncoding.EncodeToString(sum[:])}
}

// serve serves over TLS, with a certificate for another host that ended long ago, and returns
// where.
func (k keeper) serve(t *testing.T) (addr string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"elsewhere.example"},
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.key.Public(), k.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k.key}
	serveOn(t, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}}))
	return l.Addr().String()
}

func TestPinnedKeyIsAllThatIsTrusted(t *testing.T) {
	k := newKeeper(t)
	for _, fingerprint := range []string{k.fingerprint, strings.TrimRight(k.fingerprint, "=")} {
		addr := k.serve(t) // with another certificate each time
		p := start(t, "-addr", addr, "-nick", "ann", "-tls-pin", fingerprint)
		fmt.Fprintln(p.stdin, "hi")
		p.stdin.Close()
		if stdout, stderr := p.exits(t, 0); !strings.Contains(stdout, "<ann> hi\n") || stderr != "" {
			t.Errorf("it said %q and %q", stdout, stderr)
		}
	}
}

func TestAnotherKeyThanThePinnedOneIsRefused(t *testing.T) {
	right, wrong := newKeeper(t), newKeeper(t)
	p := start(t, "-addr", wrong.serve(t), "-nick", "ann", "-tls-pin", right.fingerprint)
	p.stdin.Close()
	stdout, stderr := p.exits(t, 1)
	if stdout != "" {
		t.Errorf("it said %q", stdout)
	}
	for _, want := range []string{right.fingerprint, wrong.fingerprint, "-tls-pin"} {
		if !strings.Contains(stderr, strings.TrimRight(want, "=")) {
			t.Errorf("no %s in %q", want, stderr)
		}
	}
}

func TestWhatIsNoPin(t *testing.T) {
	good := newKeeper(t).fingerprint
	digest := strings.TrimPrefix(good, pinPrefix)
	for _, s := range []string{
		"", "SHA256:", digest, "sha256:" + digest, "SHA1:" + digest, good + "=", good[:len(good)-2], good + "AAAA",
		"SHA256:" + strings.Repeat("ab", 32), "SHA256:" + strings.Repeat("A", 42) + "B", "SHA256:" + digest[:20] + "\n" + digest[20:],
	} {
		if p, err := parsePin(s); err == nil {
			t.Errorf("%q is a pin: %v", s, p)
		}
	}
	if p, err := parsePin(good); err != nil || p.String() != strings.TrimRight(good, "=") {
		t.Errorf("%q: %v, %v", good, p, err)
	}
}
