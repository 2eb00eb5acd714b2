package linear

import (
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"
)

// An asked is what a member asks a room for: to say something, if there is a text, or else for a part of the history.
// Numbers are those of the room, less those of what was there before anybody said something.
type asked struct {
	room          int
	text          string
	after, before int // as in chatroom.Command; zero means neither, so that the latest are meant
	count         int
}

// An answered is what came of it.
type answered struct {
	number int      // of what was said, from 1 on
	from   int      // the number of the first of texts
	texts  []string // a part of the history
}

// model is a log for each room: who says something appends it and learns its number, and who asks for a part of the history
// gets exactly that.
var model = porcupine.Model{
	PartitionEvent: partition,
	Init:           func() any { return []string(nil) },
	Step: func(state, input, output any) (bool, any) {
		log, in, out := state.([]string), input.(asked), output.(answered)
		if in.text != "" {
			return out.number == len(log)+1, append(slices.Clip(log), in.text)
		}
		from, upto := in.part(len(log))
		return (from == upto || out.from == from+1) && slices.Equal(out.texts, log[from:upto]), log
	},
	Equal: func(a, b any) bool { return slices.Equal(a.([]string), b.([]string)) },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%+v: %+v", input, output)
	},
}

// part returns which part of a log of n texts is asked for.
func (a asked) part(n int) (from, upto int) {
	switch {
	case a.after != 0:
		from = min(a.after, n)
		return from, min(from+a.count, n)
	case a.before != 0:
		n = min(a.before-1, n)
	}
	return max(0, n-a.count), n
}

// partition takes the rooms apart: what happens in one has nothing to do with another.
func partition(history []porcupine.Event) [][]porcupine.Event {
	rooms := make(map[int]int) // by the id of what was asked
	var parts [][]porcupine.Event
	for _, e := range history {
		if e.Kind == porcupine.CallEvent {
			rooms[e.Id] = e.Value.(asked).room
		}
		for len(parts) <= rooms[e.Id] {
			parts = append(parts, nil)
		}
		parts[rooms[e.Id]] = append(parts[rooms[e.Id]], e)
	}
	return parts
}
