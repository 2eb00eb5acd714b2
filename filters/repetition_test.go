package filters_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/filters"
)

// saying reviews texts one after the other, a tenth of a second apart, and returns the rules that refused: . for none.
func saying(t *testing.T, f chatroom.Filter, texts ...string) string {
	t.Helper()
	var rules strings.Builder
	for i, text := range texts {
		v := review(t, f, later(draft(text), time.Duration(i)*time.Second/10))
		rules.WriteByte((v.Rule + ".")[0])
	}
	return rules.String()
}

func TestOnePersonRepeats(t *testing.T) {
	const spam = "Buy cheap gold at evil example"
	times := func(n int, text string) []string {
		return strings.Split(strings.TrimSuffix(strings.Repeat(text+"\n", n), "\n"), "\n")
	}
	tests := []struct {
		name  string
		texts []string
		want  string
	}{
		{"the same", times(5, spam), "...rr"},
		{"letters drawn out, digits, case", []string{spam, "BUY CHEEEAP GOLD AT EVIL EXAMPLE!!!", "buy.cheap.gold.at.evil.example 123", "buy cheap g0ld at evil example"}, "...r"},
		{"look-alikes", []string{spam, spam, spam, "Вuу сhеар gоld аt еvil ехаmрlе"}, "...r"},
		{"something added", []string{spam, spam + " xkq", "hey " + spam, spam + " now"}, "...r"},
		{"something between", []string{spam, "a", spam, "so what", spam, "well then", spam}, "......r"},
		{"ok", times(17, "ok"), "...............rr"},
		{"+1", times(17, "+1"), "...............rr"},
		{"a smile", times(17, ":)"), "...............rr"},
		{"counting", []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}, ".........."},
		{"verses", []string{
			"ten green bottles hanging on the wall", "and if one green bottle should accidentally fall",
			"there will be nine green bottles hanging on the wall", "eight little monkeys jumping on the bed",
		}, "...."},
		{"greetings", []string{"good morning everyone", "good evening everyone", "good night everyone", "good bye everyone", "hello everyone"}, "....."},
		{"a paste", []string{"if err != nil {", "return fmt.Errorf(\"read: %w\", err)", "}", "defer f.Close()", "}", "return nil", "}", "}"}, "........"},
	}
	for _, tt := range tests {
		if got := saying(t, filters.Repetition(filters.RepetitionLimits{}), tt.texts...); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestWhoRepeatsMaySayItAgainLater(t *testing.T) {
	f := filters.Repetition(filters.RepetitionLimits{})
	for range 3 {
		review(t, f, draft("buy cheap gold"))
	}
	if v := review(t, f, draft("buy cheap gold")); v.Reason != "you have just said that; say it again in 40 seconds" {
		t.Errorf("%+v", v)
	}
	if v := review(t, f, later(draft("buy cheap gold"), 40*time.Second)); v.Decision != chatroom.DecisionAllow {
		t.Errorf("after 40 seconds: %+v", v)
	}
	if v := review(t, f, later(draft("buy cheap gold"), 41*time.Second)); v.Decision != chatroom.DecisionRefuse {
		t.Error("and at once again")
	}
}

func TestANewNickIsNoNewPerson(t *testing.T) {
	tests := []struct {
		name   string
		change func(d *chatroom.Draft, i int)
		same   bool
	}{
		{"nick", func(d *chatroom.Draft, i int) { d.Nick, d.Member = fmt.Sprint("bob", i), uint64(i) }, true},
		{"room", func(d *chatroom.Draft, i int) { d.Room = fmt.Sprint("room", i) }, true},
		{"private", func(d *chatroom.Draft, i int) { d.Verb, d.To = chatroom.VerbPrivate, fmt.Sprint("ann", i) }, true},
		{"address below /64", func(d *chatroom.Draft, i int) { d.Addr = ip(t, fmt.Sprintf("2001:db8::%d", i)) }, true},
		{"address in IPv6", func(d *chatroom.Draft, i int) { d.Addr = ip(t, []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2]) }, true},
		{"address", func(d *chatroom.Draft, i int) { d.Addr = ip(t, fmt.Sprintf("192.0.2.%d", i)) }, false},
		{"network", func(d *chatroom.Draft, i int) { d.Addr = ip(t, fmt.Sprintf("2001:db8:0:%d::1", i)) }, false},
		{"address of an account", func(d *chatroom.Draft, i int) {
			d.Account, d.Addr = []string{"ann", "Ann"}[i%2], ip(t, fmt.Sprintf("192.0.2.%d", i))
		}, true},
		{"account", func(d *chatroom.Draft, i int) { d.Account = fmt.Sprint("ann", i) }, false},
		{"spelling of a nick", func(d *chatroom.Draft, i int) { d.Addr, d.Nick = ip(t, ""), []string{"bob", "BOB"}[i%2] }, true},
		{"nick in process", func(d *chatroom.Draft, i int) { d.Addr, d.Nick = ip(t, ""), fmt.Sprint("bob", i) }, false},
	}
	for _, tt := range tests {
		f := filters.Repetition(filters.RepetitionLimits{})
		var v chatroom.Verdict
		for i := range 4 {
			d := draft("buy cheap gold")
			tt.change(&d, i)
			v = review(t, f, d)
		}
		if same := v.Rule == "repetition"; same != tt.same {
			t.Errorf("another %s: %+v", tt.name, v)
		}
	}
}

