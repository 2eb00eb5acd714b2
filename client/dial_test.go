package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

func TestDialOverTLS(t *testing.T) {
	cert, roots := selfSigned(t, "chat.example")
	srv, err := chatroom.New()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})) })
	defer serving.Wait()
	defer srv.Close()

	c, err := client.Dial(within(t), l.Addr().String(), client.WithNick("ann"),
		client.WithTLS(&tls.Config{RootCAs: roots, ServerName: "chat.example"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(within(t), chatroom.Say("", "hello")); err != nil {
		t.Errorf("Send: %v", err)
	}
	c.Close()
	wantEvents(t, c, welcome, chatroom.Event{Kind: chatroom.KindJoin, Seq: 1}, message)
	wantEnd(t, c, chatroom.ErrClosed)

	// The name that is checked is the one in the address, unless another is given.
	_, err = client.Dial(within(t), l.Addr().String(), client.WithNick("ann"), client.WithTLS(&tls.Config{RootCAs: roots}))
	if _, ok := errors.AsType[x509.HostnameError](err); !ok {
		t.Errorf("Dial without the certificate's name: %v", err)
	}
}

// selfSigned returns a certificate for name, and the pool that trusts it.
func selfSigned(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestPasswordAndAccountAreHandedOver(t *testing.T) {
	srv, connect := bubbleHouse(t, chatroom.WithAuthenticator(chatroom.AuthenticatorFunc(
		func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
			switch {
			case req.Secret == "":
				return chatroom.Identity{}, chatroom.ErrPasswordRequired
			case req.Account != "ann@example" || req.Secret != "s3cret <&>":
				return chatroom.Identity{}, chatroom.ErrUnauthorized
			}
			return chatroom.Identity{Nick: "Ann", Account: req.Account, Role: chatroom.RoleAdmin}, nil
		})))
	for _, try := range []struct {
		password string
		want     error
	}{
		{"", chatroom.ErrPasswordRequired},
		{"guess", chatroom.ErrUnauthorized},
		{"s3cret <&>", nil},
	} {
		c, err := client.New(within(t), connect(),
			client.WithNick("ann"), client.WithAccount("ann@example"), client.WithPassword(try.password))
		if !errors.Is(err, try.want) {
			t.Errorf("with %q: %v; want %v", try.password, err, try.want)
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(srv.Members("lobby"), []chatroom.MemberInfo{c.Self()}); diff != "" {
			t.Errorf("Self (-server +client):\n%s", diff)
		}
		if self := c.Self(); self.Nick != "Ann" || self.Role != chatroom.RoleAdmin {
			t.Errorf("Self: %+v", self)
		}
		c.Close()
	}
}

func TestDialNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if c, err := client.Dial(within(t), l.Addr().String(), client.WithNick("ann")); err == nil {
		t.Errorf("joined %v", c.Self())
	}
}

func TestDialSaysWhyTheServerTurnsItAway(t *testing.T) {
	srv, err := chatroom.New(chatroom.WithLimits(chatroom.Limits{ConnsPerAddr: 1, ConnRatePerAddr: 2}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	defer serving.Wait()
	defer srv.Close()

	ann, err := client.Dial(within(t), l.Addr().String(), client.WithNick("ann"), client.WithoutReconnect())
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		var refused *chatroom.Error
		if _, err = client.Dial(within(t), l.Addr().String(), client.WithNick("bob")); !errors.As(err, &refused) {
			t.Fatalf("Dial: %v", err)
		}
		if refused.Code != chatroom.CodeFull || refused.Retry != chatroom.RetryLater || refused.After != 5*time.Second {
			t.Fatalf("Dial: %+v", refused)
		}
	}
	ann.Close()
	for srv.Stats().Conns > 0 {
		runtime.Gosched()
	}
	ann, err = client.Dial(within(t), l.Addr().String(), client.WithNick("ann"), client.WithoutReconnect())
	if err != nil {
		t.Fatal(err)
	}
	ann.Close()
	for srv.Stats().Conns > 0 {
		runtime.Gosched()
	}
	if _, err = client.Dial(within(t), l.Addr().String(), client.WithNick("ann")); !errors.Is(err, chatroom.ErrRateLimited) {
		t.Errorf("Dial: %v", err)
	}
}
