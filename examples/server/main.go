// Command server hosts chat rooms on a TCP port, for people with nc and for programs alike.
//
//	server                 on this machine only
//	server -addr :5555     for your network
//	server -addr :5555 -tls-cert cert.pem -tls-key key.pem
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"example.com/chatroom"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run hosts rooms until ctx ends and returns the exit code: 0 after a graceful stop, 1 for a
// failure, 2 for wrong usage.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "localhost:5555", "listen on `host:port`; without a host, for the whole network")
	room := flags.String("room", "lobby", "`name` of the room people come into")
	motd := flags.String("motd", "", "`text` that greets them")
	history := flags.Uint("history", 50, "how many earlier messages they see; 0 for none")
	cert := flags.String("tls-cert", "", "serve TLS with the certificate in this PEM `file`")
	key := flags.String("tls-key", "", "its key, in this PEM `file`")
	var level slog.Level
	flags.TextVar(&level, "log-level", slog.LevelInfo, "log `level`: debug, info, warn or error")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "server: unexpected argument %q; see -help\n", flags.Arg(0))
		return 2
	case (*cert == "") != (*key == ""):
		fmt.Fprintln(stderr, "server: -tls-cert and -tls-key go together; see -help")
		return 2
	}
	srv, err := chatroom.New(
		chatroom.WithRoom(*room),
		chatroom.WithMOTD(*motd),
		chatroom.WithLimits(chatroom.Limits{History: cmp.Or(int(*history), -1)}),
		chatroom.WithLogger(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))),
	)
	var l net.Listener
	if err == nil {
		l, err = listen(*addr, *cert, *key)
	}
	if err == nil {
		fmt.Fprint(stderr, invitation(*addr, l.Addr().(*net.TCPAddr), *cert != ""))
		err = serve(ctx, srv, l)
	}
	if err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return 1
	}
	return 0
}

func listen(addr, cert, key string) (net.Listener, error) {
	if cert == "" {
		return net.Listen("tcp", addr)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return tls.Listen("tcp", addr, &tls.Config{Certificates: []tls.Certificate{pair}})
}

// invitation says where the chat is and how to join.
func invitation(addr string, at *net.TCPAddr, secure bool) string {
	host, _, _ := net.SplitHostPort(addr) // listening there, it is well-formed
	host = cmp.Or(host, "localhost")
	join := fmt.Sprintf("nc %s %d", host, at.Port)
	if secure {
		join = "openssl s_client -quiet -connect " + net.JoinHostPort(host, strconv.Itoa(at.Port))
	}
	text := fmt.Sprintf("The chat is open on %s. To join:\n\n    %s\n\n", at, join)
	switch {
	case at.IP.IsLoopback():
		text += fmt.Sprintf("It is open to this machine only; -addr :%d opens it to your network.\n", at.Port)
	case at.IP.IsUnspecified():
		text += "From elsewhere, put this machine's name or address for localhost.\n"
	}
	return text + "Ctrl-C closes it.\n\n"
}

// serve serves until ctx ends, and then gives members five seconds to take their farewell.
func serve(ctx context.Context, srv chatroom.Server, l net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		srv.Close()
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := srv.Shutdown(ctx)
	<-served
	return err
}
