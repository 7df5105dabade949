package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sys/unix"

	"weft"
	"weft/budget"
)

// grace is how long a worker has to answer an interrupt before it is killed.
const grace = time.Second

// session is the node's side of one worker. It implements Session.
type session struct {
	pool *Pool
	cfg  SessionConfig
	key  string   // of the settings, empty where the worker cannot be used again
	proc *process // changes under mu and the pool's lock: either is enough to read it
	prot *Protection
	slow bool // of a heavy question; the pool's lock guards it
	// grant is what the node's budget gave; nil where there is none.
	grant *budget.Grant

	mu     sync.Mutex // one statement at a time
	closed atomic.Bool
	broken atomic.Bool   // the stream of frames cannot be trusted any more
	busy   atomic.Uint64 // id of the running job
	ids    uint64
	dirty  bool
	rested bool          // the worker has waited for this session, and may have died meanwhile
	share  atomic.Uint64 // last progress heard, float bits
	asked  atomic.Bool   // for progress, and not answered yet
	idle   time.Time
}

// call is one job on its way.
type call struct {
	s     *session
	proc  *process
	ctx   context.Context
	id    uint64
	began time.Time
	late  atomic.Bool // killed because it did not answer an interrupt
	asked atomic.Bool // to stop
	begun bool        // the worker has said so, or was not asked to

	read sync.Mutex // of frames, between the reader and the end of the context
	out  *outcome   // once the job has ended
	err  error      // once it has failed

	mu    sync.Mutex
	ended bool
	stop  func() bool // of cancel
	timer *time.Timer // that kills, once the worker was interrupted
}

// begin sends a job. The session is locked until the call's end.
func (s *session) begin(ctx context.Context, do, text string, st *Statement) (*call, error) {
	if !s.mu.TryLock() {
		return nil, weft.Errorf(weft.KindConflict, "run the statement", "", "the session runs another statement")
	}
	if s.closed.Load() || s.broken.Load() {
		s.mu.Unlock()
		return nil, weft.Errorf(weft.KindUnavailable, "run the statement", "", "the session is closed")
	}
	if err := ctx.Err(); err != nil {
		s.mu.Unlock()
		return nil, contextFault(ctx, 0)
	}
	s.ids++
	j := job{ID: s.ids, Do: do, Text: text, Say: s.rested}
	var over handover
	if st != nil {
		j.Text, j.Else, j.Views = st.SQL, st.Else, st.Views
		defer over.close()
		if err := over.pack(st, &j); err != nil {
			s.mu.Unlock()
			return nil, weft.Errorf(weft.KindUnavailable, "hand data to the engine", "", "%w", err)
		}
	}
	c := &call{s: s, proc: s.proc, ctx: ctx, id: j.ID, began: time.Now(), begun: !j.Say}
	s.share.Store(math.Float64bits(-1))
	s.asked.Store(false)
	s.busy.Store(j.ID)
	if st != nil {
		s.proc.leave.allow(st.Files)
	}
	// A worker that does not even read its job is killed like one that does not
	// answer: the end of the context is watched before anything is sent.
	sent := make(chan struct{})
	c.watch(func() {
		c.killLater()
		<-sent
		c.cancel()
	})
	defer close(sent)
	if err := s.proc.wire.sendJSON(frameStatement, over.fds(), j); err != nil {
		c.fail(err)
		return nil, c.err
	}
	return c, nil
}

// cancel runs when the context ends before the job.
func (c *call) cancel() {
	c.interrupt()
	c.read.Lock()
	defer c.read.Unlock()
	c.drain()
}

// watch calls f when the context ends before the call.
func (c *call) watch(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = context.AfterFunc(c.ctx, f)
}

// killLater kills the worker after the grace, unless the job has ended by then.
// It reports whether the job still runs.
func (c *call) killLater() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(grace, func() {
			if c.s.busy.Load() == c.id {
				c.late.Store(true)
				c.proc.kill(EndDeadline)
			}
		})
	}
	return true
}

// interrupt asks the worker to stop and kills it when it does not.
func (c *call) interrupt() {
	if c.killLater() && !c.asked.Swap(true) {
		_ = c.proc.wire.sendJSON(frameInterrupt, nil, c.id)
	}
}

// drain reads what is left of a job that is not wanted any more. read is held.
func (c *call) drain() {
	for c.out == nil && c.err == nil {
		_, n, ok := c.frame()
		if !ok {
			return
		}
		if err := c.skip(n); err != nil {
			c.fail(err)
		}
	}
}

