package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"example.com/chatroom"
	"example.com/chatroom/client"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBotAnswersInProcessAndOverTCP(t *testing.T) {
	for name, join := range map[string]func(t *testing.T, srv chatroom.Server, addr string) chatroom.Client{
		"in process": func(t *testing.T, srv chatroom.Server, _ string) chatroom.Client {
			c, err := srv.Join(t.Context(), chatroom.Identity{Nick: "dice"})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		"over TCP": func(t *testing.T, _ chatroom.Server, addr string) chatroom.Client {
			c, err := client.Dial(t.Context(), addr, client.WithNick("dice"))
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv, addr := serve(t)
			ann, err := srv.Join(t.Context(), chatroom.Identity{Nick: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			say(t, ann, "!help") // history for the bot, which is not to answer it
			c := join(t, srv, addr)
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- bot(ctx, c) }()

			say(t, ann, "hello")
			say(t, ann, "!roll 1d2")
			if got := heard(t, ann, "dice"); got != "ann rolls 1 = 1" && got != "ann rolls 2 = 2" {
				t.Errorf("the first answer is %q", got)
			}
			if _, err := c.Send(t.Context(), chatroom.Say("", "!help")); err != nil { // nor itself
				t.Fatal(err)
			}
			if got := heard(t, ann, "dice"); got != "!help" {
				t.Errorf("the bot said %q", got)
			}
			say(t, ann, "!time")
			if got := heard(t, ann, "dice"); !strings.HasPrefix(got, "It is ") {
				t.Errorf("the answer to !time is %q", got)
			}
			cancel()
			if err := <-ended; err != context.Canceled {
				t.Errorf("the bot ended with %v", err)
			}
		})
	}
}

func TestRoll(t *testing.T) {
	for range 100 {
		if got := roll("3d4"); !regexp.MustCompile(`^[1-4] \+ [1-4] \+ [1-4] = \d+$`).MatchString(got) {
			t.Fatalf("3d4: %q", got)
		}
	}
	for _, dice := range []string{"", "d6", "2", "0d6", "11d6", "2d1", "2d101", "-1d6", "99999999999999999999d6", "two"} {
		if got := roll(dice); !strings.HasPrefix(got, "nothing.") {
			t.Errorf("%q: %q", dice, got)
		}
	}
}

func TestRunHostsAndVisits(t *testing.T) {
	hosting, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	exit := make(chan int, 1)
	go func() {
		exit <- run(hosting, []string{"-addr", "127.0.0.1:0"}, w)
		w.Close()
	}()
	defer stop()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("it did not start: %v, exit code %d", err, <-exit)
	}
	addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)

	ann, err := client.Dial(t.Context(), addr, client.WithNick("ann"), client.WithoutReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	visiting, leave := context.WithCancel(t.Context())
	defer leave()
	left := make(chan int, 1)
	go func() { left <- run(visiting, []string{"-join", addr, "-nick", "guest"}, io.Discard) }()
	until(t, ann, chatroom.KindJoin, "guest")
	say(t, ann, "!help")
	until(t, ann, chatroom.KindMessage, "dice")
	say(t, ann, "!help")
	until(t, ann, chatroom.KindMessage, "guest")
	leave()
	until(t, ann, chatroom.KindLeave, "guest")
	if code := <-left; code != 0 {
		t.Errorf("the visitor's exit code is %d", code)
	}
	stop()
	for err == nil {
		_, err = ann.Receive(t.Context())
	}
	if !errors.Is(err, chatroom.ErrShutdown) {
		t.Errorf("the farewell is %v", err)
	}
	if code := <-exit; code != 0 {
		t.Errorf("the host's exit code is %d", code)
	}
}

func TestExitCodesTellWrongUsageFromFailure(t *testing.T) {
	_, addr := serve(t)
	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"help", []string{"-help"}, 0},
		{"an unknown flag", []string{"-frobnicate"}, 2},
		{"an argument", []string{"lobby"}, 2},
		{"a port that is taken", []string{"-addr", addr}, 1},
		{"a nick that is none", []string{"-nick", "a b\n"}, 1},
		{"nobody listens", []string{"-join", "127.0.0.1:1"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr strings.Builder
			if code := run(t.Context(), c.args, &stderr); code != c.code || stderr.Len() == 0 {
				t.Errorf("exit code %d, want %d; it said %q", code, c.code, &stderr)
			}
		})
	}
}

// serve serves on a port of its own.
func serve(t *testing.T) (srv chatroom.Server, addr string) {
	t.Helper()
	srv, err := chatroom.New()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return srv, l.Addr().String()
}

func say(t *testing.T, c chatroom.Client, text string) {
	t.Helper()
	if _, err := c.Send(t.Context(), chatroom.Say("", text)); err != nil {
		t.Fatal(err)
	}
}

// heard returns what nick says next.
func heard(t *testing.T, c chatroom.Client, nick string) string {
	t.Helper()
	return until(t, c, chatroom.KindMessage, nick).Text
}

// until receives up to the next such event from nick.
func until(t *testing.T, c chatroom.Client, kind chatroom.Kind, nick string) chatroom.Event {
	t.Helper()
	for {
		e, err := c.Receive(t.Context())
		if err != nil {
			t.Fatalf("no %s from %s: %v", kind, nick, err)
		}
		if e.Kind == kind && e.From == nick {
			return e
		}
	}
}
