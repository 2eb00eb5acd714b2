// Package pychat lets the clients of the small Python chatroom into rooms: one for the console and one with a
// window, which know nothing of this server and stay as they are.
//
//	l, err := net.Listen("tcp", "localhost:55555")
//	…
//	err = srv.Serve(l, pychat.Front{Home: "lobby"})
//
// # The wire
//
// There is no framing. A client reads with recv(1024), and what one call returns is a chunk to it. It
// compares the whole chunk NICK and answers with its nickname; it compares the whole chunk after
// that with pass, which it answers with the admin's password, and with BAN, and shows no other; after the
// password it does so with Incorrect. Then it shows every chunk, decoded as strict ASCII. It sends
// "nick: text", some with a newline and some with nothing behind it, and for the admin "KICK nick" and "BAN nick".
//
// # What the front makes of it
//
// TCP keeps no chunks apart, so nothing that matters depends on two writes arriving as two:
//
//   - A question is the only thing under way: nothing is written before the answer, or the end.
//   - The chunk that may be lost is 1,024 bytes of nothing to see. A recv(1024) that begins with it can't
//     return anything of what follows, in however many pieces it comes.
//   - Everything else is whole lines, which end with a newline. A chunk that ends where a write does is
//     never one of those words, whatever members call themselves and say. Should TCP cut out a NICK all
//     the same, the client answers, and the answer is dropped.
//   - One pause is left, before a question behind an explanation. If it is too short the client
//     shows the question in place of answering it, and is hung up on in Limits.Handshake.
//
// What a client says ends with a newline, before its own prefix, or with a fifth of a second of silence, and waiting
// for that holds up nobody else. "ann: oneann: two" is two messages; behind white space, as in "ann: as ann: would",
// the prefix is part of one. It is taken off and believed in nothing: the author is the member. Text that begins with
// a slash is a command, as with nc. For a moderator, a bare KICK or BAN directly behind a message is one too.
//
// The account admin is the admin of old: its password is asked for, and its role says what it may do. The password
// comes in the clear, so from elsewhere it is refused without chatroom.WithPlaintextSecrets. No other nick
// that is an account's can be had.
package pychat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"example.com/chatroom"
)

// Front is the Front for the clients of the Python chatroom. It is comparable, and its own Encoder.
type Front struct {
	// Home is the room whose lines do not name it; if it is empty, no line names a room.
	Home string
	// Location is where lines tell the time, those that do; nil means time.Local.
	Location *time.Location
}

// Name returns "pychat".
func (Front) Name() string { return "pychat" }

// Detect takes every connection, also silent ones, as these clients wait to be asked. So it stands last
// among the fronts of a listener, and in the place of TextFront.
func (Front) Detect([]byte) chatroom.Detection { return chatroom.Mine }

// silence is how long nothing follows once a client has sent all it has to.
const silence = 200 * time.Millisecond

// Serve asks for a nickname, and then turns what the client sends into commands.
func (f Front) Serve(ctx context.Context, c *chatroom.Conn) error {
	p := &peer{front: f, c: c}
	if err := p.join(ctx); err != nil {
		return err
	}
	for {
		err := p.listen()
		for {
			said, ok := p.in.next(c.Self().Role >= chatroom.RoleModerator)
			if !ok {
				break
			}
			p.take(ctx, said)
		}
		if err == nil {
			err = p.in.bound()
		}
		switch {
		case errors.Is(err, chatroom.ErrLineTooLong):
			p.refuse(err)
		case err != nil:
			return err
		}
	}
}

// A peer is one of those clients.
type peer struct {
	front Front
	c     *chatroom.Conn
	in    splitter
	room  string // that plain text goes to
	asked bool   // for the password
}

// receive returns what the client sends next. If brief, nothing means that it has been silent.
func (p *peer) receive(brief bool) ([]byte, error) {
	peek := p.c.Peek
	if brief {
		peek = func() ([]byte, error) { return p.c.PeekFor(silence) }
	}
	b, err := peek()
	if err != nil || len(b) == 0 {
		return nil, err
	}
	b = bytes.Clone(b)
	_, err = p.c.Read(b) // which has been peeked at
	return b, err
}

// listen adds what the client sends next to what it has sent, or notes that this was all.
func (p *peer) listen() error {
	b, err := p.receive(!p.in.unfinished())
	switch {
	case errors.Is(err, io.EOF):
		p.in.silent = true
	case err == nil && len(b) == 0:
		p.in.silent = true
	default:
		p.in.add(b)
	}
	return err
}

// take does what a part says.
func (p *peer) take(ctx context.Context, said part) {
	cmd, err := p.command(ctx, said)
	if err != nil {
		p.refuse(err)
		return
	}
	if cmd.Verb == chatroom.VerbHelp {
		p.notice(chatroom.Help(p.c.Self().Role))
		return
	}
	e, err := p.c.Send(ctx, cmd)
	switch {
	case cmd.Verb == chatroom.VerbJoin && errors.Is(err, chatroom.ErrInRoom):
		p.room = cmd.Room
		if room, err := p.c.Send(ctx, chatroom.Command{Verb: chatroom.VerbRoom, Room: cmd.Room}); err == nil {
			p.room = room.Room
		}
		p.notice("What you type is said in " + p.room + " now.")
	case err != nil:
		p.refuse(err)
	case e.Kind == chatroom.KindWelcome:
		p.room = e.Room
	case e.Kind == chatroom.KindLeave && e.Room == p.room:
		p.room = "" // the only room left, if there is one
	case e.Kind.Answer():
		p.c.Reply(e)
	}
}

// command returns the command in a part.
func (p *peer) command(ctx context.Context, said part) (cmd chatroom.Command, err error) {
	nick, reason, _ := strings.Cut(strings.TrimSpace(said.text), " ")
	switch said.verb {
	case chatroom.VerbKick:
		cmd = chatroom.Kick(nick, strings.TrimSpace(reason))
	case chatroom.VerbBan:
		cmd = chatroom.BanPerson(nick, 0, strings.TrimSpace(reason))
	default:
		cmd, err = chatroom.ParseLine(said.text)
	}
	if cmd.Room == "" && cmd.Verb != chatroom.VerbRooms {
		cmd.Room = p.room
	}
	if cmd.Verb != chatroom.VerbNick {
		cmd.Nick = p.meant(ctx, cmd.Nick)
	}
	return cmd, err
}

// meant returns whose nick in ASCII this is, if it is that of one member of the room.
func (p *peer) meant(ctx context.Context, nick string) string {
	if !strings.Contains(nick, "#") { // which no nick does
		return nick
	}
	here, err := p.c.Send(ctx, chatroom.Who(p.room))
	if err != nil {
		return nick // nobody has it
	}
	var who []string
	for _, m := range here.Members {
		if asciiNick(m.Nick) == nick {
			who = append(who, m.Nick)
		}
	}
	if len(who) != 1 {
		return nick
	}
	return who[0]
}

func (p *peer) notice(text string) {
	p.c.Reply(chatroom.Event{Kind: chatroom.KindNotice, Text: text})
}

func (p *peer) refuse(err error) {
	told, ok := errors.AsType[*chatroom.Error](err)
	if !ok {
		told, _ = errors.AsType[*chatroom.Error](chatroom.ErrInternal)
	}
	p.c.Reply(chatroom.Event{Kind: chatroom.KindError, Err: told})
}
