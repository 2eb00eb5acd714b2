package chatroom_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"time"

	"example.com/chatroom"
)

// A program hosts a room on a port.
func ExampleNew() {
	srv, err := chatroom.New(
		chatroom.WithRoom("tavern"),
		chatroom.WithMOTD("Be kind."),
	)
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(errors.Is(<-served, chatroom.ErrServerClosed))
	// Output: true
}

// A bot is a member like any other, in the program that hosts the room.
func ExampleServer_join() {
	srv, err := chatroom.New()
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	ctx := context.Background()
	bot, err := srv.Join(ctx, chatroom.Identity{Nick: "bot"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := bot.Send(ctx, chatroom.Say("", "Hello!")); err != nil {
		log.Fatal(err)
	}
	for {
		e, err := bot.Receive(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Seq, e.Kind)
		if e.Kind == chatroom.KindMessage {
			return
		}
	}
	// Output:
	// 0 welcome
	// 1 join
	// 2 message
}

// The program stands above every role, and reads what anybody does with the power they have.
func ExampleServer_moderate() {
	srv, err := chatroom.New()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	bob, err := srv.Join(ctx, chatroom.Identity{Nick: "bob"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := srv.Moderate(ctx, chatroom.BanPerson("bob", 2*time.Hour, "spam")); err != nil {
		log.Fatal(err)
	}
	_, err = bob.Send(ctx, chatroom.Say("", "Buy now!"))
	fmt.Println(errors.Is(err, chatroom.ErrBanned))
	_, err = srv.Join(ctx, chatroom.Identity{Nick: "BOB"})
	fmt.Println(errors.Is(err, chatroom.ErrBanned))

	if _, err := srv.Moderate(ctx, chatroom.Command{Verb: chatroom.VerbUndo}); err != nil {
		log.Fatal(err)
	}
	_, err = srv.Join(ctx, chatroom.Identity{Nick: "bob"})
	fmt.Println(err)

	srv.Close()
	for act := range srv.Audits(ctx) {
		fmt.Println(act.Seq, act.Source, act.Verb, act.Target, act.Reason)
	}
	// Output:
	// true
	// true
	// <nil>
	// 1 server ban bob spam
	// 2 server undo bob
}

// A filter reviews what members say before anybody hears it.
func ExampleWithFilter() {
	shouting := chatroom.FilterFunc(func(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
		if len(d.Text) > 10 && d.Text == strings.ToUpper(d.Text) {
			return chatroom.Verdict{Decision: chatroom.DecisionRewrite, Text: strings.ToLower(d.Text), Rule: "shouting"}, nil
		}
		return chatroom.Verdict{}, nil
	})
	srv, err := chatroom.New(chatroom.WithFilter(chatroom.FilterStep{Name: "shouting", Filter: shouting}))
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	ctx := context.Background()
	ann, err := srv.Join(ctx, chatroom.Identity{Nick: "ann"})
	if err != nil {
		log.Fatal(err)
	}
	e, err := ann.Send(ctx, chatroom.Say("", "CAN ANYBODY HEAR ME?"))
	fmt.Println(e.Text, err)
	// Output: can anybody hear me? <nil>
}

// An Authenticator decides who comes in, and as whom.
func ExampleWithAuthenticator() {
	door := chatroom.AuthenticatorFunc(func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
		hers := chatroom.ReservedNick(req.Nick, []string{"ann"}) // or looks like hers
		switch {
		case req.Current != nil: // a member who wants this nick
			if hers && req.Current.Account != "ann" {
				return chatroom.Identity{}, chatroom.ErrDenied
			}
			return chatroom.Identity{Nick: req.Nick, Account: req.Current.Account, Role: req.Current.Role}, nil
		case !hers && req.Account == "" && req.Secret == "":
			return chatroom.Identity{Nick: req.Nick}, nil // a guest
		case req.Secret == "":
			return chatroom.Identity{}, chatroom.ErrPasswordRequired
		case cmp.Or(req.Account, req.Nick) != "ann" || req.Secret != "correct horse":
			return chatroom.Identity{}, chatroom.ErrUnauthorized
		}
		return chatroom.Identity{Nick: "ann", Account: "ann", Role: chatroom.RoleModerator}, nil
	})
	srv, err := chatroom.New(chatroom.WithAuthenticator(door))
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
}

// Bans that a file keeps outlive the program.
func ExampleWithBanStore() {
	bans, err := chatroom.FileBans("bans")
	if err != nil {
		log.Fatal(err)
	}
	defer bans.Close()
	srv, err := chatroom.New(chatroom.WithBanStore(bans))
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
}

// Behind a proxy that sends a PROXY header, bans and limits go by the real addresses.
func ExampleProxyListener() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := chatroom.New(chatroom.WithAuthenticator(chatroom.AuthenticatorFunc(
		func(_ context.Context, req chatroom.AuthRequest) (chatroom.Identity, error) {
			fmt.Println(req.Nick, "comes from", req.Addr)
			return chatroom.Identity{Nick: req.Nick}, nil
		})))
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	proxies := netip.MustParsePrefix("127.0.0.1/32")
	// TLS goes around it: tls.NewListener(chatroom.ProxyListener(l, proxies), config)
	go func() { served <- srv.Serve(chatroom.ProxyListener(l, proxies)) }()

	proxy, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(proxy, "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "ann\n", "/quit\n")
	io.Copy(io.Discard, proxy)
	proxy.Close()
	srv.Close()
	<-served
	// Output: ann comes from 192.0.2.1:56324
}
