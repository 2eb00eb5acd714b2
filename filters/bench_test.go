package filters_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/chatroom"
	"example.com/chatroom/filters"
)

const (
	hundred     = "so I went to the shop, and there she was again; we talked for about 20 minutes, e.g. about file.go :)"
	hundredRuss = "вчера я ходил в магазин, а там снова она; поговорили"
)

// manyWords is a list of n entries, a tenth of them prefixes and a tenth of two words.
func manyWords(n int) string {
	var b strings.Builder
	for i := range n {
		word := fmt.Sprintf("bad%c%cword%d", 'a'+i%26, 'a'+i/26%26, i)
		switch i % 10 {
		case 0:
			word += "*"
		case 1:
			word += " and more"
		}
		fmt.Fprintln(&b, word)
	}
	return b.String()
}

func BenchmarkAllFilters(b *testing.B) {
	for _, bb := range []struct{ name, text string }{{"ASCII", hundred}, {"Cyrillic", hundredRuss}} {
		b.Run(bb.name, func(b *testing.B) {
			f := filters.Strikes(filters.Chain(
				words(b, manyWords(10_000)+badWords), filters.Links(filters.LinkLimits{}), filters.Repetition(filters.RepetitionLimits{Own: 1000, Window: time.Nanosecond}),
			), filters.Ladder{})
			// The filter knows as many people and texts as it can.
			for i := range 20_000 {
				review(b, f, from(i, fmt.Sprintf("%c%c%c said something quite new, and %c%c", 'a'+i%26, 'a'+i/26%26, 'a'+i/676, 'z'-i%26, 'z'-i/26%26)))
			}
			benchmark(b, f, bb.text)
		})
	}
}

func BenchmarkWords(b *testing.B) {
	long := strings.Repeat(hundred+" ", 41)[:4096]
	for _, bb := range []struct{ name, list, text string }{
		{"10words100B", manyWords(10), hundred},
		{"10000words100B", manyWords(10_000), hundred},
		{"10000words4KiB", manyWords(10_000), long},
		{"10000words4KiBdrawn", manyWords(10_000), strings.Repeat("aaabbbccc ", 410)[:4096]},
		{"10000words4KiBspelled", manyWords(10_000), strings.Repeat("a b ", 1024)},
		{"10000words4KiBCyrillic", manyWords(10_000), strings.Repeat(hundredRuss, 50)[:4096]},
		{"30patterns100B", strings.Repeat("/(?i)free\\s+(btc|bitcoins?)/\n", 30), hundred},
	} {
		b.Run(bb.name, func(b *testing.B) { benchmark(b, words(b, bb.list), bb.text) })
	}
}

func BenchmarkRepetition(b *testing.B) {
	for _, bb := range []struct{ name, text string }{{"100B", hundred}, {"4KiB", strings.Repeat(hundred, 41)[:4096]}} {
		b.Run(bb.name, func(b *testing.B) { benchmark(b, filters.Repetition(filters.RepetitionLimits{}), bb.text) })
	}
}

func BenchmarkLinks(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"100B", hundred},
		{"4KiBdots", strings.Repeat("a.b/c ", 683)[:4096]},
		{"4KiBhidden", strings.Repeat("ab [dot) cd ", 342)[:4096]},
		{"4KiBschemes", strings.Repeat("https://example.org/", 205)[:4096]},
	} {
		b.Run(bb.name, func(b *testing.B) {
			benchmark(b, filters.Links(filters.LinkLimits{Allowed: []string{"example.org"}}), bb.text)
		})
	}
}

func benchmark(b *testing.B, f chatroom.Filter, text string) {
	ctx := b.Context()
	d := draft(text)
	b.ReportAllocs()
	for b.Loop() {
		d.Time = d.Time.Add(time.Microsecond)
		if _, err := f.Review(ctx, d); err != nil {
			b.Fatal(err)
		}
	}
}
