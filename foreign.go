package chatroom

import (
	"bytes"
	"fmt"
)

// foreign returns an error for a connection that begins like one nobody here listens to, whatever front its
// peer might mean.
func foreign(first []byte) error {
	for _, header := range []string{proxyText, proxyBinary} {
		if bytes.HasPrefix(first, []byte(header)) {
			return fmt.Errorf("%w: a PROXY header from an address that is not a proxy's", ErrNoFront)
		}
	}
	return nil
}
