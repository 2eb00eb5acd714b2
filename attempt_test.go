package chatroom_test

import (
	"fmt"
	"strings"
	"testing"

	"example.com/chatroom"
)

// A join may be on its way for longer than the program waits for it, and arrive when the session goes on already.
func TestALateAttemptTakesNothingOver(t *testing.T) {
	bubble(t, func(t *testing.T, srv chatroom.Server) {
		ann := visit(t, srv, "ann")
		ann.cut()
		attempt := func(number string) *caller {
			c := call(t, srv)
			c.send(fmt.Sprintf(`{"type":"join","nick":"ann","resume":true,"session":%q%s}`, ann.token, number))
			return c
		}
		const welcome, replaced = `{"type":"welcome"`, `{"type":"bye","code":"replaced"`
		told := func(who string, c *caller, want string) {
			t.Helper()
			if heard := c.hear(); !strings.Contains(heard, want) {
				t.Errorf("%s was told %q, want %s", who, heard, want)
			}
		}
		second := attempt(`,"attempt":2`)
		told("the second", second, welcome)
		first := attempt(`,"attempt":1`)
		told("the first", first, replaced)
		second.send(saying("still here"))
		told("the second", second, "still here")
		third := attempt(`,"attempt":3`)
		told("the third", third, welcome)
		told("the second", second, replaced)
		told("one without a number", attempt(""), welcome)
		told("the third", third, replaced)
		told("the second, once more", attempt(`,"attempt":2`), replaced)
		if !first.gone() || !second.gone() || !third.gone() {
			t.Error("somebody who was told to go is still there")
		}
	})
}
