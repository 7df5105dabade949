package catalog

import (
	"weft"
	"weft/sign"
)

// Sync makes the catalogue what the records are that each gives: those that it has
// already cost a comparison, others are applied, and signed cards and heads without
// a record are forgotten. It returns when all of it can be searched. It is for the
// start; records that come meanwhile are to be applied, before or after.
func (c *Catalog) Sync(each func(func(*sign.Record) bool)) error {
	seen := map[string]map[weft.Name]bool{kindCard: {}, kindHead: {}}
	before := c.signed()
	each(func(r *sign.Record) bool {
		names := seen[r.Kind]
		if names == nil {
			return true
		}
		if n, err := weft.ParseName(r.Key); err == nil {
			names[n] = true
		}
		c.Apply(r)
		return true
	})
	c.prune(before, func(kind string, n weft.Name) bool { return seen[kind][n] })
	c.flush()
	return nil
}

// standing is what the catalogue had of a name when a sync began.
type standing struct{ card, head stamp }

// signed lists what signed records there are.
func (c *Catalog) signed() map[weft.Name]standing {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make(map[weft.Name]standing, len(c.products))
	for n, p := range c.products {
		s := standing{card: p.gone}
		if p.doc != nil {
			s.card = p.doc.stamp
		}
		if p.head != nil {
			s.head = p.head.stamp
		}
		if s != (standing{}) {
			out[n] = s
		}
	}
	return out
}

// prune forgets what was there before and has no record, unless it changed since.
func (c *Catalog) prune(before map[weft.Name]standing, has func(kind string, n weft.Name) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, s := range before {
		p := c.products[n]
		if p == nil {
			continue
		}
		if s.card != (stamp{}) && !has(kindCard, n) {
			if p.doc != nil && p.doc.stamp == s.card {
				c.setDoc(p, nil)
			} else if p.doc == nil && p.gone == s.card {
				p.gone = stamp{}
			}
		}
		if s.head != (stamp{}) && p.head != nil && p.head.stamp == s.head && !has(kindHead, n) {
			c.setHead(p, nil)
		}
		if p.doc == nil && p.head == nil && p.gone == (stamp{}) {
			delete(c.products, n)
		}
	}
}
