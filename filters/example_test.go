package filters_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/filters"
)

// say reviews what a guest says who joined a minute before, and tells what comes of it.
func say(f chatroom.Filter, text string) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	v, err := f.Review(context.Background(), chatroom.Draft{
		Verb: chatroom.VerbSay, Room: "lobby", Text: text, Time: at,
		Nick: "bob", Addr: netip.MustParseAddr("192.0.2.7"), Joined: at.Add(-time.Minute),
	})
	switch {
	case err != nil:
		log.Fatal(err)
	case v.Decision == chatroom.DecisionAllow:
		fmt.Println("said:", text)
	case v.Decision == chatroom.DecisionRewrite:
		fmt.Println("said:", v.Text)
	case v.For > 0:
		fmt.Println(v.Decision, "for", v.For, "-", v.Reason)
	default:
		fmt.Println(v.Decision, "-", v.Reason)
	}
}

func wordFile(content string) string {
	dir, err := os.MkdirTemp("", "words")
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "words.txt")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		log.Fatal(err)
	}
	return path
}

func ExampleWords() {
	path := wordFile(`
# scams
casino
mute 10m: viagra*               # no medicine here
ban 1h: /(?i)free\s+bitcoins?/  # that is a scam
rewrite: damn
`)
	defer os.RemoveAll(filepath.Dir(path))
	words, err := filters.Words(path)
	if err != nil {
		log.Fatal(err)
	}
	say(words, "the cards, damn them")
	say(words, "come to our C.A.S.I.N.O")
	say(words, "vіаgra in bulk")
	say(words, "FREE BITCOINS")
	// Output:
	// said: the cards, **** them
	// refuse - a word in that is not allowed here
	// mute for 10m0s - no medicine here
	// ban for 1h0m0s - that is a scam
}

func ExampleRepetition() {
	repetition := filters.Repetition(filters.RepetitionLimits{Window: time.Minute, Own: 2})
	say(repetition, "Buy my records!")
	say(repetition, "BUY MY RECORDS")
	say(repetition, "buy my recooords 123")
	say(repetition, "or don't")
	// Output:
	// said: Buy my records!
	// said: BUY MY RECORDS
	// refuse - you have just said that; say it again in 30 seconds
	// said: or don't
}

func ExampleLinks() {
	links := filters.Links(filters.LinkLimits{Newcomer: 10 * time.Minute, Allowed: []string{"go.dev"}})
	say(links, "it is in file.go, since v1.2.3")
	say(links, "read https://pkg.go.dev/io first")
	say(links, "win at hxxp://evil[.]example/x")
	// Output:
	// said: it is in file.go, since v1.2.3
	// said: read https://pkg.go.dev/io first
	// hold - somebody new may not say links yet; a moderator will look at this
}

func ExampleStrikes() {
	links := filters.Links(filters.LinkLimits{Refuse: true})
	strikes := filters.Strikes(links, filters.Ladder{Steps: []filters.Step{
		{Decision: chatroom.DecisionRefuse},
		{Decision: chatroom.DecisionMute, For: 10 * time.Minute},
		{Decision: chatroom.DecisionKick},
	}})
	for range 3 {
		say(strikes, "look at evil.com")
	}
	// Output:
	// refuse - no links in the first 10 minutes, please; this is a warning; the next time you are muted for 10 minutes
	// mute for 10m0s - no links in the first 10 minutes, please
	// kick - no links in the first 10 minutes, please
}

func ExampleChain() {
	path := wordFile("rewrite: damn\n")
	defer os.RemoveAll(filepath.Dir(path))
	words, err := filters.Words(path)
	if err != nil {
		log.Fatal(err)
	}
	chain := filters.Chain(words, filters.Links(filters.LinkLimits{Refuse: true}))
	say(chain, "damn, where are my keys?")
	say(chain, "damn, all about it is at www.evil.example")
	// Output:
	// said: ****, where are my keys?
	// refuse - no links in the first 10 minutes, please
}
