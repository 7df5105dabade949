package node

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"weft"
	"weft/policy"
	"weft/records"
	"weft/serve"
)

// holdAsk asks the owner of a product to keep its history from a commit on.
type holdAsk struct {
	Product     weft.Name `json:"product"`
	Incarnation uint32    `json:"incarnation"`
	Seq         weft.Seq  `json:"seq"`
	Hash        weft.Hash `json:"hash"`
	Cut         string    `json:"cut"`           // the name of the saved cut, at the node that asks
	By          string    `json:"by"`            // who asks, for the owner to read
	Seconds     int64     `json:"for,omitempty"` // as long as is allowed where it is 0
}

// holdGiven is what an owner's node answers.
type holdGiven struct {
	Hold  string    `json:"hold"`
	Until time.Time `json:"until,omitzero"`
}

// maxHoldsOf is how many holds the subjects of one node may have on a product.
const maxHoldsOf = 200

// giveHold keeps the history of a product here from a commit on, where its owner lets the
// subject have that. node is the one that asks, zero for this one.
func (n *Node) giveHold(ctx context.Context, s weft.Subject, node weft.KeyID, q holdAsk) (*holdGiven, error) {
	const op = "hold the history"
	p, err := n.seenBy(s, q.Product)
	if err != nil {
		return nil, err
	}
	if err := p.deny(s, ""); err != nil {
		return nil, err
	}
	until, err := p.holdUntil(s, time.Duration(q.Seconds)*time.Second)
	if err != nil {
		return nil, err
	}
	if err := weft.CheckCutName(q.Cut); err != nil {
		return nil, err
	}
	release, err := p.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := p.store.Same(q.Incarnation, q.Seq, q.Hash[:]); err != nil {
		return nil, err
	}
	c, err := p.store.Commit(q.Seq)
	if err != nil {
		return nil, err
	}
	n.holdMu.Lock()
	defer n.holdMu.Unlock()
	mine, err := n.holdsBy(ctx, p.record().ID, node)
	if err != nil {
		return nil, err
	}
	h := records.Hold{
		ID: p.record().ID, Product: q.Product, Name: holdName(q, node), Point: pointOf(c), Node: node, NodeName: n.nameOf(node),
		By: farText(q.By), Domains: s.Domains, For: q.Cut, Asked: n.env.Clock.Now().UTC().Truncate(time.Second), Expires: until,
	}
	if len(mine) >= maxHoldsOf && !slices.ContainsFunc(mine, func(x records.Hold) bool { return x.For == h.For }) {
		return nil, weft.Errorf(weft.KindLimit, op, q.Product.String(), "the node that asks holds it %d times already", len(mine)).
			WithHint("drop saved cuts that nobody needs: weft cut drop NAME")
	}
	// The record is there before the hold: what is held is never unknown to the owner.
	if err := n.books.PutHold(ctx, h); err != nil {
		return nil, err
	}
	if err := p.store.Hold(h.Name, h.Point.Seq); err != nil {
		_ = n.books.DropHold(ctx, h.ID, h.Name) // it goes with the next look at what has ended, else
		return nil, err
	}
	for _, x := range mine { // of a cut of that name from before, whose end this node did not hear of
		if x.For == h.For && x.Name != h.Name {
			n.endHold(ctx, x)
		}
	}
	n.env.Log.InfoContext(ctx, "a product's history is held", "product", q.Product.String(), "from", h.Point.Seq.String(), "hold", h.Name, "by", h.By)
	return &holdGiven{h.Name, h.Expires}, nil
}

