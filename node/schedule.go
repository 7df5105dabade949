package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"weft"
	"weft/records"
	"weft/run"
)

// When sources are read: the frequency of the contract's SLA, else when a local
// file changes, else hourly. A failed read is tried again sooner.
const (
	defaultInterval = time.Hour
	firstRetry      = 30 * time.Second
	tendEvery       = 24 * time.Hour // a product that reads nothing is looked after so often
	maxAsked        = 64             // loads of one product that wait
)

// schedule says when each product is looked at next. One of it serves all: an idle
// product costs an entry here and nothing that runs.
type schedule struct {
	mu      sync.Mutex
	due     map[*product]time.Time
	changed chan struct{}
	looks   chan struct{} // room for looks that nobody has asked for
}

func newSchedule(loads int) schedule {
	return schedule{due: map[*product]time.Time{}, changed: make(chan struct{}, 1), looks: make(chan struct{}, loads+1)}
}

// at sets when a product is looked at next; one that has ended is not.
func (s *schedule) at(p *product, t time.Time) {
	s.mu.Lock()
	if p.ended() {
		s.mu.Unlock()
		return
	}
	s.due[p] = t
	s.mu.Unlock()
	p.mu.Lock()
	p.next = t
	p.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *schedule) remove(p *product) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.due, p)
}

// pop takes the product that is due; without one it says how long that will be.
func (s *schedule) pop(now time.Time) (*product, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first *product
	for p, t := range s.due {
		if first == nil || t.Before(s.due[first]) {
			first = p
		}
	}
	if first == nil {
		return nil, defaultInterval
	}
	if wait := s.due[first].Sub(now); wait > 0 {
		return nil, wait
	}
	delete(s.due, first)
	return first, 0
}

// runSchedule looks at products when they are due, a few at once, until ctx ends.
func (n *Node) runSchedule(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.sched.changed:
		case <-timer.C:
		}
		for {
			p, wait := n.sched.pop(n.env.Clock.Now())
			if p == nil {
				timer.Reset(wait)
				break
			}
			select {
			case n.sched.looks <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			n.running.Go(p.name().String(), func(ctx context.Context) error {
				defer func() { <-n.sched.looks }()
				p.lookAfter(ctx)
				return nil
			})
		}
	}
}

// lookAfter is what is done for a product that is due: its sources are read, or, where
// it does not load, its store is looked after.
func (p *product) lookAfter(ctx context.Context) {
	if p.canLoad() == nil {
		p.mu.Lock()
		p.asked = append(p.asked, request{cause: weft.CauseLoad})
		start := !p.working
		p.working = true
		p.mu.Unlock()
		if start {
			p.workOff(ctx)
		}
		return
	}
	if release, err := p.hold(ctx); err == nil {
		release() // it is folded and let go of what is kept too long when it is put back
	}
	p.node.sched.at(p, p.node.env.Clock.Now().Add(tendEvery))
}

