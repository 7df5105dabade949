package engine

/*
#include <stdlib.h>
#include "arrow.h"
#include "columns.h"
#include "wait.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/cdata"
	"github.com/apache/arrow-go/v18/arrow/memory"
	duck "github.com/duckdb/duckdb-go-bindings"
)

// The first batch of a stream is whatever the engine has first; later ones grow
// to these bounds, because a batch costs the same whatever its size.
const (
	batchRows  = 64 << 10
	batchBytes = 8 << 20
)

// stream is the running result of one statement.
type stream struct {
	st     duck.PreparedStatement // to be destroyed with it, where it is its own
	res    duck.Result
	opts   duck.ArrowOptions
	raw    *arrow.Schema // as the engine exports it
	shape  *outShape     // from raw to the schema that is answered with
	plain  [2]*batch     // for plain columns, in turn
	turn   int
	target int64
	done   bool
	shares bool // the processors with others: it does not spin while it waits
}

// open starts a statement whose rows are then read by next. The stream must be
// closed before the next statement.
func (d *database) open(sql string) (*stream, error) {
	st, err := d.prepare(sql)
	if err != nil {
		return nil, err
	}
	s, err := startPlan(st, false)
	if err != nil {
		duck.DestroyPrepare(&st)
		return nil, err
	}
	s.st = st
	return s, nil
}

// startPlan starts a prepared statement, which stays the caller's and must outlive the
// stream.
func startPlan(st duck.PreparedStatement, shares bool) (*stream, error) {
	s := &stream{target: 1, shares: shares}
	if err := s.start(st); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stream) start(st duck.PreparedStatement) error {
	var p duck.PendingResult
	state := duck.PendingPreparedStreaming(st, &p)
	defer duck.DestroyPending(&p)
	if state == duck.StateError {
		return fmt.Errorf("%s", duck.PendingError(p))
	}
	if s.shares && bool(C.weft_work(p.Ptr)) {
		if msg := duck.PendingError(p); msg != "" {
			return fmt.Errorf("%s", msg)
		}
	}
	if duck.ExecutePending(p, &s.res) == duck.StateError {
		return fmt.Errorf("%s", duck.ResultError(&s.res))
	}
	return s.describe()
}

// describe reads the result's columns.
func (s *stream) describe() error {
	s.opts = duck.ResultGetArrowOptions(&s.res)
	n := int(duck.ColumnCount(&s.res))
	types := make([]duck.LogicalType, n)
	ptrs := (*[1 << 20]unsafe.Pointer)(C.calloc(C.size_t(n+1), C.size_t(unsafe.Sizeof(uintptr(0)))))[:n:n]
	names := (*[1 << 20]*C.char)(C.calloc(C.size_t(n+1), C.size_t(unsafe.Sizeof(uintptr(0)))))[:n:n]
	defer func() {
		for i := range types {
			duck.DestroyLogicalType(&types[i])
			C.free(unsafe.Pointer(names[i]))
		}
		C.free(unsafe.Pointer(unsafe.SliceData(ptrs)))
		C.free(unsafe.Pointer(unsafe.SliceData(names)))
	}()
	for i := range types {
		types[i] = duck.ColumnLogicalType(&s.res, duck.IdxT(i))
		ptrs[i] = types[i].Ptr
		name := duck.ColumnName(&s.res, duck.IdxT(i))
		names[i] = C.CString(name)
		if err := checkTypes(name, types[i]); err != nil {
			return err
		}
	}
	var out cdata.CArrowSchema
	err := arrowError(C.duckdb_to_arrow_schema(s.opts.Ptr, unsafe.SliceData(ptrs), unsafe.SliceData(names),
		C.uint64_t(n), unsafe.Pointer(&out)))
	if err != nil {
		return err
	}
	if s.raw, err = cdata.ImportCArrowSchema(&out); err != nil {
		return classed("Not implemented", "a column's type has no Arrow form: %v", err)
	}
	if s.shape, err = newOutShape(s.raw, types); err != nil {
		return err
	}
	for i := range s.plain {
		s.plain[i] = newBatch(s.schema(), types)
	}
	return nil
}

// schema is the schema of the batches that next returns.
func (s *stream) schema() *arrow.Schema { return s.shape.schema }

// next returns the next batch, to be released by the caller, or nil at the end.
// A batch is valid until the next but one.
func (s *stream) next() (arrow.RecordBatch, error) {
	if b := s.plain[s.turn]; b != nil {
		s.turn = 1 - s.turn
		return s.nextPlain(b)
	}
	var acc []arrow.RecordBatch
	defer func() {
		for _, b := range acc {
			b.Release()
		}
	}()
	var rows, bytes int64
	for rows < s.target && bytes < batchBytes {
		b, err := s.chunk()
		if err != nil {
			return nil, err
		}
		if b == nil {
			break
		}
		acc = append(acc, b)
		rows += b.NumRows()
		bytes += batchSize(b)
	}
	s.grow()
	switch len(acc) {
	case 0:
		return nil, nil
	case 1:
		acc[0].Retain()
		return acc[0], nil
	}
	return concat(s.schema(), acc, rows)
}

// grow makes the next batch larger.
func (s *stream) grow() { s.target = min(max(2*s.target, 4096), batchRows) }

// nextPlain fills b with the next rows.
func (s *stream) nextPlain(b *batch) (arrow.RecordBatch, error) {
	C.weft_batch_reset(b.c)
	for int64(b.c.rows) < s.target && int64(b.c.bytes) < batchBytes {
		ch, err := s.fetch()
		if err != nil {
			return nil, err
		}
		if ch.Ptr == nil {
			break
		}
		err = b.add(ch)
		duck.DestroyDataChunk(&ch)
		if err != nil {
			return nil, err
		}
	}
	s.grow()
	if b.c.rows == 0 {
		return nil, nil
	}
	return b.record(s.schema()), nil
}

// fetch returns the engine's next rows, without a chunk at the end.
func (s *stream) fetch() (duck.DataChunk, error) {
	for !s.done {
		ch := duck.FetchChunk(s.res)
		if ch.Ptr == nil {
			s.done = true
			if msg := duck.ResultError(&s.res); msg != "" {
				return ch, fmt.Errorf("%s", msg)
			}
			return ch, nil
		}
		if duck.DataChunkGetSize(ch) > 0 {
			return ch, nil
		}
		duck.DestroyDataChunk(&ch)
	}
	return duck.DataChunk{}, nil
}

// chunk returns the engine's next piece as the engine exports it, nil at the end.
func (s *stream) chunk() (arrow.RecordBatch, error) {
	ch, err := s.fetch()
	if err != nil || ch.Ptr == nil {
		return nil, err
	}
	var arr cdata.CArrowArray
	err = arrowError(C.duckdb_data_chunk_to_arrow(s.opts.Ptr, ch.Ptr, unsafe.Pointer(&arr)))
	duck.DestroyDataChunk(&ch)
	if err != nil {
		return nil, err
	}
	b, err := cdata.ImportCRecordBatchWithSchema(&arr, s.raw)
	if err != nil {
		return nil, err
	}
	if s.shape.plain {
		return b, nil
	}
	return s.shape.apply(b)
}

// close ends the statement, finished or not. Idempotent.
func (s *stream) close() {
	s.done = true
	for _, b := range s.plain {
		b.free()
	}
	duck.DestroyArrowOptions(&s.opts)
	duck.DestroyResult(&s.res)
	duck.DestroyPrepare(&s.st)
}

// concat joins batches into one.
func concat(sc *arrow.Schema, parts []arrow.RecordBatch, rows int64) (arrow.RecordBatch, error) {
	cols := make([]arrow.Array, sc.NumFields())
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	one := make([]arrow.Array, len(parts))
	for c := range cols {
		for i, p := range parts {
			one[i] = p.Column(c)
		}
		a, err := array.Concatenate(one, memory.DefaultAllocator)
		if err != nil {
			return nil, err
		}
		cols[c] = a
	}
	return array.NewRecordBatch(sc, cols, rows), nil
}

// batchSize is about how many bytes a batch holds.
func batchSize(b arrow.RecordBatch) int64 {
	var n int64
	for _, c := range b.Columns() {
		n += int64(c.Data().SizeInBytes())
	}
	return n
}