// holdUntil is when a hold of the subject has to end, zero for never, or why there may be
// none.
func (p *product) holdUntil(s weft.Subject, wanted time.Duration) (time.Time, error) {
	p.mu.Lock()
	b := p.brief
	p.mu.Unlock()
	var consents []policy.HoldConsent
	for _, g := range b.Grants {
		if g.Holds != nil && policy.MayRead(g.Readers, p.name().Domain, s.Domains).Visibility == policy.Readable {
			consents = append(consents, policy.HoldConsent(*g.Holds))
		}
	}
	most, why := policy.MayHold(consents, p.name().Domain, s.Domains)
	if why.Visibility != policy.Readable {
		return time.Time{}, weft.Errorf(weft.KindDenied, "hold the history", p.name().String(), "%s", why.Reason).
			WithHint("ask %s to name your domain in weftHolds of an output port; without --hold the cut is saved, and can be read until retention ends it",
				or(b.Owner, "the owner of "+p.name().String()))
	}
	if most > 0 && (wanted == 0 || wanted > most) {
		wanted = most
	}
	if wanted == 0 {
		return time.Time{}, nil
	}
	return p.node.env.Clock.Now().Add(wanted).UTC().Truncate(time.Second), nil
}

// holdName names a hold in the product's store: by the cut, the commit and the node.
func holdName(q holdAsk, node weft.KeyID) string {
	name := "cut." + q.Cut + "." + strings.TrimPrefix(q.Seq.String(), "#")
	if !node.IsZero() {
		name += "." + node.String()
	}
	return name
}

// holdsBy lists what a node holds of a product.
func (n *Node) holdsBy(ctx context.Context, id string, node weft.KeyID) ([]records.Hold, error) {
	all, err := n.books.Holds(ctx)
	return slices.DeleteFunc(all, func(h records.Hold) bool { return h.ID != id || h.Node != node }), err
}

// endHold lets go of what a hold kept; where that fails, the next look at what has ended
// tries again.
func (n *Node) endHold(ctx context.Context, h records.Hold) {
	err := n.release(ctx, h)
	if err == nil {
		err = n.books.DropHold(ctx, h.ID, h.Name)
	}
	if err != nil {
		n.env.Log.WarnContext(ctx, "let go of a product's history; it is tried again", "product", h.Product.String(), "hold", h.Name, "error", err)
	}
}

