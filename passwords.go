package chatroom

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// accountPoll is how often a file of accounts is looked at for changes by another hand.
const accountPoll = 2 * time.Second

// An Account is an account as others may see it.
type Account struct {
	Name string // a valid nick; compared as nicks are
	Role Role
}

// A PasswordFile is an Authenticator for accounts with passwords, kept in a file. An account owns the nick of its name.
// Its methods may be called from many goroutines.
//
// Who names no account logs in to that of the nick: without a password that is refused with
// ErrPasswordRequired, and with a wrong one with ErrUnauthorized. Who names an account logs in to
// it, and may have its nick or any that is no account's. Whoever gives neither an account nor a password,
// and wants a nick that is no account's, gets ErrNoAccount: FirstOf(passwords, OpenDoor()) lets guests in
// beside the accounts. A member may change to its account's nick, and to those that are no account's.
//
// An account that is not there costs as much to check as a wrong password, and is refused in the
// same words. At most two passwords are checked at once, and on two processors one; others
// wait, as long as their context lets them. Throttle limits how often somebody may try.
type PasswordFile struct {
	path  string
	slots chan struct{} // holds a token for each hash that is being worked out
	// derive is passwordHash.derive, or what a test puts around it.
	derive     func(h passwordHash, password string) (string, error)
	iterations int // of new hashes

	// file is held over I/O, by who reads or changes the file. Logging in does not need it.
	file sync.Mutex
	read os.FileInfo // of the file when it was last read; guarded by file

	mu       sync.Mutex
	accounts *accountSet
	first    *accountSet   // what was there when Passwords returned
	replaced chan struct{} // closed when accounts changes
}

var _ Refresher = (*PasswordFile)(nil)

var errRevoked = &Error{Code: CodeUnauthorized, Text: "your account was revoked", Retry: RetryNever}

// Passwords reads the accounts in a file, which may be empty but has to exist. People can read
// and edit it: after the line "# chatroom accounts 1" each line is an account's name, its role
// and its password's hash, in the PHC string format.
//
//	ann admin $pbkdf2-sha256$i=600000$h0SJ…$cq3F…
//
// Blank lines and those that begin with # are kept. A file that everybody can read or a group can write
// is refused, as it would give passwords away; 0600 and 0640 are fine. One program at a time may
// change the file with Set or Remove. While somebody watches, changes by other hands are found
// within two seconds; Reload finds them at once.
func Passwords(path string) (*PasswordFile, error) {
	f := &PasswordFile{
		path:       path,
		slots:      make(chan struct{}, max(1, min(2, runtime.GOMAXPROCS(0)/2))),
		derive:     passwordHash.derive,
		iterations: hashIterations,
		replaced:   make(chan struct{}),
	}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	f.first = f.accounts
	return f, nil
}

// Authenticate checks a password, or who a nick belongs to.
func (f *PasswordFile) Authenticate(ctx context.Context, req AuthRequest) (Identity, error) {
	accounts, _ := f.current()
	if req.Current != nil {
		return renamed(req, accounts.owner(req.Nick))
	}
	name := cmp.Or(req.Account, req.Nick)
	a, known := accounts.byKey[fold(name)]
	switch {
	case req.Secret != "":
	case known || req.Account != "":
		return Identity{}, ErrPasswordRequired
	case accounts.owner(req.Nick) != "":
		return Identity{}, notYours(req.Nick)
	default:
		return Identity{}, ErrNoAccount
	}
	hash := a.hash
	if !known {
		hash = accounts.decoy(name)
	}
	ok, err := f.check(ctx, hash, req.Secret)
	if err != nil {
		return Identity{}, err
	}
	// Only the password of an account that is there has that account's hash, and the account may
	// have changed while the password was checked.
	accounts, _ = f.current()
	if a = accounts.byKey[fold(name)]; !ok || a.hash != hash {
		return Identity{}, ErrUnauthorized
	}
	if owner := accounts.owner(req.Nick); owner != "" && owner != a.Name {
		return Identity{}, notYours(req.Nick)
	}
	return Identity{Nick: req.Nick, Account: a.Name, Role: a.Role}, nil
}

// check reports whether password has the hash h.
func (f *PasswordFile) check(ctx context.Context, h passwordHash, password string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	sum, err := f.derive(h, password)
	if err != nil {
		return false, fmt.Errorf("check a password: %w", err)
	}
	// HMAC pads its key with NULs, so a password would be good with some behind it too.
	padded := strings.Contains(password, "\x00")
	return subtle.ConstantTimeCompare([]byte(sum), []byte(h.sum)) == 1 && !padded, nil
}

// renamed answers whether req.Current may have the nick it asks for, which belongs to the account
// owner, or to none if that is empty.
func renamed(req AuthRequest, owner string) (Identity, error) {
	if owner != "" && fold(owner) != fold(req.Current.Account) {
		return Identity{}, notYours(req.Nick)
	}
	id := *req.Current
	id.Nick = req.Nick
	return id, nil
}

