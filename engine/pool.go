package engine

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"weft"
	"weft/budget"
	"weft/run"
)

// PoolConfig says how many workers are kept ready.
type PoolConfig struct {
	// Warm is how many spare workers are kept started, for any session.
	Warm int
	// Idle is how many closed sessions of one configuration are kept for the
	// next; 0 is 2.
	Idle int
	// IdleFor is how long one is kept; 0 is a minute.
	IdleFor time.Duration
	// Budget is what sessions wait for; nil gives each one at once.
	Budget *budget.Budget
	// Memory is the most that the limits of all workers that live may come to,
	// where there is a Budget: at least its total and that of the spare workers.
	Memory int64
	// Spill is the most that one worker may write to its temp folder; 0 is what
	// its session asks for.
	Spill int64

	seen  func(path string, given bool) // see leave
	reach func(pid int) bool            // see reachable; a test's may say no
}

// Pool hands out sessions, each in a worker process of its own. It implements
// Sessions.
type Pool struct {
	cfg PoolConfig
	env run.Env

	mu     sync.Mutex
	spare  []*process
	idle   map[string][]*session
	live   map[*process]bool
	slow   map[*process]bool // of heavy questions; true once it gave way
	limits int64             // of memory, of all workers that live
	room   *sync.Cond        // limits became less
	starts chan startRequest // to the thread that starts workers, once there is one
	wake   chan struct{}     // a spare worker was taken
	done   chan struct{}     // closed with the pool
	closed bool

	tally tally
}

type startRequest struct{ answer chan startAnswer }

type startAnswer struct {
	p   *process
	err error
}

