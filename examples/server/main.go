// Command server hosts chat rooms on a TCP port, for people with nc and for programs alike.
//
//	server                 on this machine only
//	server -addr :5555     for your network
//	server -addr :5555 -tls-cert cert.pem -tls-key key.pem
//
// It forgets everything when it ends, but for what it is given files for: bans, accounts with
// passwords, beside which guests may still come in, and a record of what moderators do.
//
//	server -bans bans -accounts accounts -audit audit.jsonl
//
// SIGHUP makes it read bans and accounts again. It also looks after these files:
//
//	server -add-account ann -role admin -accounts accounts    asks for the password
//	server -import-bans bans.txt -bans bans                   a list of nicks, one a line
//	server -export-bans bans.txt -bans bans
//	server -verify-audit audit.jsonl [hash]
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
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/chatroom"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run hosts rooms until ctx ends, or does what it is asked to with a file, and returns the exit
// code: 0 after a graceful stop, 1 for a failure, 2 for wrong usage.
func run(ctx context.Context, args []string, stdin *os.File, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // the reason is told
	case o.addAccount != "":
		err = addAccount(ctx, string(o.accounts), string(o.addAccount), o.role, stdin, stdout, stderr)
	case o.importBans != "":
		err = importBans(ctx, string(o.importBans), string(o.bans), stdout)
	case o.exportBans != "":
		err = exportBans(ctx, string(o.exportBans), string(o.bans), stdout)
	case o.verifyAudit != "":
		err = verifyAudit(string(o.verifyAudit), o.head, stdout)
	default:
		err = host(ctx, o, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return 1
	}
	return 0
}

// options are what the command line says.
type options struct {
	addr, room, motd      string
	history               uint
	cert, key             string
	level                 slog.Level
	bans, accounts, audit name
	plaintext             bool

	// What to do in place of hosting rooms: at most one is not empty.
	addAccount, importBans, exportBans, verifyAudit name

	role *chatroom.Role // for addAccount; nil if none was named
	head string         // for verifyAudit; may be empty
}

// A name is a flag that cannot be set to nothing: -accounts "$ACCOUNTS" without that variable
// must not mean a server without accounts.
type name string

func (n *name) String() string { return string(*n) }

func (n *name) Set(s string) error {
	if s == "" {
		return errors.New("it is empty")
	}
	*n = name(s)
	return nil
}

const usage = `Usage: server [flags]
       server -add-account name [-role role] -accounts file
       server -import-bans file -bans file
       server -export-bans file -bans file
       server -verify-audit file [hash]

`

// parse reads the command line. An error has been told on stderr.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.addr, "addr", "localhost:5555", "listen on `host:port`; without a host, for the whole network")
	flags.StringVar(&o.room, "room", "lobby", "`name` of the room people come into")
	flags.StringVar(&o.motd, "motd", "", "`text` that greets them")
	flags.UintVar(&o.history, "history", 50, "how many earlier messages they see; 0 for none")
	flags.StringVar(&o.cert, "tls-cert", "", "serve TLS with the certificate in this PEM `file`")
	flags.StringVar(&o.key, "tls-key", "", "its key, in this PEM `file`")
	flags.TextVar(&o.level, "log-level", slog.LevelInfo, "log `level`: debug, info, warn or error")
	flags.Var(&o.bans, "bans", "keep bans in this `file`; without it they are forgotten at the end")
	flags.Var(&o.accounts, "accounts", "let people log in to the accounts in this `file`; guests come in too")
	flags.BoolVar(&o.plaintext, "plaintext-passwords", false, "take passwords from the network without TLS too, where others can read them")
	flags.Var(&o.audit, "audit", "append what moderators do to this `file`, a line of JSON each")
	flags.Var(&o.addAccount, "add-account", "add an account of this `name` to -accounts, or change its password, and end")
	flags.Func("role", "the `role` of -add-account: member, moderator or admin; without it, the one it has, or member", func(s string) error {
		o.role = new(chatroom.Role)
		return o.role.UnmarshalText([]byte(s))
	})
	flags.Var(&o.importBans, "import-bans", "add the nicks in this `file`, one a line, to -bans, and end")
	flags.Var(&o.exportBans, "export-bans", "write the nicks that -bans bans for good to this `file`, one a line, and end")
	flags.Var(&o.verifyAudit, "verify-audit", "check that nobody changed this `file` of -audit, and that the hash printed\nby an earlier check is still in it, if one is given; and end")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintf(stderr, "server: %v; see -help\n", err)
		return nil, err
	}
	return o, nil
}

