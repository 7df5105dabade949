//go:build race

package framemem

// raced says that the race detector is in the program, which then also looks for those who
// read memory that they gave back.
const raced = true
