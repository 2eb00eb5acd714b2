//go:build linux

package main

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the server process that trials start.
func TestMain(m *testing.M) {
	if name := os.Getenv(serverVariable); name != "" {
		if err := serveChild(name, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
