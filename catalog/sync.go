package catalog

import (
	"encoding/binary"
	"sync"

	"weft"
	"weft/peer"
	"weft/sign"
)

// Stand says which record stands for a kind and a key from now on, nil: none. What
// it says holds, whatever was known before: for whoever judges records, as a claim
// that counted may cease to.
func (c *Catalog) Stand(kind, key string, r *sign.Record) {
	n, err := weft.ParseName(key)
	if err != nil || kind != kindCard && kind != kindHead {
		return
	}
	if r != nil {
		c.apply(r, true)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.products[n]
	switch {
	case p == nil:
		return
	case kind == kindCard:
		if p.gone = (stamp{}); p.doc != nil && p.doc.version > 0 {
			c.setDoc(p, nil)
		}
	case p.head != nil && p.head.version > 0:
		c.setHead(p, nil)
	}
	if p.doc == nil && p.head == nil && p.gone == (stamp{}) {
		delete(c.products, n)
	}
}

// Sync makes the catalogue what the records are that each gives, cards and heads in
// any order: what it has already costs a comparison, and signed cards and heads
// without a record are forgotten. It returns when all of it can be searched.
// Records that are applied meanwhile win.
func (c *Catalog) Sync(each func(func(*sign.Record) bool)) {
	s := c.beginSync()
	each(func(r *sign.Record) bool {
		if s.differs(r.Kind, r.Key, stampOf(r)) {
			c.Stand(r.Kind, r.Key, r)
		}
		return true
	})
	s.end()
}

// SyncSet does what Sync does with the records that stand in a set, and reads only
// those that are news.
func (c *Catalog) SyncSet(set *peer.Set) {
	s := c.beginSync()
	var both sync.WaitGroup
	for _, kind := range []string{kindCard, kindHead} {
		both.Go(func() {
			set.Standing(kind, func(key string, _ peer.RecordID, version uint64, hash weft.Hash) bool {
				if s.differs(kind, key, stamp{version, binary.BigEndian.Uint64(hash[:])}) {
					if r := set.Get(kind, key); r != nil {
						c.Stand(kind, key, r)
					}
				}
				return true
			})
		})
	}
	both.Wait()
	s.end()
}

// syncing compares what there is with what there was when it began.
type syncing struct {
	c      *Catalog
	before map[string]map[string]stamp // by kind and key; what is left has no record
}

func (c *Catalog) beginSync() *syncing {
	c.mu.RLock()
	defer c.mu.RUnlock()
	cards, heads := make(map[string]stamp, len(c.products)), make(map[string]stamp, len(c.products))
	for n, p := range c.products {
		key := n.String()
		if s := p.card(); s.version > 0 {
			cards[key] = s
		}
		if p.head != nil && p.head.version > 0 {
			heads[key] = p.head.stamp
		}
	}
	return &syncing{c, map[string]map[string]stamp{kindCard: cards, kindHead: heads}}
}

// differs reports whether a record is to be taken over: it is not what was known,
// and nobody else has brought one since.
func (s *syncing) differs(kind, key string, now stamp) bool {
	known := s.before[kind]
	if known == nil {
		return false
	}
	was := known[key]
	delete(known, key)
	return was != now && s.c.stands(kind, key) == was
}

// stands is the stamp of what is known.
func (c *Catalog) stands(kind, key string) (s stamp) {
	n, err := weft.ParseName(key)
	if err != nil {
		return s
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch p := c.products[n]; {
	case p == nil:
	case kind == kindCard:
		s = p.card()
	case p.head != nil:
		s = p.head.stamp
	}
	return s
}

// end forgets what has no record, unless it changed since.
func (s *syncing) end() {
	for kind, left := range s.before {
		for key, was := range left {
			if s.c.stands(kind, key) == was {
				s.c.Stand(kind, key, nil)
			}
		}
	}
	s.c.flush()
}
