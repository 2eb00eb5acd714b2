package chatroomtest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/chatroom"
	"example.com/chatroom/chatroomtest"
)

// accounts has the admin ann, whose password is "correct Horse", and the member bob.
const accounts = `# chatroom accounts 1
ann admin $pbkdf2-sha256$i=10$AAAAAAAAAAAAAAAAAAAAAA$hl0cKBlX41AsSlq/ZoC7WEGRhGnNjCYiPld00JjorOs
bob member $pbkdf2-sha256$i=10$AAAAAAAAAAAAAAAAAAAAAA$vkPkDtqwOBV0KVtvV6e5Qbf/rFPkwN939mMSzoCcKt8
`

func passwords(t *testing.T) *chatroom.PasswordFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accounts")
	if err := os.WriteFile(path, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := chatroom.Passwords(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTheAuthenticatorsThatComeAlongKeepTheContract(t *testing.T) {
	many := chatroom.Tries{Free: 1000, Account: 1000, PerSecond: 1000}
	for name, wrap := range map[string]func(chatroom.Authenticator) chatroom.Authenticator{
		"Passwords": func(a chatroom.Authenticator) chatroom.Authenticator { return a },
		"FirstOf": func(a chatroom.Authenticator) chatroom.Authenticator {
			certs, err := chatroom.ClientCerts(chatroom.CertAccount{Account: "carol", CommonName: "carol"})
			if err != nil {
				t.Fatal(err)
			}
			return chatroom.FirstOf(certs, a, chatroom.OpenDoor())
		},
		"RequireTLS": chatroom.RequireTLS,
		"Throttle":   func(a chatroom.Authenticator) chatroom.Authenticator { return chatroom.Throttle(a, many) },
	} {
		t.Run(name, func(t *testing.T) {
			f := passwords(t)
			chatroomtest.TestAuthenticator(t, chatroomtest.AuthBackend{
				Auth: wrap(f), Account: "ann", Secret: "correct Horse", Role: chatroom.RoleAdmin, Other: "bob",
				Revoke: func() error { return f.Remove("ann") },
			})
		})
	}
}

// A memory is an Authenticator that keeps the contract, unless one of its methods is replaced.
type memory struct {
	mu      sync.Mutex
	revoked bool
	watched chan struct{} // closed when ann is revoked

	authenticate func(m *memory, ctx context.Context, req chatroom.AuthRequest) (chatroom.Identity, error)
	watch        func(m *memory, ctx context.Context, changed func(string)) error
	refresh      func(m *memory, ctx context.Context, id chatroom.Identity) (chatroom.Identity, error)
	admit        func(addr net.Addr) error
}

func newMemory() *memory {
	return &memory{
		watched:      make(chan struct{}),
		authenticate: (*memory).honest,
		watch:        (*memory).watchful,
		refresh:      (*memory).fresh,
		admit:        func(net.Addr) error { return nil },
	}
}

func (m *memory) Authenticate(ctx context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	return m.authenticate(m, ctx, req)
}

func (m *memory) Watch(ctx context.Context, changed func(string)) error {
	return m.watch(m, ctx, changed)
}

func (m *memory) Refresh(ctx context.Context, id chatroom.Identity) (chatroom.Identity, error) {
	return m.refresh(m, ctx, id)
}

func (m *memory) Admit(_ context.Context, addr net.Addr) error { return m.admit(addr) }

func (m *memory) isRevoked() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revoked
}

func (m *memory) revoke() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revoked = true
	close(m.watched)
	return nil
}

// honest knows ann and bob.
func (m *memory) honest(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	account := req.Account
	if account == "" {
		account = req.Nick
	}
	known := account == "ann" && !m.isRevoked() || account == "bob"
	switch {
	case req.Current != nil && (req.Nick == "ann" || req.Nick == "bob") && req.Nick != req.Current.Account:
		return chatroom.Identity{}, chatroom.ErrDenied
	case req.Current != nil:
		return chatroom.Identity{Nick: req.Nick, Account: req.Current.Account, Role: req.Current.Role}, nil
	case req.Secret == "" && !known && req.Account == "":
		return chatroom.Identity{}, chatroom.ErrNoAccount
	case req.Secret == "":
		return chatroom.Identity{}, chatroom.ErrPasswordRequired
	case !known || req.Secret != "correct Horse" || req.Nick != account && (req.Nick == "ann" || req.Nick == "bob"):
		return chatroom.Identity{}, chatroom.ErrUnauthorized
	}
	return chatroom.Identity{Nick: req.Nick, Account: account, Role: chatroom.RoleAdmin}, nil
}

