package peer

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"weft"
	"weft/sign"
)

// Fate is what became of a record that was given to a Set.
type Fate int

// What becomes of a record.
const (
	FateNew     Fate = iota // it is in the set now
	FateKnown               // it was there already
	FateOlder               // a newer one of its place is there; ByID gives it
	FateEarly               // something that would allow it may still come; it is not in the set
	FateRefused             // it never will be
)

// String names the fate.
func (f Fate) String() string {
	return [...]string{"new", "known", "older", "early", "refused"}[f]
}

// Set is all records that a node holds: of each place the newest, and only what its
// signers may say. What it holds depends on the records that came and not on their
// order. It is safe for concurrent use.
type Set struct {
	now      func() time.Time
	log      *slog.Logger
	verified *Verified

	adding  sync.Mutex // one record after the other, with what is told of it
	onNew   []func(*sign.Record)
	spread  func(RecordID, *sign.Record) // the last that is told of a new one; may be nil
	onStand []func(kind, key string, r *sign.Record)

	mu      sync.RWMutex // guards what follows
	keep    *keep        // nil: in memory only
	auth    *authority
	tree    tree
	floors  map[RecordID]Entry // of tombstones that travel no more
	signed  map[weft.KeyID]int // records by their first signer
	unread  map[weft.KeyID]int // of these that are not interpreted
	waiting waiting
	former  map[weft.KeyID]*NodeInfo // of nodes that have said nothing by their new keys
	broken  bool                     // a read of the disk failed, and was told
}

func newSet(now func() time.Time, log *slog.Logger, v *Verified) *Set {
	return &Set{
		now: now, log: log, verified: v, auth: newAuthority(weft.Hash{}), floors: map[RecordID]Entry{},
		former: map[weft.KeyID]*NodeInfo{}, signed: map[weft.KeyID]int{}, unread: map[weft.KeyID]int{}, waiting: waiting{by: map[weft.KeyID]int{}},
	}
}

// OnNew has f called for each record that is taken, in order, before Add returns. f
// must be fast; it may read the set and must not add to it. It is called before
// records come, not while.
func (s *Set) OnNew(f func(*sign.Record)) { s.onNew = append(s.onNew, f) }

// OnStand has f called when what a product's name stands for may have changed: with
// KindCard or KindHead, the name, and the record that Get gives from now on, nil for
// none. Of what f may do see OnNew. A claim that does not count (of a rival, or of a
// node that was revoked) is never given.
func (s *Set) OnStand(f func(kind, key string, r *sign.Record)) { s.onStand = append(s.onStand, f) }

// Add judges a record and takes it. raw is kept and must not be changed. FateEarly and
// FateRefused come with an error that says why; any other error is the disk's, and
// then the record is not in the set.
func (s *Set) Add(raw []byte) (*sign.Record, Fate, error) {
	r := s.known(raw)
	if r == nil {
		var err error
		if r, err = sign.Peek(raw); err != nil {
			return nil, FateRefused, err
		}
	}
	return s.addRecord(r)
}

// known is the record of those bytes where another set of this process has verified it
// and shares that with this one; nil where not.
func (s *Set) known(raw []byte) *sign.Record {
	if it := s.verified.get(raw); it != nil {
		return it.rec
	}
	return nil
}

// addRecord is Add of a record whose head was read.
func (s *Set) addRecord(r *sign.Record) (*sign.Record, Fate, error) {
	if it := s.verified.get(r.Raw()); it != nil {
		return s.addVerified(it)
	}
	it, err := itemOf(r)
	if err != nil {
		return nil, FateRefused, err
	}
	s.mu.RLock()
	fate, err := s.look(it)
	s.mu.RUnlock()
	switch fate {
	case FateEarly:
		if s.mayWait(it) {
			return s.addVerified(it) // it may have been allowed in the meantime
		}
		return it.rec, fate, err
	case FateNew:
		if it, err = s.verify(it); err != nil {
			return nil, FateRefused, err
		}
		return s.addVerified(it)
	}
	return it.rec, fate, err
}

// verify returns the item to use.
func (s *Set) verify(it *item) (*item, error) {
	if it.verified {
		return it, nil
	}
	if err := it.rec.Verify(); err != nil {
		return nil, err
	}
	it.verified = true
	return s.verified.put(it), nil
}

