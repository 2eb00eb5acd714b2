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

// What a client compares a whole chunk with.
const (
	askNick     = "NICK"
	askPassword = "pass"
	sayBanned   = "BAN"
	sayWrong    = "Incorrect"
)

const (
	recvBytes = 1024 // what a client receives at once
	maxTries  = 5    // answers somebody gets, as with the other fronts
	adminNick = "admin"
	greeting  = "greeting" // the id of the first join, which tells its welcome from that to another room
)

// lost is the chunk that a client does not show: blank, and as long as one can be.
var lost = strings.Repeat(" ", recvBytes-1) + "\n"

// join asks until somebody has joined.
func (p *peer) join(ctx context.Context) error {
	for tries, before := 1, ""; ; tries++ {
		err := p.tryJoin(ctx, tries == 1)
		if err == nil {
			p.notice("Type to talk, or /help.")
			return nil
		}
		refused, ok := errors.AsType[*chatroom.Error](err)
		if !ok {
			return err
		}
		// A client that answers the same again will do so for ever.
		over := p.ends(refused) || tries == maxTries || p.in.nick == before
		before = p.in.nick
		if werr := p.tell(ctx, refused, over); werr != nil || over {
			return err
		}
	}
}

// tryJoin asks for a nick, and for the password of admin's account.
func (p *peer) tryJoin(ctx context.Context, first bool) error {
	p.in, p.asked = splitter{most: p.c.Limits().LineBytes}, false
	if _, err := io.WriteString(p.c, askNick); err != nil {
		return err
	}
	if first && p.isProgram() {
		_, _ = io.WriteString(p.c, "\n") // ends the line of the question; reading tells if this failed
		return chatroom.ErrNoFront
	}
	nick, err := p.answer(cutNick)
	if err != nil {
		return err
	}
	p.in.nick = nick
	req := chatroom.JoinRequest{Nick: nick, ID: greeting, Encoder: p.front}
	welcome, err := p.c.Join(ctx, req)
	if errors.Is(err, chatroom.ErrPasswordRequired) {
		if nick != adminNick {
			return &chatroom.Error{Code: chatroom.CodePasswordRequired, Text: "that takes a password, which this client has for " + adminNick + " only; choose another nick"}
		}
		if _, err := io.WriteString(p.c, askPassword); err != nil {
			return err
		}
		if req.Secret, err = p.answer(p.in.cutSecret); err != nil {
			return err
		}
		p.asked = true
		welcome, err = p.c.Join(ctx, req)
	}
	if err == nil {
		p.room = welcome.Room
	}
	return err
}

// isProgram recognises a program that speaks JSON and was slow to say so. No nick holds a quote.
func (p *peer) isProgram() bool {
	first, err := p.c.Peek()
	return err == nil && first[0] == '{' && bytes.IndexByte(first, '"') > 0
}

// answer reads until cut finds the answer in what has come; silent tells cut that nothing has followed for
// a while. What is behind the answer was said too soon.
func (p *peer) answer(cut func(s string, silent bool) (answer, rest string, ok bool)) (string, error) {
	var sent []byte
	for silent := false; ; {
		if answer, rest, ok := cut(string(sent), silent); ok {
			p.in.buf = append(p.in.buf, rest...)
			return answer, nil
		}
		if len(sent) >= recvBytes {
			return "", &chatroom.Error{Code: chatroom.CodeLineTooLong, Text: "that answer is too long"}
		}
		b, err := p.receive(len(sent) > 0 && !silent)
		if err != nil {
			return "", err
		}
		silent = len(b) == 0
		sent = append(sent, b...)
	}
}

// ends reports whether asking again is no use.
func (p *peer) ends(e *chatroom.Error) bool {
	switch e.Code {
	case chatroom.CodeUnauthorized:
		return p.asked // a client that is told so ends by itself
	case chatroom.CodeTimeout, chatroom.CodeShutdown, chatroom.CodeFlooding, chatroom.CodeLost, chatroom.CodeClosed,
		chatroom.CodeBanned, chatroom.CodeLineTooLong:
		return true
	}
	return e.Retry == chatroom.RetryNever
}

// tell tells a client why it was refused: in the word it knows for that, or after the chunk it does not
// show. If that is not the end, the next question must not merge with it.
func (p *peer) tell(ctx context.Context, refused *chatroom.Error, over bool) error {
	var words []byte
	switch {
	case refused.Code == chatroom.CodeBanned && !p.asked:
		words = []byte(sayBanned)
	case refused.Code == chatroom.CodeUnauthorized && p.asked:
		words = []byte(sayWrong)
	case over:
		words = p.front.text([]byte(lost), &chatroom.Event{Kind: chatroom.KindBye, Err: refused})
	default:
		words = p.front.text([]byte(lost), &chatroom.Event{Kind: chatroom.KindError, Err: refused})
	}
	if _, err := p.c.Write(words); err != nil {
		return err
	}
	if over {
		p.seeOff()
		return nil
	}
	pause := time.NewTimer(silence)
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// seeOff reads what the client sends until it hangs up or is silent: with something unread, closing could
// make its system throw away what it was told last.
func (p *peer) seeOff() {
	for range 16 {
		if b, err := p.receive(true); err != nil || len(b) == 0 {
			return
		}
	}
}
