package chatroom

// What tests of authenticators see beside what everybody does.

var SecretExposed = secretExposed

func MayBeCalled(id Identity, reserved []string) bool { return id.mayBeCalled(newMasks(reserved)) }

// OnDerive calls call before each hash that f works out, with what the work depends on.
func (f *PasswordFile) OnDerive(call func(iterations, salt, sum int)) {
	derive := f.derive
	f.derive = func(h passwordHash, password string) (string, error) {
		call(h.iterations, len(h.salt), len(h.sum))
		return derive(h, password)
	}
}

// Hurry makes new hashes quick to work out.
func (f *PasswordFile) Hurry() { f.iterations = 10 }

// Remembered returns how many addresses and accounts a Throttle without add-ons remembers.
func Remembered(throttled Authenticator) int {
	t := throttled.(*throttle)
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.addrs) + len(t.accounts) + len(t.known)
}

// ParseAccounts reads a file of accounts, and writes it again with one more.
func ParseAccounts(text string, more Account) (list []Account, again string, err error) {
	s, err := parseAccounts(text)
	if err != nil {
		return nil, "", err
	}
	for _, key := range s.keys {
		list = append(list, s.byKey[key].Account)
	}
	h := newSalt(1)
	h.sum = h.salt
	return list, s.with(account{Account: more, hash: h}), nil
}