// look says what would become of the item, as things are.
func (s *Set) look(it *item) (Fate, error) {
	if s.auth.mesh == (weft.Hash{}) {
		return FateRefused, refused(it, weft.KindConflict, "this node is in no mesh")
	}
	if ahead := time.UnixMicro(it.time).Sub(s.now()); ahead > aheadOfTime {
		return FateEarly, refused(it, weft.KindInvalid, "its time is %s in the future", ahead.Round(time.Minute))
	}
	if have, ok := s.entry(it.ID); ok {
		switch {
		case have.Version == it.Version && have.Hash == it.Hash:
			return FateKnown, nil
		case !it.newer(have):
			return FateOlder, nil
		}
	} else if s.signed[it.signer()] >= maxPerNode || it.opaque && s.unread[it.signer()] >= maxUnread {
		return FateRefused, refused(it, weft.KindLimit, "key %s has signed too many records", it.signer().Short())
	}
	return s.auth.judge(it)
}

// entry is what is at the place, a floor too.
func (s *Set) entry(id RecordID) (Entry, bool) {
	if it := s.tree.get(id); it != nil {
		return it.Entry, true
	}
	e, ok := s.floors[id]
	return e, ok
}

// mayWait reports whether the item's time is not what keeps it out.
func (s *Set) mayWait(it *item) bool { return time.UnixMicro(it.time).Sub(s.now()) <= aheadOfTime }

// told is what is said of one record once the set has changed.
type told struct {
	id    RecordID
	rec   *sign.Record // nil: only names
	names []standed
}

type standed struct{ kind, key string }

// addVerified judges the item again, takes it, and takes what waited for it. An item
// that is early waits; it has not been verified then.
func (s *Set) addVerified(it *item) (*sign.Record, Fate, error) {
	s.adding.Lock()
	defer s.adding.Unlock()
	s.mu.Lock()
	fate, err := s.look(it)
	if fate == FateEarly && s.mayWait(it) {
		s.waiting.put(it)
	}
	var all []told
	if fate == FateNew {
		if it, err = s.verify(it); err != nil { // of one that was early until now
			s.mu.Unlock()
			return nil, FateRefused, err
		}
		var t told
		if t, err = s.take(it); err != nil {
			fate = FateEarly
		} else {
			all = append(append(all, t), s.release(it)...)
		}
	}
	s.mu.Unlock()
	for _, t := range all {
		s.tell(t)
	}
	return it.rec, fate, err
}

// tell calls who wants to know.
func (s *Set) tell(t told) {
	if t.rec != nil {
		for _, f := range s.onNew {
			f(t.rec)
		}
		if s.spread != nil {
			s.spread(t.id, t.rec)
		}
	}
	if len(s.onStand) == 0 {
		return
	}
	for _, n := range t.names {
		r := s.Get(n.kind, n.key)
		for _, f := range s.onStand {
			f(n.kind, n.key, r)
		}
	}
}

// release takes all that waited for what the item says.
func (s *Set) release(it *item) (all []told) {
	for facts := []*item{it}; len(facts) > 0; facts = facts[1:] {
		keys, any := s.auth.allows(facts[0].fact)
		for _, w := range s.waiting.of(keys, any) {
			fate, _ := s.look(w)
			if fate == FateEarly {
				continue
			}
			s.waiting.remove(w)
			if fate != FateNew {
				continue
			}
			w, err := s.verify(w)
			if err != nil {
				continue
			}
			if t, err := s.take(w); err == nil {
				all = append(all, t)
				facts = append(facts, w)
			}
		}
	}
	return all
}

// Get returns the record that stands for a kind and a key, nil where none does: of a
// card that of the product's origin; of what has several claims the newest.
func (s *Set) Get(kind, key string) *sign.Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if it := s.holds(kind, key); it != nil {
		return s.record(it)
	}
	return nil
}

// All calls f for each key of a kind with what Get gives, in order, until it says no.
// f may read the set.
func (s *Set) All(kind string, f func(*sign.Record) bool) { s.allFrom(kind, "", f) }

// allFrom is All of the keys from one on.
func (s *Set) allFrom(kind, from string, f func(*sign.Record) bool) {
	keys := s.keys(kind)
	i, _ := slices.BinarySearch(keys, from)
	for _, key := range keys[i:] {
		if r := s.Get(kind, key); r != nil && !f(r) {
			return
		}
	}
}

