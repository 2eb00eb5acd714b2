package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"example.com/chatroom"
	"golang.org/x/term"
)

// A screen shows events and reads lines. On a terminal what arrives does not tear the line being
// typed, and what comes of a line takes its place. One goroutine reads; any may show.
type screen struct {
	in      *bufio.Reader
	out     io.Writer
	errs    io.Writer // takes refusals
	colours bool

	// On a terminal only.
	term    *term.Terminal
	size    func() (width, height int, err error)
	restore func()

	mu     sync.Mutex // held by who draws, and by the reader unless it waits for a key
	front  chatroom.TextFront
	prompt string
	nick   string
	lost   bool              // the connection is
	news   map[string]string // what is told before the next event of a room
	why    string            // in follow: the cause that was told last
	width  int
	closed bool
}

func isTerminal(stdin, stdout *os.File) bool {
	return term.IsTerminal(int(stdin.Fd())) && term.IsTerminal(int(stdout.Fd()))
}

func openScreen(stdin, stdout *os.File, stderr io.Writer) (*screen, error) {
	in, out := int(stdin.Fd()), int(stdout.Fd())
	colours := term.IsTerminal(out) && os.Getenv("NO_COLOR") == ""
	if !isTerminal(stdin, stdout) {
		return &screen{in: bufio.NewReader(stdin), out: stdout, errs: stderr, colours: colours}, nil
	}
	was, err := term.MakeRaw(in)
	if err != nil {
		return nil, fmt.Errorf("take the terminal: %w", err)
	}
	s := newTerminal(struct {
		io.Reader
		io.Writer
	}{stdin, stdout}, colours)
	s.size = func() (int, int, error) { return term.GetSize(out) }
	s.restore = func() {
		fmt.Fprint(stdout, "\r\x1b[J") // the prompt goes
		term.Restore(in, was)
	}
	return s, nil
}

// newTerminal returns a screen on a terminal of 80 columns.
func newTerminal(tty io.ReadWriter, colours bool) *screen {
	s := &screen{colours: colours, restore: func() {}}
	s.size = func() (int, int, error) { return 80, 24, nil }
	s.term = term.NewTerminal(keyboard{tty, s}, "")
	s.out, s.errs = s.term, s.term
	return s
}

// A keyboard lets others draw while it waits for a key.
type keyboard struct {
	io.ReadWriter
	screen *screen
}

func (k keyboard) Read(p []byte) (int, error) {
	k.screen.mu.Unlock()
	defer k.screen.lock()
	return k.ReadWriter.Read(p)
}

// lock locks the screen as it is now: its window may have another size.
func (s *screen) lock() {
	s.mu.Lock()
	if s.term != nil {
		if w, h, err := s.size(); err == nil && w > 0 {
			s.width = w
			s.term.SetSize(w, h)
		}
	}
}

// readLine returns the next line; io.EOF at the end of the input, and for Ctrl-C and Ctrl-D.
func (s *screen) readLine() (string, error) {
	if s.term == nil {
		line, err := s.in.ReadString('\n')
		if err == io.EOF && line != "" {
			err = nil
		}
		return strings.TrimRight(line, "\r\n"), err
	}
	s.lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", io.EOF
	}
	line, err := s.term.ReadLine()
	if err == nil {
		rows := (utf8.RuneCountInString(s.prompt)+utf8.RuneCountInString(line))/s.width + 1
		fmt.Fprintf(s.term, "\x1b[%dA\x1b[J", rows)
	}
	return line, err
}

// ask asks a terminal. Who gives no answer has left: ErrClosed.
func (s *screen) ask(ctx context.Context, question string, secret bool) (string, error) {
	type result struct {
		answer string
		err    error
	}
	results := make(chan result, 1)
	go func() { // nobody waits for it once ctx ends: reading from a terminal cannot be given up
		s.lock()
		defer s.mu.Unlock()
		s.term.SetPrompt(question)
		read := s.term.ReadLine
		if secret {
			read = func() (string, error) { return s.term.ReadPassword(question) }
		}
		answer, err := read()
		results <- result{answer, err}
	}()
	select {
	case r := <-results:
		if r.err == io.EOF {
			return "", chatroom.ErrClosed
		}
		return r.answer, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// setPrompt makes the nick the prompt. One that is on the terminal follows with the next event.
func (s *screen) setPrompt(nick string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nick = nick
	s.promptLocked()
}

// setLost says in the prompt whether the connection is lost.
func (s *screen) setLost(lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = lost
	s.promptLocked()
}

// waiting reports whether somebody at a terminal waits for the connection to come back.
func (s *screen) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.term != nil && s.lost
}

// home returns the room whose name goes without saying.
func (s *screen) home() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.front.Home
}

func (s *screen) promptLocked() {
	if s.term == nil || s.nick == "" {
		return
	}
	s.prompt = promptFor(s.nick) + "> "
	if s.lost {
		s.prompt = promptFor(s.nick) + " (offline)> "
	}
	s.term.SetPrompt(s.prompt)
}

// announce has text told before the next event of a room, whose news it is about.
func (s *screen) announce(room, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.news == nil {
		s.news = make(map[string]string)
	}
	s.news[room] = text
}

// show shows an event.
func (s *screen) show(e *chatroom.Event) {
	s.lock()
	defer s.mu.Unlock()
	if text, ok := s.news[e.Room]; ok && e.Room != "" {
		delete(s.news, e.Room)
		news := notice(text)
		s.drawLocked(s.out, &news)
	}
	if e.Kind == chatroom.KindWelcome && s.front.Home == "" {
		s.front.Home = e.Room
	}
	s.drawLocked(s.out, e)
}

// tell shows a notice.
func (s *screen) tell(text string) {
	e := notice(text)
	s.show(&e)
}

// refuse shows why something was not done.
func (s *screen) refuse(err error) {
	reason, ok := errors.AsType[*chatroom.Error](err)
	if !ok {
		reason = &chatroom.Error{Text: err.Error()}
	}
	s.lock()
	defer s.mu.Unlock()
	s.drawLocked(s.errs, &chatroom.Event{Kind: chatroom.KindError, Err: reason})
}

func (s *screen) drawLocked(w io.Writer, e *chatroom.Event) {
	text := tame(string(s.front.AppendEvent(nil, e))) // whose lines are clean
	if text == "" || s.closed {
		return
	}
	if s.colours && w == s.out {
		text = paint(text, e)
	}
	_, _ = io.WriteString(w, text) // whoever closed the output does not want to know
}

// close gives the terminal back.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term != nil && !s.closed {
		s.restore()
	}
	s.closed = true
}
