package chatroom

import (
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/chatroom/internal/skeleton"
)

// NickKeys returns what nick shares with each nick that could be taken for it: two nicks are too
// close, for joining as for bans, if they have a key in common. White space around nick does not
// count, and an empty nick has no keys.
//
// A BanStore with a database keeps NickKeys(ban.Value), for a ban of kind BanNick, in rows of an
// indexed column, and looks for any of Subject.Keys there; equal bytes are equal keys. Keys are not
// for showing. They may change with the version of this package and of Unicode, so a store computes
// them again when it opens after an update.
func NickKeys(nick string) []string {
	nick = strings.TrimSpace(nick)
	if nick == "" {
		return nil
	}
	// A nick holds no /, so a look-alike key is nobody's folded nick.
	keys := append(make([]string, 0, 2), fold(nick))
	for _, s := range spellings(nick) {
		if key := "/" + skeleton.Key(s); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// spellings returns nick as it is, in upper and in lower case, since it may look like another nick in
// either: Ν like N, and ν like v. What ASCII looks like does not depend on its case.
func spellings(nick string) []string {
	list := []string{nick}
	if isASCII(nick) {
		return list
	}
	for _, s := range []string{strings.ToUpper(nick), strings.ToLower(nick)} {
		if s != nick {
			list = append(list, s)
		}
	}
	return list
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
