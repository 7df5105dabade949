package federate

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/engine"
)

// Query answers q: it binds the text to products, fixes the cut, waits for its
// turn, and streams the rows from a worker. The deadline runs from now to the last
// row.
func (f *Federation) Query(ctx context.Context, q weft.Question) (*weft.Answer, error) {
	a, ctx := f.asks(ctx, q)
	return a.answer(ctx, nil)
}

// Answer answers what another node asks: over this node's own products, and the tables
// that came with it, which stay the caller's.
func (f *Federation) Answer(ctx context.Context, q FarQuestion) (*weft.Answer, error) {
	came := &given{keys: q.Keys, guests: q.Guests}
	if err := came.check(); err != nil {
		return nil, err
	}
	a, ctx := f.asks(ctx, q.Question)
	a.cut.elsewhere, a.cut.given, a.fixed = nil, came, q.Fixed
	return a.answer(ctx, func(*bound) error { return a.cut.holds(q.Shards) })
}

// Points are the states at which products that are here would be read.
func (f *Federation) Points(ctx context.Context, s weft.Subject, products []weft.Name, at weft.At) (weft.Cut, error) {
	c := newCutter(f, weft.Question{Subject: s, At: at})
	defer c.close()
	for _, n := range products {
		p, ok := c.product(n)
		if !ok {
			return nil, c.unknown(n)
		}
		if err := p.denied(""); err != nil {
			return nil, err
		}
		seq, _, err := c.state(p, nil)
		if err != nil {
			return nil, err
		}
		snap, err := c.snapshot(ctx, p, seq)
		if err != nil {
			return nil, err
		}
		c.add(snap.Point(), true)
	}
	return c.points(), nil
}

// answer answers the question. look, if it is not nil, is shown what is to be run before
// it is.
func (a *asking) answer(ctx context.Context, look func(*bound) error) (*weft.Answer, error) {
	ans, err := a.run(ctx, look)
	if err != nil {
		err = a.failed(ctx, err)
		a.used.Err = err
		a.end()
		return nil, err
	}
	return ans, nil
}

// asks begins a question. What it takes is given back by end.
func (f *Federation) asks(ctx context.Context, q weft.Question) (*asking, context.Context) {
	cfg := f.cfg.Load()
	deadline := cfg.Deadline
	if d := q.Limits.Deadline; d > 0 && (deadline == 0 || d < deadline) {
		deadline = d
	}
	stop := func() {}
	if deadline > 0 {
		ctx, stop = context.WithTimeout(ctx, deadline)
	}
	a := &asking{f: f, q: q, cut: newCutter(f, q)}
	a.cut.elsewhere = cfg.Elsewhere
	f.running.Add(1)
	a.atEnd(func() { f.running.Add(-1) })
	a.atEnd(stop)
	a.atEnd(a.settle)
	a.atEnd(a.leave)
	a.atEnd(a.cut.close)
	return a, ctx
}

// failed gives an error the words that a deadline has.
func (a *asking) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil && (weft.KindOf(err) == weft.KindCancelled || errors.Is(err, ctx.Err())) {
		return cancelled(ctx)
	}
	return err
}

// asking is one question on its way.
type asking struct {
	f       *Federation
	q       weft.Question
	cut     *cutter
	session engine.Session // of the lane it is in; nil before it needs one
	lane    engine.Lane
	since   time.Time                   // that it has had its session
	used    Used                        // up to now
	done    func(Used)                  // told of what was used, where that is wanted
	fixed   func(weft.Cut, int64) error // told of the cut, where another node asks
	weighed weighed                     // why its last step runs at another node, where it does
	parting *parting                    // its parts, where it has any and they are here
	started time.Time                   // that what runs here was begun
	once    sync.Once
	ends    []func() // what to give back, last first
}

func (a *asking) atEnd(f func()) { a.ends = append(a.ends, f) }

func (a *asking) end() {
	a.once.Do(func() {
		for i := len(a.ends) - 1; i >= 0; i-- {
			a.ends[i]()
		}
	})
}

