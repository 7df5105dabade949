package node

import (
	"cmp"
	"context"
	"fmt"

	"weft"
	"weft/peer"
	"weft/serve"
)

// handoverDoor moves products between nodes.
type handoverDoor struct{ n *Node }

// Offer hands a product to another node of its domain.
func (d handoverDoor) Offer(ctx context.Context, _ weft.Subject, p weft.Name, r serve.OfferRequest) (*serve.HandoverOffer, error) {
	if _, err := d.n.find(p); err != nil {
		return nil, err
	}
	if r.To == d.n.mesh.Self() {
		return nil, weft.Errorf(weft.KindInvalid, "hand the product over", p.String(), "it is this node's already").WithHint("weft peers lists the others")
	}
	word, err := d.n.mesh.OfferHandover(ctx, p, r.To)
	if err != nil {
		return nil, err
	}
	return &serve.HandoverOffer{Product: p, To: r.To, Offer: word}, nil
}

// Take takes a product that was offered to this node.
func (d handoverDoor) Take(ctx context.Context, _ weft.Subject, r serve.TakeRequest) (*serve.Handover, error) {
	h, err := d.n.mesh.TakeHandover(ctx, r.Offer)
	if err != nil {
		return nil, err
	}
	d.n.env.Log.InfoContext(ctx, "a product is handed to this node", "product", h.Product.String(), "from", h.From.Short())
	return &serve.Handover{Product: h.Product, ID: h.ID, From: h.From, To: h.To}, nil
}

// handover is the newest one of a product, nil where it was never handed over.
func handover(m *peer.Mesh, name weft.Name) *peer.Handover {
	if m == nil || !m.Joined() {
		return nil
	}
	r := m.Set().Get(peer.KindHandover, name.String())
	h := &peer.Handover{}
	if r == nil || r.Decode(h) != nil {
		return nil
	}
	return h
}

// isNow reports whether a node that had the key, then or still, is this one.
func isNow(m *peer.Mesh, key weft.KeyID) bool {
	if key == m.Self() {
		return true
	}
	next := map[weft.KeyID]weft.KeyID{}
	for _, x := range m.Members() {
		next[x.ID] = x.Rotated
	}
	for range len(next) {
		if key = next[key]; key == m.Self() {
			return true
		}
	}
	return false
}

// handedHere is the handover by which a product came to this node, nil where it did
// not.
func handedHere(m *peer.Mesh, name weft.Name) *peer.Handover {
	if h := handover(m, name); h != nil && isNow(m, h.To) {
		return h
	}
	return nil
}

// handedAway is the handover by which a product went from this node to another, nil
// where it did not.
func handedAway(m *peer.Mesh, name weft.Name) *peer.Handover {
	if h := handover(m, name); h != nil && isNow(m, h.From) && !isNow(m, h.To) {
		return h
	}
	return nil
}

// newIdentity is what a product gets that this node has not had: a random identity,
// or the one that it had where it was handed over.
func (n *Node) newIdentity(name weft.Name) string {
	if h := handedHere(n.mesh, name); h != nil {
		return h.ID
	}
	return newID()
}

// incarnation is that of a new chain of a product: of one that was handed over it is
// above the chain of the node that had it.
func (n *Node) incarnation(name weft.Name, id string) uint32 {
	h := handedHere(n.mesh, name)
	if h == nil || h.ID != id {
		return 1
	}
	if e, ok := n.cat.Get(name); ok && e.Head != nil && e.Head.ID == id {
		return e.Head.Incarnation + 1
	}
	return 2
}

// movedTodo says what is left to do with a product that was handed over and is still
// here; empty for any other.
func (n *Node) movedTodo(name weft.Name) string {
	h := handedAway(n.mesh, name)
	if h == nil {
		return ""
	}
	return fmt.Sprintf("it was handed to %s and is what that node says: weft retire or weft delete it here", cmp.Or(n.nameOf(h.To), h.To.Short()))
}