// enqueue asks for a load. A second one that nobody waits for is not needed.
func (p *product) enqueue(r request) error {
	p.node.mu.RLock()
	g := p.node.running
	p.node.mu.RUnlock()
	if g != nil && g.Context().Err() != nil {
		return stoppingError("load", p.name().String())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.done == nil && r.window == nil {
		for i, q := range p.asked {
			if q.cause == r.cause && q.window == nil {
				p.asked[i].asked = q.asked || r.asked
				return nil
			}
		}
	}
	if len(p.asked) >= maxAsked {
		return weft.Errorf(weft.KindLimit, "load", p.name().String(), "too many loads of it are waiting").WithHint("wait for the ones before")
	}
	p.asked = append(p.asked, r)
	if g != nil && !p.working {
		p.working = true
		g.Go(p.name().String(), func(ctx context.Context) error { p.workOff(ctx); return nil })
	}
	return nil
}

// workOff does the loads that were asked for, one after the other, and then sets
// when the product is looked at next.
func (p *product) workOff(ctx context.Context) {
	for {
		p.mu.Lock()
		if len(p.asked) == 0 {
			p.working = false
			p.mu.Unlock()
			return
		}
		r := p.asked[0]
		p.asked = p.asked[1:]
		p.mu.Unlock()
		var l loaded
		if ctx.Err() != nil {
			l.err = stoppingError("load", p.name().String())
		} else {
			l = p.attempt(p.node.loading, r)
		}
		if r.done != nil {
			r.done <- l
		}
		p.node.sched.at(p, p.node.env.Clock.Now().Add(p.wait(l)))
		p.node.watch.set(p)
	}
}

// wait is how long after a load the product is looked at again.
func (p *product) wait(l loaded) time.Duration {
	wait := p.interval()
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := weft.KindOf(l.err); l.err != nil && !l.refused && (k == weft.KindUnavailable || k == weft.KindLimit) {
		wait, p.retry = min(p.retry, wait), min(2*p.retry, defaultInterval)
		if !p.lost.IsZero() {
			wait /= 6 // another node is back sooner than a source, and asking it costs less
		}
	} else {
		p.retry = firstRetry
	}
	return wait
}

// firstRead is when a product is looked at after the node has started: at once,
// since a look at an unchanged source costs little.
func (n *Node) firstRead(p *product) time.Time {
	if p.canLoad() != nil {
		return n.env.Clock.Now().Add(tendEvery)
	}
	return n.env.Clock.Now()
}

// attempt runs one load and writes down how it ended.
func (p *product) attempt(ctx context.Context, r request) loaded {
	if err := p.canLoad(); err != nil {
		return loaded{err: err}
	}
	end, err := p.node.work.begin("load", p.name().String())
	if err != nil {
		return loaded{err: err}
	}
	defer end()
	if err := p.node.room("load", p.name().String()); err != nil {
		return loaded{err: err} // no fault of the product: it is not written down as one
	}
	p.setBusy(true)
	defer p.setBusy(false)
	ctx, cut := p.alive(ctx)
	defer cut()
	// Its turn comes first: of many that wait, only those that load are open.
	if err := p.node.loads.Acquire(ctx, 1); err != nil {
		return loaded{err: &weft.Error{Op: "load", Subject: p.name().String(), Kind: weft.KindCancelled, Cause: err}}
	}
	defer p.node.loads.Release(1)
	release, err := p.hold(ctx)
	if err != nil {
		return loaded{err: err}
	}
	defer release()
	ctx, done, err := p.write(ctx)
	if err != nil {
		return loaded{err: err}
	}
	defer done()
	if err := p.canLoad(); err != nil {
		return loaded{err: err} // it was paused or retired while it waited
	}
	return p.loadNow(ctx, r)
}

func (p *product) setBusy(busy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = busy
}

// loadNow is attempt for a product that is held, taken for writing, and whose turn
// it is.
func (p *product) loadNow(ctx context.Context, r request) loaded {
	p.mu.Lock()
	p.waiting = false
	p.mu.Unlock()
	a := records.Attempt{ID: run.NewID(), Started: p.node.env.Clock.Now()}
	ctx = run.WithLog(ctx, slog.String(logLoad, a.ID))
	if r.by != "" {
		ctx = run.WithLog(ctx, slog.String(logRequest, r.by))
	}
	told := p.beginRun(a)
	l := p.flow(ctx, r, &a)
	a.Ended = p.node.env.Clock.Now()
	a.Verdict, a.Notes = l.verdict, l.notes
	switch {
	case l.refused:
		a.Outcome = records.Refused
	case l.err != nil:
		a.Outcome = records.Failed
	case l.commit != nil:
		a.Outcome, a.Seq = records.Committed, l.commit.Seq
	default:
		a.Outcome = records.Unchanged
	}
	if l.err != nil {
		a.Error, a.Kind, a.Hint = l.err.Error(), weft.KindOf(l.err), weft.HintOf(l.err)
	}
	p.finish(ctx, a)
	told.end(a, l, ctx.Err() != nil)
	if l.commit != nil {
		p.node.notify(p.name())
	}
	return l
}

// finish keeps the attempt, in memory and in the books.
func (p *product) finish(ctx context.Context, a records.Attempt) {
	p.mu.Lock()
	p.busy, p.last = false, &a // who sees the end of it does not see it run
	if a.Outcome == records.Committed || a.Outcome == records.Unchanged {
		p.lastOK = a.Ended
	}
	id := p.rec.ID
	p.mu.Unlock()
	p.node.count.load(a)
	log := p.node.env.Log.With("product", p.name().String(), "outcome", string(a.Outcome), "seconds", a.Ended.Sub(a.Started).Seconds())
	switch {
	case a.Error != "":
		log.WarnContext(ctx, "load", "error", a.Error)
	case a.Outcome == records.Unchanged:
		log.DebugContext(ctx, "load")
	default:
		log.InfoContext(ctx, "load", "seq", uint64(a.Seq), "rows", a.Rows)
	}
	if ctx.Err() == nil { // a load that the node's end broke off says nothing of the product
		if err := p.node.books.PutAttempt(context.WithoutCancel(ctx), id, a); err != nil {
			p.node.env.Log.Error("record the attempt", "product", p.name().String(), "error", err)
		}
	}
	p.noteCommit()
}

// interval is how long to wait before the sources are read again: the shortest
// that any port's frequency says.
func (p *product) interval() time.Duration {
	p.mu.Lock()
	b := p.brief
	p.mu.Unlock()
	if d := b.wait(p.node.env.Clock.Now()); d > 0 {
		return max(d, time.Second)
	}
	return defaultInterval
}
