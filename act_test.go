package chatroom_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"example.com/chatroom"
)

// Whoever keeps a list of those in a room finds the one who was hit on it, even if they have just been renamed.
func TestAnActNamesTheNickOfThatMoment(t *testing.T) {
	srv, err := chatroom.New(brisk(chatroom.Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	ctx := t.Context()
	witness, err := srv.Join(ctx, chatroom.Identity{Nick: "witness"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		bob, err := srv.Join(ctx, chatroom.Identity{Nick: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		start := make(chan struct{})
		var acting sync.WaitGroup
		acting.Go(func() {
			<-start
			for n := range 1000 { // it does not receive, and would be too slow some time
				nick := []string{"Bob", "bob"}[n%2]
				if _, err := bob.Send(context.Background(), chatroom.Rename(nick)); errors.Is(err, chatroom.ErrKicked) {
					return
				}
			}
		})
		close(start)
		for _, cmd := range []chatroom.Command{{Verb: chatroom.VerbPromote, Nick: "bob"}, chatroom.Kick("bob", "")} {
			if _, err := srv.Moderate(ctx, cmd); err != nil {
				t.Fatal(err)
			}
		}
		acting.Wait()
		bob.Close()
		nick := ""
		for kicked := false; !kicked; {
			e, err := witness.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			switch e.Kind {
			case chatroom.KindJoin:
				nick = e.From
			case chatroom.KindNick:
				nick = e.Nick
			case chatroom.KindKick, chatroom.KindRole:
				if kicked = e.Kind == chatroom.KindKick; e.Nick != nick {
					t.Fatalf("round %d: %s, who was called %s, had a %s", i, e.Nick, nick, e.Kind)
				}
			}
		}
	}
}
