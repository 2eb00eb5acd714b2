package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.com/chatroom"
)

// verbGap is the verb of a record in the file that stands for records that are missing there. Its
// Seq is the first one's.
const verbGap chatroom.Verb = "gap"

// An auditFile is a file of audit records, which only grows: a chain, as the comment of checkChain
// describes it. One goroutine at a time may use it.
type auditFile struct {
	file *os.File // nobody else writes to it
	log  *slog.Logger

	size   int64  // up to where the file is good
	last   string // the hash of the last record
	ragged bool   // there may be something behind size
}

// openAudit opens the audit file at path to append to it, and makes it if there is none. A file
// in which something was changed is refused. A last line that was cut short, as by a crash, is
// dropped, and the log says so.
func openAudit(path string, log *slog.Logger) (*auditFile, error) {
	f, err := openAlone(path)
	if err != nil {
		return nil, fmt.Errorf("open audit file: %w", err)
	}
	data, err := io.ReadAll(f)
	if err == nil {
		err = syncDir(filepath.Dir(path)) // the file may be new
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open audit file: %w", err)
	}
	c, err := checkChain(data)
	if err != nil && !errors.Is(err, errTorn) {
		f.Close()
		return nil, fmt.Errorf("audit file %s: %w; verify it, and put it aside or name another", path, err)
	}
	a := &auditFile{file: f, log: log, size: int64(c.size), last: c.last, ragged: err != nil}
	if a.ragged {
		log.Error("the audit file's last line was cut short and is dropped", "file", path, "line", c.records+1, "bytes", len(data)-c.size)
		if err := a.trim(); err != nil {
			f.Close()
			return nil, fmt.Errorf("open audit file: %w", err)
		}
	}
	return a, nil
}

// Close gives up the file.
func (a *auditFile) Close() error { return a.file.Close() }

// follow appends records until there are no more, and returns why some are missing, if some are.
// A disk that fails does not stop it: it tries again with the next record, and puts one before
// that to tell of the gap.
func (a *auditFile) follow(records iter.Seq[chatroom.Audit]) error {
	var (
		written, seen uint64 // the last Seq in the file, and the last that came
		trouble       error  // with the file, while it lasts
		missing       error  // the first reason
	)
	put := func(rec chatroom.Audit, upTo uint64) bool {
		err := a.append(rec)
		if err == nil {
			written, trouble = upTo, nil
			return true
		}
		if trouble == nil {
			trouble = err
			a.log.Error("audit records are not written", "from", written+1, "err", err)
			missing = cmp.Or(missing, fmt.Errorf("audit file: record %d was not written: %w", written+1, err))
		}
		return false
	}
	fill := func(upTo uint64) bool {
		why, from := cmp.Or(trouble, errTooSlow), written+1
		if !put(gap(from, upTo, why), upTo) {
			return false
		}
		a.log.Error("the audit file has a gap", "from", from, "to", upTo, "err", why)
		missing = cmp.Or(missing, fmt.Errorf("audit file: records %d to %d are missing: %w", from, upTo, why))
		return true
	}
	for rec := range records {
		seen = rec.Seq
		if seen <= written+1 || fill(seen-1) {
			put(rec, seen)
		}
	}
	if seen > written && !fill(seen) {
		missing = fmt.Errorf("audit file: records %d to %d were not written: %w", written+1, seen, trouble)
	}
	return missing
}

// errInUse is about a file that another process, or this one, has open.
var errInUse = errors.New("the file is in use")

var errTooSlow = errors.New("they came faster than they could be written")

// gap is the record that stands for those from one number to another.
func gap(from, to uint64, why error) chatroom.Audit {
	return chatroom.Audit{
		Seq: from, Time: time.Now(), Verb: verbGap, Source: chatroom.SourceServer,
		Note: fmt.Sprintf("records %d to %d are missing: %v", from, to, why),
	}
}

// append appends a record, and returns once it would survive a crash. If it fails, the file is as
// it was, or will be before the next record is appended.
func (a *auditFile) append(rec chatroom.Audit) error {
	line, hash, err := seal(a.last, rec)
	if err != nil {
		return err
	}
	if a.ragged {
		if err := a.trim(); err != nil {
			return err
		}
	}
	a.ragged = true
	if _, err = a.file.WriteAt(line, a.size); err == nil {
		err = a.file.Sync()
	}
	if err != nil {
		_ = a.trim() // which is tried again before the next record
		return err
	}
	a.size, a.last, a.ragged = a.size+int64(len(line)), hash, false
	return nil
}

// trim cuts off what is not good.
func (a *auditFile) trim() error {
	if err := a.file.Truncate(a.size); err != nil {
		return err
	}
	if err := a.file.Sync(); err != nil {
		return err
	}
	a.ragged = false
	return nil
}

// syncDir makes a new file in a directory survive a power failure.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // Windows and some network file systems know no such thing
	return nil
}

// seal returns the line for a record that follows the one with the hash prev, and the line's own.
func seal(prev string, rec chatroom.Audit) (line []byte, hash string, err error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // so that grep finds what was typed
	if err := enc.Encode(rec); err != nil {
		return nil, "", fmt.Errorf("encode audit record %d: %w", rec.Seq, err)
	}
	fields := strings.TrimSuffix(strings.TrimPrefix(text.String(), "{"), "}\n")
	body := fmt.Sprintf(`{"prev":"%s",%s`, prev, fields)
	hash = hashOf([]byte(body))
	return []byte(body + hashField(hash)), hash, nil
}

func hashOf(body []byte) string { return fmt.Sprintf("%x", sha256.Sum256(body)) }

// hashField is the end of the line with that hash.
func hashField(hash string) string { return fmt.Sprintf(`,"hash":"%s"}`+"\n", hash) }