// release ends a hold in the product's store; one that is not there is no error.
func (n *Node) release(ctx context.Context, h records.Hold) error {
	p := n.known(h.Product)
	if p == nil || p.record().ID != h.ID {
		return nil // it is gone, with all its history
	}
	done, err := p.hold(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := p.store.Release(h.Name); err != nil && weft.KindOf(err) != weft.KindNotFound {
		return err
	}
	return nil
}

// holdsEvery is how often is looked which holds have ended.
const holdsEvery = time.Minute

// runHolds ends the holds whose time is over, until ctx ends.
func (n *Node) runHolds(ctx context.Context) error {
	n.mendHolds(ctx)
	tick := time.NewTicker(holdsEvery)
	defer tick.Stop()
	for {
		n.endHolds(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// endHolds ends the holds whose time is over, and forgets those of products that are gone.
func (n *Node) endHolds(ctx context.Context) {
	n.holdMu.Lock()
	defer n.holdMu.Unlock()
	all, err := n.books.Holds(ctx)
	if err != nil {
		n.env.Log.WarnContext(ctx, "look which holds have ended", "error", err)
		return
	}
	now := n.env.Clock.Now()
	for _, h := range all {
		p := n.known(h.Product)
		if p == nil || p.record().ID != h.ID || !h.Expires.IsZero() && !now.Before(h.Expires) {
			n.endHold(ctx, h)
		}
	}
}

// mendHolds makes the holds that the books have and a product's store has not: a restored
// one has none.
func (n *Node) mendHolds(ctx context.Context) {
	n.holdMu.Lock()
	defer n.holdMu.Unlock()
	all, err := n.books.Holds(ctx)
	if err != nil {
		n.env.Log.WarnContext(ctx, "look what is held", "error", err)
		return
	}
	for _, h := range all {
		p := n.known(h.Product)
		if p == nil || p.record().ID != h.ID {
			continue
		}
		done, err := p.hold(ctx)
		if err == nil {
			if err = p.store.Same(h.Point.Incarnation, h.Point.Seq, h.Point.Hash[:]); err == nil {
				err = p.store.Hold(h.Name, h.Point.Seq)
			}
			done()
		}
		if k := weft.KindOf(err); err != nil && k != weft.KindUnavailable && k != weft.KindCorrupt && k != weft.KindCancelled {
			n.env.Log.WarnContext(ctx, "what was held is not kept any more", "product", h.Product.String(), "hold", h.Name, "error", err)
			_ = n.books.DropHold(ctx, h.ID, h.Name) // the next start tries again
		}
	}
}

// takeHold gives another node a hold that it asks for.
func (n *Node) takeHold(w http.ResponseWriter, r *http.Request, node weft.KeyID) error {
	s, err := n.askerOf(node, r)
	if err != nil {
		return err
	}
	q, err := readHoldAsk(r.Body)
	if err != nil {
		return err
	}
	given, err := n.giveHold(r.Context(), s, node, q)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(given)
}

// readHoldAsk reads what another node asks to be held.
func readHoldAsk(r io.Reader) (q holdAsk, err error) {
	err = json.NewDecoder(io.LimitReader(r, 64<<10)).Decode(&q)
	if err != nil || q.Seconds < 0 || q.Seconds > maxHoldSeconds || q.Seq == 0 || q.Product.IsZero() || weft.CheckCutName(q.Cut) != nil {
		return q, weft.Errorf(weft.KindInvalid, "answer another node", "", "it does not say what is to be held")
	}
	return q, nil
}

// maxHoldSeconds is as long as anybody can ask for: ten years.
const maxHoldSeconds = 3650 * 24 * 3600

// dropHoldOf ends a hold of the node that asks.
func (n *Node) dropHoldOf(w http.ResponseWriter, r *http.Request, node weft.KeyID) error {
	name, err := weft.ParseName(r.URL.Query().Get("product"))
	if err != nil {
		return err
	}
	err = n.dropHold(r.Context(), name, r.URL.Query().Get("hold"), func(h records.Hold) bool { return h.Node == node })
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// dropHold ends one hold of those that mine allows.
func (n *Node) dropHold(ctx context.Context, name weft.Name, hold string, mine func(records.Hold) bool) error {
	n.holdMu.Lock()
	defer n.holdMu.Unlock()
	all, err := n.books.Holds(ctx)
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.Product == name && h.Name == hold && mine(h) {
			if err := n.release(ctx, h); err != nil {
				return err
			}
			return n.books.DropHold(ctx, h.ID, h.Name)
		}
	}
	return weft.Errorf(weft.KindNotFound, "release the hold", name.String(), "there is no such hold").WithHint("weft cut holds lists them")
}

// Holds lists what is held of the products here that the subject owns.
func (d cutDoor) Holds(ctx context.Context, s weft.Subject) ([]serve.HoldInfo, error) {
	all, err := d.n.books.Holds(ctx)
	out := []serve.HoldInfo{}
	for _, h := range all {
		if d.n.mayOwn(s, "see the holds on", h.Product) != nil {
			continue
		}
		x := serve.HoldInfo{
			Product: h.Product, Hold: h.Name, Seq: h.Point.Seq, Time: h.Point.Time, By: h.By, Domains: h.Domains, For: h.For, Asked: h.Asked,
		}
		if !h.Node.IsZero() {
			x.Node = or(h.NodeName, h.Node.Short())
		}
		if !h.Expires.IsZero() {
			x.Expires = &h.Expires
		}
		out = append(out, x)
	}
	return out, err
}

// DropHold ends a hold on a product here, for its owner.
func (d cutDoor) DropHold(ctx context.Context, s weft.Subject, name weft.Name, hold string) error {
	if _, err := d.n.ownedBy(s, "release a hold on", name); err != nil {
		return err
	}
	err := d.n.dropHold(ctx, name, hold, func(records.Hold) bool { return true })
	if err == nil {
		d.n.env.Log.InfoContext(ctx, "a hold is ended by the owner", "product", name.String(), "hold", hold, "subject", s.ID)
	}
	return err
}

// holdNames are the names of what a node holds of a product.
func (n *Node) holdNames(ctx context.Context, p *product, node weft.KeyID) (out []string) {
	mine, err := n.holdsBy(ctx, p.record().ID, node)
	if err != nil {
		n.env.Log.WarnContext(ctx, "look what is held", "error", err)
	}
	for _, h := range mine {
		out = append(out, h.Name)
	}
	return out
}
