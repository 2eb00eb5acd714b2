package pychat_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
	"example.com/chatroom/adapters/pychat"
	"example.com/chatroom/chatroomtest"
)

// accounts has admin, an admin whose password is "sesame"; kim has an account too.
func accounts(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
	id := chatroom.Identity{Nick: req.Nick}
	switch {
	case req.Nick != "admin" && req.Nick != "kim", req.Current != nil:
		return id, nil
	case req.Secret == "":
		return id, chatroom.ErrPasswordRequired
	case req.Secret != "sesame":
		return id, chatroom.ErrUnauthorized
	}
	id.Account, id.Role = req.Nick, chatroom.RoleAdmin
	return id, nil
}

func inBubble(t *testing.T, test func(t *testing.T, srv chatroom.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, chatroomtest.NewServer(t, chatroom.WithAuthenticator(chatroom.AuthenticatorFunc(accounts)), chatroom.WithMOTD("Be kind.")))
	})
}

func shows(t *testing.T, c *oldClient, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(lines, "\n"), c.sees()); diff != "" {
		t.Errorf("%s (-want +shown):\n%s", c.nick, diff)
	}
}

var welcome = []string{
	"Successfully Connected to Server",
	"--- You are ann, in lobby.",
	"--- Be kind.",
	"ann has just joined the chat !",
	"--- Type to talk, or /help.",
}

func TestOldClientsMeetEverybodyElse(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := connect(t, srv, &oldClient{nick: "ann"})
		shows(t, ann, welcome...)
		bob := join(t, srv, chatroom.JSONFront{}, `{"type":"join","nick":"bob"}`)
		cat := join(t, srv, chatroom.TextFront{Home: "lobby"}, "cat")
		shows(t, ann, "bob has just joined the chat !", "cat has just joined the chat !")

		ann.send("ann: hello")
		bob.hears(`"from":"ann","member":1,"text":"hello"`)
		cat.hears("<ann> hello\n")
		bob.send(`{"type":"say","text":"hello ann"}`)
		cat.send("hello from me")
		shows(t, ann, "ann: hello", "bob: hello ann", "cat: hello from me")

		dan := connect(t, srv, &oldClient{nick: "dan", slow: 50 * time.Millisecond})
		shows(t, dan,
			"Successfully Connected to Server",
			"--- You are dan, in lobby with ann, bob, cat.",
			"--- Be kind.",
			"--- Earlier here:",
			"ann: hello", "bob: hello ann", "cat: hello from me",
			"dan has just joined the chat !",
			"--- Type to talk, or /help.")
		shows(t, ann, "dan has just joined the chat !")
		dan.send("bob: I am not bob\n")
		cat.hears("<dan> bob: I am not bob\n")
		shows(t, ann, "dan: bob: I am not bob")

		dan.conn.Close()
		shows(t, ann, "dan has left the chat.")
		cat.send("/me waves")
		cat.send("/nick kate")
		cat.send("/topic tea")
		cat.send("/msg ann psst")
		cat.send("/quit bye now")
		shows(t, ann,
			"00:00 * cat waves",
			"00:00 --- cat is now called kate",
			"00:00 --- kate set the topic: tea",
			"00:00 [kate -> ann] psst",
			"kate has left the chat. (bye now)")
	})
}

