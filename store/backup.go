package store

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"

	"weft"
)

// Image is a product's data at one commit, as files that stay as they are until
// it is closed: what a backup copies while the product works on.
type Image struct {
	Point    weft.Point // Seq 0 before the first commit
	Manifest []byte
	Files    []ImageFile    // that the manifest and the commits behind it name
	Segments []ImageSegment // in order; the last one ends with the point's commit
	Lineage  []weft.Point   // heads at which earlier incarnations ended, oldest first

	store *Store
	held  []*dataFile
	segs  []*segment
	once  sync.Once
	after func() // called when it is closed; nil for nothing
}

// ImageFile is one data file. Files never change, and a name is never used twice.
type ImageFile struct {
	Name  string
	Path  string
	Bytes int64
	Hash  weft.Hash
}

// ImageSegment is one segment of the journal up to a commit. What is behind
// Length belongs to later commits.
type ImageSegment struct {
	ID          string // of the product whose chain it is of: another's in a clone
	Incarnation uint32
	Number      uint32
	Length      int64

	f file
}

// Reader reads the segment's bytes from..Length.
func (s ImageSegment) Reader(from int64) io.Reader {
	return io.NewSectionReader(s.f, from, s.Length-from)
}

// Image fixes the product's data as it is now. Files stay until it is closed,
// like those of a snapshot; commits and folds go on. A product of which
// something is damaged has none: what was saved of it before is better.
func (s *Store) Image(ctx context.Context) (*Image, error) {
	if err := errors.Join(s.headLost(), s.ReadOnly()); err != nil {
		return nil, firstKnown(err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, &weft.Error{Op: "back up", Subject: s.cfg.Product.String(), Kind: weft.KindCancelled, Cause: err}
		}
		m := &Image{store: s, segs: s.journal.acquire()} // first: what is dropped after stays readable
		err := m.hold()
		done := err == nil && m.Point.Seq == 0
		if err == nil && !done {
			done, err = m.cutSegments()
		}
		if done {
			return m, nil
		}
		m.Close()
		if err != nil {
			return nil, err
		}
	}
}

// hold takes the head, the manifest and the files that lead from it to the head.
func (m *Image) hold() error {
	s := m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return closedError()
	}
	m.Point, m.Manifest, m.Lineage = s.point(s.head), s.manifest, s.man.Lineage
	seen := map[*dataFile]bool{}
	for _, f := range s.allFiles() {
		if !seen[f] {
			seen[f] = true
			f.refs++
			m.held = append(m.held, f)
			m.Files = append(m.Files, ImageFile{f.Name, s.filePath(f.Name), f.Bytes, f.Hash})
		}
	}
	return nil
}

// cutSegments sets how far each segment is of the image; false where the head's
// was started after the others were taken.
func (m *Image) cutSegments() (bool, error) {
	last, at, err := m.store.journal.find(m.Point.Seq)
	if err != nil {
		return false, err
	}
	defer m.store.journal.release(last)
	for i, g := range m.segs {
		is := ImageSegment{ID: g.info.ID, Incarnation: g.info.Incarnation, Number: g.info.Segment, f: g.f}
		if g == last {
			is.Length = at.end
			m.Segments = append(m.Segments, is)
			return true, nil
		}
		if i+1 < len(m.segs) {
			is.Length = m.segs[i+1].info.Length
		}
		m.Segments = append(m.Segments, is)
	}
	return false, nil
}

// Close gives up what the image held. Idempotent.
func (m *Image) Close() {
	m.once.Do(func() {
		s := m.store
		s.journal.release(m.segs...)
		var dead []*dataFile
		s.mu.Lock()
		for _, f := range m.held {
			if f.refs--; f.refs == 0 && f.dead {
				dead = append(dead, f)
			}
		}
		s.mu.Unlock()
		s.removeFiles(dead)
		if m.after != nil {
			m.after()
		}
	})
}

// OnClose calls f when the image is closed: to give back what kept the store open.
func (m *Image) OnClose(f func()) { m.after = f }

// SegmentPath is where a product's folder has a segment of its journal.
func SegmentPath(dir string, number uint32) string {
	return filepath.Join(dir, "journal", segmentName(number))
}

// FilePath is where a product's folder has a data file.
func FilePath(dir, name string) string { return filepath.Join(dir, "files", name) }

// Revive makes the product's folder dir, laid out from an image, a chain of its
// own: a new incarnation that says from which head of which one it goes on. With
// id it becomes another product, a clone. The folder's manifest is from, as it
// is in the image; segment and length say where the journal ends. The new
// incarnation is later than the manifest's and than after, which another restore
// may have begun.
func Revive(dir, id string, from []byte, head weft.Point, segment uint32, length int64, after uint32) error {
	path := filepath.Join(dir, manifestFile)
	m, err := decodeManifest(path, from)
	if err != nil {
		return err
	}
	if head.Seq > 0 {
		m.Lineage = append(m.Lineage, weft.Point{Product: m.Product, ID: m.ID, Incarnation: m.Incarnation, Seq: head.Seq, Hash: head.Hash, Time: head.Time})
	}
	m.Incarnation = max(m.Incarnation, after) + 1
	if id != "" {
		m.ID = id
	}
	b, err := encodeManifest(m)
	if err != nil {
		return err
	}
	d := disk{}
	for _, sub := range []string{"journal", "files"} {
		if err := d.MkdirAll(filepath.Join(dir, sub)); err != nil {
			return ioError("restore", dir, err)
		}
	}
	if segment > 0 {
		k, _, _, err := openMark(d, filepath.Join(dir, "journal", "mark"))
		if err != nil {
			return err
		}
		k.set(segment, length)
		if err := k.close(); err != nil {
			return ioError("restore", dir, err)
		}
	}
	return (&Store{cfg: Config{Dir: dir}, fs: d}).writeManifest(b)
}

// Same is Store.Same for a point that somebody kept of this product.
func (m *Image) Same(p weft.Point) error { return m.store.Same(p.Incarnation, p.Seq, p.Hash[:]) }

// Incarnation is the product's own: its head may be of the one before, until the
// first commit after a restore.
func (m *Image) Incarnation() uint32 { return m.store.journal.inc }
