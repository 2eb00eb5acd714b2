package chatroomtest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"example.com/chatroom"
)

// matchBans are what the subjects of matchCases meet.
var matchBans = []chatroom.Ban{
	{ID: "nick", Kind: chatroom.BanNick, Value: "bob"},
	{ID: "mute", Kind: chatroom.BanNick, Value: "bob", Effect: chatroom.EffectMute},
	{ID: "allow", Kind: chatroom.BanNick, Value: "bob", Effect: chatroom.EffectAllow},
	{ID: "alike", Kind: chatroom.BanNick, Value: "Mike"},
	{ID: "mask", Kind: chatroom.BanMask, Value: "b?b"},
	{ID: "any", Kind: chatroom.BanMask, Value: "*"},
	{ID: "account", Kind: chatroom.BanAccount, Value: "robert"},
	{ID: "addr4", Kind: chatroom.BanAddr, Value: "192.0.2.7"},
	{ID: "net4", Kind: chatroom.BanAddr, Value: "192.0.2.0/24"},
	{ID: "all4", Kind: chatroom.BanAddr, Value: "0.0.0.0/0"},
	{ID: "addr6", Kind: chatroom.BanAddr, Value: "2001:db8::7"},
	{ID: "net6", Kind: chatroom.BanAddr, Value: "2001:db8::/32"},
}

var matchCases = []struct {
	subject chatroom.Subject
	want    []string
}{
	{chatroom.Subject{Nick: "Bob", Keys: chatroom.NickKeys("Bob")}, []string{"nick", "mute", "allow", "mask", "any"}},
	{chatroom.Subject{Nick: "rn1ke", Keys: chatroom.NickKeys("rn1ke")}, []string{"alike", "any"}},
	{chatroom.Subject{Nick: "ＢＯb", Keys: chatroom.NickKeys("ＢＯb")}, []string{"nick", "mute", "allow", "mask", "any"}},
	{chatroom.Subject{Nick: "ann", Keys: chatroom.NickKeys("ann"), Account: "robert"}, []string{"any", "account"}},
	{
		chatroom.Subject{Nick: "ann", Keys: chatroom.NickKeys("ann"), Addr: netip.MustParseAddr("192.0.2.7")},
		[]string{"any", "addr4", "net4", "all4"},
	},
	{
		chatroom.Subject{Nick: "ann", Keys: chatroom.NickKeys("ann"), Addr: netip.MustParseAddr("2001:db8::7")},
		[]string{"any", "addr6", "net6"},
	},
	{
		chatroom.Subject{Nick: "bob", Keys: chatroom.NickKeys("bob"), Account: "robert", Addr: netip.MustParseAddr("192.0.2.8")},
		[]string{"nick", "mute", "allow", "mask", "any", "account", "net4", "all4"},
	},
}

func matches(ctx context.Context, b *banStoreTest) error {
	m, ok := b.store.(chatroom.BanMatcher)
	if !ok {
		return fmt.Errorf("%w: no BanMatcher", errNotClaimed)
	}
	for _, c := range matchCases {
		if got, err := m.Match(ctx, c.subject); err != nil || len(got) > 0 {
			return fmt.Errorf("Match in an empty store returned %d bans and %v", len(got), err)
		}
	}
	if err := b.add(ctx, matchBans...); err != nil {
		return err
	}
	for _, c := range matchCases {
		if err := matched(ctx, m, c.subject, c.want); err != nil {
			return err
		}
	}
	for _, ban := range matchBans {
		if err := m.Remove(ctx, ban.ID); err != nil {
			return fmt.Errorf("Remove failed: %w", err)
		}
		for _, c := range matchCases {
			got, err := m.Match(ctx, c.subject)
			if err != nil || slices.ContainsFunc(got, func(b chatroom.Ban) bool { return b.ID == ban.ID }) {
				return fmt.Errorf("Match after Remove of ban %q returned it, or failed: %v", ban.ID, err)
			}
		}
	}
	return nil
}

// matched returns an error unless Match returns the bans with these ids, perhaps others too, and
// each as it was added.
func matched(ctx context.Context, m chatroom.BanMatcher, s chatroom.Subject, want []string) error {
	got, err := m.Match(ctx, s)
	if err != nil {
		return fmt.Errorf("Match of %+v failed: %w", s, err)
	}
	found := make(map[string]bool)
	for _, ban := range got {
		i := slices.IndexFunc(matchBans, func(b chatroom.Ban) bool { return b.ID == ban.ID })
		switch {
		case i < 0:
			return fmt.Errorf("Match of %+v returned ban %q, which is not there", s, ban.ID)
		case found[ban.ID]:
			return fmt.Errorf("Match of %+v returned ban %q twice", s, ban.ID)
		}
		found[ban.ID] = true
		if err := sameBan(matchBans[i], ban); err != nil {
			return err
		}
	}
	for _, id := range want {
		if !found[id] {
			return fmt.Errorf("Match of %+v did not return ban %q", s, id)
		}
	}
	return nil
}
