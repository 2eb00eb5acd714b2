//go:build !unix

package chatroom

const rawSockets = false

func writeNow(uintptr, []byte) int { return 0 }

func readNow(uintptr, []byte) (int, error, bool) { return 0, nil, true }
