package chatroomtest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"example.com/chatroom"
)

func ban(id string) chatroom.Ban {
	return chatroom.Ban{ID: id, Kind: chatroom.BanNick, Value: "bob"}
}

// full returns a ban with something in every field.
func full(id string) chatroom.Ban {
	created := time.Date(2026, 11, 22, 12, 34, 56, 0, time.UTC)
	return chatroom.Ban{
		ID: id, Effect: chatroom.EffectMute, Kind: chatroom.BanMask, Value: "bob*", Reason: "spam", Note: "third time",
		By: "ann", Rank: chatroom.RoleModerator, Created: created, Expires: created.Add(90 * time.Minute),
	}
}

func emptyStore(ctx context.Context, b *banStoreTest) error { return b.holds(ctx) }

func everyField(ctx context.Context, b *banStoreTest) error {
	bans := []chatroom.Ban{full("full"), ban("bare")}
	for _, effect := range []chatroom.Effect{chatroom.EffectBan, chatroom.EffectMute, chatroom.EffectAllow} {
		for _, kind := range []chatroom.BanKind{chatroom.BanNick, chatroom.BanMask, chatroom.BanAccount, chatroom.BanAddr} {
			bans = append(bans, chatroom.Ban{
				ID: fmt.Sprint(effect, "-", kind), Effect: effect, Kind: kind, Value: "2001:db8::/32",
			})
		}
	}
	return b.keeps(ctx, bans...)
}

func times(ctx context.Context, b *banStoreTest) error {
	var bans []chatroom.Ban
	for i, at := range []time.Time{
		time.Now(),
		time.Date(2026, 3, 29, 2, 30, 0, 0, time.FixedZone("", 2*60*60)),
		time.Date(2026, 10, 25, 2, 30, 1, 0, time.FixedZone("", 60*60)),
		time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("west", -9*60*60-30*60)),
		time.Date(1999, 1, 1, 0, 0, 0, 1, time.UTC),
		time.Date(2200, 2, 28, 12, 0, 0, 0, time.UTC),
	} {
		created, expires := ban(fmt.Sprint("created-", i)), ban(fmt.Sprint("expires-", i))
		created.Created, expires.Expires = at, at
		bans = append(bans, created, expires)
	}
	return b.keeps(ctx, bans...)
}

func characters(ctx context.Context, b *banStoreTest) error {
	var bans []chatroom.Ban
	// U+0000 is not among them: PostgreSQL has no place for it, and no front lets it in.
	for i, text := range []string{
		"Zo\u00eb", "Zoe\u0308", // the same to a reader, not to a store
		"ß", "ẞ", "İi", "日本語", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0010fffd",
		"\u202eabc\u202c", "a\u200bb", "\ufeffbom", "\ufffd", "\u2028line\u2029",
		" spaces ", "\ttabs\t", "two\nlines\r\n", "\x01\x1b[31m\x7f\u0085",
		`'; DROP TABLE bans; --`, `"quoted" \ back`, `\u0041\n`, "%s %d %", "*?[a]_", "<b>&amp;</b>", "$1 ${x} `x`", "null", "0", "{}",
		"a,b;c|d\te=f:g#h//i",
	} {
		full := full(fmt.Sprint(i))
		full.Value, full.Reason, full.Note, full.By = text, text, text, text
		bans = append(bans, full)
	}
	return b.keeps(ctx, bans...)
}

func longFields(ctx context.Context, b *banStoreTest) error {
	long, wide := full("long"), full("wide")
	long.Value = strings.Repeat("v", 1<<10)
	long.Reason, long.Note = strings.Repeat("r", 4<<10), strings.Repeat("n ", 16<<10)
	wide.Reason = strings.Repeat("\U0001f9ff", 1<<10)
	return b.keeps(ctx, long, wide)
}

func ids(ctx context.Context, b *banStoreTest) error {
	names := []string{"ab", "aB", "Ab", "AB", "0", "00", "../x", "*", "%", "_", "null", strings.Repeat("x", 64)}
	for c := '!'; c <= '~'; c++ {
		names = append(names, "-"+string(c)+"-")
	}
	var bans []chatroom.Ban
	for _, name := range names {
		one := ban(name)
		one.Reason = "about " + name
		bans = append(bans, one)
	}
	if err := b.keeps(ctx, bans...); err != nil {
		return err
	}
	for len(bans) > 0 {
		last := len(bans) - 1
		if err := b.store.Remove(ctx, bans[last].ID); err != nil {
			return fmt.Errorf("Remove of ban %q failed: %w", bans[last].ID, err)
		}
		bans = bans[:last]
		if len(bans)%10 == 4 {
			if err := b.holds(ctx, bans...); err != nil {
				return fmt.Errorf("after Remove of others %w", err)
			}
		}
	}
	return b.holds(ctx)
}
