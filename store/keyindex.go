package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"weft"
	"weft/engine"
	"weft/sign"
)

// keyIndex finds the last row of a key. It is derived: it says for each table up
// to which commit it is current, catches up from the journal, and is made again
// from the table where it is missing, of another chain, too far behind or damaged.
// Every byte of it is under a checksum, so that what a disk does to it is an error
// and never another answer. Nothing of it is synced: after a power cut whole files
// may be gone that no checksum misses, so that it is believed only as long as the
// machine that wrote it has not been started anew.
//
// A commit does not touch it: tables that nobody asks by key have none.
type keyIndex struct {
	store  *Store
	dir    string
	commit int // see indexCommit
	change int // see indexChange

	mu     sync.Mutex // one user at a time; guards what follows
	db     *leveldb.DB
	saw    map[string]int64 // rows that were read for want of an index, by table
	boot   string
	closed bool // for good: the folder may be another's by now
}

const (
	indexDir     = "index"
	indexFormat  = 2
	indexBatch   = 1 << 20   // bytes written at once
	indexCommit  = 64 << 20  // bytes of one commit's rows above which the table is read instead
	indexChange  = 128 << 20 // bytes of an upsert's rows, those before too, above which the table is read instead
	indexCatchUp = 200_000   // changed rows above which the table is read instead
	indexPatient = 8         // times a table is read by key before it gets an index
)

// indexState says up to which commit a table's rows in the index are current.
type indexState struct {
	Format      int       `json:"format"`
	Boot        string    `json:"boot"` // of the machine: what it wrote may be lost with the power
	ID          string    `json:"id"`
	Incarnation uint32    `json:"incarnation"`
	Seq         weft.Seq  `json:"seq"`
	Hash        weft.Hash `json:"hash"`
	Schema      weft.Hash `json:"schema"`
	Key         []string  `json:"key"`
}

// indexed is a table as the index sees it, at the head.
type indexed struct {
	name   string
	schema *arrow.Schema
	id     weft.Hash
	key    []string
	keys   []int
	rows   int64
	head   weft.Point
}

func newKeyIndex(s *Store) *keyIndex {
	return &keyIndex{store: s, dir: s.indexPath(), commit: indexCommit, change: indexChange, boot: bootID(), saw: map[string]int64{}}
}

// bootID names the run of the machine's kernel. Where there is none, no index is
// believed by another process.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b))
	}
	var nonce [sign.NonceSize]byte
	sign.Nonce(nonce[:])
	return hex.EncodeToString(nonce[:])
}

// table describes a table at the head; nil where it does not exist or has no key.
func (x *keyIndex) table(name string) *indexed {
	s := x.store
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[name]
	if t == nil || t.head() == nil || len(t.head().key) == 0 {
		return nil
	}
	h, e := t.head(), t.head().last()
	return &indexed{name: name, schema: e.schema, id: e.id, key: h.key, keys: e.keys, rows: t.rows, head: s.point(s.head)}
}

// open opens the database; one that is damaged is removed.
func (x *keyIndex) open() error {
	if x.closed {
		return closedError()
	}
	if x.db != nil {
		return nil
	}
	o := &opt.Options{
		Strict: opt.StrictAll, NoSync: true, Filter: filter.NewBloomFilter(10),
		WriteBuffer: 4 << 20, BlockCacheCapacity: 16 << 20, OpenFilesCacheCapacity: 256, CompactionTableSize: 16 << 20,
	}
	var err error
	if x.db, err = leveldb.OpenFile(x.dir, o); err == nil {
		return nil
	}
	x.db = nil
	if !spoiled(err) {
		return ioError("open the key index", x.dir, err)
	}
	x.drop(err)
	if x.db, err = leveldb.OpenFile(x.dir, o); err != nil {
		x.db = nil
		return ioError("make the key index", x.dir, err)
	}
	return nil
}

// indexError is an error of the index itself, and not of what it is made from.
type indexError struct{ error }

func (e indexError) Unwrap() error { return e.error }

func ofIndex(err error) error {
	if err == nil {
		return nil
	}
	return indexError{err}
}

