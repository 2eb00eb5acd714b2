package chatroom

// Origins returns how many addresses the server remembers for their connections.
func Origins(srv Server) int {
	g := srv.(*server).gate
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.origins)
}

// MaxQuiet is how many of them may have no connection.
const MaxQuiet = maxQuiet

// ParseProxyHeader is what reads PROXY headers.
var ParseProxyHeader = parseProxyHeader
