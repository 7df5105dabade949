package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weft"
	"weft/store"
)

// run keeps the copy until ctx ends: a step of what is due, and a wait for the next.
func (c *replica) run(ctx context.Context) {
	defer close(c.over)
	c.reopen(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	tries := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
		err := c.step(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := time.Duration(0)
		if err == nil {
			tries = 0
		} else {
			wait = c.settle(err, tries)
			tries = min(tries+1, 10)
		}
		if err := c.expire(); err != nil {
			c.keeper.cfg.Env.Log.Warn("remove what may not be used any more", "product", c.name.String(), "error", err)
		}
		timer.Reset(wait)
	}
}

// reopen opens the store that an earlier run has left. One that is damaged is begun
// anew: the origin has it all.
func (c *replica) reopen(ctx context.Context) {
	c.mu.Lock()
	n, id := c.rec.Folder, c.rec.ID
	c.mu.Unlock()
	if err := c.sweep(n); err != nil {
		c.keeper.cfg.Env.Log.Warn("remove what a copy left behind", "product", c.name.String(), "error", err)
	}
	if n == 0 {
		return
	}
	dir := c.folder(n)
	st, err := store.Open(ctx, c.config(dir, id))
	if err == nil {
		if err = st.ReadOnly(); err != nil {
			_ = st.Close()
		}
	}
	if err != nil {
		c.set(StateFaulty, "the copy on this disk is damaged and is begun anew: "+err.Error(), "")
		c.mu.Lock()
		c.rec.Folder, c.rec.Current = 0, time.Time{}
		c.keep(c.keeper.now())
		c.mu.Unlock()
		return
	}
	h := c.hold(st, dir)
	c.mu.Lock()
	c.open = h
	c.mu.Unlock()
}

// step does what is due once: begin the copy, or follow its origin.
func (c *replica) step(ctx context.Context) error {
	c.mu.Lock()
	stopped, empty, again := c.rec.State == StateStopped, c.open == nil, c.again
	c.mu.Unlock()
	if stopped {
		return errStopped
	}
	o, err := c.look()
	if err != nil {
		return err
	}
	if h := o.Head; h != nil && !empty {
		if err := c.signed(c.current(), h); err != nil {
			return err
		}
	}
	c.behind(o)
	if empty || again {
		c.copying()
		return c.pull(ctx, o)
	}
	return c.follow(ctx, o)
}

// copying notes that files come; why the copy is begun again stays with it.
func (c *replica) copying() {
	c.mu.Lock()
	was, reason := c.rec.State, c.rec.Reason
	c.mu.Unlock()
	if was != StateCopying {
		reason = ""
	}
	if was.serves() {
		c.set(StateCopying, reason, "")
	}
}

// errStopped says that somebody has to look.
var errStopped = errors.New("the copy is stopped")

// settle notes why a step failed, and says how long to wait for the next.
func (c *replica) settle(err error, tries int) time.Duration {
	t := c.keeper.timing
	var fork *forked
	var again *anew
	var mine *ownFault
	var known *weft.Error
	switch {
	case errors.Is(err, errStopped):
		return t.again
	case errors.As(err, &fork):
		c.set(StateStopped, "the origin's chain is not the one that this is a copy of: "+err.Error(), fmt.Sprintf("find out at the origin what happened; then `weft replica remove %s` and add it again", c.name))
		return t.again
	case errors.As(err, &again):
		return c.beginAnew(again)
	case errors.As(err, &mine):
		state := StateBehind
		if weft.KindOf(mine.error) == weft.KindLimit || isFull(mine.error) {
			state = StateFull
		}
		c.setUnlessEmpty(state, err.Error(), weft.HintOf(err))
		return t.again
	case errors.Is(err, errMalformed):
		c.set(StateFaulty, "what its origin sent is not in order, and nothing of it was taken: "+err.Error(), "tell the owner; it is tried again by itself")
		return t.again
	case errors.Is(err, errNotWhole), errors.Is(err, errQuiet):
		return c.away(err, tries)
	case errors.As(err, &known):
		return c.settleKind(known, err, tries)
	}
	return c.away(err, tries)
}

func (c *replica) settleKind(known *weft.Error, err error, tries int) time.Duration {
	t := c.keeper.timing
	switch known.Kind {
	case weft.KindDenied, weft.KindNotFound:
		c.set(StateRefused, err.Error(), known.Hint)
		return t.again
	case weft.KindCorrupt, weft.KindInvalid, weft.KindInternal:
		c.set(StateFaulty, "what its origin sent is not in order, and nothing of it was taken: "+err.Error(), "tell the owner; it is tried again by itself")
		return t.again
	case weft.KindGone: // a fold took a file between offer and fetch
		return t.retry
	}
	return c.away(err, tries)
}

// setUnlessEmpty is set for a copy that can be used as it is meanwhile.
func (c *replica) setUnlessEmpty(s State, reason, todo string) {
	c.mu.Lock()
	if s == StateBehind && c.open == nil {
		s = StateCopying
	}
	c.mu.Unlock()
	c.set(s, reason, todo)
}

// away notes that the origin cannot be reached, and waits longer each time.
func (c *replica) away(err error, tries int) time.Duration {
	c.mu.Lock()
	expired := c.rec.State == StateExpired
	c.mu.Unlock()
	if !expired {
		c.set(StateAway, err.Error(), "")
	}
	t := c.keeper.timing
	return min(t.retry<<tries, t.longest)
}

// beginAnew says why the copy is begun again, and has the next step do that. What it
// holds may be used until then where the origin only keeps less; of a chain that the
// origin has left it may not.
func (c *replica) beginAnew(a *anew) time.Duration {
	c.keeper.cfg.Env.Log.Warn("a copy is begun anew", "product", c.name.String(), "reason", a.why)
	c.set(StateCopying, "it is begun anew: "+a.why, "")
	if !a.drop {
		c.mu.Lock()
		c.again = true
		c.mu.Unlock()
		return 0
	}
	if err := c.forget(); err != nil {
		c.keeper.cfg.Env.Log.Warn("remove the copy before", "product", c.name.String(), "error", err)
		return c.keeper.timing.again
	}
	return 0
}

// expire ends the use of a copy whose origin has been away for too long, and removes
// what may not be used any more when its time is over.
func (c *replica) expire() error {
	now := c.keeper.now()
	o, err := c.look()
	c.mu.Lock()
	open, state, reason := c.open != nil, c.rec.State, ""
	if open && state == StateAway && !c.rec.Current.IsZero() {
		lasts := time.Duration(c.rec.Seconds) * time.Second
		if err == nil {
			lasts = min(lasts, o.For)
		}
		if now.Sub(c.rec.Current) > lasts {
			reason = fmt.Sprintf("its origin is away since %s, and its owner lets a copy be used for %s without", c.rec.Current.Format(time.RFC3339), lasts)
		}
	}
	over := !c.rec.Ended.IsZero() && now.Sub(c.rec.Ended) >= KeepUnused
	c.mu.Unlock()
	if reason != "" {
		c.set(StateExpired, reason, "it goes on by itself when the origin can be reached")
	}
	if open && over {
		c.keeper.cfg.Env.Log.Info("what a copy holds is removed", "product", c.name.String(), "state", string(state))
		return c.forget()
	}
	return nil
}
