package chatroom_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
)

// events reads n events from w.
func (w *wire) event() (e chatroom.Event) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.line()), &e); err != nil {
		w.t.Fatal(err)
	}
	return e
}

func TestALostConnectionIsResumedWhereItWas(t *testing.T) {
	srv, addr := host(t)
	bob := join(t, addr, "bob")
	ann := dial(t, addr)
	ann.send(`{"type":"join","nick":"ann","resume":true}`)
	welcome := ann.event()
	if welcome.Welcome == nil || welcome.Welcome.Session == "" {
		t.Fatalf("welcomed with %+v", welcome)
	}
	own := ann.event() // the history before it, if any, is bob's join
	for own.From != "ann" {
		own = ann.event()
	}
	ann.Close()
	for !lingers(srv, "ann") {
		time.Sleep(time.Millisecond)
	}
	bob.send(`{"type":"say","text":"one"}`)
	bob.send(`{"type":"private","nick":"ann","text":"psst"}`)
	bob.send(`{"type":"say","text":"two"}`)
	bob.until("two")

	again := dial(t, addr)
	again.send(fmt.Sprintf(`{"type":"join","nick":"ann","session":%q,"seen":[{"room":"lobby","epoch":%q,"seq":%d}]}`,
		welcome.Welcome.Session, welcome.Welcome.Epoch, own.Seq))
	back := again.event()
	if back.Welcome == nil || !back.Welcome.Resumed || back.Welcome.History != 2 || back.Member != welcome.Member {
		t.Fatalf("resumed with %+v %+v", back, back.Welcome)
	}
	var got []string
	for range 3 {
		e := again.event()
		got = append(got, fmt.Sprint(e.Kind, " ", e.Seq, " ", e.Text))
	}
	want := fmt.Sprintf("message %d one, message %d two, private 0 psst", own.Seq+1, own.Seq+2)
	if strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	bob.send(`{"type":"who"}`)
	if line := bob.line(); !strings.Contains(line, `"members"`) || strings.Contains(line, "lingering") {
		t.Errorf("others saw %s", line)
	}
}

func lingers(srv chatroom.Server, nick string) bool {
	for _, m := range srv.Members("lobby") {
		if m.Nick == nick {
			return m.Lingering
		}
	}
	return false
}

var _ = io.EOF
