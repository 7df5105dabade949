package store

import (
	"context"
	"io"
	"os"
	"slices"

	"weft"
)

// Offer is a state of the product as whoever copies it takes it: the files of a
// checkpoint, with what leads from there to the head in the journal.
type Offer struct {
	Point  weft.Point // of the checkpoint; Seq 0 where no file holds anything yet
	Head   weft.Point
	Tables []string // that are given at the head, in their order
	// Manifest describes the checkpoint without what stays at the origin. It names
	// files by their digests; its place in the journal means nothing to others.
	Manifest []byte
}

// Offer fixes what a copy can be begun from; gives says which tables are offered.
// Files that it names stay until a fold or retention lets go of them: who finds one
// gone asks for a new offer.
func (s *Store) Offer(gives func(table string) bool) (*Offer, error) {
	if err := firstKnown(s.headLost()); err != nil {
		return nil, err
	}
	o := &Offer{Tables: s.given(gives)}
	s.mu.Lock()
	o.Head = s.point(s.head)
	b, path, closed := s.manifest, s.manifestPath(), s.closed
	s.mu.Unlock()
	if closed {
		return nil, closedError()
	}
	m, err := decodeManifest(path, b)
	if err != nil {
		return nil, err
	}
	o.Point = weft.Point{Product: m.Product, Seq: m.Checkpoint.Seq, Hash: m.Checkpoint.Hash, Time: m.Checkpoint.Time}
	o.Point.ID, o.Point.Incarnation = m.chainAt(m.Checkpoint.Seq)
	m.disclose(gives)
	o.Manifest, err = encodeManifest(m)
	return o, err
}

// Tables lists the tables there are now, without hidden ones, in their order.
func (s *Store) Tables() []string { return s.given(func(string) bool { return true }) }

// given lists the tables there are now that are offered.
func (s *Store) given(gives func(table string) bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []string{}
	for _, name := range s.order {
		if !s.tables[name].hidden && gives(name) {
			out = append(out, name)
		}
	}
	return out
}

// disclose leaves of a manifest what a copy begins with: the state of the checkpoint
// and no older one, and the tables that are offered.
func (m *manifest) disclose(gives func(table string) bool) {
	m.Oldest, m.History, m.Copy = m.Checkpoint.Seq, nil, true
	m.Checkpoint.Segment, m.Checkpoint.Header, m.Checkpoint.End = 0, 0, 0
	m.Tables = slices.DeleteFunc(m.Tables, func(t manifestTable) bool { return t.Hidden || !gives(t.Name) })
	for i := range m.Tables {
		t := &m.Tables[i]
		t.Spans = t.Spans[len(t.Spans)-1:]
		t.Floor = &manifestRows{m.Checkpoint.Seq, t.Rows}
	}
}

// RawCommit is a commit as the journal has it, without what stays at the origin.
type RawCommit struct {
	Commit  weft.Commit // Hash is that of the whole header
	Schemas [][]byte    // messages of the tables' columns, each once
	Blocks  [][]byte    // payloads, in the order in which the header names them
}

// Raw gives one commit for a copy; gives says which tables are offered. KindGone
// where it is no longer kept.
func (s *Store) Raw(seq weft.Seq, gives func(table string) bool) (RawCommit, error) {
	s.mu.Lock()
	at := s.man.Checkpoint.Seq
	s.mu.Unlock()
	if seq != at { // the one that an offer begins with is there as long as the offer holds
		if err := s.kept(seq); err != nil {
			return RawCommit{}, err
		}
	}
	seg, place, err := s.journal.find(seq)
	if err != nil {
		if gone := s.kept(seq); weft.KindOf(gone) == weft.KindGone {
			err = gone
		}
		return RawCommit{}, err
	}
	defer s.journal.release(seg)
	if place.start == 0 {
		var fault error
		err := seg.withIndex(func(x *segmentIndex) { fault = x.rowsHidden(seq) })
		return RawCommit{}, firstKnown(orElse(err, fault))
	}
	schemas, err := seg.schemas()
	if err != nil {
		return RawCommit{}, err
	}
	var out RawCommit
	if _, err = seg.scan(place.start, place.end, true, func(c scanned) error {
		out.take(c, schemas, gives)
		return nil
	}); err != nil {
		return RawCommit{}, seg.named(err)
	}
	return out, nil
}

