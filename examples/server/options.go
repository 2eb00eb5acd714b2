package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"example.com/chatroom"
)

// options are what the command line says.
type options struct {
	addr, room, motd      string
	history, members      uint
	perAddr               uint
	rate                  float64
	flush                 time.Duration
	pychat                name
	cert, key             string
	selfSigned            name // cert and key are this one then
	level                 slog.Level
	bans, accounts, audit name
	plaintext             bool
	words                 name
	guard                 bool
	debugAddr             name
	debugPublic           bool

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
	flags.UintVar(&o.members, "max-members", 10_000, "how many people there may be; 0 for any number")
	flags.UintVar(&o.perAddr, "per-address", 20, "how many `connections` one address may have, and three times as many new ones a minute; 0 for any number")
	flags.DurationVar(&o.flush, "flush-interval", 30*time.Millisecond, "how `long` what is said in a busy room may wait to be sent together with more; 0 for not at all")
	flags.Float64Var(&o.rate, "rate", 5, "how many `messages` a second one of them may send on the long run; 0 for any number")
	flags.Var(&o.pychat, "pychat", "let the clients of the Python chatroom in on this `host:port` too")
	flags.StringVar(&o.cert, "tls-cert", "", "serve TLS with the certificate in this PEM `file`")
	flags.StringVar(&o.key, "tls-key", "", "its key, in this PEM `file`")
	flags.Var(&o.selfSigned, "tls-self-signed", "serve TLS with a key and a certificate signed by itself, in this PEM `file`,\nwhich is made if it is not there")
	flags.TextVar(&o.level, "log-level", slog.LevelInfo, "log `level`: debug, info, warn or error")
	flags.Var(&o.bans, "bans", "keep bans in this `file`; without it they are forgotten at the end")
	flags.Var(&o.accounts, "accounts", "let people log in to the accounts in this `file`; guests come in too")
	flags.BoolVar(&o.plaintext, "plaintext-passwords", false, "take passwords from the network without TLS too, where others can read them")
	flags.Var(&o.audit, "audit", "append what moderators do to this `file`, a line of JSON each")
	flags.Var(&o.words, "words", "refuse what the words and patterns in this `file` are in; it is read again when it changes")
	flags.BoolVar(&o.guard, "guard", false, "refuse what is said again and again, and hold newcomers' links for a moderator")
	flags.Var(&o.debugAddr, "debug-addr", "serve /healthz, /debug/vars and /debug/pprof/ over HTTP on this `host:port`")
	flags.BoolVar(&o.debugPublic, "debug-public", false, "let -debug-addr be open to other machines")
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
	if o.selfSigned != "" {
		o.cert, o.key = string(o.selfSigned), string(o.selfSigned)
	}
	return o, nil
}

// limits returns the server's numbers. For the server zero means the default, and less means none.
func (o *options) limits() chatroom.Limits {
	l := chatroom.Limits{
		History:     orNone(o.history),
		Members:     orNone(o.members),
		MessageRate: cmp.Or(o.rate, -1),
		FlushMax:    cmp.Or(o.flush, -1),
		Callback:    15 * time.Second, // passwords are checked two at a time, and a slow machine takes seconds for each

		ConnsPerAddr:    orNone(o.perAddr),
		ConnRatePerAddr: 3 * orNone(o.perAddr),
	}
	if o.rate == 0 {
		l.MoveRate = -1
	}
	return l
}

// orNone returns n as a limit of the server's has it. What is more than anybody could want fits into an int three times.
func orNone(n uint) int { return cmp.Or(int(min(n, 1<<29)), -1) }

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
	case !(o.rate >= 0):
		return errors.New("-rate is not less than 0")
	case o.cert != "" && o.selfSigned != "":
		return errors.New("-tls-self-signed goes without -tls-cert and -tls-key")
	case o.debugPublic && o.debugAddr == "":
		return errors.New("-debug-public needs -debug-addr")
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
