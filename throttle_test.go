package chatroom_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// A counted is an Authenticator that knows the password of every account, "right", and counts
// how many it was asked about.
type counted struct {
	checks atomic.Int32
}

func (c *counted) Authenticate(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	c.checks.Add(1)
	switch req.Secret {
	case "":
		return chatroom.Identity{}, chatroom.ErrPasswordRequired
	case "right":
		return chatroom.Identity{Nick: req.Nick, Account: req.Nick}, nil
	case "panic":
		panic("boo")
	case "no account":
		return chatroom.Identity{}, chatroom.ErrNoAccount
	case "broken":
		return chatroom.Identity{}, errors.New("the accounts are out of reach")
	}
	return chatroom.Identity{}, chatroom.ErrUnauthorized
}

// throttled runs f in a bubble, with a try that says how long it has to wait, and zero if it was
// let through.
func throttled(t *testing.T, tries chatroom.Tries, f func(t *testing.T, c *counted, a chatroom.Authenticator, try func(ip, nick, secret string) time.Duration)) {
	synctest.Test(t, func(t *testing.T) {
		c := new(counted)
		a := chatroom.Throttle(c, tries)
		f(t, c, a, func(ip, nick, secret string) time.Duration {
			t.Helper()
			addr := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 4711))
			_, err := a.Authenticate(t.Context(), chatroom.AuthRequest{Nick: nick, Secret: secret, Addr: addr})
			e, ok := errors.AsType[*chatroom.Error](err)
			if !ok || e.Code != chatroom.CodeRateLimited {
				return 0
			}
			if e.Retry != chatroom.RetryLater || e.After <= 0 {
				t.Errorf("over the limit it says %+v", e)
			}
			return e.After
		})
	})
}

func TestOneAddressTriesFewPasswords(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, _ chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		checks := map[time.Duration]int32{}
		pause := 60 * time.Millisecond // a thousand in the first minute
		for i, start := 0, time.Now(); time.Since(start) <= 24*time.Hour; i++ {
			try("192.0.2.1", fmt.Sprint("account", i%50), "guess")
			time.Sleep(pause)
			if passed := time.Since(start); passed%time.Minute == 0 {
				checks[passed], pause = c.checks.Load(), time.Second
			}
		}
		for after, most := range map[time.Duration]int32{time.Minute: 5, time.Hour: 12, 24 * time.Hour: 104} {
			if checks[after] > most || checks[after] < most-1 {
				t.Errorf("%d checks after %v, want %d", checks[after], after, most)
			}
		}
	})
}

// Somebody guesses as fast as connections can be made, from one network, over each front.
func TestThreat26BruteForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int32
		auth := chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
			if req.Secret == "" {
				return chatroom.Identity{}, chatroom.ErrPasswordRequired
			}
			checks.Add(1)
			return chatroom.Identity{}, chatroom.ErrUnauthorized
		})
		srv := hostBubble(t, chatroom.WithAuthenticator(chatroom.Throttle(auth, chatroom.Tries{})), chatroom.WithPlaintextSecrets())
		tried := 0
		for i, begun := 0, time.Now(); time.Since(begun) < time.Minute; i++ {
			c := callFrom(t, srv, fmt.Sprintf("2001:db8:1:2::%x", i))
			for n := range 3 {
				account := fmt.Sprintf("account%d", 3*i+n)
				if i%2 == 0 {
					c.send(`{"type":"join","nick":"` + account + `","password":"guess"}`)
				} else {
					c.send(account, "guess")
				}
				tried++
			}
			c.conn.Close()
			time.Sleep(100 * time.Millisecond)
		}
		if n := checks.Load(); n > 5 || tried < 1000 {
			t.Errorf("%d of %d guesses were checked", n, tried)
		}
		other := callFrom(t, srv, "2001:db8:1:3::1")
		other.send(`{"type":"join","nick":"ann","password":"guess"}`)
		if heard := other.hear(); !strings.Contains(heard, `"unauthorized"`) {
			t.Errorf("a neighbour hears %s", heard)
		}
	})
}

