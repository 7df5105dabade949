package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
)

// A change file has its keys beside it in a file of its own, as a set that a
// worker maps. It is derived and nothing depends on it but speed: one that is
// missing or damaged is made again by the next fold, and until then the change
// file itself is read for its keys.

// keysSuffix ends the name of the file that has a data file's keys.
const keysSuffix = ".keys"

// keysState is what was last known of a data file's keys.
type keysState int

const (
	keysUnknown keysState = iota // nobody has looked yet
	keysThere
	keysMissing
	keysLost // the data file is damaged, so that nothing makes them again
)

// hasKeys reports whether a file of keys belongs beside it.
func (f *dataFile) hasKeys() bool { return f.Form == formChange && f.Merges != 0 }

// owner is what a file of keys says to be beside this file and no other.
func (f *dataFile) owner() uint64 { return binary.LittleEndian.Uint64(f.Hash[:8]) }

// keysPath is the file with the keys of a change file, "" where there is none that
// can be used, or ctx has ended before it was held against its checksum: once, and
// again when it is no longer the file that was held.
func (s *Store) keysPath(ctx context.Context, f *dataFile) string {
	path := s.filePath(f.Name + keysSuffix)
	state := keysMissing
	if id, err := s.guard.identify(path); err == nil {
		h := s.guard.once(path, id, func() *weft.Error { return s.checkKeys(path, f) })
		select {
		case <-h.done:
		case <-ctx.Done():
			return ""
		}
		if h.err == nil {
			state = keysThere
		}
	}
	s.mu.Lock()
	f.keys = state
	s.mu.Unlock()
	if state == keysMissing {
		return ""
	}
	return path
}

// checkKeys reads a file of keys, to hold it against its checksum.
func (s *Store) checkKeys(path string, f *dataFile) *weft.Error {
	k, r, err := openKeys(s.fs, path, f, s.done)
	if err == nil {
		defer func() { _ = r.Close() }()
		err = r.judge(path, k.Check())
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, errEnded) && !errors.Is(err, fs.ErrNotExist) {
		s.cfg.Env.Log.Warn("a derived file of keys cannot be used and will be made again", "file", path, "error", err)
	}
	return knownError(err)
}

// openKeys opens the file of a change file's keys. What is read of it ends with
// errEnded when stop closes. The error is KindCorrupt where the file is not one.
func openKeys(fsys fileSystem, path string, f *dataFile, stop <-chan struct{}) (*engine.KeyFile, *keyReader, error) {
	h, err := fsys.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, nil, ioError("read the keys of a file", path, err)
	}
	r := &keyReader{file: h, stop: stop}
	st, err := h.Stat()
	if err != nil {
		_ = h.Close()
		return nil, nil, ioError("read the keys of a file", path, err)
	}
	k, err := engine.OpenKeyFile(r, st.Size(), f.owner())
	if err == nil && int64(k.Len()) > f.Rows {
		err = fmt.Errorf("it has %d keys, the file has %d rows", k.Len(), f.Rows)
	}
	if err != nil {
		_ = h.Close()
		return nil, nil, r.judge(path, err)
	}
	return k, r, nil
}

// keyReader reads a file of keys, and remembers whether it was the disk that failed.
type keyReader struct {
	file
	stop   <-chan struct{}
	failed error
}

func (r *keyReader) ReadAt(b []byte, at int64) (int, error) {
	select {
	case <-r.stop:
		r.failed = errEnded
		return 0, errEnded
	default:
	}
	n, err := r.file.ReadAt(b, at)
	if err != nil && err != io.EOF {
		r.failed = err
	}
	return n, err
}

// judge says of what reading came to whether it is the file's fault.
func (r *keyReader) judge(path string, err error) error {
	switch {
	case r.failed != nil:
		return ioError("read the keys of a file", path, r.failed)
	case err != nil:
		return corrupt(path, 0, "%v", err)
	}
	return nil
}

// keyless lists the change files that a span keeps and that have lost their keys.
func (s *Store) keyless(ctx context.Context, f *spanFold) []*dataFile {
	if !f.asked() {
		return nil
	}
	var out []*dataFile
	for _, d := range f.levels {
		if d.hasKeys() && s.keysPath(ctx, d) == "" {
			out = append(out, d)
		}
	}
	return out
}

// joinKeys unites the keys of levels that become one change file; nil where one of
// them has its keys in no set, or where that fails: then the file is read for them.
// The fold has closed the tails, so that their sets grow no more.
func (s *Store) joinKeys(ctx context.Context, f *spanFold, levels []levelView) *engine.KeySet {
	var sets []engine.Keys
	for _, l := range levels {
		if l.file == nil {
			sets = append(sets, l.tail.keySet(s.keySeed))
			continue
		}
		if !l.file.hasKeys() {
			return nil
		}
		path := s.keysPath(ctx, l.file)
		if path == "" {
			return nil
		}
		k, r, err := openKeys(s.fs, path, l.file, s.done)
		if err != nil {
			return nil
		}
		defer func() { _ = r.Close() }()
		sets = append(sets, k)
	}
	set, err := engine.JoinKeySets(f.keyWidth(), s.keySeed, sets...)
	if err != nil {
		return nil
	}
	return set
}

