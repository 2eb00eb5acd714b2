package main

import (
	"example.com/chatroom"
	"example.com/chatroom/filters"
)

// filterSteps returns the automatic moderation that o asks for. Whoever is refused again and again
// is warned, muted, kicked and in the end banned for a day; moderators are exempt.
func filterSteps(o *options) (steps []chatroom.FilterStep, err error) {
	if o.words != "" {
		words, err := filters.Words(string(o.words))
		if err != nil {
			return nil, err
		}
		steps = append(steps, chatroom.FilterStep{Name: "words", Filter: filters.Strikes(words, filters.Ladder{})})
	}
	if o.guard {
		repetition := filters.Strikes(filters.Repetition(filters.RepetitionLimits{}), filters.Ladder{})
		steps = append(steps,
			chatroom.FilterStep{Name: "repetition", Filter: repetition},
			chatroom.FilterStep{Name: "links", Filter: filters.Links(filters.LinkLimits{})},
		)
	}
	return steps, nil
}
