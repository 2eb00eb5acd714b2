package chatroom

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// accountHeader is the first line of a file of accounts, unless that is empty.
const accountHeader = "# chatroom accounts 1"

// An account is a line of a file of accounts.
type account struct {
	Account
	hash passwordHash
	line int // in accountSet.lines
}

// An accountSet is what a file of accounts says. It does not change.
type accountSet struct {
	lines []string // those after the header, comments too
	byKey map[string]account
	keys  []string          // of byKey, which are folded names; sorted
	alike map[string]string // names by what nicks that look like them have in common
}

// parseAccounts reads a file of accounts. Its errors name the line and hold nothing of a hash.
func parseAccounts(data string) (*accountSet, error) {
	s := &accountSet{byKey: make(map[string]account), alike: make(map[string]string)}
	if strings.TrimSpace(data) == "" {
		return s, nil
	}
	for line := range strings.Lines(data) {
		s.lines = append(s.lines, strings.TrimSpace(line))
	}
	if s.lines[0] != accountHeader {
		return nil, fmt.Errorf("line 1 is not %q", accountHeader)
	}
	s.lines = s.lines[1:]
	for i, line := range s.lines {
		if line == "" || line[0] == '#' {
			continue
		}
		a, err := parseAccount(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
		key := fold(a.Name)
		if _, twice := s.byKey[key]; twice {
			return nil, fmt.Errorf("line %d: there is an account %s already", i+2, a.Name)
		}
		a.line = i
		s.byKey[key] = a
		for _, alike := range NickKeys(a.Name) {
			if s.alike[alike] == "" {
				s.alike[alike] = a.Name
			}
		}
	}
	s.keys = slices.Sorted(maps.Keys(s.byKey))
	return s, nil
}

func parseAccount(line string) (a account, err error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return a, errors.New("a line is a name, a role and a hash")
	}
	if a.Name, err = ValidNick(fields[0]); err != nil {
		return a, errors.New("the name of an account has to be a valid nick")
	}
	if err = a.Role.UnmarshalText([]byte(fields[1])); err != nil {
		return a, errors.New("a role is member, moderator or admin")
	}
	a.hash, err = parseHash(fields[2])
	return a, err
}

// owner returns the account that a nick belongs to, or looks like it does; empty if there is none.
func (s *accountSet) owner(nick string) string {
	if a, ok := s.byKey[fold(nick)]; ok {
		return a.Name
	}
	for _, key := range NickKeys(nick) {
		if name := s.alike[key]; name != "" {
			return name
		}
	}
	return ""
}

// with returns the text of a file that has a too, in place of the account of that name if any.
func (s *accountSet) with(a account) string {
	line := fmt.Sprintf("%s %s %s", a.Name, a.Role, a.hash)
	if old, ok := s.byKey[fold(a.Name)]; ok {
		lines := slices.Clone(s.lines)
		lines[old.line] = line
		return accountText(lines)
	}
	return accountText(append(slices.Clone(s.lines), line))
}

// without returns the text of a file that lacks a.
func (s *accountSet) without(a account) string {
	return accountText(slices.Delete(slices.Clone(s.lines), a.line, a.line+1))
}

func accountText(lines []string) string {
	return accountHeader + "\n" + strings.Join(append(lines, ""), "\n")
}

var decoySeed = maphash.MakeSeed()

// decoy returns the hash that a password is checked against for a name that is no account's: that
// of some account, always the same for the same name, so that the check costs what others cost.
func (s *accountSet) decoy(name string) passwordHash {
	if len(s.keys) == 0 {
		return passwordHash{iterations: hashIterations, salt: strings.Repeat("?", hashSalt), sum: strings.Repeat("?", hashSum)}
	}
	i := maphash.String(decoySeed, fold(name)) % uint64(len(s.keys))
	return s.byKey[s.keys[i]].hash
}

// readPrivate reads a file that must not be readable by everybody, nor writable by a group. What
// it returns of the file is from before it was read, so that later changes show.
func readPrivate(path string) (string, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return "", nil, err
	}
	// Windows has no such modes; Go makes them up there.
	if mode := info.Mode().Perm(); mode&0o027 != 0 && runtime.GOOS != "windows" {
		return "", nil, fmt.Errorf("read %s: mode %04o lets others in; make it 0600 or 0640", path, mode)
	}
	data, err := io.ReadAll(f)
	return string(data), info, err
}

// replacePrivate puts text in path's place: whatever happens, one of the two is there, whole. A
// symbolic link stays, and what it leads to is replaced.
func replacePrivate(path, text string, mode os.FileMode) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".*") // its mode is 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // which fails once it is renamed, as it should
	_, err = temp.WriteString(text)
	if err == nil {
		err = temp.Chmod(mode)
	}
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
