package client

import (
	"context"
	"crypto/tls"
	"net"
)

// An Option says who joins, and how.
type Option func(*config)

type config struct {
	nick, account, password, room string
	tls                           *tls.Config
	dial                          func(context.Context) (net.Conn, error)
	once                          bool // it ends with its connection
	state                         func(State)
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

// WithDial sets how to connect again when the connection is lost; nil leaves the default: a Client from Dial
// dials the same address, one from New ends.
func WithDial(dial func(context.Context) (net.Conn, error)) Option {
	return func(c *config) { c.dial = dial }
}

// WithoutReconnect makes the Client end with its connection.
func WithoutReconnect() Option { return func(c *config) { c.once = true } }

// WithState has f called whenever the state of the connection changes: in order, one call after
// the other, each before what Receive returns of what happened since. While f runs nothing is
// read, so it must not wait, and it must not call Close.
func WithState(f func(State)) Option { return func(c *config) { c.state = f } }
