package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
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

// maxKeysFile bounds what is read of one.
const maxKeysFile = 64 << 30

// keysState is what is known of a data file's keys.
type keysState int

const (
	keysUnknown keysState = iota // nobody has looked yet
	keysThere
	keysMissing
)

// hasKeys reports whether a file of keys belongs beside it.
func (f *dataFile) hasKeys() bool { return f.Form == formChange && f.Merges != 0 }

// owner is what a file of keys says to be beside this file and no other.
func (f *dataFile) owner() uint64 { return binary.LittleEndian.Uint64(f.Hash[:8]) }

// keysPath is the file with the keys of a change file, "" where there is none.
func (s *Store) keysPath(f *dataFile) string {
	path := s.filePath(f.Name + keysSuffix)
	s.mu.Lock()
	state := f.keys
	s.mu.Unlock()
	if state == keysUnknown {
		state = s.checkKeys(path, f)
		s.mu.Lock()
		f.keys = state
		s.mu.Unlock()
	}
	if state == keysThere {
		return path
	}
	return ""
}

// checkKeys reads a file of keys once, to hold it against its checksum.
func (s *Store) checkKeys(path string, f *dataFile) keysState {
	b, err := readWhole(s.fs, path, maxKeysFile)
	if errors.Is(err, fs.ErrNotExist) {
		return keysMissing
	}
	if err == nil {
		var n int
		if n, err = engine.CheckKeySet(b, f.owner()); err == nil && int64(n) > f.Rows {
			err = fmt.Errorf("it has %d keys, the file has %d rows", n, f.Rows)
		}
	}
	if err != nil {
		s.cfg.Env.Log.Warn("a derived file of keys cannot be used and will be made again", "file", path, "error", err)
		return keysMissing
	}
	return keysThere
}

// keyless lists the change files that a span keeps and that have lost their keys.
func (s *Store) keyless(f *spanFold) []*dataFile {
	var out []*dataFile
	for _, d := range f.levels {
		if d.hasKeys() && s.keysPath(d) == "" {
			out = append(out, d)
		}
	}
	return out
}

// joinKeys unites the keys of levels that become one change file; nil where one of
// them has its keys in no set, or where that fails: then the file is read for them.
func (s *Store) joinKeys(f *spanFold, levels []levelView) *engine.KeySet {
	var sets []*engine.KeySet
	for _, l := range levels {
		if l.file == nil {
			set, err := l.tail.keySetNow(s.keySeed)
			if err != nil {
				return nil
			}
			sets = append(sets, set)
			continue
		}
		path := ""
		if l.file.hasKeys() {
			path = s.keysPath(l.file)
		}
		if path == "" {
			return nil
		}
		b, err := readWhole(s.fs, path, maxKeysFile)
		if err != nil {
			return nil
		}
		set, err := engine.OpenKeySet(b, l.file.owner())
		if err != nil {
			return nil
		}
		sets = append(sets, set)
	}
	set, err := engine.JoinKeySets(f.keyWidth(), s.keySeed, sets...)
	if err != nil {
		return nil
	}
	return set
}

// writeKeys makes the file with the keys of a change file that has lost it.
func (s *Store) writeKeys(ctx context.Context, sess engine.Session, f *spanFold, d *dataFile) error {
	set, err := s.readKeys(ctx, sess, f, d)
	if err != nil {
		return err
	}
	return s.putKeys(d, set)
}

// putKeys writes the keys of a change file beside it.
func (s *Store) putKeys(d *dataFile, set *engine.KeySet) error {
	path := s.filePath(d.Name + keysSuffix)
	if err := writeWhole(s.fs, path, set.Bytes(d.owner())); err != nil {
		return ioError("write the keys of a file", path, err)
	}
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
			if set, _, _, err = set.Add(encoded.key(i), seq(i)); err != nil {
				return nil, err
			}
		}
	}
	return set, rows.Err()
}

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
	b, err := readWhole(v.fs, filepath.Join(v.dir, rel), maxKeysFile)
	if errors.Is(err, fs.ErrNotExist) {
		return // an older version had none
	}
	if err == nil {
		_, err = engine.CheckKeySet(b, f.owner())
	}
	if err != nil {
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