func (c *call) skip(n int) error {
	var junk [32 << 10]byte
	for n > 0 {
		k := min(n, len(junk))
		if err := c.proc.wire.full(junk[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// frame reads the header of the next schema or batch; it handles the other
// frames. Not ok means that the job has ended: out or err is set.
func (c *call) frame() (kind byte, n int, ok bool) {
	for c.out == nil && c.err == nil {
		kind, n, err := c.proc.wire.header()
		if err == nil && (kind == frameSchema || kind == frameBatch) {
			return kind, n, true
		}
		var b []byte
		if err == nil {
			b, err = c.proc.wire.payload(n)
		}
		if err == nil {
			err = c.control(kind, b)
		}
		if err != nil {
			c.fail(err)
		}
	}
	return 0, 0, false
}

func (c *call) control(kind byte, b []byte) error {
	switch kind {
	case frameProgress:
		var v float64
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		c.s.share.Store(math.Float64bits(min(v, 1)))
		c.s.asked.Store(false)
		return nil
	case frameBegun:
		c.begun, c.s.rested = true, false
		return nil
	case frameEnd:
		var out outcome
		if err := json.Unmarshal(b, &out); err != nil {
			return err
		}
		if out.ID != c.id {
			return fmt.Errorf("the worker answers job %d, not %d", out.ID, c.id)
		}
		c.s.dirty = c.s.dirty || out.Dirty
		c.out = &out
		if out.Fault != nil {
			c.err = c.fault(out.Fault)
		}
		c.finish()
		return nil
	}
	return fmt.Errorf("frame of kind %q from a worker", kind)
}

// finish lets the session go on.
func (c *call) finish() {
	c.mu.Lock()
	c.ended = true
	if c.stop != nil {
		c.stop()
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.proc.leave.allow(nil)
	c.s.busy.Store(0)
	c.s.mu.Unlock()
}

// fail ends the call and the session: the worker died, or speaks nonsense.
func (c *call) fail(err error) {
	if c.out != nil || c.err != nil {
		return
	}
	c.s.broken.Store(true)
	c.err = c.death(err)
	c.finish()
}

// death says why a worker is gone.
func (c *call) death(err error) error {
	why, memory := c.proc.end()
	const op = "run the statement"
	switch {
	case c.s.closed.Load():
		return weft.Errorf(weft.KindCancelled, op, "", "the session was closed")
	case !c.begun && c.ctx.Err() == nil:
		return errNeverBegun
	case c.late.Load():
		return contextFault(c.ctx, time.Since(c.began))
	case c.id == 0 && c.ctx.Err() != nil:
		return contextFault(c.ctx, 0)
	case c.proc.killedFor() == EndSpill:
		return weft.Errorf(weft.KindLimit, op, "", "it wrote more to its temp folder than it may").
			WithHint("narrow the question, or raise spill in the node's settings")
	case memory:
		return weft.Errorf(weft.KindLimit, op, "", "it needs more memory than it may use (the worker was lost: %s)", why).
			WithHint("narrow the question, or raise the limit")
	}
	c.s.pool.env.Log.Warn("a worker died", "session", c.s.cfg.Name, "error", err, "why", why, "stderr", c.proc.stderr.String())
	return weft.Errorf(weft.KindUnavailable, op, "", "the engine's worker died (%s)", why).
		WithHint("ask again; the node is well")
}

// fault is the error of a job that the worker ended itself.
func (c *call) fault(f *fault) error {
	if f.Kind == weft.KindCancelled {
		return contextFault(c.ctx, time.Since(c.began))
	}
	e := &weft.Error{Op: "run the statement", Kind: f.Kind, Message: f.Message, Hint: f.Hint}
	if f.Unplanned {
		return &unplanned{e}
	}
	return e
}

// contextFault is the error of a statement whose context has ended, after it has run
// for so long; 0 is not at all.
func contextFault(ctx context.Context, after time.Duration) *weft.Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		if after == 0 {
			return weft.Errorf(weft.KindLimit, "run the statement", "", "its deadline passed before it could begin").
				WithHint("ask with a longer deadline")
		}
		return weft.Errorf(weft.KindLimit, "run the statement", "", "it ran longer than it may (stopped after %.1f s)", after.Seconds()).
			WithHint("narrow the question, or ask with a longer deadline")
	}
	e := weft.Errorf(weft.KindCancelled, "run the statement", "", "it was cancelled")
	e.Cause = context.Canceled
	return e
}

// wait reads to the end of a job that has no rows.
func (c *call) wait() (*outcome, error) {
	c.read.Lock()
	defer c.read.Unlock()
	if _, _, ok := c.frame(); ok {
		c.fail(errors.New("rows from a statement that has none"))
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.out, nil
}

// errNeverBegun is the error of a job whose worker had died while it rested.
var errNeverBegun = weft.Errorf(weft.KindUnavailable, "run the statement", "", "the worker died while it waited for work").
	WithHint("ask again; the node is well")

// revive gives the session another worker where its own had died before it began
// with the job, which can then be asked again.
func (s *session) revive(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pool.env.Log.Warn("a worker died while it waited for work", "session", s.cfg.Name, "stderr", s.proc.stderr.String())
	s.pool.drop(s.proc)
	fresh, err := s.pool.fresh(ctx, s.cfg, s.key)
	if err != nil {
		return err
	}
	if !s.pool.adopt(s, fresh) {
		s.pool.drop(fresh.proc)
		return weft.Errorf(weft.KindCancelled, "run the statement", "", "the session was closed")
	}
	s.rested = false
	s.broken.Store(false)
	return nil
}

func (s *session) simple(ctx context.Context, do, text string, st *Statement) (*outcome, error) {
	c, err := s.begin(ctx, do, text, st)
	var out *outcome
	if err == nil {
		out, err = c.wait()
	}
	if err == errNeverBegun {
		if err = s.revive(ctx); err == nil {
			return s.simple(ctx, do, text, st)
		}
	}
	return out, err
}

// Exec implements Session.
func (s *session) Exec(ctx context.Context, st Statement) (int64, error) {
	out, err := s.simple(ctx, "exec", "", &st)
	if err != nil {
		return 0, err
	}
	return out.Rows, nil
}

// Parse implements Session.
func (s *session) Parse(ctx context.Context, text string) ([]byte, error) {
	out, err := s.simple(ctx, "parse", text, nil)
	if err != nil {
		return nil, err
	}
	return []byte(out.Text), nil
}

// Deparse implements Session.
func (s *session) Deparse(ctx context.Context, tree []byte) (string, error) {
	out, err := s.simple(ctx, "deparse", string(tree), nil)
	if err != nil {
		return "", err
	}
	return out.Text, nil
}

// Query implements Session.
func (s *session) Query(ctx context.Context, st Statement) (array.RecordReader, error) {
	c, err := s.begin(ctx, "query", "", &st)
	var r *rows
	if err == nil {
		r, err = newRows(c)
	}
	if err == errNeverBegun {
		if err = s.revive(ctx); err == nil {
			return s.Query(ctx, st)
		}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Progress implements Session. It asks the worker and returns what it said
// last, so that a caller that looks every second is a second behind at most.
func (s *session) Progress() float64 {
	if s.busy.Load() == 0 {
		return -1
	}
	if !s.asked.Swap(true) {
		_ = s.pool.workerOf(s).wire.send(frameProgress, nil)
	}
	return math.Float64frombits(s.share.Load())
}

// ProtectionOf says what holds the worker of a session of a Pool; not ok is
// another kind of session.
func ProtectionOf(s Session) (p Protection, ok bool) {
	c, ok := s.(*session)
	if !ok || c.prot == nil {
		return Protection{}, false
	}
	return *c.prot, true
}

// Close implements Session.
func (s *session) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.pool.giveBack(s)
	return nil
}

// startTime is how long a worker may take to be ready; on a machine with
// anything left it takes some hundredths of it.
const startTime = 30 * time.Second

// configure turns a blank worker into this session's.
func (s *session) configure(outer context.Context, set settings) error {
	ctx, cancel := context.WithTimeout(outer, startTime)
	defer cancel()
	s.mu.Lock()
	c := &call{s: s, proc: s.proc, ctx: ctx, began: time.Now()}
	s.proc.wire.files = true // this one answer comes with a file
	if err := s.proc.wire.sendJSON(frameConfigure, nil, set); err != nil {
		c.fail(err)
		return c.err
	}
	c.watch(func() {
		if outer.Err() != nil {
			s.proc.kill(EndClosed)
			return
		}
		s.proc.kill(EndDeadline)
	})
	out, err := c.wait()
	fds := s.proc.wire.takeFDs()
	s.proc.wire.files = false
	if err == nil {
		s.prot = out.Ready
		err = s.byLeave(&fds)
	}
	for _, fd := range fds { // that nobody has taken
		_ = unix.Close(fd)
	}
	if err != nil && ctx.Err() != nil && outer.Err() == nil {
		return weft.Errorf(weft.KindUnavailable, "start a worker", "", "it was not ready within %v", startTime).
			WithHint("the machine is very busy; try again")
	}
	return err
}

// byLeave begins to answer the wishes of a worker that reads by leave, from the
// descriptor that came with its answer, which it takes.
func (s *session) byLeave(fds *[]int) (err error) {
	if s.prot == nil || !s.prot.Leave {
		return nil
	}
	if len(*fds) != 1 {
		return weft.Errorf(weft.KindInternal, "start a worker", "", "it did not say how to give it files")
	}
	fd := (*fds)[0]
	*fds = nil
	if s.proc.leave, err = newLeave(fd, s.pool.cfg.seen); err != nil {
		return weft.Errorf(weft.KindInternal, "start a worker", "", "%w", err)
	}
	go s.proc.leave.serve()
	return nil
}
