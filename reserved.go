package chatroom

import "slices"

// ReservedNicks returns the nicks that are reserved unless a server is told otherwise: those that sound as if
// they spoke for it. Each is a mask, as in a Ban of kind BanMask.
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

// ReservedNick reports whether nick, or what it could be taken for, is among reserved, which are
// masks. A reserved nick is for whoever is logged in to the account of that name.
func ReservedNick(nick string, reserved []string) bool {
	return isReserved(nick, newMasks(reserved))
}

func newMasks(masks []string) []nickMask {
	ready := make([]nickMask, len(masks))
	for i, mask := range masks {
		ready[i] = newMask(mask)
	}
	return ready
}

func isReserved(nick string, masks []nickMask) bool {
	texts := maskTexts(nick)
	return slices.ContainsFunc(masks, func(mask nickMask) bool { return mask.matches(texts) })
}

// mayBeCalled reports whether id may have its nick, as far as what is reserved has a say.
func (id Identity) mayBeCalled(reserved []nickMask) bool {
	return !isReserved(id.Nick, reserved) || id.Account != "" && fold(id.Account) == fold(id.Nick)
}
