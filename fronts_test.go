package chatroom_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
)

// builtInFronts are the files that could be packages of their own.
var builtInFronts = []string{"json.go", "jsonread.go", "jsonrequest.go", "jsonplain.go", "text.go", "textmod.go", "line.go", "linemod.go"}

// A front in another package has nothing but what is exported, so those here make do with that.
func TestTheBuiltInFrontsUseOnlyWhatIsExported(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	sources := make(map[string]any)
	for _, name := range files {
		sources[name] = nil // read from disk
	}
	if found := borrowed(t, sources, builtInFronts...); len(found) > 0 {
		t.Errorf("the built-in fronts borrow from the rest of the package:\n%s", strings.Join(found, "\n"))
	}
}

// The check above would be worth nothing if it found nothing.
func TestBorrowingIsFound(t *testing.T) {
	const rest = `package p
		type Conn struct { buf []byte; Open bool }
		func (c *Conn) fill() {}
		func (c *Conn) Fill() {}
		func helper() int { return 0 }
		const limit = 1
		type state int
		type same struct{ conn *Conn }`
	tests := []struct {
		front string
		want  []string
	}{
		{`func f(c *Conn) { c.Fill(); _ = c.Open }`, nil},
		{`func f(c *Conn) { helper := len("x"); _ = helper }`, nil},
		{`type mine struct{ buf []byte }; func f(m mine) { _ = m.buf }`, nil},
		{`func f() { helper() }`, []string{"helper"}},
		{`func f(c *Conn) { c.fill() }`, []string{"fill"}},
		{`func f(c *Conn) { _ = c.buf }`, []string{"buf"}},
		{`type mine struct{ *Conn }; func f(m mine) { m.fill() }`, []string{"fill"}},
		{`var x state = limit`, []string{"state", "limit"}},
		{`func f(c *Conn) { _ = Conn{buf: nil} }`, []string{"buf"}},
		{`import "errors"; func f() { c, _ := errors.AsType[*Conn](nil); c.fill() }`, []string{"fill"}},
	}
	for _, tt := range tests {
		front := "package p\n" + tt.front
		var got []string
		for _, found := range borrowed(t, map[string]any{"rest.go": rest, "front.go": front}, "front.go") {
			_, name, _ := strings.Cut(found, ": ")
			got = append(got, name)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.front, diff)
		}
	}
}

// borrowed returns where the fronts among a package's files use something unexported that is
// declared in another of its files. The sources are as parser.ParseFile takes them.
func borrowed(t *testing.T, sources map[string]any, fronts ...string) []string {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	elsewhere := make(map[string]bool) // unexported names declared outside the fronts
	for name, src := range sources {
		file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	// What is imported is not read, so its types are unknown; the package's own are known.
	info := types.Info{Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Importer: nothing{}, Error: func(error) {}}
	pkg, _ := conf.Check("p", fset, files, &info) // its errors are about what is imported
	file := func(p token.Pos) string { return fset.Position(p).Filename }
	lasting := func(obj types.Object) bool { // not local to a function
		v, isVar := obj.(*types.Var)
		return obj.Parent() == pkg.Scope() || obj.Parent() == nil && (!isVar || v.IsField())
	}
	for id, obj := range info.Defs {
		if obj != nil && !id.IsExported() && lasting(obj) && !slices.Contains(fronts, file(id.Pos())) {
			elsewhere[id.Name] = true
		}
	}
	var found []string
	for _, f := range files {
		if !slices.Contains(fronts, file(f.Package)) {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok || id.IsExported() || info.Defs[id] != nil {
				return true
			}
			obj := info.Uses[id]
			own := obj != nil && (obj.Pkg() != pkg || !lasting(obj) || slices.Contains(fronts, file(obj.Pos())))
			// A field of something unknown counts by its name.
			if !own && (obj != nil || elsewhere[id.Name]) {
				found = append(found, fmt.Sprintf("%s: %s", fset.Position(id.Pos()), id.Name))
			}
			return true
		})
	}
	return found
}

