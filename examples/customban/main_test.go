package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/chatroom"
	"example.com/chatroom/chatroomtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ chatroom.BanWatcher = Bans{}
	_ chatroom.BanMatcher = Bans{}
)

// open opens the bans in a file until the test ends.
func open(t *testing.T, file string) Bans {
	t.Helper()
	bans, err := OpenBans(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bans.DB.Close() })
	bans.Poll = 5 * time.Millisecond
	return bans
}

// fileOf returns the file the bans are in.
func fileOf(t *testing.T, s chatroom.BanStore) string {
	t.Helper()
	var file string
	if err := s.(Bans).DB.QueryRow("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBansKeepTheContract(t *testing.T) {
	chatroomtest.TestBanStore(t,
		func(t *testing.T) chatroom.BanStore { return open(t, filepath.Join(t.TempDir(), "100% b?ns #1.db")) },
		chatroomtest.WithReopen(func(t *testing.T, s chatroom.BanStore) chatroom.BanStore {
			file := fileOf(t, s)
			if err := s.(Bans).DB.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, file)
		}),
		chatroomtest.WithElsewhere(func(t *testing.T, s chatroom.BanStore, b chatroom.Ban) {
			if err := open(t, fileOf(t, s)).Add(t.Context(), b); err != nil {
				t.Error(err)
			}
		}),
	)
}

func TestEveryWayToWriteABanIsFound(t *testing.T) {
	named := func(nick, account string) chatroom.Subject {
		return chatroom.Subject{Nick: nick, Keys: chatroom.NickKeys(nick), Account: account}
	}
	from := func(addr string) chatroom.Subject { return chatroom.Subject{Addr: netip.MustParseAddr(addr)} }
	for _, tt := range []struct {
		kind  chatroom.BanKind
		value string
		who   chatroom.Subject
		want  bool
	}{
		{chatroom.BanNick, "BOB", named("bob", ""), true},
		{chatroom.BanNick, "ＢＯＢ", named("Bob", ""), true},
		{chatroom.BanNick, "bob", named("bo", ""), false},
		{chatroom.BanAccount, "Robert", named("bob", "Robert"), true},
		{chatroom.BanAccount, "robert", named("bob", ""), false},
		{chatroom.BanAddr, "192.0.2.9/24", from("192.0.2.7"), true},
		{chatroom.BanAddr, "::ffff:192.0.2.7", from("192.0.2.7"), true},
		{chatroom.BanAddr, "::ffff:192.0.2.0/120", from("192.0.2.7"), true},
		{chatroom.BanAddr, "192.0.2.0/24", from("::ffff:192.0.2.7"), true},
		{chatroom.BanAddr, "192.0.2.0/29", from("192.0.2.8"), false},
		{chatroom.BanAddr, "fe80::1%eth0", from("fe80::1%eth0"), true},
		{chatroom.BanAddr, "2001:DB8:0::7/127", from("2001:db8::6"), true},
		{chatroom.BanAddr, "2001:db8::/32", from("192.0.2.7"), false},
		{chatroom.BanAddr, "192.0.2.*", from("192.0.2.7"), true},
		{"weekday", "Monday", named("ann", ""), true}, // for the server to make something of
	} {
		t.Run(fmt.Sprint(tt.kind, " ", tt.value, " ", tt.who.Nick, tt.who.Addr), func(t *testing.T) {
			bans := open(t, filepath.Join(t.TempDir(), "bans.db"))
			if err := bans.Add(t.Context(), chatroom.Ban{ID: "1", Kind: tt.kind, Value: tt.value}); err != nil {
				t.Fatal(err)
			}
			got, err := bans.Match(t.Context(), tt.who)
			if err != nil || len(got) > 0 != tt.want {
				t.Errorf("Match returned %v, %v", got, err)
			}
		})
	}
}

