package catalog

import "weft"

// ByOrigin counts the products by the node that holds them.
func (c *Catalog) ByOrigin() map[weft.KeyID]int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := map[weft.KeyID]int{}
	for _, p := range c.products {
		if p.doc != nil {
			out[p.doc.origin]++
		}
	}
	return out
}
