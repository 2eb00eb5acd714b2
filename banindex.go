package chatroom

import (
	"cmp"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// A banIndex holds bans so that those on somebody are found without looking at the others. Any
// number of goroutines may use it.
type banIndex struct {
	mu     sync.RWMutex
	tables *banTables
	listed bool        // whether changes are noted
	since  []banChange // since listing
}

// A banChange is an add, or with a nil ban a remove.
type banChange struct {
	id   string
	ban  *Ban
	keys []string // NickKeys of the ban's value if it is on a nick; nil if they are not known yet
}

// newBanIndex returns an index of bans, which it takes over. Of several with one ID the last counts.
func newBanIndex(bans []Ban) *banIndex { return &banIndex{tables: newBanTables(bans)} }

// add adds b, in place of a ban with the same ID.
func (x *banIndex) add(b Ban) {
	b.Expires = steady(b.Expires)
	x.change(banChange{id: b.ID, ban: &b})
}

// remove returns the ban it removed, and whether there was one.
func (x *banIndex) remove(id string) (Ban, bool) { return x.change(banChange{id: id}) }

func (x *banIndex) change(c banChange) (old Ban, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.listed {
		x.since = append(x.since, c)
	}
	return x.tables.change(c)
}

// listing is called before a store is asked for the list that replace will be called with. What
// is added or removed in between may be missing from that list, and holds nevertheless.
func (x *banIndex) listing() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.listed, x.since = true, nil
}

// replace puts bans, which it takes over, in place of all that was there. Lookups go on
// meanwhile. One goroutine at a time may be between listing and the end of replace.
func (x *banIndex) replace(bans []Ban) {
	x.keepEnds(bans)
	tables := newBanTables(bans)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.since {
		tables.change(c)
	}
	x.tables, x.listed, x.since = tables, false, nil
}

// keepEnds has those of bans that are there already end when they do there.
func (x *banIndex) keepEnds(bans []Ban) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for i := range bans {
		b := &bans[i]
		if old := x.tables.byID[b.ID]; old != nil && old.Expires.Equal(b.Expires) {
			b.Expires = old.Expires
		}
	}
}

func (x *banIndex) get(id string) (Ban, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if b := x.tables.byID[id]; b != nil {
		return *b, true
	}
	return Ban{}, false
}

func (x *banIndex) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.tables.byID)
}

// all returns the bans, expired ones too, in order of creation.
func (x *banIndex) all() []Ban {
	x.mu.RLock()
	found := make([]*Ban, 0, len(x.tables.byID))
	for _, b := range x.tables.byID {
		found = append(found, b)
	}
	x.mu.RUnlock()
	return inUTC(inOrder(found))
}

// expired returns the IDs of n bans at most that have expired at now. It looks at a few bans only, others each time.
func (x *banIndex) expired(n int, now time.Time) (ids []string) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	looks := 0
	for id, b := range x.tables.byID { // which begins anywhere
		if looks++; looks > 64 || len(ids) == n {
			break
		}
		if b.Expired(now) {
			ids = append(ids, id)
		}
	}
	return ids
}

// latest returns how many bans have not expired at now, and the n of them that were created last.
func (x *banIndex) latest(n int, now time.Time) (bans []Ban, count int) {
	newer := func(a, b *Ban) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	}
	var found []*Ban
	x.mu.RLock()
	for _, b := range x.tables.byID {
		if b.Expired(now) {
			continue
		}
		count++
		if len(found) == n && newer(b, found[n-1]) > 0 {
			continue
		}
		i, _ := slices.BinarySearchFunc(found, b, newer)
		found = slices.Insert(found, i, b)
		found = found[:min(len(found), n)]
	}
	x.mu.RUnlock()
	for _, b := range found {
		bans = append(bans, *b)
	}
	return inUTC(bans), count
}

// like returns the bans, expired ones too, on nicks with one of keys, those with that kind and value,
// those that the act with that ID may have given, and those whose IDs say that they may have been given with one of these.
func (x *banIndex) like(keys []string, kind BanKind, value, id string) []Ban {
	x.mu.RLock()
	defer x.mu.RUnlock()
	t := x.tables
	found := t.under(kind, value)
	for _, key := range keys {
		found = append(found, t.nicks[key]...)
	}
	for i := range maxTogether {
		if b := t.byID[togetherID(id, i)]; b != nil {
			found = append(found, b)
		}
	}
	for _, b := range found {
		for i := range maxTogether {
			if with := t.byID[togetherID(actOf(b.ID), i)]; with != nil {
				found = append(found, with)
			}
		}
	}
	return inUTC(inOrder(found))
}

