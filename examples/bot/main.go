// Command bot rolls dice and tells the time in a chat room: in one it hosts, or in one elsewhere.
//
//	bot                                  hosts the chat; then: nc localhost 5555
//	bot -join chat.example.org:5555      joins one
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// bot answers what others say, wherever c is a member, until c is not any more or ctx ends. It
// does not know whether c is in this process or on the other end of a connection.
func bot(ctx context.Context, c chatroom.Client) error {
	for {
		e, err := c.Receive(ctx)
		if err != nil {
			return err
		}
		if e.Kind != chatroom.KindMessage || e.History || e.Member == c.Self().Member {
			continue
		}
		if answer := reply(e.From, e.Text); answer != "" {
			// One that is refused is lost; if it is because the bot has to go, Receive says so.
			_, _ = c.Send(ctx, chatroom.Say(e.Room, answer))
		}
	}
}

// reply returns the answer to a text; to most there is none.
func reply(from, text string) string {
	switch verb, dice, _ := strings.Cut(text, " "); verb {
	case "!help":
		return "I know !time and !roll 2d6."
	case "!time":
		return time.Now().Format("It is 15:04 on Monday, 2 January.")
	case "!roll":
		return from + " rolls " + roll(strings.TrimSpace(dice))
	}
	return ""
}

// roll rolls dice such as 2d6, which is two of six sides.
func roll(dice string) string {
	var n, sides int
	if _, err := fmt.Sscanf(dice, "%dd%d", &n, &sides); err != nil || n < 1 || n > 10 || sides < 2 || sides > 100 {
		return "nothing. Up to ten dice go like 2d6."
	}
	sum, rolled := 0, make([]string, n)
	for i := range rolled {
		r := 1 + rand.IntN(sides)
		sum, rolled[i] = sum+r, fmt.Sprint(r)
	}
	return fmt.Sprintf("%s = %d", strings.Join(rolled, " + "), sum)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run runs a bot until ctx ends and returns the exit code: 0 then, 1 for a failure, 2 for wrong
// usage.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("bot", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "localhost:5555", "host the chat on `host:port`")
	join := flags.String("join", "", "join the chat at `host:port`, and host none")
	nick := flags.String("nick", "dice", "the bot's `name`")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "bot: unexpected argument %q; see -help\n", flags.Arg(0))
		return 2
	}
	var err error
	if *join != "" {
		err = visit(ctx, *join, *nick)
	} else {
		err = host(ctx, *addr, *nick, stderr)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(stderr, "bot: %q\n", err) // quoted: the words may be those of a server elsewhere
		return 1
	}
	return 0
}

// visit runs the bot over a connection.
func visit(ctx context.Context, addr, nick string) error {
	c, err := client.Dial(ctx, addr, client.WithNick(nick))
	if err != nil {
		return err
	}
	defer c.Close()
	return bot(ctx, c)
}

// host runs the bot in process, and serves others until it ends.
func host(ctx context.Context, addr, nick string, stderr io.Writer) error {
	srv, err := chatroom.New()
	if err != nil {
		return err
	}
	c, err := srv.Join(ctx, chatroom.Identity{Nick: nick})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		srv.Close()
		return err
	}
	fmt.Fprintf(stderr, "%s waits for company on %s.\n", nick, l.Addr())
	served := make(chan error, 1)
	go func() {
		err := srv.Serve(l)
		c.Close() // without listeners the bot has to end
		served <- err
	}()
	err = bot(ctx, c)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = srv.Shutdown(ctx) // at worst somebody misses the farewell
	if failed := <-served; !errors.Is(failed, chatroom.ErrServerClosed) {
		return failed
	}
	return err
}
