package chatroom

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxMask = 64 // characters

// ParseTarget reads what a moderator types to say whom a ban is on, and returns a Ban's Kind and
// Value. What holds * or ? is a mask; an address, or a network in CIDR notation, is that; anything
// else is a nick. A kind in front, as in account:bob, mask:bob or addr:192.0.2.7, says it outright,
// and an account can't be named without. White space around s does not count.
//
// A network comes back without host bits, an address without a zone, and IPv4 in IPv6 as IPv4. A
// bare IPv6 address stands for its /64, as a provider gives its customers at least that much each;
// with /128 it is the one address.
//
// An error is an Error for who typed s: with CodeNickInvalid for a nick as ValidNick refuses it,
// with CodeBadRequest for anything else that could never be on anybody, such as a mask with a
// character no nick may hold. The mask * is fine here, and on everybody.
func ParseTarget(s string) (BanKind, string, error) {
	kind, value := cutKind(strings.TrimSpace(s))
	var err error
	switch kind {
	case BanMask:
		err = checkMask(value)
	case BanAccount:
		err = checkAccount(value)
	case BanAddr:
		value, err = parseAddr(value)
	default:
		value, err = ValidNick(value)
	}
	if err != nil {
		return "", "", err
	}
	return kind, value, nil
}

// cutKind returns what kind of target s is, and s without the word that says so.
func cutKind(s string) (BanKind, string) {
	if word, value, ok := strings.Cut(s, ":"); ok {
		switch kind := BanKind(strings.ToLower(word)); kind {
		case BanNick, BanMask, BanAccount, BanAddr:
			return kind, strings.TrimSpace(value)
		}
	}
	_, _, err := parsePrefix(s)
	switch {
	case strings.ContainsAny(s, "*?"):
		return BanMask, s
	case err == nil, strings.Contains(s, "/"): // which no nick holds
		return BanAddr, s
	}
	return BanNick, s
}

func checkMask(mask string) error {
	bad := func(format string, args ...any) error {
		return &Error{Code: CodeBadRequest, Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case mask == "":
		return bad("a mask has at least one character")
	case !utf8.ValidString(mask):
		return bad("a mask must be UTF-8")
	case utf8.RuneCountInString(mask) > maxMask:
		return bad("a mask has at most %d characters", maxMask)
	}
	for _, text := range strings.FieldsFunc(mask, func(r rune) bool { return r == '*' || r == '?' }) {
		for _, r := range text + fold(text) { // a fullwidth @ is an @
			if kind := badInName(r); kind != "" {
				return bad("a mask is compared with nicks, and they do not contain %s; a network is written like 192.0.2.0/24", kind)
			}
		}
	}
	return nil
}

func checkAccount(account string) error {
	switch {
	case account == "":
		return &Error{Code: CodeBadRequest, Text: "an account has at least one character"}
	case !utf8.ValidString(account):
		return &Error{Code: CodeBadRequest, Text: "an account must be UTF-8"}
	case strings.ContainsFunc(account, unicode.IsControl), Clean(account) != account:
		return &Error{Code: CodeBadRequest, Text: "an account may not contain a control character"}
	}
	return nil
}

func parseAddr(s string) (string, error) {
	p, bare, err := parsePrefix(s)
	if err != nil {
		return "", &Error{
			Code: CodeBadRequest,
			Text: "an address is written like 192.0.2.7 or 2001:db8::7, a network like 192.0.2.0/24 or 2001:db8::/64",
		}
	}
	if bare && p.Addr().Is6() {
		p = netip.PrefixFrom(p.Addr(), 64).Masked()
	}
	return prefixText(p), nil
}

// parsePrefix reads a network, or the one that holds nothing but a bare address.
func parsePrefix(s string) (p netip.Prefix, bare bool, err error) {
	addr, bits, network := strings.Cut(s, "/")
	addr, _, _ = strings.Cut(addr, "%")
	if network {
		p, err = netip.ParsePrefix(addr + "/" + bits)
	} else {
		var a netip.Addr
		a, err = netip.ParseAddr(addr)
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), !network, err
}

// prefixText is what parsePrefix reads p from, and ParseTarget too.
func prefixText(p netip.Prefix) string {
	if p.Addr().Is4() && p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// Target returns whom b is on as ParseTarget reads it: bob, spam*, account:bob, 192.0.2.0/24. Of a
// ban that ParseTarget would not make, it returns the kind and the value.
func (b *Ban) Target() string {
	value := b.Value
	if b.Kind == BanAddr {
		if p, _, err := parsePrefix(value); err == nil {
			value = prefixText(p)
		}
	}
	if kind, same, err := ParseTarget(value); err == nil && kind == b.Kind && same == value {
		return value
	}
	return string(b.Kind) + ":" + value
}
