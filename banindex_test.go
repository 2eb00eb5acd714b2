package chatroom

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestWhomABanIsOn(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	type list = []string
	for _, c := range []struct {
		kind    BanKind
		value   string
		on, off []string // nicks, accounts or addresses
	}{
		{BanNick, "Bob", list{"bob", "BOB", " bob ", "ｂｏｂ", "b0b", "Воb", "ⓑob"}, list{"bobby", "rob", "bоbа"}},
		{BanNick, " ", nil, list{"bob", "", " "}},
		{BanNick, "", nil, list{"bob", ""}},
		{BanMask, "spam*", list{"Spam1", "ＳＰＡＭx", "ѕраm99", "sparn", "SPAM"}, list{"xspam", "spa", "spär", ""}},
		{BanMask, "SPAM*", list{"Spam1", "ＳＰＡＭx", "ѕраm99", "sparn"}, list{"xspam"}},
		{BanMask, "*", list{"a", "安", "🦊"}, list{""}},
		{BanMask, "?", list{"a", "m", "安", "e\u0301"}, list{"ab", "rn", ""}},
		{BanMask, "b?b", list{"bob", "B0B", "bmb", "bёb", "ｂxｂ"}, list{"bb", "boob", "bobb"}},
		{BanMask, "*serv*", list{"serv", "nickserv2", "NIСKSЕRV"}, list{"sevr"}},
		{BanMask, "r*", list{"rob", "RX"}, list{"mike"}},
		{BanMask, "a b*", nil, list{"ab", "a b", "a bc"}},
		{BanMask, "", nil, list{"ab", ""}},
		{BanMask, "то*", list{"TOx", "Тоx"}, list{"хто"}},
		{BanMask, "0?", list{"o\u1112\u1161\u11ab", "о한"}, list{"o한x"}},
		{BanMask, "b*", list{"bx"}, list{"b\u0301", "b\u0301x"}},
		{BanMask, "k?", list{"kg", "㎏"}, list{"k"}},
		{BanMask, "?", list{"㎏"}, list{"kg"}},
		{BanMask, "bob", list{"Bob", "b0b"}, list{"bobby"}},
		{BanAccount, "bob", list{"bob"}, list{"Bob", "b0b", ""}},
		{BanAccount, "", nil, list{"", "bob"}},
		{BanAddr, "192.0.2.7", list{"192.0.2.7", "::ffff:192.0.2.7"}, list{"192.0.2.8", "::192.0.2.7", ""}},
		{BanAddr, "192.0.2.7/24", list{"192.0.2.255", "::ffff:192.0.2.1"}, list{"192.0.3.7"}},
		{BanAddr, "::ffff:192.0.2.7", list{"192.0.2.7", "::ffff:192.0.2.7"}, list{"::7"}},
		{BanAddr, "::ffff:192.0.2.7/120", list{"192.0.2.9"}, list{"192.0.3.9"}},
		{BanAddr, "::ffff:192.0.2.7/90", nil, list{"192.0.2.7", "::ffff:192.0.2.7"}},
		{BanAddr, "0.0.0.0/0", list{"192.0.2.7"}, list{"2001:db8::7", ""}},
		{BanAddr, "::/0", list{"2001:db8::7", "::1"}, list{"192.0.2.7", "::ffff:192.0.2.7"}},
		{BanAddr, "2001:db8::7", list{"2001:db8::7", "2001:db8::7%eth0"}, list{"2001:db8::8"}},
		{BanAddr, "2001:db8::7/64", list{"2001:db8::8"}, list{"2001:db8:0:1::7"}},
		{BanAddr, "fe80::1%eth0", list{"fe80::1", "fe80::1%eth1"}, list{"fe80::2"}},
		{BanAddr, "192.0.2.0/33", nil, list{"192.0.2.0", "192.0.2.1", ""}},
		{BanAddr, "192.0.2", nil, list{"192.0.2.0", ""}},
		{BanAddr, "", nil, list{"192.0.2.0", "::", ""}},
		{"host", "bob", nil, list{"bob"}},
	} {
		b := Ban{ID: "x", Kind: c.kind, Value: c.value, Expires: now.Add(1)}
		for i, who := range slices.Concat(c.on, c.off) {
			s := newSubject(who, "", netip.Addr{})
			switch c.kind {
			case BanAccount:
				s = newSubject("bob", who, netip.Addr{})
			case BanAddr:
				a, _ := netip.ParseAddr(who) // the empty one is none
				s = newSubject("bob", "bob", a)
			}
			if got := b.covers(&s, now); got != (i < len(c.on)) {
				t.Errorf("%s %q is on %q: %v", c.kind, c.value, who, got)
			}
			if b.covers(&s, b.Expires) {
				t.Errorf("%s %q is on %q when it has expired", c.kind, c.value, who)
			}
		}
	}
}

