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
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"

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

func (s *Store) indexPath() string { return filepath.Join(s.cfg.Dir, indexDir) }
