//go:build linux

package main

import (
	"encoding/binary"
	"strings"
)

// A payload is what a message says: who sent it, the how many-th of that sender's it is, and when. It is text of a fixed
// width, in letters that no protocol escapes, so that reading it is a few shifts.
type payload struct {
	sender byte
	count  uint32 // from 1 on
	sent   int64  // nanoseconds since the generator's start
}

const (
	payloadBytes = 100
	payloadHead  = 1 + 1 + 8 + 16 // a mark, the sender, the count, the time
	payloadMark  = 'Q'
	maxSenders   = 16
)

// filler makes a payload as long as what people say.
var filler = strings.Repeat("so what did the others think of it, ", 3)[:payloadBytes-payloadHead-1] + "?"

func (p payload) append(dst []byte) []byte {
	dst = append(dst, payloadMark, 'a'+p.sender)
	dst = appendLetters(dst, p.count)
	dst = appendLetters(dst, uint32(uint64(p.sent)>>32))
	dst = appendLetters(dst, uint32(p.sent))
	return append(dst, filler...)
}

// parsePayload reads what append wrote; false means that b is something else.
func parsePayload(b []byte) (p payload, ok bool) {
	if len(b) != payloadBytes || b[0] != payloadMark || b[1]-'a' >= maxSenders || string(b[payloadHead:]) != filler {
		return p, false
	}
	count, ok1 := letters(b[2:])
	high, ok2 := letters(b[10:])
	low, ok3 := letters(b[18:])
	return payload{b[1] - 'a', count, int64(high)<<32 | int64(low)}, ok1 && ok2 && ok3
}

// appendLetters appends x as eight letters from a to p, four bits each.
func appendLetters(dst []byte, x uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, 'a'+byte(x>>shift&15))
	}
	return dst
}

// letters is the reverse of appendLetters, for all eight at once.
func letters(b []byte) (uint32, bool) {
	x := binary.BigEndian.Uint64(b) - 0x6161616161616161
	if x&0xf0f0f0f0f0f0f0f0 != 0 {
		return 0, false
	}
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16), true
}
