// Package budget divides a node's memory, threads, room to spill and places
// among those who ask for them, and says whose turn it is. It starts nothing and
// knows no engine: whoever holds a Grant may use what it says until Release.
package budget

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Lane is the kind of work that asks. Each lane has a queue of its own and a
// reserve that the others leave alone, so that none can starve another.
type Lane int

// The lanes, in the order in which they are served.
const (
	Light Lane = iota // questions that are answered soon
	Own               // the node's own work: loads and folds
	Heavy             // questions that are not
	lanes
)

// String names the lane.
func (l Lane) String() string { return [...]string{"light", "own", "heavy"}[l] }

// Amount is what one holder takes, or what there is to take.
type Amount struct {
	Memory  int64 // bytes
	Temp    int64 // bytes to spill
	Threads int
	Places  int
}

func (a Amount) plus(b Amount) Amount {
	return Amount{a.Memory + b.Memory, a.Temp + b.Temp, a.Threads + b.Threads, a.Places + b.Places}
}

func (a Amount) minus(b Amount) Amount {
	return Amount{a.Memory - b.Memory, a.Temp - b.Temp, a.Threads - b.Threads, a.Places - b.Places}
}

// positive is a with nothing below zero.
func (a Amount) positive() Amount {
	return Amount{max(a.Memory, 0), max(a.Temp, 0), max(a.Threads, 0), max(a.Places, 0)}
}

// lacks names what b has too little of for a; "" where a fits into b.
func (a Amount) lacks(b Amount) string {
	switch {
	case a.Memory > b.Memory:
		return "memory"
	case a.Temp > b.Temp:
		return "temp"
	case a.Threads > b.Threads:
		return "threads"
	case a.Places > b.Places:
		return "places"
	}
	return ""
}

// Config says what there is and how it is divided. The reserves together must
// not be more than the total.
type Config struct {
	Total   Amount
	Reserve [lanes]Amount // what the other lanes leave free for this one
	// Running is how many grants of a lane one asker may hold; 0 is no limit.
	Running [lanes]int
	// RunningAll is how many grants of both lanes of questions one asker may hold; 0
	// is no limit. It leaves a place for those who hold nothing.
	RunningAll int
	// Queued is how many asks of a lane one asker may have waiting; 0 is no limit.
	Queued [lanes]int
	// QueuedAll is the same for all askers together.
	QueuedAll [lanes]int
}

// SetLane sets what concerns one lane.
func (c *Config) SetLane(l Lane, reserve Amount, running, queued, queuedAll int) {
	c.Reserve[l], c.Running[l], c.Queued[l], c.QueuedAll[l] = reserve, running, queued, queuedAll
}

// Most is the most that one ask of the lane can ever be given.
func (c Config) Most(l Lane) Amount {
	most := c.Total
	for other := range lanes {
		if other != l {
			most = most.minus(c.Reserve[other])
		}
	}
	return most.positive()
}

// Validate says whether the reserves fit into the total.
func (c Config) Validate() error {
	var sum Amount
	for _, r := range c.Reserve {
		sum = sum.plus(r)
	}
	if what := sum.lacks(c.Total); what != "" {
		return fmt.Errorf("the lanes are promised more %s than there is", what)
	}
	return nil
}

// Ask is one wish.
type Ask struct {
	Who    string // whose turn it is: a subject, a product
	Lane   Lane
	Amount Amount
}

// Refusal says which rule an ask was refused by.
type Refusal struct {
	Rule  string        // one sentence without a full stop
	After time.Duration // when it may be worth to ask again; 0 is never
}

// Error is the rule.
func (r *Refusal) Error() string { return r.Rule }

// Budget gives out grants. Safe for concurrent use.
type Budget struct {
	cfg Config
	now func() time.Time

	mu      sync.Mutex
	used    [lanes]Amount
	askers  [lanes]map[string]*asker
	waiting [lanes]int
	order   uint64
	took    [lanes]time.Duration // how long a grant is held, on average
}

// asker is one Who in one lane, as long as it holds or waits for something.
type asker struct {
	running int
	spent   time.Duration // held so far, and a start that the others had then
	queue   []*wait
}

// wait is one ask that waits. ready is closed, with grant set, when its turn came.
type wait struct {
	ask   Ask
	order uint64
	ready chan struct{}
	grant *Grant
}

// New returns a Budget; now tells the time.
func New(cfg Config, now func() time.Time) *Budget {
	b := &Budget{cfg: cfg, now: now}
	for l := range lanes {
		b.askers[l] = map[string]*asker{}
	}
	return b
}

// Config returns what the budget was made with.
func (b *Budget) Config() Config { return b.cfg }

// Grant is what an ask was given, until Release.
type Grant struct {
	b     *Budget
	ask   Ask
	began time.Time
	done  bool
}

// Take waits for its turn. It is refused at once, with a *Refusal, where the ask
// can never be met or the queue is full; an ended ctx gives its error.
func (b *Budget) Take(ctx context.Context, a Ask) (*Grant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	w, err := b.join(a)
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	b.serve()
	b.mu.Unlock()
	select {
	case <-w.ready:
		return w.grant, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.grant != nil { // both at once: what was given is given back
		b.release(w.grant)
		return nil, ctx.Err()
	}
	b.leave(w)
	return nil, ctx.Err()
}

// join puts an ask into its queue.
func (b *Budget) join(a Ask) (*wait, error) {
	if what := a.Amount.lacks(b.cfg.Most(a.Lane)); what != "" {
		return nil, &Refusal{Rule: fmt.Sprintf("it may use more %s than the node can ever give to one", what)}
	}
	s := b.askers[a.Lane][a.Who]
	mine := 0
	if s != nil {
		mine = len(s.queue)
	}
	if most := b.cfg.Queued[a.Lane]; most > 0 && mine >= most {
		return nil, &Refusal{Rule: fmt.Sprintf("%d of yours are waiting already, the most that one may have", mine), After: b.after(a.Lane, mine)}
	}
	if most := b.cfg.QueuedAll[a.Lane]; most > 0 && b.waiting[a.Lane] >= most {
		return nil, &Refusal{Rule: fmt.Sprintf("%d are waiting already, the most that the node lets wait", b.waiting[a.Lane]), After: b.after(a.Lane, b.waiting[a.Lane])}
	}
	if s == nil {
		s = &asker{spent: b.least(a.Lane)}
		b.askers[a.Lane][a.Who] = s
	}
	b.order++
	w := &wait{ask: a, order: b.order, ready: make(chan struct{})}
	s.queue = append(s.queue, w)
	b.waiting[a.Lane]++
	return w, nil
}

// least is what the asker that had least of the lane has had: one who comes anew
// starts there, neither punished nor with a claim for the time of absence.
func (b *Budget) least(l Lane) time.Duration {
	least := time.Duration(-1)
	for _, s := range b.askers[l] {
		if least < 0 || s.spent < least {
			least = s.spent
		}
	}
	return max(least, 0)
}

// leave takes an ask that nobody waits for any more out of its queue.
func (b *Budget) leave(w *wait) {
	s := b.askers[w.ask.Lane][w.ask.Who]
	for i, o := range s.queue {
		if o == w {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			break
		}
	}
	b.waiting[w.ask.Lane]--
	b.forget(w.ask)
	b.serve() // it may have stood in front of one that fits
}

func (b *Budget) forget(a Ask) {
	if s := b.askers[a.Lane][a.Who]; s != nil && s.running == 0 && len(s.queue) == 0 {
		delete(b.askers[a.Lane], a.Who)
	}
}
