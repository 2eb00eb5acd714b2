package chatroom_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

// certificates returns a certificate that is called alice, serves both ends of a connection, and
// is signed by itself, and a pool that trusts it.
func certificates(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alice"}, DNSNames: []string{"alice"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func fingerprint(c tls.Certificate) string { return fmt.Sprintf("%x", sha256.Sum256(c.Leaf.Raw)) }

// handshake returns what a server with that configuration knows of a client with a certificate,
// or with none.
func handshake(t testing.TB, server *tls.Config, client ...tls.Certificate) *tls.ConnectionState {
	t.Helper()
	pair, _ := certificates(t)
	server.Certificates = []tls.Certificate{pair}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	shaken := make(chan struct{})
	go func() {
		defer close(shaken)
		c := tls.Client(near, &tls.Config{Certificates: client, InsecureSkipVerify: true})
		_ = c.Handshake() // the server's end tells
		_, _ = c.Read(make([]byte, 1))
	}()
	s := tls.Server(far, server)
	if err := s.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := s.ConnectionState()
	far.Close()
	<-shaken
	return &state
}

func TestCertificatesSayWhoMayJoin(t *testing.T) {
	pair, pool := certificates(t)
	other, _ := certificates(t) // called alice too
	byName, err := chatroom.ClientCerts(
		chatroom.CertAccount{Account: "Alice", Role: chatroom.RoleAdmin, CommonName: "alice"},
		chatroom.CertAccount{Account: "bob", CommonName: "robert"})
	if err != nil {
		t.Fatal(err)
	}
	colons := strings.ToUpper(fingerprint(pair))
	for i := len(colons) - 2; i > 0; i -= 2 {
		colons = colons[:i] + ":" + colons[i:] // as openssl prints it
	}
	byPrint, err := chatroom.ClientCerts(
		chatroom.CertAccount{Account: "Alice", Role: chatroom.RoleAdmin, Fingerprint: colons},
		chatroom.CertAccount{Account: "Alice", Role: chatroom.RoleAdmin, CommonName: "her other one"},
		chatroom.CertAccount{Account: "bob", CommonName: "robert"})
	if err != nil {
		t.Fatal(err)
	}
	verified := handshake(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, pair)
	shown := handshake(t, &tls.Config{ClientAuth: tls.RequestClientCert}, pair)
	forged := handshake(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, other)
	none := handshake(t, &tls.Config{ClientAuth: tls.RequestClientCert})
	alice := chatroom.Identity{Nick: "al", Account: "Alice", Role: chatroom.RoleAdmin}
	nobody := chatroom.Identity{}
	for _, tt := range []struct {
		name string
		auth chatroom.Authenticator
		req  chatroom.AuthRequest
		want chatroom.Identity
		err  error
	}{
		{"a verified name", byName, chatroom.AuthRequest{Nick: "al", TLS: verified}, alice, nil},
		{"a name anybody can claim", byName, chatroom.AuthRequest{Nick: "al", TLS: shown}, nobody, chatroom.ErrNoAccount},
		{"a fingerprint", byPrint, chatroom.AuthRequest{Nick: "al", TLS: shown}, alice, nil},
		{"a verified fingerprint", byPrint, chatroom.AuthRequest{Nick: "al", TLS: verified}, alice, nil},
		{"another fingerprint", byPrint, chatroom.AuthRequest{Nick: "al", TLS: forged}, nobody, chatroom.ErrNoAccount},
		{"no certificate", byPrint, chatroom.AuthRequest{Nick: "alice", TLS: none}, nobody, chatroom.ErrNoAccount},
		{"no TLS", byPrint, chatroom.AuthRequest{Nick: "alice"}, nobody, chatroom.ErrNoAccount},
		{"its own account named", byPrint, chatroom.AuthRequest{Nick: "al", Account: "ALICE", TLS: shown}, alice, nil},
		{"another account named", byPrint, chatroom.AuthRequest{Nick: "al", Account: "bob", TLS: shown}, nobody, chatroom.ErrNoAccount},
		{"another account's nick", byPrint, chatroom.AuthRequest{Nick: "Bob", TLS: shown}, nobody, chatroom.ErrDenied},
		{"rename", byPrint, chatroom.AuthRequest{Nick: "al", Current: &chatroom.Identity{Nick: "x", Account: "Alice", Role: chatroom.RoleAdmin}}, alice, nil},
		{"rename to another account's nick", byPrint, chatroom.AuthRequest{Nick: "BOB", Current: &alice}, nobody, chatroom.ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.auth.Authenticate(t.Context(), tt.req)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got the error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCertificatesThatCannotBeToldApartAreRefused(t *testing.T) {
	print := strings.Repeat("0a", 32)
	for _, accounts := range [][]chatroom.CertAccount{
		{{Account: "a b", CommonName: "x"}},
		{{Account: "ann"}},
		{{Account: "ann", CommonName: "x", Fingerprint: print}},
		{{Account: "ann", Fingerprint: print[1:]}},
		{{Account: "ann", Fingerprint: "g" + print[1:]}},
		{{Account: "ann", CommonName: "x"}, {Account: "bob", CommonName: "x"}},
		{{Account: "ann", Fingerprint: print}, {Account: "bob", Fingerprint: strings.ToUpper(print)}},
		{{Account: "ann", CommonName: "x"}, {Account: "ann", CommonName: "y", Role: chatroom.RoleAdmin}},
		{{Account: "ann", CommonName: "x"}, {Account: "ANN", CommonName: "y"}},
	} {
		if _, err := chatroom.ClientCerts(accounts...); err == nil {
			t.Errorf("%+v was taken", accounts)
		}
	}
}
