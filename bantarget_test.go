package chatroom_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/chatroom"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct {
		text  string
		kind  chatroom.BanKind
		value string
		again string // as Target gives it, if that is not value
	}{
		{"bob", chatroom.BanNick, "bob", ""},
		{"  Zoë ", chatroom.BanNick, "Zoë", ""},
		{"nick:bob", chatroom.BanNick, "bob", ""},
		{"Nick: bob", chatroom.BanNick, "bob", ""},
		{"account", chatroom.BanNick, "account", ""},
		{"cafe", chatroom.BanNick, "cafe", ""},
		{"account:bob", chatroom.BanAccount, "bob", "account:bob"},
		{"account:a:b *", chatroom.BanAccount, "a:b *", "account:a:b *"},
		{"account:192.0.2.7", chatroom.BanAccount, "192.0.2.7", "account:192.0.2.7"},
		{"spam*", chatroom.BanMask, "spam*", ""},
		{"*", chatroom.BanMask, "*", ""},
		{"??", chatroom.BanMask, "??", ""},
		{"mask:bob", chatroom.BanMask, "bob", "mask:bob"},
		{"mask:b*b", chatroom.BanMask, "b*b", ""},
		{"192.0.2.7", chatroom.BanAddr, "192.0.2.7", ""},
		{"192.0.2.7/32", chatroom.BanAddr, "192.0.2.7", ""},
		{"192.0.2.7/24", chatroom.BanAddr, "192.0.2.0/24", ""},
		{"addr:192.0.2.7", chatroom.BanAddr, "192.0.2.7", ""},
		{"::ffff:192.0.2.7", chatroom.BanAddr, "192.0.2.7", ""},
		{"::ffff:192.0.2.7/120", chatroom.BanAddr, "192.0.2.0/24", ""},
		{"2001:DB8::7", chatroom.BanAddr, "2001:db8::/64", ""},
		{"addr:2001:db8:0:0:1::7", chatroom.BanAddr, "2001:db8::/64", ""},
		{"2001:db8::7/128", chatroom.BanAddr, "2001:db8::7/128", ""},
		{"2001:db8::7/32", chatroom.BanAddr, "2001:db8::/32", ""},
		{"fe80::1%eth0", chatroom.BanAddr, "fe80::/64", ""},
		{"fe80::1%eth0/128", chatroom.BanAddr, "fe80::1/128", ""},
		{"0.0.0.0/0", chatroom.BanAddr, "0.0.0.0/0", ""},
	} {
		kind, value, err := chatroom.ParseTarget(c.text)
		if kind != c.kind || value != c.value || err != nil {
			t.Errorf("ParseTarget(%q) = %s %q, %v; want %s %q", c.text, kind, value, err, c.kind, c.value)
		}
		if c.again == "" {
			c.again = c.value
		}
		b := chatroom.Ban{Kind: kind, Value: value}
		if b.Target() != c.again {
			t.Errorf("the target of %s %q is %q, not %q", kind, value, b.Target(), c.again)
		}
	}
}

