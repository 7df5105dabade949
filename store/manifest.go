package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/sign"
)

// The manifest is the checkpoint of a store: everything up to a commit, with
// the files that hold it. What came after is replayed from the journal. It is
// one JSON object, replaced as a whole.
const (
	manifestMagic = "weft manifest"
	manifestFile  = "manifest"
	manifestCopy  = "manifest.copy" // the same bytes, for the day on which the other is damaged
	maxManifest   = 256 << 20
)

type manifestEnvelope struct {
	Magic   string          `json:"magic"`
	Version uint32          `json:"version"`
	Digest  weft.Hash       `json:"digest"` // of the bytes of body
	Body    json.RawMessage `json:"body"`
}

type manifest struct {
	ID          string          `json:"id"`
	Product     weft.Name       `json:"product"`
	Incarnation uint32          `json:"incarnation"`
	Created     time.Time       `json:"created"`
	Oldest      weft.Seq        `json:"oldest"`     // the oldest cut that can be read; 0 is before the first
	Checkpoint  checkpoint      `json:"checkpoint"` // how far the tables below go
	Tables      []manifestTable `json:"tables,omitempty"`
	// Lineage are the heads at which earlier incarnations ended, oldest first: the
	// chain goes on from the last of them.
	Lineage []weft.Point `json:"lineage,omitempty"`
	// History are files that no table needs any more and that followers do.
	History []*dataFile `json:"history,omitempty"`
	// Copy says that the folder is a copy of another node's product: its commits are
	// those that the origin tells.
	Copy bool `json:"copy,omitempty"`

	version uint32 // that it was read with
}

// checkpoint is a place between two commits in the journal.
type checkpoint struct {
	Seq     weft.Seq  `json:"seq"`
	Hash    weft.Hash `json:"hash"`
	Time    time.Time `json:"time"`
	Segment uint32    `json:"segment"`
	Header  int64     `json:"header"` // offset of the commit's header frame
	End     int64     `json:"end"`    // offset of the byte after it
}

type manifestTable struct {
	Name   string         `json:"name"`
	Hidden bool           `json:"hidden,omitempty"`
	Rows   int64          `json:"rows"`
	Floor  *manifestRows  `json:"floor,omitempty"` // rows at the last commit that is no longer kept
	IDs    int            `json:"ids,omitempty"`   // the highest id that a column was given
	Spans  []manifestSpan `json:"spans"`
}

type manifestRows struct {
	Seq  weft.Seq `json:"seq"`
	Rows int64    `json:"rows"`
}

type manifestSpan struct {
	From   weft.Seq    `json:"from"`
	Schema []byte      `json:"schema"` // an Arrow IPC schema message
	Key    []string    `json:"key,omitempty"`
	Files  []*dataFile `json:"files,omitempty"`
	// Editions are the columns from later commits on; Schemas are those that files
	// hold and no edition has.
	Editions []manifestEdition `json:"editions,omitempty"`
	Schemas  [][]byte          `json:"schemas,omitempty"`
	// Uncounted says that the commits' numbers of rows do not hold.
	Uncounted bool `json:"uncounted,omitempty"`
}

type manifestEdition struct {
	From   weft.Seq `json:"from"`
	Schema []byte   `json:"schema"`
}

// newManifestSpan describes a span that begins with the first of editions.
func newManifestSpan(from weft.Seq, editions []edition, key []string, files []*dataFile) (manifestSpan, error) {
	ms := manifestSpan{From: from, Key: key, Files: files}
	known := map[weft.Hash]bool{}
	for i, e := range editions {
		b, err := encodeSchema(e.schema)
		if err != nil {
			return ms, err
		}
		known[e.id] = true
		if i == 0 {
			ms.Schema = b
		} else {
			ms.Editions = append(ms.Editions, manifestEdition{e.from, b})
		}
	}
	for _, f := range files {
		if f.schema == editions[0].schema {
			f.Schema = weft.Hash{}
			continue
		}
		b, err := encodeSchema(f.schema)
		if err != nil {
			return ms, err
		}
		if f.Schema = sign.Digest(b); f.Schema == editions[0].id {
			f.Schema = weft.Hash{}
		} else if !known[f.Schema] {
			known[f.Schema] = true
			ms.Schemas = append(ms.Schemas, b)
		}
	}
	return ms, nil
}

// restore makes the span that the manifest describes. Files of one schema share
// it.
func (ms manifestSpan) restore() (*span, error) {
	s := &span{from: ms.From, key: ms.Key, uncounted: ms.Uncounted}
	known := map[weft.Hash]*arrow.Schema{}
	for _, e := range append([]manifestEdition{{ms.From, ms.Schema}}, ms.Editions...) {
		schema, err := decodeSchema(e.Schema)
		if err != nil {
			return nil, fmt.Errorf("its columns cannot be read")
		}
		ed, err := newEdition(e.From, schema, e.Schema, ms.Key)
		if err != nil {
			return nil, err
		}
		if len(s.editions) > 0 && e.From <= s.last().from && len(s.editions) > 1 {
			return nil, fmt.Errorf("its columns are out of order")
		}
		known[ed.id] = schema
		s.editions = append(s.editions, ed)
	}
	for _, b := range ms.Schemas {
		schema, err := decodeSchema(b)
		if err != nil {
			return nil, fmt.Errorf("the columns of its files cannot be read")
		}
		known[sign.Digest(b)] = schema
	}
	for _, f := range ms.Files {
		if f.schema = s.editions[0].schema; f.Schema != (weft.Hash{}) {
			if f.schema = known[f.Schema]; f.schema == nil {
				return nil, fmt.Errorf("the columns of file %s are not given", f.Name)
			}
		}
		s.addFile(f)
	}
	return s, nil
}

