package chatroom_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

func TestFirstOfAsksUntilSomebodyKnows(t *testing.T) {
	pair, _ := certificates(t)
	certs, err := chatroom.ClientCerts(
		chatroom.CertAccount{Account: "alice", Role: chatroom.RoleModerator, Fingerprint: fingerprint(pair)})
	if err != nil {
		t.Fatal(err)
	}
	alice := handshake(t, &tls.Config{ClientAuth: tls.RequestClientCert}, pair)
	auth := chatroom.FirstOf(certs, annAndBob(t), chatroom.OpenDoor())
	guest := &chatroom.Identity{Nick: "guest"}
	for _, tt := range []struct {
		name string
		req  chatroom.AuthRequest
		want chatroom.Identity
		err  error
	}{
		{"a certificate", chatroom.AuthRequest{Nick: "al", TLS: alice}, chatroom.Identity{Nick: "al", Account: "alice", Role: chatroom.RoleModerator}, nil},
		{"a password", chatroom.AuthRequest{Nick: "ann", Secret: "correct"}, chatroom.Identity{Nick: "ann", Account: "Ann", Role: chatroom.RoleAdmin}, nil},
		{"a certificate and another account", chatroom.AuthRequest{Nick: "al", Account: "bob", Secret: "bob's", TLS: alice}, chatroom.Identity{Nick: "al", Account: "bob"}, nil},
		{"a guest", chatroom.AuthRequest{Nick: "guest"}, chatroom.Identity{Nick: "guest"}, nil},
		{"a wrong password is not a guest", chatroom.AuthRequest{Nick: "ann", Secret: "x"}, chatroom.Identity{}, chatroom.ErrUnauthorized},
		{"no password is not a guest", chatroom.AuthRequest{Nick: "ann"}, chatroom.Identity{}, chatroom.ErrPasswordRequired},
		{"a guest under the nick of one with a certificate", chatroom.AuthRequest{Nick: "Alice"}, chatroom.Identity{}, chatroom.ErrDenied},
		{"a password under the nick of one with a certificate", chatroom.AuthRequest{Nick: "Alice", Account: "ann", Secret: "correct"}, chatroom.Identity{}, chatroom.ErrDenied},
		{"a certificate under the nick of one with a password", chatroom.AuthRequest{Nick: "ann", TLS: alice}, chatroom.Identity{}, chatroom.ErrDenied},
		{"a guest's rename", chatroom.AuthRequest{Nick: "new", Current: guest}, chatroom.Identity{Nick: "new"}, nil},
		{"a guest's rename to one with a certificate", chatroom.AuthRequest{Nick: "ALICE", Current: guest}, chatroom.Identity{}, chatroom.ErrDenied},
		{"a guest's rename to one with a password", chatroom.AuthRequest{Nick: "ANN", Current: guest}, chatroom.Identity{}, chatroom.ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := auth.Authenticate(t.Context(), tt.req)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got the error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, nobody := range []chatroom.Authenticator{chatroom.FirstOf(), chatroom.FirstOf(certs, annAndBob(t))} {
		if _, err := nobody.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "guest"}); !errors.Is(err, chatroom.ErrNoAccount) {
			t.Errorf("who nobody knows: %v", err)
		}
	}
}

// A bouncer is an Authenticator that knows nobody, and turns one address away.
type bouncer struct {
	chatroom.Authenticator
	against string
}

func (b bouncer) Admit(_ context.Context, addr net.Addr) error {
	if addr.String() == b.against {
		return chatroom.ErrBanned
	}
	return nil
}

func TestAddOnsShineThrough(t *testing.T) {
	plain, passwords := chatroom.OpenDoor(), annAndBob(t)
	for _, tt := range []struct {
		name              string
		auth              chatroom.Authenticator
		admits, refreshes bool
	}{
		{"none", chatroom.FirstOf(plain, plain), false, false},
		{"Admitter", chatroom.FirstOf(plain, bouncer{plain, ""}), true, false},
		{"Refresher", chatroom.FirstOf(passwords, plain), false, true},
		{"both", chatroom.Throttle(chatroom.RequireTLS(chatroom.FirstOf(bouncer{plain, ""}, passwords)), chatroom.Tries{}), true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, admits := tt.auth.(chatroom.Admitter)
			_, refreshes := tt.auth.(chatroom.Refresher)
			if admits != tt.admits || refreshes != tt.refreshes {
				t.Errorf("Admitter: %v, Refresher: %v", admits, refreshes)
			}
		})
	}
	all := chatroom.FirstOf(bouncer{plain, "192.0.2.1:1"}, bouncer{plain, "192.0.2.2:1"}).(chatroom.Admitter)
	for i := range 4 {
		err := all.Admit(t.Context(), &net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(i)), Port: 1})
		if (err != nil) != (i == 1 || i == 2) {
			t.Errorf("192.0.2.%d: %v", i, err)
		}
	}
}

