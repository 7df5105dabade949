//go:build !race

package framemem

const raced = false
