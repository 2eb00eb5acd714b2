package filters_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/chatroom"
	"example.com/chatroom/filters"
)

// replace rewrites.
func replace(old, with string) chatroom.Filter {
	return chatroom.FilterFunc(func(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
		text := strings.ReplaceAll(d.Text, old, with)
		if text == d.Text {
			return chatroom.Verdict{}, nil
		}
		return chatroom.Verdict{Decision: chatroom.DecisionRewrite, Text: text, Rule: old, Reason: "no " + old, Evidence: old, Score: float64(len(old)) / 10}, nil
	})
}

// on decides about a text with a word in it.
func on(word string, decision chatroom.Decision) chatroom.Filter {
	return chatroom.FilterFunc(func(_ context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
		if strings.Contains(d.Text, word) {
			return chatroom.Verdict{Decision: decision, Rule: word}, nil
		}
		return chatroom.Verdict{}, nil
	})
}

func TestChain(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	fails := func(err error) chatroom.Filter {
		return chatroom.FilterFunc(func(context.Context, chatroom.Draft) (chatroom.Verdict, error) {
			return chatroom.Verdict{Decision: chatroom.DecisionBan}, err
		})
	}
	ab := chatroom.Verdict{Decision: "rewrite", Text: "b c", Rule: "a", Reason: "no a", Evidence: "a", Score: 0.1}
	tests := []struct {
		name    string
		filters []chatroom.Filter
		want    chatroom.Verdict
		errs    []error
	}{
		{"nobody", nil, chatroom.Verdict{}, nil},
		{"nobody decides", []chatroom.Filter{on("x", "ban"), on("y", "kick")}, chatroom.Verdict{}, nil},
		{"the first decides", []chatroom.Filter{on("a", "refuse"), on("a", "ban")}, chatroom.Verdict{Decision: "refuse", Rule: "a"}, nil},
		{"a rewriting survives", []chatroom.Filter{replace("a", "b"), on("a", "ban")}, ab, nil},
		{"a rewriting feeds the next", []chatroom.Filter{replace("a", "b"), on("b", "ban")}, chatroom.Verdict{Decision: "ban", Rule: "b"}, nil},
		{"a hold has the rewritten text", []chatroom.Filter{replace("a", "b"), on("b", "hold")}, chatroom.Verdict{Decision: "hold", Rule: "b", Text: "b c"}, nil},
		{"a hold alone has none", []chatroom.Filter{on("a", "hold")}, chatroom.Verdict{Decision: "hold", Rule: "a"}, nil},
		{"two rewritings", []chatroom.Filter{replace("a", "b"), replace("b c", "d")}, chatroom.Verdict{
			Decision: "rewrite", Text: "d", Rule: "a; b c", Reason: "no a; no b c", Evidence: "a; b c", Score: 0.3,
		}, nil},
		{"an error is skipped", []chatroom.Filter{fails(first), on("a", "kick")}, chatroom.Verdict{Decision: "kick", Rule: "a"}, nil},
		{"an error costs no rewriting", []chatroom.Filter{replace("a", "b"), fails(first)}, ab, nil},
		{"errors when nobody decides", []chatroom.Filter{fails(first), on("x", "ban"), fails(second)}, chatroom.Verdict{}, []error{first, second}},
	}
	for _, tt := range tests {
		v, err := filters.Chain(tt.filters...).Review(t.Context(), draft("a c"))
		if diff := cmp.Diff(tt.want, v); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if (err == nil) != (tt.errs == nil) {
			t.Errorf("%s: %v", tt.name, err)
		}
		for _, want := range tt.errs {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v is not %v", tt.name, err, want)
			}
		}
	}
}

func TestAChainEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stop := chatroom.FilterFunc(func(context.Context, chatroom.Draft) (chatroom.Verdict, error) {
		cancel()
		return chatroom.Verdict{}, nil
	})
	if v, err := filters.Chain(stop, on("a", "ban")).Review(ctx, draft("a")); !errors.Is(err, context.Canceled) || v != (chatroom.Verdict{}) {
		t.Errorf("%+v, %v", v, err)
	}
}
