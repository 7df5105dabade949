package engine

import (
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
)

// rows reads the answer of a query from its worker, and believes nothing that
// it has not checked. It implements array.RecordReader.
type rows struct {
	c      *call
	schema *arrow.Schema
	cur    arrow.RecordBatch
	err    error
	refs   atomic.Int64
}

// newRows waits for the schema.
func newRows(c *call) (*rows, error) {
	q := &rows{c: c}
	q.refs.Add(1)
	c.read.Lock()
	defer c.read.Unlock()
	b, err := q.frame(frameSchema)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, weft.Errorf(weft.KindInternal, "run the statement", "", "the worker gives no schema")
	}
	if q.schema, err = decodeSchema(b); err != nil {
		c.fail(fmt.Errorf("a schema that cannot be read: %w", err))
		return nil, c.err
	}
	return q, nil
}

// frame reads the payload of the next frame, which must be of kind; nil is the
// end. The call's read lock is held.
func (q *rows) frame(kind byte) ([]byte, error) {
	got, n, ok := q.c.frame()
	if !ok {
		return nil, q.c.err
	}
	if got != kind {
		q.c.fail(fmt.Errorf("frame %q where %q is due", got, kind))
		return nil, q.c.err
	}
	b, err := q.c.proc.wire.payload(n)
	if err != nil {
		q.c.fail(err)
		return nil, q.c.err
	}
	return b, nil
}

// Schema is known before the first row.
func (q *rows) Schema() *arrow.Schema { return q.schema }

// Next reads the next batch; it is valid until the next call.
func (q *rows) Next() bool {
	q.c.read.Lock()
	defer q.c.read.Unlock()
	q.forget()
	if q.err != nil {
		return false
	}
	b, err := q.frame(frameBatch)
	if err != nil || b == nil {
		q.err = err
		return false
	}
	if q.cur, err = decodeBatch(q.schema, b); err != nil {
		q.c.fail(err)
		q.err = q.c.err
		return false
	}
	return true
}

func (q *rows) forget() {
	if q.cur != nil {
		q.cur.Release()
		q.cur = nil
	}
}

// RecordBatch returns the current batch.
func (q *rows) RecordBatch() arrow.RecordBatch { return q.cur }

// Record returns the current batch.
func (q *rows) Record() arrow.RecordBatch { return q.cur }

// Err says why the rows ended early, nil when they did not.
func (q *rows) Err() error { return q.err }

// Retain keeps the reader.
func (q *rows) Retain() { q.refs.Add(1) }

// Release gives the reader up; the last one stops a query that is not finished.
func (q *rows) Release() {
	if q.refs.Add(-1) != 0 {
		return
	}
	q.c.read.Lock()
	q.forget()
	ended := q.c.out != nil || q.c.err != nil
	q.c.read.Unlock()
	if !ended {
		q.c.interrupt()
		q.c.read.Lock()
		q.c.drain()
		q.c.read.Unlock()
	}
}

var _ array.RecordReader = (*rows)(nil)