func TestWhoeverGaveAnAccountRefreshesIt(t *testing.T) {
	one := passwords(t, accountFile(t, accountHeader+accountLine("ann", "admin", "a")+accountLine("both", "member", "1")))
	two := passwords(t, accountFile(t, accountHeader+accountLine("bob", "member", "b")+accountLine("both", "admin", "2")))
	all := chatroom.FirstOf(falling{one}, two).(chatroom.Refresher)
	ids := map[string]chatroom.Identity{}
	for secret, nick := range map[string]string{"a": "ann", "b": "bob", "1": "both", "2": "both"} {
		id, err := all.Authenticate(t.Context(), chatroom.AuthRequest{Nick: nick, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		ids[nick] = id
	}
	changed := watched(t, all)
	for _, tt := range []struct {
		f    *chatroom.PasswordFile
		name string
		role chatroom.Role
	}{{one, "ann", chatroom.RoleMember}, {two, "bob", chatroom.RoleModerator}, {one, "both", chatroom.RoleModerator}} {
		if err := tt.f.Set(tt.name, "new", tt.role); err != nil {
			t.Fatal(err)
		}
		if got := <-changed; got != tt.name {
			t.Errorf("%q changed, want %q", got, tt.name)
		}
		got, err := all.Refresh(t.Context(), ids[tt.name])
		if diff := cmp.Diff(chatroom.Identity{Nick: tt.name, Account: tt.name, Role: tt.role}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	if err := two.Remove("both"); err != nil {
		t.Fatal(err)
	}
	<-changed
	if _, err := all.Refresh(t.Context(), ids["both"]); !errors.Is(err, chatroom.ErrUnauthorized) {
		t.Errorf("an account that one of two has removed: %v", err)
	}
	if guest, err := all.Refresh(t.Context(), chatroom.Identity{Nick: "guest"}); err != nil || guest.Nick != "guest" {
		t.Errorf("a guest: %v, %v", guest, err)
	}
}

// falling is a PasswordFile that leaves to others whom it refuses.
type falling struct{ *chatroom.PasswordFile }

func (f falling) Authenticate(ctx context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	id, err := f.PasswordFile.Authenticate(ctx, req)
	if errors.Is(err, chatroom.ErrUnauthorized) {
		err = chatroom.ErrNoAccount
	}
	return id, err
}

func TestWatchEndsWhenOneOfSeveralFails(t *testing.T) {
	down := errors.New("down")
	auth := chatroom.FirstOf(annAndBob(t), failing{chatroom.OpenDoor(), down}).(chatroom.Refresher)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := auth.Watch(ctx, func(string) {}); !errors.Is(err, down) {
		t.Errorf("Watch returned %v", err)
	}
}

// failing is a Refresher that cannot watch.
type failing struct {
	chatroom.Authenticator
	err error
}

func (f failing) Watch(context.Context, func(string)) error { return f.err }

func (f failing) Refresh(context.Context, chatroom.Identity) (chatroom.Identity, error) {
	return chatroom.Identity{}, f.err
}

func TestPasswordsInTheClearAreRefused(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 4711} }
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	inner := annAndBob(t)
	auth := chatroom.RequireTLS(chatroom.FirstOf(inner, chatroom.OpenDoor()))
	for _, tt := range []struct {
		name    string
		addr    net.Addr
		tls     *tls.ConnectionState
		exposed bool
	}{
		{"far away", tcp("192.0.2.1"), nil, true},
		{"in the same network", tcp("10.0.0.1"), nil, true},
		{"far away, IPv6", tcp("2001:db8::1"), nil, true},
		{"from nowhere", nil, nil, true},
		{"over UDP", &net.UDPAddr{IP: net.ParseIP("192.0.2.1")}, nil, true},
		{"over TLS", tcp("192.0.2.1"), &tls.ConnectionState{}, false},
		{"from here", tcp("127.0.0.1"), nil, false},
		{"from here, otherwise", tcp("127.1.2.3"), nil, false},
		{"from here, IPv6", tcp("::1"), nil, false},
		{"from here, both", tcp("::ffff:127.0.0.1"), nil, false},
		{"over a Unix socket", &net.UnixAddr{Name: "@", Net: "unix"}, nil, false},
		{"over a pipe", near.RemoteAddr(), nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := chatroom.AuthRequest{Nick: "ann", Addr: tt.addr, TLS: tt.tls}
			want := chatroom.ErrPasswordRequired
			if tt.exposed {
				want = chatroom.ErrDenied // rather than ask for what it cannot take
			}
			if _, err := auth.Authenticate(t.Context(), req); !errors.Is(err, want) {
				t.Errorf("without a password: %v, want %v", err, want)
			}
			req.Secret, want = "correct", nil
			if tt.exposed {
				want = chatroom.ErrDenied
			}
			if _, err := auth.Authenticate(t.Context(), req); !errors.Is(err, want) || chatroom.SecretExposed(req) != tt.exposed {
				t.Errorf("with a password: %v, want %v", err, want)
			}
			if _, err := auth.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "guest", Addr: tt.addr, TLS: tt.tls}); err != nil {
				t.Errorf("a guest: %v", err)
			}
		})
	}
}