func TestHoweverBytesComeTheyAreTheSameMessages(t *testing.T) {
	long := strings.Repeat("0123456789", 150)
	for name, chunks := range map[string][]string{
		"merged":               {"ann: oneann: twoann: " + long},
		"merged with newlines": {"ann: one\nann: two\nann: " + long + "\n"},
		"split":                {"an", "n: o", "neann", ": twoan", "n: ", long[:1020], long[1020:]},
		"byte by byte":         strings.Split("ann: oneann: two\nann: "+long, ""),
		"cut at 1,024":         {("ann: oneann: twoann: " + long)[:1024], ("ann: oneann: twoann: " + long)[1024:]},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv chatroom.Server) {
				bob := join(t, srv, chatroom.JSONFront{}, `{"type":"join","nick":"bob"}`)
				cat := join(t, srv, chatroom.TextFront{Home: "lobby"}, "cat")
				ann := connect(t, srv, &oldClient{nick: "ann"})
				ann.sees()
				bob.hears()
				cat.hears()
				ann.send(chunks...)
				shows(t, ann, "ann: one", "ann: two", "ann: "+long)
				bob.hears(`"text":"one"`, `"text":"two"`, `"text":"`+long+`"`)
				cat.hears("<ann> one\n", "<ann> two\n", "<ann> "+long+"\n")
			})
		})
	}
}

// What the network and the client's own slowness do to chunks costs nothing but what may be lost.
func TestWhatMattersIsNotLost(t *testing.T) {
	for name, c := range map[string]*oldClient{
		"chunks that merge":       {lag: 150 * time.Millisecond},
		"chunks of a few bytes":   {most: 7},
		"a nick letter by letter": {slow: 150 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv chatroom.Server) {
				bot, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bot"})
				if err != nil {
					t.Fatal(err)
				}
				for i := range 20 {
					if _, err := bot.Send(t.Context(), chatroom.Say("", fmt.Sprint("NICK ", i, strings.Repeat("x", 100)))); err != nil {
						t.Fatal(err)
					}
				}
				c.nick = "ann"
				ann := connect(t, srv, c)
				time.Sleep(20 * time.Second)
				shown := ann.sees()
				for _, line := range append([]string{"bot: NICK 0x", "bot: NICK 19x"}, welcome[2:]...) {
					if !strings.Contains(shown, line) {
						t.Errorf("no %q in %q", line, shown)
					}
				}
				if !strings.HasPrefix(shown, "Successfully Connected to Server\n") {
					t.Errorf("the beginning is lost: %q", shown[:50])
				}
			})
		})
	}
}

func TestAMessageThatStallsHoldsUpNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := connect(t, srv, &oldClient{nick: "ann"})
		bob := connect(t, srv, &oldClient{nick: "bob"})
		bob.sees()
		ann.send("an")
		began := time.Now()
		for range 5 {
			bob.send("bob: hello\n")
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("others took %s", took)
		}
		ann.sees()
		time.Sleep(time.Hour) // and who only listens may stay
		ann.send("n: here I am")
		bob.sees()
		shows(t, ann, "ann: here I am")
	})
}

func TestWhoDoesNotAnswerIsHungUpOn(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := connect(t, srv, &oldClient{nick: ""})
		time.Sleep(9 * time.Second)
		if why := ann.why(); why != "" {
			t.Errorf("%s too soon", why)
		}
		time.Sleep(5 * time.Second)
		if why := ann.why(); why != "hung up on" {
			t.Errorf("a silent client is %q", why)
		}
	})
}

func TestMessagesSentBeforeTheNickAreSaid(t *testing.T) {
	for _, first := range []string{"ann: early", "ann: early\n"} {
		inBubble(t, func(t *testing.T, srv chatroom.Server) {
			ann := connect(t, srv, &oldClient{nick: "ann"})
			ann.send(first)
			if shown := ann.sees(); !strings.HasSuffix(shown, "ann: early") {
				t.Errorf("after %q ann is shown %q", first, shown)
			}
		})
	}
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := connect(t, srv, &oldClient{nick: "annann: at once"})
		if shown := ann.sees(); !strings.HasSuffix(shown, "ann: at once") {
			t.Errorf("ann is shown %q", shown)
		}
	})
}

