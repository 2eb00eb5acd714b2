//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// A child is a server process.
type child struct {
	addr string

	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// startChild starts this program as a server, and returns once it listens. The server ends when its input does, which is
// with this process at the latest.
func startChild(k kind, procs int) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serverVariable+"="+k.name, fmt.Sprintf("GOMAXPROCS=%d", procs))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, in: in, out: json.NewDecoder(out)}
	s, err := c.hear()
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	c.addr = s.Addr
	return c, nil
}

// ask sends a request and returns the sample that answers it.
func (c *child) ask(req request) (sample, error) {
	if err := json.NewEncoder(c.in).Encode(req); err != nil {
		return sample{}, err
	}
	return c.hear()
}

func (c *child) hear() (s sample, err error) {
	late := time.AfterFunc(time.Minute, func() { _ = c.cmd.Process.Kill() }) // and then reading fails
	defer late.Stop()
	if err := c.out.Decode(&s); err != nil {
		return s, fmt.Errorf("hear from the server process: %w", err)
	}
	if s.Err != "" {
		return s, errors.New(s.Err)
	}
	return s, nil
}

// stop ends the process.
func (c *child) stop() error {
	c.in.Close()
	late := time.AfterFunc(20*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	return c.cmd.Wait()
}
