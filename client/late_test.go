package client_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/chatroom"
	"example.com/chatroom/client"
)

// What a client has written on a connection that it gave up may reach the server when it is back on another.
func TestAnAttemptThatArrivesLateChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, connect := bubbleHouse(t)
		dials, states := 0, &states{}
		late := make(chan string, 1)
		first := connect()
		ann, err := client.New(within(t), first, client.WithNick("ann"), client.WithState(states.add),
			client.WithDial(func(context.Context) (net.Conn, error) {
				if dials++; dials > 1 {
					return connect(), nil
				}
				here, network := net.Pipe()
				go func() {
					wish := make([]byte, 4096)
					n, _ := network.Read(wish)
					network.Close()
					late <- string(wish[:n])
				}()
				return here, nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer ann.Close()
		first.Close()
		do(t, ann, chatroom.Say("", "back"))
		wish := <-late
		conn := connect()
		go io.WriteString(conn, wish)
		if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), `"code":"replaced"`) {
			t.Errorf("%s was answered %s, %v", wish, answer, err)
		}
		synctest.Wait()
		do(t, ann, chatroom.Say("", "still here"))
		if s := states.String(); strings.Count(s, "reconnecting") != 2 || strings.Count(s, "resumed") != 1 || strings.Contains(s, "ended") {
			t.Errorf("states: %s", s)
		}
		conn.Close()
	})
}
