// Command client joins a chat room from a terminal, or says what is piped into it.
//
//	client -nick ann
//	client -addr chat.example.org:5555 -tls -room tea
//	client -addr 192.168.1.7:5555 -tls-pin SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
//	echo "it builds again" | client -nick build
//
// A pin is for a server whose certificate no authority has signed: the server tells the fingerprint of its
// key when it starts. The client then speaks with who has that key and with nobody else, whatever
// else the certificate says.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run chats until the input or ctx ends and returns the exit code: 0 for who left, 1 for a
// failure or who was made to leave, 2 for wrong usage.
func run(ctx context.Context, args []string, stdin, stdout *os.File, stderr io.Writer) int {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "localhost:5555", "join the server at `host:port`")
	nick := flags.String("nick", os.Getenv("USER"), "the `name` to go by; without one a terminal is asked")
	room := flags.String("room", "", "`name` of the room to join; the server's own choice if empty")
	secure := flags.Bool("tls", false, "speak TLS")
	ca := flags.String("ca", "", "speak TLS, and trust only the certificates in this PEM `file`")
	var pinned *pin
	flags.Func("tls-pin", "speak TLS, and trust only the server whose key has this `fingerprint`, SHA256:…", func(s string) (err error) {
		pinned, err = parsePin(s)
		return err
	})
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "client: unexpected argument %q; a server is named with -addr; see -help\n", flags.Arg(0))
		return 2
	case pinned != nil && *ca != "":
		fmt.Fprintln(stderr, "client: -tls-pin and -ca do not go together; see -help")
		return 2
	case *nick == "" && !isTerminal(stdin, stdout):
		fmt.Fprintln(stderr, "client: -nick is missing; see -help")
		return 2
	}
	conf, err := trust(*secure, *ca, pinned)
	if err == nil {
		err = talk(ctx, stdin, stdout, stderr, *addr, *nick, client.WithRoom(*room), client.WithTLS(conf))
	}
	if errors.Is(err, chatroom.ErrClosed) {
		return 0
	}
	if _, shown := errors.AsType[*chatroom.Error](err); !shown {
		fmt.Fprintln(stderr, "client:", chatroom.Clean(err.Error()))
	}
	return 1
}

// trust returns how to speak TLS; nil means not at all.
func trust(secure bool, ca string, pinned *pin) (*tls.Config, error) {
	switch {
	case pinned != nil:
		return pinned.config(), nil
	case ca == "" && secure:
		return &tls.Config{}, nil
	case ca == "":
		return nil, nil
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificates in %s", ca)
	}
	return &tls.Config{RootCAs: roots}, nil
}

// talk joins, chats, and returns why that ended, which is never nil. An Error has been shown.
func talk(ctx context.Context, stdin, stdout *os.File, stderr io.Writer, addr, nick string, opts ...client.Option) error {
	s, err := openScreen(stdin, stdout, stderr)
	if err != nil {
		return err
	}
	defer s.close()
	c, err := join(ctx, s, addr, nick, opts)
	if err != nil {
		return err
	}
	defer c.Close()
	return chat(ctx, c, s)
}

// errNoWord is what there is to say of a server that says nothing.
var errNoWord = errors.New("the server hung up without a word; if it speaks TLS, -tls, -ca or -tls-pin says so")

// join joins. A terminal is asked for what is missing or refused: the nick, the password.
func join(ctx context.Context, s *screen, addr, nick string, opts []client.Option) (*client.Client, error) {
	var password string
	var err error
	if nick == "" {
		nick, err = s.ask(ctx, "Your nickname: ", false)
	}
	for err == nil {
		dialing, cancel := context.WithTimeout(ctx, 10*time.Second)
		c, failed := client.Dial(dialing, addr, append(opts, client.WithNick(nick), client.WithPassword(password), client.WithState(s.follow))...)
		cancel()
		refused, ok := errors.AsType[*chatroom.Error](failed)
		if !ok {
			return c, failed
		}
		if errors.Is(refused, chatroom.ErrConnectionLost) {
			return nil, errNoWord
		}
		s.refuse(refused)
		switch {
		case s.term == nil:
			return nil, refused
		case errors.Is(refused, chatroom.ErrNickInUse), errors.Is(refused, chatroom.ErrNickInvalid):
			nick, err = s.ask(ctx, "Your nickname: ", false)
		case errors.Is(refused, chatroom.ErrPasswordRequired), errors.Is(refused, chatroom.ErrUnauthorized):
			password, err = s.ask(ctx, "Your password: ", true)
		default:
			return nil, refused
		}
	}
	return nil, err
}