func TestTextIsASCIIForThem(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := connect(t, srv, &oldClient{nick: "ann"})
		bob := join(t, srv, chatroom.JSONFront{}, `{"type":"join","nick":"bob"}`)
		ann.sees()
		for _, tt := range []struct{ said, shown string }{
			{`naïve café — “voilà”…`, `naive cafe - "voila"...`},
			{`ﬁve ½ ① ＡＢＣ № straße`, `five 1/2 1 ABC No strasse`},
			{`tea ☕ 茶!`, `tea ? ?!`},
			{`a👩‍👧b`, `a??b`},
			{`a\u0007\u001b[31mb`, `a^G^[[31mb`},
			{`NICK`, `NICK`},
			{`a\nbob: b`, `a^Jbob: b`},
		} {
			bob.send(`{"type":"say","text":"` + tt.said + `"}`)
			shows(t, ann, "bob: "+tt.shown)
		}
		bob.hears()
		ann.send("ann: na\xc3", "\xafve")
		bob.hears(`"text":"naïve"`)
		shows(t, ann, "ann: naive")
		ann.send("ann: \xff\xfe")
		shows(t, ann, "!!! a text must be UTF-8.")
	})
}

func TestNicksOfOthersCannotPassForPlainOnes(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		admin := connect(t, srv, &oldClient{nick: "admin", password: "sesame"})
		fake := join(t, srv, chatroom.TextFront{}, "ádmin")
		zhan := join(t, srv, chatroom.TextFront{}, "Жан")
		wide := join(t, srv, chatroom.TextFront{}, "ｂｏｂ")
		admin.sees()
		for _, c := range []*newClient{fake, zhan, wide} {
			c.send("hi")
		}
		shows(t, admin, "admin#: hi", "#416#430#43d: hi", "bob: hi")
		admin.send("KICK admin#")
		fake.hears("you were kicked by admin")
		shows(t, admin, "admin# was kicked by an admin")
		admin.send("admin: /msg #416#430#43d privet")
		zhan.hears("[admin -> Жан] privet")
		shows(t, admin, "00:00 [admin -> #416#430#43d] privet")
	})
}

func TestARefusedNickIsExplained(t *testing.T) {
	for nick, text := range map[string]string{
		"bob":    "bob is taken; choose another nick.",
		"a b":    "a nick may not contain white space.",
		"server": "server is reserved; choose another nick.",
		"kim":    "that takes a password, which this client has for admin only; choose another nick.",
	} {
		t.Run(nick, func(t *testing.T) {
			inBubble(t, func(t *testing.T, srv chatroom.Server) {
				if _, err := srv.Join(t.Context(), chatroom.Identity{Nick: "bob"}); err != nil {
					t.Fatal(err)
				}
				ann := connect(t, srv, &oldClient{nick: nick})
				time.Sleep(5 * time.Second)
				var lines []string
				for line := range strings.Lines(ann.sees()) {
					if strings.TrimSpace(line) != "" {
						lines = append(lines, strings.TrimSpace(line))
					}
				}
				if diff := cmp.Diff([]string{"!!! " + text, "--- Goodbye: " + text}, lines); diff != "" {
					t.Errorf("(-want +shown):\n%s", diff)
				}
				if why := ann.why(); why != "hung up on" {
					t.Errorf("ended: %q", why)
				}
			})
		})
	}
}

func TestAnotherNickMayBeTried(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		bob, err := srv.Join(t.Context(), chatroom.Identity{Nick: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		// The client answers the same again, and by then the nick is free.
		ann := connect(t, srv, &oldClient{nick: "ann", slow: 50 * time.Millisecond, lag: 60 * time.Millisecond})
		time.Sleep(800 * time.Millisecond)
		bob.Close()
		time.Sleep(time.Second)
		shown := ann.sees()
		if strings.Contains(shown, "NICK") {
			t.Errorf("the question is shown: %q", shown)
		}
		if !strings.Contains(shown, "ann is taken; choose another nick.") || !strings.Contains(shown, "--- You are ann, in lobby.") {
			t.Errorf("shown: %q", shown)
		}
	})
}