func TestParseTargetSaysWhatIsWrong(t *testing.T) {
	for text, c := range map[string]struct {
		err  error
		says string
	}{
		"":                        {chatroom.ErrNickInvalid, "a nick has at least one character"},
		"nick:":                   {chatroom.ErrNickInvalid, "a nick has at least one character"},
		"nick:b*":                 {chatroom.ErrNickInvalid, "'*'"},
		"an n":                    {chatroom.ErrNickInvalid, "white space"},
		"1.2.3":                   {chatroom.ErrNickInvalid, "'.'"},
		"host:x":                  {chatroom.ErrNickInvalid, "':'"},
		"mask:":                   {chatroom.ErrBadRequest, "a mask has at least one character"},
		"10.0.*":                  {chatroom.ErrBadRequest, "'.'; a network is written like 192.0.2.0/24"},
		"*!*@*":                   {chatroom.ErrBadRequest, "'!'"},
		"a\uff20*":                {chatroom.ErrBadRequest, "'@'"},
		"a *":                     {chatroom.ErrBadRequest, "white space"},
		"a\u200b*":                {chatroom.ErrBadRequest, "U+200B"},
		"a\x1b*":                  {chatroom.ErrBadRequest, "U+001B"},
		"\xff*":                   {chatroom.ErrBadRequest, "UTF-8"},
		strings.Repeat("*", 65):   {chatroom.ErrBadRequest, "at most 64 characters"},
		"account:":                {chatroom.ErrBadRequest, "an account has at least one character"},
		"account:\xff":            {chatroom.ErrBadRequest, "UTF-8"},
		"account:a\nb":            {chatroom.ErrBadRequest, "control character"},
		"addr:":                   {chatroom.ErrBadRequest, "192.0.2.0/24"},
		"addr:bob":                {chatroom.ErrBadRequest, "192.0.2.0/24"},
		"10/8":                    {chatroom.ErrBadRequest, "192.0.2.0/24"},
		"192.0.2.0/33":            {chatroom.ErrBadRequest, "192.0.2.0/24"},
		"192.0.2.0/":              {chatroom.ErrBadRequest, "192.0.2.0/24"},
		"192.0.2.0/8/8":           {chatroom.ErrBadRequest, "192.0.2.0/24"},
		strings.Repeat("a", 2000): {chatroom.ErrNickInvalid, "at most 32 characters"},
	} {
		kind, value, err := chatroom.ParseTarget(text)
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) || kind != "" || value != "" {
			t.Errorf("ParseTarget(%q) = %q %q, %v; want %q", text, kind, value, err, c.says)
		}
	}
}

func TestTargetOfABanFromElsewhere(t *testing.T) {
	for _, c := range []struct {
		kind        chatroom.BanKind
		value, want string
	}{
		{chatroom.BanAddr, "2001:db8::7", "2001:db8::7/128"}, // which is not its /64
		{chatroom.BanAddr, "192.0.2.7/24", "192.0.2.0/24"},
		{chatroom.BanAddr, "here", "addr:here"},
		{chatroom.BanNick, "b*b", "nick:b*b"},
		{chatroom.BanMask, "account:b*", "mask:account:b*"},
		{"host", "b", "host:b"},
	} {
		b := chatroom.Ban{Kind: c.kind, Value: c.value}
		if b.Target() != c.want {
			t.Errorf("the target of %s %q is %q, not %q", c.kind, c.value, b.Target(), c.want)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, text := range []string{
		"bob", "nick:bob", "account: a:b*", "mask:x", "spam*", "*", "192.0.2.7/24", "::ffff:1.2.3.4/90", "::ffff:1.2.3.4/96",
		"2001:db8::7", "2001:db8::7/128", "fe80::1%a/64", "ADDR:::", "mask:nick:*", "\xff*", "account:\u00a0x\u3000",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kind, value, err := chatroom.ParseTarget(text)
		if err != nil {
			if e, ok := errors.AsType[*chatroom.Error](err); !ok || e.Code != chatroom.CodeBadRequest && e.Code != chatroom.CodeNickInvalid {
				t.Fatalf("ParseTarget(%q): %v", text, err)
			}
			return
		}
		b := chatroom.Ban{Kind: kind, Value: value}
		if k, v, err := chatroom.ParseTarget(b.Target()); k != kind || v != value || err != nil {
			t.Errorf("%q is %s %q, whose target %q is %s %q, %v", text, kind, value, b.Target(), k, v, err)
		}
		if k, v, err := chatroom.ParseTarget(string(kind) + ":" + value); k != kind || v != value || err != nil {
			t.Errorf("%q is %s %q, which is %s %q, %v", text, kind, value, k, v, err)
		}
	})
}

func ExampleParseTarget() {
	for _, text := range []string{"bob", "spam*", "192.0.2.7", "2001:db8::7", "account:robert", "10.0.*"} {
		kind, value, err := chatroom.ParseTarget(text)
		fmt.Println(kind, value, err)
	}
	// Output:
	// nick bob <nil>
	// mask spam* <nil>
	// addr 192.0.2.7 <nil>
	// addr 2001:db8::/64 <nil>
	// account robert <nil>
	//   chatroom: a mask is compared with nicks, and they do not contain '.'; a network is written like 192.0.2.0/24 (bad_request)
}
