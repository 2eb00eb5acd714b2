package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"example.com/chatroom"
)

// Bans keeps bans in a database, which several programs may use at one time.
type Bans struct {
	DB   *sql.DB
	Poll time.Duration // how often Watch looks; zero means every second
}

// A ban that may be on a chatroom.Subject has a key in common with it; see match.go. Whoever
// writes to these tables by hand gives the ban its keys, or just anybody's.
const tables = `
CREATE TABLE IF NOT EXISTS bans (
	id TEXT PRIMARY KEY, effect TEXT, kind TEXT, value TEXT, reason TEXT, note TEXT,
	given_by TEXT, rank INTEGER, created TEXT, expires TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS ban_keys (
	key TEXT, id TEXT REFERENCES bans ON DELETE CASCADE, PRIMARY KEY (key, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ban_keys_id ON ban_keys (id);`

// OpenBans opens the database in a file, which it makes if need be. The caller closes its DB.
func OpenBans(ctx context.Context, file string) (Bans, error) {
	// The driver begins a transaction as a writer's, and waits for the writer before: for a
	// minute, unless the context ends. EXTRA is what makes a commit survive a loss of power.
	db, err := driver.Open(file, func(c *sqlite3.Conn) error {
		return c.Exec("PRAGMA synchronous = EXTRA; PRAGMA foreign_keys = ON")
	})
	if err != nil {
		return Bans{}, fmt.Errorf("open %s: %w", file, err)
	}
	db.SetMaxOpenConns(8) // a rush of members waits here, not with an SQLite each
	db.SetMaxIdleConns(8)
	if _, err = db.ExecContext(ctx, tables); err == nil {
		// With WAL, which the file remembers, those who read do not wait for the one who writes.
		// To turn it on waits for nobody either; while somebody else is busy, it is left to them.
		if _, err = db.ExecContext(ctx, "PRAGMA journal_mode = WAL"); errors.Is(err, sqlite3.BUSY) {
			err = nil
		}
	}
	if err != nil {
		db.Close() // nothing was written that a failure could lose
		return Bans{}, fmt.Errorf("open %s: %w", file, cmp.Or(ctx.Err(), err))
	}
	return Bans{DB: db}, nil
}

// Add stores b, replacing a ban with the same ID.
func (s Bans) Add(ctx context.Context, b chatroom.Ban) error {
	created, err := b.Created.UTC().MarshalText()
	if err != nil {
		return err
	}
	expires, err := b.Expires.UTC().MarshalText()
	if err != nil {
		return err
	}
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	defer tx.Rollback() // after Commit it does nothing
	if _, err := tx.ExecContext(ctx, "REPLACE INTO bans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", b.ID, string(b.Effect),
		string(b.Kind), b.Value, b.Reason, b.Note, b.By, int(b.Rank), string(created), string(expires)); err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	for _, key := range banKeys(b) {
		if _, err := tx.ExecContext(ctx, "REPLACE INTO ban_keys VALUES (?, ?)", key, b.ID); err != nil {
			return cmp.Or(ctx.Err(), err)
		}
	}
	if err := tx.Commit(); err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	return nil
}

// Remove forgets the ban with that ID; ErrNoBan when there is none.
func (s Bans) Remove(ctx context.Context, id string) error {
	result, err := s.DB.ExecContext(ctx, "DELETE FROM bans WHERE id = ?", id)
	if err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return cmp.Or(err, fmt.Errorf("%w: %q", chatroom.ErrNoBan, id))
	}
	return nil
}

// List returns every ban.
func (s Bans) List(ctx context.Context) ([]chatroom.Ban, error) { return s.query(ctx, "") }

// query returns the bans for which where, a clause or nothing, holds.
func (s Bans) query(ctx context.Context, where string, args ...any) ([]chatroom.Ban, error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT id, effect, kind, value, reason, note, given_by, rank, created, expires
		FROM bans `+where, args...)
	if err != nil {
		return nil, cmp.Or(ctx.Err(), err)
	}
	defer rows.Close()
	var bans []chatroom.Ban
	for rows.Next() {
		var b chatroom.Ban
		var created, expires []byte
		err := rows.Scan(&b.ID, &b.Effect, &b.Kind, &b.Value, &b.Reason, &b.Note, &b.By, &b.Rank, &created, &expires)
		if err == nil {
			err = errors.Join(b.Created.UnmarshalText(created), b.Expires.UnmarshalText(expires))
		}
		if err != nil {
			return nil, cmp.Or(ctx.Err(), fmt.Errorf("ban %q: %w", b.ID, err))
		}
		bans = append(bans, b)
	}
	if err := rows.Err(); err != nil {
		return nil, cmp.Or(ctx.Err(), err)
	}
	return bans, nil
}

// Watch calls changed when it begins, and whenever the database has been written to since.
func (s Bans) Watch(ctx context.Context, changed func()) error {
	conn, err := s.DB.Conn(ctx) // data_version is about what others wrote than this connection
	if err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	defer conn.Close()
	tick := time.NewTicker(cmp.Or(s.Poll, time.Second))
	defer tick.Stop()
	for seen := int64(-1); ; {
		var version int64
		if err := conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
			return cmp.Or(ctx.Err(), err)
		}
		if version != seen {
			seen = version
			changed()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
