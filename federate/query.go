package federate

import (
	"context"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/engine"
)

// Query answers q: it admits, binds the text to products, fixes the cut, and
// streams the rows from a worker. The deadline runs from now to the last row.
func (f *Federation) Query(ctx context.Context, q weft.Question) (*weft.Answer, error) {
	deadline := f.cfg.Deadline
	if d := q.Limits.Deadline; d > 0 && (deadline == 0 || d < deadline) {
		deadline = d
	}
	stop := func() {}
	if deadline > 0 {
		ctx, stop = context.WithTimeout(ctx, deadline)
	}
	leave, err := f.admit(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	a := &asking{f: f, q: q, cut: newCutter(f, q)}
	a.atEnd(stop)
	a.atEnd(leave)
	ans, err := a.run(ctx)
	if err != nil {
		a.end()
		if ctx.Err() != nil && weft.KindOf(err) == weft.KindCancelled {
			return nil, cancelled(ctx)
		}
		return nil, err
	}
	return ans, nil
}

// asking is one question on its way.
type asking struct {
	f    *Federation
	q    weft.Question
	cut  *cutter
	once sync.Once
	ends []func() // what to give back, last first
}

func (a *asking) atEnd(f func()) { a.ends = append(a.ends, f) }

func (a *asking) end() {
	a.once.Do(func() {
		for i := len(a.ends) - 1; i >= 0; i-- {
			a.ends[i]()
		}
	})
}

func (a *asking) run(ctx context.Context) (*weft.Answer, error) {
	s, err := a.f.sessions.Session(ctx, a.f.session())
	if err != nil {
		return nil, err
	}
	a.atEnd(func() { _ = s.Close() })
	a.atEnd(a.cut.close)
	bound, err := engine.Bind(ctx, s, a.q.SQL, engine.Rules{
		Resolve: func(r engine.TableRef) (engine.Target, error) { return a.cut.resolve(ctx, r) },
		Now:     a.cut.now,
	})
	if err != nil {
		return nil, err
	}
	st := engine.Statement{SQL: bound.SQL}
	if err := a.cut.relations(&st); err != nil {
		return nil, err
	}
	rows, err := s.Query(ctx, st)
	if err != nil {
		return nil, err
	}
	r := &reader{RecordReader: rows, ctx: ctx}
	return &weft.Answer{
		Schema: rows.Schema(),
		Cut:    a.cut.points(),
		Held:   a.cut.held(),
		Rows:   r,
		Close: func() error {
			r.RecordReader.Release()
			a.end()
			return nil
		},
	}, nil
}

// reader gives the end of the stream its words: a deadline is a limit, not a
// broken connection.
type reader struct {
	array.RecordReader
	ctx context.Context
}

// Err returns what ended the stream early.
func (r *reader) Err() error {
	err := r.RecordReader.Err()
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
