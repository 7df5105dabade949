package weft

import "fmt"

// MaxModulus bounds into how many shards a table is divided.
const MaxModulus = 10_000

// Shard says which rows of something larger a table has: those whose value in a column
// leaves Remainder when it is divided by Modulus, as docs/shards.md says.
type Shard struct {
	Modulus   int `json:"modulus"`
	Remainder int `json:"remainder"`
}

// Valid says whether there can be such a shard.
func (s Shard) Valid() bool {
	return s.Modulus >= 2 && s.Modulus <= MaxModulus && s.Remainder >= 0 && s.Remainder < s.Modulus
}

// String is the shard for people.
func (s Shard) String() string { return fmt.Sprintf("%d of modulus %d", s.Remainder, s.Modulus) }
