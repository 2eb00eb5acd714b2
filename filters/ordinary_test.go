package filters_test

import (
	"testing"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/filters"
)

// badWords is a list such as rooms have, with words that stand in others.
const badWords = `
ass
arse
bum
cum
cock
coon
cunt
damn
dick
fail
fuck*
god
hell
homo
lol
mom
nazi
penis
porn
rape
rapist
shit*
slut
spam
tit
tits
casino
viagra*
seed phrase
kill yourself
垃圾
/(?i)free\s+(btc|bitcoins?)/
/\b\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}\b/
`

// ordinary are lines that nobody should have trouble with.
var ordinary = []string{
	"hi", "hello everyone!", "good morning", "gooooood morning!", "brb", "ok", "yes", "+1", "hahahahaha", "xD", ":)",
	"I grew up in Scunthorpe, near Penistone.",
	"first class, pass me the glass; the bass player is an assassin",
	"Dr. Dickens lives in Sussex; cocktails at eight",
	"the therapist will see you now", "I'd analyse the title, then the constitution",
	"he'll be here, she'll too, we'll see, I'll ask", "burn the toast? no, that's a barn, warn them",
	"we fall, we call, we tall, ill will", "it's as easy as a b c d", "Plan A, B or C? I'd say B.",
	"U.S.A. vs U.K., e.g. in 1984, i.e. long ago, a.k.a. the past", "a s a p please", "P.S. I love you",
	"the file is file.go, not main.rs or script.sh", "see README.md and CONTRIBUTING.md first",
	"run ./configure && make install", "import java.io.File; then System.out.println(x)", "log.info(\"started\") and fmt.Println(err)",
	"upgrade from v1.2.3 to v1.10.0-rc.1", "pi is 3.14, e is 2.718, about 9.5/10", "we meet at 12.30 on 22.11.2026",
	"it costs 1.299,00 or $5.99/month", "done.So what now?", "Wait...what? etc./whatever", "yes/no, and/or, he/she, 24/7, km/h, w/o",
	"socket.io or node.js? ASP.NET is fine too", "my address is ann@example.org", "ping 192.168.0.1 answers in 0.3ms", "route 10.0.0.0/8 goes to eth0",
	"open localhost:8080 or http://localhost:8080/debug", "C:\\Users\\bob\\file.txt", "/usr/local/bin/go version", "std::vector<int> v; v.begin()",
	"a ? b : c; x := y; foo->bar", "polka dots, dot matrix, the dot com bubble", "I work with dot net and C#", "connect the dots", "array[i].name = (.5)",
	"f(.)g is not a thing here, is it", "MIT license, (c) 2026, Ünïcödé™", "schöne Grüße aus München, Straße 5", "¿qué pasa, señor? feliz año nuevo",
	"ça va, élève? où est-ce?", "Привет, как дела? Мама мыла раму.", "Νίκος, καλημέρα", "こんにちは、元気ですか。はい", "你好，我爱你们", "สวัสดีครับ", "مرحبا كيف حالك", "שלום לכולם",
	"🎉🎉🎉 congrats!!! 🎉🎉🎉", "👍", "100%", "1 2 3 4 5 6", "42", "101 Dalmatians, 1001 nights, 10l of milk", "the A55 and the a100 are phones",
	"WHAT A GOAL!!!", "nooooo way", "sooooo good", "zzzzz", "wwwwww", "aaaaaaah", "I am at the pub", "is it just me . or is it slow",
	"my IBAN ends in 4711", "meet me in room 1234 at 5678", "titanic, titled, entitled, competition", "that's cumulative; document the circumference",
	"go to the shell, hello, othello", "analog cockpit peacock", "Matsushita made it", "raspberry raccoon cocoon", "spammy? spamalot is a musical", "grape drape rapeseed",
}

func TestOrdinaryLinesPass(t *testing.T) {
	list := words(t, badWords)
	for i, line := range ordinary {
		f := filters.Strikes(filters.Chain(list, filters.Links(filters.LinkLimits{}), filters.Repetition(filters.RepetitionLimits{})), filters.Ladder{})
		if v := review(t, f, from(i, line)); v.Decision != chatroom.DecisionAllow {
			t.Errorf("%q: %+v", line, v)
		}
	}
	if len(ordinary) < 60 {
		t.Errorf("only %d lines", len(ordinary))
	}
}

// A conversation is the same lines in a row, some of them by one person, and all again after some time.
func TestAnOrdinaryConversationPasses(t *testing.T) {
	f := filters.Chain(words(t, badWords), filters.Links(filters.LinkLimits{}), filters.Repetition(filters.RepetitionLimits{}))
	for i := range 5 * len(ordinary) {
		d := later(from(i%7, ordinary[i%len(ordinary)]), time.Duration(i)*2*time.Second)
		if v := review(t, f, d); v.Decision != chatroom.DecisionAllow {
			t.Errorf("%q: %+v", d.Text, v)
		}
	}
}
