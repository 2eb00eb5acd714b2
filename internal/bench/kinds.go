//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"time"

	"example.com/chatroom"
)

// A kind is a kind of server: how to start one, and how to speak to it.
type kind struct {
	name   string
	wire   *wire
	tls    bool
	served func(net.Listener) (hosted, error)
}

// A hosted server has been started. close ends it, and is called once its listener is closed.
type hosted interface {
	counts() counts
	close()
}

// counts are what a server knows of its members.
type counts struct {
	Members int
	TooSlow int // members cut off for being too slow, so far
}

var kinds = []kind{
	{"ours-json", &jsonWire, false, serveOurs},
	{"ours-text", &textWire, false, serveOurs},
	{"ours-tls", &jsonWire, true, serveTLS},
	{"floor-batch", &floorWire, false, func(l net.Listener) (hosted, error) { return newFloor(l, newBatch()), nil }},
	{"floor-queue", &floorWire, false, func(l net.Listener) (hosted, error) { return newFloor(l, newQueues()), nil }},
	{"floor-write", &floorWire, false, func(l net.Listener) (hosted, error) { return newFloor(l, new(everyWrite)), nil }},
	{"floor-greet", &floorWire, false, func(l net.Listener) (hosted, error) { return newFloor(l, greeting{}), nil }},
}

func kindNamed(name string) (kind, bool) {
	for _, k := range kinds {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}

// An ours is a chatroom as chatroom.New makes it, but that members may say and join as fast as they can, all from
// one address: what is measured is the cost, not the limits. All other limits are the default ones.
type ours struct {
	srv   chatroom.Server
	ended chan error // what Serve returned
}

func serveOurs(l net.Listener) (hosted, error) {
	srv, err := chatroom.New(
		chatroom.WithLimits(chatroom.Limits{MessageRate: -1, MoveRate: -1}),
		chatroom.WithExempt(netip.MustParsePrefix("127.0.0.0/8")))
	if err != nil {
		return nil, err
	}
	o := &ours{srv, make(chan error, 1)}
	go func() { o.ended <- srv.Serve(l) }()
	return o, nil
}

func (o *ours) counts() counts {
	s := o.srv.Stats()
	return counts{Members: s.Members, TooSlow: int(s.Ended[chatroom.CodeTooSlow])}
}

func (o *ours) close() {
	_ = o.srv.Close() // it has no error to return
	<-o.ended
}

// serveTLS is serveOurs with a certificate made for the occasion.
func serveTLS(l net.Listener) (hosted, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
	return serveOurs(tls.NewListener(l, conf))
}
