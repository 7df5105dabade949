package node

import (
	"context"
	"sync"
	"time"

	"weft"
	"weft/records"
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

// touchDependents is touch for the products that are made from the one named.
func (n *Node) touchDependents(name weft.Name) {
	for _, d := range n.dependents(name) {
		n.cards.touch(d)
	}
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
