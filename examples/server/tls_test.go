package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// handshake does one with the server's side of conf, over a pipe, and returns what the client sees.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Server(far, server).Handshake() // the client's side tells
		_, _ = io.Copy(io.Discard, far)         // what the client still has to say
	}()
	c := tls.Client(near, client)
	err := c.Handshake()
	near.Close()
	<-done
	far.Close()
	return c.ConnectionState(), err
}

func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// copyFile makes to hold what from holds, in place.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRenewedCertificateIsServedWithoutARestart(t *testing.T) {
	cert, key, _ := certificate(t)
	second, secondKey, _ := certificate(t)
	third, thirdKey, _ := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		pair, err := openKeyPair(&options{cert: cert, key: key}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		served := ""
		shakes := func(another bool, logged int) {
			t.Helper()
			state, err := handshake(t, pair.config(), trusting())
			if err != nil {
				t.Fatal(err)
			}
			got := string(state.PeerCertificates[0].Raw)
			if (got != served) != another {
				t.Errorf("another certificate is served: %v", got != served)
			}
			served = got
			if n := strings.Count(log.String(), "\n"); n != logged {
				t.Errorf("%d lines were logged, want %d: %s", n, logged, &log)
			}
		}
		shakes(true, 0)
		copyFile(t, second, cert)
		copyFile(t, secondKey, key)
		shakes(false, 0) // within the second in which the files were looked at
		time.Sleep(time.Second)
		shakes(true, 1)

		if err := os.WriteFile(cert, []byte("half a certifi"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(time.Second)
			shakes(false, 2)
		}
		copyFile(t, third, cert) // whose key is still that of the second
		for range 10 {
			time.Sleep(time.Second)
			shakes(false, 3)
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		shakes(false, 4)
		copyFile(t, thirdKey, key)
		time.Sleep(time.Second)
		shakes(true, 5)
	})
}

func TestNoHandshakeWaitsForAnotherToReadTheFiles(t *testing.T) {
	cert, key, _ := certificate(t)
	pair, err := openKeyPair(&options{cert: cert, key: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	pair.looking.Lock() // as a handshake does whose file system hangs
	defer pair.looking.Unlock()
	if _, err := handshake(t, pair.config(), trusting()); err != nil {
		t.Error(err)
	}
}

func TestThreat10OldTLSIsRefused(t *testing.T) {
	cert, key, _ := certificate(t)
	pair, err := openKeyPair(&options{cert: cert, key: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for version, spoken := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		conf := trusting()
		conf.MinVersion, conf.MaxVersion = version, version
		state, err := handshake(t, pair.config(), conf)
		if spoken && (err != nil || state.Version != version) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if !spoken && (err == nil || !strings.HasSuffix(err.Error(), "protocol version not supported")) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestThreat10PlaintextOnTheTLSPortReachesNobody(t *testing.T) {
	cert, key, roots := certificate(t)
	srv := start(t, "-tls-cert", cert, "-tls-key", key)
	ann := srv.join(t, "ann", &tls.Config{RootCAs: roots})
	sees(t, ann, "You are ann, in lobby.", "/help")
	for _, first := range []string{
		`{"type":"join","nick":"eve"}` + "\n" + `{"type":"say","text":"hi"}` + "\n",
		"eve\nhi\n",
		"GET / HTTP/1.1\r\nHost: eve\r\n\r\n",
		"\x16\x03\x01\x00\x05eve\nhi\n",
	} {
		eve, err := net.Dial("tcp", srv.addr)
		if err != nil {
			t.Fatal(err)
		}
		eve.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(eve, first)
		// What is read is an alert at most; that the end may be a reset is the kernel's choice.
		if heard, _ := io.ReadAll(eve); strings.ContainsAny(string(heard), "\n{") {
			t.Errorf("%q was answered with %q", first, heard)
		}
		eve.Close()
	}
	fmt.Fprintln(ann, "alone?\n/who")
	if heard := sees(t, ann, "In lobby (1): ann\n"); strings.Contains(heard, "eve") || strings.Contains(heard, "hi") {
		t.Errorf("ann heard %q", heard)
	}
}

func TestThreat10StalledHandshakesDoNotHoldUpTheListener(t *testing.T) {
	cert, key, roots := certificate(t)
	srv := start(t, "-tls-cert", cert, "-tls-key", key)
	for range 10 {
		stalled, err := net.Dial("tcp", srv.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer stalled.Close()
	}
	ann := srv.join(t, "ann", &tls.Config{RootCAs: roots}) // one after the other they would take a hundred seconds
	sees(t, ann, "You are ann, in lobby.")
}

func TestSelfSignedCertificateStaysAcrossRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.pem")
	o := &options{cert: path, key: path, selfSigned: name(path)}
	first, err := openKeyPair(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	second, err := openKeyPair(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	leaf := first.pair.Load().Leaf
	if !bytes.Equal(leaf.Raw, second.pair.Load().Leaf.Raw) {
		t.Error("there is another certificate after a restart")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the key: %v, %v", info.Mode(), err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: time.Now().AddDate(9, 0, 0)}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if leaf.IsCA {
		t.Error("its key can sign certificates for others")
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	if want := "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]); first.fingerprint() != want {
		t.Errorf("fingerprint %s, want %s", first.fingerprint(), want)
	}
}

func TestSelfSignedCertificateIsMadeWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	if err := makeSelfSigned(filepath.Join(dir, "no", "such", "directory")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeSelfSigned(taken); !errors.Is(err, os.ErrExist) {
		t.Error(err)
	}
	if text, err := os.ReadFile(taken); string(text) != "mine" || err != nil {
		t.Errorf("the file holds %q, %v", text, err)
	}
	fails(t, 1, "-addr", "127.0.0.1:0", "-tls-self-signed", taken)
}