// isOn says what a banIndex has to, without an index.
func isOn(b *Ban, s *Subject, now time.Time) bool {
	switch b.Kind {
	case BanNick:
		keys := NickKeys(b.Value)
		return !b.Expired(now) && slices.ContainsFunc(s.Keys, func(key string) bool { return slices.Contains(keys, key) })
	case BanMask:
		return !b.Expired(now) && newMask(b.Value).matches(maskTexts(s.Nick))
	case BanAccount:
		return !b.Expired(now) && s.Account != "" && s.Account == b.Value
	case BanAddr:
		p, _, err := parsePrefix(b.Value)
		return !b.Expired(now) && err == nil && p.Contains(s.Addr.Unmap().WithZone(""))
	}
	return false
}

// randomBans makes bans and subjects that often meet.
type randomBans struct {
	*rand.Rand
	now time.Time
}

func (r randomBans) pick(of ...string) string { return of[r.IntN(len(of))] }

func (r randomBans) nick() string {
	var nick strings.Builder
	for range 1 + r.IntN(3) {
		nick.WriteString(r.pick("a", "A", "а", "m", "rn", "n", "Ν", "ν", "ä", "ａ"))
	}
	return nick.String()
}

func (r randomBans) addr() string {
	return r.pick("192.0.2.", "::ffff:192.0.2.", "198.51.100.") + strconv.Itoa(r.IntN(8))
}

func (r randomBans) ban() Ban {
	b := Ban{
		ID: strconv.Itoa(r.IntN(60)), Created: r.now.Add(time.Duration(r.IntN(3)) * time.Second),
		Effect: Effect(r.pick("", "ban", "mute", "allow")), Reason: strconv.Itoa(r.Int()),
	}
	if r.IntN(2) == 0 {
		b.Expires = r.now.Add(time.Duration(r.IntN(20)-2) * time.Second)
	}
	switch r.IntN(5) {
	case 0:
		b.Kind, b.Value = BanAccount, r.pick("a", "b", "")
	case 1:
		b.Kind, b.Value = BanAddr, r.addr()
		if r.IntN(2) == 0 {
			b.Value += "/" + strconv.Itoa(r.IntN(129))
		}
	case 2:
		b.Kind, b.Value = BanAddr, fmt.Sprintf("2001:db8:%d::%d/%d", r.IntN(3), r.IntN(3), r.IntN(130))
	case 3:
		b.Kind, b.Value = BanNick, r.nick()
	case 4:
		b.Kind, b.Value = BanMask, r.pick("", "*", "?", "a")+r.pick(r.nick(), "")+r.pick("*", "?", "*a", "?*", "")
	}
	return b
}

func (r randomBans) subject() Subject {
	addr := r.pick(r.addr(), fmt.Sprintf("2001:db8:%d::%d", r.IntN(3), r.IntN(3)), "")
	a, _ := netip.ParseAddr(addr) // the empty one is none
	return newSubject(r.pick(r.nick(), r.nick(), r.nick(), ""), r.pick("a", "b", ""), a)
}

