package filters

import (
	"hash/maphash"
	"strings"

	"golang.org/x/text/secure/precis"

	"example.com/chatroom"
)

const maxPeople = 10_000

// person names whoever wants to say d: the account, or else the address, or else the nick.
func person(d chatroom.Draft) string {
	addr := d.Addr.Unmap().WithZone("")
	switch {
	case d.Account != "":
		return "account " + fold(d.Account)
	case addr.Is6():
		p, _ := addr.Prefix(64) // fails for more bits than there are
		return "address " + p.String()
	case addr.IsValid():
		return "address " + addr.String()
	}
	return "nick " + fold(d.Nick)
}

// fold returns what the spellings of a nick or an account have in common, as package chatroom sees it.
func fold(name string) string {
	key, err := precis.Nickname.CompareKey(name)
	if err != nil {
		return name
	}
	return strings.ReplaceAll(key, "ς", "σ")
}

// people holds a V for each of the people last heard of, at most maxPeople of them, by hash. Its
// owner locks it.
type people[V any] struct {
	seed  maphash.Seed
	seats map[uint64]*seat[V]
	ring  seat[V] // its next is the one heard of last, its prev the one longest silent
}

type seat[V any] struct {
	who        uint64
	prev, next *seat[V]
	value      V
}

func newPeople[V any]() *people[V] {
	p := &people[V]{seed: maphash.MakeSeed(), seats: make(map[uint64]*seat[V])}
	p.ring.prev, p.ring.next = &p.ring, &p.ring
	return p
}

func (p *people[V]) hash(who string) uint64 { return maphash.String(p.seed, who) }

// at returns what is held for who, zero if nothing was. It stays theirs until the next call.
func (p *people[V]) at(who uint64) *V {
	s := p.seats[who]
	switch {
	case s != nil:
		s.unlink()
	case len(p.seats) < maxPeople:
		s = &seat[V]{who: who}
	default:
		s = p.ring.prev
		s.unlink()
		delete(p.seats, s.who)
		*s = seat[V]{who: who}
	}
	p.seats[who] = s
	s.prev, s.next = &p.ring, p.ring.next
	s.prev.next, s.next.prev = s, s
	return &s.value
}

func (s *seat[V]) unlink() { s.prev.next, s.next.prev = s.next, s.prev }
