package replicate

import (
	"context"
	"time"

	"weft"
)

// Need has a copy kept of a product for as long as Spare finds that it is needed; one
// that was added stays when it is not. It comes in the background. The errors are those
// of Add, but that there is one already is none.
func (k *Keeper) Need(name weft.Name) error { return k.add(name, true) }

// Spare removes the copies that were only kept because they were needed, and are not any
// more. It waits until they are gone.
func (k *Keeper) Spare(needed func(weft.Name) bool) {
	k.mu.Lock()
	all := k.list()
	k.mu.Unlock()
	for _, c := range all {
		if !c.needs() || needed(c.name) {
			continue
		}
		if err := k.Remove(c.name); err != nil && weft.KindOf(err) != weft.KindNotFound {
			k.cfg.Env.Log.Warn("remove a copy that is not needed any more", "product", c.name.String(), "error", err)
		}
	}
}

func (c *replica) needs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.Needed
}

// stay has a copy that was only needed stay when it is not any more; done says whether
// it was such a one.
func (c *replica) stay() (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.rec.Needed {
		return false, nil
	}
	c.rec.Needed = false
	if err = c.rec.write(c.dir); err != nil {
		c.rec.Needed = true
	}
	return true, err
}

// Await waits until a copy has a commit of its origin, and holds it. It gives up, with
// why, where the copy may not be used, where it cannot go on, or where nothing of it has
// come for 30 seconds.
func (k *Keeper) Await(ctx context.Context, at weft.Point) (*Held, error) {
	const op = "use the copy"
	patience := time.NewTimer(k.timing.patience)
	defer patience.Stop()
	for {
		c := k.find(at.Product)
		if c == nil {
			return nil, weft.Errorf(weft.KindNotFound, op, at.Product.String(), "there is none here")
		}
		c.mu.Lock()
		news := c.news.Next()
		state, reason, empty := c.rec.State, c.rec.Reason, c.open == nil
		c.mu.Unlock()
		h, err := k.Hold(at.Product)
		if err == nil {
			if at.Seq <= h.Store.Head().Seq {
				if at.Seq < h.Store.Oldest() {
					err = weft.Errorf(weft.KindGone, op, at.Product.String(), "commit %s is no longer kept", at.Seq)
				} else {
					err = h.Store.Same(at.Incarnation, at.Seq, at.Hash[:])
				}
				if err == nil {
					return h, nil
				}
				h.Release()
				return nil, err
			}
			h.Release()
		}
		if begins := state == StateCopying && empty; !begins { // else it comes
			if err != nil {
				return nil, err
			}
			if reason != "" {
				return nil, weft.Errorf(weft.KindUnavailable, op, at.Product.String(), "it is %s: %s", state, reason)
			}
		}
		select {
		case <-news:
			patience.Reset(k.timing.patience)
		case <-patience.C:
			return nil, weft.Errorf(weft.KindUnavailable, op, at.Product.String(), "commit %s does not come", at.Seq)
		case <-c.over:
			return nil, weft.Errorf(weft.KindUnavailable, op, at.Product.String(), "it was removed just now")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