func TestAWaitIsAsLongAsItSays(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, _ chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		var waits []time.Duration
		for len(waits) < 7 {
			wait := try("2001:db8::1", "ann", "guess")
			if wait > 0 {
				waits = append(waits, wait)
				time.Sleep(wait - 1)
				if try("2001:db8::2", "bob", "guess") != 1 { // the same /64
					t.Fatal("the last nanosecond was not waited for")
				}
				time.Sleep(1 * time.Nanosecond)
			}
		}
		if got := fmt.Sprint(waits); got != "[1m0s 2m0s 4m0s 8m0s 15m0s 15m0s 15m0s]" {
			t.Errorf("the waits are %v", got)
		}
		time.Sleep(14 * time.Minute)
		try("192.0.2.99", "zoe", "guess") // tidies up
		time.Sleep(time.Minute)
		for i := range 5 {
			if wait := try("2001:db8::1", "ann", "guess"); wait > 0 {
				t.Errorf("after a long silence the try %d has to wait %v", i, wait)
			}
		}
		if try("2001:db8:0:1::1", "carol", "guess") > 0 || try("192.0.2.1", "carol", "guess") > 0 {
			t.Error("another address has to wait too")
		}
	})
}

func TestAnIPv4AddressIsTheSameInIPv6(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, _ chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		for range 5 {
			try("::ffff:192.0.2.1", "ann", "guess")
		}
		if try("192.0.2.1", "ann", "guess") == 0 || try("::ffff:192.0.2.2", "ann", "guess") > 0 {
			t.Error("::ffff:192.0.2.1 does not count as 192.0.2.1, or counts as ::ffff:192.0.2.2")
		}
	})
}

func TestOnlySoManyGoodAddressesAreRemembered(t *testing.T) {
	throttled(t, chatroom.Tries{PerSecond: 1e6}, func(t *testing.T, c *counted, a chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		for i := range 20_000 {
			try(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), "ann", "right")
		}
		if got := chatroom.Remembered(a); c.checks.Load() != 20_000 || got > 10_001 {
			t.Errorf("%d things are remembered of %d, want 10,000 and ann", got, c.checks.Load())
		}
	})
}

func TestARightPasswordNeitherCountsNorMakesUpForWrongOnes(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, _ chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		for i := range 100 { // an office behind one address, after a restart
			if wait := try("192.0.2.1", fmt.Sprint("m", i), "right"); wait > 0 {
				t.Fatalf("member %d has to wait %v", i, wait)
			}
			time.Sleep(time.Second / 20)
		}
		wrong := 0
		for range 100 {
			if try("192.0.2.1", "mallory", "right") == 0 && try("192.0.2.1", "ann", "guess") == 0 {
				wrong++
			}
		}
		if wrong != 5 {
			t.Errorf("%d wrong passwords were checked between right ones, want 5", wrong)
		}
		if try("192.0.2.1", "mallory", "right") == 0 {
			t.Error("who has to wait may not try a right one either")
		}
	})
}

func TestABackendOutOfReachLocksNobodyOutAndAPanicIsATry(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, a chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		for range 100 {
			if try("192.0.2.1", "ann", "broken") > 0 {
				t.Fatal("ann has to wait")
			}
			time.Sleep(time.Second / 20)
		}
		for range 5 {
			func() {
				defer func() { _ = recover() }()
				try("192.0.2.1", "ann", "panic")
			}()
		}
		if try("192.0.2.1", "ann", "guess") == 0 {
			t.Error("panics do not count")
		}
		for range 5 {
			try("192.0.2.2", "ann", "no account")
		}
		if try("192.0.2.2", "ann", "guess") == 0 {
			t.Error("accounts that are not there do not count")
		}
	})
}

func TestWhoGivesNoPasswordIsNotThrottled(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, a chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		ann := chatroom.Identity{Nick: "ann"}
		for range 1000 {
			try("192.0.2.1", "ann", "")
			_, _ = a.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "annie", Current: &ann})
		}
		if got := c.checks.Load(); got != 2000 {
			t.Errorf("%d of 2000 were let through", got)
		}
	})
}

