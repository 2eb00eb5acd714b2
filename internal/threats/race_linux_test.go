//go:build race

package threats

// raced says that the race detector is at work, which needs several times the memory and time.
const raced = true
