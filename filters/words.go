package filters

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"example.com/chatroom"
)

// wordCheck is how often a WordList looks at its file. Its comment names it.
const wordCheck = time.Second

// A WordList is a Filter for the words and patterns in a file. It is made by Words, and may be
// used from many goroutines.
//
// The file has one entry a line, after an action and before a reason if it has them. Empty
// lines and those that begin with # say nothing:
//
//	# scams
//	casino
//	follower*                       # we are all friends here
//	seed phrase
//	mute 10m: viagra
//	ban 1h: /(?i)free\s+(btc|eth)/  # that is a scam
//	hold: wallet*
//	rewrite: damn
//
// The action is refuse, which is the default, hold, rewrite, kick, mute or ban, and a colon. A
// mute or a ban has a duration as time.ParseDuration reads it, at most 720h; without one it is an hour. The
// reason is told to the speaker, and to the room if it concerns the room; white space and a # come
// before it. If several entries match a text, the harshest action is the one; if that is rewrite, all that they
// match is starred out.
//
// A word matches whole words, whatever their case: ass does not match class, nor does it match
// Scunthorpe's other half. Several words match if they follow one another, whatever stands between.
// Word* matches words that begin so. Words are parted by everything but letters and digits. In scripts that put no
// gaps between words, such as those of Chinese, Japanese and Thai, an entry matches anywhere. Accents count: ano is not año.
//
// These are seen through as well:
//
//   - look-alikes (package skeleton): sраm with Cyrillic letters, ｓｐａｍ, c0ck, kiIl. A word of the
//     letters a to z in ordinary case is taken for what it is, though rn looks like m, and l like i: bum does not
//     match burn, nor fail fall.
//   - letters spelled out: s p a m, s.p.a.m, s*p*a*m. That takes three single letters and even gaps; a word
//     cut in two (sp am) is two words.
//   - letters drawn out: spaaaam. That takes three in a row, so as is not ass, nor good god.
//   - characters without width between letters, and marks heaped on them.
//
// A pattern between slashes is a Go regular expression, and sees the text in NFC, as it was written: it
// sees case unless it says (?i). It takes time linear in the text. A slash in it is written \/. A pattern that
// matches an empty text is an error.
//
// A file has at most 100,000 entries and 8 MiB, with at most 1,000 patterns. Words cost the same however many there are; each
// pattern costs another walk through the text.
//
// Review looks whether the file has changed, at most once a second, and then reads it again; the speaker who
// happens to ask waits for that. A file that can't be read then, or has a line that is wrong, changes nothing,
// and Err tells. An editor should put the new file in the place of the old one, as most do: half a file is a file.
type WordList struct {
	path string

	list    atomic.Pointer[list]
	failed  atomic.Pointer[error] // nil if the list is what the file says
	checked atomic.Int64          // when the file was looked at, in Unix nanoseconds

	// reading is true while somebody looks at the file, who alone uses seen.
	reading atomic.Bool
	seen    os.FileInfo // the file as it was last read, or nil
}

// Words reads the word file at path. A line that is wrong is an error that tells its number.
func Words(path string) (*WordList, error) {
	w := &WordList{path: path}
	l, info, err := readList(path)
	if err != nil {
		return nil, w.wrong(err)
	}
	w.seen = info
	w.list.Store(l)
	return w, nil
}

func (w *WordList) wrong(err error) error { return fmt.Errorf("read words %s: %w", w.path, err) }

// Err returns why the file could not be read when it had changed; the list is then as it was
// before. Nil means that the list is what the file said when it was last looked at.
func (w *WordList) Err() error {
	if err := w.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Review says what the list says about d.
func (w *WordList) Review(ctx context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
	w.refresh(d.Time)
	return w.list.Load().review(ctx, d)
}

// refresh reads the file again if it has changed, unless it was looked at within a second of now,
// before or after, or somebody is looking.
func (w *WordList) refresh(now time.Time) {
	since := time.Duration(now.UnixNano() - w.checked.Load())
	if since.Abs() < wordCheck || !w.reading.CompareAndSwap(false, true) {
		return
	}
	defer w.reading.Store(false)
	w.checked.Store(now.UnixNano())
	info, err := os.Stat(w.path)
	if err != nil {
		w.seen = nil
		w.fail(err)
		return
	}
	if w.seen != nil && os.SameFile(info, w.seen) && info.Size() == w.seen.Size() && info.ModTime().Equal(w.seen.ModTime()) {
		return
	}
	l, info, err := readList(w.path)
	w.seen = info
	if err != nil {
		w.fail(err)
		return
	}
	w.list.Store(l)
	w.failed.Store(nil)
}

func (w *WordList) fail(err error) {
	err = w.wrong(err)
	w.failed.Store(&err)
}
