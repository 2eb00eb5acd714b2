package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"example.com/chatroom"
)

func openBans(path string, log *slog.Logger) (*chatroom.FileBanStore, error) {
	bans, err := chatroom.FileBans(path)
	if err != nil {
		return nil, err
	}
	if err := bans.Err(); err != nil {
		log.Warn("a ban was left out", "err", err)
	}
	return bans, nil
}

// importBans adds the nicks in a list, such as the bans.txt of the Python chatroom, to a ban file.
func importBans(ctx context.Context, list, path string, stdout io.Writer) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	bans, err := chatroom.ReadBanList(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	store, err := chatroom.FileBans(path)
	if err != nil {
		return err
	}
	defer store.Close() // Add returns when a ban is on disk
	for _, b := range bans {
		if err := store.Add(ctx, b); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "%s bans the %d nicks in %s.\n", path, len(bans), list)
	return nil
}

// exportBans writes the nicks that a ban file bans for good to a list.
func exportBans(ctx context.Context, list, path string, stdout io.Writer) error {
	if _, err := os.Stat(path); err != nil {
		return err // FileBans would make one
	}
	store, err := chatroom.FileBans(path)
	if err != nil {
		return err
	}
	defer store.Close() // it was only read
	bans, err := store.List(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(bans, func(a, b chatroom.Ban) int { return strings.Compare(a.Value, b.Value) })
	var text bytes.Buffer
	if err := chatroom.WriteBanList(&text, bans); err != nil {
		return err
	}
	if err := os.WriteFile(list, text.Bytes(), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s has %d of the %d bans in %s: nicks that are banned for good.\n",
		list, bytes.Count(text.Bytes(), []byte("\n")), len(bans), path)
	return nil
}