var auditHead = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check finds out whether the flags go together, with the arguments behind them.
func (o *options) check(args []string) error {
	if o.verifyAudit != "" && len(args) > 0 {
		o.head, args = strings.ToLower(args[0]), args[1:]
	}
	deeds := 0
	for _, deed := range []name{o.addAccount, o.importBans, o.exportBans, o.verifyAudit} {
		if deed != "" {
			deeds++
		}
	}
	switch {
	case len(args) > 0:
		return fmt.Errorf("unexpected argument %q", args[0])
	case (o.cert == "") != (o.key == ""):
		return errors.New("-tls-cert and -tls-key go together")
	case deeds > 1:
		return errors.New("-add-account, -import-bans, -export-bans and -verify-audit do not go together")
	case o.addAccount != "" && o.accounts == "":
		return errors.New("-add-account needs -accounts")
	case o.addAccount == "" && o.role != nil:
		return errors.New("-role needs -add-account")
	case (o.importBans != "" || o.exportBans != "") && o.bans == "":
		return errors.New("-import-bans and -export-bans need -bans")
	case o.head != "" && !auditHead.MatchString(o.head):
		return fmt.Errorf("%q is no hash: 64 hexadecimal digits", o.head)
	}
	return nil
}

// host hosts rooms until ctx ends.
func host(ctx context.Context, o *options, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: o.level}))
	opts := []chatroom.Option{
		chatroom.WithRoom(o.room),
		chatroom.WithMOTD(o.motd),
		chatroom.WithLimits(chatroom.Limits{History: cmp.Or(int(o.history), -1)}),
		chatroom.WithLogger(log),
	}
	var files reloaders
	if o.bans != "" {
		bans, err := openBans(string(o.bans), log)
		if err != nil {
			return err
		}
		defer bans.Close() // whatever it has acknowledged is on disk
		files = append(files, bans)
		opts = append(opts, chatroom.WithBanStore(bans))
	}
	if o.accounts != "" {
		accounts, err := openAccounts(string(o.accounts))
		if err != nil {
			return err
		}
		files = append(files, accounts)
		opts = append(opts, chatroom.WithAuthenticator(withGuests(accounts)))
	}
	if o.plaintext {
		opts = append(opts, chatroom.WithPlaintextSecrets())
	}
	if len(files) > 0 {
		defer onHangup(func() { files.reload(log) })()
	}
	var audit *auditFile
	if o.audit != "" {
		var err error
		if audit, err = openAudit(string(o.audit), log); err != nil {
			return err
		}
		defer audit.Close() // each record was synced
	}
	srv, err := chatroom.New(opts...)
	if err != nil {
		return err
	}
	l, err := listen(o.addr, o.cert, o.key)
	if err != nil {
		return err
	}
	fmt.Fprint(stderr, invitation(o, l.Addr().(*net.TCPAddr)))
	var recording sync.WaitGroup
	var unrecorded error
	if audit != nil {
		recording.Go(func() { unrecorded = audit.follow(srv.Audits(context.WithoutCancel(ctx))) })
	}
	err = serve(ctx, srv, l)
	recording.Wait() // the server is closed, so there is an end to what it did
	return errors.Join(err, unrecorded)
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
func invitation(o *options, at *net.TCPAddr) string {
	host, _, _ := net.SplitHostPort(o.addr) // listening there, it is well-formed
	host = cmp.Or(host, "localhost")
	join := fmt.Sprintf("nc %s %d", host, at.Port)
	if o.cert != "" {
		join = "openssl s_client -quiet -connect " + net.JoinHostPort(host, strconv.Itoa(at.Port))
	}
	text := fmt.Sprintf("The chat is open on %s. To join:\n\n    %s\n\n", at, join)
	switch {
	case at.IP.IsLoopback():
		text += fmt.Sprintf("It is open to this machine only; -addr :%d opens it to your network.\n", at.Port)
	case at.IP.IsUnspecified():
		text += "From elsewhere, put this machine's name or address for localhost.\n"
	}
	if o.accounts != "" && o.cert == "" && !o.plaintext && !at.IP.IsLoopback() {
		text += "From elsewhere nobody can log in to an account without TLS; see -tls-cert and -tls-key.\n"
	}
	return text + "Ctrl-C closes it.\n\n"
}

// serve serves until ctx ends, and then gives members five seconds to take their farewell. It
// leaves the server closed.
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
