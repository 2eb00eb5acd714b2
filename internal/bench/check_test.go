//go:build linux

package main

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPayloadIsWhatWasSent(t *testing.T) {
	for _, want := range []payload{{}, {3, 1, 1}, {maxSenders - 1, 1<<32 - 1, 1<<63 - 1}, {1, 0x12345678, 0x123456789abcdef0}} {
		text := want.append(nil)
		if len(text) != payloadBytes {
			t.Fatalf("%d bytes", len(text))
		}
		got, ok := parsePayload(text)
		if got != want || !ok {
			t.Errorf("got %v, %v, want %v", got, ok, want)
		}
	}
}

func TestNoByteOfAPayloadMayChange(t *testing.T) {
	whole := payload{2, 77, 1e9}
	for i := range payloadBytes {
		text := whole.append(nil)
		text[i] ^= 0x20
		if got, ok := parsePayload(text); ok {
			t.Errorf("with byte %d changed it is taken for %v", i, got)
		}
	}
}

// Each of these is a stream of two senders' messages, a to e and A to E, and what is wrong with it.
func TestCheckerFindsWhatIsWrong(t *testing.T) {
	tests := []struct {
		name, stream string
		want         faults
	}{
		{"nothing", "aAbBcCdDeE", faults{}},
		{"nothing, other order of the senders", "abcdeABCDE", faults{}},
		{"a lost message", "aAbcCdDeE", faults{lost: 1}},
		{"two lost messages", "aAdBCDEe", faults{lost: 2}},
		{"the first is lost", "bAcBdCeDE", faults{lost: 1}},
		{"the last is lost", "aAbBcCdDe", faults{incomplete: 1}},
		{"a message twice", "aAbBBcCdDeE", faults{duplicated: 1}},
		{"a message again later", "aAbBcCdDBeE", faults{disordered: 1}},
		{"two messages swapped", "aAcBbCdDeE", faults{lost: 1, disordered: 1}},
		{"something else in a message's place", "aAbBc?dDeE", faults{damaged: 1, lost: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, k := range kinds[:6] {
				for _, chunk := range []int{1 << 20, 1, 113, 300} {
					if diff := cmp.Diff(tt.want, checked(k, tt.stream, chunk), cmp.AllowUnexported(faults{})); diff != "" {
						t.Errorf("%s in chunks of %d: (-want +got)\n%s", k.name, chunk, diff)
					}
				}
			}
		})
	}
}

// checked gives a member the stream in chunks and returns what is found wrong in the end.
func checked(k kind, stream string, chunk int) faults {
	c := new(conn)
	g := &generator{kind: k, conns: []*conn{c}, senders: []*sender{{number: 0, sent: 5}, {number: 1, sent: 5}}}
	var b []byte
	for _, letter := range []byte(stream) {
		b = append(b, delivered(k, letter)...)
	}
	for len(b) > 0 {
		n := min(chunk, len(b))
		c.left = append(c.left, b[:n]...)
		c.left = c.left[g.take(c, c.left, 0):]
		b = b[n:]
	}
	g.faults.incomplete = g.incomplete()
	return g.faults
}

func TestMembersHaveToAgreeOnTheOrder(t *testing.T) {
	k := kinds[0]
	g := &generator{kind: k, conns: []*conn{{}, {}, {}}}
	for i, stream := range []string{"aAbB", "aAbB", "AabB"} {
		for _, letter := range []byte(stream) {
			line := delivered(k, letter)
			g.take(g.conns[i], line, 0)
		}
	}
	if n := g.differing(); n != 1 || g.faults != (faults{}) {
		t.Errorf("%d differ; %v", n, g.faults)
	}
}

// delivered is a message as that kind of server delivers it.
func delivered(k kind, letter byte) []byte {
	p := payload{sender: 0, count: uint32(letter-'a') + 1}
	if letter < 'a' {
		p = payload{sender: 1, count: uint32(letter-'A') + 1}
	}
	text := p.append(nil)
	if letter == '?' {
		text = bytes.ToUpper(text)
	}
	line := append([]byte("12:34 <m0001> "), text...)
	switch k.wire {
	case &jsonWire:
		line = append([]byte(jsonBefore), text...)
		return append(line, jsonAfter...)
	case &floorWire:
		return bytes.Replace(k.wire.appendSay(nil, p), p.append(nil), text, 1)
	}
	return append(line, '\n')
}

// A mangler is an audience to which something goes wrong once.
type mangler struct {
	audience
	mangle func(lines [][]byte) [][]byte
	held   [][]byte
	count  int
}

func (m *mangler) say(lines []byte) {
	for line := range bytes.Lines(lines) {
		m.held = append(m.held, bytes.Clone(line))
		if m.count++; m.count == 8 {
			m.held = m.mangle(m.held)
		}
		if m.count >= 8 {
			m.audience.say(bytes.Join(m.held, nil))
			m.held = nil
		}
	}
}

func TestAFaultyServerIsFoundOut(t *testing.T) {
	tests := []struct {
		name   string
		mangle func([][]byte) [][]byte
		want   faults
	}{
		{"nothing", func(l [][]byte) [][]byte { return l }, faults{}},
		{"lost", func(l [][]byte) [][]byte { return append(l[:3], l[4:]...) }, faults{lost: 3}},
		{"twice", func(l [][]byte) [][]byte { return append(l[:4], l[3:]...) }, faults{duplicated: 3}},
		{"swapped", func(l [][]byte) [][]byte { l[2], l[3] = l[3], l[2]; return l }, faults{lost: 3, disordered: 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, _ := kindNamed("floor-write")
			k.served = func(l net.Listener) (hosted, error) {
				return newFloor(l, &mangler{audience: new(everyWrite), mangle: tt.mangle}), nil
			}
			got := converse(t, k, 3, 1)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(faults{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestEveryServerDeliversEverythingInOrder(t *testing.T) {
	for _, k := range kinds {
		if k.name == "floor-greet" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			if got := converse(t, k, 8, senders); got != (faults{}) {
				t.Error(got)
			}
		})
	}
}

// converse lets some members of a server in this process talk for a while and returns what was wrong.
func converse(t *testing.T, k kind, members, talking int) faults {
	t.Helper()
	h, addr := serveKind(t, k)
	g, err := newGenerator(context.Background(), k, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if err := g.join(members); err != nil {
		t.Fatal(err)
	}
	if got := h.counts().Members; got != members {
		t.Errorf("%d members", got)
	}
	g.appoint(talking, 16)
	if err := g.until(time.Minute, "talk", func() bool { return g.delivered > 20_000 }); err != nil {
		t.Fatal(err)
	}
	g.hush()
	if err := g.finish(); err != nil {
		t.Fatal(err)
	}
	return g.faults
}
