package chatroom

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/secure/precis"
)

const (
	hashIterations = 600_000 // as OWASP's Password Storage Cheat Sheet has it for PBKDF2-HMAC-SHA256
	hashSalt       = 16      // bytes
	hashSum        = 32      // bytes

	// What a file may ask for, so that a slip in one cannot stop a server for hours.
	maxIterations = 10_000_000
	maxSalt       = 64
	maxSum        = 64
)

// A passwordHash is what is kept of a password. Its text is in the PHC string format:
//
//	$pbkdf2-sha256$i=600000$<salt>$<hash>
//
// where salt and hash are base64 without padding (RFC 4648, section 4).
type passwordHash struct {
	iterations int
	salt       string
	sum        string
}

var hashBase64 = base64.RawStdEncoding.Strict()

// newSalt returns what a new password's sum is to be derived with.
func newSalt(iterations int) passwordHash {
	salt := make([]byte, hashSalt)
	_, _ = rand.Read(salt) // never fails: see its documentation
	return passwordHash{iterations: iterations, salt: string(salt)}
}

// derive works out what password's sum is with h's salt. It takes about a tenth of a second
// with hashIterations.
func (h passwordHash) derive(password string) (string, error) {
	size := len(h.sum)
	if size == 0 {
		size = hashSum
	}
	sum, err := pbkdf2.Key(sha256.New, canonical(password), []byte(h.salt), h.iterations, size)
	return string(sum), err
}

// canonical returns what two ways to type one password have in common: the OpaqueString profile
// (RFC 8265). What that refuses, such as control characters, stays as it is.
func canonical(password string) string {
	if s, err := precis.OpaqueString.String(password); err == nil {
		return s
	}
	return password
}

func (h passwordHash) String() string {
	return fmt.Sprintf("$pbkdf2-sha256$i=%d$%s$%s", h.iterations,
		hashBase64.EncodeToString([]byte(h.salt)), hashBase64.EncodeToString([]byte(h.sum)))
}

// parseHash reads what String writes. Its errors hold nothing of the hash.
func parseHash(s string) (h passwordHash, err error) {
	part := strings.Split(s, "$")
	if len(part) < 2 || part[0] != "" {
		return h, errors.New("a hash begins with $ and its name")
	}
	if part[1] != "pbkdf2-sha256" {
		return h, errors.New("the hash is of a kind this version does not know")
	}
	if len(part) != 5 {
		return h, errors.New("a hash has the form $pbkdf2-sha256$i=iterations$salt$hash")
	}
	count, ok := strings.CutPrefix(part[2], "i=")
	if h.iterations, err = strconv.Atoi(count); !ok || err != nil || h.iterations < 1 || h.iterations > maxIterations {
		return h, fmt.Errorf("a hash has i=1 to i=%d", maxIterations)
	}
	salt, err := hashBase64.DecodeString(part[3])
	if err != nil || len(salt) < 8 || len(salt) > maxSalt {
		return h, fmt.Errorf("a salt is 8 to %d bytes in base64 without padding", maxSalt)
	}
	sum, err := hashBase64.DecodeString(part[4])
	if err != nil || len(sum) < 16 || len(sum) > maxSum {
		return h, fmt.Errorf("the hash itself is 16 to %d bytes in base64 without padding", maxSum)
	}
	h.salt, h.sum = string(salt), string(sum)
	return h, nil
}
