package chatroom_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

func TestStatsCountWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bans := chatroom.MemoryBans()
		if err := bans.Add(t.Context(), chatroom.Ban{ID: "1", Kind: chatroom.BanNick, Value: "eve"}); err != nil {
			t.Fatal(err)
		}
		srv := hostBubble(t, chatroom.WithBanStore(bans))
		ann, bob, cat := call(t, srv), call(t, srv), call(t, srv)
		ann.send(`{"type":"join","nick":"ann"}`)
		bob.send(`{"type":"join","nick":"ann"}`, `{"type":"join","nick":"-"}`, `{"type":"join","nick":"ANN"}`, `{"type":"join","nick":"bob"}`)
		cat.send("eve")
		call(t, srv) // who says nothing
		web := call(t, srv)
		web.send("GET / HTTP/1.1")
		call(t, srv).conn.Close()
		joinAs(t, srv, "dan", "tea")
		ann.send(`{"type":"say","text":"hi"}`, `{"type":"say","text":""}`, `{"type":"say","text":" "}`, `{}`)
		bob.send(`{"type":"quit"}`)
		time.Sleep(2 * time.Second)

		got := srv.Stats()
		written := uint64(0)
		for _, c := range []*caller{ann, bob, cat, web} {
			written += uint64(len(c.hear()))
		}
		want := chatroom.Stats{
			Conns: 2, Members: 2, Rooms: 2,
			Accepted: 6, Joined: 3,
			Refused:   map[chatroom.Code]uint64{chatroom.CodeNickInUse: 2, chatroom.CodeNickInvalid: 1, chatroom.CodeBanned: 1},
			Dropped:   map[chatroom.Code]uint64{chatroom.CodeBanned: 1, chatroom.CodeBadRequest: 1, chatroom.CodeClosed: 1},
			Denied:    map[chatroom.Code]uint64{chatroom.CodeTextInvalid: 2, chatroom.CodeBadRequest: 1},
			Published: 5, // three joins, a message and a leave
			Delivered: 1 + 2 + 1 + 2 + 2,
			Written:   written + uint64(len("Your nickname: ")),
			Ended:     map[chatroom.Code]uint64{chatroom.CodeClosed: 1},
			Filters:   map[string]chatroom.FilterStats{},
		}
		counted := chatroom.Stats{ // what depends on no timing
			Conns: got.Conns, Members: got.Members, Rooms: got.Rooms, Accepted: got.Accepted, Joined: got.Joined,
			Refused: got.Refused, Dropped: got.Dropped, Denied: got.Denied, Published: got.Published, Delivered: got.Delivered, Written: got.Written, Ended: got.Ended, Filters: got.Filters,
		}
		if diff := cmp.Diff(want, counted); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got.Rounds < 3 || got.Rounds > 10 || got.MostLag < 100 || got.MostLag > 1000 {
			t.Errorf("%d rounds, found to lag by %d", got.Rounds, got.MostLag)
		}
		clear(got.Refused)
		clear(got.Ended)
		if again := srv.Stats(); len(again.Refused) != 3 || len(again.Ended) != 1 {
			t.Errorf("changing what Stats returned has changed the counters: %+v", again)
		}
	})
}

func TestStatsCountWhoIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t, chatroom.WithLimits(chatroom.Limits{Conns: 2, ConnsPerAddr: 1}))
		for _, addr := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			callFrom(t, srv, addr)
			synctest.Wait()
		}
		time.Sleep(10 * time.Second)
		want := map[chatroom.Code]uint64{chatroom.CodeFull: 2, chatroom.CodeTimeout: 2}
		synctest.Wait()
		if got := srv.Stats(); got.TurnedAway != 2 || !cmp.Equal(want, got.Dropped) {
			t.Errorf("%d turned away; dropped were %v, not %v", got.TurnedAway, got.Dropped, want)
		}
	})
}
