package store

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
)

// Copy is an origin's offer that was read and is in order: what a copy's folder is
// laid out from.
type Copy struct {
	Point weft.Point  // of the checkpoint
	Files []weft.File // to be fetched, each once
	// Incarnation is the product's own: its head may be of the one before.
	Incarnation uint32
	man         *manifest
}

// Bounds of what an origin offers.
const (
	maxOffer       = 64 << 20 // bytes of a manifest
	maxCopyTables  = 1000
	maxCopyFiles   = 100_000
	maxCopyFileLen = 1 << 40
)

// ReadOffer reads the manifest of an Offer of the product with that id. Nothing of
// it is believed but that the origin said it.
func ReadOffer(b []byte, product weft.Name, id string) (*Copy, error) {
	const what = "the offer"
	bad := func(why string, args ...any) (*Copy, error) {
		return nil, weft.Errorf(weft.KindCorrupt, "read what the origin offers", product.String(), why, args...)
	}
	if len(b) > maxOffer {
		return bad("it is too large")
	}
	m, err := decodeManifest(what, b)
	if err != nil {
		return nil, err
	}
	cp := m.Checkpoint
	switch {
	case m.Product != product || m.ID != id || m.Incarnation == 0:
		return bad("it is of another product")
	case !m.Copy || m.Oldest != cp.Seq || cp.Segment != 0 || len(m.History) > 0 || cp.Seq >= weft.Seq(seqForever):
		return bad("it is not as an offer is")
	case len(m.Tables) > maxCopyTables || cp.Seq == 0 && len(m.Tables) > 0:
		return bad("it has %d tables", len(m.Tables))
	}
	c := &Copy{man: m, Incarnation: m.Incarnation, Point: weft.Point{Product: product, Seq: cp.Seq, Hash: cp.Hash, Time: cp.Time}}
	c.Point.ID, c.Point.Incarnation = m.chainAt(cp.Seq)
	seen, tables := map[string]bool{}, map[string]bool{}
	for _, t := range m.Tables {
		if t.Name == "" || t.Hidden || tables[t.Name] || len(t.Spans) != 1 || t.Rows < 0 {
			return bad("it has a table that a copy cannot have")
		}
		tables[t.Name] = true
		if err := t.Spans[0].checkSchemas(); err != nil {
			return bad("the columns of table %q: %v", t.Name, err)
		}
		for _, f := range t.Spans[0].Files {
			if seen[f.Name] || f.Bytes <= 0 || f.Bytes > maxCopyFileLen || f.Rows < 0 || f.First > f.Last || f.Last > cp.Seq {
				return bad("it names a file that cannot be")
			}
			seen[f.Name] = true
			c.Files = append(c.Files, weft.File{Name: f.Name, Bytes: f.Bytes, Rows: f.Rows, Hash: f.Hash})
		}
	}
	if len(c.Files) > maxCopyFiles {
		return bad("it names %d files", len(c.Files))
	}
	if _, err := m.restore(what); err != nil {
		return nil, err
	}
	return c, nil
}

// checkSchemas holds the messages of a span's columns before they are read.
func (ms *manifestSpan) checkSchemas() error {
	all := append([][]byte{ms.Schema}, ms.Schemas...)
	for _, e := range ms.Editions {
		all = append(all, e.Schema)
	}
	for _, b := range all {
		if _, err := foreignSchema(b); err != nil {
			return err
		}
	}
	return nil
}

// foreignSchema reads a schema message that may be anything: its columns are such as
// a table, or a change file, can have.
func foreignSchema(b []byte) (*arrow.Schema, error) {
	if err := checkSchemaMessage(b); err != nil {
		return nil, err
	}
	sc, err := decodeSchema(b)
	if err != nil {
		return nil, err
	}
	for _, f := range sc.Fields() {
		if _, err := sqlType(f); err != nil || f.Name == "" {
			return nil, fmt.Errorf("column %q is none that a table has", f.Name)
		}
	}
	return sc, nil
}

// LayOut makes dir the folder of the copy: its files must be in it (FilePath), held
// against their digests and synced; first is the commit of c.Point, and nothing where
// that is before the first one. What was in the folder else is not looked at. The
// store is not opened; until the manifest is written, last of all, it is none.
func LayOut(dir string, c *Copy, first *Arrival) error {
	d := disk{}
	for _, sub := range []string{"journal", "files"} {
		if err := d.MkdirAll(filepath.Join(dir, sub)); err != nil {
			return ioError("make the copy's folder", dir, err)
		}
	}
	m := *c.man
	if c.Point.Seq > 0 {
		cp, err := layFirst(d, dir, c, first)
		if err != nil {
			return err
		}
		m.Checkpoint = cp
	}
	if err := d.SyncDir(filepath.Join(dir, "files")); err != nil {
		return ioError("make the copy's folder", dir, err)
	}
	b, err := encodeManifest(&m)
	if err != nil {
		return err
	}
	return (&Store{cfg: Config{Dir: dir}, fs: d}).writeManifest(b)
}

// layFirst writes a journal that begins with the commit of the checkpoint.
func layFirst(d disk, dir string, c *Copy, a *Arrival) (cp checkpoint, err error) {
	if a == nil {
		return cp, weft.Errorf(weft.KindInternal, "make the copy's folder", dir, "the first commit is missing")
	}
	said, _, err := a.read()
	if err != nil {
		return cp, err
	}
	if said.Seq != c.Point.Seq || said.Hash != c.Point.Hash || !said.Time.Equal(c.Point.Time) || said.ID != c.Point.ID || said.Incarnation != c.Point.Incarnation {
		return cp, weft.Errorf(weft.KindCorrupt, "make the copy's folder", c.Point.Product.String(), "the commit that came is not the one that was offered")
	}
	info := segmentInfo{
		ID: said.ID, Product: said.Product, Incarnation: said.Incarnation, Segment: 1,
		First: said.Seq, Previous: said.Previous, Time: said.Time.Add(-1000),
	}
	head, err := segmentHead(info)
	if err != nil {
		return cp, err
	}
	out := &frameBuffer{bytes: head}
	for _, b := range a.Schemas {
		out.bytes = appendFrame(out.bytes, frameSchema, b)
	}
	for _, b := range a.Blocks {
		out.bytes = appendFrame(out.bytes, frameBlock, b)
	}
	cp = c.man.Checkpoint
	cp.Segment, cp.Header = 1, int64(len(out.bytes))
	out.bytes = appendFrame(out.bytes, frameTold, a.Told)
	cp.End = int64(len(out.bytes))
	if err := writeWhole(d, SegmentPath(dir, 1), out.bytes); err != nil {
		return cp, ioError("write the copy's journal", dir, err)
	}
	k, _, _, err := openMark(d, filepath.Join(dir, "journal", "mark"))
	if err != nil {
		return cp, err
	}
	k.set(1, cp.End)
	return cp, k.close()
}

// RemoveCopy removes a copy's folder and all that is in it.
func RemoveCopy(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return ioError("remove the copy", dir, err)
	}
	return disk{}.SyncDir(filepath.Dir(dir))
}
