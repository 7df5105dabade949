package peer

import (
	"time"

	"weft"
)

// take puts an item that was judged and verified into the set, on the disk first, and
// returns what is to be told of it.
func (s *Set) take(it *item) (told, error) {
	var before *item
	name := it.kind == KindCard || it.kind == KindHead || it.kind == KindHandover
	asked := len(s.onStand) > 0
	if name && asked {
		before = s.holds(nameKind(it.kind), it.key)
	}
	expired := it.gone && s.expired(it, s.now())
	if s.keep != nil {
		if err := s.keep.put(it, expired, it.fact != nil); err != nil {
			return told{}, err
		}
	}
	t := told{id: it.ID, rec: it.rec}
	s.enter(it, expired)
	switch {
	case !name:
		t.names = s.touched(it)
		s.bury(it)
	case asked:
		t.names = s.changed(it, before)
	}
	return t, nil
}

// enter is take's part in memory. Of a floor only the entry is kept.
func (s *Set) enter(it *item, floor bool) {
	_, had := s.floors[it.ID]
	if floor {
		if old := s.tree.remove(it.ID); old != nil {
			s.auth.drop(old)
			had = true
		}
		if !had {
			s.count(it, 1)
		}
		s.floors[it.ID] = it.Entry
		return
	}
	if s.keep != nil && s.verified == nil && it.rec != nil {
		lean := *it
		lean.rec = nil // it is on the disk
		it = &lean
	}
	delete(s.floors, it.ID)
	old := s.tree.put(it)
	if old == nil && !had {
		s.count(it, 1)
	}
	switch f := it.fact.(type) {
	case *Rotation:
		s.formerly(f)
	case *NodeInfo:
		delete(s.former, it.signer())
	}
	if it.fact != nil {
		s.auth.put(it, old)
	}
}

// leave takes the item of a place out of memory.
func (s *Set) leave(id RecordID) {
	if old := s.tree.remove(id); old != nil {
		s.count(old, -1)
		s.auth.drop(old)
	}
}

func (s *Set) count(it *item, n int) {
	add(s.signed, it.signer(), n)
	if it.opaque {
		add(s.unread, it.signer(), n)
	}
}

func add(m map[weft.KeyID]int, k weft.KeyID, n int) {
	if m[k] += n; m[k] == 0 {
		delete(m, k)
	}
}

// nameKind is the kind of which a record of that kind changes what stands.
func nameKind(kind string) string {
	if kind == KindHead {
		return KindHead
	}
	return KindCard
}

// changed are the names to tell of after a card, a head or a handover came.
func (s *Set) changed(it, before *item) []standed {
	after := s.holds(nameKind(it.kind), it.key)
	if same(before, after) {
		return nil
	}
	if it.kind == KindHead {
		return []standed{{KindHead, it.key}}
	}
	names := []standed{{KindCard, it.key}}
	if before == nil || after == nil || before.signer() != after.signer() || before.product != after.product {
		names = append(names, standed{KindHead, it.key}) // another one's head stands now
	}
	return names
}

func same(a, b *item) bool {
	return a == b || a != nil && b != nil && a.hash == b.hash
}

// touched are the names of which the standing may be another since the set has this
// fact.
func (s *Set) touched(it *item) []standed {
	switch f := it.fact.(type) {
	case *Certificate:
		if len(s.auth.certs[f.Domain]) < 2 {
			return nil // nobody spoke for it before
		}
		return s.namesOf(func(c *item) bool { return c.domain() == f.Domain })
	case *Admission:
		return s.namesBy(f.Node)
	case *Revocation:
		return s.namesBy(f.Node)
	case *Rotation:
		return s.namesBy(f.Old)
	}
	return nil
}

// namesBy are the names that the node claims, by this key or any later one.
func (s *Set) namesBy(node weft.KeyID) []standed {
	keys := s.auth.later(node)
	claims := 0
	for k := range keys {
		claims += s.signed[k]
	}
	if claims == 0 {
		return nil
	}
	return s.namesOf(func(c *item) bool { return keys[c.signer()] })
}

// namesOf are the names of the cards that are asked for.
func (s *Set) namesOf(asked func(*item) bool) (names []standed) {
	seen := map[string]bool{}
	s.tree.all(func(c *item) bool {
		if c.kind == KindCard && !seen[c.key] && asked(c) {
			seen[c.key] = true
			names = append(names, standed{KindCard, c.key}, standed{KindHead, c.key})
		}
		return true
	})
	return names
}

// bury takes out what a key signed that is spent or was revoked by the founders.
func (s *Set) bury(it *item) {
	var node weft.KeyID
	switch f := it.fact.(type) {
	case *Rotation:
		node = f.Old
	case *Revocation:
		node = f.Node
	}
	if !node.IsZero() && s.auth.dead(node) && s.signed[node] > 0 {
		s.buryAll(node)
	}
}

func (s *Set) buryAll(node weft.KeyID) {
	var gone []RecordID
	s.tree.all(func(c *item) bool {
		switch c.kind {
		case KindCharter, KindDomain, KindAdmission, KindRevocation, KindRotation:
			if !c.opaque {
				return true // what a key said of others stands, or falls by other rules
			}
		}
		if c.signer() == node {
			gone = append(gone, c.ID)
		}
		return true
	})
	for _, id := range gone {
		s.leave(id)
		if s.keep != nil {
			_ = s.keep.remove(id) // it is refused and removed again when it is met
		}
	}
}

// expired reports whether a tombstone travels no more.
func (s *Set) expired(it *item, now time.Time) bool {
	return now.Sub(time.UnixMicro(it.time)) > s.grace().Gone()
}

func (s *Set) grace() Grace {
	if s.auth.charter == nil {
		return Grace{}
	}
	return s.auth.charter.fact.(*Charter).Grace
}

// Expire lets go of tombstones that are older than the charter's grace. Their versions
// stay, so that nothing older comes back, and so do their bytes on the disk.
func (s *Set) Expire() error {
	s.adding.Lock()
	defer s.adding.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	var late []*item
	now := s.now()
	s.tree.all(func(it *item) bool {
		if it.gone && s.expired(it, now) {
			late = append(late, it)
		}
		return true
	})
	for _, it := range late {
		if s.keep != nil {
			if err := s.keep.mark(it); err != nil {
				return err
			}
		}
		s.enter(it, true)
	}
	return nil
}
