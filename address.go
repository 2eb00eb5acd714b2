package chatroom

import (
	"net"
	"net/netip"
)

// ipOf returns the IP address in addr; the zero Addr if it is of another kind.
func ipOf(addr net.Addr) netip.Addr {
	if a, ok := addr.(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// addrKey returns what counts as one address: an IPv4 address as it is, the first of an IPv6 /64.
func addrKey(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	p, _ := ip.WithZone("").Prefix(64) // fails for more bits than there are
	return p.Addr()
}