func TestBanIndexFindsWhatALoopFinds(t *testing.T) {
	seed := rand.Uint64()
	r := randomBans{rand.New(rand.NewPCG(seed, 0)), time.Unix(1e9, 0)}
	x := newBanIndex(nil)
	want := make(map[string]Ban)
	found := 0
	for step := range 4000 {
		r.now = r.now.Add(time.Duration(r.IntN(500)) * time.Millisecond)
		switch b := r.ban(); r.IntN(20) {
		default:
			x.add(b)
			want[b.ID] = b
		case 0, 1, 2, 3, 4, 5, 6:
			got, ok := x.remove(b.ID)
			if _, there := want[b.ID]; !cmp.Equal(got, want[b.ID]) || ok != there {
				t.Fatalf("seed %d, step %d: removed %v, not %v", seed, step, got, want[b.ID])
			}
			delete(want, b.ID)
		case 7:
			clear(want)
			var list []Ban
			for range r.IntN(40) {
				b := r.ban()
				list = append(list, b)
				want[b.ID] = b
			}
			x.replace(list)
		}
		s := r.subject()
		var on []Ban
		for _, b := range want {
			if isOn(&b, &s, r.now) {
				on = append(on, b)
			}
			if isOn(&b, &s, r.now) != b.covers(&s, r.now) {
				t.Fatalf("seed %d, step %d: %v on %v: %v", seed, step, b, s, b.covers(&s, r.now))
			}
		}
		found += len(on)
		if diff := cmp.Diff(sorted(on), x.on(s, r.now), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d, step %d: %v: %s", seed, step, s, diff)
		}
	}
	var all []Ban
	for id, b := range want {
		all = append(all, b)
		if got, ok := x.get(id); !cmp.Equal(got, b) || !ok {
			t.Errorf("seed %d: got %v, not %v", seed, got, b)
		}
	}
	if diff := cmp.Diff(sorted(all), x.all(), cmpopts.EquateEmpty()); diff != "" || x.len() != len(want) || found < 1000 {
		t.Errorf("seed %d, %d bans, %d found: %s", seed, x.len(), found, diff)
	}
	for id := range want {
		x.remove(id)
	}
	tables := x.tables
	if len(tables.nicks)+len(tables.accounts)+len(tables.nets)+len(tables.masks) > 0 || tables.bits != [2][129]int{} {
		t.Errorf("seed %d: an empty index holds %v", seed, tables)
	}
}

