package engine

import (
	"sync"

	"weft/budget"
)

// Ending is why a worker process is gone. There are few, so that they can be
// labels of a metric.
type Ending string

const (
	EndRetired  Ending = "retired"  // by the pool: not needed any more, or not to be used again
	EndClosed   Ending = "closed"   // whoever asked left while a statement ran
	EndDeadline Ending = "deadline" // it did not stop in time when it was told to
	EndSpill    Ending = "spill"    // it wrote more to its temp folder than it may
	EndMemory   Ending = "memory"   // it or the machine ran out of memory
	EndCrashed  Ending = "crashed"  // by itself, or killed from outside
)

// Endings are all of them.
func Endings() []Ending {
	return []Ending{EndRetired, EndClosed, EndDeadline, EndSpill, EndMemory, EndCrashed}
}

// WorkerCounts is what a pool has counted since it was made.
type WorkerCounts struct {
	Started int64
	Ended   map[Ending]int64 // has all endings
}

// tally is the pool's counts. Its zero value is ready.
type tally struct {
	mu      sync.Mutex
	started int64
	ended   map[Ending]int64
}

// Counts are the pool's counts. Safe for concurrent use.
func (p *Pool) Counts() WorkerCounts {
	t := &p.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	c := WorkerCounts{Started: t.started, Ended: map[Ending]int64{}}
	for _, e := range Endings() {
		c.Ended[e] = t.ended[e]
	}
	return c
}

// start counts a worker that has started.
func (t *tally) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started++
}

// end counts a worker that is gone.
func (t *tally) end(e Ending) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended == nil {
		t.ended = map[Ending]int64{}
	}
	t.ended[e]++
}

// Workers counts the worker processes that live, and those of them that wait for
// work.
func (p *Pool) Workers() (live, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle = len(p.spare)
	for _, ss := range p.idle {
		idle += len(ss)
	}
	return len(p.live), idle
}

// Division is what of the pool's budget is in use and who waits for it, by lane;
// empty where it has none.
func (p *Pool) Division() budget.State {
	if p.cfg.Budget == nil {
		return budget.State{}
	}
	return p.cfg.Budget.State()
}
