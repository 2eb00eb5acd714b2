package threats

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/chatroom"
)

// Passwords take long to check, and many at a time do not slow the room.
func TestThreat27ParallelLogins(t *testing.T) {
	logins := pick(100, 8)
	path := filepath.Join(t.TempDir(), "accounts")
	if err := os.WriteFile(path, []byte("# chatroom accounts 1\n"+account(t, "ann", "sesame", pick(600_000, 20_000))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, setup{Accounts: path})
	room := newProbe(t, s, 10*time.Millisecond)
	var in, wrong, late atomic.Int64
	began := time.Now()
	paced(logins, 0, func(i int) {
		switch code, err := login(s.addr, i); {
		case err != nil:
			t.Error(err)
		case code == "":
			in.Add(1)
		case code == chatroom.CodeUnauthorized:
			wrong.Add(1)
		case code == chatroom.CodeTimeout: // there were too many before
			late.Add(1)
		default:
			t.Errorf("login %d was told %s", i, code)
		}
	})
	took := time.Since(began)
	<-time.After(100 * time.Millisecond)
	room.end(t, 100*time.Millisecond)
	t.Logf("%d logins at once in %v: %d in, %d with a wrong password, %d in vain; room meanwhile: %v",
		logins, took.Round(time.Millisecond), in.Load(), wrong.Load(), late.Load(), &room.delays)
	if in.Load() == 0 || wrong.Load() == 0 {
		t.Errorf("%d are in, %d passwords were wrong", in.Load(), wrong.Load())
	}
}

// login logs in once, every other time with a wrong password, and returns the code of what it is refused with.
func login(addr string, i int) (chatroom.Code, error) {
	p, err := dial(addr, address(attacks, i))
	if err != nil {
		return "", err
	}
	defer p.drop()
	p.SetDeadline(time.Now().Add(patience))
	if err := p.say(fmt.Sprintf(`{"type":"join","nick":"ann%d","account":"ann","password":"%s"}`, i, []string{"sesame", "parsley"}[i%2])); err != nil {
		return "", err
	}
	line, err := p.in.ReadBytes('\n')
	if err != nil {
		return "", err
	}
	if bytes.Contains(line, []byte(`"type":"welcome"`)) {
		return "", nil
	}
	_, rest, ok := strings.Cut(string(line), `"code":"`)
	code, _, _ := strings.Cut(rest, `"`)
	if !ok {
		return "", errors.New(string(line))
	}
	return chatroom.Code(code), nil
}

// account returns a line of a file of accounts.
func account(t *testing.T, name, password string, iterations int) string {
	salt := []byte("salt of 16 bytes")
	sum, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawStdEncoding
	return fmt.Sprintf("%s member $pbkdf2-sha256$i=%d$%s$%s", name, iterations, enc.EncodeToString(salt), enc.EncodeToString(sum))
}