func TestThePasswordOfAdmin(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		wrong := connect(t, srv, &oldClient{nick: "admin", password: "friend"})
		if shown, why := wrong.sees(), wrong.why(); shown != "" || why != "wrong password" {
			t.Errorf("with a wrong password: %q, shown %q", why, shown)
		}
		admin := connect(t, srv, &oldClient{nick: "admin", password: "sesame"})
		if shown := admin.sees(); !strings.HasPrefix(shown, "Successfully Connected to Server\n--- You are admin") {
			t.Errorf("with the right one shown %q", shown)
		}
		again := connect(t, srv, &oldClient{nick: "admin", password: "sesame"})
		time.Sleep(5 * time.Second)
		if shown, why := again.sees(), again.why(); !strings.Contains(shown, "admin is taken") || why != "hung up on" {
			t.Errorf("a second time: %q, shown %q", why, shown)
		}
		far := connectFrom(t, srv, &oldClient{nick: "admin", password: "sesame"}, "192.0.2.1")
		time.Sleep(5 * time.Second)
		if shown, why := far.sees(), far.why(); !strings.Contains(shown, "passwords are taken over TLS only") || why != "hung up on" {
			t.Errorf("from elsewhere: %q, shown %q", why, shown)
		}
		// The word for those who are banned means nothing behind a password.
		if _, err := srv.Moderate(t.Context(), chatroom.BanPerson("admin", 0, "")); err != nil {
			t.Fatal(err)
		}
		banned := connect(t, srv, &oldClient{nick: "admin", password: "sesame"})
		if shown, why := banned.sees(), banned.why(); !strings.HasPrefix(shown, "--- Goodbye: you are banned") || why != "hung up on" {
			t.Errorf("banned: %q, shown %q", why, shown)
		}
	})
}

// What the client has sent is read before the server hangs up, or its system could lose the last word.
func TestTheLastWordIsNotLost(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		if _, err := srv.Moderate(t.Context(), chatroom.BanPerson("ann", 0, "")); err != nil {
			t.Fatal(err)
		}
		ann := connect(t, srv, &oldClient{nick: "ann", lag: 150 * time.Millisecond})
		for ann.why() == "" {
			time.Sleep(50 * time.Millisecond)
			if _, err := ann.conn.Write([]byte("ann: hello?\n")); err != nil && ann.why() == "" {
				t.Error("a client that has not been told yet is hung up on")
				return
			}
		}
		if why := ann.why(); why != "banned" {
			t.Errorf("ended: %q", why)
		}
	})
}

func TestOnlyAdminsKickAndBan(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		admin := connect(t, srv, &oldClient{nick: "admin", password: "sesame"})
		kicker := connect(t, srv, &oldClient{nick: "KICKer"})
		ann := connect(t, srv, &oldClient{nick: "ann"})
		bob := join(t, srv, chatroom.JSONFront{}, `{"type":"join","nick":"bob"}`)
		cat := join(t, srv, chatroom.TextFront{Home: "lobby"}, "cat")
		for _, c := range []*oldClient{admin, kicker, ann} {
			c.sees()
		}
		kicker.send("KICKer: hi")
		kicker.send("KICKer: KICK ann")
		kicker.send("KICKer: hiKICK ann")
		shows(t, ann, "KICKer: hi", "KICKer: KICK ann", "KICKer: hiKICK ann")
		ann.send("KICK bob\n")
		shows(t, ann, "Command was refused!", "!!! /kick is for moderators.")
		ann.send("BAN bobann: sorry")
		shows(t, ann, "Command was refused!", "!!! /ban is for moderators.", "ann: sorry")
		kicker.sees()
		admin.sees()

		admin.send("admin: be niceKICK KICKeradmin: ok?")
		shows(t, kicker, "admin: be nice", "You were kicked", "--- Goodbye: you were kicked by admin.")
		if why := kicker.why(); why != "hung up on" {
			t.Errorf("who was kicked is %q", why)
		}
		shows(t, ann, "admin: be nice", "KICKer was kicked by an admin", "admin: ok?")
		kicker = connect(t, srv, &oldClient{nick: "KICKer"})
		if shown := kicker.sees(); !strings.Contains(shown, "--- You are KICKer") {
			t.Errorf("who was kicked comes back to %q", shown)
		}
		bob.hears(`"type":"kick"`)
		ann.sees()

		admin.send("BAN ann")
		if shown := ann.sees(); !strings.HasPrefix(shown, "You were kicked\n--- Goodbye: you were banned") {
			t.Errorf("who is banned is shown %q", shown)
		}
		bob.hears(`"type":"ban"`)
		cat.hears("--- admin banned ann")
		ann = connect(t, srv, &oldClient{nick: "ann"})
		if shown, why := ann.sees(), ann.why(); shown != "" || why != "banned" {
			t.Errorf("who is banned is %q, and shown %q", why, shown)
		}
		admin.sees()
		admin.send("KICK nobody-here")
		shows(t, admin, "!!! nobody here is called nobody-here.")
		admin.send("admin: /kick cat tea time")
		cat.hears("you were kicked by admin: tea time")
		shows(t, admin, "cat was kicked by an admin: tea time")
	})
}

