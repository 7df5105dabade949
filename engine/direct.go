package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"golang.org/x/sys/unix"

	"weft"
)

// Direct is an engine in this process, without a worker around it: the yardstick
// of benchmarks and a tool for tests. Nothing bounds it and a crash of it is a
// crash of its program; a node never opens one. One statement at a time.
type Direct struct{ k *worker }

// OpenDirect opens an in-memory engine with settings as DuckDB names them; nil
// leaves its defaults.
func OpenDirect(settings map[string]string) (*Direct, error) {
	db, err := openDatabase(settings)
	if err != nil {
		return nil, weft.Errorf(weft.KindInternal, "open the engine", "", "%w", err)
	}
	return &Direct{&worker{db: db}}, nil
}

// Close frees the engine; its readers must be released before.
func (d *Direct) Close() error {
	d.k.db.close()
	return nil
}

// Exec runs a statement to its end and returns the number of rows changed or
// copied.
func (d *Direct) Exec(ctx context.Context, st Statement) (int64, error) {
	r := &directRows{d: d, stop: context.AfterFunc(ctx, d.k.db.interrupt)}
	r.refs.Add(1)
	defer r.Release()
	if err := r.prepare(st); err != nil {
		return 0, directFault(err)
	}
	n, _, err := d.k.db.exec(st.SQL)
	return n, directFault(err)
}

// Query streams the rows of a statement, which must be read or released before
// the next statement.
func (d *Direct) Query(ctx context.Context, st Statement) (array.RecordReader, error) {
	r := &directRows{d: d, stop: context.AfterFunc(ctx, d.k.db.interrupt)}
	r.refs.Add(1)
	err := r.prepare(st)
	if err == nil {
		r.s, err = d.k.db.open(st.SQL)
	}
	if err != nil {
		r.Release()
		return nil, directFault(err)
	}
	return r, nil
}

func directFault(err error) error {
	if err == nil {
		return nil
	}
	f := faultOf(err, settings{})
	return &weft.Error{Op: "run the statement", Kind: f.Kind, Message: f.Message, Hint: f.Hint}
}

// directRows is the reader of a Direct.
type directRows struct {
	d     *Direct
	s     *stream
	got   received
	drops []string
	cur   arrow.RecordBatch
	err   error
	stop  func() bool
	refs  atomic.Int64
}

func (r *directRows) prepare(st Statement) error {
	var over handover
	defer over.close()
	r.got.mem = &mappings{}
	var j job
	err := over.pack(&st, &j)
	if err == nil {
		var fds []int
		for _, fd := range over.fds() {
			fd, err = unix.Dup(fd)
			fds = append(fds, fd)
		}
		err = errors.Join(err, r.got.unpack(j, fds))
	}
	if err != nil {
		return err
	}
	drops, err := r.d.k.makeViews(st.Views, standing{}, &r.got)
	r.drops = drops
	return err
}

// Schema is known before the first row.
func (r *directRows) Schema() *arrow.Schema { return r.s.schema() }

// Next reads the next batch; it is valid until the next call.
func (r *directRows) Next() bool {
	if r.cur != nil {
		r.cur.Release()
		r.cur = nil
	}
	if r.err == nil {
		var err error
		if r.cur, err = r.s.next(); err != nil {
			r.err = directFault(err)
		}
	}
	return r.cur != nil
}

// RecordBatch returns the current batch.
func (r *directRows) RecordBatch() arrow.RecordBatch { return r.cur }

// Record returns the current batch.
func (r *directRows) Record() arrow.RecordBatch { return r.cur }

// Err says why the rows ended early, nil when they did not.
func (r *directRows) Err() error { return r.err }

// Retain keeps the reader.
func (r *directRows) Retain() { r.refs.Add(1) }

// Release ends the statement and takes away what it saw.
func (r *directRows) Release() {
	if r.refs.Add(-1) != 0 {
		return
	}
	r.stop()
	if r.cur != nil {
		r.cur.Release()
		r.cur = nil
	}
	if r.s != nil {
		r.s.close()
	}
	for _, sql := range r.drops {
		if err := r.d.k.db.run(sql); err != nil && r.err == nil {
			r.err = fmt.Errorf("drop a view: %w", err)
		}
	}
	r.got.close()
	r.got.mem.close()
}

var _ array.RecordReader = (*directRows)(nil)
