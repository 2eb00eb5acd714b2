package chatroom_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"example.com/chatroom"
)

// A fragile connection is one whose transport panics when it is told to.
type fragile struct {
	net.Conn
	breaks func(place string)
}

func (f fragile) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.breaks("read")
	return n, err
}

func (f fragile) Write(p []byte) (int, error) {
	f.breaks("write")
	return f.Conn.Write(p)
}

// A fragileFront panics in methods that a server calls in passing.
type fragileFront struct {
	chatroom.JSONFront
	breaks func(place string)
}

func (f *fragileFront) Name() string {
	f.breaks("name")
	return "fragile"
}

func (f *fragileFront) Serve(ctx context.Context, c *chatroom.Conn) error {
	if _, err := c.ReadLine(); err != nil {
		return err
	}
	if _, err := c.Join(ctx, chatroom.JoinRequest{Nick: "eve", Encoder: f}); err != nil {
		return err
	}
	return c.Continue(func() error {
		_, err := c.ReadLine()
		return err
	})
}

func (f *fragileFront) AppendEvent(dst []byte, e *chatroom.Event) []byte {
	if e.Kind == chatroom.KindMessage {
		f.breaks("encode")
	}
	if e.Kind == chatroom.KindWelcome {
		f.breaks("encode for one")
	}
	return f.JSONFront.AppendEvent(dst, e)
}

// What a server calls in passing may panic too. That costs one connection, or one event of those who share an encoder.
func TestThreat37PanickingInPassing(t *testing.T) {
	cert, _ := certificates(t)
	for _, tt := range []struct {
		place  string
		later  bool // once she has joined
		stays  bool // the connection does
		behind bool // a proxy, whose header is read first
	}{
		{place: "certificate"},
		{place: "name"},
		{place: "read"},
		{place: "read", later: true},
		{place: "read", behind: true},
		{place: "write", later: true},
		{place: "encode", later: true, stays: true},
		{place: "encode for one", stays: true},
	} {
		t.Run(fmt.Sprintf("%s %v %v", tt.place, tt.later, tt.behind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls, told atomic.Int64
				var joined atomic.Bool
				breaks := func(place string) {
					if place == tt.place && joined.Load() == tt.later && calls.Add(1) == 1 {
						panic("in " + place)
					}
				}
				srv := hostBubble(t, chatroom.WithFronts(&fragileFront{breaks: breaks}),
					chatroom.WithLogger(slog.New(onlyPanics{counting{slog.DiscardHandler, &told}})))
				ann := joinAs(t, srv, "ann")
				near, far := net.Pipe()
				far = fragile{far, breaks}
				if tt.place == "certificate" {
					near, far = tls.Client(near, &tls.Config{InsecureSkipVerify: true}), tls.Server(far, &tls.Config{
						GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
							breaks("certificate")
							return &cert, nil
						},
					})
				}
				if tt.behind {
					l := newPipes(t)
					go func(conn net.Conn) { l.queue <- from(conn, "10.0.0.1") }(far)
					var err error
					if far, err = chatroom.ProxyListener(l, netip.MustParsePrefix("10.0.0.0/8")).Accept(); err != nil {
						t.Fatal(err)
					}
				}
				eve := callOver(t, srv, near, far)
				eve.send("{")
				joined.Store(true)
				eve.send("{")
				mustSend(t, ann, chatroom.Say("", "hi"))
				mustSend(t, ann, chatroom.Say("", "still here"))
				heard := eve.hear()
				if calls.Load() == 0 || told.Load() != 1 {
					t.Errorf("called %d times, and %d panics are in the log", calls.Load(), told.Load())
				}
				if eve.gone() == tt.stays || strings.Contains(heard, "still here") != tt.stays {
					t.Errorf("she is gone: %v; she has heard %q", eve.gone(), heard)
				}
			})
		})
	}
}