func TestAllAddressesTogetherTry20PasswordsASecond(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, _ chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		for i := range 10_000 {
			try(fmt.Sprintf("10.0.%d.%d", i%4, i%250), fmt.Sprint("account", i), "guess")
			time.Sleep(time.Millisecond)
		}
		if got := c.checks.Load(); got < 200 || got > 220 {
			t.Errorf("%d checks in 10 s, want 20 and 200", got)
		}
	})
}

func TestAnAccountIsGuessedAtSlowlyFromManyAddresses(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, _ chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		if try("192.0.2.1", "ann", "right") > 0 {
			t.Fatal("ann has to wait")
		}
		for i := range 3600 {
			try(fmt.Sprintf("10.0.%d.%d", i/250, i%250), []string{"ann", "ＡNN"}[i%2], "guess")
			time.Sleep(time.Second)
		}
		try("10.1.0.0", "ann", "guess")
		if try("10.1.0.1", "ann", "right") == 0 {
			t.Error("the account takes any number of tries")
		}
		if got := c.checks.Load() - 1; got > 81 {
			t.Errorf("%d checks in an hour, want 20 and 60", got)
		}
		if try("192.0.2.1", "ann", "right") > 0 {
			t.Error("ann is locked out where she has logged in before")
		}
	})
}

// TestAFewAddressesLockNobodyOut has ten addresses that guess at one account for two days.
func TestAFewAddressesLockNobodyOut(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, _ chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		for minute := range 2 * 24 * 60 {
			for i := range 10 {
				try(fmt.Sprint("10.0.0.", i), "ann", "guess")
			}
			if minute > 60 && minute%60 == 0 && try(fmt.Sprintf("192.0.2.%d", minute/60), "ann", "right") > 0 {
				t.Fatalf("ann has to wait after %d minutes", minute)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestAFloodOfAddressesMakesAGuesserNoBetter has more addresses than are worth remembering try
// accounts that are not there, to have the one that guesses forgotten.
func TestAFloodOfAddressesMakesAGuesserNoBetter(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, a chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		guesses, most := 0, 0
		for i := range 60_000 { // fifty minutes
			if i%100 == 0 && try("192.0.2.1", "ann", "guess") == 0 {
				guesses++
			}
			try(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), fmt.Sprint("m", i), "guess")
			try(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), fmt.Sprint("n", i), "right")
			most = max(most, chatroom.Remembered(a))
			time.Sleep(time.Second / 20)
		}
		if guesses > 12 {
			t.Errorf("%d guesses, want at most 12", guesses)
		}
		if limit := 3*15*60*20 + 10_000; most > limit {
			t.Errorf("%d things are remembered, want at most %d", most, limit)
		}
		t.Logf("%d guesses; at most %d things remembered", guesses, most)
	})
}

func TestThrottleHoldsItsLimitsUnderConcurrency(t *testing.T) {
	throttled(t, chatroom.Tries{}, func(t *testing.T, c *counted, a chatroom.Authenticator, try func(ip, nick, secret string) time.Duration) {
		done := make(chan struct{})
		for i := range 100 {
			go func() {
				try("192.0.2.1", fmt.Sprint("m", i), "guess")
				done <- struct{}{}
			}()
		}
		for range 100 {
			<-done
		}
		if got := c.checks.Load(); got != 5 {
			t.Errorf("%d of 100 at once were checked, want 5", got)
		}
	})
}

func TestConnectionsWithoutAnIPAddressCountAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(counted)
		a := chatroom.Throttle(c, chatroom.Tries{Free: 2})
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		for i, addr := range []net.Addr{near.RemoteAddr(), nil, &net.UnixAddr{Name: "@", Net: "unix"}} {
			_, err := a.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "ann", Secret: "guess", Addr: addr})
			if limited := errors.Is(err, chatroom.ErrRateLimited); limited != (i == 2) {
				t.Errorf("the try %d: %v", i, err)
			}
		}
	})
}