// Standing calls f, in no order, for each record of a kind that Get gives, without
// reading it: with its key, its place (for ByID), its version and its digest.
func (s *Set) Standing(kind string, f func(key string, id RecordID, version uint64, hash weft.Hash) bool) {
	for _, key := range s.keys(kind) {
		s.mu.RLock()
		it := s.holds(kind, key)
		s.mu.RUnlock()
		if it != nil && !f(key, it.ID, it.Version, it.hash) {
			return
		}
	}
}

// keys are those of a kind, in order; of some there is nothing any more.
func (s *Set) keys(kind string) (keys []string) {
	s.mu.RLock()
	if !ofProduct(kind) {
		defer s.mu.RUnlock()
		return slices.Clone(s.tree.keys[kind])
	}
	s.tree.all(func(it *item) bool {
		if it.kind == kind {
			keys = append(keys, it.key)
		}
		return true
	})
	s.mu.RUnlock()
	slices.Sort(keys)
	return slices.Compact(keys)
}

// ByID returns the bytes of the record at a place, nil where there is none. It gives
// tombstones too that travel no more: they are the proof that what is older is.
func (s *Set) ByID(id RecordID) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if it := s.tree.get(id); it != nil {
		if r := s.record(it); r != nil {
			return r.Raw()
		}
		return nil
	}
	if _, ok := s.floors[id]; ok && s.keep != nil {
		if r, err := s.keep.read(id); err == nil {
			return r.Raw()
		}
	}
	return nil
}

// record is the item's record, read from the disk where it is not in memory.
func (s *Set) record(it *item) *sign.Record {
	if it.rec != nil {
		return it.rec
	}
	r, err := s.keep.read(it.ID)
	if err != nil && !s.broken {
		s.broken = true
		s.log.Error("a record of the mesh cannot be read", "kind", it.kind, "key", it.key, "error", err)
	}
	return r
}

// Count is how many records there are.
func (s *Set) Count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tree.count
}

// Sums returns sums of the tree: the root at level 0, the 64 below it at level 1, and
// at level 2 those of the 64 leaves below the sum prefix of level 1. It returns nil for
// any other level or prefix.
func (s *Set) Sums(level int, prefix uint16) []Sum {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case level == 0 && prefix == 0:
		return []Sum{s.tree.root}
	case level == 1 && prefix == 0:
		return slices.Clone(s.tree.mid[:])
	case level == 2 && prefix < fan:
		return slices.Clone(s.tree.sums[prefix*fan : (prefix+1)*fan])
	}
	return nil
}

// Entries are the entries of a leaf, in order.
func (s *Set) Entries(leaf uint16) []Entry {
	if leaf >= leaves {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Entry, len(s.tree.items[leaf]))
	for i, it := range s.tree.items[leaf] {
		list[i] = it.Entry
	}
	return list
}

// Compare holds the entries that another set has of a leaf against this one's: want
// are the places of which theirs is newer or not here, give those of which this one's
// is, tombstones that travel no more among them where they have something older.
func (s *Set) Compare(leaf uint16, theirs []Entry) (want, give []RecordID) {
	if leaf >= leaves {
		return nil, nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	has := make(map[RecordID]bool, len(theirs))
	for _, e := range theirs {
		has[e.ID] = true
		mine, ok := s.entry(e.ID)
		switch {
		case !ok || e.newer(mine):
			want = append(want, e.ID)
		case mine.newer(e):
			give = append(give, e.ID)
		}
	}
	for _, it := range s.tree.items[leaf] {
		if !has[it.ID] {
			give = append(give, it.ID)
		}
	}
	return want, give
}

// claims are the items of a kind and key, by whoever.
func (s *Set) claims(kind, key string) []*item {
	list := s.tree.beside(placeOf(kind, key, ""))
	for i, it := range list {
		if it.kind != kind || it.key != key { // the first bytes are the same by chance, or by intent
			only := slices.Clone(list[:i])
			for _, it := range list[i:] {
				if it.kind == kind && it.key == key {
					only = append(only, it)
				}
			}
			return only
		}
	}
	return list
}

// at is the item at a place, nil for none.
func (s *Set) at(id RecordID) *item { return s.tree.get(id) }

// nameOf reads the name of a product out of a key.
func nameOf(key string) weft.Name {
	d, p, _ := strings.Cut(key, ".")
	return weft.Name{Domain: d, Product: p}
}
