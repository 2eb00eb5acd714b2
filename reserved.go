package chatroom

import "strings"

// ReservedNicks returns the nicks that are reserved unless a server is told otherwise: those that sound as if
// they spoke for it. A * at the beginning or end of one stands for anything.
func ReservedNicks() []string {
	return []string{
		"server", "system", "service", "services", "console", "daemon", "host", "chatroom",
		"admin", "admins", "administrator", "root", "sysadmin", "sysop", "superuser", "owner", "staff",
		"moderator", "moderators", "mod", "mods", "operator", "operators", "oper", "op", "ops",
		"support", "helpdesk", "security", "abuse", "postmaster", "webmaster",
		"everyone", "nobody",
		"*serv",
	}
}

// ReservedNick reports whether nick, compared as nicks are, is among reserved. A reserved nick
// is for whoever is logged in to the account of that name.
func ReservedNick(nick string, reserved []string) bool {
	key := fold(nick)
	for _, r := range reserved {
		name, before := strings.CutPrefix(r, "*")
		name, after := strings.CutSuffix(name, "*")
		switch name = fold(name); {
		case key == name,
			before && after && strings.Contains(key, name),
			before && strings.HasSuffix(key, name),
			after && strings.HasPrefix(key, name):
			return true
		}
	}
	return false
}

// mayBeCalled reports whether id may have its nick, as far as reserved has a say.
func (id Identity) mayBeCalled(reserved []string) bool {
	return !ReservedNick(id.Nick, reserved) || id.Account != "" && fold(id.Account) == fold(id.Nick)
}