// on returns the bans, mutes and exceptions on s that have not expired, in order of creation. Changes of the machine's clock
// do not move their ends.
func (x *banIndex) on(s Subject, now time.Time) []Ban {
	x.mu.RLock()
	found := x.tables.on(&s, now)
	x.mu.RUnlock()
	return inOrder(found)
}

// inUTC gives bans the ends that a store has.
func inUTC(bans []Ban) []Ban {
	for i := range bans {
		bans[i].Expires = bans[i].Expires.UTC()
	}
	return bans
}

// inOrder sorts bans by creation and ID, and leaves out repetitions. A Ban in a banTables never
// changes, so it may be looked at without the lock.
func inOrder(bans []*Ban) []Ban {
	if len(bans) == 0 {
		return nil
	}
	slices.SortFunc(bans, func(a, b *Ban) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	bans = slices.Compact(bans)
	list := make([]Ban, len(bans))
	for i, b := range bans {
		list[i] = *b
	}
	return list
}

// covers reports whether b has not expired at now and is on s. It asks an index that holds b alone,
// so an index cannot be of another opinion.
func (b *Ban) covers(s *Subject, now time.Time) bool {
	var t banTables
	t.put(b, nil)
	return len(t.on(s, now)) > 0
}

// banTables are the tables of a banIndex, which guards them.
type banTables struct {
	byID     map[string]*Ban
	nicks    map[string][]*Ban // by each of NickKeys
	accounts map[string][]*Ban
	nets     map[netip.Prefix][]*Ban
	bits     [2][129]int          // how many keys of nets have that length: of IPv4, of IPv6
	masks    map[string][]banMask // by what the texts begin with
}

type banMask struct {
	ban  *Ban
	form maskForm
}

func newBanTables(bans []Ban) *banTables {
	t := &banTables{byID: make(map[string]*Ban, len(bans)), nicks: make(map[string][]*Ban, len(bans))}
	keys := keysOf(bans)
	for i := range bans {
		b := &bans[i]
		b.Expires = steady(b.Expires)
		t.change(banChange{b.ID, b, keys[i]})
	}
	return t
}

// keysOf works out the NickKeys of the bans on nicks, with all processors: they take most of the
// time that a million bans need.
func keysOf(bans []Ban) [][]string {
	keys := make([][]string, len(bans))
	var working sync.WaitGroup
	share := len(bans)/runtime.GOMAXPROCS(0) + 1
	for from := 0; from < len(bans); from += share {
		working.Go(func() {
			for i := from; i < min(from+share, len(bans)); i++ {
				if bans[i].Kind == BanNick {
					keys[i] = NickKeys(bans[i].Value)
				}
			}
		})
	}
	working.Wait()
	return keys
}

func (t *banTables) change(c banChange) (old Ban, ok bool) {
	if b := t.byID[c.id]; b != nil {
		t.take(b)
		delete(t.byID, c.id)
		old, ok = *b, true
	}
	if c.ban != nil {
		t.byID[c.id] = c.ban
		t.put(c.ban, c.keys)
	}
	return old, ok
}

// put enters b under what it is looked up by. A value that its kind has no use for is entered
// nowhere.
func (t *banTables) put(b *Ban, keys []string) {
	switch b.Kind {
	case BanNick:
		if keys == nil {
			keys = NickKeys(b.Value)
		}
		for _, key := range keys {
			enter(&t.nicks, key, b)
		}
	case BanAccount:
		enter(&t.accounts, b.Value, b)
	case BanAddr:
		if p, _, err := parsePrefix(b.Value); err == nil {
			if enter(&t.nets, p, b) {
				t.bits[family(p.Addr())][p.Bits()]++
			}
		}
	case BanMask:
		for _, f := range newMask(b.Value) {
			enter(&t.masks, headOf(f), banMask{b, f})
		}
	}
}

// take undoes put.
func (t *banTables) take(b *Ban) {
	isIt := func(other *Ban) bool { return other == b }
	switch b.Kind {
	case BanNick:
		for _, key := range NickKeys(b.Value) {
			strike(t.nicks, key, isIt)
		}
	case BanAccount:
		strike(t.accounts, b.Value, isIt)
	case BanAddr:
		if p, _, err := parsePrefix(b.Value); err == nil {
			if strike(t.nets, p, isIt) {
				t.bits[family(p.Addr())][p.Bits()]--
			}
		}
	case BanMask:
		for _, f := range newMask(b.Value) {
			strike(t.masks, headOf(f), func(m banMask) bool { return m.ban == b })
		}
	}
}

// enter reports whether v is the first under key.
func enter[K comparable, V any](m *map[K][]V, key K, v V) (first bool) {
	if *m == nil {
		*m = make(map[K][]V)
	}
	list := (*m)[key]
	(*m)[key] = append(list, v)
	return len(list) == 0
}

// strike reports whether what it deletes was the last under key.
func strike[K comparable, V any](m map[K][]V, key K, isIt func(V) bool) (last bool) {
	list := slices.DeleteFunc(m[key], isIt)
	if len(list) == 0 {
		delete(m, key)
		return true
	}
	m[key] = list
	return false
}

// under returns the bans with that kind and, but for masks, that value.
func (t *banTables) under(kind BanKind, value string) (found []*Ban) {
	switch kind {
	case BanNick:
		for _, key := range NickKeys(value) {
			found = append(found, t.nicks[key]...)
		}
	case BanAccount:
		found = append(found, t.accounts[value]...)
	case BanAddr:
		if p, _, err := parsePrefix(value); err == nil {
			found = append(found, t.nets[p]...)
		}
	case BanMask:
		for _, f := range newMask(value) {
			for _, m := range t.masks[headOf(f)] {
				found = append(found, m.ban)
			}
		}
	}
	return found
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func headOf(f maskForm) string {
	if len(f) > 0 {
		return f[0].text
	}
	return ""
}

// on returns the bans on s that have not expired at now, some perhaps twice.
func (t *banTables) on(s *Subject, now time.Time) (found []*Ban) {
	for _, key := range s.Keys {
		found = append(found, t.nicks[key]...)
	}
	if s.Account != "" {
		found = append(found, t.accounts[s.Account]...)
	}
	found = t.onAddr(found, s.Addr.Unmap())
	if len(t.masks) > 0 {
		found = t.onMasks(found, maskTexts(s.Nick))
	}
	return slices.DeleteFunc(found, func(b *Ban) bool { return b.Expired(now) })
}

func (t *banTables) onAddr(found []*Ban, a netip.Addr) []*Ban {
	if !a.IsValid() {
		return found
	}
	for bits := range a.BitLen() + 1 {
		if t.bits[family(a)][bits] == 0 {
			continue
		}
		if p, err := a.Prefix(bits); err == nil {
			found = append(found, t.nets[p]...)
		}
	}
	return found
}

// onMasks looks for the masks with each beginning that the texts have. Those that begin with a
// placeholder are all tried.
func (t *banTables) onMasks(found []*Ban, texts []maskText) []*Ban {
	for _, text := range texts {
		for end, cut := range text.cut {
			if !cut {
				continue
			}
			for _, m := range t.masks[text.text[:end]] {
				if m.form.matches(text) {
					found = append(found, m.ban)
				}
			}
		}
	}
	return found
}

// standing returns the ban and the mute that are in force for somebody whom all of bans are on,
// each the one that lasts longest; nil stands for none. An exception leaves neither. An Effect that
// is not known has none.
func standing(bans []Ban, role Role) (ban, mute *Ban) {
	allowed, by := false, Role(0) // by whom, at best; zero is the program, or another one
	for i := range bans {
		if b := &bans[i]; b.Effect == EffectAllow {
			if !allowed || b.Rank == 0 || by != 0 && b.Rank > by {
				by = b.Rank
			}
			allowed = true
		}
	}
	for i := range bans {
		b := &bans[i]
		if b.Rank != 0 && role >= b.Rank || allowed && (by == 0 || b.Rank <= by) {
			continue
		}
		switch b.Effect {
		case "", EffectBan:
			ban = longer(ban, b)
		case EffectMute:
			mute = longer(mute, b)
		}
	}
	return ban, mute
}

// longer returns what ends later of a, unless that is nil, and b.
func longer(a, b *Ban) *Ban {
	if a == nil || !a.Expires.IsZero() && (b.Expires.IsZero() || b.Expires.After(a.Expires)) {
		return b
	}
	return a
}
