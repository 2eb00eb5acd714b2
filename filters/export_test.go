package filters

// ParseWords makes a WordList of the content of a file that is not there.
func ParseWords(content string) (*WordList, error) {
	l, err := parseList(content)
	w := &WordList{path: "/dev/null/none"}
	w.list.Store(l)
	return w, err
}
