package chatroom

import "crypto/rand"

// newToken returns a name nobody can guess or will meet again.
func newToken() string { return rand.Text() }
