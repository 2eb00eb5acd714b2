package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

func ExampleDial() {
	srv, err := chatroom.New()
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ann, err := client.Dial(ctx, l.Addr().String(), client.WithNick("ann"))
	if err != nil {
		log.Fatal(err)
	}
	defer ann.Close()

	_, err = client.Dial(ctx, l.Addr().String(), client.WithNick("Ann"))
	fmt.Println("the nick is in use:", errors.Is(err, chatroom.ErrNickInUse))

	// Send returns the event once the room has ordered it, and Receive returns it in its place.
	said, err := ann.Send(ctx, chatroom.Say("lobby", "hello"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("said as number", said.Seq)
	for {
		e, err := ann.Receive(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if e.Seq == said.Seq {
			fmt.Println(e.From+":", e.Text)
			break
		}
	}
	// Output:
	// the nick is in use: true
	// said as number 2
	// ann: hello
}
