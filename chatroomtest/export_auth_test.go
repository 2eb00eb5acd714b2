package chatroomtest

import "context"

// BrokenClauses returns the names of the clauses that b breaks, and what is said about each.
func BrokenClauses(ctx context.Context, b AuthBackend) map[string]error {
	broken := map[string]error{}
	for _, c := range authClauses {
		if err := c.checked(ctx, b); err != nil {
			broken[c.name] = err
		}
	}
	return broken
}
