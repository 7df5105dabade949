package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"time"

	"weft"
	"weft/engine"
	"weft/records"
	"weft/run"
	"weft/store"
	"weft/transform"
)

// told is what was last said of a product, and what is to be said; p.mu guards it.
type told struct {
	key     string         // of what the card was made of; empty where it is to be made
	sum     weft.Hash      // of the card
	outside bool           // other domains were told
	said    []byte         // the head that was said, without what changes by itself
	head    *weft.CardHead // that was said
	when    time.Time      // it was said
	kept    time.Time      // it was written to the books
	stale   bool           // the books have another one

	point          weft.Point // the newest commit that was seen
	news           run.News   // told when there is another
	passed, failed int        // of the newest verdict
	nulls          map[string]map[string]float64
	counted        weft.Seq  // commit that nulls are of
	countAt        time.Time // not counted again before
}

// cardForm says how cards are made: those of another form are made anew.
const cardForm = 1

// cardKey names what a card is made of.
func cardKey(rec records.Product) string {
	return strconv.Itoa(cardForm) + " " + rec.ID + " " + rec.Folder.String() + " " + rec.Env + " " + strconv.FormatBool(rec.Retired)
}

// offered says whether other domains may know of the product.
func (p *product) offered() bool {
	return p.knownTo(weft.Subject{})
}

// noteHead notes the newest commit of a product that is held, and its verdict.
func (p *product) noteHead() {
	point := p.store.Head()
	p.mu.Lock()
	same := p.told.point.Hash == point.Hash && p.told.point.Incarnation == point.Incarnation
	p.mu.Unlock()
	if same {
		return
	}
	passed, failed := lastVerdict(p.store)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told.point, p.told.passed, p.told.failed = point, passed, failed
	p.told.news.Tell()
}

// news is closed when there is a newer commit than the one that was noted last.
func (p *product) news() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told.news.Next()
}

// noteCommit is noteHead where there may be a new commit, of a product that is held.
func (p *product) noteCommit() {
	p.noteHead()
	p.node.cards.touch(p)
}

// verdictBack is how many commits back a verdict is looked for: those that only took
// a folder have none.
const verdictBack = 50

// lastVerdict counts the checks of the newest verdict.
func lastVerdict(s *store.Store) (passed, failed int) {
	last, ok := s.Last()
	list := []weft.Commit{last}
	if ok && last.Verdict == nil {
		list, _ = s.Commits(0, verdictBack)
	}
	for _, c := range list {
		if c.Verdict == nil {
			continue
		}
		for _, r := range c.Verdict.Checks {
			if r.Pass {
				passed++
			} else {
				failed++
			}
		}
		break
	}
	return passed, failed
}

// tell says what is new of the product, where something is.
func (p *product) tell(ctx context.Context) {
	n, now := p.node, p.node.env.Clock.Now()
	p.mu.Lock()
	t := p.told
	p.mu.Unlock()
	if next := t.when.Add(headEvery); now.Before(next) {
		n.cards.touchAt(p, next)
		return
	}
	rec := p.record()
	var card *weft.Card
	key, sum, outside := cardKey(rec), t.sum, p.offered()
	if t.key != key || t.outside != outside {
		var err error
		if card, err = p.makeCard(ctx, rec); err != nil {
			n.env.Log.Warn("make the card; the one before is kept", "product", rec.Name.String(), "error", err)
			n.cards.touchAt(p, now.Add(retryCards))
			return
		}
		if sum = cardSum(card); sum == t.sum && t.outside == outside && t.said != nil {
			card = nil // made anew, it is the same
		}
	}
	head, said := p.makeHead(ctx, now), t.said
	if head != nil {
		said = comparable(head)
	}
	if card == nil && bytes.Equal(said, t.said) {
		p.mu.Lock()
		p.told.key = key
		p.mu.Unlock()
		return
	}
	if err := n.cards.sink.Put(ctx, rec.Name, card, head, outside); err != nil {
		if ctx.Err() == nil {
			p.mu.Lock()
			p.told.key, p.told.said = "", nil // the card goes with it
			p.mu.Unlock()
			n.env.Log.Warn("say what the product is; it is tried again", "product", rec.Name.String(), "error", err)
			n.cards.touchAt(p, now.Add(retryCards))
		}
		return
	}
	p.mu.Lock()
	p.told.key, p.told.sum, p.told.outside, p.told.said, p.told.when, p.told.stale = key, sum, outside, said, now, true
	if head != nil {
		p.told.head = head
	}
	p.mu.Unlock()
	if card != nil || now.Sub(t.kept) >= keepEvery {
		p.keepCard(ctx, card)
	}
	if sum != t.sum {
		n.derivedAnew(rec.Name)
	}
}

