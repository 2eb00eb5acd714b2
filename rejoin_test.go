package chatroom_test

import (
	"fmt"
	"testing"

	"example.com/chatroom"
)

func TestAFurtherRoomIsReadOnWhereItWas(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, ann := visit(t, srv, "bob"), visit(t, srv, "ann")
		for _, v := range []*visitor{bob, ann} {
			v.send(`{"type":"join","room":"den"}`)
			v.take()
		}
		epoch, home := ann.seen["den"].Epoch, ann.seen["lobby"].Epoch
		say := func(n int) {
			for i := range n {
				bob.send(fmt.Sprintf(`{"type":"say","room":"den","text":"%d"}`, i))
			}
			bob.take()
		}
		join := func(seen string) []string {
			t.Helper()
			ann.send(`{"type":"leave","room":"den"}`)
			ann.take()
			ann.send(fmt.Sprintf(`{"type":"join","room":"Den","seen":%s}`, seen))
			return ann.take()
		}
		seen := func(room, epoch string, seq int) string {
			return fmt.Sprintf(`{"room":%q,"epoch":%q,"seq":%d}`, room, epoch, seq)
		}
		say(3)
		news := []string{"message 3 bob 0", "message 4 bob 1", "message 5 bob 2", "leave 6 ann", "join 7 ann"}
		want(t, join("["+seen("#DEN", epoch, 2)+"]"), append([]string{"welcome den 4"}, news...)...)
		// What is no sight of this room shows what somebody new sees: the last message, and what followed.
		for _, other := range []string{"[]", "null", "[" + seen("lobby", home, 2) + "]", "[" + seen("den", home, 2) + "]", "[" + seen("den", "", 2) + "]"} {
			say(1)
			ann.take()
			last := ann.seen["den"].Seq
			want(t, join(other), "welcome den 2", fmt.Sprint("message ", last, " bob 0"), fmt.Sprint("leave ", last+1, " ann"), fmt.Sprint("join ", last+2, " ann"))
		}
		// The end is as far as one can have seen.
		last := ann.seen["den"].Seq
		want(t, join("["+seen("den", epoch, 1<<40)+"]"), "welcome den 0", fmt.Sprint("join ", last+2, " ann"))
		want(t, join("["+seen("lobby", home, 1)+","+seen("den", epoch, int(last+2))+"]"),
			"welcome den 1", fmt.Sprint("leave ", last+3, " ann"), fmt.Sprint("join ", last+4, " ann"))
		say(30)
		ann.take()
		got := join("[" + seen("den", epoch, 2) + "]")
		var n, from, to, first uint64
		if _, err := fmt.Sscanf(got[0]+" "+got[1]+" "+got[2], "welcome den %d gap den %d-%d message %d", &n, &from, &to, &first); err != nil {
			t.Fatalf("%.300q", got)
		}
		if from != 3 || to+1 != first || first+n != ann.seen["den"].Seq || len(got) != int(n)+3 {
			t.Errorf("%d-%d, then %d and %d in all: %q", from, to, first, n, got)
		}
	}, brisk(chatroom.Limits{HistoryBytes: 3000, History: 1}))
}

func TestAFurtherRoomIsReadOnInProcess(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		ctx := t.Context()
		bob, err := srv.Join(ctx, chatroom.Identity{Nick: "bob"}, "lobby", "den")
		if err != nil {
			t.Fatal(err)
		}
		ann, err := srv.Join(ctx, chatroom.Identity{Nick: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		first, err := ann.Send(ctx, chatroom.JoinRoom("den"))
		if err != nil {
			t.Fatal(err)
		}
		for _, cmd := range []chatroom.Command{chatroom.Say("den", "one"), chatroom.Say("den", "two")} {
			if _, err := bob.Send(ctx, cmd); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ann.Send(ctx, chatroom.LeaveRoom("den", "")); err != nil {
			t.Fatal(err)
		}
		again := chatroom.JoinRoom("den")
		again.Seen = []chatroom.Seen{{Room: "den", Epoch: first.Welcome.Epoch, Seq: 3}}
		back, err := ann.Send(ctx, again)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := ann.Receive(ctx); e.Time != back.Time || e.Welcome == nil || e.Welcome.Seq != back.Welcome.Seq; e, err = ann.Receive(ctx) {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []uint64{4, 5, 6} {
			if e, err := ann.Receive(ctx); err != nil || e.Seq != want || e.History != (want < 6) {
				t.Errorf("received %+v, %v; want %d", e, err, want)
			}
		}
	}, brisk(chatroom.Limits{History: -1}))
}
