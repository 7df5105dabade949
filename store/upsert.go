package store

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/syndtr/goleveldb/leveldb"

	"weft"
	"weft/engine"
)

// Rows are rows by key for a table: each is an insert, an update or no change at
// all, as the table is at the head.
type Rows struct {
	Table   string
	Schema  *arrow.Schema // of the table
	Batches []arrow.RecordBatch
}

// Indexed reports whether Upsert can answer for a table, whose index it brings up
// to the head. It is false where the index is of no use: the table has no key, or
// has no index yet and is not worth one so far. The session reads the table's
// files where that is needed; it must be one that may, with no reader open, and is
// the caller's: one that waited for a turn of its own would wait for the caller.
func (s *Store) Indexed(ctx context.Context, sess engine.Session, table string) (bool, error) {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	t, err := x.use(ctx, sess, table)
	return t != nil, err
}

// Upsert finds out from the key index what rows by key change: it returns the
// change to commit, with the row before of each update, and no batches where all
// rows are there already. A key that comes twice counts with its last row. It is
// false where Indexed is, where the table has other columns, and where the change
// is too large to be held in memory; then whoever asks compares with the table
// itself. The session is as Indexed has it. The head must be the one that the
// change is committed on (Candidate.Expect).
func (s *Store) Upsert(ctx context.Context, sess engine.Session, r Rows) (TableData, bool, error) {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	t, err := x.use(ctx, sess, r.Table)
	if t == nil || err != nil {
		return TableData{}, false, err
	}
	if sameColumns(t.schema, r.Schema) != nil {
		return TableData{}, false, nil
	}
	u := &upsert{t: t, x: x, alike: slices.ContainsFunc(t.schema.Fields(), func(f arrow.Field) bool { return hasFloats(f.Type) })}
	td, err := u.run(r)
	switch {
	case err == nil:
		return td, true, nil
	case errors.Is(err, errMuch):
		return TableData{}, false, nil
	case weft.KindOf(err) == weft.KindInvalid:
		return TableData{}, false, err
	}
	return TableData{}, false, x.failed(ctx, err)
}

// use makes a table's part of the index ready; nil where the index is of no use.
func (x *keyIndex) use(ctx context.Context, sess engine.Session, table string) (*indexed, error) {
	t := x.table(table)
	if t == nil {
		return nil, nil
	}
	ok, err := x.ready(ctx, sess, t)
	if err != nil {
		return nil, x.failed(ctx, err)
	}
	if !ok {
		return nil, nil
	}
	return t, nil
}

// row is the row of a key, nil where there is none.
func (x *keyIndex) row(t *indexed, key []byte) ([]byte, error) {
	b, err := x.db.Get(append(rowPrefix(t.name), key...), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, nil
	}
	return b, ofIndex(err)
}

// errMuch says that a change is too large to be held in memory.
var errMuch = errors.New("the change is too large for the key index")

// upsert is one call of Upsert.
type upsert struct {
	x     *keyIndex
	t     *indexed
	alike bool
	out   *array.RecordBuilder
	bytes int
	td    TableData
}

func (u *upsert) run(r Rows) (TableData, error) {
	u.td = TableData{Table: u.t.name, Op: weft.OpMerge, Schema: u.t.schema, Key: u.t.key}
	u.out = array.NewRecordBuilder(memory.DefaultAllocator, withOp(u.t.schema))
	var last keyTable
	var sets []*keySet
	var batches []arrow.RecordBatch
	for _, b := range r.Batches {
		if err := sameColumns(u.t.schema, b.Schema()); err != nil {
			return u.td, invalid(u.t.name, "a batch does not fit: %v", err)
		}
		b = conform(u.t.schema, b)
		set, err := keysOf(u.t.schema, u.t.keys, b)
		if err != nil {
			return u.td, invalid(u.t.name, "%v", err).WithHint("key columns are never null")
		}
		first := last.addSet(set)
		for i := range set.len() {
			last.put(set, i, first+i)
		}
		sets, batches = append(sets, set), append(batches, b)
	}
	row := 0
	for k, b := range batches {
		for i := range sets[k].len() {
			key := sets[k].key(i)
			if at, _ := last.has(key); at == row { // the key's last row
				if err := u.row(b, i, key); err != nil {
					return u.td, err
				}
			}
			row++
		}
	}
	if rec := u.out.NewRecordBatch(); rec.NumRows() > 0 {
		u.td.Batches = []arrow.RecordBatch{rec}
	}
	return u.td, nil
}

// row adds what one row changes.
func (u *upsert) row(b arrow.RecordBatch, i int, key []byte) error {
	old, err := u.x.row(u.t, key)
	if err != nil {
		return err
	}
	row := appendRow(nil, b.Columns(), i, false)
	if old == nil {
		u.td.Inserted++
		return u.put("i", row)
	}
	if bytes.Equal(old, row) {
		return nil
	}
	if u.alike {
		was := array.NewRecordBuilder(memory.DefaultAllocator, u.t.schema)
		if err := readRow(old, was.Fields()); err != nil {
			return ofIndex(err)
		}
		if bytes.Equal(appendRow(nil, was.NewRecordBatch().Columns(), 0, true), appendRow(nil, b.Columns(), i, true)) {
			return nil
		}
	}
	u.td.Updated++
	if err := u.put("b", old); err != nil {
		return err
	}
	return u.put("u", row)
}

func (u *upsert) put(op string, row []byte) error {
	if u.bytes += len(row); u.bytes > u.x.change {
		return errMuch
	}
	u.out.Field(0).(*array.StringBuilder).Append(op)
	return ofIndex(readRow(row, u.out.Fields()[1:]))
}