// enter returns the question's session, which it waits for in lane; one of
// another lane is given back before.
func (a *asking) enter(ctx context.Context, lane engine.Lane) (engine.Session, error) {
	if a.session != nil && (a.lane == lane || lane == engine.LaneHeavy && engine.Demote(a.session, false)) {
		a.lane = lane
		return a.session, nil
	}
	a.leave()
	s, err := a.f.session(ctx, a.q, lane)
	if err != nil {
		return nil, err
	}
	a.session, a.lane, a.since = s, lane, time.Now()
	return s, nil
}

func (a *asking) leave() {
	if a.session != nil {
		_ = a.session.Close()
		a.session = nil
		a.used.Time += time.Since(a.since)
	}
}

// settle tells what was used.
func (a *asking) settle() {
	if a.done != nil {
		a.done(a.used)
	}
}

// bound is a question that is ready to run.
type bound struct {
	*engine.Bound
	st     engine.Statement
	work   work
	split  *engine.Split // nil where all is here
	parser engine.Parser
}

// bind reads the text, fixes the cut, and says what is to be run and read.
func (a *asking) bind(ctx context.Context) (b bound, err error) {
	if a.q.At.Named() { // else it would be read now
		return b, weft.Errorf(weft.KindInvalid, "read at the cut", a.q.At.Saved, "there is no saved cut of that name")
	}
	// Reading a text is light, and needs no worker where it was read before.
	parser := a.f.memo.Parser(func(ctx context.Context) (engine.Session, error) { return a.enter(ctx, engine.LaneLight) })
	rules := engine.Rules{
		Resolve: func(r engine.TableRef) (engine.Target, error) { return a.cut.resolve(ctx, r) },
		Now:     func() time.Time { return a.cut.now(ctx) },
		Keys:    a.cut.given.span,
	}
	if a.cut.elsewhere == nil {
		b.Bound, err = engine.Bind(ctx, parser, a.q.SQL, rules)
	} else {
		cut := engine.SplitRules{Rules: rules, Place: a.cut.place, Travels: a.cut.travels, Plain: a.cut.plain}
		b.split, err = engine.SplitQuery(ctx, parser, a.q.SQL, cut)
		if errors.As(err, new(*engine.CutError)) {
			a.cut.plainly()
			cut.Plain = true
			b.split, err = engine.SplitQuery(ctx, parser, a.q.SQL, cut)
		}
		if err == nil {
			switch m, bad := a.moved(ctx, parser, b.split, cut); {
			case bad == nil && m != nil:
				b.split = m
			case bad != nil: // it is cut as for here again
				a.cut.stay()
				b.split, err = engine.SplitQuery(ctx, parser, a.q.SQL, cut)
			}
		}
	}
	if a.cut.failed != nil { // whatever came of that
		err = a.cut.failed
	}
	if err != nil {
		return b, err
	}
	if b.split != nil {
		b.Bound, b.parser = b.split.Bound, parser
		if b.split.Site != "" {
			return b, nil
		}
	}
	b.st.SQL, b.st.Else = b.SQL, b.Else
	a.cut.given.show(&b.st)
	if n, ok := a.cut.count(b.Count); ok {
		b.st.SQL, b.st.Else = b.Count.SQL(n), ""
	} else if b.work, err = a.cut.relations(&b.st); err != nil {
		return b, err
	}
	return b, nil
}

