package store

import (
	"bytes"
	"sort"

	"github.com/zeebo/xxh3"
)

// keyTable finds the last row of a key. Rows are numbered in the order in which
// their sets are added. It holds a key's bytes once, in the set that it came
// with, and nothing that the collector has to follow: a commit of a thousand
// rows must not wait for a map of strings.
type keyTable struct {
	slots  []keySlot // a power of two of them
	used   int
	sets   []*keySet
	firsts []int // the number of each set's first row
	rows   int
}

type keySlot struct {
	hash uint64
	row  uint32 // and one; 0 is free
}

// addSet numbers the rows of a set and returns the number of its first.
func (t *keyTable) addSet(k *keySet) int {
	first := t.rows
	t.sets, t.firsts = append(t.sets, k), append(t.firsts, first)
	t.rows += k.len()
	if need := (t.used + k.len()) * 4 / 3; need > len(t.slots) {
		t.grow(need)
	}
	return first
}

// put makes a row of a set that was added its key's last one; it returns the
// row that was, and false where there was none.
func (t *keyTable) put(k *keySet, i, row int) (int, bool) {
	key := k.key(i)
	hash := xxh3.Hash(key)
	slot, found := t.slot(hash, key)
	old := int(slot.row) - 1
	if !found {
		t.used++
	}
	slot.hash, slot.row = hash, uint32(row)+1
	return old, found
}

// has reports whether a row of that key was put.
func (t *keyTable) has(key []byte) (int, bool) {
	if t.used == 0 {
		return 0, false
	}
	slot, found := t.slot(xxh3.Hash(key), key)
	return int(slot.row) - 1, found
}

// slot is the key's place, or a free one for it.
func (t *keyTable) slot(hash uint64, key []byte) (*keySlot, bool) {
	mask := uint64(len(t.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		s := &t.slots[at]
		if s.row == 0 {
			return s, false
		}
		if s.hash == hash && bytes.Equal(t.key(int(s.row)-1), key) {
			return s, true
		}
	}
}

func (t *keyTable) key(row int) []byte {
	i := sort.SearchInts(t.firsts, row+1) - 1
	return t.sets[i].key(row - t.firsts[i])
}

func (t *keyTable) grow(need int) {
	n := max(64, len(t.slots))
	for n < need {
		n *= 2
	}
	old := t.slots
	t.slots = make([]keySlot, n)
	mask := uint64(n - 1)
	for _, s := range old {
		if s.row == 0 {
			continue
		}
		at := s.hash & mask
		for t.slots[at].row != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = s
	}
}
