package chatroom_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"example.com/chatroom"
)

// A counting handler counts the records it hands on.
type counting struct {
	slog.Handler
	records *atomic.Int64
}

func (c counting) Handle(ctx context.Context, r slog.Record) error {
	c.records.Add(1)
	return c.Handler.Handle(ctx, r)
}

var payloads = []string{
	"\n", "\r\n", "a\nlevel=ERROR msg=forged", "a\n{\"level\":\"ERROR\"}", "\"\n", "\\\n", "\\n", "\x1b[2J", "\x1b]0;title\a", "\u009b2J", "\x00", "\x7f", "\x85",
	"\u0085", "\u2028msg=forged", "\u2029", "\u202emsg", "\xff\xfe", " time=2000 level=INFO", "a=b c=\"d\" e",
}

// ends reports whether r can end a line or begin what steers a terminal. Package slog leaves DEL as it
// is, and in JSON everything above it.
func ends(r rune) bool { return r < ' ' }

// Each place where something from outside gets into the log is given each payload.
func TestThreat25LogInjection(t *testing.T) {
	for name, handler := range map[string]func(w io.Writer, o *slog.HandlerOptions) slog.Handler{
		"text": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
		"json": func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, payload := range payloads {
				var log bytes.Buffer
				records := new(atomic.Int64)
				logger := slog.New(counting{handler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}), records})
				synctest.Test(t, func(t *testing.T) { provoke(t, payload, logger) })
				lines := strings.SplitAfter(log.String(), "\n")
				if n := int(records.Load()); n < 13 || len(lines) != n+1 {
					t.Errorf("%q: %d records, %d lines:\n%.500s", payload, n, len(lines)-1, &log)
				}
				for _, line := range lines[:len(lines)-1] {
					line = strings.TrimSuffix(line, "\n")
					begun := strings.HasPrefix(line, "time=") || strings.HasPrefix(line, `{"time":`)
					if !begun || !utf8.ValidString(line) || strings.ContainsFunc(line, ends) {
						t.Errorf("%q: the line %.300q", payload, line)
					}
				}
			}
		})
	}
}

// provoke has payload logged: as what peers send, as what they are called, and as what the program's
// own parts fail with.
func provoke(t *testing.T, payload string, logger *slog.Logger) {
	auth := chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
		switch req.Nick {
		case "error":
			return chatroom.Identity{}, errors.New(payload)
		case "panic":
			panic(payload)
		case "account":
			return chatroom.Identity{Nick: req.Nick, Account: "x" + payload}, nil
		case "nick":
			return chatroom.Identity{Nick: "x" + payload + "x"}, nil
		}
		return chatroom.Identity{Nick: req.Nick, Role: chatroom.RoleAdmin}, nil
	})
	filter := chatroom.FilterFunc(func(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
		if d.Text == "panic" {
			panic(errors.New(payload))
		}
		return chatroom.Verdict{}, errors.New(payload + d.Text)
	})
	srv, err := chatroom.New(builtIn(), chatroom.WithAuthenticator(auth), chatroom.WithLogger(logger),
		chatroom.WithFilter(chatroom.FilterStep{Name: "filter", Filter: filter, UpTo: chatroom.RoleAdmin}))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	for _, nick := range []string{"error", "panic", "account", "nick", "x" + payload} {
		call(t, srv).send(`{"type":"join","nick":"`+inJSON([]byte(nick))+`"}`, `{"type":"join","nick":"error","account":"`+inJSON([]byte(payload))+`"}`)
	}
	ann := call(t, srv)
	ann.send(`{"type":"join","nick":"ann"}`, `{"type":"say","text":"panic"}`, `{"type":"say","text":"`+inJSON([]byte("x"+payload))+`"}`)
	for _, cmd := range []chatroom.Command{
		{Verb: chatroom.VerbKick, Nick: "ann"},
		{Verb: chatroom.VerbBan, Nick: "bob", Note: "x"},
		{Verb: chatroom.VerbSlow},
		{Verb: chatroom.VerbTopic},
		{Verb: chatroom.VerbBan, Target: "account:x" + payload},
	} {
		if cmd.Reason = "x" + payload; cmd.Verb == chatroom.VerbTopic {
			cmd.Text = "x" + payload
		}
		_, _ = srv.Moderate(t.Context(), cmd) // what is refused is not logged
	}
	synctest.Wait()
	provokeAtTheDoor(t, payload, logger)
}

// A placed connection comes from an address that can be any text.
type placed struct {
	net.Conn
	addr textAddr
}

func (p placed) RemoteAddr() net.Addr { return p.addr }

type textAddr string

func (textAddr) Network() string  { return "text" }
func (a textAddr) String() string { return string(a) }

// provokeAtTheDoor has payload logged by who does not get in: as what Accept fails with, as addresses, and in
// place of a proxy's header.
func provokeAtTheDoor(t *testing.T, payload string, logger *slog.Logger) {
	srv := hostBubble(t, chatroom.WithLogger(logger), chatroom.WithLimits(chatroom.Limits{Conns: 1, ConnsPerAddr: 1}))
	l := listenBehind(t, srv, nil)
	l.fail(passingError{errors.New(payload)})
	for _, header := range []string{payload + "\r\n", "PROXY TCP4 " + payload + " 198.51.100.2 4660 443\r\n"} {
		time.Sleep(time.Second) // there is a line of each kind once a second
		c := l.dial("10.0.0.1")
		c.sendRaw(header)
		c.conn.Close()
		synctest.Wait()
	}
	place := func(conn net.Conn) net.Conn { return placed{conn, textAddr(payload)} }
	strange := l.dial("", place)
	strange.sendRaw("SSH-" + payload)
	strange.conn.Close()
	synctest.Wait()
	l.dial("", place)
	l.dial("", place) // which is one too many
	synctest.Wait()
}