func orElse(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// take keeps of a commit what is disclosed of it.
func (r *RawCommit) take(c scanned, schemas map[weft.Hash][]byte, gives func(string) bool) {
	r.Commit = disclosed(weft.Commit{Header: c.header, Hash: c.hash}, gives)
	var blocks [][]byte
	for _, f := range c.frames {
		if f.Kind == frameBlock {
			blocks = append(blocks, f.Payload)
		}
	}
	have := map[weft.Hash]bool{}
	for _, t := range c.header.Tables {
		n := min(len(t.Blocks), len(blocks))
		mine := blocks[:n]
		blocks = blocks[n:]
		if t.Hidden || !gives(t.Table) {
			continue
		}
		r.Blocks = append(r.Blocks, mine...)
		if b := schemas[t.Schema]; b != nil && !have[t.Schema] {
			have[t.Schema] = true
			r.Schemas = append(r.Schemas, b)
		}
	}
}

// Await blocks until commit seq is there, or ctx ends, which is an error too.
func (s *Store) Await(ctx context.Context, seq weft.Seq) error {
	return s.awaitUnless(ctx, seq, func() error { return nil })
}

// GivenFile is an open data file, for a copy.
type GivenFile struct {
	io.ReaderAt
	Bytes int64
	Hash  weft.Hash
	close func()
}

// Close gives the file back.
func (f *GivenFile) Close() { f.close() }

// File opens a data file of a table that is offered: one of the files that an offer
// names, or with seq one that the commit names. KindGone where it is no longer kept,
// which says no more of a file of another table.
func (s *Store) File(ctx context.Context, name string, seq weft.Seq, gives func(table string) bool) (*GivenFile, error) {
	if seq > 0 {
		c, err := s.Commit(seq)
		if err != nil {
			return nil, err
		}
		if !names(disclosed(c, gives), name) {
			return nil, s.noFile(name)
		}
	}
	hold, err := s.holdGiven(name, seq, gives)
	if err != nil {
		return nil, err
	}
	if err := s.guard.check(ctx, hold); err != nil {
		s.dropFile(hold)
		return nil, err
	}
	path := s.filePath(name)
	f, err := s.fs.Open(path, os.O_RDONLY)
	if err != nil {
		s.dropFile(hold)
		return nil, ioError("open the file", path, err)
	}
	return &GivenFile{ReaderAt: f, Bytes: hold.Bytes, Hash: hold.Hash, close: func() {
		_ = f.Close() // only ever read
		s.dropFile(hold)
	}}, nil
}

func names(c weft.Commit, file string) bool {
	return slices.ContainsFunc(c.Tables, func(t weft.TableChange) bool {
		return slices.ContainsFunc(t.Files, func(f weft.File) bool { return f.Name == file })
	})
}

// holdGiven is holdFile for a file of a table that is offered.
func (s *Store) holdGiven(name string, seq weft.Seq, gives func(table string) bool) (*dataFile, error) {
	if seq > 0 {
		return s.holdFile(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		if t.hidden || !gives(t.name) {
			continue
		}
		for _, sp := range t.spans {
			for _, f := range sp.files() {
				if f.Name == name {
					f.refs++
					return f, nil
				}
			}
		}
	}
	return nil, s.noFile(name)
}

func (s *Store) noFile(name string) error {
	return weft.Errorf(weft.KindGone, "read the file", name, "%s has no such file, or not any more", s.cfg.Product).
		WithHint("ask for a new snapshot")
}
