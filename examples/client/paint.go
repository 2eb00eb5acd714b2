package main

import (
	"hash/crc32"
	"strings"
	"unicode"

	"example.com/chatroom"
)

const (
	maxLine  = 64 << 10 // bytes of a line that are shown
	maxMarks = 16       // characters without a width of their own that follow one
)

// tame cuts short what is clean and would still spoil a screen: lines without end, and piles of
// combining marks, which reach into the lines above and below.
func tame(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if len(line) > maxLine {
			line = chatroom.Clean(strings.ToValidUTF8(line[:maxLine], "")) + "…\n" // with what was open in it closed
		}
		marks := 0
		for _, r := range line {
			if marks++; !unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) || unicode.Is(unicode.Bidi_Control, r) {
				marks = 0
			}
			if marks <= maxMarks {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

// promptFor returns nick as a prompt shows it: its width has to be known.
func promptFor(nick string) string {
	shown := []rune(strings.ReplaceAll(tame(chatroom.Clean(nick)), "\t", " "))
	return string(shown[:min(len(shown), maxNick)])
}

// maxNick is how many characters a nick has at most, by PROTOCOL.md.
const maxNick = 32

// Colours, as parameters of the SGR control sequence. Red is for refusals.
const (
	dim   = "2"
	red   = "31"
	nicks = "32 33 94 35 36 95"
)

// paint colours the text that shows e: the nick of who speaks, or all of it.
func paint(text string, e *chatroom.Event) string {
	nick := chatroom.Clean(e.From)
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