func (a *asking) run(ctx context.Context, look func(*bound) error) (*weft.Answer, error) {
	b, err := a.bind(ctx)
	if err == nil && look != nil {
		err = look(&b)
	}
	if err == nil {
		err = a.admit(ctx)
	}
	if err != nil {
		return nil, err
	}
	ans := &weft.Answer{Cut: a.cut.points(), Held: a.cut.held()}
	if b.split != nil && b.split.Site != "" {
		return a.whole(ctx, b.split)
	}
	if b.split != nil && (len(b.split.Parts) > 0 || a.cut.last != "") {
		if a.cut.last == "" {
			err = a.gather(ctx, &b, ans)
		} else {
			out, bad := a.away(ctx, &b, ans)
			if bad == nil || !staysAfter(ctx, bad) {
				return out, bad
			}
			b, ans, err = a.anew(ctx, look)
		}
		switch {
		case errors.As(err, new(*shardError)):
			a.cut.unshard()
			b, ans, err = a.anew(ctx, look)
		case errors.As(err, new(*engine.CutError)):
			a.cut.plainly()
			b, ans, err = a.anew(ctx, look)
		}
		if err != nil {
			return nil, err
		}
	}
	if a.fixed != nil {
		if err := a.fixed(ans.Cut, ans.Held); err != nil {
			return nil, err
		}
	}
	a.started = time.Now()
	rows, err := a.start(ctx, b.st, a.laneOf(b.Bound, b.work))
	if a.parting != nil && !a.cut.plain && engine.Unplanned(err) {
		// The engine may have a plan for the question where it has none for what was made of it.
		a.leave()
		a.parting.drop()
		a.cut.plainly()
		if b, ans, err = a.anew(ctx, look); err == nil {
			a.started = time.Now()
			rows, err = a.start(ctx, b.st, a.laneOf(b.Bound, b.work))
		}
	}
	if err != nil {
		return nil, err
	}
	a.cut.warn(ans)
	r := &reader{RecordReader: rows, ctx: ctx}
	ans.Schema, ans.Rows = rows.Schema(), r
	ans.Close = func() error {
		r.RecordReader.Release()
		a.end()
		return nil
	}
	return ans, nil
}

// unshard takes no table to be a shard, after a node said that one is not what its card
// says: its contract has changed just now. Every mention is found again.
func (c *cutter) unshard() {
	c.unsharded = true
	clear(c.fars)
}

// plainly has every table read by itself, after the engine could not write what was made of
// the question, or had no plan for it. Every mention is found again.
func (c *cutter) plainly() {
	c.plain = true
	clear(c.fars)
}

// anew cuts a question that was cut, and asks for its parts. Its last step runs here.
func (a *asking) anew(ctx context.Context, look func(*bound) error) (b bound, ans *weft.Answer, err error) {
	a.cut.stay()
	if b, err = a.bind(ctx); err != nil {
		return b, nil, err
	}
	if look != nil {
		if err := look(&b); err != nil {
			return b, nil, err
		}
	}
	ans = &weft.Answer{Cut: a.cut.points(), Held: a.cut.held()}
	return b, ans, a.gather(ctx, &b, ans)
}

// whole has another node answer the question, all of whose tables are there.
func (a *asking) whole(ctx context.Context, split *engine.Split) (*weft.Answer, error) {
	a.leave()
	node, err := weft.ParseKeyID(split.Site)
	if err != nil {
		return nil, err
	}
	products := a.cut.farProducts()[node]
	q := FarQuestion{Question: a.q}
	if at := a.cut.fixedAt(products); !at.IsZero() && q.At.IsZero() {
		q.At = at
	}
	ans, err := a.cut.elsewhere.Ask(ctx, node, q)
	if err != nil {
		return nil, a.cut.wholeFault(ctx, node, products, err)
	}
	r := &reader{RecordReader: ans.Rows, ctx: ctx, fault: func(err error) error { return a.cut.wholeFault(ctx, node, products, err) }}
	out := *ans
	out.Rows = r
	out.Close = func() error {
		err := ans.Close()
		a.end()
		return err
	}
	return &out, nil
}

// wholeFault says why there is no answer of a node that was asked the whole question.
func (c *cutter) wholeFault(ctx context.Context, node weft.KeyID, products []weft.Name, err error) error {
	if ctx.Err() != nil {
		return c.ended(ctx, node, products)
	}
	return c.farFault(node, products, err)
}

// gather has other nodes answer their parts of the question, and puts these in the
// place of their tables.
func (a *asking) gather(ctx context.Context, b *bound, ans *weft.Answer) error {
	a.leave()
	p, err := a.parts(ctx, b.split, b.parser)
	if err != nil {
		return err
	}
	a.parting = p
	a.atEnd(p.drop)
	if len(p.loose) > 0 {
		if err := b.split.Loosen(ctx, b.parser, p.loose); err != nil {
			return err
		}
		b.st.SQL = b.split.SQL
	}
	if err := p.answered(ctx, &b.st); err != nil {
		return err
	}
	if err := p.statement(ctx, &b.st, &b.work); err != nil {
		return err
	}
	cut, held, err := p.cutOf(ans.Cut)
	if err != nil {
		return err
	}
	ans.Cut, ans.Held = cut, ans.Held+held
	ans.Warnings = func() []weft.Warning { return p.warnings }
	ans.Parts = func() []weft.PartUse { return p.uses }
	return nil
}

