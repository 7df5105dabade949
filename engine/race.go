//go:build race

package engine

// raced says that the race detector is in the program: its shadow of the memory
// counts as the process's own, many times over, so that a limit of it means nothing.
const raced = true
