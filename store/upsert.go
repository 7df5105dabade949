package store

import (
	"bytes"
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/syndtr/goleveldb/leveldb"

	"weft"
)

// Rows are rows by key for a table: each is an insert, an update or no change at
// all, as the table is at the head.
type Rows struct {
	Table   string
	Schema  *arrow.Schema // of the table
	Batches []arrow.RecordBatch
}

// Upsert finds out from the key index what rows by key change: it returns the
// change to commit, with the row before of each update, and no batches where all
// rows are there already. A key that comes twice counts with its last row. It is
// false where the index is of no use: the table has no key or other columns, or has
// none yet and is not worth one so far; then whoever asks compares with the table
// itself. The head must be the one that the change is committed on (Candidate.Expect).
func (s *Store) Upsert(ctx context.Context, r Rows) (TableData, bool, error) {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	t, ok, err := x.use(ctx, r.Table, false)
	if !ok || err != nil {
		return TableData{}, false, err
	}
	if sameColumns(t.schema, r.Schema) != nil {
		return TableData{}, false, nil
	}
	u := &upsert{t: t, x: x, alike: slices.ContainsFunc(t.schema.Fields(), func(f arrow.Field) bool { return hasFloats(f.Type) })}
	td, err := u.run(r)
	if err != nil && weft.KindOf(err) != weft.KindInvalid {
		x.drop(err)
		return TableData{}, false, nil
	}
	return td, err == nil, err
}

// Lookup returns the rows of the keys in a batch of the table's key columns, as the
// table is at the head and in the order of the keys; keys that are not there are
// left out. A table that has no index yet gets one. Safe for concurrent use.
func (s *Store) Lookup(ctx context.Context, table string, keys arrow.RecordBatch) (arrow.RecordBatch, error) {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	for range 2 {
		t, ok, err := x.use(ctx, table, true)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, weft.Errorf(weft.KindConflict, "look up rows", table, "the table has no key, or its keys are not unique")
		}
		set, err := encodeKeys(keyFields(t.schema, t.keys), keys.Columns())
		if err != nil {
			return nil, invalid(table, "%v", err)
		}
		out := array.NewRecordBuilder(memory.DefaultAllocator, t.schema)
		for i := range set.len() {
			var row []byte
			if row, err = x.row(t, set.key(i)); err == nil && row != nil {
				err = readRow(row, out.Fields())
			}
			if err != nil {
				break
			}
		}
		if err == nil {
			return out.NewRecordBatch(), nil
		}
		x.drop(err)
	}
	return nil, weft.Errorf(weft.KindUnavailable, "look up rows", table, "the key index cannot be made")
}

// use makes a table's part of the index ready. An index that cannot be read is
// dropped and is as one that is not there.
func (x *keyIndex) use(ctx context.Context, table string, must bool) (*indexed, bool, error) {
	t := x.table(table)
	if t == nil {
		return nil, false, nil
	}
	for try := range 2 {
		ok, err := x.ready(ctx, t, must)
		if err == nil {
			return t, ok, nil
		}
		if ctx.Err() != nil || try > 0 && must {
			return nil, false, err
		}
		x.drop(err)
		if !must {
			break
		}
	}
	return nil, false, nil
}

// row is the row of a key, nil where there is none.
func (x *keyIndex) row(t *indexed, key []byte) ([]byte, error) {
	b, err := x.db.Get(append(rowPrefix(t.name), key...), nil)
	if err == leveldb.ErrNotFound { //nolint:errorlint // it is returned as it is
		return nil, nil
	}
	return b, err
}

// upsert is one call of Upsert.
type upsert struct {
	x     *keyIndex
	t     *indexed
	alike bool
	out   *array.RecordBuilder
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
			return err
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
	u.out.Field(0).(*array.StringBuilder).Append(op)
	return readRow(row, u.out.Fields()[1:])
}
