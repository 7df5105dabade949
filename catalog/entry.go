package catalog

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"weft"
	"weft/sign"
)

// Entry is a product of the mesh: its card, its head, and how old they are. It is
// the caller's, but for the card.
type Entry struct {
	Card     *weft.Card     // others read it, too: it is not to be changed
	Head     *weft.CardHead // nil until the card's origin sent one
	Signed   time.Time      // when the card was, by its signer's clock
	Received time.Time      // when the card came to this node
	Signer   weft.KeyID     // who signed the card
	Version  uint64         // of the card's record; 0 where nobody signed it
	// HeadReceived is when the head came to this node.
	HeadReceived time.Time
	// Reachable says whether the origin can be reached now, and LastSeen when it
	// could last; where nobody watches, every origin can be.
	Reachable bool
	LastSeen  time.Time
}

// stamp says which of two records about one thing holds: that of the greater
// version, and of equal ones that of the greater hash. Nothing is older than all.
type stamp struct {
	version uint64
	hash    uint64 // the first bytes of the record's
}

func stampOf(r *sign.Record) stamp {
	h := r.Hash()
	return stamp{r.Version, binary.BigEndian.Uint64(h[:8])}
}

func (s stamp) newer(t stamp) bool {
	return s.version > t.version || s.version == t.version && s.hash > t.hash
}

// doc is one edition of a card. But for where it is indexed and its head it never
// changes.
type doc struct {
	stamp
	name     weft.Name
	life     weft.Life
	origin   weft.KeyID
	signer   weft.KeyID
	signed   time.Time
	received time.Time
	inputs   []weft.Name // sorted
	body     []byte      // the card, packed
	head     atomic.Pointer[head]
	card     *weft.Card // unpacked until it is indexed, where it is at hand; of the index

	// Under the catalogue's lock:
	dead bool  // it is the card no more
	part *part // where it is found, nil: nowhere yet, or not any more
	at   int   // its number there
	old  *doc  // the edition that is found as long as this one is not
}

// same reports whether o says the same.
func (d *doc) same(o *doc) bool { return string(d.body) == string(o.body) }

// head is what a commit changes, and what of it counts in rankings.
type head struct {
	stamp
	origin   weft.KeyID
	signed   time.Time
	received time.Time
	state    weft.State
	checked  time.Time
	passed   int
	failed   int
	body     []byte // the CardHead as JSON
}

func newHead(h *weft.CardHead, s stamp) (*head, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return nil, weft.Errorf(weft.KindInvalid, "read the head", h.Product.String(), "%w", err)
	}
	return headOf(h, body, s), nil
}

func headOf(h *weft.CardHead, body []byte, s stamp) *head {
	return &head{stamp: s, origin: h.Origin, state: h.State, checked: h.Checked, passed: max(h.Passed, 0), failed: max(h.Failed, 0), body: body}
}

// newDoc packs a card.
func (c *Catalog) newDoc(card *weft.Card, s stamp, now time.Time) (*doc, error) {
	body, err := json.Marshal(card)
	if err != nil {
		return nil, weft.Errorf(weft.KindInvalid, "read the card", card.Product.String(), "%w", err)
	}
	return &doc{
		stamp: s, name: card.Product, life: card.Life, origin: card.Origin, received: now,
		inputs: inputsOf(card), body: c.codec.pack(body),
	}, nil
}

// inputsOf lists the products that a card reads or derives from.
func inputsOf(card *weft.Card) []weft.Name {
	var out []weft.Name
	add := func(n *weft.Name) {
		if n != nil && *n != card.Product && !slices.Contains(out, *n) && len(out) < 1000 {
			out = append(out, *n)
		}
	}
	for i := range card.Ports {
		if card.Ports[i].Kind == "input" {
			add(card.Ports[i].Product)
		}
	}
	for i := range card.Tables {
		t := &card.Tables[i]
		for j := range t.Uses {
			add(t.Uses[j].Product)
		}
		for j := range t.Columns {
			for k := range t.Columns[j].From {
				add(t.Columns[j].From[k].Product)
			}
		}
	}
	slices.SortFunc(out, compareNames)
	return out
}

func compareNames(a, b weft.Name) int {
	if d := strings.Compare(a.Domain, b.Domain); d != 0 {
		return d
	}
	return strings.Compare(a.Product, b.Product)
}

// card unpacks the card.
func (c *Catalog) card(d *doc) (*weft.Card, error) {
	body, err := c.codec.unpack(d.body)
	if err != nil {
		return nil, err
	}
	var card weft.Card
	if err := json.Unmarshal(body, &card); err != nil {
		return nil, weft.Errorf(weft.KindInternal, "unpack the card", d.name.String(), "%w", err)
	}
	return &card, nil
}

// keptCards is how many cards stay unpacked: a question names few products, each of them
// many times.
const keptCards = 256

// kept unpacks the card, or has it from the last time.
func (c *Catalog) kept(d *doc) (*weft.Card, error) {
	if card, ok := c.unpacked.Get(d); ok {
		return card, nil
	}
	card, err := c.card(d)
	if err == nil {
		c.unpacked.Add(d, card)
	}
	return card, err
}

// entry makes a product ready for a caller, with its card from unpack.
func (c *Catalog) entry(d *doc, unpack func(*doc) (*weft.Card, error)) (*Entry, error) {
	card, err := unpack(d)
	if err != nil {
		return nil, err
	}
	e := &Entry{Card: card, Signed: d.signed, Received: d.received, Signer: d.signer, Version: d.version, Reachable: true}
	if h := d.head.Load(); h != nil {
		var ch weft.CardHead
		if err := json.Unmarshal(h.body, &ch); err != nil {
			return nil, weft.Errorf(weft.KindInternal, "read the head", d.name.String(), "%w", err)
		}
		e.Head, e.HeadReceived = &ch, h.received
	}
	if c.cfg.Reach != nil {
		e.Reachable, e.LastSeen = c.cfg.Reach.Reached(d.origin)
	}
	return e, nil
}

// Get returns a product of the mesh.
func (c *Catalog) Get(n weft.Name) (*Entry, bool) { return c.get(n, c.kept) }

func (c *Catalog) get(n weft.Name, unpack func(*doc) (*weft.Card, error)) (*Entry, bool) {
	c.mu.RLock()
	p := c.products[n]
	var d *doc
	if p != nil {
		d = p.doc
	}
	c.mu.RUnlock()
	if d == nil {
		return nil, false
	}
	e, err := c.entry(d, unpack)
	if err != nil {
		c.log.Error("a card of the catalogue cannot be read", "product", n.String(), "error", err)
		return nil, false
	}
	return e, true
}

// All calls f for every product, in the order of the names, until it returns false.
// Every card is unpacked for it: with many products it is for what happens seldom.
func (c *Catalog) All(f func(*Entry) bool) {
	for _, n := range c.names("") {
		if e, ok := c.get(n, c.card); ok && !f(e) {
			return
		}
	}
}

// Inputs lists the products that n's card reads or derives from, in the order of
// their names.
func (c *Catalog) Inputs(n weft.Name) []weft.Name {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if p := c.products[n]; p != nil && p.doc != nil {
		return slices.Clone(p.doc.inputs)
	}
	return nil
}

// Consumers lists the products whose cards read or derive from n, in the order of
// their names. n itself may be unknown.
func (c *Catalog) Consumers(n weft.Name) []weft.Name {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var out []weft.Name
	for r := range c.readers[n] {
		out = append(out, r)
	}
	slices.SortFunc(out, compareNames)
	return out
}