func sorted(bans []Ban) []Ban {
	slices.SortFunc(bans, func(a, b Ban) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return bans
}

func TestChangesWhileAStoreListsAreKept(t *testing.T) {
	ban := func(id string) Ban { return Ban{ID: id, Kind: BanNick, Value: id} }
	x := newBanIndex([]Ban{ban("a"), ban("b"), ban("c")})
	x.listing()
	x.add(ban("before")) // and the store could not list
	x.listing()
	x.add(ban("new"))
	x.add(ban("short"))
	x.remove("short")
	x.remove("a")
	x.replace([]Ban{ban("a"), ban("b"), ban("d")})
	x.remove("b")
	if diff := cmp.Diff([]Ban{ban("d"), ban("new")}, x.all()); diff != "" {
		t.Error(diff)
	}
	x.replace([]Ban{ban("e")}) // what was noted is not noted twice
	if diff := cmp.Diff([]Ban{ban("e")}, x.all()); diff != "" {
		t.Error(diff)
	}
	if _, ok := x.remove("a"); ok {
		t.Error("removed what was not there")
	}
}

func TestBanIndexIsForManyGoroutines(t *testing.T) {
	seed := rand.Uint64()
	now := time.Unix(1e9, 0)
	kept := Ban{ID: "kept", Kind: BanNick, Value: "zoe"}
	x := newBanIndex([]Ban{kept})
	var wg sync.WaitGroup
	for i := range uint64(6) {
		r := randomBans{rand.New(rand.NewPCG(seed, i)), now}
		zoe := newSubject("Zoe", "", netip.Addr{})
		wg.Go(func() {
			for range 300 {
				switch {
				case i == 0: // the only one to replace
					x.listing()
					x.replace([]Ban{r.ban(), kept, r.ban()})
				case i == 1:
					x.add(r.ban())
					x.get(r.ban().ID)
				case i == 2:
					x.remove(r.ban().ID)
				}
				if !slices.Contains(x.on(zoe, now), kept) {
					t.Error("a ban was not there for a while")
				}
				x.on(r.subject(), now)
				if len(x.all()) == 0 || x.len() == 0 {
					t.Error("an empty index")
				}
			}
		})
	}
	wg.Wait()
}

func TestStanding(t *testing.T) {
	at := func(id string, effect Effect, expires int64) Ban {
		b := Ban{ID: id, Effect: effect}
		if expires > 0 {
			b.Expires = time.Unix(expires, 0)
		}
		return b
	}
	for name, c := range map[string]struct {
		bans      []Ban
		ban, mute string
	}{
		"nothing":           {},
		"a ban":             {[]Ban{at("a", "", 0)}, "a", ""},
		"a mute":            {[]Ban{at("a", EffectMute, 9)}, "", "a"},
		"both":              {[]Ban{at("a", EffectMute, 9), at("b", EffectBan, 1)}, "b", "a"},
		"the longest":       {[]Ban{at("a", "", 5), at("b", EffectBan, 7), at("c", "", 6)}, "b", ""},
		"for ever":          {[]Ban{at("a", "", 5), at("b", "", 0), at("c", "", 6), at("d", "", 0)}, "b", ""},
		"an exception":      {[]Ban{at("a", "", 0), at("b", EffectMute, 0), at("c", EffectAllow, 1)}, "", ""},
		"what nobody knows": {[]Ban{at("a", "shadow", 0), at("b", EffectMute, 4)}, "", "b"},
	} {
		var got [2]string
		ban, mute := standing(c.bans, RoleMember)
		if ban != nil {
			got[0] = ban.ID
		}
		if mute != nil {
			got[1] = mute.ID
		}
		if got != [2]string{c.ban, c.mute} {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// mixedBans returns a million bans: of ten, six are on nicks, one of which is not in ASCII, two on
// networks, one on an account and one on a mask.
func mixedBans() []Ban {
	bans := make([]Ban, million)
	for i := range bans {
		b := Ban{ID: strconv.Itoa(i), Reason: "spam", Created: time.Unix(1e9+int64(i), 0), Expires: time.Unix(3e9, 0)}
		switch i % 10 {
		case 0:
			b.Kind, b.Value = BanAccount, "account"+b.ID
		case 1:
			b.Kind, b.Value = BanMask, "spam"+b.ID+"*"
		case 2:
			a := netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 1})
			b.Kind, b.Value = BanAddr, netip.PrefixFrom(a, 8+i/10%25).String()
		case 3:
			a := netip.AddrFrom16([16]byte{0x20, 1, 4: byte(i >> 16), 5: byte(i >> 8), 6: byte(i)})
			b.Kind, b.Value = BanAddr, netip.PrefixFrom(a, 32+i/10%97).String()
		case 4:
			b.Kind, b.Value = BanNick, "Алиса"+b.ID
		default:
			b.Kind, b.Value = BanNick, "Somebody"+b.ID
		}
		bans[i] = b
	}
	return bans
}

func BenchmarkBanIndexMillion(b *testing.B) {
	bans := mixedBans()
	b.ReportAllocs()
	for b.Loop() {
		if newBanIndex(bans).len() != million {
			b.Fatal("bans were lost")
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/build")
}

func BenchmarkBanLookupMillion(b *testing.B) {
	x := newBanIndex(mixedBans())
	now := time.Unix(2e9, 0)
	for _, c := range []struct {
		name, nick, account, addr string
		on                        bool
	}{
		{"Nobody", "alexander7", "alex", "203.0.113.7", false},
		{"NobodyIPv6", "alexander7", "alex", "2a00::7", false},
		{"NobodyCyrillic", "Александра", "alex", "203.0.113.7", false},
		{"Nick", "somebody777777", "", "203.0.113.7", true},
		{"Mask", "SPAM777771xyz", "", "203.0.113.7", true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				// The keys are part of looking somebody up.
				s := newSubject(c.nick, c.account, netip.MustParseAddr(c.addr))
				if (len(x.on(s, now)) > 0) != c.on {
					b.Fatal(x.on(s, now))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/lookup")
		})
	}
}

func newSubject(nick, account string, addr netip.Addr) Subject {
	return Subject{Nick: nick, Keys: NickKeys(nick), Account: account, Addr: addr}
}
