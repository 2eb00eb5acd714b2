package chatroom_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
)

// What a peer's system does not take at once is written when it does, also if nothing more is said.
func TestWhatIsNotTakenAtOnceFollows(t *testing.T) {
	srv, addr := host(t, brisk(roomy))
	ann := join(t, addr, "ann")
	bot := joinAs(t, srv, "bot")
	ann.until(`"from":"bot"`)
	text := strings.Repeat("x", 4000)
	said := 0
	for stuck := false; !stuck; said++ {
		if said == 10_000 {
			t.Fatal("the peer's system takes everything")
		}
		before := srv.Stats().Written
		if _, err := bot.Send(t.Context(), chatroom.Say("", text)); err != nil {
			t.Fatal(err)
		}
		late := time.Now().Add(200 * time.Millisecond)
		for srv.Stats().Written < before+4000 && !stuck {
			stuck = time.Now().After(late)
			runtime.Gosched()
		}
	}
	ann.SetReadDeadline(time.Now().Add(10 * time.Second))
	for range said {
		ann.until(text)
	}
}
