package chatroom_test

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/chatroom"
)

const accountHeader = "# chatroom accounts 1\n"

// accountLine is a line of a file of accounts with a hash that is quick to check.
func accountLine(name, role, password string) string {
	salt := sha256.Sum256([]byte(name))
	sum, err := pbkdf2.Key(sha256.New, password, salt[:16], 10, 32)
	if err != nil {
		panic(err)
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("%s %s $pbkdf2-sha256$i=10$%s$%s\n", name, role, b64(salt[:16]), b64(sum))
}

func accountFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accounts")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// passwords reads the accounts at path, and makes new ones that are quick to check.
func passwords(t testing.TB, path string) *chatroom.PasswordFile {
	t.Helper()
	f, err := chatroom.Passwords(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Hurry()
	return f
}

// annAndBob are two accounts: the admin ann, whose password is "correct", and the member bob.
func annAndBob(t testing.TB) *chatroom.PasswordFile {
	t.Helper()
	return passwords(t, accountFile(t, accountHeader+
		accountLine("Ann", "admin", "correct")+accountLine("bob", "member", "bob's")))
}

func TestPasswordsSayWhoMayJoin(t *testing.T) {
	f := annAndBob(t)
	ann := chatroom.Identity{Nick: "annie", Account: "Ann", Role: chatroom.RoleAdmin}
	guest := chatroom.Identity{Nick: "guest"}
	for _, tt := range []struct {
		name string
		req  chatroom.AuthRequest
		want chatroom.Identity
		err  error
	}{
		{"by nick", chatroom.AuthRequest{Nick: "Ann", Secret: "correct"}, chatroom.Identity{Nick: "Ann", Account: "Ann", Role: chatroom.RoleAdmin}, nil},
		{"in other letters", chatroom.AuthRequest{Nick: "ａNN", Secret: "correct"}, chatroom.Identity{Nick: "ａNN", Account: "Ann", Role: chatroom.RoleAdmin}, nil},
		{"by account", chatroom.AuthRequest{Nick: "annie", Account: "ann", Secret: "correct"}, ann, nil},
		{"without a password", chatroom.AuthRequest{Nick: "ann"}, chatroom.Identity{}, chatroom.ErrPasswordRequired},
		{"with a wrong one", chatroom.AuthRequest{Nick: "ann", Secret: "bob's"}, chatroom.Identity{}, chatroom.ErrUnauthorized},
		{"by account without a password", chatroom.AuthRequest{Nick: "x", Account: "ann"}, chatroom.Identity{}, chatroom.ErrPasswordRequired},
		{"by an unknown account without a password", chatroom.AuthRequest{Nick: "x", Account: "y"}, chatroom.Identity{}, chatroom.ErrPasswordRequired},
		{"by account with a wrong one", chatroom.AuthRequest{Nick: "bob", Account: "ann", Secret: "bob's"}, chatroom.Identity{}, chatroom.ErrUnauthorized},
		{"under another account's nick", chatroom.AuthRequest{Nick: "BOB", Account: "ann", Secret: "correct"}, chatroom.Identity{}, chatroom.ErrDenied},
		{"unknown nick", chatroom.AuthRequest{Nick: "guest"}, chatroom.Identity{}, chatroom.ErrNoAccount},
		{"what looks like an account's nick", chatroom.AuthRequest{Nick: "\u0430nn"}, chatroom.Identity{}, chatroom.ErrDenied},
		{"what looks like another account's nick", chatroom.AuthRequest{Nick: "b\u043eb", Account: "ann", Secret: "correct"}, chatroom.Identity{}, chatroom.ErrDenied},
		{"guest's rename to what looks like an account's nick", chatroom.AuthRequest{Nick: "\u0430nn", Current: &guest}, chatroom.Identity{}, chatroom.ErrDenied},
		{"unknown nick with a password", chatroom.AuthRequest{Nick: "guest", Secret: "correct"}, chatroom.Identity{}, chatroom.ErrUnauthorized},
		{"unknown account with a password", chatroom.AuthRequest{Nick: "ann", Account: "y", Secret: "correct"}, chatroom.Identity{}, chatroom.ErrUnauthorized},

		{"rename to nobody's nick", chatroom.AuthRequest{Nick: "new", Current: &guest}, chatroom.Identity{Nick: "new"}, nil},
		{"rename to one's account's nick", chatroom.AuthRequest{Nick: "ANN", Current: &ann}, chatroom.Identity{Nick: "ANN", Account: "Ann", Role: chatroom.RoleAdmin}, nil},
		{"rename to an account's nick", chatroom.AuthRequest{Nick: "Bob", Account: "Ann", Current: &ann}, chatroom.Identity{}, chatroom.ErrDenied},
		{"guest's rename to an account's nick", chatroom.AuthRequest{Nick: "ann", Current: &guest}, chatroom.Identity{}, chatroom.ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := f.Authenticate(t.Context(), tt.req)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got the error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPasswordIsTheSameHoweverItIsTyped(t *testing.T) {
	f := passwords(t, accountFile(t, accountHeader+accountLine("ann", "member", "caf\u00e9 au lait")))
	for secret, want := range map[string]error{
		"cafe\u0301\u00a0au lait": nil, // decomposed, and with a no-break space
		"Caf\u00e9 au lait":       chatroom.ErrUnauthorized,
		"caf\u00e9 au lait\x00":   chatroom.ErrUnauthorized,
		"caf\xe9 au lait":         chatroom.ErrUnauthorized,
	} {
		if _, err := f.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "ann", Secret: secret}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", secret, err, want)
		}
	}
}

// TestAnUnknownAccountCostsWhatAWrongPasswordDoes counts the work, which BenchmarkPasswords
// measures.
func TestAnUnknownAccountCostsWhatAWrongPasswordDoes(t *testing.T) {
	f := annAndBob(t)
	var work []string
	f.OnDerive(func(iterations, salt, sum int) { work = append(work, fmt.Sprint(iterations, salt, sum)) })
	var refusals []string
	for _, req := range []chatroom.AuthRequest{
		{Nick: "ann", Secret: "wrong"},
		{Nick: "nobody", Secret: "wrong"},
		{Nick: "x", Account: "ann", Secret: "wrong"},
		{Nick: "x", Account: "nobody", Secret: "wrong"},
		{Nick: "ann", Account: "nobody", Secret: "correct"},
		{Nick: "bob", Account: "ann", Secret: "wrong"},
	} {
		id, err := f.Authenticate(t.Context(), req)
		refusals = append(refusals, fmt.Sprintf("%v %#v", id, err.(*chatroom.Error)))
	}
	if len(work) != 6 || len(slices.Compact(work)) != 1 {
		t.Errorf("the work was %v, want the same six times", work)
	}
	if kinds := slices.Compact(refusals); len(kinds) != 1 {
		t.Errorf("the refusals differ: %v", kinds)
	}
}

func TestOnlyPasswordsThatAreGivenCostWork(t *testing.T) {
	f := annAndBob(t)
	f.OnDerive(func(_, _, _ int) { t.Error("a hash was worked out") })
	ann := chatroom.Identity{Nick: "Ann", Account: "Ann"}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = f.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "ann"})
	_, _ = f.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "guest"})
	_, _ = f.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "bob", Current: &ann})
	if _, err := f.Authenticate(ended, chatroom.AuthRequest{Nick: "ann", Secret: "correct"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestFewPasswordsAreCheckedAtOnceAndOthersWaitAsLongAsTheyMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := annAndBob(t)
		atOnce := max(1, min(2, runtime.GOMAXPROCS(0)/2))
		var running, most atomic.Int32
		f.OnDerive(func(_, _, _ int) {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second) // a slow machine
			running.Add(-1)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		start := time.Now()
		var in, late atomic.Int32
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				switch _, err := f.Authenticate(ctx, chatroom.AuthRequest{Nick: "ann", Secret: "correct"}); {
				case err == nil:
					in.Add(1)
				case errors.Is(err, context.DeadlineExceeded):
					late.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := int(most.Load()); got != atOnce {
			t.Errorf("%d were checked at once, want %d", got, atOnce)
		}
		// Those that have begun when the context ends are finished.
		if got := int(in.Load()); got != 4*atOnce || in.Load()+late.Load() != 100 {
			t.Errorf("%d got in and %d were late, want %d and the rest", got, late.Load(), 4*atOnce)
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("it took %v, want 4s", took)
		}
	})
}

func TestAccountsAreKept(t *testing.T) {
	path := accountFile(t, accountHeader+"\n# those who were here first\n"+accountLine("bob", "member", "bob's")+"# others\n")
	f := passwords(t, path)
	for _, err := range []error{
		f.Set("Ann", "correct", chatroom.RoleMember),
		f.Set("Carol", "x", chatroom.RoleMember),
		f.Set("aNN", "horse", chatroom.RoleAdmin), // the same account
		f.Remove("CAROL"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Remove("carol"); !errors.Is(err, chatroom.ErrNoAccount) {
		t.Errorf("removing who is not there: %v", err)
	}
	for _, f := range []*chatroom.PasswordFile{f, passwords(t, path)} {
		want := []chatroom.Account{{Name: "aNN", Role: chatroom.RoleAdmin}, {Name: "bob"}}
		if diff := cmp.Diff(want, f.Accounts()); diff != "" {
			t.Error(diff)
		}
		for secret, want := range map[string]error{"horse": nil, "correct": chatroom.ErrUnauthorized} {
			if _, err := f.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "ann", Secret: secret}); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", secret, err, want)
			}
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin := accountHeader + "\n# those who were here first\n" + accountLine("bob", "member", "bob's") + "# others\naNN admin $pbkdf2-sha256$i=10$"
	if !strings.HasPrefix(string(text), begin) || strings.Count(string(text), "\n") != 6 {
		t.Errorf("the file says\n%s", text)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("beside the file there are %v", left)
	}
}

func TestANewPasswordIsHashed600000Times(t *testing.T) {
	path := accountFile(t, "")
	f, err := chatroom.Passwords(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Set("ann", "correct", chatroom.RoleMember); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "\nann member $pbkdf2-sha256$i=600000$") {
		t.Errorf("the file says %q, %v", text, err)
	}
}

func TestSetTakesWhatAnotherHandWroteIntoAccount(t *testing.T) {
	path := accountFile(t, "")
	f := passwords(t, path)
	if err := os.WriteFile(path, []byte(accountHeader+accountLine("bob", "member", "bob's")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Set("ann", "correct", chatroom.RoleMember); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]chatroom.Account{{Name: "ann"}, {Name: "bob"}}, f.Accounts()); diff != "" {
		t.Error(diff)
	}
}

func TestSetFollowsALink(t *testing.T) {
	path := accountFile(t, "")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	f := passwords(t, link)
	if err := f.Set("ann", "correct", chatroom.RoleMember); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "\nann member ") {
		t.Errorf("the file says %q, %v", text, err)
	}
}

func TestSetKeepsTheMode(t *testing.T) {
	path := accountFile(t, "")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := passwords(t, path).Set("ann", "correct", chatroom.RoleMember); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}

func TestSetRefusesWhatIsNoAccount(t *testing.T) {
	f := passwords(t, accountFile(t, ""))
	if err := f.Set("an n", "correct", chatroom.RoleMember); !errors.Is(err, chatroom.ErrNickInvalid) {
		t.Errorf("a name with a space: %v", err)
	}
	if f.Set("ann", "", chatroom.RoleMember) == nil || f.Set("ann", "correct", 7) == nil {
		t.Error("an empty password or a role that is none was taken")
	}
	if got := f.Accounts(); len(got) != 0 {
		t.Errorf("there are accounts: %v", got)
	}
}

func TestABadFileOfAccountsIsRefused(t *testing.T) {
	ann := accountLine("ann", "member", "correct")
	hash := strings.TrimPrefix(strings.TrimSpace(ann), "ann member ")
	for _, tt := range []struct{ name, text, want string }{
		{"no header", ann, "line 1 is not"},
		{"another version", "# chatroom accounts 2\n" + ann, "line 1 is not"},
		{"two of a name", accountHeader + ann + accountLine("ANN", "admin", "x"), "line 3: there is an account ANN already"},
		{"too few fields", accountHeader + "\nann " + hash, "line 3: a line is"},
		{"too many fields", accountHeader + strings.TrimSpace(ann) + " x", "line 2: a line is"},
		{"bad name", accountHeader + "a,b member " + hash, "line 2: the name"},
		{"no such role", accountHeader + "ann boss " + hash, "line 2: a role is"},
		{"no hash", accountHeader + "ann member correct", "line 2: a hash begins"},
		{"unknown hash", accountHeader + "ann member $2b$12$x", "line 2: the hash is of a kind"},
		{"hash cut short", accountHeader + "ann member $pbkdf2-sha256$i=10", "line 2: a hash has the form"},
		{"no iterations", accountHeader + "ann member " + strings.Replace(hash, "i=10", "i=0", 1), "line 2: a hash has i=1"},
		{"iterations without end", accountHeader + "ann member " + strings.Replace(hash, "i=10", "i=4000000000", 1), "line 2: a hash has i=1"},
		{"short sum", accountHeader + "ann member $pbkdf2-sha256$i=10$AAAAAAAAAAAAAAAAAAAAAA$AAAA", "line 2: the hash itself"},
		{"short salt", accountHeader + "ann member $pbkdf2-sha256$i=10$AAAA$AAAAAAAAAAAAAAAAAAAAAA", "line 2: a salt is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := chatroom.Passwords(accountFile(t, tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), hash[len(hash)-20:]) {
				t.Errorf("got %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestAFileThatOthersCanReadIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no file modes")
	}
	path := accountFile(t, "")
	for mode, want := range map[fs.FileMode]bool{0o600: true, 0o640: true, 0o400: true, 0o644: false, 0o660: false, 0o602: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := chatroom.Passwords(path); (err == nil) != want {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	if _, err := chatroom.Passwords(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// watched runs Watch until the test ends, and returns what it reports.
func watched(t *testing.T, r chatroom.Refresher) <-chan string {
	t.Helper()
	changed := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- r.Watch(ctx, func(account string) {
			select {
			case changed <- account:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
	})
	return changed
}

func TestWatchTellsOfChangesByAnyHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := accountFile(t, accountHeader+accountLine("ann", "admin", "a")+accountLine("bob", "member", "b")+accountLine("carol", "member", "c")+accountLine("dan", "member", "d"))
		f := passwords(t, path)
		if err := f.Remove("dan"); err != nil { // before anybody watches
			t.Fatal(err)
		}
		changed := watched(t, f)
		if got := <-changed; got != "dan" {
			t.Errorf("%q changed, want dan", got)
		}
		start := time.Now()
		if err := f.Set("BOB", "b", chatroom.RoleModerator); err != nil {
			t.Fatal(err)
		}
		if got := <-changed; got != "bob" {
			t.Errorf("%q changed, want bob", got)
		}
		if err := f.Remove("carol"); err != nil {
			t.Fatal(err)
		}
		if got := <-changed; got != "carol" {
			t.Errorf("%q changed, want carol", got)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("its own changes were found after %v", took)
		}
		if err := os.WriteFile(path, []byte(accountHeader+accountLine("BOB", "moderator", "b")), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := <-changed; got != "ann" {
			t.Errorf("%q changed, want ann", got)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("another's change was found after %v", took)
		}
		bob, err := f.Refresh(t.Context(), chatroom.Identity{Nick: "bobby", Account: "bob"})
		if diff := cmp.Diff(chatroom.Identity{Nick: "bobby", Account: "BOB", Role: chatroom.RoleModerator}, bob); diff != "" || err != nil {
			t.Error(diff, err)
		}
		_, err = f.Refresh(t.Context(), chatroom.Identity{Nick: "ann", Account: "ann"})
		want := &chatroom.Error{Code: chatroom.CodeUnauthorized, Text: "your account was revoked", Retry: chatroom.RetryNever}
		if diff := cmp.Diff(error(want), err); diff != "" {
			t.Error(diff)
		}
	})
}

func TestABrokenFileLeavesTheAccountsInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := accountHeader + accountLine("ann", "admin", "correct")
		path := accountFile(t, good)
		f := passwords(t, path)
		if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // as often as it is asked
			err := f.Watch(t.Context(), func(account string) { t.Errorf("%q changed", account) })
			if err == nil || !strings.Contains(err.Error(), "line 1 is not") {
				t.Errorf("Watch returned %v", err)
			}
		}
		if f.Reload() == nil || f.Set("bob", "x", chatroom.RoleMember) == nil {
			t.Error("a broken file was read, or replaced")
		}
		if _, err := f.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "ann", Secret: "correct"}); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.Reload(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnAccountThatChangesDuringACheckDoesNotLetIn(t *testing.T) {
	for name, text := range map[string]string{
		"removed":          accountHeader,
		"another password": accountHeader + accountLine("ann", "admin", "new"),
	} {
		t.Run(name, func(t *testing.T) {
			path := accountFile(t, accountHeader+accountLine("ann", "admin", "correct"))
			f := passwords(t, path)
			f.OnDerive(func(_, _, _ int) {
				if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), f.Reload()); err != nil {
					t.Error(err)
				}
			})
			if id, err := f.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "ann", Secret: "correct"}); !errors.Is(err, chatroom.ErrUnauthorized) {
				t.Errorf("got in as %v, %v", id, err)
			}
		})
	}
}