// cardSum tells cards apart.
func cardSum(c *weft.Card) weft.Hash {
	b, _ := json.Marshal(c) // of these types it never fails
	return sha256.Sum256(b)
}

// makeCard makes the card of the folder that runs.
func (p *product) makeCard(ctx context.Context, rec records.Product) (*weft.Card, error) {
	f, _ := p.current()
	if f == nil || f.Hash != rec.Folder {
		var err error
		if f, err = p.readFolder(ctx); err != nil {
			return nil, err
		}
	}
	s := &lazySession{sessions: p.node.pool, cfg: engine.SessionConfig{Name: "card", Memory: cardMemory, Threads: 1}}
	defer func() { _ = s.Close() }()
	from, err := transform.Lineage(ctx, s, f, p.node.knownCard)
	if err != nil {
		return nil, err
	}
	return cardOf(f, rec, from), nil
}

// cardMemory is what reading a product's SQL for its card may take, in bytes.
const cardMemory = 256 << 20

// knownCard is the card of any product of the mesh, nil where there is none.
func (n *Node) knownCard(name weft.Name) *weft.Card {
	if n.cat == nil {
		return nil
	}
	e, ok := n.cat.Get(name)
	if !ok {
		return nil
	}
	return e.Card
}

// derivedAnew has the cards of the products here made anew that are made from the one
// named: it has another card, and with it other columns perhaps.
func (n *Node) derivedAnew(name weft.Name) {
	if n.cat == nil {
		return
	}
	for _, c := range n.cat.Consumers(name) {
		if p := n.known(c); p != nil {
			p.mu.Lock()
			p.told.key = ""
			p.mu.Unlock()
			n.cards.touch(p)
		}
	}
}

// makeHead is what there is to say of the product's state; nil where nothing is known
// of its commits yet. One that is closed is opened only where nothing was said of its
// last commit.
func (p *product) makeHead(ctx context.Context, now time.Time) *weft.CardHead {
	release, open := p.holdOpen()
	if !open && p.unknown() {
		var err error
		release, err = p.hold(ctx)
		open = err == nil
	}
	if open {
		defer release()
		p.noteHead()
	}
	p.mu.Lock()
	t, broken := p.told, p.broken
	p.mu.Unlock()
	h := &weft.CardHead{Point: t.point, Checked: now.UTC(), Passed: t.passed, Failed: t.failed}
	if !open && broken == nil && t.head != nil && t.head.Seq == t.point.Seq && t.head.Incarnation == t.point.Incarnation {
		h.Held, h.Bytes, h.Tables = t.head.Held, t.head.Bytes, t.head.Tables
		if h.State, _ = p.stateOf(len(h.Tables) > 0); t.head.State == weft.StateDamaged {
			h.State = weft.StateDamaged
		}
		return h
	}
	g, err := p.glance(ctx)
	if t.point.ID == "" || ctx.Err() != nil {
		return nil
	}
	sum := p.lineOf(g, err)
	h.State, h.Held, h.Bytes = sum.State, sum.Held, sum.Bytes
	if err != nil && t.head != nil { // what was known of it holds as far as anybody knows
		h.Held, h.Bytes, h.Tables = t.head.Held, t.head.Bytes, t.head.Tables
	}
	for _, x := range g.Tables {
		if !x.Hidden {
			h.Tables = append(h.Tables, weft.TableHead{Name: x.Table, Rows: x.Rows, Nulls: t.nulls[x.Table]})
		}
	}
	return h
}

// unknown says that nothing is known of the product's commits, and no load will tell.
func (p *product) unknown() bool {
	p.mu.Lock()
	none := p.told.point.ID == ""
	p.mu.Unlock()
	return none && p.canLoad() != nil
}

// comparable is a head without what changes by itself: when it was looked at, and the
// size, which folding changes.
func comparable(h *weft.CardHead) []byte {
	if h == nil {
		return nil
	}
	c := *h
	c.Checked, c.Bytes = time.Time{}, 0
	b, _ := json.Marshal(c) // of these types it never fails
	return b
}
