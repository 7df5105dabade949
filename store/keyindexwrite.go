package store

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"weft"
	"weft/engine"
)

// catchUp applies the commits behind what the index knows; false where it is less
// work to read the table.
func (x *keyIndex) catchUp(ctx context.Context, sess engine.Session, t *indexed, st indexState) (bool, error) {
	var rows int64
	var seqs []weft.Seq
	for seq := st.Seq + 1; seq <= t.head.Seq; seq++ {
		c, err := x.store.Commit(seq)
		if err != nil {
			return false, nil //nolint:nilerr // it is no longer kept: the table is read
		}
		for _, ch := range c.Tables {
			if ch.Table != t.name {
				continue
			}
			if ch.Op != weft.OpAppend && ch.Op != weft.OpMerge || ch.Schema != t.id {
				return false, nil // all of it is another table now
			}
			rows += ch.Inserted + ch.Updated + ch.Deleted
			seqs = append(seqs, seq)
		}
		if rows > min(t.rows/4, indexCatchUp) {
			return false, nil
		}
	}
	for _, seq := range seqs {
		w := x.writer(t)
		w.check = true
		var failed error
		_, err := x.store.changeAt(ctx, sess, seq, func(c Change) bool {
			w.at = c.Commit
			for _, tr := range c.Tables {
				if tr.Table == t.name {
					failed = errors.Join(failed, w.change(tr))
				}
			}
			if failed == nil && w.bytes > x.commit {
				failed = errMuch
			}
			return failed == nil
		})
		if errors.Is(failed, errKeys) || errors.Is(failed, errMuch) {
			return false, nil
		}
		if err = errors.Join(err, failed); err != nil {
			return false, err
		}
		// At once with what it is current to: a crash leaves both or none.
		if err := w.end(); err != nil {
			return false, err
		}
	}
	return true, x.writer(t).end()
}

// build makes a table's part of the index from the table, through the engine and
// in bounded memory.
func (x *keyIndex) build(ctx context.Context, sess engine.Session, t *indexed) error {
	if err := x.clear(t.name); err != nil {
		return err
	}
	snap, err := x.store.Snapshot(ctx, t.head.Seq)
	if err != nil {
		return err
	}
	defer func() { _ = snap.Close() }()
	rel, err := snap.Relation(t.name)
	if err != nil {
		return err
	}
	rd, err := sess.Query(ctx, rel.statement(rel.SQL))
	if err != nil {
		return err
	}
	defer rd.Release()
	w := x.writer(t)
	var rows int64
	for rd.Next() {
		rows += rd.RecordBatch().NumRows()
		b := rd.RecordBatch()
		if err := sameColumns(t.schema, b.Schema()); err != nil {
			return weft.Errorf(weft.KindInternal, "make the key index", t.name, "%w", err)
		}
		if err := w.rows(conform(t.schema, b), nil); err != nil {
			return err
		}
		if err := w.flush(indexBatch); err != nil {
			return err
		}
	}
	if rd.Err() != nil {
		return rd.Err()
	}
	if err := w.flush(0); err != nil {
		return err
	}
	if n, err := x.count(t.name); err != nil || n != rows {
		return errors.Join(err, errKeys)
	}
	return w.end()
}

// count is the number of a table's keys.
func (x *keyIndex) count(table string) (n int64, err error) {
	it := x.db.NewIterator(util.BytesPrefix(rowPrefix(table)), &opt.ReadOptions{DontFillCache: true})
	defer it.Release()
	for it.Next() {
		n++
	}
	return n, ofIndex(it.Error())
}

// statement is a statement over the relation's rows.
func (r Relation) statement(sql string) engine.Statement {
	return engine.Statement{SQL: sql, Sources: r.Sources, Files: r.Files}
}

// clear forgets a table, what it is current to first.
func (x *keyIndex) clear(table string) error {
	if err := x.db.Delete(stateKey(table), nil); err != nil {
		return ofIndex(err)
	}
	it := x.db.NewIterator(util.BytesPrefix(rowPrefix(table)), nil)
	defer it.Release()
	b := new(leveldb.Batch)
	for it.Next() {
		b.Delete(it.Key())
		if b.Len() >= 10_000 {
			if err := x.db.Write(b, nil); err != nil {
				return ofIndex(err)
			}
			b.Reset()
		}
	}
	if err := it.Error(); err != nil {
		return ofIndex(err)
	}
	return ofIndex(x.db.Write(b, nil))
}

// indexWriter collects what is to be written of a table.
type indexWriter struct {
	x      *keyIndex
	t      *indexed
	prefix []byte
	batch  *leveldb.Batch
	bytes  int
	key    []byte
	row    []byte
	check  bool        // an insert must find no row, an update or a delete one
	at     weft.Commit // what is written is current to it; the head where it is zero
}

func (x *keyIndex) writer(t *indexed) *indexWriter {
	return &indexWriter{x: x, t: t, prefix: rowPrefix(t.name), batch: new(leveldb.Batch)}
}

// rows puts the rows of a batch of the table's columns. op is the kind of each
// change; without it they are all there.
func (w *indexWriter) rows(b arrow.RecordBatch, op func(int) string) error {
	keys, err := keysOf(w.t.schema, w.t.keys, b)
	if err != nil {
		return err
	}
	cols := b.Columns()
	for i := range int(b.NumRows()) {
		kind := string(weft.OpInsert)
		if op != nil {
			kind = op(i)
		}
		w.key = append(append(w.key[:0], w.prefix...), keys.key(i)...)
		if w.check && kind != "b" {
			there, err := w.x.db.Has(w.key, nil)
			if err != nil {
				return ofIndex(err)
			}
			if there == (kind == "i") {
				return errKeys
			}
		}
		switch kind {
		case "b":
			continue
		case "d":
			w.batch.Delete(w.key)
		default:
			w.row = appendRow(w.row[:0], cols, i, false)
			w.batch.Put(w.key, w.row)
			w.bytes += len(w.row)
		}
		w.bytes += len(w.key)
	}
	return nil
}

// change puts the rows of a commit.
func (w *indexWriter) change(tr TableRows) error {
	for _, b := range tr.Batches {
		ops, ok := b.Column(0).(interface{ Value(int) string })
		if !ok {
			return weft.Errorf(weft.KindInternal, "bring the key index up to date", w.t.name, "column %s is no text", ColumnOp)
		}
		cols := b.Columns()[1:]
		if err := w.rows(array.NewRecordBatch(w.t.schema, cols, b.NumRows()), ops.Value); err != nil {
			return err
		}
	}
	return nil
}

// flush writes what was collected if it is more than limit bytes.
func (w *indexWriter) flush(limit int) error {
	if w.bytes <= limit {
		return nil
	}
	err := w.x.db.Write(w.batch, nil)
	w.batch.Reset()
	w.bytes = 0
	return ofIndex(err)
}

// end writes the rest, and with it what the table's part is current to.
func (w *indexWriter) end() error {
	t := w.t
	st := indexState{Format: indexFormat, Boot: w.x.boot, ID: t.head.ID, Incarnation: t.head.Incarnation, Seq: t.head.Seq, Hash: t.head.Hash, Schema: t.id, Key: t.key}
	if w.at.Seq > 0 {
		st.Seq, st.Hash = w.at.Seq, w.at.Hash
	}
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	w.batch.Put(stateKey(t.name), b)
	return ofIndex(w.x.db.Write(w.batch, nil))
}
