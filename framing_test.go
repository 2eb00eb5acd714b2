package chatroom_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

// How the same things are said over each front, from the nick on.
var sayOver = map[string]func(text string) string{
	"json": func(text string) string { return `{"type":"say","text":"` + text + `"}` },
	"text": func(text string) string { return text },
}

func joinOver(front, nick string) string {
	if front == "json" {
		return `{"type":"join","nick":"` + nick + `"}`
	}
	return nick
}

func TestThreat15OversizedLine(t *testing.T) {
	for front, say := range sayOver {
		t.Run(front, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := hostBubble(t)
				bob := joinAs(t, srv, "bob")
				ann := call(t, srv)
				ann.send(joinOver(front, "ann"))
				ann.hear()
				unread(t, bob)

				longest := say(strings.Repeat("x", 8191-len(say(""))))
				ann.send(longest) // which is a line of 8192 bytes with its end, and too long a text
				if heard := ann.hear(); !strings.Contains(heard, "a text has at most 4096 bytes") {
					t.Errorf("a line as long as can be: %q", heard)
				}
				for _, more := range []int{1, 2, 100, 50_000} {
					ann.send(longest + strings.Repeat("x", more))
					if heard := ann.hear(); !strings.Contains(heard, "that line is too long") || strings.Count(heard, "\n") != 1 {
						t.Errorf("%d bytes more: %q", more, heard)
					}
				}
				ann.send(say("still here"))
				if events := unread(t, bob); len(events) != 1 || events[0].Text != "still here" {
					t.Errorf("bob receives %+v", events)
				}

				ann.sendRaw(strings.Repeat("x", 64<<10-1))
				if ann.gone() {
					t.Error("hung up on before 64 KiB")
				}
				ann.sendRaw(strings.Repeat("x", 1))
				if heard := ann.hear(); !ann.gone() || !strings.Contains(heard, "a line without end") {
					t.Errorf("after 64 KiB: %q", heard)
				}
				if events := unread(t, bob); len(events) != 1 || events[0].Kind != chatroom.KindLeave {
					t.Errorf("bob receives %+v", events)
				}
			})
		})
	}
}

// A hundred peers send 16 MiB each without a line's end, before they have joined and after.
func TestThreat15EndlessLinesHoldNoMemory(t *testing.T) {
	const peers, each = 100, 16 << 20
	for front := range sayOver {
		for _, joined := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, joined %v", front, joined), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := hostBubble(t)
					bob := joinAs(t, srv, "bob")
					var all []*caller
					for i := range peers {
						c := call(t, srv)
						if joined {
							c.send(joinOver(front, fmt.Sprintf("ann%d", i)))
						}
						all = append(all, c)
					}
					unread(t, bob)
					before := heap()
					chunk := []byte(strings.Repeat("{x", 16<<10))
					sent := 0
					for _, part := range [][]byte{chunk[:8000], chunk} { // all are in the midst of a line, and of one too long
						for _, c := range all {
							n, _ := c.conn.Write(part)
							sent += n
						}
						synctest.Wait()
						if grown := heap() - before; grown > 8<<20 {
							t.Errorf("the heap has grown by %d bytes", grown)
						}
					}
					for _, c := range all {
						n, err := len(chunk), error(nil)
						for total := n; err == nil && total < each; total += n {
							n, err = c.conn.Write(chunk)
							sent += n
						}
						if !c.gone() {
							t.Fatal("not hung up on")
						}
					}
					if most := peers * (64<<10 + 16<<10); sent > most {
						t.Errorf("%d bytes were taken, want at most %d", sent, most)
					}
					for _, e := range unread(t, bob) {
						if e.Kind != chatroom.KindLeave {
							t.Errorf("bob receives %+v", e)
						}
					}
				})
			})
		}
	}
}