func (m *memory) watchful(ctx context.Context, changed func(string)) error {
	select {
	case <-m.watched:
		changed("ann")
		<-ctx.Done()
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (m *memory) fresh(_ context.Context, id chatroom.Identity) (chatroom.Identity, error) {
	if m.isRevoked() {
		return chatroom.Identity{}, chatroom.ErrUnauthorized
	}
	return id, nil
}

// instead makes a memory's Authenticate from one that may leave the answer to the honest one.
func instead(f func(req chatroom.AuthRequest, honest func(chatroom.AuthRequest) (chatroom.Identity, error)) (chatroom.Identity, error)) func(*memory) {
	return func(m *memory) {
		m.authenticate = func(m *memory, ctx context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
			return f(req, func(req chatroom.AuthRequest) (chatroom.Identity, error) { return m.honest(ctx, req) })
		}
	}
}

// TestBrokenAuthenticatorsAreCaught breaks an Authenticator in one way at a time, and names the
// clauses that have to find it.
func TestBrokenAuthenticatorsAreCaught(t *testing.T) {
	type request = chatroom.AuthRequest
	type identity = chatroom.Identity
	type honest = func(request) (identity, error)
	for _, tt := range []struct {
		name string
		sin  func(m *memory)
		want string // the clauses, by name
	}{
		{"nothing is wrong", func(*memory) {}, ""},
		{"takes any secret", instead(func(r request, h honest) (identity, error) {
			if r.Secret != "" && r.Account == "ann" {
				r.Secret = "correct Horse"
			}
			return h(r)
		}), "awkward concurrent unknown wrong"},
		{"takes a secret in any case", instead(func(r request, h honest) (identity, error) {
			if strings.EqualFold(r.Secret, "correct Horse") {
				r.Secret = "correct Horse"
			}
			return h(r)
		}), "wrong"},
		{"takes a secret up to a NUL", instead(func(r request, h honest) (identity, error) {
			r.Secret, _, _ = strings.Cut(r.Secret, "\x00")
			return h(r)
		}), "wrong"},
		{"takes an account up to a NUL", instead(func(r request, h honest) (identity, error) {
			r.Account, _, _ = strings.Cut(r.Account, "\x00")
			return h(r)
		}), "awkward"},
		{"refuses a wrong secret with an error of its own", instead(func(r request, h honest) (identity, error) {
			id, err := h(r)
			if errors.Is(err, chatroom.ErrUnauthorized) {
				err = errors.New("401")
			}
			return id, err
		}), "awkward concurrent revoke unknown wrong"},
		{"does not ask for a secret", instead(func(r request, h honest) (identity, error) {
			id, err := h(r)
			if errors.Is(err, chatroom.ErrPasswordRequired) {
				err = chatroom.ErrUnauthorized
			}
			return id, err
		}), "missing"},
		{"says which accounts there are", instead(func(r request, h honest) (identity, error) {
			if r.Account == "nobody-there" {
				return identity{}, &chatroom.Error{Code: chatroom.CodeUnauthorized, Text: "no such account"}
			}
			return h(r)
		}), "unknown"},
		{"makes guests moderators", instead(func(r request, h honest) (identity, error) {
			id, err := h(r)
			if errors.Is(err, chatroom.ErrNoAccount) {
				id, err = identity{Nick: r.Nick, Role: chatroom.RoleModerator}, nil
			}
			return id, err
		}), "guest"},
		{"tells the secret", instead(func(r request, h honest) (identity, error) {
			id, err := h(r)
			if err != nil {
				err = fmt.Errorf("login %s:%s: %w", r.Account, r.Secret, err)
			}
			return id, err
		}), "secrecy"},
		{"gives a nick that is none", instead(func(r request, h honest) (identity, error) {
			id, err := h(r)
			id.Nick += " (staff)"
			return id, err
		}), "concurrent good rename"},
		{"gives no account", instead(func(r request, h honest) (identity, error) {
			id, err := h(r)
			id.Account = ""
			return id, err
		}), "concurrent good rename revoke"},
		{"gives another role", instead(func(r request, h honest) (identity, error) {
			id, err := h(r)
			id.Role = chatroom.RoleMember
			return id, err
		}), "concurrent good"},
		{"panics at what is not UTF-8", instead(func(r request, h honest) (identity, error) {
			if strings.Contains(r.Secret, "\xff") {
				panic("boo")
			}
			return h(r)
		}), "awkward"},
		{"lets everybody have every nick", instead(func(r request, h honest) (identity, error) {
			if r.Current != nil {
				return identity{Nick: r.Nick, Account: r.Account}, nil
			}
			return h(r)
		}), "rename"},
		{"leaves its accounts' nicks to others", instead(func(r request, h honest) (identity, error) {
			id, err := h(r)
			if r.Current != nil && err != nil {
				err = chatroom.ErrNoAccount
			}
			return id, err
		}), "rename"},
		{"wants a secret for a change of nick", instead(func(r request, h honest) (identity, error) {
			r.Current = nil
			return h(r)
		}), "rename"},
		{"lets accounts have each other's nicks at the door", instead(func(r request, h honest) (identity, error) {
			nick := r.Nick
			if r.Nick == "bob" && r.Account == "ann" {
				r.Nick = "ann"
			}
			id, err := h(r)
			id.Nick = nick
			return id, err
		}), "rename"},
		{"mixes up those who come at once", func(m *memory) {
			var last request
			m.authenticate = func(m *memory, ctx context.Context, req request) (identity, error) {
				m.mu.Lock()
				last = req
				m.mu.Unlock()
				for range 50 {
					runtime.Gosched() // a query
				}
				m.mu.Lock()
				req = last
				m.mu.Unlock()
				return m.honest(ctx, req)
			}
		}, "concurrent"},
		{"waits whatever the context says", func(m *memory) {
			m.authenticate = func(m *memory, ctx context.Context, req request) (identity, error) {
				if ctx.Err() != nil {
					<-m.watched
				}
				return m.honest(ctx, req)
			}
		}, "context secrecy"},
		{"admits nobody without an address", func(m *memory) {
			m.admit = func(addr net.Addr) error { return errors.New(addr.String()) }
		}, "admit"},
		{"refreshes a nick", func(m *memory) {
			m.refresh = func(m *memory, ctx context.Context, id identity) (identity, error) {
				id.Nick = id.Account
				return m.fresh(ctx, id)
			}
		}, "refresh"},
		{"watches for a moment", func(m *memory) {
			m.watch = func(*memory, context.Context, func(string)) error { return nil }
		}, "revoke watch"},
		{"watches for ever", func(m *memory) {
			m.watch = func(m *memory, ctx context.Context, changed func(string)) error {
				<-m.watched
				changed("ann")
				return nil
			}
		}, "watch"},
		{"watches and is silent", func(m *memory) {
			m.watch = func(_ *memory, ctx context.Context, _ func(string)) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}, "revoke"},
		{"refreshes what is revoked", func(m *memory) {
			m.refresh = func(_ *memory, _ context.Context, id identity) (identity, error) { return id, nil }
		}, "revoke"},
		{"lets in who is revoked", instead(func(r request, h honest) (identity, error) {
			id, err := h(r)
			if r.Account == "ann" && r.Nick == "ann" && r.Secret == "correct Horse" {
				id, err = identity{Nick: "ann", Account: "ann", Role: chatroom.RoleAdmin}, nil
			}
			return id, err
		}), "revoke"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				tt.sin(m)
				broken := chatroomtest.BrokenClauses(t.Context(), chatroomtest.AuthBackend{
					Auth: m, Account: "ann", Secret: "correct Horse", Role: chatroom.RoleAdmin, Other: "bob", Revoke: m.revoke,
				})
				if !m.isRevoked() {
					_ = m.revoke() // lets go who waits for it
				}
				if got := strings.Join(slices.Sorted(maps.Keys(broken)), " "); got != tt.want {
					t.Errorf("it breaks %q, want %q: %v", got, tt.want, broken)
				}
			})
		})
	}
}