// NewPool returns a pool that has started nothing.
func NewPool(cfg PoolConfig, env run.Env) *Pool {
	if cfg.Idle <= 0 {
		cfg.Idle = 2
	}
	if cfg.IdleFor <= 0 {
		cfg.IdleFor = time.Minute
	}
	if cfg.reach == nil {
		cfg.reach = reachable
	}
	p := &Pool{
		cfg: cfg, env: env, idle: map[string][]*session{}, live: map[*process]bool{}, slow: map[*process]bool{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	p.room = sync.NewCond(&p.mu)
	return p
}

// Run keeps spare workers started and ends idle ones until ctx ends, then
// closes the pool. Sessions can be had before and without it.
func (p *Pool) Run(ctx context.Context) error {
	defer p.Close()
	tick := time.NewTicker(p.cfg.IdleFor / 4)
	defer tick.Stop()
	spill := time.NewTicker(spillEvery)
	defer spill.Stop()
	for {
		p.fill()
		p.evict(time.Now().Add(-p.cfg.IdleFor))
		for looking := true; looking; {
			looking = false
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			case <-p.wake:
			case <-spill.C:
				p.watchSpill()
				looking = true
			}
		}
	}
}

// fill starts spare workers up to the configured number.
func (p *Pool) fill() {
	for {
		p.mu.Lock()
		enough := p.closed || len(p.spare) >= p.cfg.Warm
		p.mu.Unlock()
		if enough {
			return
		}
		w, err := p.start()
		if err != nil {
			p.env.Log.Warn("a spare worker did not start", "error", err)
			return
		}
		p.mu.Lock()
		closed := p.closed
		if !closed {
			p.spare = append(p.spare, w)
		}
		p.mu.Unlock()
		if closed {
			p.drop(w)
			return
		}
	}
}

// evict ends sessions that have been idle since before.
func (p *Pool) evict(before time.Time) {
	var old []*session
	p.mu.Lock()
	for k, ss := range p.idle {
		keep := ss[:0]
		for _, s := range ss {
			if s.idle.Before(before) {
				old = append(old, s)
			} else {
				keep = append(keep, s)
			}
		}
		if p.idle[k] = keep; len(keep) == 0 {
			delete(p.idle, k)
		}
	}
	p.mu.Unlock()
	for _, s := range old {
		p.retire(s)
	}
}

// start starts a worker, on a thread that lives as long as the pool.
func (p *Pool) start() (*process, error) {
	stopping := weft.Errorf(weft.KindUnavailable, "start a worker", "", "the node is stopping")
	p.mu.Lock()
	if p.starts == nil && !p.closed {
		p.starts = make(chan startRequest)
		go starter(p.starts, p.done, &p.tally)
	}
	ch := p.starts
	p.mu.Unlock()
	p.makeRoom(SpareMemory)
	req := startRequest{make(chan startAnswer, 1)}
	select {
	case ch <- req:
	case <-p.done:
		p.freeRoom(SpareMemory)
		return nil, stopping
	}
	a := <-req.answer
	if a.err != nil {
		p.freeRoom(SpareMemory)
		return nil, weft.Errorf(weft.KindUnavailable, "start a worker", "", "%w", a.err)
	}
	p.mu.Lock()
	closed := p.closed
	p.live[a.p] = true
	a.p.limit = SpareMemory
	p.mu.Unlock()
	if closed {
		p.drop(a.p)
		return nil, stopping
	}
	return a.p, nil
}

// starter starts processes on one thread: workers are killed with the thread
// that started them, which is right when the node dies and wrong when Go gives
// up a thread. The thread ends with the pool, and what it started with it.
func starter(ch <-chan startRequest, done <-chan struct{}, t *tally) {
	runtime.LockOSThread()
	for {
		select {
		case r := <-ch:
			w, err := startProcess(t.end)
			if err == nil {
				t.start()
			}
			r.answer <- startAnswer{w, err}
		case <-done:
			return
		}
	}
}

// Session returns a session of cfg when its turn has come: an idle one of the
// same configuration, else a spare worker, else a new one.
func (p *Pool) Session(ctx context.Context, cfg SessionConfig) (Session, error) {
	set := p.settingsOf(cfg)
	g, err := p.admit(ctx, cfg, set)
	if err != nil {
		return nil, err
	}
	s, err := p.open(ctx, cfg, set)
	if err != nil {
		g.Release()
		return nil, err
	}
	s.grant = g
	switch cfg.Lane {
	case LaneHeavy:
		Demote(s, true)
	case LaneLight:
		p.giveWay()
	}
	return s, nil
}

// open returns a session in a worker that is ready for it.
func (p *Pool) open(ctx context.Context, cfg SessionConfig, set settings) (*session, error) {
	key := keyOf(set)
	if s := p.takeIdle(key, cfg); s != nil {
		return s, nil
	}
	return p.fresh(ctx, cfg, key)
}

// fresh returns a session in a worker that nobody has used, with the settings
// that key says. A spare worker may have died while it rested: then another is
// taken.
func (p *Pool) fresh(ctx context.Context, cfg SessionConfig, key string) (*session, error) {
	for tries := 0; ; tries++ {
		s, err := p.prepare(ctx, cfg, key)
		if err != errNeverBegun || tries == freshTries {
			return s, err
		}
	}
}

// freshTries is how many workers in a row may die before they are ready.
const freshTries = 3

// prepare makes one worker ready.
func (p *Pool) prepare(ctx context.Context, cfg SessionConfig, key string) (*session, error) {
	var set settings
	if err := json.Unmarshal([]byte(key), &set); err != nil {
		return nil, weft.Errorf(weft.KindInternal, "start a worker", "", "%w", err)
	}
	w, err := p.takeSpare()
	if err != nil {
		return nil, err
	}
	s := &session{pool: p, cfg: cfg, key: key, proc: w}
	if cfg.Temp != "" {
		if err := os.MkdirAll(cfg.Temp, 0o700); err != nil {
			p.drop(w)
			return nil, weft.Errorf(weft.KindUnavailable, "start a worker", "", "the folder to spill to: %w", err)
		}
		set.Temp = filepath.Join(cfg.Temp, "worker-"+strconv.Itoa(w.cmd.Process.Pid))
		w.setTemp(set.Temp, set.TempBytes)
	}
	set.Leave = set.Leave && p.cfg.reach(w.cmd.Process.Pid)
	set.Rules = cfg.rules(set)
	p.makeRoom(set.Limit - w.limit)
	w.limit = set.Limit
	if err := s.configure(ctx, set); err != nil {
		p.retire(s)
		return nil, err
	}
	if cfg.Background {
		w.stepBack()
	}
	return s, nil
}

// takeIdle returns a healthy idle session.
func (p *Pool) takeIdle(key string, cfg SessionConfig) *session {
	for {
		p.mu.Lock()
		ss := p.idle[key]
		if p.closed || len(ss) == 0 {
			p.mu.Unlock()
			return nil
		}
		s := ss[len(ss)-1]
		p.idle[key] = ss[:len(ss)-1]
		p.mu.Unlock()
		select {
		case <-s.proc.gone:
			p.retire(s)
			continue
		default:
		}
		return &session{pool: p, cfg: cfg, key: key, proc: s.proc, prot: s.prot, ids: s.ids, rested: true}
	}
}

func (p *Pool) takeSpare() (*process, error) {
	defer func() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}()
	for {
		p.mu.Lock()
		if len(p.spare) == 0 {
			p.mu.Unlock()
			return p.start()
		}
		w := p.spare[0]
		p.spare = p.spare[1:]
		p.mu.Unlock()
		select {
		case <-w.gone:
			p.drop(w)
		default:
			return w, nil
		}
	}
}

