package chatroom_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/chatroom"
)

// disguises are what mallory is written with who is banned.
var disguises = map[rune][]string{
	'm': {"m", "M", "М", "ｍ", "Ｍ", "𝐦", "ⓜ", "rn", "Μ"},
	'a': {"a", "A", "а", "А", "ａ", "𝐚", "ⓐ", "α", "Α", "ᵃ"},
	'l': {"l", "1", "I", "|", "ｌ", "ⓛ", "𝐥", "L", "і"},
	'o': {"o", "0", "O", "о", "О", "ο", "Ｏ", "𝐨", "ⓞ"},
	'r': {"r", "R", "ｒ", "𝐫", "ⓡ", "г"},
	'y': {"y", "Y", "у", "ｙ", "𝐲", "ⓨ", "γ"},
}

// disguised returns mallory in n spellings, and around some of them what nobody sees.
func disguised(n int) (nicks []string) {
	around := []string{"", "", "", " ", "\t", "\u200b", "\u2060", "\u00ad", "\u202e", "\ufeff", "\u3164", "\u00a0"}
	seen := make(map[string]bool)
	for len(nicks) < n {
		var b strings.Builder
		at := rand.N(7)
		for i, r := range "mallory" {
			if i == at {
				b.WriteString(around[rand.N(len(around))])
			}
			b.WriteString(disguises[r][rand.N(len(disguises[r]))])
		}
		nick := b.String() + around[rand.N(len(around))]
		if !seen[nick] {
			seen[nick] = true
			nicks = append(nicks, nick)
		}
	}
	return nicks
}

// Mallory is banned, and comes back in a thousand ways: in other spellings, over each front, by a new nick, from
// her network, and to the session she had.
func TestThreat28BanEvasion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := hostBubble(t)
		bob := joinAs(t, srv, "bob")
		mallory := callFrom(t, srv, "2001:db8:1:2::5")
		mallory.send(`{"type":"join","nick":"mallory","resume":true}`)
		session := field([]byte(mallory.lines()[0]), "session")
		mallory.conn.Close()
		asProgram(t, srv, chatroom.Command{Verb: chatroom.VerbBan, Nick: "mallory", Reason: "spam"})
		unread(t, bob)

		refused := func(how, heard string) {
			t.Helper()
			if strings.Contains(heard, "welcome") || strings.Contains(heard, "You are") {
				t.Errorf("she is in %s: %s", how, heard)
			}
		}
		for i, nick := range disguised(500) {
			from := fmt.Sprintf("198.51.%d.%d", 100+i/200, i%200)
			c := callFrom(t, srv, from)
			if i%2 == 0 {
				c.send(`{"type":"join","nick":"` + inJSON([]byte(nick)) + `"}`)
			} else {
				c.send(nick)
			}
			refused(fmt.Sprintf("as %+q", nick), c.hear())
			c.conn.Close()
			if _, err := bob.Send(t.Context(), chatroom.Rename(nick)); !errors.Is(err, chatroom.ErrBanned) && !errors.Is(err, chatroom.ErrNickInvalid) {
				t.Errorf("bob becomes %+q: %v", nick, err)
			}
			time.Sleep(10 * time.Second) // somebody who is in a hurry is found out anyhow
			unread(t, bob)
		}
		for i := range 1000 {
			from := fmt.Sprintf("2001:db8:1:2:%x:%x:%x:%x", rand.N(1<<16), rand.N(1<<16), rand.N(1<<16), i)
			c := callFrom(t, srv, from)
			c.send(fmt.Sprintf(`{"type":"join","nick":"fresh%d"}`, i))
			refused("from "+from, c.hear())
			c.conn.Close()
			time.Sleep(10 * time.Second)
			unread(t, bob)
		}
		for _, from := range []string{"2001:db8:1:2::5", "203.0.113.9"} {
			c := callFrom(t, srv, from)
			c.send(`{"type":"join","nick":"innocent","session":"` + session + `"}`)
			if heard := c.hear(); strings.Contains(heard, `"resumed"`) || strings.Contains(heard, "mallory") {
				t.Errorf("her session goes on: %s", heard)
			}
			c.conn.Close()
		}
		other := callFrom(t, srv, "2001:db8:1:3::5")
		other.send(`{"type":"join","nick":"neighbour"}`)
		if heard := other.hear(); !strings.Contains(heard, `"welcome"`) {
			t.Errorf("a neighbour is kept out: %s", heard)
		}
	})
}
