package budget

import (
	"cmp"
	"slices"
	"time"
)

// serve gives out what can be given, lane by lane. A grant of one lane can be the
// last that its asker may hold, which lets another go first in a lane before it.
func (b *Budget) serve() {
	for given := true; given; {
		given = false
		for l := range lanes {
			for w := b.next(l); w != nil; w = b.next(l) {
				b.grant(w)
				given = true
			}
		}
	}
}

// next is the ask of the lane whose turn it is, nil where none can be met. In a
// lane of questions nothing overtakes an ask that does not fit yet, or a large one
// would wait for ever; the node's own work is of few and different sizes, and a
// fold may be what a load waits for.
func (b *Budget) next(l Lane) *wait {
	for _, w := range b.turns(l) {
		if b.fits(w.ask) {
			return w
		}
		if l != Own {
			return nil
		}
	}
	return nil
}

// turns is the first ask of every asker that may hold more, in the order of their
// turns: who holds least, then who has had least, then who came first.
func (b *Budget) turns(l Lane) []*wait {
	type turn struct {
		w *wait
		s *asker
	}
	var all []turn
	for who, s := range b.askers[l] {
		if len(s.queue) > 0 && b.may(l, who) {
			all = append(all, turn{s.queue[0], s})
		}
	}
	slices.SortFunc(all, func(x, y turn) int {
		return cmp.Or(cmp.Compare(x.s.running, y.s.running), cmp.Compare(x.s.spent, y.s.spent), cmp.Compare(x.w.order, y.w.order))
	})
	out := make([]*wait, len(all))
	for i, t := range all {
		out[i] = t.w
	}
	return out
}

// may reports whether who may hold one more of the lane.
func (b *Budget) may(l Lane, who string) bool {
	running := func(l Lane) int {
		if s := b.askers[l][who]; s != nil {
			return s.running
		}
		return 0
	}
	if most := b.cfg.Running[l]; most > 0 && running(l) >= most {
		return false
	}
	return l == Own || b.cfg.RunningAll == 0 || running(Light)+running(Heavy) < b.cfg.RunningAll
}

// fits reports whether an ask can be met now and every other lane can still have
// its reserve.
func (b *Budget) fits(a Ask) bool { return b.fitsWith(b.used, a) }

func (b *Budget) fitsWith(used [lanes]Amount, a Ask) bool {
	used[a.Lane] = used[a.Lane].plus(a.Amount)
	var sum Amount
	for l := range lanes {
		sum = sum.plus(used[l])
		if l != a.Lane {
			sum = sum.plus(b.cfg.Reserve[l].minus(used[l]).positive())
		}
	}
	return sum.lacks(b.cfg.Total) == ""
}

// grant gives an ask what it wants.
func (b *Budget) grant(w *wait) {
	a := w.ask
	s := b.askers[a.Lane][a.Who]
	s.queue = s.queue[1:]
	s.running++
	b.waiting[a.Lane]--
	b.used[a.Lane] = b.used[a.Lane].plus(a.Amount)
	w.grant = &Grant{b: b, ask: a, began: b.now()}
	close(w.ready)
}

// Release gives the grant back. Idempotent, and nothing on nil.
func (g *Grant) Release() {
	if g == nil {
		return
	}
	g.b.mu.Lock()
	defer g.b.mu.Unlock()
	g.b.release(g)
}

func (b *Budget) release(g *Grant) {
	if g.done {
		return
	}
	g.done = true
	a, held := g.ask, b.now().Sub(g.began)
	b.used[a.Lane] = b.used[a.Lane].minus(a.Amount)
	s := b.askers[a.Lane][a.Who]
	s.running--
	s.spent += held
	b.took[a.Lane] += (held - b.took[a.Lane]) / 8
	b.forget(a)
	b.serve()
}

// Move puts the grant into another lane, where what it was thought to be has
// turned out wrong. Without force it does so only where the lane has room and the
// asker may hold one more of it, and reports whether it did.
func (g *Grant) Move(to Lane, force bool) bool {
	if g == nil {
		return true
	}
	b := g.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if g.done || g.ask.Lane == to {
		return true
	}
	moved := g.ask
	moved.Lane = to
	used := b.used
	used[g.ask.Lane] = used[g.ask.Lane].minus(g.ask.Amount)
	if !force && !b.mayMove(used, moved) {
		return false
	}
	from := b.askers[g.ask.Lane][g.ask.Who]
	now := b.now()
	from.running--
	from.spent += now.Sub(g.began)
	g.began = now // what follows is the other lane's
	b.forget(g.ask)
	used[to] = used[to].plus(moved.Amount)
	b.used = used
	s := b.askers[to][moved.Who]
	if s == nil {
		s = &asker{spent: b.least(to)}
		b.askers[to][moved.Who] = s
	}
	s.running++
	g.ask = moved
	b.serve()
	return true
}

// mayMove reports whether a would be granted, used being in use without it, and
// overtakes nobody who waits.
func (b *Budget) mayMove(used [lanes]Amount, a Ask) bool {
	if b.waiting[a.Lane] > 0 || !b.fitsWith(used, a) {
		return false
	}
	s, most := b.askers[a.Lane][a.Who], b.cfg.Running[a.Lane]
	return s == nil || most == 0 || s.running < most
}

// Least and most of what a refused asker is told to wait.
const (
	leastAfter = time.Second
	mostAfter  = time.Minute
)

// After guesses when an ask of the lane that comes now will have had its turn.
func (b *Budget) After(l Lane) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.after(l, b.waiting[l]+1)
}

// after guesses when n asks of the lane will have had their turn.
func (b *Budget) after(l Lane, n int) time.Duration {
	running := 0
	for _, s := range b.askers[l] {
		running += s.running
	}
	guess := b.took[l] * time.Duration(n) / time.Duration(max(running, 1))
	return min(max(guess.Round(time.Second), leastAfter), mostAfter)
}

// State is what is in use and who waits.
type State struct {
	Used    Amount
	Running map[Lane]int
	Waiting map[Lane]int
}

// State returns what is in use now.
func (b *Budget) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := State{Running: map[Lane]int{}, Waiting: map[Lane]int{}}
	for l := range lanes {
		s.Used = s.Used.plus(b.used[l])
		s.Running[l], s.Waiting[l] = b.used[l].Places, b.waiting[l]
	}
	return s
}
