package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"weft"
	"weft/engine"
	"weft/records"
	"weft/store"
	"weft/transform"
)

// cardSink is where what the node says of its products goes: its catalogue, and the
// mesh where it is in one. It is called by one goroutine at a time. It sets the
// origin itself, and must not keep the card and the head that it is given unchanged.
type cardSink interface {
	// Put takes what is said of a product now. A nil card is the one before; a nil
	// head is not known yet. Outside says that other domains may know of it. An error
	// makes the node say it again later.
	Put(ctx context.Context, name weft.Name, card *weft.Card, head *weft.CardHead, outside bool) error
	// Recall is Put at the start of the node, of what was said before it ended: a head
	// is taken only where none of the product is there. It gives the head that is there,
	// which may be a newer one.
	Recall(ctx context.Context, name weft.Name, card *weft.Card, head *weft.CardHead, outside bool) (*weft.CardHead, error)
	// Remove forgets a product that is no more.
	Remove(ctx context.Context, name weft.Name, id string) error
	// Reconcile removes what an earlier life of the node said of products that are
	// not here any more.
	Reconcile(ctx context.Context, here func(name weft.Name, id string) bool) error
	// moved reports whether everything is to be said anew, since it is asked a few
	// times a minute: the node has entered a mesh, or has other domains or another key.
	moved() bool
}

// How often something is said of one product at most, how long after a failure it is
// said again, how often the states are looked at, and how long a head may be newer
// than the one in the books.
const (
	headEvery  = time.Second
	retryCards = 30 * time.Second
	stateEvery = 5 * time.Second
	keepEvery  = time.Minute
)

// cardForm says how cards are made: those of another form are made anew.
const cardForm = 1

// cards says what the products are and how they do, when that changes. Products that
// nobody uses are not opened for it: what was said of them is in the books.
type cards struct {
	sink cardSink // nil: there is nobody to say it to

	wake chan struct{}
	mu   sync.Mutex
	due  map[*product]time.Time // what may have changed, and when it may be said
	gone []records.Product      // deleted, not said yet
	anew bool                   // everything is to be said again
}

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
	passed, failed int        // of the newest verdict
	nulls          map[string]map[string]float64
	counted        weft.Seq  // commit that nulls are of
	countAt        time.Time // not counted again before
}

// touch notes that what is to be said of the product may have changed. Any caller,
// also one that holds locks of the product but mu.
func (c *cards) touch(p *product) { c.touchAt(p, time.Time{}) }

func (c *cards) touchAt(p *product, at time.Time) {
	if c.sink == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.due[p]; !ok || at.Before(old) {
		c.due[p] = at
	}
	c.stir()
}

func (c *cards) stir() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// removed notes that the product is deleted.
func (c *cards) removed(rec records.Product) {
	if c.sink == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = append(c.gone, rec)
	c.stir()
}

// again has everything said once more, as after the node has entered a mesh or has
// another key.
func (c *cards) again() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.anew = true
	c.stir()
}

// take gives what may be said now, and how long until more may be, 0 for never.
func (c *cards) take(now time.Time) (gone []records.Product, due []*product, anew bool, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone, anew, c.gone, c.anew = c.gone, c.anew, nil, false
	for p, at := range c.due {
		if left := at.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		due = append(due, p)
		delete(c.due, p)
	}
	return gone, due, anew, wait
}

// noteHead notes the newest commit of a product that is held.
func (p *product) noteHead() {
	point := p.store.Head()
	p.mu.Lock()
	same := p.told.point.Hash == point.Hash && p.told.point.Incarnation == point.Incarnation
	p.mu.Unlock()
	if !same {
		passed, failed := lastVerdict(p.store)
		p.mu.Lock()
		p.told.point, p.told.passed, p.told.failed = point, passed, failed
		p.mu.Unlock()
	}
	p.node.cards.touch(p)
}

// touchDependents is touch for the products that are made from the one named.
func (n *Node) touchDependents(name weft.Name) {
	for _, d := range n.dependents(name) {
		n.cards.touch(d)
	}
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

// runCards says what changes, until ctx ends.
func (n *Node) runCards(ctx context.Context) error {
	c := &n.cards
	if c.sink == nil {
		return nil
	}
	c.sink.moved()
	n.recall(ctx)
	states, timer := time.NewTicker(stateEvery), time.NewTimer(0)
	defer states.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-states.C:
			n.lookAtStates()
			if c.sink.moved() {
				c.again()
			}
		case <-c.wake:
		case <-timer.C:
		}
		gone, due, anew, wait := c.take(n.env.Clock.Now())
		for _, rec := range gone {
			if err := c.sink.Remove(ctx, rec.Name, rec.ID); err != nil {
				n.env.Log.Warn("say that the product is gone; it is said at the next start", "product", rec.Name.String(), "error", err)
			}
		}
		if anew {
			due = n.forgetTold()
		}
		for _, p := range due {
			if ctx.Err() == nil && !p.ended() {
				p.tell(ctx)
			}
		}
		if wait > 0 {
			timer.Reset(wait)
		}
	}
}

// lastWords is how long the node says at its end what its last loads have changed.
const lastWords = 5 * time.Second

// finishCards says what is left to say when nothing changes any more, and writes down
// what was said.
func (n *Node) finishCards(ctx context.Context) {
	if n.cards.sink == nil {
		return
	}
	ctx, stop := context.WithTimeout(ctx, lastWords)
	defer stop()
	n.cards.mu.Lock()
	due := n.cards.due
	n.cards.due = map[*product]time.Time{}
	n.cards.mu.Unlock()
	for p := range due {
		if ctx.Err() == nil && !p.ended() {
			p.mu.Lock()
			p.told.when = time.Time{} // there is no later
			p.mu.Unlock()
			p.tell(ctx)
		}
	}
	n.keepCards(context.WithoutCancel(ctx))
}

// forgetTold makes everything to be said anew.
func (n *Node) forgetTold() []*product {
	all := n.all()
	for _, p := range all {
		p.mu.Lock()
		p.told.key, p.told.said = "", nil
		p.mu.Unlock()
	}
	return all
}

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

// cardKey names what a card is made of.
func cardKey(rec records.Product) string {
	return strconv.Itoa(cardForm) + " " + rec.ID + " " + rec.Folder.String() + " " + rec.Env + " " + strconv.FormatBool(rec.Retired)
}

// offered says whether other domains may know of the product.
func (p *product) offered() bool {
	return p.knownTo(weft.Subject{})
}

// lookAtStates finds states that have changed by themselves, by the time that passed
// or by what became of another product.
func (n *Node) lookAtStates() {
	for _, p := range n.all() {
		p.mu.Lock()
		said := p.told.head
		p.mu.Unlock()
		if said == nil || said.State == weft.StateDamaged || said.State == weft.StateUnreachable {
			continue
		}
		if now, _ := p.stateOf(len(said.Tables) > 0); now != said.State {
			n.cards.touch(p)
		}
	}
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
		p.noteHeld()
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

// noteHeld is noteHead for who says it anyway.
func (p *product) noteHeld() {
	point := p.store.Head()
	passed, failed := lastVerdict(p.store)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told.point, p.told.passed, p.told.failed = point, passed, failed
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

// mayFind says whether the subject may find a product by search or by name: one of
// another node is in the mesh for all to find.
func (n *Node) mayFind(s weft.Subject, name weft.Name) bool {
	p := n.known(name)
	return p == nil || p.knownTo(s)
}
