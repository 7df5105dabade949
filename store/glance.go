package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"weft"
)

// Glance is what a closed store's manifest says of it.
type Glance struct {
	Seq    weft.Seq // of the last commit, 0 before the first
	Time   time.Time
	Tables []TableInfo // without their schemas
	Bytes  int64       // on disk
	Damage string      // the first that is known to be broken, empty for none
	// Whole is false where the journal is not just what the manifest knows of: it
	// may hold more commits, or have lost some. Then the store has to be opened to
	// know its state.
	Whole bool
}

// Peek looks at the store in dir without opening it: it locks nothing, recovers
// nothing and costs a few reads, whatever the size. A folder without a store
// gives a whole glance of nothing.
func Peek(dir string) (Glance, error) {
	fsys := disk{}
	path := filepath.Join(dir, manifestFile)
	b, err := readWhole(fsys, path, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return Glance{Whole: true}, nil
	}
	if err != nil {
		return Glance{}, ioError("look at the store", path, err)
	}
	m, err := decodeManifest(path, b)
	if weft.KindOf(err) == weft.KindCorrupt {
		return Glance{}, nil // Open knows what else to look at
	}
	if err != nil {
		return Glance{}, err
	}
	g := Glance{Seq: m.Checkpoint.Seq, Time: m.Checkpoint.Time, Bytes: int64(len(b))}
	for _, t := range m.Tables {
		i := TableInfo{Table: t.Name, Hidden: t.Hidden, Rows: t.Rows}
		if len(t.Spans) > 0 {
			i.Key = t.Spans[len(t.Spans)-1].Key
		}
		g.Tables = append(g.Tables, i)
	}
	var last os.FileInfo // segments are listed in the order of their numbers
	for _, d := range []string{filepath.Join(dir, "journal"), filepath.Join(dir, "files")} {
		es, err := fsys.ReadDir(d)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Glance{}, ioError("look at the store", d, err)
		}
		for _, e := range es {
			i, err := e.Info()
			if err != nil {
				continue // removed meanwhile
			}
			g.Bytes += i.Size()
			if filepath.Ext(e.Name()) == segmentSuffix {
				last = i
			}
		}
	}
	at := m.Checkpoint
	g.Whole = last == nil && at.Segment == 0 || last != nil && last.Name() == segmentName(at.Segment) && last.Size() == at.End
	if g.Whole && at.Segment > 0 {
		g.Whole = markedUpTo(fsys, filepath.Join(dir, "journal", "mark"), at)
	}
	return g, nil
}

// markedUpTo reports whether the mark is whole and names nothing behind a
// checkpoint: segments behind it may be gone.
func markedUpTo(fsys fileSystem, path string, at checkpoint) bool {
	b, err := readWhole(fsys, path, markSize)
	if err != nil || len(b) < markSize {
		return false
	}
	if _, err := checkFileHeader(path, markMagic, b); err != nil {
		return false
	}
	_, segment, length := readMark(b)
	return segment < at.Segment || segment == at.Segment && length <= at.End
}