func notYours(nick string) error {
	return &Error{Code: CodeDenied, Text: nick + " belongs to an account, or looks like one that does; log in to be called so"}
}

// Set adds an account, or gives it another password and role. It returns once the file would
// survive a crash. Members who are logged in to the account stay, with their new role; Remove
// ends them.
func (f *PasswordFile) Set(name, password string, role Role) error {
	name, err := ValidNick(name)
	if err != nil {
		return err
	}
	if err := new(Role).UnmarshalText([]byte(role.String())); err != nil {
		return fmt.Errorf("chatroom: %v is no role", role)
	}
	if password == "" || strings.Contains(password, "\x00") {
		return errors.New("chatroom: a password has at least one character, and no NUL")
	}
	h := newSalt(f.iterations)
	f.slots <- struct{}{}
	h.sum, err = f.derive(h, password)
	<-f.slots
	if err != nil {
		return fmt.Errorf("hash a password: %w", err)
	}
	return f.change(func(s *accountSet) (string, error) {
		return s.with(account{Account: Account{name, role}, hash: h}), nil
	})
}

// Remove forgets an account, which ends the members who are logged in to it. ErrNoAccount when
// there is none.
func (f *PasswordFile) Remove(name string) error {
	return f.change(func(s *accountSet) (string, error) {
		a, ok := s.byKey[fold(name)]
		if !ok {
			return "", fmt.Errorf("%w: %q", ErrNoAccount, name)
		}
		return s.without(a), nil
	})
}

// Accounts lists the accounts by name.
func (f *PasswordFile) Accounts() []Account {
	accounts, _ := f.current()
	list := make([]Account, len(accounts.keys))
	for i, key := range accounts.keys {
		list[i] = accounts.byKey[key].Account
	}
	return list
}

// Reload reads the file again. With an error, what it said before stays in force.
func (f *PasswordFile) Reload() error {
	f.file.Lock()
	defer f.file.Unlock()
	_, err := f.loadLocked()
	return err
}

// change replaces the file by the text that edit makes of what it says now.
func (f *PasswordFile) change(edit func(*accountSet) (string, error)) error {
	f.file.Lock()
	defer f.file.Unlock()
	accounts, err := f.loadLocked()
	if err != nil {
		return err
	}
	text, err := edit(accounts)
	if err != nil {
		return err
	}
	if err := replacePrivate(f.path, text, f.read.Mode().Perm()); err != nil {
		return fmt.Errorf("write accounts: %w", err)
	}
	_, err = f.loadLocked()
	return err
}

// loadLocked reads the file and puts what it says in force. f.file must be held.
func (f *PasswordFile) loadLocked() (*accountSet, error) {
	text, info, err := readPrivate(f.path)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	accounts, err := parseAccounts(text)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %s: %w", f.path, err)
	}
	f.read = info
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accounts = accounts
	close(f.replaced)
	f.replaced = make(chan struct{})
	return accounts, nil
}

// current returns the accounts, and what is closed when they change.
func (f *PasswordFile) current() (*accountSet, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accounts, f.replaced
}

// poll reads the file again if it is not the one that was read last.
func (f *PasswordFile) poll() error {
	f.file.Lock()
	defer f.file.Unlock()
	info, err := os.Stat(f.path)
	if err == nil && os.SameFile(info, f.read) && info.Mode() == f.read.Mode() &&
		info.Size() == f.read.Size() && info.ModTime().Equal(f.read.ModTime()) {
		return nil
	}
	_, err = f.loadLocked()
	return err
}

// Watch calls changed with each account that was removed or got another role since Passwords
// returned, until ctx ends. It looks at the file every two seconds, and returns the error if it cannot
// be read: what it said before stays in force, and Watch can be called again.
func (f *PasswordFile) Watch(ctx context.Context, changed func(account string)) error {
	tick := time.NewTicker(accountPoll)
	defer tick.Stop()
	for seen := f.first; ; {
		accounts, replaced := f.current()
		for _, key := range seen.keys {
			if was := seen.byKey[key].Account; accounts.byKey[key].Account != was {
				changed(was.Name)
			}
		}
		seen = accounts
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-replaced:
		case <-tick.C:
			if err := f.poll(); err != nil {
				return err
			}
		}
	}
}

// Refresh returns id with its account's role of now, or an Error if the account was removed.
func (f *PasswordFile) Refresh(_ context.Context, id Identity) (Identity, error) {
	accounts, _ := f.current()
	a, ok := accounts.byKey[fold(id.Account)]
	if !ok {
		return Identity{}, errRevoked
	}
	id.Account, id.Role = a.Name, a.Role
	return id, nil
}
