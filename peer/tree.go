package peer

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

const (
	leaves = 4096
	fan    = 64
)

// tree keeps the items of a set in order of their ids, and sums of them: one of all,
// 64 below it and 4096 leaves. It is not safe for concurrent use.
type tree struct {
	// keys of each kind but those of products, in order: of these there are few among
	// very many others, and whoever joins asks for them. A key whose items were removed
	// stays.
	keys  map[string][]string
	items [leaves][]*item
	sums  [leaves]Sum
	mid   [fan]Sum
	root  Sum
	count int
}

// find is where the id is or would be in its leaf.
func (t *tree) find(id RecordID) (int, bool) {
	return slices.BinarySearchFunc(t.items[id.leaf()], id, func(it *item, id RecordID) int { return bytes.Compare(it.ID[:], id[:]) })
}

func (t *tree) get(id RecordID) *item {
	if i, ok := t.find(id); ok {
		return t.items[id.leaf()][i]
	}
	return nil
}

// put enters the item in place of the one with its id, which it returns.
func (t *tree) put(it *item) (old *item) {
	leaf := it.ID.leaf()
	i, ok := t.find(it.ID)
	if ok {
		old, t.items[leaf][i] = t.items[leaf][i], it
		t.add(leaf, old.sum, true)
	} else {
		t.items[leaf] = slices.Insert(t.items[leaf], i, it)
		t.count++
		t.note(it)
	}
	t.add(leaf, it.sum, false)
	return old
}

// note enters the item's key where keys are kept of its kind.
func (t *tree) note(it *item) {
	if ofProduct(it.kind) {
		return
	}
	keys := t.keys[it.kind]
	if i, ok := slices.BinarySearch(keys, it.key); !ok {
		if t.keys == nil {
			t.keys = map[string][]string{}
		}
		t.keys[it.kind] = slices.Insert(keys, i, it.key)
	}
}

// ofProduct reports whether a record of the kind is of a product.
func ofProduct(kind string) bool { return kind == KindCard || kind == KindHead }

// remove takes the item of that id out and returns it.
func (t *tree) remove(id RecordID) (old *item) {
	leaf := id.leaf()
	i, ok := t.find(id)
	if !ok {
		return nil
	}
	old = t.items[leaf][i]
	t.items[leaf] = slices.Delete(t.items[leaf], i, i+1)
	t.count--
	t.add(leaf, old.sum, true)
	return old
}

// add adds to the sums of a leaf and above it, or takes away.
func (t *tree) add(leaf uint16, s Sum, away bool) {
	for _, at := range []*Sum{&t.sums[leaf], &t.mid[leaf/fan], &t.root} {
		ah, al := at.words()
		bh, bl := s.words()
		var carry uint64
		if away {
			al, carry = bits.Sub64(al, bl, 0)
			ah, _ = bits.Sub64(ah, bh, carry)
		} else {
			al, carry = bits.Add64(al, bl, 0)
			ah, _ = bits.Add64(ah, bh, carry)
		}
		binary.BigEndian.PutUint64(at[:8], ah)
		binary.BigEndian.PutUint64(at[8:], al)
	}
}

// all calls f for each item until it says no.
func (t *tree) all(f func(*item) bool) {
	for i := range t.items {
		for _, it := range t.items[i] {
			if !f(it) {
				return
			}
		}
	}
}

// beside are the items whose ids begin with the first eight bytes of id.
func (t *tree) beside(id RecordID) []*item {
	leaf := t.items[id.leaf()]
	clear(id[8:])
	from, _ := slices.BinarySearchFunc(leaf, id, func(it *item, id RecordID) int { return bytes.Compare(it.ID[:], id[:]) })
	to := from
	for to < len(leaf) && [8]byte(leaf[to].ID[:8]) == [8]byte(id[:8]) {
		to++
	}
	return leaf[from:to]
}
