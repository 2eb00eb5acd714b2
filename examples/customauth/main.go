// Command customauth hosts a chat room for the users of an HTTP service.
//
//	customauth                               with a service of its own, for trying it out
//	customauth -users http://localhost:8080
//
// The part to copy is users.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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
	flags := flag.NewFlagSet("customauth", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "localhost:5555", "listen on `host:port`")
	url := flags.String("users", "", "`URL` of the service; without it there are ann, whose password is \"correct horse\", and bob, \"battery staple\"")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "customauth: unexpected argument %q; -h shows the flags\n", flags.Arg(0))
		return 2
	}
	if err := host(ctx, *addr, *url, stderr); err != nil {
		fmt.Fprintln(stderr, "customauth:", err)
		return 1
	}
	return 0
}

func host(ctx context.Context, addr, url string, stderr io.Writer) error {
	if url == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		demo := &http.Server{Handler: demoUsers(), ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
		served := make(chan error, 1)
		go func() { served <- demo.Serve(l) }()
		defer func() {
			demo.Close() // nobody is logging in any more
			<-served
		}()
		url = "http://" + l.Addr().String()
	}
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 10, IdleConnTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	users := Users{URL: url, Client: client}
	srv, err := chatroom.New(
		// Slow down who guesses, and take passwords over TLS only, or from this machine.
		chatroom.WithAuthenticator(chatroom.Throttle(chatroom.RequireTLS(users), chatroom.Tries{})),
		chatroom.WithLogger(slog.New(slog.NewTextHandler(stderr, nil))),
	)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "The chat is open on %s, for the users of %s.\n", l.Addr(), url)
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
