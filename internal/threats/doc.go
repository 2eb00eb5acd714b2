// Package threats holds tests of the server under attack, over TCP and in processes of their own, where memory, files and time can be
// measured. They need Linux.
package threats
