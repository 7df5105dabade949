package engine

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"weft"
	"weft/budget"
)

// Lane is the queue of the node's budget that a session waits in.
type Lane int

// The lanes.
const (
	LaneOwn   Lane = iota // the node's own work: loads, folds
	LaneLight             // questions that are answered soon
	LaneHeavy             // questions that are not
)

var budgetLanes = [...]budget.Lane{LaneOwn: budget.Own, LaneLight: budget.Light, LaneHeavy: budget.Heavy}

// ProcessMemory is what a worker may have in all whose statements may use memory
// bytes on so many threads: the limit that the operating system is given.
func ProcessMemory(memory int64, threads int) int64 {
	return memory + base + margin + int64(threads)*perThread
}

const (
	base      = 128 << 20 // of a worker that has done nothing yet: code, arenas, the Go side
	margin    = 192 << 20 // above the memory of statements: parser, batches on their way
	perThread = 16 << 20
	// SpareMemory is what a worker may have that is not configured yet.
	SpareMemory = 320 << 20
)

// admit waits until the session's turn has come.
func (p *Pool) admit(ctx context.Context, cfg SessionConfig, set settings) (*budget.Grant, error) {
	if p.cfg.Budget == nil {
		return nil, nil
	}
	who := cfg.Who
	if who == "" {
		who = cfg.Name
	}
	g, err := p.cfg.Budget.Take(ctx, budget.Ask{
		Who: who, Lane: budgetLanes[cfg.Lane],
		Amount: budget.Amount{Memory: set.Limit, Temp: set.TempBytes, Threads: set.Threads, Places: 1},
	})
	var r *budget.Refusal
	switch {
	case err == nil:
		return g, nil
	case errors.As(err, &r):
		e := weft.Errorf(weft.KindLimit, "wait for a turn", "", "%s", r.Rule)
		if e.After = r.After; e.After > 0 {
			return nil, e.WithHint("ask again in %d s", int(r.After.Seconds()))
		}
		return nil, e.WithHint("ask for less, or raise memory, threads or temp in the node's settings")
	}
	e := contextFault(ctx, 0)
	if e.Kind == weft.KindLimit {
		e.Op, e.After = "wait for a turn", p.cfg.Budget.After(budgetLanes[cfg.Lane])
		e.Hint = fmt.Sprintf("ask again in %d s, or with a longer deadline", int(e.After.Seconds()))
	}
	return nil, e
}

// makeRoom adds n to the limits of the workers that live, and ends sessions that
// only wait for work where the node's memory would not hold all. What is granted
// fits, so that what is in the way is idle or about to be gone.
func (p *Pool) makeRoom(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed && p.cfg.Budget != nil && n > 0 && p.limits+n > p.cfg.Memory {
		s := p.oldestIdle()
		if s == nil {
			p.room.Wait()
			continue
		}
		p.mu.Unlock()
		p.retire(s)
		p.mu.Lock()
	}
	p.limits += n
}

// oldestIdle takes the session that has been idle longest; the lock is held.
func (p *Pool) oldestIdle() *session {
	var oldest *session
	for _, ss := range p.idle {
		if len(ss) > 0 && (oldest == nil || ss[0].idle.Before(oldest.idle)) {
			oldest = ss[0]
		}
	}
	if oldest != nil {
		k := oldest.key
		if p.idle[k] = p.idle[k][1:]; len(p.idle[k]) == 0 {
			delete(p.idle, k)
		}
	}
	return oldest
}

// freeRoom takes n off the limits of the workers that live.
func (p *Pool) freeRoom(n int64) {
	p.mu.Lock()
	p.limits -= n
	p.mu.Unlock()
	p.room.Broadcast()
}

// Demote moves a session to the heavy lane, where its statement has turned out
// to take long. Without force it does so only where that lane has room, and
// reports whether it did. Sessions that wait in no queue are moved always.
func Demote(s Session, force bool) bool {
	c, ok := s.(*session)
	if !ok {
		return true
	}
	if !c.grant.Move(budget.Heavy, force) {
		return false
	}
	c.pool.markSlow(c)
	return true
}

// markSlow notes that a session is of a heavy question, in whatever worker. One that
// is closed has given its worker back, which may be another's by now.
func (p *Pool) markSlow(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.closed.Load() {
		return
	}
	s.slow = true
	if _, ok := p.slow[s.proc]; !ok && p.live[s.proc] {
		p.slow[s.proc] = false
	}
}

// niceness is what a heavy question's worker is put back by when a light one is
// there: about a tenth of the light one's share of a core.
const niceness = 10

// giveWay puts the workers of heavy questions behind a light one.
func (p *Pool) giveWay() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w, behind := range p.slow {
		if !behind {
			p.slow[w] = w.setLevel(min(ownLevel()+niceness, 19))
		}
	}
}

// ownLevel is the level that the node runs on.
func ownLevel() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	return 20 - n // so the system call has it
}

// level puts a worker that gave way back on one level with the others. A process
// without the right to do that is not used again.
func (p *Pool) level(w *process) bool {
	p.mu.Lock()
	behind := p.slow[w]
	delete(p.slow, w)
	p.mu.Unlock()
	return !behind || w.setLevel(ownLevel())
}

// setLevel reports whether it has put the worker on a level; one that is gone has
// none, and its number may be another's.
func (p *process) setLevel(level int) bool {
	select {
	case <-p.gone:
		return false
	default:
		return unix.Setpriority(unix.PRIO_PGRP, p.cmd.Process.Pid, level) == nil
	}
}
