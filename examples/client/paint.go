package main

import (
	"hash/crc32"
	"strings"
	"unicode"

	"example.com/chatroom"
)

// clean makes text safe to show: a terminal obeys control characters, and a server may be
// hostile.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// Colours, as parameters of the SGR control sequence. Red is for refusals.
const (
	dim   = "2"
	red   = "31"
	nicks = "32 33 94 35 36 95"
)

// paint colours the text that shows e: the nick of who speaks, or all of it.
func paint(text string, e *chatroom.Event) string {
	nick := clean(e.From)
	switch e.Kind {
	case chatroom.KindMessage:
		return paintNick(text, "<", nick, ">")
	case chatroom.KindAction:
		return paintNick(text, "* ", nick, " ")
	case chatroom.KindPrivate:
		return paintNick(text, "[", nick, " -> ")
	case chatroom.KindError:
		return colour(red, text)
	}
	return colour(dim, text)
}

// paintNick colours a nick where it first stands between open and end.
func paintNick(text, open, nick, end string) string {
	codes := strings.Fields(nicks)
	code := codes[crc32.ChecksumIEEE([]byte(nick))%uint32(len(codes))]
	return strings.Replace(text, open+nick+end, open+colour(code, nick)+end, 1)
}

// colour colours text, but not the end of its last line.
func colour(code, text string) string {
	body := strings.TrimSuffix(text, "\n")
	return "\x1b[" + code + "m" + body + "\x1b[0m" + text[len(body):]
}
