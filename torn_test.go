package chatroom

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
)

// Whoever is cut off amid a line gets the rest of it before the farewell.
func TestWhoIsCutOffGetsWholeLines(t *testing.T) {
	srv, err := New()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() {
		srv.Close()
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		defer conn.Close()
		_, err = conn.Write([]byte(`{"type":"join","nick":"ann"}` + "\n"))
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	heard := func(what string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), what) {
				return
			}
		}
		t.Fatalf("%s was not heard: %v", what, lines.Err())
	}
	heard(`"type":"join"`)
	bot, err := srv.Join(t.Context(), Identity{Nick: "bot"})
	if err != nil {
		t.Fatal(err)
	}
	heard(`"from":"bot"`)

	m := srv.(*server).lookUp("ann")
	for !m.flushing.take() { // from now on nobody else writes to it
	}
	for range 3 {
		if _, err := bot.Send(t.Context(), Say("", "hello")); err != nil {
			t.Fatal(err)
		}
	}
	m.mu.Lock()
	seat := m.seats[0]
	m.box = append(m.box, op{seat: seat, upto: seat.tail()})
	m.mu.Unlock()
	span := seat.bytes.span()
	seat.bytes.i += int64(newWriting().write(m.conn, span[:len(span)/2]))
	m.end(ErrTooSlow.(*Error))
	go m.flush()

	var told []Event
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		told = append(told, e)
	}
	if len(told) != 3 || told[1].Kind != KindMessage || told[2].Kind != KindBye || !errors.Is(told[2].Err, ErrTooSlow) {
		t.Errorf("it was told %+v", told)
	}
}