func TestSeveralPeopleRepeat(t *testing.T) {
	const spam = "everybody leave this room at once"
	f := filters.Repetition(filters.RepetitionLimits{})
	say := func(who int, at time.Duration, text string) string {
		return review(t, f, later(from(who, text), at)).Rule
	}
	for who := range 5 {
		if rule := say(who, 0, fmt.Sprint(spam, who)); rule != "" {
			t.Errorf("%d: %s", who, rule)
		}
	}
	if rule := say(5, time.Minute, "EVERYBODY leave this room, at once!"); rule != "raid" {
		t.Errorf("the sixth: %q", rule)
	}
	if rule := say(0, time.Minute, spam); rule != "raid" {
		t.Errorf("the first again: %q", rule)
	}
	if rule := say(9, time.Minute, "why should everybody leave?"); rule != "" {
		t.Errorf("who asks: %q", rule)
	}
	if rule := say(6, 3*time.Minute, spam); rule != "" {
		t.Errorf("when it is over: %q", rule)
	}
}

func TestEverydayTextsAreNoRaid(t *testing.T) {
	f := filters.Repetition(filters.RepetitionLimits{})
	for who := range 25 {
		for _, text := range []string{"happy birthday ann!", "lol", "🎉", "good morning"} {
			if v := review(t, f, from(who, text)); v.Decision != chatroom.DecisionAllow {
				t.Errorf("%d: %+v", who, v)
			}
		}
	}
	if v := review(t, f, from(25, "happy birthday, Ann")); v.Rule != "raid" {
		t.Errorf("the 26th: %+v", v)
	}
}

func TestNobodyIsSeveralPeople(t *testing.T) {
	f := filters.Repetition(filters.RepetitionLimits{Own: 100, Several: 2})
	for range 10 {
		if v := review(t, f, draft("everybody leave this room at once")); v.Decision != chatroom.DecisionAllow {
			t.Errorf("%+v", v)
		}
	}
}

func TestRepetitionLimitsAreBounded(t *testing.T) {
	f := filters.Repetition(filters.RepetitionLimits{Window: 1 << 62, Own: 2, Several: 1 << 40, Often: 1 << 40})
	for range 2 {
		review(t, f, draft("buy cheap gold"))
	}
	if v := review(t, f, draft("buy cheap gold")); v.Reason != "you have just said that; say it again in 12 hours" {
		t.Errorf("%+v", v)
	}
}

func TestRepetitionMemoryIsBounded(t *testing.T) {
	f := filters.Repetition(filters.RepetitionLimits{Several: 1 << 30})
	for i := range 100_000 {
		review(t, f, from(i, "the same thing"))
	}
	words := rand.New(rand.NewPCG(1, 2))
	for i := range 5000 {
		var b strings.Builder
		for range 6 {
			fmt.Fprintf(&b, "%c%c%c ", 'a'+words.IntN(26), 'a'+words.IntN(26), 'a'+words.IntN(26))
		}
		review(t, f, from(i, b.String()))
	}
	texts, most := filters.TextsIn(f)
	if n := filters.PeopleIn(f); n != filters.MaxPeople || texts != 1024 || most > 160 {
		t.Errorf("%d people, %d texts, %d people for one", n, texts, most)
	}
}

func TestThePersonLongestSilentIsForgotten(t *testing.T) {
	f := filters.Repetition(filters.RepetitionLimits{Own: 1, Several: 100})
	review(t, f, from(-1, "mine and only mine"))
	review(t, f, from(-2, "another thing altogether"))
	for i := range filters.MaxPeople - 1 {
		review(t, f, from(i, "ok"))
	}
	if v := review(t, f, from(-2, "another thing altogether")); v.Rule != "repetition" {
		t.Errorf("the one silent for second longest: %+v", v)
	}
	if v := review(t, f, from(-1, "mine and only mine")); v.Decision != chatroom.DecisionAllow {
		t.Errorf("the one longest silent: %+v", v)
	}
}

func FuzzRepetition(f *testing.F) {
	for _, line := range ordinary {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter := filters.Repetition(filters.RepetitionLimits{Own: 1, Often: 1})
		if v := review(t, filter, draft(text)); v.Decision != chatroom.DecisionAllow {
			t.Errorf("the first time: %+v", v)
		}
		if v := review(t, filter, draft(text)); v.Decision != chatroom.DecisionRefuse {
			t.Errorf("%q may be repeated", text)
		}
	})
}