// checkVersion refuses a format version that this program does not know.
func checkVersion(path string, v uint32) error {
	switch {
	case v > formatVersion:
		return weft.Errorf(weft.KindInvalid, "read", path, "the file has format version %d, this program knows up to %d", v, formatVersion).
			WithHint("a newer weft has written it; run that one")
	case v < oldestReadable:
		return weft.Errorf(weft.KindInvalid, "read", path, "the file has format version %d, this program reads from %d", v, oldestReadable).
			WithHint("open the folder with the release in between, which upgrades it")
	}
	return nil
}

func encodeManifest(m *manifest) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(manifestEnvelope{manifestMagic, formatVersion, sign.Digest(body), body})
	return append(b, '\n'), err
}

// decodeManifest reads the manifest at path from its bytes.
func decodeManifest(path string, b []byte) (*manifest, error) {
	var e manifestEnvelope
	if err := json.Unmarshal(b, &e); err != nil || e.Magic != manifestMagic {
		return nil, corrupt(path, 0, "the file is no manifest")
	}
	if err := checkVersion(path, e.Version); err != nil {
		return nil, err
	}
	// The envelope has one spelling: a reader of JSON forgives what a digest would not.
	again, err := json.Marshal(e)
	if err != nil || !bytes.Equal(append(again, '\n'), b) || sign.Digest(e.Body) != e.Digest {
		return nil, corrupt(path, 0, "the digest of the manifest does not hold")
	}
	dec := json.NewDecoder(bytes.NewReader(e.Body))
	dec.DisallowUnknownFields()
	m := new(manifest)
	if err := dec.Decode(m); err != nil {
		return nil, corrupt(path, 0, "the manifest cannot be read: %v", err)
	}
	if err := m.check(); err != nil {
		return nil, corrupt(path, 0, "%v", err)
	}
	m.version = e.Version
	return m, nil
}

// writeManifest replaces the manifest and then its copy. What the one before
// names must stay until both are written: between the two, the copy is the older.
func (s *Store) writeManifest(b []byte) error {
	for _, name := range []string{manifestFile, manifestCopy} {
		path := filepath.Join(s.cfg.Dir, name)
		if err := writeWhole(s.fs, path, b); err != nil {
			return ioError("write the manifest", path, err)
		}
	}
	return nil
}

// findManifest reads the manifest, or where that is damaged its copy; bytes are
// those of the one that was read. Damaged is what was wrong with the manifest.
// The error says KindNotFound where there is neither.
func findManifest(fsys fileSystem, dir string) (m *manifest, b []byte, damaged *weft.Error, err error) {
	read := func(name string) (*manifest, []byte, error) {
		path := filepath.Join(dir, name)
		b, err := readWhole(fsys, path, maxManifest)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil, weft.Errorf(weft.KindNotFound, "read", path, "the file is missing").WithHint("restore the product from a backup")
		case errors.Is(err, errTooLong):
			return nil, nil, corrupt(path, 0, "%v", err)
		case err != nil:
			return nil, nil, ioError("read", path, err)
		}
		m, err := decodeManifest(path, b)
		if err == nil {
			_, err = m.restore(path)
		}
		return m, b, err
	}
	m, b, err = read(manifestFile)
	if kind := weft.KindOf(err); err == nil || kind != weft.KindCorrupt && kind != weft.KindNotFound {
		return m, b, nil, err
	}
	again, b, copyErr := read(manifestCopy)
	if copyErr != nil {
		if weft.KindOf(err) == weft.KindNotFound && weft.KindOf(copyErr) != weft.KindNotFound {
			err = copyErr
		}
		return nil, nil, nil, err
	}
	damaged = knownError(err)
	if damaged.Kind == weft.KindNotFound {
		damaged = corrupt(damaged.Subject, 0, "the file is missing")
	}
	return again, b, damaged, nil
}

// check holds what no digest can: that the parts fit together.
func (m *manifest) check() error {
	for _, t := range m.Tables {
		if len(t.Spans) == 0 {
			return fmt.Errorf("table %q has no rows from anywhere on", t.Name)
		}
		for i, s := range t.Spans {
			if i > 0 && s.From < t.Spans[i-1].From {
				return fmt.Errorf("the history of table %q is out of order", t.Name)
			}
			for _, f := range s.Files {
				if err := f.check(); err != nil {
					return err
				}
			}
		}
	}
	for _, f := range m.History {
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

func (f *dataFile) check() error {
	if f == nil || !safeName(f.Name) {
		return fmt.Errorf("a data file has no valid name")
	}
	if f.Form != formRows && f.Form != formMerge && f.Form != formChange {
		return fmt.Errorf("data file %s has the unknown form %q", f.Name, f.Form)
	}
	return nil
}

// safeName reports whether a file's name stays inside its folder and means
// nothing else to the engine.
func safeName(n string) bool {
	if n == "" || len(n) > 200 || n[0] == '.' {
		return false
	}
	for _, r := range n {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_' {
			return false
		}
	}
	return true
}

// restore makes the tables that the manifest describes.
func (m *manifest) restore(path string) (map[string]*table, error) {
	tables := map[string]*table{}
	for _, mt := range m.Tables {
		t := &table{name: mt.Name, hidden: mt.Hidden, rows: mt.Rows, ids: mt.IDs}
		if mt.Floor != nil {
			t.floor = &rowsAt{mt.Floor.Seq, mt.Floor.Rows}
		}
		for _, ms := range mt.Spans {
			s, err := ms.restore()
			if err != nil {
				return nil, corrupt(path, 0, "table %q: %v", mt.Name, err)
			}
			t.spans = append(t.spans, s)
			for _, e := range s.editions {
				t.ids = max(t.ids, lastID(e.schema))
			}
		}
		tables[t.name] = t
	}
	return tables, nil
}