func TestCommandsAreTypedAsWithNC(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := connect(t, srv, &oldClient{nick: "ann"})
		ann.sees()
		for _, tt := range []struct{ sent, shown string }{
			{"/who", "--- In lobby (1): ann"},
			{"//slash", "ann: /slash"},
			{"/frobnicate", "!!! unknown command; /help lists those there are, // says a slash."},
			{"/nick anna", "00:00 --- ann is now called anna"},
			{"hi", "anna: hi"},
			{"/join den", "--- You are anna, in den.\n[den] anna has just joined the chat !"},
			{"hi", "[den] anna: hi"},
			{"/join lobby", "--- What you type is said in lobby now."},
			{"hi", "anna: hi"},
			{"/leave den", "[den] anna has left the chat."},
			{"$kick anna", "Command was refused!\n!!! /kick is for moderators."},
			{"/quit", "--- Goodbye."},
		} {
			ann.send("ann: " + tt.sent + "\n")
			shows(t, ann, strings.Split(tt.shown, "\n")...)
		}
		if why := ann.why(); why != "hung up on" {
			t.Errorf("ended: %q", why)
		}
	})
}

func TestAMessageTooLongIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := connect(t, srv, &oldClient{nick: "ann"})
		ann.sees()
		ann.send("ann: " + strings.Repeat("x", 5000))
		shows(t, ann, "!!! a text has at most 4096 bytes, that one has 5000.")
		ann.send("ann: "+strings.Repeat("x", 9000), "ann: hi")
		shows(t, ann, "!!! that line is too long.", "ann: hi")
		for range 80 {
			ann.send(strings.Repeat("x", 1000))
		}
		shows(t, ann, "!!! that line is too long.", "--- Goodbye: a message without end.")
	})
}

func TestAProgramThatIsSlowFindsItsFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := chatroomtest.NewServer(t, chatroom.WithFronts(chatroom.JSONFront{}, pychat.Front{}))
		conn := srv.Conn()
		time.Sleep(time.Second)
		buf := make([]byte, 1024)
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "NICK" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		go conn.Write([]byte(`{"type":"join","nick":"bob"}` + "\n"))
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "\n" {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), `{"type":"welcome"`) {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
	})
}

func TestNoLineNamesARoomWithoutAHome(t *testing.T) {
	for _, e := range []chatroom.Event{
		{Kind: chatroom.KindMessage, Room: "den", From: "ann", Text: "hi"},
		{Kind: chatroom.KindAction, Room: "den", From: "ann", Text: "waves"},
	} {
		if line := string(pychat.Front{}.AppendEvent(nil, &e)); strings.Contains(line, "den") {
			t.Errorf("%q", line)
		}
	}
}
