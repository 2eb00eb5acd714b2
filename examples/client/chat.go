package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// chat shows what happens until the member has left: when the input ends, when ctx does, or when
// the server says so. It returns the reason; an Error has been shown.
func chat(ctx context.Context, c chatroom.Client, s *screen) error {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	ctx = context.WithoutCancel(ctx) // what came before the end is still shown
	s.setPrompt(c.Self().Nick)
	t := typist{client: c, screen: s, failed: make(chan error, 1)}
	go t.run(ctx) // nobody waits for it: reading from a terminal cannot be given up
	for {
		e, err := c.Receive(ctx)
		if reason, over := errors.AsType[*chatroom.Error](err); over {
			e = chatroom.Event{Kind: chatroom.KindBye, Err: reason}
		}
		s.setPrompt(c.Self().Nick)
		if e.Kind == chatroom.KindGap {
			e = missing(&e)
		}
		s.show(&e)
		if err == nil {
			continue
		}
		select {
		case err = <-t.failed:
		default:
		}
		return err
	}
}

// missing says in words what a KindGap says.
func missing(e *chatroom.Event) chatroom.Event {
	what := "What was said meanwhile is not kept."
	switch n := e.Gap.To - e.Gap.From + 1; {
	case e.Gap.To == 0:
	case e.Room == "":
		what = fmt.Sprintf("%d things said to you alone meanwhile are not kept.", n)
	default:
		what = fmt.Sprintf("%d events of %s are not kept.", n, e.Room)
	}
	return chatroom.Event{Kind: chatroom.KindNotice, Text: what, Time: e.Time}
}

// follow shows what has become of the connection.
func (s *screen) follow(state client.State) {
	text := ""
	switch state.Kind {
	case client.Reconnecting:
		if state.Attempt > 1 {
			return
		}
		s.setAway(true)
		text = "Connection lost (" + cause(state.Err) + "); trying again…"
	case client.Resumed, client.Rejoined:
		s.setAway(false)
		switch {
		case state.Missed == 0 && state.Kind == client.Resumed:
			text = "Back; nothing missed."
		case state.Missed > 0:
			text = fmt.Sprintf("Back; %d missed:", state.Missed)
		default:
			text = "Back."
		}
	default:
		return
	}
	s.show(&chatroom.Event{Kind: chatroom.KindNotice, Text: text})
}

func cause(err error) string {
	if e, ok := errors.AsType[*chatroom.Error](err); ok && e.Text != "" {
		return e.Text
	}
	return err.Error()
}

// A typist sends what is typed.
type typist struct {
	client chatroom.Client
	screen *screen
	room   string     // that lines are said in; empty means the only one there is
	failed chan error // holds what made reading fail, if anything did
}

// run sends lines until there are no more, and leaves.
func (t *typist) run(ctx context.Context) {
	for {
		line, err := t.screen.readLine()
		if err != nil {
			if err != io.EOF {
				t.failed <- err
			}
			// A refusal can only mean that the member has left already.
			_, _ = t.client.Send(ctx, chatroom.Quit(""))
			return
		}
		if strings.TrimSpace(line) != "" {
			t.take(ctx, line)
		}
	}
}

// take does what a line says.
func (t *typist) take(ctx context.Context, line string) {
	cmd, err := chatroom.ParseLine(line)
	if err != nil {
		t.screen.refuse(err)
		return
	}
	if cmd.Verb == chatroom.VerbHelp {
		t.notice(chatroom.Help(t.client.Self().Role))
		return
	}
	if cmd.Room == "" {
		cmd.Room = t.room
	}
	e, err := t.send(ctx, cmd)
	switch {
	case cmd.Verb == chatroom.VerbJoin && errors.Is(err, chatroom.ErrInRoom):
		t.room = cmd.Room
		t.notice("What you type is said in " + t.room + " now.")
	case err != nil:
		t.screen.refuse(err)
	case e.Kind == chatroom.KindWelcome:
		t.room = e.Room
	case e.Kind == chatroom.KindLeave && strings.EqualFold(e.Room, t.room):
		t.room = ""
	case e.Kind == chatroom.KindMembers, e.Kind == chatroom.KindRooms, e.Kind == chatroom.KindPong:
		t.screen.show(&e) // an answer, which Receive does not return
	}
}

// send sends cmd. What is too fast is sent again when it is time, if it comes from a pipe; somebody at a
// terminal is told.
func (t *typist) send(ctx context.Context, cmd chatroom.Command) (chatroom.Event, error) {
	for {
		e, err := t.client.Send(ctx, cmd)
		refused, ok := errors.AsType[*chatroom.Error](err)
		if !ok || refused.Code != chatroom.CodeRateLimited || t.screen.term != nil {
			return e, err
		}
		time.Sleep(max(refused.After, 10*time.Millisecond))
	}
}

func (t *typist) notice(text string) {
	t.screen.show(&chatroom.Event{Kind: chatroom.KindNotice, Text: text})
}
