package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"example.com/chatroom"
	"golang.org/x/term"
)

func openAccounts(path string) (*chatroom.PasswordFile, error) {
	accounts, err := chatroom.Passwords(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; -add-account makes it", err)
	}
	return accounts, err
}

// withGuests lets in who knows an account's password, and whoever takes no account's nick.
func withGuests(accounts *chatroom.PasswordFile) chatroom.Authenticator {
	return chatroom.FirstOf(chatroom.Throttle(accounts, chatroom.Tries{}), chatroom.OpenDoor())
}

// addAccount asks for a password and adds an account to a file, which it makes if there is none.
// An account that is there already gets the password, and the role if one is given. A server that
// runs finds out by itself.
func addAccount(ctx context.Context, path, name string, role *chatroom.Role, stdin *os.File, stdout, stderr io.Writer) error {
	if _, err := chatroom.ValidNick(name); err != nil {
		return fmt.Errorf("account %q: %w", name, err)
	}
	if _, err := chatroom.Passwords(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // before anything is asked
	}
	password, err := askPassword(ctx, name, stdin, stderr)
	if err != nil {
		return fmt.Errorf("password of %s: %w", name, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	f.Close() // nothing was written
	accounts, err := chatroom.Passwords(path)
	if err != nil {
		return err
	}
	now := chatroom.Account{Name: name}
	done := "added to"
	if was, err := accounts.Refresh(ctx, chatroom.Identity{Account: name}); err == nil {
		now.Role, done = was.Role, "changed in"
	}
	if role != nil {
		now.Role = *role
	}
	if err := accounts.Set(now.Name, password, now.Role); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s %s was %s %s.\n", now.Role, now.Name, done, path)
	return nil
}

// askPassword asks a terminal, twice and without echo, or else reads a line, until ctx ends.
func askPassword(ctx context.Context, name string, stdin *os.File, stderr io.Writer) (string, error) {
	type answer struct {
		password string
		err      error
	}
	answers := make(chan answer, 1)
	fd := int(stdin.Fd())
	if !term.IsTerminal(fd) {
		go func() {
			line, err := bufio.NewReader(stdin).ReadString('\n')
			if err == io.EOF && line != "" {
				err = nil
			}
			answers <- answer{strings.TrimRight(line, "\r\n"), err}
		}()
	} else {
		before, err := term.GetState(fd)
		if err != nil {
			return "", err
		}
		defer term.Restore(fd, before) // who reads a password turns the echo off, and may still be reading
		go func() {
			password, err := typed(fd, "Password for "+name+": ", stderr)
			if err == nil && password != "" {
				var again string
				if again, err = typed(fd, "The same again: ", stderr); err == nil && again != password {
					err = errors.New("the two differ")
				}
			}
			answers <- answer{password, err}
		}()
	}
	select {
	case a := <-answers:
		if a.err == nil && a.password == "" || a.err == io.EOF {
			a.err = errors.New("there is none")
		}
		return a.password, a.err
	case <-ctx.Done():
		fmt.Fprintln(stderr) // after the question
		return "", context.Cause(ctx)
	}
}

// typed asks for a line without showing it.
func typed(fd int, question string, stderr io.Writer) (string, error) {
	fmt.Fprint(stderr, question)
	line, err := term.ReadPassword(fd)
	fmt.Fprintln(stderr) // the end of the line was not shown either
	return string(line), err
}