func TestAccountsMayChangeWhileOthersLogIn(t *testing.T) {
	f := annAndBob(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		for i := range 3 {
			if err := f.Set("carol", "c", chatroom.Role(i)); err != nil {
				t.Error(err)
			}
			_ = f.Accounts()
			if err := errors.Join(f.Reload(), f.Remove("carol")); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() { _ = f.Watch(ctx, func(string) {}) })
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := f.Authenticate(t.Context(), chatroom.AuthRequest{Nick: "ann", Secret: "correct"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzAccountFile reads files of accounts, and checks that one that is accepted says the same,
// and one account more, after an account is added.
func FuzzAccountFile(f *testing.F) {
	f.Add("")
	f.Add(accountHeader + "# a comment\n\n" + accountLine("ann", "admin", "a") + accountLine("Bob", "member", "b"))
	f.Add(accountHeader + accountLine("new", "admin", "a"))
	f.Add(accountHeader + strings.Repeat("\n", 1000))
	f.Add(accountHeader + "\r\n" + strings.ReplaceAll(accountLine("ａｎｎ", "moderator", "a"), "\n", "\r\n") + "# cut off")
	f.Fuzz(func(t *testing.T, text string) {
		more := chatroom.Account{Name: "New", Role: chatroom.RoleModerator}
		// Its owner wrote it: a line of one byte may cost what is noted of a line.
		mustAllocate(t, 100*len(text)+16<<10, func() { _, _, _ = chatroom.ParseAccounts(text, more) })
		list, again, err := chatroom.ParseAccounts(text, more)
		if err != nil {
			return
		}
		got, twice, err := chatroom.ParseAccounts(again, more)
		if err != nil {
			t.Fatalf("it cannot read what it wrote: %v\n%s", err, again)
		}
		want := slices.DeleteFunc(list, func(a chatroom.Account) bool { return strings.EqualFold(foldWidth(a.Name), "new") })
		want = append(want, more)
		byName := cmpopts.SortSlices(func(a, b chatroom.Account) bool { return a.Name < b.Name })
		if diff := cmp.Diff(want, got, byName); diff != "" {
			t.Error(diff)
		}
		if strings.Count(twice, "\n") != strings.Count(again, "\n") {
			t.Errorf("replacing an account adds lines:\n%s", twice)
		}
	})
}

// foldWidth makes full-width letters of ASCII letters ASCII.
func foldWidth(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0xff01 && r <= 0xff5e {
			return r - 0xfee0
		}
		return r
	}, s)
}

// BenchmarkPasswords checks wrong passwords and unknown accounts in turn, at full cost, and reports their
// medians.
func BenchmarkPasswords(b *testing.B) {
	f, err := chatroom.Passwords(accountFile(b, ""))
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Set("ann", "correct", chatroom.RoleMember); err != nil {
		b.Fatal(err)
	}
	var took [2][]time.Duration
	for b.Loop() {
		for i, nick := range []string{"ann", "nobody"} {
			start := time.Now()
			if _, err := f.Authenticate(b.Context(), chatroom.AuthRequest{Nick: nick, Secret: "wrong"}); !errors.Is(err, chatroom.ErrUnauthorized) {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	var median [2]float64
	for i, name := range []string{"wrong-ms", "unknown-ms"} {
		slices.Sort(took[i])
		median[i] = took[i][len(took[i])/2].Seconds() * 1000
		b.ReportMetric(median[i], name)
	}
	b.ReportMetric(median[1]/median[0], "unknown/wrong")
}
