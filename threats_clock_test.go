package chatroom

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

// later returns what time.Now would say d after at, if the machine's clock was changed by so much meanwhile: another time
// of day, and the monotonic reading that tells how long it really was. Nothing but the machine makes such a Time, so
// this knows what one looks like inside.
func later(t *testing.T, at time.Time, d, by time.Duration) time.Time {
	t.Helper()
	const second = 1 << 30 // below it are the nanoseconds
	then := at.Add(d)
	*(*uint64)(unsafe.Pointer(&then)) += uint64(by/time.Second) * second
	if then.Sub(at) != d || then.Round(0).Sub(at.Round(0)) != d+by {
		t.Fatalf("a time.Time looks different inside: %v became %v", at, then)
	}
	return then
}

// Whatever lasts an hour lasts an hour, however the machine's clock is changed meanwhile, once the server knows of it.
func TestThreat35ClockJumps(t *testing.T) {
	const hour, years = time.Hour, 10 * 365 * 24 * time.Hour
	onEve := func(s *server, at time.Time) bool { return len(s.index.on(Subject{Keys: NickKeys("eve")}, at)) > 0 }
	muted := func(s *server, at time.Time) bool { return !s.lookUp("eve").mute.Load().Expired(at) }
	for _, tt := range []struct {
		name   string
		loaded Effect
		given  Command
		holds  func(s *server, at time.Time) bool
	}{
		{"a ban loaded", EffectBan, Command{}, onEve},
		{"a ban given", "", Command{Verb: VerbBan, Target: "nick:eve", For: hour}, onEve},
		{"a mute loaded", EffectMute, Command{}, muted},
		{"a mute given", "", Command{Verb: VerbMute, Nick: "eve", For: hour}, muted},
		{"a lock", "", Command{Verb: VerbLock, Room: "lobby", For: hour}, func(s *server, at time.Time) bool {
			return s.room("lobby").mode.shuts("", at)
		}},
		{"slow mode", "", Command{Verb: VerbSlow, Room: "lobby", Every: time.Minute, For: hour}, func(s *server, at time.Time) bool {
			return s.room("lobby").mode.slowness(at) > 0
		}},
	} {
		for _, by := range []time.Duration{-years, -hour, hour, years} {
			t.Run(fmt.Sprint(tt.name, ", ", by), func(t *testing.T) {
				var stored []Ban
				if tt.loaded != "" {
					stored = []Ban{{ID: "1", Effect: tt.loaded, Kind: BanNick, Value: "eve", Expires: time.Now().Round(0).UTC().Add(hour)}}
				}
				s := clockedServer(t, stored, tt.given)
				at := time.Now()
				for d, want := range map[time.Duration]bool{0: true, hour - time.Minute: true, hour + time.Minute: false} {
					if got := tt.holds(s, later(t, at, d, by)); got != want {
						t.Errorf("after %v it holds: %v", d, got)
					}
				}
			})
		}
	}
}

// What a store says again ends when it would have, and not when the clock says by now.
func TestThreat35BansListedAgain(t *testing.T) {
	at := time.Now()
	for _, by := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		b := Ban{ID: "1", Kind: BanNick, Value: "eve", Expires: later(t, at, time.Hour, by)}
		x := newBanIndex([]Ban{b})
		b.Expires = b.Expires.UTC()
		x.replace([]Ban{b})
		for d, want := range map[time.Duration]int{0: 1, 59 * time.Minute: 1, 61 * time.Minute: 0} {
			if got := x.on(newSubject("eve", "", netip.Addr{}), at.Add(d)); len(got) != want {
				t.Errorf("the clock was changed by %v; after %v it holds: %v", by, d, got)
			}
		}
	}
}

// clockedServer returns a server with those bans in its store, and eve here if she may be, in which cmd was given.
func clockedServer(t *testing.T, stored []Ban, cmd Command) *server {
	t.Helper()
	srv, err := New(WithBanStore(MemoryBans(stored...)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	_, _ = srv.Join(t.Context(), Identity{Nick: "eve"}) // she may be banned
	if cmd.Verb != "" {
		if _, err := srv.Moderate(t.Context(), cmd); err != nil {
			t.Fatal(err)
		}
	}
	return srv.(*server)
}

// After a restart it is the time of day that counts, to which stores keep when a ban ends.
func TestThreat35TimeOfDayAfterARestart(t *testing.T) {
	for away, want := range map[time.Duration]bool{-time.Minute: false, time.Minute: true} {
		s := clockedServer(t, []Ban{{ID: "1", Kind: BanNick, Value: "bob", Expires: time.Now().Round(0).Add(away)}}, Command{})
		if _, err := s.Join(t.Context(), Identity{Nick: "bob"}); (err != nil) != want {
			t.Errorf("a ban that ends in %v: %v", away, err)
		}
	}
}
