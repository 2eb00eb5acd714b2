package client

import "crypto/tls"

// An Option says who joins, and how.
type Option func(*config)

type config struct {
	nick, account, password, room string
	tls                           *tls.Config
}

// WithNick sets the nick to join with. A server refuses a member without one.
func WithNick(nick string) Option { return func(c *config) { c.nick = nick } }

// WithAccount sets the account to join as; without it, or empty, it is the one of the same name
// as the nick, if there is one.
func WithAccount(name string) Option { return func(c *config) { c.account = name } }

// WithPassword sets the password or token to join with. Without TLS it can be read on its way.
func WithPassword(password string) Option { return func(c *config) { c.password = password } }

// WithRoom sets the room to join first; without it, or empty, it is the server's default room.
func WithRoom(name string) Option { return func(c *config) { c.room = name } }

// WithTLS makes Dial speak TLS, checking the certificate against the name in the address unless
// conf names another; nil leaves the default, no TLS. New takes its connection as it is.
func WithTLS(conf *tls.Config) Option { return func(c *config) { c.tls = conf } }
