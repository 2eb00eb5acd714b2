package main

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"example.com/chatroom"
)

// Match returns the bans that may be on who, so that a server need not hold a very long list.
func (s Bans) Match(ctx context.Context, who chatroom.Subject) ([]chatroom.Ban, error) {
	keys := subjectKeys(who)
	return s.query(ctx, "WHERE id IN (SELECT id FROM ban_keys WHERE key IN (?"+strings.Repeat(",?", len(keys)-1)+"))", keys...)
}

// anybody is the key of a ban that the server has to look at for everybody: one on a mask, or on
// something that is no address.
const anybody = "anybody"

// banKeys returns the keys b is found by. It may be found for people it is not on; the server
// looks at it again.
func banKeys(b chatroom.Ban) []string {
	var keys []string
	switch b.Kind {
	case chatroom.BanNick, chatroom.BanAccount:
		for _, key := range chatroom.NickKeys(b.Value) {
			keys = append(keys, "name "+key)
		}
	case chatroom.BanAddr:
		p, err := netip.ParsePrefix(b.Value)
		if addr, addrErr := netip.ParseAddr(b.Value); addrErr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err == nil {
			keys = append(keys, addrKey(p.Addr(), p.Bits()+128-p.Addr().BitLen()))
		}
	}
	if len(keys) == 0 {
		return []string{anybody}
	}
	return keys
}

// subjectKeys returns the keys of the bans that may be on who.
func subjectKeys(who chatroom.Subject) []any {
	keys := []any{anybody}
	for _, key := range slices.Concat(who.Keys, chatroom.NickKeys(who.Account)) {
		keys = append(keys, "name "+key)
	}
	for bits := 0; bits <= 128 && who.Addr.IsValid(); bits++ {
		keys = append(keys, addrKey(who.Addr, bits))
	}
	return keys
}

// addrKey returns the key of the first of the 128 bits of an address. IPv4 is the part of IPv6
// that it maps to, since a ban may be written either way.
func addrKey(addr netip.Addr, bits int) string {
	return "addr " + netip.PrefixFrom(netip.AddrFrom16(addr.As16()), bits).Masked().String()
}
