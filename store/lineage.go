package store

import (
	"bytes"

	"weft"
)

// A product's chain may run through several incarnations: each restore begins a
// new one, which goes on from a commit of the one before. The commits up to
// there are the same in both and are never written again; their segments and
// headers keep saying the incarnation that made them. The manifest's lineage
// says where each ended, the first segment and the first header of an
// incarnation from where it goes on.

// owns reports whether a segment is of the manifest's chain: of its incarnation,
// or of an earlier one that had not ended when the segment was started.
func (m *manifest) owns(g segmentInfo) bool {
	if g.ID == m.ID && g.Incarnation == m.Incarnation {
		return true
	}
	for _, l := range m.Lineage {
		if g.ID == l.ID && g.Incarnation == l.Incarnation {
			return g.First <= l.Seq+1
		}
	}
	return false
}

// chainAt is the product and the incarnation that commit seq is of.
func (m *manifest) chainAt(seq weft.Seq) (string, uint32) {
	for _, l := range m.Lineage {
		if seq <= l.Seq {
			return l.ID, l.Incarnation
		}
	}
	return m.ID, m.Incarnation
}

// owns reports whether commits of this incarnation may be added to a segment.
func (j *journal) owns(g segmentInfo) bool { return g.ID == j.id && g.Incarnation == j.inc }

// from is the head of the incarnation before, nil where head is of this one.
func (j *journal) from(head weft.Commit) *weft.Point {
	if head.Seq == 0 || head.ID == j.id && head.Incarnation == j.inc {
		return nil
	}
	return &weft.Point{Product: j.product, ID: head.ID, Incarnation: head.Incarnation, Seq: head.Seq, Hash: head.Hash, Time: head.Time}
}

// Same says whether a state that somebody kept is one of this product: it is
// nil where the commit is there and its hash starts with prefix. A state of
// another chain is KindConflict, with what became of it: the product went on
// from an earlier commit, or two chains share one name, a fork.
func (s *Store) Same(incarnation uint32, seq weft.Seq, prefix []byte) error {
	const op = "read at the cut"
	s.mu.Lock()
	current, lineage, head := s.journal.inc, s.man.Lineage, s.head.Seq
	s.mu.Unlock()
	subject := s.cfg.Product.String() + seq.String()
	for _, l := range lineage {
		if l.Incarnation == incarnation && seq > l.Seq && len(prefix) > 0 {
			return weft.Errorf(weft.KindConflict, op, subject,
				"that commit of incarnation %d is lost: the product was restored at %s and is incarnation %d since", incarnation, l.Seq, current).
				WithHint("states up to %s are the same in both; for a later one ask for a cut of today", l.Seq)
		}
	}
	if incarnation == current && seq > head && len(prefix) > 0 {
		return weft.Errorf(weft.KindConflict, op, subject,
			"the product has %s as its last commit, and the cut is of a later one of the same incarnation: the data here is older than the cut", head).
			WithHint("an old copy of the data folder may have been put in its place: restore from a backup (weft restore), which says so to everybody")
	}
	c, err := s.Commit(seq)
	if err != nil {
		return err
	}
	switch {
	case len(prefix) == 0, c.Incarnation == incarnation && bytes.HasPrefix(c.Hash[:], prefix):
		return nil
	case c.Incarnation == incarnation:
		return weft.Errorf(weft.KindConflict, op, subject,
			"there are two chains of incarnation %d of this product, a fork: this one has another commit %s", incarnation, seq).
			WithHint("a copy of the data folder was used as if it were the only one; find out which node should go on, and make the other a clone (weft restore --clone)")
	}
	return weft.Errorf(weft.KindConflict, op, subject,
		"the product's chain is not the one that the cut was taken from: the commit is of incarnation %d, the cut says %d", c.Incarnation, incarnation).
		WithHint("the product was restored or made anew since; ask for a cut of today")
}
