package chatroomtest

import (
	"errors"
	"testing"

	"example.com/chatroom"
)

// BrokenBanClauses returns the names of the clauses that stores break, and what is said about each.
func BrokenBanClauses(t *testing.T, open func(t *testing.T) chatroom.BanStore, opts ...BanStoreOption) map[string]error {
	broken := map[string]error{}
	for _, c := range banClauses {
		if err := c.checked(t, open, opts); err != nil && !errors.Is(err, errNotClaimed) {
			broken[c.name] = err
		}
	}
	return broken
}
