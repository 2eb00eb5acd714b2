package chatroom

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// A CertAccount is an account whose members show a TLS client certificate. CommonName or
// Fingerprint says which; several entries may be for one account.
type CertAccount struct {
	Account string // a valid nick
	Role    Role
	// CommonName is the common name of the certificate's subject. It counts only if the
	// listener's tls.Config has verified the certificate, with tls.VerifyClientCertIfGiven or
	// stricter.
	CommonName string
	// Fingerprint is the SHA-256 of the certificate in hexadecimal digits, with or without
	// colons. It counts whoever signed the certificate and whenever it expires; tls.RequestClientCert
	// suffices.
	Fingerprint string
}

// ClientCerts returns an Authenticator for members who show a client certificate. An account owns
// the nick of its name. Whoever shows none of these certificates, or names another account than
// the certificate's, gets ErrNoAccount. It returns an error for accounts it cannot tell apart or recognise.
func ClientCerts(accounts ...CertAccount) (Authenticator, error) {
	c := &clientCerts{
		names:  make(map[string]Account),
		prints: make(map[string]Account),
		owners: make(map[string]Account),
	}
	for _, a := range accounts {
		if err := c.add(a); err != nil {
			return nil, fmt.Errorf("chatroom: account %q: %w", a.Account, err)
		}
	}
	return c, nil
}

type clientCerts struct {
	names, prints map[string]Account // by common name, by lower-case fingerprint
	owners        map[string]Account // by folded nick
}

func (c *clientCerts) add(a CertAccount) error {
	name, err := ValidNick(a.Account)
	if err != nil {
		return err
	}
	known := Account{Name: name, Role: a.Role}
	if old, ok := c.owners[fold(name)]; ok && old != known {
		return errors.New("its entries differ in spelling or role")
	}
	c.owners[fold(name)] = known
	by, key := c.names, a.CommonName
	if a.Fingerprint != "" {
		by, key = c.prints, strings.ToLower(strings.ReplaceAll(a.Fingerprint, ":", ""))
		if b, err := hex.DecodeString(key); err != nil || len(b) != sha256.Size {
			return errors.New("a fingerprint is the 64 hexadecimal digits of a SHA-256")
		}
	}
	if (a.CommonName == "") == (a.Fingerprint == "") {
		return errors.New("it needs either a common name or a fingerprint")
	}
	if _, twice := by[key]; twice {
		return fmt.Errorf("the certificate %s is there twice", key)
	}
	by[key] = known
	return nil
}

func (c *clientCerts) Authenticate(_ context.Context, req AuthRequest) (Identity, error) {
	owner := c.owners[fold(req.Nick)].Name
	if req.Current != nil {
		return renamed(req, owner)
	}
	a, ok := c.shown(req.TLS)
	if !ok || req.Account != "" && fold(req.Account) != fold(a.Name) {
		return Identity{}, ErrNoAccount
	}
	if owner != "" && owner != a.Name {
		return Identity{}, notYours(req.Nick)
	}
	return Identity{Nick: req.Nick, Account: a.Name, Role: a.Role}, nil
}

// shown returns the account of the certificate that the peer has proved to be its own.
func (c *clientCerts) shown(state *tls.ConnectionState) (a Account, ok bool) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return a, false
	}
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	if a, ok = c.prints[hex.EncodeToString(sum[:])]; ok || len(state.VerifiedChains) == 0 {
		return a, ok
	}
	a, ok = c.names[leaf.Subject.CommonName]
	return a, ok
}