// nothing imports empty packages.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	pkg := types.NewPackage(path, filepath.Base(path))
	pkg.MarkComplete()
	return pkg, nil
}

// A frameFront is a front from another package: the bytes FRAM, and then frames with a length in
// front. Who connects sends a nick first, and then texts.
type frameFront struct{}

func (frameFront) Name() string { return "frames" }

func (frameFront) Detect(first []byte) chatroom.Detection {
	const magic = "FRAM"
	switch n := min(len(first), len(magic)); {
	case n == 0 || string(first[:n]) != magic[:n]:
		return chatroom.NotMine
	case n < len(magic):
		return chatroom.NeedMore
	}
	return chatroom.Mine
}

func (f frameFront) Serve(ctx context.Context, c *chatroom.Conn) error {
	if _, err := io.CopyN(io.Discard, c, 4); err != nil {
		return err
	}
	nick, err := readFrame(c)
	if err != nil {
		return err
	}
	if _, err := c.Join(ctx, chatroom.JoinRequest{Nick: nick, Encoder: f}); err != nil {
		return err
	}
	for {
		text, err := readFrame(c)
		if err != nil {
			return err
		}
		if _, err := c.Send(ctx, chatroom.Say("", text)); err != nil {
			refused, ok := errors.AsType[*chatroom.Error](err)
			if !ok {
				return err
			}
			c.Reply(chatroom.Event{Kind: chatroom.KindError, Err: refused})
		}
	}
}

func (frameFront) AppendEvent(dst []byte, e *chatroom.Event) []byte {
	text := string(e.Kind) + " " + e.From + " " + e.Text
	if e.Err != nil {
		text = string(e.Kind) + " " + string(e.Err.Code)
	}
	return appendFrame(dst, text)
}

func appendFrame(dst []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(text))), text...)
}

func readFrame(r io.Reader) (string, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return "", err
	}
	frame := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, frame)
	return string(frame), err
}

func TestThreeFrontsTalkOnOnePort(t *testing.T) {
	srv, err := chatroom.New(builtIn(frameFront{}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()
	defer func() {
		srv.Close()
		<-served
	}()

	ann, bob, cat := connect(t, l, "FR"), connect(t, l, "bob\n"), connect(t, l, `{"type":"join","nick":"cat"}`+"\n")
	bob.await("bob joined")
	cat.await(`"from":"cat"`)
	ann.send("AM" + string(appendFrame(appendFrame(nil, "ann"), "Hello from a frame.")))
	bob.await("<ann> Hello from a frame.")
	cat.await(`"from":"ann","member":3,"text":"Hello from a frame."`)
	bob.send("Hello from a line.\n")
	ann.await("message bob Hello from a line.")
	cat.await(`"text":"Hello from a line."`)
	cat.send(`{"type":"say","text":"Hello from an object."}` + "\n")
	ann.await("message cat Hello from an object.")
	bob.await("<cat> Hello from an object.")
	ann.send(string(appendFrame(nil, " ")))
	ann.await("error text_invalid")
	ann.conn.Close()
	bob.await("<-- ann left")
	cat.await(`"type":"leave"`)
}

// A tcpPeer is somebody on a TCP connection.
type tcpPeer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func connect(t *testing.T, l net.Listener, first string) *tcpPeer {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	p := &tcpPeer{t: t, conn: conn, r: bufio.NewReader(conn)}
	p.send(first)
	return p
}

func (p *tcpPeer) send(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, s); err != nil {
		p.t.Fatal(err)
	}
}

// await reads until want has been read.
func (p *tcpPeer) await(want string) {
	p.t.Helper()
	var heard strings.Builder
	for !strings.HasSuffix(heard.String(), want) {
		b, err := p.r.ReadByte()
		if err != nil {
			p.t.Fatalf("heard %q and then %v; want %q", heard.String(), err, want)
		}
		heard.WriteByte(b)
	}
}