// giveBack keeps a healthy session for the next one of the same configuration,
// or ends it.
func (p *Pool) giveBack(s *session) {
	defer s.grant.Release()
	w := p.workerOf(s)
	level := p.level(w)
	if !s.mu.TryLock() { // a statement runs: it is killed
		w.kill(EndClosed)
		p.drop(w)
		return
	}
	defer s.mu.Unlock()
	p.evict(time.Now().Add(-p.cfg.IdleFor))
	if level && !s.broken.Load() && !s.dirty && s.cfg.Write == "" {
		s.idle = time.Now()
		p.mu.Lock()
		if !p.closed && len(p.idle[s.key]) < p.cfg.Idle {
			p.idle[s.key] = append(p.idle[s.key], s)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
	p.retire(s)
}

// retire ends the worker of a session that nobody has in hand.
func (p *Pool) retire(s *session) { p.drop(s.proc) }

// drop ends a worker and waits until it is gone. Idempotent: its memory is counted
// off once.
func (p *Pool) drop(w *process) {
	w.kill(EndRetired)
	<-w.gone
	w.clean() // it may have been told of its folder when it was gone already
	w.leave.close()
	p.mu.Lock()
	counted := p.live[w]
	delete(p.live, w)
	delete(p.slow, w)
	p.mu.Unlock()
	if counted {
		p.freeRoom(w.limit)
	}
}

// workerOf is the worker that a session has now.
func (p *Pool) workerOf(s *session) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.proc
}

// adopt gives a session the worker of another, and reports whether it did: one that
// was closed meanwhile has given back what it had, and gets nothing more. The
// session's own lock is held.
func (p *Pool) adopt(s, fresh *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.closed.Load() {
		return false
	}
	s.proc, s.prot = fresh.proc, fresh.prot
	if s.slow {
		p.slow[s.proc] = false
	}
	return true
}

// Close ends all workers. Idempotent.
func (p *Pool) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	live := p.live
	p.live, p.slow, p.spare, p.idle = map[*process]bool{}, map[*process]bool{}, nil, map[string][]*session{}
	p.mu.Unlock()
	p.room.Broadcast()
	for w := range live {
		w.kill(EndRetired)
	}
	for w := range live {
		<-w.gone
		w.leave.close()
	}
	close(p.done)
}

// settingsOf checks which of the paths are folders, and asks for no more than
// anybody can be given.
func (p *Pool) settingsOf(c SessionConfig) settings {
	s := settings{
		Write: c.Write, Memory: c.Memory, Threads: c.Threads, Temp: c.Temp, TempBytes: c.TempBytes, Ordered: c.Ordered, Leave: c.Leave,
	}
	if s.Threads <= 0 {
		s.Threads = runtime.NumCPU()
	}
	if s.Memory <= 0 {
		s.Memory = 1 << 30
	}
	if p.cfg.Spill > 0 {
		s.TempBytes = min(s.TempBytes, p.cfg.Spill)
	}
	if s.Temp == "" {
		s.TempBytes = 0
	}
	if b := p.cfg.Budget; b != nil {
		most := b.Config().Most(budgetLanes[c.Lane])
		s.Threads = min(s.Threads, most.Threads)
		s.TempBytes = min(s.TempBytes, most.Temp)
		s.Memory = min(s.Memory, max(most.Memory-ProcessMemory(0, s.Threads), leastMemory))
	}
	s.Limit = ProcessMemory(s.Memory, s.Threads)
	for _, r := range c.Read {
		if fi, err := os.Stat(r); err == nil && fi.IsDir() {
			s.Folders = append(s.Folders, r)
		} else {
			s.Files = append(s.Files, r)
		}
	}
	return s
}

// leastMemory is what a statement needs to be any good.
const leastMemory = 32 << 20

func keyOf(s settings) string {
	b, _ := json.Marshal(s) // strings and numbers always encode
	return string(b)
}

var _ Sessions = (*Pool)(nil)
