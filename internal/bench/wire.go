//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"example.com/chatroom"
)

// A wire is how a kind of server is spoken to: lines that end in LF.
type wire struct {
	join    string // a line, with %s for the nick
	welcome string // what is in the line that says one has joined
	say     string // a line, with %s for the payload
	head    string // how a line with a message begins
	headAt  int    // where head stands in it
	tail    int    // how many bytes follow the payload in it, LF included
	ping    string // how a line begins that wants pong for an answer
	pong    string
}

// message returns the payload of a line with its LF, if it is a message.
func (w *wire) message(line []byte) ([]byte, bool) {
	if len(line) < w.headAt+len(w.head)+payloadBytes+w.tail || string(line[w.headAt:w.headAt+len(w.head)]) != w.head {
		return nil, false
	}
	end := len(line) - w.tail
	return line[end-payloadBytes : end], true
}

func (w *wire) appendSay(dst []byte, p payload) []byte {
	before, after, _ := strings.Cut(w.say, "%s")
	return append(p.append(append(dst, before...)), after...)
}

func (w *wire) isPing(line []byte) bool { return w.ping != "" && bytes.HasPrefix(line, []byte(w.ping)) }

func (w *wire) isWelcome(line []byte) bool { return bytes.Contains(line, []byte(w.welcome)) }

func (w *wire) joinLine(nick string) []byte { return fmt.Appendf(nil, w.join, nick) }

// How a busy room's line of JSON that tells of a message begins before the payload, and how it ends behind it.
var jsonBefore, jsonAfter = jsonMessage()

func jsonMessage() (before, after string) {
	text := string(payload{}.append(nil))
	line, err := json.Marshal(chatroom.Event{
		Kind: chatroom.KindMessage, Seq: 100_000, Room: "lobby", From: nick(0), Member: 1, Text: text, Time: time.Unix(0, 0),
	})
	if err != nil {
		panic(err) // nothing in it can fail
	}
	before, after, _ = strings.Cut(string(line), text)
	return before, after + "\n"
}

// jsonWire has no ids in its commands: whoever speaks recognises its own messages by what they say.
var jsonWire = wire{
	join:    `{"type":"join","nick":"%s"}` + "\n",
	welcome: `"type":"welcome"`,
	say:     `{"type":"say","text":"%s"}` + "\n",
	head:    `{"type":"message"`,
	tail:    len(jsonAfter),
	ping:    `{"type":"ping"`,
	pong:    `{"type":"pong"}` + "\n",
}

var textWire = wire{
	join:    "%s\n",
	welcome: "--- Type to talk",
	say:     "%s\n",
	head:    "<",
	headAt:  len("15:04 "),
	tail:    len("\n"),
}

// floorWire's lines come back as they were sent, so they are as long as those in which a chatroom's JSON tells of a message.
var floorWire = wire{
	join:    "join %s\n",
	welcome: "welcome ",
	say:     strings.Repeat("-", len(jsonBefore)+len(jsonAfter)-1) + "%s\n",
	head:    "----",
	tail:    len("\n"),
}

// nick names the i-th member.
func nick(i int) string { return fmt.Sprintf("m%04d", i) }
