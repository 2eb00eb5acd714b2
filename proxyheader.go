package chatroom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// What a header of the PROXY protocol begins with, in its two versions.
const (
	proxyText   = "PROXY "
	proxyBinary = "\r\n\r\n\x00\r\nQUIT\n"
)

const (
	maxProxyText = 107 // as the protocol says
	// maxProxyBody is how much may follow the first 16 bytes of a binary header: addresses, and what a proxy
	// adds behind them, such as a certificate.
	maxProxyBody = 4096
)

var errNoProxyHeader = errors.New("it does not begin with a PROXY header")

// parseProxyHeader returns the peer that the PROXY header at the beginning of b names, and the header's size. A
// size of zero means that the header has not ended yet; a peer that is not valid, that it names none. The protocol is that of
// haproxy's proxy-protocol.txt, versions 1 and 2.
func parseProxyHeader(b []byte) (peer netip.AddrPort, size int, err error) {
	switch {
	case bytes.HasPrefix(b, []byte(proxyText)):
		return parseProxyText(b[:min(len(b), maxProxyText)])
	case bytes.HasPrefix(b, []byte(proxyBinary)):
		return parseProxyBinary(b)
	case strings.HasPrefix(proxyText, string(b[:min(len(b), len(proxyText))])), strings.HasPrefix(proxyBinary, string(b[:min(len(b), len(proxyBinary))])):
		return peer, 0, nil
	}
	return peer, 0, errNoProxyHeader
}

// parseProxyText parses version 1, a line.
func parseProxyText(b []byte) (peer netip.AddrPort, size int, err error) {
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0 && len(b) < maxProxyText:
		return peer, 0, nil
	case end < 0 || b[end-1] != '\r':
		return peer, 0, errors.New("a PROXY header is a line of at most 107 bytes, its end CRLF")
	}
	fields := strings.Split(string(b[len(proxyText):end-1]), " ")
	if fields[0] == "UNKNOWN" {
		return peer, end + 1, nil
	}
	if len(fields) != 5 || fields[0] != "TCP4" && fields[0] != "TCP6" {
		return peer, 0, fmt.Errorf("no PROXY header: %q", b[:end])
	}
	var ends [2]netip.AddrPort // of the connection: the peer's, the proxy's
	for i := range ends {
		addr, err := netip.ParseAddr(fields[1+i])
		if err != nil || addr.Zone() != "" || addr.Is4() != (fields[0] == "TCP4") {
			return peer, 0, fmt.Errorf("no address for %s in a PROXY header: %q", fields[0], fields[1+i])
		}
		port, err := strconv.ParseUint(fields[3+i], 10, 16)
		if err != nil || strconv.FormatUint(port, 10) != fields[3+i] {
			return peer, 0, fmt.Errorf("no port in a PROXY header: %q", fields[3+i])
		}
		ends[i] = netip.AddrPortFrom(addr, uint16(port))
	}
	return ends[0], end + 1, nil
}

// What a binary header's bytes 13 and 14 may say.
const (
	proxyLocal   = 0x20
	proxyRelayed = 0x21

	proxyUnspec = 0x0 // the high half of byte 14
	proxyTCP4   = 0x11
	proxyTCP6   = 0x21
	proxyUnix   = 0x31
)

// parseProxyBinary parses version 2.
func parseProxyBinary(b []byte) (peer netip.AddrPort, size int, err error) {
	const fixed = 16
	if len(b) < fixed {
		return peer, 0, nil
	}
	command, family := b[12], b[13]
	size = fixed + int(binary.BigEndian.Uint16(b[14:]))
	least := map[byte]int{proxyTCP4: 12, proxyTCP6: 36, proxyUnix: 216}[family]
	switch {
	case command != proxyLocal && command != proxyRelayed:
		return peer, 0, fmt.Errorf("a PROXY header of version and command %#x", command)
	case size > fixed+maxProxyBody:
		return peer, 0, fmt.Errorf("a PROXY header of %d bytes", size)
	case command == proxyLocal || family>>4 == proxyUnspec:
		// Whatever it says about addresses does not count.
	case least == 0:
		return peer, 0, fmt.Errorf("a PROXY header for %#x", family)
	case size < fixed+least:
		return peer, 0, fmt.Errorf("a PROXY header for %#x of %d bytes", family, size)
	}
	if len(b) < size {
		return peer, 0, nil
	}
	if command == proxyRelayed {
		switch body := b[fixed:size]; family {
		case proxyTCP4:
			peer = netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:]))
		case proxyTCP6:
			peer = netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)), binary.BigEndian.Uint16(body[32:]))
		}
	}
	return peer, size, nil
}
