// Command customban hosts a chat room whose bans are kept in an SQLite database.
//
//	customban            with the bans in bans.db
//	customban -ban bob   puts a ban there, from beside a room too, and ends
//
// The part to copy is bans.go, and match.go for a list too long to hold.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/chatroom"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run hosts the room until ctx ends, and returns the exit code: 0 after a graceful stop, 1 after
// a failure, 2 for wrong usage.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("customban", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "localhost:5555", "listen on `host:port`")
	file := flags.String("db", "bans.db", "keep the bans in this `file`")
	nick := flags.String("ban", "", "ban this `nick`, and host no room")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "customban: unexpected argument %q; -h shows the flags\n", flags.Arg(0))
		return 2
	}
	bans, err := OpenBans(ctx, *file)
	if err == nil {
		if *nick != "" {
			err = bans.Add(ctx, chatroom.Ban{ID: rand.Text(), Kind: chatroom.BanNick, Value: *nick, Created: time.Now()})
		} else {
			err = host(ctx, *addr, bans, stderr)
		}
		err = errors.Join(err, bans.DB.Close())
	}
	if err != nil {
		fmt.Fprintln(stderr, "customban:", err)
		return 1
	}
	return 0
}

func host(ctx context.Context, addr string, bans Bans, stderr io.Writer) error {
	srv, err := chatroom.New(
		chatroom.WithBanStore(bans),
		chatroom.WithLogger(slog.New(slog.NewTextHandler(stderr, nil))),
	)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		srv.Close()
		return err
	}
	fmt.Fprintf(stderr, "The chat is open on %s, but not to everybody.\n", l.Addr())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		srv.Close()
		return err
	case <-ctx.Done():
	}
	goodbye, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = srv.Shutdown(goodbye)
	<-served
	return err
}
