package main

import (
	"context"
	"errors"
	"fmt"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// chat shows what happens until the member has left: when the input ends, when ctx does, or when
// the server says so. It returns the reason; an Error has been shown.
func chat(ctx context.Context, c chatroom.Client, s *screen) error {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	ctx = context.WithoutCancel(ctx) // what came before the end is still shown
	s.setPrompt(c.Self().Nick)
	t := newTypist(c, s)
	go t.read() // nobody waits for it: reading from a terminal cannot be given up
	go t.send(ctx)
	for {
		e, err := c.Receive(ctx)
		if reason, over := errors.AsType[*chatroom.Error](err); over {
			t.stop()
			e = chatroom.Event{Kind: chatroom.KindBye, Err: reason}
		}
		s.setPrompt(c.Self().Nick)
		if e.Kind == chatroom.KindGap {
			e = missing(&e)
		}
		if e.Kind == chatroom.KindLeave && !e.Ordered() {
			t.left(e.Room) // a room that does not take it back
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

// missing says in words what a KindGap says. That everything is missing, follow has said.
func missing(e *chatroom.Event) chatroom.Event {
	n := e.Gap.To - e.Gap.From + 1
	switch {
	case e.Gap.To == 0:
		return chatroom.Event{Room: e.Room}
	case e.Room == "":
		return notice(fmt.Sprintf("%d things said to you alone meanwhile are not kept.", n))
	}
	told := notice(fmt.Sprintf("%d events of %s are not kept.", n, e.Room))
	told.Room = e.Room
	return told
}

func notice(text string) chatroom.Event {
	return chatroom.Event{Kind: chatroom.KindNotice, Text: text}
}

// follow shows what has become of the connection.
func (s *screen) follow(state client.State) {
	switch state.Kind {
	case client.Reconnecting:
		s.setLost(true)
		if why := cause(state.Err); state.Attempt == 1 || why != "" && why != s.why {
			s.why = why
			what := "Connection lost"
			if state.Attempt > 1 {
				what = "Not back yet"
			}
			s.tell(what + why + "; trying again…")
		}
	case client.Resumed, client.Rejoined:
		s.setLost(false)
		s.why = ""
		if text := s.back(state); state.Missed == 0 && state.Kind == client.Resumed {
			s.tell(text)
		} else {
			s.announce(state.Room, text)
		}
	}
}

// back says what it means to be back.
func (s *screen) back(state client.State) string {
	text := "Back"
	if state.Room != "" && state.Room != s.home() {
		text += " in " + state.Room
	}
	switch {
	case state.Missed > 0:
		return fmt.Sprintf("%s; %d missed:", text, state.Missed)
	case state.Missed < 0:
		return text + ". The room began anew: what happened meanwhile cannot be known."
	case state.Kind == client.Resumed:
		return text + "; nothing missed."
	}
	return text + "."
}

// cause says what the server said about it, if that is more than that the connection is lost.
func cause(err error) string {
	if e, ok := errors.AsType[*chatroom.Error](err); ok && e.Text != "" && e.Code != chatroom.CodeLost {
		return " (" + e.Text + ")"
	}
	return ""
}