// writeKeys makes the file with the keys of a change file that has lost it. Of one
// that is damaged, which the guard tells, none are made: folds go on.
func (s *Store) writeKeys(ctx context.Context, sess engine.Session, f *spanFold, d *dataFile) error {
	if err := s.guard.check(ctx, d); weft.KindOf(err) == weft.KindCorrupt {
		s.mu.Lock()
		d.keys = keysLost
		s.mu.Unlock()
		return nil
	} else if err != nil {
		return err
	}
	set, err := s.readKeys(ctx, sess, f, d)
	if err != nil {
		return err
	}
	return s.putKeys(d, set)
}

// putKeys writes the keys of a change file beside it.
func (s *Store) putKeys(d *dataFile, set *engine.KeySet) error {
	path := s.filePath(d.Name + keysSuffix)
	if err := writeNew(s.fs, path, func(w io.Writer) error { return set.Write(w, d.owner()) }); err != nil {
		return ioError("write the keys of a file", path, err)
	}
	s.guard.know(path)
	s.mu.Lock()
	d.keys = keysThere
	s.mu.Unlock()
	return nil
}

// readKeys reads a change file for its keys.
func (s *Store) readKeys(ctx context.Context, sess engine.Session, f *spanFold, d *dataFile) (*engine.KeySet, error) {
	var names []string
	var keys []int
	for i, k := range f.view.keys {
		field := f.view.schema.Field(k)
		t, _ := sqlType(field)
		names = append(names, engine.QuoteIdent(field.Name)+"::"+t)
		keys = append(keys, i)
	}
	rows, err := sess.Query(ctx, engine.Statement{SQL: fmt.Sprintf("SELECT %s, %s FROM read_parquet(%s, hive_partitioning = false)",
		strings.Join(names, ", "), ColumnSeq, engine.QuoteLiteral(s.filePath(d.Name)))})
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	schema := f.keySchema()
	set := engine.NewKeySet(keyWidth(schema, keys), s.keySeed)
	if set, err = set.Copy(int(d.Rows), 0); err != nil {
		return nil, err
	}
	for rows.Next() {
		rec := rows.RecordBatch()
		encoded, err := keysOf(schema, keys, rec)
		if err != nil {
			return nil, weft.Errorf(weft.KindCorrupt, "compact", s.filePath(d.Name), "%w", err)
		}
		seq := bigints(rec.Column(len(keys)))
		for i := range encoded.len() {
			if set, err = set.Add(encoded.key(i), seq(i)); err != nil {
				return nil, err
			}
		}
	}
	return set, rows.Err()
}

// asked reports whether the span's keys are few enough columns for sets to be asked.
func (f *spanFold) asked() bool { return len(f.view.keys) <= engine.MaxKeyColumns }

// keyWidth is the length of every encoded key of the span, 0 where they differ.
func (f *spanFold) keyWidth() int {
	all := make([]int, len(f.view.keys))
	for i := range all {
		all[i] = i
	}
	return keyWidth(f.keySchema(), all)
}

// keySchema is the table's key columns alone.
func (f *spanFold) keySchema() *arrow.Schema {
	var fields []arrow.Field
	for _, k := range f.view.keys {
		fields = append(fields, f.view.schema.Field(k))
	}
	return arrow.NewSchema(fields, nil)
}

// keys checks a derived file of keys.
func (v *verifier) keys(rel string, f *dataFile) {
	const consequence = "none but speed: the next fold makes it again"
	path := filepath.Join(v.dir, rel)
	k, r, err := openKeys(v.fs, path, f, v.ctx.Done())
	if errors.Is(err, fs.ErrNotExist) {
		return // an older version had none
	}
	if err == nil {
		defer func() { _ = r.Close() }()
		err = r.judge(path, k.Check())
	}
	if err != nil && !errors.Is(err, errEnded) {
		v.fail(rel, 0, err, consequence)
	}
}

// adoptSeed goes on with the seed of a set that is there: sets of one seed are
// asked together fastest.
func (s *Store) adoptSeed(path string) {
	f, err := s.fs.Open(path, os.O_RDONLY)
	if err != nil {
		return // it will be found missing when it is needed
	}
	defer func() { _ = f.Close() }()
	var b [8]byte
	if _, err := f.ReadAt(b[:], engine.KeySetSeedAt); err == nil {
		s.keySeed = binary.LittleEndian.Uint64(b[:])
	}
}

// newSeed is what the sets of one store's keys are made with.
func newSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return binary.LittleEndian.Uint64(b[:])
}
