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
	p, err := n.ownedBy(s, "pause or resume", name)
	if err != nil {
		return nil, err
	}
	was, err := p.setPaused(ctx, paused)
	if err != nil {
		return nil, err
	}
	if was && !paused {
		p.wake(weft.CauseCode) // a folder may have been applied meanwhile
	}
	return p.summary(ctx, s)
}

// setPaused says how it was before.
func (p *product) setPaused(ctx context.Context, paused bool) (was bool, err error) {
	done, err := p.change("pause or resume")
	if err != nil {
		return false, err
	}
	defer done()
	if err := p.node.books.SetPaused(ctx, p.record().ID, paused); err != nil {
		return false, err
	}
	p.mu.Lock()
	was, p.rec.Paused = p.rec.Paused, paused
	p.mu.Unlock()
	p.node.cards.touch(p)
	p.node.touchDependents(p.name())
	return was, nil
}

// Retire ends the product: no loads, and plain queries are refused; its history
// stays readable.
func (n *Node) Retire(ctx context.Context, s weft.Subject, name weft.Name) (*serve.ProductSummary, error) {
	p, err := n.ownedBy(s, "retire", name)
	if err != nil {
		return nil, err
	}
	end, err := n.work.begin("retire", name.String())
	if err != nil {
		return nil, err
	}
	defer end()
	if err := p.retire(ctx); err != nil {
		return nil, err
	}
	n.watch.set(p)
	n.sched.at(p, n.firstRead(p))
	n.notify(name)
	n.spareCopies()
	return p.summary(ctx, s)
}

func (p *product) retire(ctx context.Context) error {
	release, err := p.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, done, err := p.write(ctx) // a load under way ends first
	if err != nil {
		return err
	}
	defer done()
	changed, err := p.change("retire")
	if err != nil {
		return err
	}
	defer changed()
	f, rec := p.current()
	if rec.Retired {
		return nil
	}
	if _, err := p.store.Append(ctx, p.candidate(f, rec, weft.CauseRetire)); err != nil {
		return err
	}
	if err := p.node.books.SetRetired(ctx, rec.ID, true); err != nil {
		return err
	}
	p.mu.Lock()
	p.rec.Retired = true
	p.mu.Unlock()
	p.noteCommit()
	p.node.touchDependents(p.name())
	return nil
}

// Delete removes the product and all its data for good.
func (n *Node) Delete(ctx context.Context, s weft.Subject, name weft.Name, confirm string) error {
	p, err := n.ownedBy(s, "delete", name)
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
	end, err := n.work.begin("delete", name.String())
	if err != nil {
		return err
	}
	defer end()
	if err := p.forget(ctx); err != nil {
		return err
	}
	n.sched.remove(p)
	n.watch.remove(p)
	p.loading.Lock() // what wrote has ended before the files go
	defer p.loading.Unlock()
	dir := n.cfg.productDir(p.record().ID)
	if err := errors.Join(p.close(), os.RemoveAll(dir)); err != nil {
		return weft.Errorf(weft.KindUnavailable, "delete the files of", name.String(), "%w", err).WithHint("remove %s by hand", dir)
	}
	n.spareCopies()
	return nil
}

// forget takes the product off the books and the list, and ends it: what writes it
// is cut off.
func (p *product) forget(ctx context.Context) error {
	done, err := p.change("delete")
	if err != nil {
		return err
	}
	defer done()
	if err := p.node.books.DeleteProduct(ctx, p.record(), p.node.env.Clock.Now()); err != nil {
		return err
	}
	p.node.mu.Lock()
	delete(p.node.products, p.name())
	p.node.mu.Unlock()
	p.node.cards.removed(p.record())
	p.node.touchDependents(p.name())
	p.end()
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
