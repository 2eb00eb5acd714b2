package chatroom_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

func TestWhoTalksAsFastAsAllowedIsNeverRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := enter(t, hostWith(t, chatroom.Limits{}), "ann")
		for i := range 200 {
			ann.send(fmt.Sprintf(`{"type":"say","text":"%d"}`, i))
			if i >= 9 {
				time.Sleep(200 * time.Millisecond)
			}
		}
		if n := count(ann.lines(), `"type":"message"`); n != 200 {
			t.Errorf("%d of 200 messages were said", n)
		}
	})
}

func TestModeratorsMayBeFast(t *testing.T) {
	for name, tt := range map[string]struct {
		limits chatroom.Limits
		fast   bool
	}{
		"by default":               {chatroom.Limits{}, true},
		"not if the limits say so": {chatroom.Limits{RateUpTo: chatroom.RoleModerator}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostWith(t, tt.limits, chatroom.WithAuthenticator(users{"mod": {role: chatroom.RoleModerator}}))
				mod := enter(t, srv, "mod")
				mod.sendRaw(strings.Repeat(`{"type":"say","text":"x"}`+"\n"+`{"type":"nick","nick":"mod"}`+"\n", 200))
				heard := mod.lines()
				if fast := count(heard, `"type":"message"`) == 200 && !mod.gone(); fast != tt.fast {
					t.Errorf("it could be fast: %v", fast)
				}
				if told := strings.Contains(heard[0], `"message_rate"`); told == tt.fast {
					t.Errorf("the welcome tells a limit: %v", told)
				}
			})
		})
	}
}

func TestThePromotedMayBeFastAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostWith(t, chatroom.Limits{})
		ann := enter(t, srv, "ann")
		if _, err := srv.Moderate(t.Context(), chatroom.Command{Verb: chatroom.VerbPromote, Nick: "ann"}); err != nil {
			t.Fatal(err)
		}
		ann.sendRaw(strings.Repeat(`{"type":"say","text":"x"}`+"\n", 50))
		if n := count(ann.lines(), `"type":"message"`); n != 50 {
			t.Errorf("%d of 50 messages were said", n)
		}
	})
}

func TestClientsInProcessMayBeFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bot := joinAs(t, hostWith(t, chatroom.Limits{}), "bot")
		for i := range 500 {
			cmd := chatroom.Say("", fmt.Sprint(i))
			if i%2 == 0 {
				cmd = chatroom.Rename(fmt.Sprint("bot", i))
			}
			if _, err := bot.Send(t.Context(), cmd); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestANegativeRateIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := enter(t, hostWith(t, chatroom.Limits{MessageRate: -1}), "ann")
		ann.sendRaw(strings.Repeat(`{"type":"say","text":"x"}`+"\n", 500) + strings.Repeat(`{"type":"join","room":"lobby"}`+"\n", 50))
		heard := ann.lines()
		if n := count(heard, `"type":"message"`); n != 500 {
			t.Errorf("%d of 500 messages were said", n)
		}
		if n := count(heard, `"code":"rate_limited"`); n != 40 {
			t.Errorf("%d of 50 joins were refused for being too fast, which have a limit of their own", n)
		}
	})
}

func TestAQuestionCountsAsAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := enter(t, hostWith(t, chatroom.Limits{}), "ann")
		for _, verb := range []string{"who", "rooms", "room", "history", "private", "topic", "action", "kick"} {
			ann.send(`{"type":"` + verb + `","nick":"ann","text":"x"}`)
		}
		ann.hear()
		ann.send(strings.Repeat(`{"type":"ping"}`+"\n", 20) + `{"type":"say"}`)
		ann.hear()
		ann.send(`{"type":"say","text":"the tenth"}`, `{"type":"say","text":"the eleventh"}`)
		heard := ann.lines()
		if count(heard, `"text":"the tenth"`) != 1 || count(heard, `"rate_limited"`) != 1 {
			t.Errorf("heard %s", heard)
		}
	})
}

// What is refused for its speed has not been done, so in a session its id is free again.
func TestWhatWasTooFastCanBeSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := call(t, hostWith(t, chatroom.Limits{}))
		ann.send(`{"type":"join","nick":"ann","resume":true}`)
		for i := range 11 {
			ann.send(fmt.Sprintf(`{"type":"say","id":"%d","text":"x"}`, i))
		}
		if heard := ann.hear(); !strings.Contains(heard, `{"type":"error","id":"10","code":"rate_limited"`) {
			t.Fatalf("heard %s", heard)
		}
		time.Sleep(200 * time.Millisecond)
		ann.send(`{"type":"say","id":"10","text":"x"}`, `{"type":"say","id":"10","text":"x"}`)
		heard := ann.lines()
		if count(heard, `"type":"message","seq":12,"id":"10"`) != 2 || count(heard, `"again":true`) != 1 {
			t.Errorf("heard %s", heard)
		}
	})
}

// Who is too fast does not become slow by losing its connection.
func TestASessionTakesItsPaceAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostWith(t, chatroom.Limits{})
		ann := call(t, srv)
		ann.send(`{"type":"join","nick":"ann","resume":true}`)
		token := field([]byte(ann.hear()), "session")
		ann.sendRaw(strings.Repeat(`{"type":"say","text":"x"}`+"\n", 10))
		ann.conn.Close()
		again := call(t, srv)
		again.send(`{"type":"join","nick":"ann","session":"`+token+`"}`, `{"type":"say","text":"x"}`)
		if n := count(again.lines(), `"code":"rate_limited"`); n != 1 {
			t.Errorf("%d refusals for being too fast; want 1", n)
		}
	})
}

func TestARefusalForSpeedSaysHowLongToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := enter(t, hostWith(t, chatroom.Limits{MessageRate: 0.5, MessageBurst: 1}), "ann")
		ann.hear()
		ann.send(`{"type":"say","text":"x"}`)
		time.Sleep(750 * time.Millisecond)
		ann.hear()
		ann.send(`{"type":"say","text":"x"}`)
		var e chatroom.Event
		if err := e.UnmarshalJSON([]byte(ann.hear())); err != nil {
			t.Fatal(err)
		}
		if e.Err == nil || !errors.Is(e.Err, chatroom.ErrRateLimited) || e.Err.Retry != chatroom.RetryLater || e.Err.After != 1250*time.Millisecond {
			t.Fatalf("refused with %+v", e.Err)
		}
		time.Sleep(e.Err.After)
		ann.send(`{"type":"say","text":"x"}`)
		if n := count(ann.lines(), `"type":"message"`); n != 1 {
			t.Error("it was refused after that time, too")
		}
	})
}
