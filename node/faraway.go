package node

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"

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
	if !ok || n.isSelf(e.Card.Origin) {
		return nil, nil
	}
	if err := n.mesh.Resolve(name); err != nil {
		return nil, err
	}
	return &foreign{name: name, origin: e.Card.Origin, id: e.Card.ID, head: e.Head}, nil
}

func (f faraway) client(node weft.KeyID) *http.Client { return f.n.mesh.Client(node) }

func (f faraway) domainsOf(node weft.KeyID) []string { return f.n.mesh.DomainsOf(node) }

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

// tellReaders wakes the products here that are made from products of other nodes
// whenever one of these has changed, until ctx ends.
func (n *Node) tellReaders(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.moved.wake:
		}
		names := n.moved.take()
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
			n.notify(up)
		}
	}
}
