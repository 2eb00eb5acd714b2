package chatroom_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

// told is a member's record of who is in the room.
func told(t *testing.T, here map[uint64]string, events []chatroom.Event) {
	t.Helper()
	for _, e := range events {
		switch e.Kind {
		case chatroom.KindWelcome:
			for _, m := range e.Welcome.Members {
				here[m.Member] = m.Nick
			}
		case chatroom.KindJoin:
			here[e.Member] = e.From
		case chatroom.KindLeave:
			delete(here, e.Member)
		case chatroom.KindCrowd:
			for _, m := range e.Crowd.Joined {
				here[m.Member] = m.Nick
			}
			for _, m := range e.Crowd.Left {
				delete(here, m.Member)
			}
			if len(here) != e.Crowd.Count {
				t.Errorf("%d are known, and the crowd says %d", len(here), e.Crowd.Count)
			}
		}
	}
}

func crowdHost(t *testing.T, limits chatroom.Limits) chatroom.Server {
	limits.MessageRate, limits.MoveRate = -1, -1
	return hostBubble(t, chatroom.WithLimits(limits))
}

func TestAStormIsToldTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := crowdHost(t, chatroom.Limits{})
		ann := joinAs(t, srv, "ann")
		here := make(map[uint64]string)
		told(t, here, unread(t, ann))
		var others []chatroom.Client
		for i := range 150 {
			others = append(others, joinAs(t, srv, fmt.Sprint("m", i)))
		}
		for _, m := range others[:50] {
			m.Close()
		}
		time.Sleep(time.Second)
		events := unread(t, ann)
		told(t, here, events)
		want := make(map[uint64]string)
		for _, m := range srv.Members("lobby") {
			want[m.Member] = m.Nick
		}
		if diff := cmp.Diff(want, here); diff != "" {
			t.Errorf("who is here (-want +got):\n%s", diff)
		}
		if len(events) > 30 {
			t.Errorf("200 joins and leaves were told in %d events", len(events))
		}
		joinAs(t, srv, "late")
		if events := unread(t, ann); len(events) != 1 || events[0].Kind != chatroom.KindJoin {
			t.Errorf("after the storm: %+v", events)
		}
	})
}

func TestWhateverConcernsSomebodyIsToldAfterTheCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := crowdHost(t, chatroom.Limits{Notices: 1})
		ann := joinAs(t, srv, "ann")
		for i := range 5 {
			joinAs(t, srv, fmt.Sprint("m", i))
		}
		unread(t, ann)
		acts := []func(m chatroom.Client, nick string){
			func(m chatroom.Client, _ string) { mustSend(t, m, chatroom.Say("", "hi")) },
			func(m chatroom.Client, nick string) { mustSend(t, m, chatroom.Rename(nick+"x")) },
			func(_ chatroom.Client, nick string) { asProgram(t, srv, chatroom.Kick(nick, "out")) },
			func(m chatroom.Client, _ string) { mustSend(t, m, chatroom.LeaveRoom("", "bye")) },
		}
		for i, act := range acts {
			nick := fmt.Sprint("n", i)
			act(joinAs(t, srv, nick), nick)
			events := unread(t, ann)
			if len(events) != 2 || events[0].Kind != chatroom.KindCrowd || events[1].Kind == chatroom.KindCrowd {
				t.Fatalf("%s: %+v", nick, events)
			}
			joined := events[0].Crowd.Joined
			if last := joined[len(joined)-1]; last.Nick != nick {
				t.Errorf("the crowd of %s is %+v", nick, joined)
			}
		}
	})
}

func TestWhoComesAndGoesInAStormIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := crowdHost(t, chatroom.Limits{Notices: 1})
		ann := joinAs(t, srv, "ann")
		for i := range 3 {
			joinAs(t, srv, fmt.Sprint("m", i))
		}
		time.Sleep(time.Minute)
		joinAs(t, srv, "bob")
		joinAs(t, srv, "cem")
		unread(t, ann)
		joinAs(t, srv, "dee").Close()
		time.Sleep(time.Minute)
		if events := unread(t, ann); len(events) != 0 {
			t.Errorf("%+v", events)
		}
	})
}

func TestALargeRoomIsToldAFewNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := crowdHost(t, chatroom.Limits{WelcomeMembers: 30, Notices: 1})
		ann := joinAs(t, srv, "ann")
		for i := range 200 {
			joinAs(t, srv, fmt.Sprint("m", i))
		}
		time.Sleep(time.Second)
		events := unread(t, ann)
		crowd := events[len(events)-1].Crowd
		if crowd == nil || len(crowd.Joined) > 30 || len(crowd.Joined)+len(events)-2 >= 200 || crowd.Count != 201 {
			t.Errorf("%+v", crowd)
		}
		w := unread(t, joinAs(t, srv, "late"))[0].Welcome
		if w.Count != 202 || len(w.Members) > 30 || len(w.Members) < 2 {
			t.Errorf("of %d members a welcome lists %d", w.Count, len(w.Members))
		}
		if who := mustSend(t, ann, chatroom.Who("")); len(who.Members) != 202 {
			t.Errorf("who lists %d", len(who.Members))
		}
	})
}

// Whoever comes in a storm reads history, and then what is new, without a hole, as anybody does.
func TestWhoComesInACrowdReadsWithoutAHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := crowdHost(t, chatroom.Limits{Notices: 1})
		ann := joinAs(t, srv, "ann")
		for i := range 40 {
			mustSend(t, ann, chatroom.Say("", fmt.Sprint(i)))
			m := joinAs(t, srv, fmt.Sprint("m", i))
			mustSend(t, ann, chatroom.Say("", "more"))
			events := unread(t, m)
			w := events[0].Welcome
			for k, e := range events[1:] {
				if want := w.Seq - uint64(w.History) + uint64(k); e.Seq != want || e.History != (e.Seq < w.Seq) {
					t.Fatalf("m%d: event %d has the number %d, history %v, and not %d; %+v", i, k, e.Seq, e.History, want, w)
				}
			}
			if last := events[len(events)-1]; last.Text != "more" || last.History {
				t.Fatalf("m%d: %+v", i, last)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

func TestACrowdCanBeTurnedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := crowdHost(t, chatroom.Limits{Notices: -1})
		ann := joinAs(t, srv, "ann")
		for i := range 100 {
			joinAs(t, srv, fmt.Sprint("m", i))
		}
		if events := unread(t, ann); len(events) != 102 {
			t.Errorf("%d events", len(events))
		}
	})
}

// Whoever is told of after the crowd it came with counts in that crowd.
func TestTheCrowdCountsWhomItIsToldBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := crowdHost(t, chatroom.Limits{Notices: 1})
		ann := joinAs(t, srv, "ann")
		for i := range 5 {
			joinAs(t, srv, fmt.Sprint("m", i))
		}
		here := make(map[uint64]string)
		told(t, here, unread(t, ann))
		mustSend(t, joinAs(t, srv, "leaver"), chatroom.LeaveRoom("", "bye"))
		told(t, here, unread(t, ann))
		joinAs(t, srv, "kicked")
		asProgram(t, srv, chatroom.Kick("kicked", "out"))
		told(t, here, unread(t, ann))
	})
}

// A nick is free before somebody else has it.
func TestWhoLeavesInACrowdIsToldOfBeforeANickIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := crowdHost(t, chatroom.Limits{Notices: 1})
		ann, bob := joinAs(t, srv, "ann"), joinAs(t, srv, "bob")
		cem := joinAs(t, srv, "cem")
		time.Sleep(time.Minute)
		joinAs(t, srv, "dee")
		joinAs(t, srv, "eve")
		unread(t, ann)
		cem.Close()
		mustSend(t, bob, chatroom.Rename("cem"))
		events := unread(t, ann)
		if len(events) != 2 || events[0].Kind != chatroom.KindCrowd || len(events[0].Crowd.Left) != 1 || events[1].Kind != chatroom.KindNick {
			t.Errorf("%+v", events)
		}
	})
}
