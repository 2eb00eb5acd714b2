// Command server hosts chat rooms on a TCP port, for people with nc and for programs alike.
//
//	server                 on this machine only
//	server -addr :5555     for your network
//	server -addr :5555 -tls-cert cert.pem -tls-key key.pem
//	server -addr :5555 -tls-self-signed server.pem
//
// The certificate may be renewed while it runs: the files are read again when they have changed.
// One that is signed by itself is made if the file is not there. Clients know it by the fingerprint of its
// key, which the server tells: client -tls-pin.
//
// It forgets everything when it ends, but for what it is given files for: bans, accounts with
// passwords, beside which guests may still come in, and a record of what moderators do.
//
//	server -bans bans -accounts accounts -audit audit.jsonl
//
//	server -words words.txt -guard                            filters what is said
//	server -pychat localhost:55555                            lets the old Python clients in
//
// Their admin is the account admin. They speak no TLS: a password from elsewhere than this machine
// is refused, unless -plaintext-passwords says that others may read it.
//
// SIGHUP makes it read bans and accounts again. With -debug-addr localhost:6060 it serves counters, profiles and an
// answer to whether it is well over HTTP: /debug/vars, /debug/pprof/ and /healthz. It also looks after these files:
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
	"strconv"
	"sync"
	"syscall"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/adapters/pychat"
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

// host hosts rooms until ctx ends.
func host(ctx context.Context, o *options, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: o.level}))
	opts := []chatroom.Option{
		chatroom.WithRoom(o.room),
		chatroom.WithMOTD(o.motd),
		chatroom.WithLimits(o.limits()),
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
	steps, err := filterSteps(o)
	if err != nil {
		return err
	}
	for _, step := range steps {
		opts = append(opts, chatroom.WithFilter(step))
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
	return attend(ctx, o, srv, audit, log, stderr)
}

// attend opens the doors of srv, looks after it until ctx ends, and leaves it closed.
func attend(ctx context.Context, o *options, srv chatroom.Server, audit *auditFile, log *slog.Logger, stderr io.Writer) error {
	doors, err := open(o, srv, log, stderr)
	closeDebug := func() {}
	if err == nil && o.debugAddr != "" {
		closeDebug, err = openDebug(ctx, o, srv, log)
	}
	if err != nil {
		for _, d := range doors {
			d.Close()
		}
		srv.Close()
		return err
	}
	defer closeDebug()
	var recording sync.WaitGroup
	var unrecorded error
	if audit != nil {
		recording.Go(func() { unrecorded = audit.follow(srv.Audits(context.WithoutCancel(ctx))) })
	}
	err = serve(ctx, srv, doors)
	recording.Wait() // the server is closed, so there is an end to what it did
	return errors.Join(err, unrecorded)
}

// A door is a listener and the fronts for it; none are the server's own.
type door struct {
	net.Listener
	fronts []chatroom.Front
}

// open listens, and says where and how to join.
func open(o *options, srv chatroom.Server, log *slog.Logger, stderr io.Writer) ([]door, error) {
	var pair *keyPair
	if o.cert != "" {
		var err error
		if pair, err = openKeyPair(o, log); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return nil, err
	}
	text := invitation(o, l.Addr().(*net.TCPAddr))
	if pair != nil {
		l = tls.NewListener(l, pair.config())
	}
	if o.selfSigned != "" {
		text += pinInvitation(o, l.Addr().(*net.TCPAddr), pair.fingerprint())
	}
	doors := []door{{Listener: l}}
	if o.pychat != "" {
		old, err := net.Listen("tcp", string(o.pychat))
		if err != nil {
			l.Close()
			return nil, err
		}
		home := srv.Rooms()[0].Room // there is no other yet
		doors = append(doors, door{old, []chatroom.Front{pychat.Front{Home: home}}})
		text += oldInvitation(o, old.Addr().(*net.TCPAddr))
	}
	fmt.Fprint(stderr, text)
	return doors, nil
}

// invitation says where the chat is and how to join.
func invitation(o *options, at *net.TCPAddr) string {
	join := fmt.Sprintf("nc %s %d", o.host(), at.Port)
	if o.cert != "" {
		join = "openssl s_client -quiet -connect " + net.JoinHostPort(o.host(), strconv.Itoa(at.Port))
	}
	text := fmt.Sprintf("The chat is open on %s. To join:\n\n    %s\n\n", at, join)
	switch {
	case at.IP.IsLoopback():
		text += fmt.Sprintf("It is open to this machine only; -addr :%d opens it to your network.\n", at.Port)
	case at.IP.IsUnspecified():
		text += "From elsewhere, put this machine's name or address for localhost.\n"
	}
	if o.accounts != "" && o.cert == "" && !o.plaintext && !at.IP.IsLoopback() {
		text += "From elsewhere nobody can log in to an account without TLS; see -tls-cert and -tls-self-signed.\n"
	}
	return text + "Ctrl-C closes it.\n\n"
}

// host returns where to find this machine, as far as the options say.
func (o *options) host() string {
	host, _, _ := net.SplitHostPort(o.addr) // listening there, it is well-formed
	return cmp.Or(host, "localhost")
}

// pinInvitation says how to know the server by its key.
func pinInvitation(o *options, at *net.TCPAddr, fingerprint string) string {
	return fmt.Sprintf("Its certificate is signed by itself. Clients know it by its key:\n\n    client -addr %s -tls-pin %s\n\n",
		net.JoinHostPort(o.host(), strconv.Itoa(at.Port)), fingerprint)
}

// oldInvitation says where the Python chatroom's clients are let in, and what about their admin.
func oldInvitation(o *options, at *net.TCPAddr) string {
	text := fmt.Sprintf("The Python chatroom's clients join on %s.\n", at)
	switch {
	case o.accounts == "":
		text += "None of them can be admin without -accounts and an account of that name; see -add-account.\n"
	case at.IP.IsLoopback():
	case o.plaintext:
		text += "THE PASSWORD OF admin COMES IN THE CLEAR: others on the way can read it. These clients speak no TLS.\n"
	default:
		text += "From elsewhere none of them can be admin: they speak no TLS, and passwords in the clear are refused\n" +
			"without -plaintext-passwords, with which others can read them.\n"
	}
	return text + "\n"
}

// serve serves until ctx ends, and then gives members five seconds to take their farewell. It
// leaves the server closed.
func serve(ctx context.Context, srv chatroom.Server, doors []door) error {
	served := make(chan error, len(doors))
	for _, d := range doors {
		go func() { served <- srv.Serve(d.Listener, d.fronts...) }()
	}
	waitFor := func(n int) {
		for range n {
			<-served
		}
	}
	select {
	case err := <-served:
		srv.Close()
		waitFor(len(doors) - 1)
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := srv.Shutdown(ctx)
	waitFor(len(doors))
	return err
}
