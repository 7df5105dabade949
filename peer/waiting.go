package peer

import (
	"slices"

	"weft"
	"weft/sign"
)

// Bounds of what waits.
const (
	maxWaiting       = 4096
	maxWaitingBytes  = 4 * 1024 * 1024
	maxWaitingSigner = 256
)

// waiting is a bounded room for records that came before what allows them: they are
// there already when it comes. Nothing in it has been verified. Where it is full the
// oldest go; they come again from other nodes. It is not safe for concurrent use.
type waiting struct {
	items []*item
	bytes int
	by    map[weft.KeyID]int
}

// put lets an item wait; one that waits already does not do so twice.
func (w *waiting) put(it *item) {
	if len(it.rec.Raw()) > sign.MaxRecord || w.by[it.signer()] >= maxWaitingSigner {
		return
	}
	for _, have := range w.items {
		if have.hash == it.hash {
			return
		}
	}
	w.items = append(w.items, it)
	w.by[it.signer()]++
	w.bytes += len(it.rec.Raw())
	for len(w.items) > maxWaiting || w.bytes > maxWaitingBytes {
		w.remove(w.items[0])
	}
}

// of are the items that one of the keys signed, or all, in the order in which they
// came.
func (w *waiting) of(keys map[weft.KeyID]bool, all bool) (list []*item) {
	if len(keys) == 0 && !all {
		return nil
	}
	for _, it := range w.items {
		if all || slices.ContainsFunc(it.signers, func(k weft.KeyID) bool { return keys[k] }) {
			list = append(list, it)
		}
	}
	return list
}

func (w *waiting) remove(it *item) {
	for i, have := range w.items {
		if have == it {
			w.items = append(w.items[:i], w.items[i+1:]...)
			add(w.by, it.signer(), -1)
			w.bytes -= len(it.rec.Raw())
			return
		}
	}
}
