package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

const (
	// maxWaiting is how many lines may wait for the connection.
	maxWaiting = 64
	// farewell is how long who leaves a terminal waits for what was typed before.
	farewell = 5 * time.Second
)

// A typist sends what is typed. One goroutine reads and another sends, so that one can go on typing, and leave,
// while the connection is lost.
type typist struct {
	client chatroom.Client
	screen *screen
	lines  chan string   // closed at the end of the input
	failed chan error    // holds what made reading fail, if anything did
	over   chan struct{} // closed when the member has left
	sent   chan struct{} // closed when nothing more is sent

	mu   sync.Mutex
	room string // that lines are said in; empty means the only one there is
}

func newTypist(c chatroom.Client, s *screen) *typist {
	return &typist{
		client: c, screen: s,
		lines: make(chan string, maxWaiting), failed: make(chan error, 1), over: make(chan struct{}), sent: make(chan struct{}),
	}
}

// read reads lines until there are no more, or one of them leaves.
func (t *typist) read() {
	for {
		line, err := t.screen.readLine()
		switch {
		case err != nil:
			if err != io.EOF {
				t.failed <- err
			}
			t.leave()
			return
		case strings.TrimSpace(line) == "":
		case t.screen.waiting() && quits(line):
			t.leave()
			return
		default:
			t.put(line)
		}
	}
}

func quits(line string) bool {
	cmd, err := chatroom.ParseLine(line)
	return err == nil && cmd.Verb == chatroom.VerbQuit
}

// put gives a line to whoever sends. A terminal is not kept waiting.
func (t *typist) put(line string) {
	if t.screen.term == nil {
		select {
		case t.lines <- line:
		case <-t.over:
		}
		return
	}
	waits := t.screen.waiting()
	select {
	case t.lines <- line:
		if waits {
			t.screen.tell("When the connection is back: " + line)
		}
	default:
		t.refuse("too much waits already, and this is not done: " + line)
	}
}

// leave ends the input. Who leaves a terminal does not wait for a connection that is lost.
func (t *typist) leave() {
	waiting := t.screen.waiting()
	close(t.lines)
	if t.screen.term == nil {
		return
	}
	if waiting {
		t.client.Close()
		return
	}
	late := time.AfterFunc(farewell, func() { t.client.Close() })
	<-t.sent
	late.Stop()
}

// send sends lines until there are no more, and leaves.
func (t *typist) send(ctx context.Context) {
	defer close(t.sent)
	for {
		select {
		case line, ok := <-t.lines:
			if !ok {
				// A refusal can only mean that the member has left already.
				_, _ = t.client.Send(ctx, chatroom.Quit(""))
				return
			}
			t.take(ctx, line)
		case <-t.over:
			for range len(t.lines) {
				if line, ok := <-t.lines; ok {
					t.refuse("not sent: " + line)
				}
			}
			return
		}
	}
}

// do sends cmd. What is too fast is sent again when it is time, if it comes from a pipe; somebody at a
// terminal is told.
func (t *typist) do(ctx context.Context, cmd chatroom.Command) (chatroom.Event, error) {
	for {
		e, err := t.client.Send(ctx, cmd)
		refused, ok := errors.AsType[*chatroom.Error](err)
		if !ok || refused.Code != chatroom.CodeRateLimited || t.screen.term != nil {
			return e, err
		}
		select {
		case <-time.After(max(refused.After, 10*time.Millisecond)):
		case <-t.over:
			return e, err
		}
	}
}

func (t *typist) refuse(text string) { t.screen.refuse(&chatroom.Error{Text: text}) }

// stop waits until what is typed is not sent any more, for the member has left.
func (t *typist) stop() {
	close(t.over)
	<-t.sent
}

// turn turns to a room, in which lines are said from now on.
func (t *typist) turn(room string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.room = room
}

// left turns away from a room.
func (t *typist) left(room string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if strings.EqualFold(room, t.room) {
		t.room = ""
	}
}

// in returns the room that lines are said in.
func (t *typist) in() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.room
}

// take does what a line says.
func (t *typist) take(ctx context.Context, line string) {
	cmd, err := chatroom.ParseLine(line)
	if err != nil {
		t.screen.refuse(err)
		return
	}
	if cmd.Verb == chatroom.VerbHelp {
		t.screen.tell(chatroom.Help(t.client.Self().Role))
		return
	}
	if cmd.Room == "" {
		cmd.Room = t.in()
	}
	e, err := t.do(ctx, cmd)
	switch {
	case cmd.Verb == chatroom.VerbJoin && errors.Is(err, chatroom.ErrInRoom):
		t.turn(cmd.Room)
		t.screen.tell("What you type is said in " + cmd.Room + " now.")
	case err != nil && cmd.Verb == chatroom.VerbQuit: // it has left already
	case errors.Is(err, client.ErrUnknownOutcome):
		t.refuse("it is not known whether this was done: " + line)
	case errors.Is(err, chatroom.ErrClosed):
		t.refuse("not sent: " + line)
	case err != nil:
		t.screen.refuse(err)
	case e.Kind == chatroom.KindWelcome:
		t.turn(e.Room)
	case e.Kind == chatroom.KindLeave:
		t.left(e.Room)
	case e.Kind.Answer():
		t.screen.show(&e) // which Receive does not return
	}
}