// spoiled reports whether an error of the index comes from what it holds, or from
// a disk that cannot read it; not from what the system has no room for or does
// not let it do.
func spoiled(err error) bool {
	var no syscall.Errno
	return !errors.As(err, &no) || no == syscall.ENOENT || no == syscall.EIO
}

// failed takes an error: the index is dropped where it is spoiled, and opened anew
// where it could not be written. Nobody's work ends for it, since whoever asks can
// read the table; what ends is what the context ends, or the store.
func (x *keyIndex) failed(ctx context.Context, err error) error {
	if x.closed {
		return closedError()
	}
	if err := x.store.ended(ctx, "use the key index"); err != nil {
		return err
	}
	var own indexError
	switch {
	case !errors.As(err, &own):
		x.warn("the key index could not be brought up to date", err)
	case spoiled(err):
		x.drop(err)
	default:
		x.warn("the key index could not be read or written", errors.Join(err, x.shut()))
	}
	return nil
}

func (x *keyIndex) warn(what string, err error) {
	x.store.cfg.Env.Log.Warn(what, "product", x.store.cfg.Product.String(), "error", err)
}

// drop removes an index that cannot be trusted.
func (x *keyIndex) drop(why error) {
	x.warn("the key index cannot be used and will be made again", why)
	_ = x.shut() // it goes anyway
	if err := os.RemoveAll(x.dir); err != nil {
		x.warn("the key index could not be removed", err)
	}
}

func (x *keyIndex) shut() error {
	if x.db == nil {
		return nil
	}
	err := x.db.Close()
	x.db = nil
	return err
}

func (x *keyIndex) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	return x.shut()
}

func stateKey(table string) []byte { return append([]byte{0}, table...) }

// rowPrefix starts the keys of a table's rows.
func rowPrefix(table string) []byte {
	return append(binary.AppendUvarint([]byte{1}, uint64(len(table))), table...)
}

// state is what the index says of a table; false where it holds nothing that can
// be brought up to the head.
func (x *keyIndex) state(t *indexed) (indexState, bool, error) {
	var st indexState
	b, err := x.db.Get(stateKey(t.name), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return st, false, nil
	}
	if err != nil {
		return st, false, ofIndex(err)
	}
	if err := json.Unmarshal(b, &st); err != nil {
		return st, false, ofIndex(err)
	}
	if st.Format != indexFormat || st.Boot != x.boot || st.ID != t.head.ID || st.Incarnation != t.head.Incarnation || st.Schema != t.id ||
		!slices.Equal(st.Key, t.key) || st.Seq > t.head.Seq {
		return st, false, nil
	}
	if st.Seq == t.head.Seq {
		return st, st.Hash == t.head.Hash, nil
	}
	c, err := x.store.Commit(st.Seq)
	return st, err == nil && c.Hash == st.Hash, nil // one that is gone is too old
}

// ready brings a table's part of the index up to the head. Where it would have to
// be made from the table and was not missed often enough yet, it is false.
func (x *keyIndex) ready(ctx context.Context, sess engine.Session, t *indexed) (bool, error) {
	if err := x.open(); err != nil {
		return false, err
	}
	st, ok, err := x.state(t)
	if err != nil {
		return false, err
	}
	if ok && st.Seq == t.head.Seq {
		return true, nil
	}
	if ok {
		if caught, err := x.catchUp(ctx, sess, t, st); caught || err != nil {
			return caught, err
		}
	}
	if x.saw[t.name] += t.rows; x.saw[t.name] < indexPatient*t.rows {
		return false, nil
	}
	delete(x.saw, t.name)
	err = x.build(ctx, sess, t)
	if errors.Is(err, errKeys) {
		x.saw[t.name] = -1 << 40 // nobody misses it again soon
		return false, x.clear(t.name)
	}
	return err == nil, err
}

// errKeys says that a key is there twice, or was not where a change found it: such
// a table has no index.
var errKeys = errors.New("the table's keys are not unique")

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

func (s *Store) indexPath() string { return filepath.Join(s.cfg.Dir, indexDir) }
