// Command bench measures what a chat room costs: each server is a process of its own, and this one is its members, who
// talk over loopback TCP and check everything they receive. See BENCHMARKS.md.
//
// It reads /proc and waits with epoll, so it measures on Linux only.
package main
