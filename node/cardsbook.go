package node

import (
	"context"
	"encoding/json"

	"weft"
	"weft/records"
	"weft/store"
)

// recall says what the books have of what was said before, without opening any
// product, and leaves the others to be said.
func (n *Node) recall(ctx context.Context) {
	byID := map[string]*product{}
	for _, p := range n.all() {
		byID[p.record().ID] = p
		n.cards.touch(p)
	}
	err := n.cards.sink.Reconcile(ctx, func(name weft.Name, id string) bool {
		p := byID[id]
		return p != nil && p.name() == name
	})
	if err != nil {
		n.env.Log.Warn("look for what is said of products that are gone", "error", err)
	}
	const page = 50
	for after := ""; ctx.Err() == nil; {
		list, err := n.books.Cards(ctx, after, page)
		if err != nil {
			n.env.Log.Warn("read the cards; they are made anew", "error", err)
			return
		}
		for _, k := range list {
			after = k.Product
			if p := byID[k.Product]; p != nil {
				p.recall(ctx, k)
			}
		}
		if len(list) < page {
			return
		}
	}
}

// keptCard and keptHead are what the books keep of what was said.
type keptCard struct {
	Key  string     `json:"key"`
	Card *weft.Card `json:"card"`
}

type keptHead struct {
	Head    *weft.CardHead `json:"head"`
	Counted weft.Seq       `json:"counted,omitempty"`
}

// recall says what is kept of one product, where it was made of what there is now. The
// head in the books is believed where the node had time to write down its last one, or
// where the product's manifest says the same; else the product is looked at first.
func (p *product) recall(ctx context.Context, k records.Card) {
	n := p.node
	var c keptCard
	var h keptHead
	rec := p.record()
	if json.Unmarshal(k.Body, &c) != nil || json.Unmarshal(k.Head, &h) != nil || c.Card == nil || c.Key != cardKey(rec) {
		return
	}
	head := h.Head
	if head != nil && !n.books.Sealed() && p.peekSeq() != head.Seq {
		head = nil
	}
	outside := p.offered()
	said, err := n.cards.sink.Recall(ctx, p.name(), c.Card, head, outside)
	if err != nil {
		return // it is due anyway
	}
	if head == nil && said != nil && p.peekSeq() == said.Seq {
		head = said // what was signed last was written down
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &p.told
	t.key, t.sum, t.outside, t.said, t.kept = c.Key, cardSum(c.Card), outside, comparable(said), n.env.Clock.Now()
	if head == nil {
		return
	}
	t.head, t.counted = head, h.Counted
	if t.point.Seq == 0 { // else a load was faster
		t.point, t.passed, t.failed = head.Point, head.Passed, head.Failed
	}
	if t.nulls == nil {
		t.nulls = map[string]map[string]float64{}
		for _, x := range head.Tables {
			if x.Nulls != nil {
				t.nulls[x.Name] = x.Nulls
			}
		}
	}
}

// peekSeq is the last commit of a product that is closed, as its manifest says; 0
// where the manifest does not know all of the journal.
func (p *product) peekSeq() weft.Seq {
	g, err := store.Peek(p.node.cfg.productDir(p.record().ID))
	if err != nil || !g.Whole {
		return 0
	}
	return g.Seq
}

// keepCard writes what was said to the books; a nil card is the one that is there.
func (p *product) keepCard(ctx context.Context, card *weft.Card) {
	rec := p.record()
	p.mu.Lock()
	t := p.told
	p.mu.Unlock()
	if t.head != nil && t.head.Hash != t.point.Hash {
		t.head = nil // there is a newer commit, of which nothing could be said
	}
	head, err := json.Marshal(keptHead{Head: t.head, Counted: t.counted})
	if err == nil && card == nil {
		err = p.node.books.PutHead(ctx, rec.ID, head)
	} else if err == nil {
		var body []byte
		if body, err = json.Marshal(keptCard{Key: t.key, Card: card}); err == nil {
			err = p.node.books.PutCard(ctx, records.Card{Product: rec.ID, Body: body, Head: head})
		}
	}
	if err != nil {
		p.node.env.Log.Warn("keep what is said of the product; it is made anew at the next start", "product", rec.Name.String(), "error", err)
		return
	}
	p.mu.Lock()
	p.told.kept, p.told.stale = p.node.env.Clock.Now(), false
	p.mu.Unlock()
}

// keepCards writes what the books do not have yet.
func (n *Node) keepCards(ctx context.Context) {
	for _, p := range n.all() {
		p.mu.Lock()
		stale := p.told.stale || p.told.head != nil && p.told.head.Hash != p.told.point.Hash
		p.mu.Unlock()
		if stale {
			p.keepCard(ctx, nil)
		}
	}
}
