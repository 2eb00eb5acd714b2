package chatroom_test

import (
	"fmt"
	"io"
	"sync"
	"testing"

	"example.com/chatroom"
)

// Publishing costs no allocation, whatever is delivered to whom.
func TestPublishAllocatesNothing(t *testing.T) {
	for _, members := range []int{1, 10, 100} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			srv, addr := host(t)
			var reading sync.WaitGroup
			for i := range members {
				w := join(t, addr, fmt.Sprint("m", i))
				reading.Go(func() { _, _ = io.Copy(io.Discard, w.Conn) })
			}
			defer reading.Wait()
			defer srv.Close()
			bot := enterAs(t, srv, "bot", 0)
			say := chatroom.Say("", "a hundred bytes, more or less, that somebody would say to a room in which there are many others, too")
			ctx := t.Context()
			if n := testing.AllocsPerRun(5000, func() {
				if _, err := bot.Send(ctx, say); err != nil {
					t.Fatal(err)
				}
				for {
					if e, err := bot.Receive(ctx); err != nil || e.Text == say.Text {
						return
					}
				}
			}); n > 0 {
				t.Errorf("%v allocations a message", n)
			}
		})
	}
}
