package chatroom_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/chatroom"
)

// Whoever loses its connection makes place in the roster for somebody else, of which the room is told
// nothing, and whom a round that is under way must not pass over.
func TestARoundPassesNobodyOver(t *testing.T) {
	for range 40 {
		synctest.Test(t, func(t *testing.T) {
			srv := hostBubble(t)
			speaker := enterAs(t, srv, "speaker", 0)
			var lost []*visitor
			for i := range 100 {
				lost = append(lost, visit(t, srv, fmt.Sprint("lost", i)))
			}
			var staying []chatroom.Client
			for i := range 100 {
				staying = append(staying, joinAs(t, srv, fmt.Sprint("m", i)))
			}
			heard := make([]bool, len(staying))
			for i, m := range staying {
				unread(t, m)
				go func() { // woken by the round alone
					for !heard[i] {
						e, err := m.Receive(t.Context())
						if err != nil {
							return
						}
						heard[i] = e.Text == "hear me"
					}
				}()
			}
			synctest.Wait()
			var cutting sync.WaitGroup
			for _, v := range lost {
				cutting.Go(func() { v.conn.Close() })
			}
			mustSend(t, speaker, chatroom.Say("", "hear me"))
			cutting.Wait()
			synctest.Wait()
			for i := range heard {
				if !heard[i] {
					t.Fatalf("m%d has not heard it", i)
				}
			}
		})
	}
}