// What somebody says over each front: lines with either end, none, several languages, a command that
// is refused, a line that is too long, and a last one without an end.
var conversations = map[string]string{
	"json": `{"type":"join","nick":"ann"}` + "\n" + `{"type":"say","id":"1","text":"one"}` + "\r\n\n" + `{"type":"action","text":"zwölf 安 🦊"}` + "\n" +
		"{\"type\":\n" + strings.Repeat("x", 9000) + "\r\n" + `{"type":"say","text":"tw\u00f6 \n"}` + "\n" + "{\"type\":\"say\",\"text\":\"\xff\"}\n" +
		`{"type":"topic","text":"tea"}` + "\n" + `{"type":"who","id":"w"}` + "\n" + `{"type":"say","text":"the last"}`,
	"text": "ann\r\none\r\n\r\n/me zwölf 安 🦊\n\xff\xfb\x01two\xff\xfa\x18\x00x\xff\xf0\n/frobnicate\n" + strings.Repeat("x", 9000) + "\n" +
		"//slash\nbad\xc3\x28\n/topic tea\n/who\nthe last",
}

var said = map[string][]string{
	"json": {"join ann ", "message ann one", "action ann zwölf 安 🦊", "message ann twö", "topic ann tea", "message ann the last", "leave ann "},
	"text": {"join ann ", "message ann one", "action ann zwölf 安 🦊", "message ann two", "message ann /slash", "topic ann tea", "message ann the last", "leave ann "},
}

var numbered = regexp.MustCompile(`"(seq|member|epoch)":("\w+"|\d+)`)

// converse has somebody say that, chunk by chunk, and hang up. It returns what bob received and what
// was answered, without numbers.
func converse(t testing.TB, srv chatroom.Server, bob chatroom.Client, chunks [][]byte) (told, answered []string) {
	mustSend(t, bob, chatroom.Topic("", "")) // as it was before
	unread(t, bob)
	near, far := net.Pipe()
	ann := callOver(t, srv, near, far)
	for _, chunk := range chunks {
		if _, err := near.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
	answered = strings.Split(numbered.ReplaceAllString(ann.hear(), ""), "\n")
	near.Close()
	for _, e := range unread(t, bob) {
		if e.Kind == chatroom.KindLeave {
			e.Text = "" // whether reading or writing finds out first is left to chance
		}
		told = append(told, fmt.Sprint(e.Kind, " ", e.From, " ", e.Text))
	}
	return told, answered
}

// cut cuts text behind each of those places.
func cut(text string, places []int) (chunks [][]byte) {
	slices.Sort(places)
	from := 0
	for _, place := range append(places, len(text)) {
		if place > from {
			chunks = append(chunks, []byte(text[from:place]))
			from = place
		}
	}
	return chunks
}

// checkFraming checks that nobody can tell how a conversation was cut.
func checkFraming(t *testing.T, cuts func(front string, length int) [][]int) {
	for front, text := range conversations {
		synctest.Test(t, func(t *testing.T) {
			srv := hostBubble(t, brisk(chatroom.Limits{History: -1}))
			bob := joinAs(t, srv, "bob")
			told, answered := converse(t, srv, bob, cut(text, nil))
			if diff := cmp.Diff(said[front], told); diff != "" {
				t.Fatalf("%s, whole (-want +got):\n%s", front, diff)
			}
			for _, places := range cuts(front, len(text)) {
				toldCut, answeredCut := converse(t, srv, bob, cut(text, places))
				if diff := cmp.Diff([2][]string{told, answered}, [2][]string{toldCut, answeredCut}); diff != "" {
					t.Fatalf("%s, cut at %d places, %v and so on (-whole +cut):\n%s", front, len(places), places[:min(len(places), 40)], diff)
				}
			}
		})
	}
}

func TestThreat16Framing(t *testing.T) {
	checkFraming(t, func(_ string, length int) (cuts [][]int) {
		var everywhere []int
		for i := range length {
			everywhere = append(everywhere, i)
		}
		cuts = append(cuts, everywhere)
		for range 500 {
			places := make([]int, rand.N(40))
			for i := range places {
				places[i] = rand.N(length)
			}
			cuts = append(cuts, places)
		}
		return cuts
	})
}

func FuzzFraming(f *testing.F) {
	f.Add([]byte{1, 2, 3})
	f.Add([]byte{0, 200, 7, 7, 255, 255, 1, 90})
	f.Fuzz(func(t *testing.T, gaps []byte) {
		checkFraming(t, func(_ string, length int) [][]int {
			var places []int
			at := 0
			for _, gap := range gaps {
				if at += int(gap); at < length {
					places = append(places, at)
				}
			}
			return [][]int{places}
		})
	})
}
