package chatroom_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/adapters/pychat"
)

const notHere = "This is a chat room. Connect with nc or a chat client.\r\n"

// What programs that mean another port say first, and what they are told.
var foreigners = map[string]struct{ first, told string }{
	"GET":              {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nmallory\r\nhello room\r\n", "HTTP/1.1 400 "},
	"HEAD":             {"HEAD / HTTP/1.0\r\n\r\n", "HTTP/1.1 400 "},
	"POST":             {"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 21\r\n\r\nmallory\r\nhello room\r\n", "HTTP/1.1 400 "},
	"PUT":              {"PUT / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
	"OPTIONS":          {"OPTIONS * HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
	"CONNECT":          {"CONNECT example.org:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
	"another verb":     {"PROPFIND / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
	"a long address":   {"GET /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
	"HTTP 0.9":         {"GET /\r\n", "HTTP/1.1 400 "},
	"HTTP/2":           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "HTTP/1.1 400 "},
	"a WebSocket":      {"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 400 "},
	"RTSP":             {"DESCRIBE rtsp://example.org/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", "RTSP/1.0 400 "},
	"SIP":              {"REGISTER sip:example.org SIP/2.0\r\n\r\n", "SIP/2.0 400 "},
	"TLS 1.3":          {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 505), "\x15\x03\x01\x00\x02\x02\x28"},
	"SSL 3":            {"\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00", "\x15\x03\x01\x00\x02\x02\x28"},
	"SSH":              {"SSH-2.0-OpenSSH_9.9\r\n", notHere},
	"SMTP":             {"EHLO example.org\r\n", "554 " + notHere},
	"old SMTP":         {"HELO example.org\r\n", "554 " + notHere},
	"remote desktop":   {"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", "EOF"},
	"MQTT":             {"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd", "EOF"},
	"a database":       {"\x00\x00\x00\x08\x04\xd2\x16\x2f", "EOF"},
	"a PROXY header":   {header1 + "mallory\r\n", "EOF"},
	"a PROXY header 2": {binaryHeader(0x21, 0x11, fromTCP4) + "mallory\r\n", "EOF"},
}

func TestThreat12CrossProtocol(t *testing.T) {
	for server, fronts := range map[string][]chatroom.Front{
		"both":   {chatroom.JSONFront{}, clockFront},
		"text":   {clockFront},
		"JSON":   {chatroom.JSONFront{}},
		"Python": {pychat.Front{Home: "lobby"}},
	} {
		for name, tt := range foreigners {
			for how, pieces := range map[string][]string{
				"at once":                     {tt.first},
				"after its first three bytes": {tt.first[:3], tt.first[3:]},
			} {
				t.Run(server+"/"+name+"/"+how, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						v := &visitors{}
						srv := hostBubble(t, chatroom.WithAuthenticator(v), chatroom.WithFronts(fronts...))
						bot := joinAs(t, srv, "bot")
						c := call(t, srv)
						for _, s := range pieces {
							c.sendRaw(s)
						}
						if told := c.farewell(); !strings.HasPrefix(told, tt.told) || strings.Count(told, "\n") > 7 {
							t.Errorf("it was told %q, hung up on: %v", told, c.gone())
						}
						if seen := v.seen(); seen != "" || len(srv.Members("lobby")) != 1 {
							t.Error("it could join")
						}
						bot.Close()
						for _, want := range []chatroom.Kind{chatroom.KindWelcome, chatroom.KindJoin} {
							if e, err := bot.Receive(t.Context()); err != nil || e.Kind != want {
								t.Errorf("the room was told %+v, %v", e, err)
							}
						}
						if e, err := bot.Receive(t.Context()); err == nil {
							t.Errorf("the room was told %+v", e)
						}
					})
				})
			}
		}
	}
}

// A browser that connects before it has anything to ask for has been asked for a nickname by then.
func TestThreat12WhoIsSlowToSpeakAnotherProtocol(t *testing.T) {
	for _, name := range []string{"GET", "POST", "HTTP/2", "TLS 1.3", "SSH"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &visitors{}
				srv := hostBubble(t, chatroom.WithAuthenticator(v))
				c := call(t, srv)
				time.Sleep(time.Second)
				c.sendRaw(foreigners[name].first + "\n")
				if told := c.farewell(); !strings.HasSuffix(told, "nc or a chat client.\n") || v.seen() != "" {
					t.Errorf("it was told %q, hung up on: %v; joined: %q", told, c.gone(), v.seen())
				}
			})
		})
	}
}

