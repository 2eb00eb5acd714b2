package filters

import "example.com/chatroom"

const MaxPeople = maxPeople

// PeopleIn counts whom a filter of Repetition or Strikes remembers.
func PeopleIn(f chatroom.Filter) int {
	switch f := f.(type) {
	case *repetition:
		return len(f.people.seats)
	case *strikes:
		return len(f.people.seats)
	}
	panic("not one that remembers people")
}

// TextsIn counts the texts that a filter of Repetition remembers, and the people it has for one of them at most.
func TextsIn(f chatroom.Filter) (texts, most int) {
	for _, t := range f.(*repetition).all {
		most = max(most, cap(t.by))
	}
	return len(f.(*repetition).all), most
}

// ParseWords makes a WordList of the content of a file that is not there.
func ParseWords(content string) (*WordList, error) {
	l, err := parseList(content)
	w := &WordList{path: "/dev/null/none"}
	w.list.Store(l)
	return w, err
}
