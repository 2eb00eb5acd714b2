package filters

import (
	"context"
	"errors"
	"math"
	"slices"

	"example.com/chatroom"
)

// Chain returns one filter of several. They review in order: what one rewrites, the next ones
// review as rewritten, and the first that decides anything else has decided. If none does, the
// rewritten text stands, in a verdict that tells of everyone who rewrote. A hold after a rewriting carries the rewritten text in
// Verdict.Text.
//
// A filter that returns an error is skipped. Chain returns the errors only if nobody decided or rewrote:
// a server takes a verdict with an error for no verdict.
func Chain(filters ...chatroom.Filter) chatroom.Filter { return chain(slices.Clone(filters)) }

type chain []chatroom.Filter

func (c chain) Review(ctx context.Context, d chatroom.Draft) (chatroom.Verdict, error) {
	var rewritten chatroom.Verdict
	var errs []error
	for _, f := range c {
		if err := ctx.Err(); err != nil {
			return chatroom.Verdict{}, errors.Join(append(errs, err)...)
		}
		v, err := f.Review(ctx, d)
		switch {
		case err != nil:
			errs = append(errs, err)
		case v.Decision == chatroom.DecisionAllow:
		case v.Decision == chatroom.DecisionRewrite:
			rewritten = together(rewritten, v)
			d.Text = v.Text
		default:
			if v.Decision == chatroom.DecisionHold && rewritten.Decision == chatroom.DecisionRewrite {
				v.Text = d.Text
			}
			return v, nil
		}
	}
	if rewritten.Decision == chatroom.DecisionRewrite {
		return rewritten, nil
	}
	return chatroom.Verdict{}, errors.Join(errs...)
}

// together returns the verdict of two that rewrote, one after the other.
func together(first, then chatroom.Verdict) chatroom.Verdict {
	if first.Decision != chatroom.DecisionRewrite {
		return then
	}
	then.Reason = joined(first.Reason, then.Reason)
	then.Rule = joined(first.Rule, then.Rule)
	then.Evidence = joined(first.Evidence, then.Evidence)
	then.Score = math.Max(first.Score, then.Score)
	return then
}

func joined(a, b string) string {
	if a == "" || a == b {
		return b
	}
	if b == "" {
		return a
	}
	return a + "; " + b
}
