package catalog

import (
	"bytes"
	"time"

	"weft"
	"weft/sign"
)

// takesCard and takesHead report whether a record of this stamp says something new.
// What stands says so if it is another, whichever is newer.
func (p *product) takesCard(s stamp, stands bool) bool {
	switch {
	case p == nil:
		return true
	case stands:
		return s != p.card()
	}
	return s.newer(p.gone) && (p.doc == nil || s.newer(p.doc.stamp))
}

func (p *product) takesHead(s stamp, stands bool) bool {
	switch {
	case p == nil || p.head == nil:
		return true
	case stands:
		return s != p.head.stamp
	}
	return s.newer(p.head.stamp)
}

// card is the stamp of the card or the tombstone that is known.
func (p *product) card() stamp {
	if p.doc != nil {
		return p.doc.stamp
	}
	return p.gone
}

// apply takes a record over.
func (c *Catalog) apply(r *sign.Record, stands bool) {
	var err error
	now := c.cfg.Env.Clock.Now()
	switch r.Kind {
	case kindCard:
		err = c.applyCard(r, now, stands)
	case kindHead:
		err = c.applyHead(r, now, stands)
	}
	if err != nil {
		c.log.Warn("a record was left out of the catalogue", "kind", r.Kind, "key", r.Key, "error", err)
	}
}

func (c *Catalog) applyCard(r *sign.Record, now time.Time, stands bool) error {
	n, err := weft.ParseName(r.Key)
	if err != nil {
		return err
	}
	s := stampOf(r)
	c.mu.RLock()
	takes := c.products[n].takesCard(s, stands)
	c.mu.RUnlock()
	if !takes {
		return nil
	}
	var body struct {
		Gone bool `json:"gone"`
		weft.Card
	}
	if err := r.Decode(&body); err != nil {
		return err
	}
	if body.Gone {
		c.mu.Lock()
		defer c.mu.Unlock()
		if p := c.product(n); p.takesCard(s, stands) {
			c.setDoc(p, nil)
			p.gone = s
		}
		return nil
	}
	card := &body.Card
	if card.Product != n {
		return weft.Errorf(weft.KindInvalid, "read the card", r.Key, "its card is that of %s", card.Product)
	}
	d := &doc{
		stamp: s, name: n, life: card.Life, origin: card.Origin, signer: r.Signers[0], signed: r.Time, received: now,
		inputs: inputsOf(card), body: c.codec.pack(r.Body()),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.product(n); p.takesCard(s, stands) {
		if len(c.pending) < batch {
			d.card = card
		}
		c.setDoc(p, d)
	}
	return nil
}

func (c *Catalog) applyHead(r *sign.Record, now time.Time, stands bool) error {
	n, err := weft.ParseName(r.Key)
	if err != nil {
		return err
	}
	s := stampOf(r)
	c.mu.RLock()
	takes := c.products[n].takesHead(s, stands)
	c.mu.RUnlock()
	if !takes {
		return nil
	}
	var ch weft.CardHead
	if err := r.Decode(&ch); err != nil {
		return err
	}
	if ch.Product != n {
		return weft.Errorf(weft.KindInvalid, "read the head", r.Key, "its head is that of %s", ch.Product)
	}
	h := headOf(&ch, bytes.Clone(r.Body()), s) // not to keep the whole record
	h.signed, h.received = r.Time, now
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.product(n); p.takesHead(s, stands) {
		c.setHead(p, h)
	}
	return nil
}

// setDoc makes d the card of a product; nil: it has none any more. The edition
// before is found until d can be. The lock is held.
func (c *Catalog) setDoc(p *product, d *doc) {
	old := p.doc
	if p.doc = nil; old == nil && d == nil {
		return
	}
	c.unsaved.cards++
	if old != nil {
		c.unlink(old)
		if d == nil {
			old.bury()
		} else if d.old = old; old.part == nil {
			d.old, old.old = old.old, nil
		}
	}
	if d == nil {
		return
	}
	c.link(p, d)
	c.pending = append(c.pending, d)
	c.nudge()
}

// link makes d the card of a product that has none. The lock is held.
func (c *Catalog) link(p *product, d *doc) {
	p.doc, p.gone = d, stamp{}
	c.cards++
	for _, in := range d.inputs {
		if c.readers[in] == nil {
			c.readers[in] = map[weft.Name]bool{}
		}
		c.readers[in][d.name] = true
	}
	c.pair(p)
}

// unlink says that d is the card no more. The lock is held.
func (c *Catalog) unlink(d *doc) {
	d.dead = true
	c.cards--
	for _, in := range d.inputs {
		if delete(c.readers[in], d.name); len(c.readers[in]) == 0 {
			delete(c.readers, in)
		}
	}
}

// bury takes an edition, and one before that is still found, out of what is
// searched. The catalogue's lock is held.
func (d *doc) bury() {
	if d.part != nil {
		d.part.bury(d.at)
		d.part = nil
	}
	if d.old != nil {
		d.old.bury()
		d.old = nil
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