func TestARemovedBanLeavesNoKeys(t *testing.T) {
	bans := open(t, filepath.Join(t.TempDir(), "bans.db"))
	for _, value := range []string{"bob", "carl"} { // the second replaces the first
		if err := bans.Add(t.Context(), chatroom.Ban{ID: "1", Kind: chatroom.BanNick, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{len(chatroom.NickKeys("carl")), 0} {
		var keys int
		if err := bans.DB.QueryRow("SELECT count(*) FROM ban_keys").Scan(&keys); err != nil || keys != want {
			t.Errorf("there are %d keys, not %d; %v", keys, want, err)
		}
		if want > 0 {
			if err := bans.Remove(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSeveralProgramsMayWriteAtOneTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bans.db")
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			bans, err := OpenBans(t.Context(), file) // all of them make the tables
			if err != nil {
				t.Error(err)
				return
			}
			defer bans.DB.Close()
			for j := range 20 {
				if err := bans.Add(t.Context(), chatroom.Ban{ID: fmt.Sprint(i, "-", j), Kind: chatroom.BanNick, Value: "bob"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if list, err := open(t, file).List(t.Context()); err != nil || len(list) != 120 {
		t.Errorf("%d bans are there, %v", len(list), err)
	}
}

func TestWatchNoticesWhatAnotherProgramWrites(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bans.db")
	bans, other := open(t, file), open(t, file)
	ctx, cancel := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- bans.Watch(ctx, func() { changed <- struct{}{} }) }()
	<-changed // as it begins
	if err := other.Add(t.Context(), chatroom.Ban{ID: "1", Kind: chatroom.BanNick, Value: "bob"}); err != nil {
		t.Error(err)
	}
	<-changed
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch returned %v", err)
	}
}

func TestWatchIsQuietWhenNobodyWrites(t *testing.T) {
	bans := open(t, filepath.Join(t.TempDir(), "bans.db"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*bans.Poll)
	defer cancel()
	calls := 0
	if err := bans.Watch(ctx, func() { calls++ }); !errors.Is(err, context.DeadlineExceeded) || calls > 1 {
		t.Errorf("Watch called changed %d times and returned %v", calls, err)
	}
}

func TestACallStopsWaitingWhenItsContextEnds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bans.db")
	bans, other := open(t, file), open(t, file)
	tx, err := other.DB.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelLinearizable}) // it writes, and writes
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	for name, call := range map[string]func(context.Context) error{
		"Add":    func(ctx context.Context) error { return bans.Add(ctx, chatroom.Ban{ID: "1"}) },
		"Remove": func(ctx context.Context) error { return bans.Remove(ctx, "1") },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s returned %v", name, err)
		}
		cancel()
	}
	if list, err := bans.List(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("to read meanwhile gives %v, %v", list, err)
	}
}

func TestTheProgramKeepsOutWhoIsInTheDatabase(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bans.db")
	if code := run(t.Context(), []string{"-db", file, "-ban", "Bob"}, io.Discard); code != 0 {
		t.Fatalf("to ban bob ended with %d", code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0", "-db", file}, w)
		w.Close()
	}()
	log := bufio.NewReader(r)
	line, err := log.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, log)
	}()
	_, rest, _ := strings.Cut(line, "open on ")
	addr, _, _ := strings.Cut(rest, ",")
	for nick, want := range map[string]string{"bob": `"code":"banned"`, "ann": `"type":"welcome"`} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, `{"type":"join","nick":%q}`+"\n", nick); err != nil {
			t.Fatal(err)
		}
		if in := bufio.NewScanner(conn); !in.Scan() || !strings.Contains(in.Text(), want) {
			t.Errorf("%s is answered with %s, %v", nick, in.Text(), in.Err())
		}
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("the program ended with %d", code)
	}
	<-drained
}

func TestTheProgramSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		code int
		args []string
	}{
		{1, []string{"-db", t.TempDir()}},
		{1, []string{"-db", filepath.Join(t.TempDir(), "bans.db"), "-addr", "nowhere"}},
		{2, []string{"bob"}},
		{2, []string{"-unban", "bob"}},
	} {
		var stderr strings.Builder
		if got := run(t.Context(), tt.args, &stderr); got != tt.code || stderr.Len() == 0 {
			t.Errorf("with %q it ended with %d, not %d; it said %q", tt.args, got, tt.code, &stderr)
		}
	}
}
