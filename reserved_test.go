package chatroom_test

import (
	"testing"

	"example.com/chatroom"
)

func TestThreat22ReservedNicks(t *testing.T) {
	for _, nick := range []string{
		"server", "Server", "SERVER", "ｓｅｒｖｅｒ", "system", "System", "admin", "Admin", "ADMIN", "aDmIn", "ａdmin", "𝐚dmin",
		"administrator", "root", "ROOT", "ｒoot", "moderator", "Moderator", "mod", "operator", "op", "host", "staff", "owner",
		"NickServ", "chanserv", "SERV", "fooserv", "ｎｉｃｋｓｅｒｖ", "support", "security", "everyone",
		"аdmin", "АDМIN", "adm1n", "adrnin", "ⓐdmin", "r00t", "Ѕеrvеr", "ΗΟST", "rnod", "0p", "oрs", "nickѕerv", "NIСKЅЕRV",
	} {
		if !chatroom.ReservedNick(nick, chatroom.ReservedNicks()) {
			t.Errorf("%q is not reserved", nick)
		}
	}
	for _, nick := range []string{"ann", "bob", "adminton", "rooty", "servant", "observer", "opal", "modest", "hosta", "serving", "ädmin", "админ", "ор-ed"} {
		if chatroom.ReservedNick(nick, chatroom.ReservedNicks()) {
			t.Errorf("%q is reserved", nick)
		}
	}
	for _, nick := range []string{
		"ann.serv", "ann:", ":ann", "ann!ann", "ann@host", "@admin", "#admin", "ad min", "an\tn", "an,n", "/admin", "<ann>", "a*", "a?", "*", `a"`, `a\`, "-ann", "－ann@",
		"ann．serv", "ann：", "ann！", "ann＠host", "＃ann", "an　n", "ann，", "／ann", "＜ann＞", "＊",
	} {
		if nick, err := chatroom.ValidNick(nick); err == nil && !chatroom.ReservedNick(nick, chatroom.ReservedNicks()) {
			t.Errorf("%q is a nick, and not reserved", nick)
		}
	}
	for id, want := range map[chatroom.Identity]bool{
		{Nick: "ann"}:                             true,
		{Nick: "admin"}:                           false,
		{Nick: "Admin", Account: "ann"}:           false,
		{Nick: "Admin", Account: "ADMIN"}:         true,
		{Nick: "ann", Account: "admin"}:           true,
		{Nick: "ｒｏｏｔ", Account: "root"}:           true,
		{Nick: "admin", Role: chatroom.RoleAdmin}: false,
	} {
		if got := chatroom.MayBeCalled(id, chatroom.ReservedNicks()); got != want {
			t.Errorf("%+v: %v", id, got)
		}
	}
}

func TestReservedNicksCanHavePlaceholders(t *testing.T) {
	for pattern, matches := range map[string]map[string]bool{
		"Ops":  {"ops": true, "OPS": true, "ops2": false, "oops": false},
		"*Bot": {"bot": true, "chatbot": true, "bots": false, "ＢＯＴ": true},
		"Irc*": {"irc": true, "ircop": true, "myirc": false},
		"*x*":  {"x": true, "axb": true, "ab": false},
		"*x":   {"ax": true, "aх": true, "xa": false},
		"Kо*":  {"kobold": true, "к0": true, "ok": false}, // with a Cyrillic о
		"mod*": {"rnods": true, "МОDS": true, "mad": false},
		"rn*":  {"mike": true, "rnx": true},
		"r*":   {"mike": false, "rx": true},
		"*n":   {"tom": false, "torn": true},
		"a*":   {"änne": false, "аnne": true},
		"a?b":  {"axb": true, "ab": false, "amb": true, "ämb": false},
		"*":    {"ann": true},
		"":     {"ann": false},
	} {
		for nick, want := range matches {
			if got := chatroom.ReservedNick(nick, []string{"other", pattern}); got != want {
				t.Errorf("%q in %q: %v", nick, pattern, got)
			}
		}
	}
}