// Words that other protocols begin with are nicks as well, and a nick may come letter by letter.
func TestThreat12NicksThatBeginLikeOtherProtocols(t *testing.T) {
	for _, nick := range []string{"GET", "POST", "PRI", "PROXY", "EHLO", "SSH", "HTTP", "G", "PROX", "OPTIONS"} {
		for how, size := range map[string]int{"at once": 100, "letter by letter": 1} {
			t.Run(nick+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := call(t, hostBubble(t))
					for s := nick + "\r\n"; s != ""; s = s[min(size, len(s)):] {
						c.sendRaw(s[:min(size, len(s))])
						time.Sleep(20 * time.Millisecond)
					}
					c.send("GET / HTTP/1.1", "EHLO there")
					if heard := c.hear(); !strings.Contains(heard, "You are "+nick) || !strings.Contains(heard, "<"+nick+"> GET / HTTP/1.1\n") || !strings.Contains(heard, "> EHLO there\n") {
						t.Errorf("heard %q", heard)
					}
				})
			})
		}
	}
}

// An eagerFront wants everybody who is not silent.
type eagerFront struct{ webFront }

func (eagerFront) Detect(first []byte) chatroom.Detection {
	if len(first) == 0 {
		return chatroom.NotMine
	}
	return chatroom.Mine
}

func TestThreat12NoFrontIsGivenAPROXYHeader(t *testing.T) {
	for first, want := range map[string]string{header1: "EOF", "SSH-2.0-x\r\n": "served SSH-2.0-x\n"} {
		synctest.Test(t, func(t *testing.T) {
			c := call(t, hostBubble(t, chatroom.WithFronts(eagerFront{})))
			c.sendRaw(first)
			if got := c.farewell(); got != want {
				t.Errorf("%q was told %q", first, got)
			}
		})
	}
}

// A webFront is a front for a protocol that begins like HTTP.
type webFront struct{ chatroom.JSONFront }

func (webFront) Detect(first []byte) chatroom.Detection {
	switch {
	case bytes.HasPrefix(first, []byte("GET ")):
		return chatroom.Mine
	case len(first) > 0 && strings.HasPrefix("GET ", string(first)):
		return chatroom.NeedMore
	}
	return chatroom.NotMine
}

func (webFront) Serve(_ context.Context, c *chatroom.Conn) error {
	line, err := c.ReadLine()
	if err != nil {
		return err
	}
	_, err = io.WriteString(c, "served "+string(line)+"\n")
	return err
}

func TestThreat12AFrontMaySpeakHTTP(t *testing.T) {
	for _, fronts := range [][]chatroom.Front{{webFront{}, chatroom.JSONFront{}, clockFront}, {clockFront, webFront{}}} {
		for _, pieces := range [][]string{{"GET / HTTP/1.1\r\n"}, {"G", "ET", " / HTTP/1.1\r\n"}} {
			synctest.Test(t, func(t *testing.T) {
				c := call(t, hostBubble(t, chatroom.WithFronts(fronts...)))
				for _, s := range pieces {
					c.sendRaw(s)
				}
				if got := c.farewell(); got != "served GET / HTTP/1.1\n" {
					t.Errorf("it was told %q", got)
				}
			})
		}
	}
}

// An HTTP client understands what it is told, however much it has to say.
func TestThreat12AnHTTPClientIsAnswered(t *testing.T) {
	_, addr := host(t)
	for range 20 {
		resp, err := http.Post("http://"+addr+"/"+strings.Repeat("x", 1000), "text/plain", strings.NewReader(strings.Repeat("hello\n", 10_000)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || string(body) != notHere || err != nil {
			t.Errorf("%s, %q, %v", resp.Status, body, err)
		}
	}
}

// Who says more than was looked at reads its answer to the end, and no reset.
func TestThreat12WhatIsSaidBesidesIsReadToo(t *testing.T) {
	_, addr := host(t)
	for range 20 {
		w := dial(t, addr)
		if _, err := io.WriteString(w, "GET / HTTP/1.1\r\n"+strings.Repeat("x: y\r\n", 1000)); err != nil {
			t.Fatal(err)
		}
		told, err := io.ReadAll(w)
		if err != nil || !strings.HasSuffix(string(told), notHere) {
			t.Errorf("told %q, and then %v", told, err)
		}
		for range 2 { // the first would bring a reset, which the second finds
			if _, err := io.WriteString(w, "x: y\r\n"); err != nil {
				t.Error(err)
			}
		}
		w.Close()
	}
}

// A peer that goes on sending is not listened to for longer than a second.
func TestThreat12WhoGoesOnTalkingIsHungUpOn(t *testing.T) {
	_, addr := host(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	for err == nil && time.Since(began) < 10*time.Second {
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\n"+strings.Repeat("x: y\r\n", 100))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to be hung up on", took)
	}
}
