package client_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// moves makes the wire lead somewhere else from now on.
func (w *wire) moves(connect func() net.Conn) {
	w.mu.Lock()
	w.connect = connect
	w.mu.Unlock()
	w.cut()
}

// wantState checks that states end with that, and tell of an error with that code as the latest.
func wantState(t *testing.T, s *states, end string, code chatroom.Code) {
	t.Helper()
	if !strings.HasSuffix(s.String(), end) {
		t.Errorf("states: %s; want %q at the end", s, end)
	}
	var last error
	for _, state := range s.list() {
		if state.Kind == client.Reconnecting {
			last = state.Err
		}
	}
	if e, ok := errors.AsType[*chatroom.Error](last); code != "" && (!ok || e.Code != code) {
		t.Errorf("the latest error told is %v, want %s", last, code)
	}
}

func TestARoomThatIsNoMoreGivesWayToTheNext(t *testing.T) {
	for _, more := range []int{1, 4, 5, 12} { // a server hangs up after five answers
		t.Run(fmt.Sprint(more), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, connect := bubbleHouse(t, brisk(chatroom.Limits{RoomsPerMember: -1}))
				_, elsewhere := bubbleHouse(t, chatroom.WithFixedRooms("den", "attic"))
				ann, w, s := frailAnn(t, connect, client.WithRoom("tea"))
				for i := range more - 1 {
					do(t, ann, chatroom.JoinRoom(fmt.Sprint("tea", i)))
				}
				for _, room := range []string{"den", "attic"} {
					do(t, ann, chatroom.JoinRoom(room))
				}
				drain(t, ann)
				w.moves(elsewhere)
				time.Sleep(time.Minute)
				got := strings.Join(drain(t, ann), "\n")
				for _, want := range []string{"gap tea 2-0\nleave tea/0 ann there is no room tea\n", "welcome den/0 ann", "welcome attic/0 ann"} {
					if strings.Count(got, want) != 1 {
						t.Errorf("not one %q in\n%s", want, got)
					}
				}
				if n := strings.Count(got, "leave tea"); n != more {
					t.Errorf("%d rooms were left, want %d", n, more)
				}
				code := chatroom.CodeLost
				if more >= 5 {
					code = chatroom.CodeNoSuchRoom
				}
				wantState(t, s, " rejoined den -1 rejoined attic -1", code)
			})
		})
	}
}

func TestWhenNoRoomIsLeftTheMemberEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect := bubbleHouse(t)
		_, elsewhere := bubbleHouse(t, chatroom.WithFixedRooms("den"))
		ann, w, s := frailAnn(t, connect, client.WithRoom("tea"))
		do(t, ann, chatroom.JoinRoom("attic"))
		drain(t, ann)
		w.moves(elsewhere)
		time.Sleep(time.Minute)
		wantLines(t, drain(t, ann), "gap tea 2-0", "leave tea/0 ann there is no room tea",
			"gap attic 2-0", "leave attic/0 ann there is no room attic", "chatroom: there is no room attic (no_such_room)")
		wantEnd(t, ann, chatroom.ErrNoSuchRoom)
		wantState(t, s, " ended", "")
	})
}

func TestALockedRoomGivesWayToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t)
		ann, w, s := frailAnn(t, connect)
		do(t, ann, chatroom.JoinRoom("attic"))
		drain(t, ann)
		w.setDown(true)
		w.cut()
		time.Sleep(time.Minute)
		if _, err := srv.Moderate(t.Context(), chatroom.Command{Verb: chatroom.VerbLock, Room: "lobby"}); err != nil {
			t.Fatal(err)
		}
		w.setDown(false)
		time.Sleep(time.Minute)
		got := drain(t, ann)
		all := strings.Join(got, "\n")
		if len(got) == 0 || !strings.HasPrefix(got[0], "welcome attic/0 ann") || !strings.Contains(all, "leave lobby/0 ann lobby takes nobody new at present") {
			t.Errorf("received %q", got)
		}
		wantState(t, s, " rejoined attic -1", "") // its epoch is another: nobody else was there
	})
}

func TestALockedRoomIsWaitedForWhenItIsTheOnlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t)
		ann, w, s := frailAnn(t, connect)
		drain(t, ann)
		w.setDown(true)
		w.cut()
		time.Sleep(time.Minute)
		lock := chatroom.Command{Verb: chatroom.VerbLock, Room: "lobby"}
		if _, err := srv.Moderate(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
		w.setDown(false)
		time.Sleep(10 * time.Minute)
		wantLines(t, drain(t, ann))
		wantState(t, s, " reconnecting", chatroom.CodeLocked)
		if n := len(s.list()); n > 100 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		lock.Verb = chatroom.VerbUnlock
		if _, err := srv.Moderate(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantLines(t, drain(t, ann), `welcome lobby/0 ann seq=5 history=3 topic="" +ann`,
			"earlier leave lobby/2 ann connection lost", "earlier lock lobby/3", "earlier unlock lobby/4", "join lobby/5 ann")
		wantState(t, s, " rejoined lobby 3", "")
	})
}

func TestTheNextRoomIsNotAskedForByWhoIsBanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t)
		ann, w, s := frailAnn(t, connect)
		do(t, ann, chatroom.JoinRoom("attic"))
		drain(t, ann)
		w.setDown(true)
		w.cut()
		synctest.Wait()
		if _, err := srv.Moderate(t.Context(), chatroom.BanPerson("ann", 0, "spam")); err != nil {
			t.Fatal(err)
		}
		w.setDown(false)
		time.Sleep(time.Minute)
		if got := drain(t, ann); len(got) != 1 || !strings.Contains(got[0], "(banned)") {
			t.Errorf("received %q", got)
		}
		wantEnd(t, ann, chatroom.ErrBanned)
		wantState(t, s, " ended", "")
	})
}

func TestTheMutedJoinWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, connect := bubbleHouse(t)
		ann, w, s := frailAnn(t, connect, client.WithRoom("tea"))
		do(t, ann, chatroom.JoinRoom("lobby"))
		drain(t, ann)
		w.setDown(true)
		w.cut()
		time.Sleep(time.Minute)
		if _, err := srv.Moderate(t.Context(), chatroom.Command{Verb: chatroom.VerbMute, Nick: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.setDown(false)
		time.Sleep(time.Minute)
		if got := strings.Join(drain(t, ann), "\n"); !strings.HasPrefix(got, "gap tea 2-0\nleave tea/0 ann you are muted\nwelcome lobby/0 ann") {
			t.Errorf("received %s", got)
		}
		wantState(t, s, " rejoined lobby 1", "")
	})
}

func TestNeverIsNeverForAllRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q, ann, w := atticPeer(t)
		p.conn.Close()
		q.hears()
		q.says(chatroom.Event{Kind: chatroom.KindBye, Err: &chatroom.Error{Code: chatroom.CodeLocked, Retry: chatroom.RetryNever}})
		wantEnd(t, ann, chatroom.ErrLocked)
		if w.dials != 1 {
			t.Errorf("%d attempts", w.dials)
		}
	})
}
