package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// A pin is the fingerprint of the one key a server may have: the SHA-256 of its
// SubjectPublicKeyInfo (RFC 7469), written as OpenSSH writes fingerprints.
type pin [sha256.Size]byte

const pinPrefix = "SHA256:"

func parsePin(s string) (*pin, error) {
	s = strings.TrimSuffix(s, "=") // which some write
	sum, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(s, pinPrefix))
	if err == nil && len(sum) == sha256.Size {
		// Decoding passes over line ends and stray bits.
		if p := (*pin)(sum); p.String() == s {
			return p, nil
		}
	}
	return nil, errors.New("a fingerprint is SHA256: and 43 characters of base64")
}

func (p *pin) String() string { return pinPrefix + base64.RawStdEncoding.EncodeToString(p[:]) }

// config returns how to speak TLS with the server that has the key p. Who signed its certificate,
// for which name and until when does not matter then.
func (p *pin) config() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, VerifyConnection: p.verify}
}

// verify is called at every handshake, in which the peer has to prove too that it has the key.
func (p *pin) verify(state tls.ConnectionState) error {
	if got := pin(sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)); got != *p {
		return fmt.Errorf("this is not the server you named: its key is %s, and -tls-pin says %s", &got, p)
	}
	return nil
}