// A question over at most this much is taken to be light until it has used up its
// slice of time.
const (
	lightBytes = 64 << 20
	lightRows  = 4_000_000
)

// laneOf is where a question is thought to belong.
func (a *asking) laneOf(b *engine.Bound, w work) engine.Lane {
	if b.Endless || w.bytes > lightBytes || w.rows > lightRows || a.f.memo.Marked(b.SQL) {
		return engine.LaneHeavy
	}
	return engine.LaneLight
}

// start runs the statement. A question that was thought to be light and has no
// rows after its slice goes on among the heavy ones where there is room, and else
// gives up its worker and waits for its turn among them.
func (a *asking) start(ctx context.Context, st engine.Statement, lane engine.Lane) (array.RecordReader, error) {
	s, err := a.enter(ctx, lane)
	if err != nil {
		return nil, err
	}
	a.used.Began = true
	if lane == engine.LaneHeavy {
		began := time.Now()
		rows, err := s.Query(ctx, st)
		if err == nil && time.Since(began) < a.f.cfg.Load().Slice {
			a.f.memo.Unmark(st.SQL) // where it was slow before, it is not now
		}
		return rows, err
	}
	t := startSlice(ctx, a.f.cfg.Load().Slice, s)
	a.atEnd(t.stop)
	rows, err := s.Query(t.ctx, st)
	if !t.begun() {
		return rows, err
	}
	if err == nil {
		rows.Release()
	}
	a.leave()
	a.f.memo.Mark(st.SQL) // the next one of the same words need not try
	if s, err = a.enter(ctx, engine.LaneHeavy); err != nil {
		return nil, err
	}
	return s.Query(ctx, st)
}

// slice is the time that a light question may take.
type slice struct {
	ctx     context.Context
	cancel  context.CancelFunc
	session engine.Session
	timer   *time.Timer

	mu     sync.Mutex
	rows   bool // the answer has begun: it cannot be started again
	gaveUp bool
}

func startSlice(ctx context.Context, d time.Duration, s engine.Session) *slice {
	t := &slice{session: s}
	t.ctx, t.cancel = context.WithCancel(ctx)
	t.timer = time.AfterFunc(d, t.over)
	return t
}

func (t *slice) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !engine.Demote(t.session, t.rows) {
		t.gaveUp = true
		t.cancel()
	}
}

// begun notes that the engine has answered, and reports whether the question was
// stopped before to be started again.
func (t *slice) begun() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = true
	return t.gaveUp
}

func (t *slice) stop() {
	t.timer.Stop()
	t.cancel()
}

// reader gives the end of the stream its words: a deadline is a limit, not a
// broken connection.
type reader struct {
	array.RecordReader
	ctx   context.Context
	fault func(error) error // what an error of the stream is for the asker; nil is itself
}

// Err returns what ended the stream early.
func (r *reader) Err() error {
	err := r.RecordReader.Err()
	if err != nil && r.fault != nil {
		return r.fault(err)
	}
	if err != nil && r.ctx.Err() != nil && weft.KindOf(err) == weft.KindCancelled {
		return cancelled(r.ctx)
	}
	return err
}

// Retain and Release do nothing: Answer.Close ends the stream, once.
func (r *reader) Retain()  {}
func (r *reader) Release() {}

// RecordBatch returns the batch that Next read; it is valid until the next call.
func (r *reader) RecordBatch() arrow.RecordBatch { return r.RecordReader.RecordBatch() }

// moment is the time that now() means: the youngest commit of the cut, so that
// the same cut gives the same answer; the clock where no product is named.
func moment(c weft.Cut, clock time.Time) time.Time {
	var t time.Time
	for _, p := range c {
		if p.Time.After(t) {
			t = p.Time
		}
	}
	if t.IsZero() {
		return clock
	}
	return t
}
