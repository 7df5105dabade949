package node

import (
	"context"
	"errors"
	"os"
	"slices"

	"weft"
	"weft/serve"
)

// Pause stops reading the sources; what is published stays readable.
func (n *Node) Pause(ctx context.Context, s weft.Subject, name weft.Name) (*serve.ProductSummary, error) {
	return n.setPaused(ctx, s, name, true)
}

// Resume undoes Pause and reads what was missed.
func (n *Node) Resume(ctx context.Context, s weft.Subject, name weft.Name) (*serve.ProductSummary, error) {
	return n.setPaused(ctx, s, name, false)
}

func (n *Node) setPaused(ctx context.Context, s weft.Subject, name weft.Name, paused bool) (*serve.ProductSummary, error) {
	p, err := n.find(name)
	if err != nil {
		return nil, err
	}
	if err := n.books.SetPaused(ctx, p.record().ID, paused); err != nil {
		return nil, err
	}
	p.mu.Lock()
	was := p.rec.Paused
	p.rec.Paused = paused
	p.mu.Unlock()
	if was && !paused {
		p.wake(weft.CauseCode) // a folder may have been applied meanwhile
	}
	return p.summary(ctx, s)
}

// Retire ends the product: no loads, and plain queries are refused; its history
// stays readable.
func (n *Node) Retire(ctx context.Context, s weft.Subject, name weft.Name) (*serve.ProductSummary, error) {
	p, err := n.find(name)
	if err != nil {
		return nil, err
	}
	release, err := p.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	f, rec := p.current()
	if rec.Retired {
		return p.summary(ctx, s)
	}
	ctx, done, err := p.write(ctx) // a load under way ends first
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := p.store.Append(ctx, p.candidate(f, rec, weft.CauseRetire)); err != nil {
		return nil, err
	}
	if err := n.books.SetRetired(ctx, rec.ID, true); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.rec.Retired = true
	p.mu.Unlock()
	n.notify(name)
	return p.summary(ctx, s)
}

// Delete removes the product and all its data for good.
func (n *Node) Delete(ctx context.Context, _ weft.Subject, name weft.Name, confirm string) error {
	p, err := n.find(name)
	if err != nil {
		return err
	}
	if confirm != name.String() {
		return weft.Errorf(weft.KindInvalid, "delete", name.String(), "the confirmation does not repeat the address").
			WithHint("deleting cannot be undone; `weft retire` keeps the history")
	}
	for _, d := range n.dependents(name) {
		if !d.record().Retired {
			return weft.Errorf(weft.KindConflict, "delete", name.String(), "%s is made from it", d.name()).
				WithHint("retire or change %s first", d.name())
		}
	}
	rec := p.record()
	if err := n.books.DeleteProduct(ctx, rec, n.env.Clock.Now()); err != nil {
		return err
	}
	n.mu.Lock()
	delete(n.products, name)
	n.mu.Unlock()
	p.end() // what writes it is cut off
	n.sched.remove(p)
	n.watch.remove(p)
	p.loading.Lock() // and has ended before its files go
	defer p.loading.Unlock()
	if err := errors.Join(p.close(), os.RemoveAll(n.cfg.productDir(rec.ID))); err != nil {
		return weft.Errorf(weft.KindUnavailable, "delete the files of", name.String(), "%w", err).WithHint("remove %s by hand", n.cfg.productDir(rec.ID))
	}
	return nil
}

// dependents lists the products here that read the one named.
func (n *Node) dependents(name weft.Name) []*product {
	var out []*product
	for _, p := range n.all() {
		p.mu.Lock()
		b := p.brief
		p.mu.Unlock()
		if slices.Contains(b.Upstream, name) {
			out = append(out, p)
		}
	}
	return out
}

// notify wakes the products that are made from the one that has changed.
func (n *Node) notify(name weft.Name) {
	for _, d := range n.dependents(name) {
		d.wake(weft.CauseLoad)
	}
}
