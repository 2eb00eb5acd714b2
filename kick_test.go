package chatroom_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/chatroom"
)

// A member who has left all rooms is a member still.
func TestKickOfAMemberInNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		bob := joinInside(t, srv, "bob")
		if _, err := bob.Send(t.Context(), chatroom.LeaveRoom("", "")); err != nil {
			t.Fatal(err)
		}
		e, err := srv.Moderate(t.Context(), chatroom.Kick("bob", ""))
		if err != nil || e.Kind != chatroom.KindAct || auditLines(srv) != "kick bob" {
			t.Errorf("Moderate: %+v, %v; recorded %q", e, err, auditLines(srv))
		}
		_, end := received(bob)
		wantCode(t, end, chatroom.CodeKicked)
	})
}

func TestNoLineOfTheKickedFollowsTheKick(t *testing.T) {
	for _, way := range moderatingWays[:2] {
		t.Run(way.name, func(t *testing.T) {
			srv, err := chatroom.New()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { srv.Close() })
			eve := joinInside(t, srv, "eve")
			for range 30 {
				bob := way.join(t, srv, "bob") // at once: the nick is free
				var talking sync.WaitGroup
				for i := range 8 {
					talking.Go(func() {
						for {
							c := chatroom.Say("", "spam")
							if i%2 == 0 {
								c = chatroom.Private("eve", "spam")
							}
							if _, err := bob.Send(t.Context(), c); err != nil {
								return
							}
						}
					})
				}
				talking.Go(func() {
					for {
						if _, err := bob.Receive(t.Context()); err != nil {
							return
						}
					}
				})
				kick, err := srv.Moderate(t.Context(), chatroom.Kick("bob", ""))
				if err != nil {
					t.Fatal(err)
				}
				if isIn(srv, "bob") {
					t.Error("bob is there after the kick")
				}
				talking.Wait()
				end, err := srv.Announce(t.Context(), "lobby", "end")
				if err != nil {
					t.Fatal(err)
				}
				kicked := false
				for e := (chatroom.Event{}); e.Seq != end.Seq; {
					if e, err = eve.Receive(t.Context()); err != nil {
						t.Fatal(err)
					}
					kicked = kicked || e.Seq == kick.Seq
					if kicked && e.From == "bob" {
						t.Fatalf("after the kick: %+v", e)
					}
				}
			}
		})
	}
}

// Neither does what they were about to say when they were kicked.
func TestWhatTheKickedWereSayingIsNotSaid(t *testing.T) {
	for _, c := range []cmd{chatroom.Say("", "spam"), chatroom.Private("eve", "spam"), chatroom.Topic("", "spam")} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			srv := hostBubble(t, chatroom.WithFilter(chatroom.FilterStep{Name: "slow", Filter: chatroom.FilterFunc(
				func(context.Context, chatroom.Draft) (chatroom.Verdict, error) {
					<-gate
					return chatroom.Verdict{}, nil
				})}))
			bob, eve := joinInside(t, srv, "bob"), joinInside(t, srv, "eve")
			var speaking sync.WaitGroup
			speaking.Go(func() {
				_, err := bob.Send(t.Context(), c)
				wantCode(t, err, chatroom.CodeKicked)
			})
			synctest.Wait()
			if _, err := srv.Moderate(t.Context(), chatroom.Kick("bob", "")); err != nil {
				t.Fatal(err)
			}
			close(gate)
			speaking.Wait()
			events, _ := received(eve)
			for _, e := range events {
				if e.Text == "spam" {
					t.Errorf("eve received %+v", e)
				}
			}
		})
	}
}
