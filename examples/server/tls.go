package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A keyPair is a certificate and its key in PEM files, which are read again when they change.
type keyPair struct {
	cert, key string // may be the same file
	log       *slog.Logger
	pair      atomic.Pointer[tls.Certificate]

	looking sync.Mutex // held by the handshake that looks at the files; none waits for it
	looked  time.Time
	held    [sha256.Size]byte // what the files held when pair was read from them
	told    string            // what was logged about them last, unless they have been read since
}

// openKeyPair reads the files that o names. One with a certificate signed by itself is made if it
// is not there.
func openKeyPair(o *options, log *slog.Logger) (*keyPair, error) {
	if o.selfSigned != "" {
		if err := makeSelfSigned(string(o.selfSigned)); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make certificate: %w", err)
		}
	}
	p := &keyPair{cert: o.cert, key: o.key, log: log, looked: time.Now()}
	return p, p.read()
}

// config returns how to speak TLS with the certificate that is in the files at each handshake.
func (p *keyPair) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.current}
}

// current returns the certificate for a handshake. At most once a second it looks whether the
// files hold another; while they can't be used the one before stays.
func (p *keyPair) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if p.looking.TryLock() {
		defer p.looking.Unlock()
		if now := time.Now(); now.Sub(p.looked) >= time.Second {
			p.looked = now
			p.look()
		}
	}
	return p.pair.Load(), nil
}

func (p *keyPair) look() {
	before := p.held
	err := p.read()
	switch {
	case err == nil && p.held != before:
		p.log.Info("certificate read again", "key", p.fingerprint())
		fallthrough
	case err == nil:
		p.told = ""
	case err.Error() != p.told:
		p.told = err.Error()
		p.log.Error("the certificate of before stays in use", "err", err)
	}
}

// read reads the files. It compares what they hold and not their times: those of two writes may be
// the same, and a key may come a moment after its certificate.
func (p *keyPair) read() error {
	cert, err := os.ReadFile(p.cert)
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	key, err := os.ReadFile(p.key)
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	held := sha256.Sum256(append(cert, key...))
	if held == p.held {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("read certificate %s: %w", p.cert, err)
	}
	p.held = held
	p.pair.Store(&pair)
	return nil
}

// fingerprint returns what a client can pin: the SHA-256 of the public key, as RFC 7469 takes it,
// which is that of a renewed certificate too.
func (p *keyPair) fingerprint() string {
	sum := sha256.Sum256(p.pair.Load().Leaf.RawSubjectPublicKeyInfo)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// selfSignedFor is how long a certificate is valid that nobody renews.
const selfSignedFor = 10 * 365 * 24 * time.Hour

// makeSelfSigned writes a new key, and a certificate for this machine signed by it, to a file that
// is not there yet.
func makeSelfSigned(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	text, err := selfSigned()
	if err == nil {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path)) // half of it would be in the way the next time
	}
	return err
}

// selfSigned returns a new key and its certificate in PEM.
func selfSigned() ([]byte, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	names, addrs := thisMachine()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: names[len(names)-1]},
		NotBefore:             time.Now().Add(-time.Hour), // a client's clock may be slow
		NotAfter:              time.Now().Add(selfSignedFor),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              names,
		IPAddresses:           addrs,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...), nil
}

// thisMachine returns the names and addresses by which this machine may be found. What can't be
// found out is left out: a client that pins the key asks for neither.
func thisMachine() (names []string, addrs []net.IP) {
	names = []string{"localhost"}
	if host, err := os.Hostname(); err == nil && host != "" && host != "localhost" {
		if !strings.Contains(host, ".") {
			names = append(names, host+".local") // as multicast DNS has it
		}
		names = append(names, host)
	}
	found, _ := net.InterfaceAddrs()
	for _, addr := range found {
		if n, ok := addr.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() { // which takes a zone too
			addrs = append(addrs, n.IP)
		}
	}
	return names, addrs
}
