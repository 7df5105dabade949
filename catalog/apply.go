package catalog

import (
	"time"

	"weft"
	"weft/sign"
)

// knownCard reports whether a record of this stamp says nothing new of a card.
func (p *product) knownCard(s stamp) bool {
	return p != nil && (!s.newer(p.gone) || p.doc != nil && !s.newer(p.doc.stamp))
}

func (c *Catalog) applyCard(r *sign.Record, now time.Time) error {
	n, err := weft.ParseName(r.Key)
	if err != nil {
		return err
	}
	s := stampOf(r)
	c.mu.RLock()
	known := c.products[n].knownCard(s)
	c.mu.RUnlock()
	if known {
		return nil
	}
	var gone struct {
		Gone bool `json:"gone"`
	}
	if err := r.Decode(&gone); err != nil {
		return err
	}
	if gone.Gone {
		c.mu.Lock()
		defer c.mu.Unlock()
		if p := c.product(n); !p.knownCard(s) {
			c.setDoc(p, nil)
			p.gone = s
		}
		return nil
	}
	var card weft.Card
	if err := r.Decode(&card); err != nil {
		return err
	}
	if card.Product != n {
		return weft.Errorf(weft.KindInvalid, "read the card", r.Key, "its card is that of %s", card.Product)
	}
	d := &doc{
		stamp: s, name: n, life: card.Life, origin: card.Origin, signer: r.Signers[0], signed: r.Time, received: now,
		inputs: inputsOf(&card), body: c.codec.pack(r.Body()),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.product(n); !p.knownCard(s) {
		c.setDoc(p, d)
	}
	return nil
}

func (c *Catalog) applyHead(r *sign.Record, now time.Time) error {
	n, err := weft.ParseName(r.Key)
	if err != nil {
		return err
	}
	s := stampOf(r)
	newer := func() bool {
		p := c.products[n]
		return p == nil || p.head == nil || s.newer(p.head.stamp)
	}
	c.mu.RLock()
	fresh := newer()
	c.mu.RUnlock()
	if !fresh {
		return nil
	}
	var ch weft.CardHead
	if err := r.Decode(&ch); err != nil {
		return err
	}
	if ch.Product != n {
		return weft.Errorf(weft.KindInvalid, "read the head", r.Key, "its head is that of %s", ch.Product)
	}
	h := headOf(&ch, r.Body(), s)
	h.signed, h.received = r.Time, now
	c.mu.Lock()
	defer c.mu.Unlock()
	if newer() {
		c.setHead(c.product(n), h)
	}
	return nil
}

// setDoc makes d the card of a product; nil: it has none any more. The lock is held.
func (c *Catalog) setDoc(p *product, d *doc) {
	if old := p.doc; old != nil {
		c.bury(old)
		c.cards--
	}
	p.doc = d
	c.unsaved.cards++
	if d == nil {
		return
	}
	p.gone = stamp{}
	c.cards++
	for _, in := range d.inputs {
		if c.readers[in] == nil {
			c.readers[in] = map[weft.Name]bool{}
		}
		c.readers[in][d.name] = true
	}
	c.pair(p)
	c.pending = append(c.pending, d)
	c.nudge()
}

// bury takes an edition out of what is searched. The lock is held.
func (c *Catalog) bury(d *doc) {
	d.dead = true
	for _, in := range d.inputs {
		if delete(c.readers[in], d.name); len(c.readers[in]) == 0 {
			delete(c.readers, in)
		}
	}
	if d.part != nil {
		d.part.bury(d.at)
	}
}

func (c *Catalog) setHead(p *product, h *head) {
	p.head = h
	c.unsaved.heads++
	c.pair(p)
}

// pair lets a card have the head of its product, if it is of the card's origin, and
// ranks the card by it. The lock is held.
func (c *Catalog) pair(p *product) {
	if p.doc == nil {
		return
	}
	h := p.head
	if h != nil && h.origin != p.doc.origin {
		h = nil
	}
	p.doc.head.Store(h)
	if p.doc.part != nil {
		p.doc.part.ranks[p.doc.at].Store(uint64(c.rank(p.doc)))
	}
}

// forget drops all that is known of a name. The lock is held.
func (c *Catalog) forget(n weft.Name) {
	p := c.products[n]
	if p == nil {
		return
	}
	if p.doc != nil {
		c.setDoc(p, nil)
	}
	if p.head != nil {
		c.unsaved.heads++
	}
	delete(c.products, n)
}

// nudge wakes the index.
func (c *Catalog) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
