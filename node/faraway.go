package node

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"weft"
)

// faraway is what the node knows of the products of other nodes: their cards, and how
// to reach who holds them.
type faraway struct{ n *Node }

func (f faraway) find(name weft.Name) (*foreign, error) {
	n := f.n
	if !n.joined() {
		return nil, nil
	}
	e, ok := n.cat.Get(name)
	if ok && n.isSelf(e.Card.Origin) {
		return nil, nil
	}
	// Also of a name whose card is not known: that its domain is claimed twice may be why.
	if err := n.mesh.Resolve(name); err != nil || !ok {
		return nil, err
	}
	return &foreign{name: name, origin: e.Card.Origin, id: e.Card.ID, head: e.Head, card: e.Card}, nil
}

func (f faraway) client(node weft.KeyID) *http.Client { return f.n.mesh.Client(node) }

func (f faraway) domainsOf(node weft.KeyID) []string { return f.n.mesh.DomainsOf(node) }

func (f faraway) own() []string { return f.n.mesh.Domains() }

func (f faraway) reached(node weft.KeyID) bool {
	ok, _ := f.n.Reached(node)
	return ok
}

// moved are products of other nodes whose card or head has changed, until whoever
// reads them is told.
type moved struct {
	mu    sync.Mutex
	names map[weft.Name]bool
	wake  chan struct{}
}

func newMoved() moved { return moved{names: map[weft.Name]bool{}, wake: make(chan struct{}, 1)} }

// add is called while records come in: it only takes a note.
func (m *moved) add(name weft.Name) {
	m.mu.Lock()
	m.names[name] = true
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *moved) take() map[weft.Name]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := m.names
	m.names = map[weft.Name]bool{}
	return names
}

// farEvery is how often is looked whether nodes have come back.
const farEvery = 5 * time.Second

// tellReaders wakes the products here that are made from products of other nodes
// when the head of one of these moves, or its node can be reached again after they
// could not read it, until ctx ends.
func (n *Node) tellReaders(ctx context.Context) error {
	tick := time.NewTicker(farEvery)
	defer tick.Stop()
	heads, away := map[weft.Name]weft.Hash{}, map[weft.KeyID]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.moved.wake:
			n.tellMoved(n.moved.take(), heads)
		case <-tick.C:
			away = n.tellBack(away)
		}
	}
}

// tellMoved wakes the readers of the products whose head is another one than that in
// heads: much of what is said of a product is not about its rows.
func (n *Node) tellMoved(names map[weft.Name]bool, heads map[weft.Name]weft.Hash) {
	for name := range names {
		n.copies.Wake(name)
	}
	read := map[weft.Name]bool{}
	for _, p := range n.all() {
		p.mu.Lock()
		for _, up := range p.brief.Upstream {
			if names[up] {
				read[up] = true
			}
		}
		p.mu.Unlock()
	}
	for _, up := range slices.SortedFunc(maps.Keys(read), compare) {
		f, err := n.foreign(up)
		if f == nil || f.head == nil || err != nil {
			continue
		}
		if heads[up] != f.head.Hash {
			heads[up] = f.head.Hash
			n.notify(up)
		}
	}
}

// tellBack wakes the products whose lost node was away and is no more, and says which
// nodes are.
func (n *Node) tellBack(was map[weft.KeyID]bool) map[weft.KeyID]bool {
	away := map[weft.KeyID]bool{}
	for _, p := range n.all() {
		p.mu.Lock()
		lost := p.lost
		p.mu.Unlock()
		if lost.IsZero() {
			continue
		}
		f, err := n.foreign(lost)
		if f == nil || err != nil {
			continue
		}
		if !n.far.reached(f.origin) {
			away[f.origin] = true
		} else if was[f.origin] && p.canLoad() == nil {
			p.wake(weft.CauseLoad)
		}
	}
	return away
}
