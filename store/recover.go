package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"weft"
)

// recover brings the store to the last durable commit: the manifest's
// checkpoint, then the commits behind it from the journal. What is damaged does
// not keep it from reading what is not: damage.go.
func (s *Store) recover(ctx context.Context) (final error) {
	s.journal = &journal{
		fs: s.fs, dir: s.journalDir(), product: s.cfg.Product,
		schemas: map[weft.Hash]bool{}, max: segmentBytes,
	}
	numbers, err := s.journal.list()
	if err != nil {
		return err
	}
	if err := s.readManifest(len(numbers) > 0); err != nil {
		return err
	}
	if err := s.readHolds(); err != nil {
		return err
	}
	s.journal.id, s.journal.inc = s.man.ID, s.man.Incarnation
	var markSegment uint32
	var markLength int64
	s.journal.mark, markSegment, markLength, err = openMark(s.fs, filepath.Join(s.journalDir(), "mark"))
	if err != nil {
		if err := s.journalDamage(err, "an unfinished write cannot be told from a commit that is lost"); err != nil {
			return err
		}
		// The journal is read as far as it goes; nothing says that this is its end.
		defer func() {
			if final == nil {
				final = s.loseHead(err)
			}
		}()
	}
	// The checkpoint was acknowledged too, and a mark may lag behind it.
	if c := s.man.Checkpoint; c.Segment > markSegment || c.Segment == markSegment && c.End > markLength {
		markSegment, markLength = c.Segment, c.End
	}
	if err := s.openSegments(numbers, markSegment); err != nil {
		return err
	}
	if err := s.replay(ctx, markSegment, markLength); err != nil {
		return err
	}
	if s.ReadOnly() != nil {
		return nil // whatever is there may be needed to repair it
	}
	if err := s.upgrade(); err != nil {
		return err
	}
	if err := s.mendManifest(); err != nil {
		return err
	}
	return s.removeOrphans()
}

// mendManifest writes the manifest and its copy where they are not the same: one
// is damaged, or a crash came between them.
func (s *Store) mendManifest() error {
	for _, name := range []string{manifestFile, manifestCopy} {
		b, err := readWhole(s.fs, filepath.Join(s.cfg.Dir, name), maxManifest)
		if err != nil || !bytes.Equal(b, s.manifest) {
			return s.writeManifest(s.manifest)
		}
	}
	return nil
}

// readManifest reads the manifest, or makes the first one of a new store.
func (s *Store) readManifest(journalExists bool) error {
	path := s.manifestPath()
	m, b, damaged, err := findManifest(s.fs, s.cfg.Dir)
	switch {
	case weft.KindOf(err) == weft.KindNotFound && journalExists:
		return weft.Errorf(weft.KindCorrupt, "open the store", path, "the folder has a journal and no manifest").
			WithHint("restore the product from a backup")
	case weft.KindOf(err) == weft.KindNotFound:
		return s.newManifest()
	case err != nil:
		return err
	}
	if damaged != nil {
		f := s.finding(damaged, "none: its copy was read, and it is written anew")
		f.Note = true
		s.remember(f)
	}
	s.manifest = b
	if s.cfg.ID != "" && s.cfg.ID != m.ID {
		return weft.Errorf(weft.KindConflict, "open the store", s.cfg.Dir, "the folder holds the product with id %s, not %s", m.ID, s.cfg.ID)
	}
	if s.cfg.Product != m.Product {
		return weft.Errorf(weft.KindConflict, "open the store", s.cfg.Dir, "the folder holds %s, not %s", m.Product, s.cfg.Product)
	}
	if s.tables, err = m.restore(path); err != nil {
		return err
	}
	for _, t := range m.Tables {
		s.order = append(s.order, t.Name)
	}
	s.man = *m
	s.man.Tables = nil
	return nil
}

func (s *Store) newManifest() error {
	s.man = manifest{ID: s.cfg.ID, Product: s.cfg.Product, Incarnation: max(s.cfg.Incarnation, 1), Created: s.cfg.Env.Clock.Now().UTC()}
	if s.man.ID == "" {
		id := make([]byte, 16)
		_, _ = rand.Read(id) // documented never to fail
		s.man.ID = hex.EncodeToString(id)
	}
	b, err := encodeManifest(&s.man)
	if err != nil {
		return err
	}
	s.manifest = b
	return s.writeManifest(b)
}

// openSegments opens the journal's files and holds that they are one chain. The
// last one may be torn in its head: then nothing was acknowledged in it. A
// damaged one before the checkpoint's is left out, and hides its commits.
func (s *Store) openSegments(numbers []uint32, markSegment uint32) error {
	j := s.journal
	for i, n := range numbers {
		seg, err := j.openSegment(n)
		if weft.KindOf(err) == weft.KindCorrupt && i == len(numbers)-1 && n > markSegment && seg.neverUsed() {
			if s.ReadOnly() != nil {
				return seg.close()
			}
			err := errors.Join(seg.close(), j.fs.Remove(seg.path))
			if err != nil {
				return ioError("drop a torn journal segment", seg.path, err)
			}
			break
		}
		if err == nil {
			err = s.takeSegment(seg)
		}
		if err == nil {
			continue
		}
		if seg != nil {
			err = firstKnown(errors.Join(err, seg.close()))
		}
		if err := s.segmentLost(n, err); err != nil {
			return err
		}
	}
	return s.missingSegments(markSegment)
}

// takeSegment puts a segment behind those that there are.
func (s *Store) takeSegment(seg *segment) error {
	j := s.journal
	if !s.man.owns(seg.info) {
		return corrupt(seg.path, fileHeaderSize, "the segment belongs to another product or incarnation")
	}
	if n := len(j.segments); n > 0 {
		before := j.segments[n-1]
		if seg.info.First < before.info.First {
			return corrupt(seg.path, fileHeaderSize, "the segment does not follow %s", filepath.Base(before.path))
		}
		if before.follows(seg) {
			before.last = seg.info.Previous
			if seg.info.Length > before.end {
				err := corrupt(before.path, before.end, "the file ends before byte %d, where its last commit ended", seg.info.Length)
				if err := s.segmentLost(before.info.Segment, err); err != nil {
					return err
				}
			} else {
				before.end = seg.info.Length
			}
		}
	}
	seg.found = func(h hole) {
		s.note(knownError(h.err), fmt.Sprintf("what the journal says of commits %s to %s cannot be read, nor can they be followed", h.from, h.to+1))
	}
	j.segments = append(j.segments, seg)
	return nil
}

// segmentLost takes damage for which a segment cannot be read. Behind the
// checkpoint replay finds where the commits end.
func (s *Store) segmentLost(n uint32, err error) error {
	name := segmentName(n)
	if err := s.journalDamage(err, "commits in "+name+" cannot be read"); err != nil {
		return err
	}
	if s.journal.lost == nil {
		s.journal.lost = s.ReadOnly()
	}
	s.journal.lostTo = max(s.journal.lostTo, n)
	return nil
}

// missingSegments finds the segments that must be there and are not.
func (s *Store) missingSegments(markSegment uint32) error {
	j := s.journal
	missing := func(n uint32, why string) error {
		return s.segmentLost(n, corrupt(filepath.Join(j.dir, segmentName(n)), 0, "the journal segment is missing%s", why))
	}
	var err error
	if first := j.segments; len(first) > 0 && first[0].info.First > max(s.man.Oldest, 1) && j.lost == nil {
		err = missing(first[0].info.Segment-1, ", commits in it are to be kept")
	}
	for i := 1; i < len(j.segments) && err == nil; i++ {
		if before := j.segments[i-1]; !before.follows(j.segments[i]) && j.lost == nil {
			err = missing(before.info.Segment+1, "")
		}
	}
	if c := s.man.Checkpoint; err == nil && c.Seq > 0 && j.lost == nil && !slices.ContainsFunc(j.segments, func(g *segment) bool { return g.info.Segment == c.Segment }) {
		err = missing(c.Segment, "")
	}
	if last := j.segments; err == nil && j.lost == nil && len(last) > 0 && last[len(last)-1].info.Segment < markSegment {
		err = missing(markSegment, ", commits in it were acknowledged")
	}
	return err
}

// replay applies the commits behind the checkpoint and finds where the journal
// ends.
func (s *Store) replay(ctx context.Context, markSegment uint32, markLength int64) error {
	cp := s.man.Checkpoint
	s.head = weft.Commit{Hash: cp.Hash}
	if cp.Seq > 0 {
		s.head.Header = weft.Header{Product: s.man.Product, Seq: cp.Seq, Time: cp.Time}
		s.head.ID, s.head.Incarnation = s.man.chainAt(cp.Seq)
	}
	all := s.journal.segments
	segs := slices.DeleteFunc(slices.Clone(all), func(g *segment) bool { return g.info.Segment < cp.Segment })
	if len(all) == 0 && markSegment == 0 && s.ReadOnly() == nil {
		return nil // new
	}
	if len(segs) == 0 || cp.Segment > 0 && segs[0].info.Segment != cp.Segment {
		at := max(cp.Segment, 1)
		return s.loseHead(corrupt(filepath.Join(s.journalDir(), segmentName(at)), 0, "the journal segment is missing or damaged, commits in it were acknowledged"))
	}
	if cp.Seq == 0 && segs[0].info.First != 1 {
		return s.loseHead(corrupt(segs[0].path, fileHeaderSize, "the journal starts at commit %s and no file holds what was before", segs[0].info.First))
	}
	for i, seg := range segs {
		if i > 0 && !segs[i-1].follows(seg) {
			return s.loseFrom(i, segs, corrupt(filepath.Join(s.journalDir(), segmentName(segs[i-1].info.Segment+1)), 0, "the journal segment is missing or damaged, commits in it were acknowledged"))
		}
		from := seg.start
		if seg.info.Segment == cp.Segment {
			from = cp.End
			if err := s.checkpointHeader(seg); err != nil {
				return err
			}
		}
		if from > seg.end {
			return s.loseFrom(i+1, segs, corrupt(seg.path, seg.end, "the file ends before byte %d, up to which it was acknowledged", from))
		}
		last := i == len(segs)-1
		if fault, err := s.replaySegment(ctx, seg, from, last, markSegment, markLength); err != nil || fault != nil {
			if err != nil {
				return err
			}
			return s.loseFrom(i+1, segs, fault)
		}
	}
	last := segs[len(segs)-1]
	if lost := max(s.journal.lostTo, markSegment); lost > last.info.Segment {
		return s.loseHead(corrupt(filepath.Join(s.journalDir(), segmentName(lost)), 0, "the journal segment is missing or damaged, commits in it were acknowledged"))
	}
	if s.ReadOnly() != nil {
		return nil
	}
	from := last.start
	if last.info.Segment == markSegment {
		from = markLength
	}
	return s.settle(last, from)
}

// checkpointHeader reads the header of the commit that the manifest names. The
// manifest says enough of it to read on where it is damaged.
func (s *Store) checkpointHeader(seg *segment) error {
	cp := s.man.Checkpoint
	c, err := seg.header(commitAt{at: cp.Header, end: cp.End})
	if err == nil && c.Hash != cp.Hash {
		err = corrupt(seg.path, cp.Header, "commit %s is not the one that the manifest names", cp.Seq)
	}
	if err == nil {
		s.head = c
		return nil
	}
	return s.journalDamage(err, "what commit "+cp.Seq.String()+" says of itself cannot be read")
}

// replaySegment applies the commits of one segment. A fault is damage after
// which nothing is applied any more.
func (s *Store) replaySegment(ctx context.Context, seg *segment, from int64, last bool, markSegment uint32, markLength int64) (fault, err error) {
	schemas := map[weft.Hash][]byte{} // the checkpoint starts them anew
	end, err := seg.scan(from, seg.end, true, func(c scanned) error {
		if err := s.ended(ctx, "open"); err != nil {
			return err
		}
		if c.header.Seq != s.head.Seq+1 || c.header.Previous != s.head.Hash {
			return corrupt(seg.path, c.at, "commit %s does not follow %s", c.header.Seq, s.head.Seq)
		}
		changes, err := changesOf(seg, c, schemas)
		if err != nil {
			return err
		}
		s.apply(c.header.Seq, changes)
		s.head = weft.Commit{Header: c.header, Hash: c.hash}
		return nil
	})
	acknowledged := seg.info.Segment < markSegment || seg.info.Segment == markSegment && end < markLength
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil && (!isBadFrame(err) || !last || acknowledged):
		err = seg.named(err)
		if weft.KindOf(err) != weft.KindCorrupt {
			return nil, err
		}
		fault, err = err, nil
	case err == nil && last && acknowledged:
		fault = corrupt(seg.path, end, "the file ends before byte %d, up to which it was acknowledged", markLength)
	case err == nil && !last && seg.last != s.head.Hash:
		fault = corrupt(seg.path, end, "the file ends before its last commit")
	case err != nil:
		if fault, err = s.cutTorn(seg, end); err != nil {
			return nil, err
		}
	}
	seg.end, seg.last = end, s.head.Hash
	return fault, err
}

// loseFrom takes damage that hides all commits of the segments from the i-th on.
func (s *Store) loseFrom(i int, segs []*segment, fault error) error {
	lost := segs[i:]
	j := s.journal
	j.segments = j.segments[:len(j.segments)-len(lost)]
	for _, g := range lost {
		_ = g.close() // only ever read
	}
	if j.lost == nil {
		j.lost = fault
	}
	return s.loseHead(fault)
}

// neverUsed reports whether a segment whose head is torn holds no commit: then
// a crash came while it was made.
func (s *segment) neverUsed() bool {
	size, err := s.size()
	if err != nil {
		return false
	}
	s.end = size
	_, seq := s.laterCommit(0, 0)
	return seq == 0
}

func isBadFrame(err error) bool {
	var b *badFrame
	return errors.As(err, &b)
}

// cutTorn removes what a crash left of the commit that was being written. A
// later commit behind it proves that it had been whole: then it is damage and
// not a torn write, even where the mark lags behind.
func (s *Store) cutTorn(seg *segment, end int64) (fault, err error) {
	if at, seq := seg.laterCommit(end, s.head.Seq+1); seq > 0 {
		return corrupt(seg.path, end, "a commit is damaged; commit %s at byte %d was written after it", seq, at), nil
	}
	if s.ReadOnly() != nil {
		return nil, nil
	}
	if err := seg.f.Truncate(end); err != nil {
		return nil, ioError("cut off an unfinished commit", seg.path, err)
	}
	return nil, nil
}

// laterCommit looks behind from for a whole header of a commit after seq.
func (s *segment) laterCommit(from int64, seq weft.Seq) (int64, weft.Seq) {
	b := make([]byte, s.end-from)
	if _, err := s.f.ReadAt(b, from); err != nil {
		return 0, 0
	}
	r := bytes.NewReader(b)
	for at := int64(0); at+frameHeaderSize <= int64(len(b)); at += 8 {
		if !endsCommit(b[at+4]) {
			continue
		}
		fr, err := readFrame(r, at, int64(len(b)))
		if err != nil {
			continue
		}
		// Rows may hold bytes that look like a header; of this product they are rarer.
		if h, err := commitOf(fr); err == nil && h.Seq > seq && (s.info.ID == "" || h.ID == s.info.ID) {
			return from + at, h.Seq
		}
	}
	return 0, 0
}

// settle makes durable what was just read from the last segment behind the mark:
// it may have been written and not yet synced when the process ended, and from
// now on it is visible. It is written again, since a sync that failed then may
// have left it in memory as if it were on the disk.
func (s *Store) settle(last *segment, from int64) error {
	for at := from; at < last.end; {
		b := make([]byte, min(last.end-at, 1<<20))
		_, err := last.f.ReadAt(b, at)
		if err == nil {
			_, err = last.f.WriteAt(b, at)
		}
		if err != nil {
			return ioError("write the journal's end again", last.path, err)
		}
		at += int64(len(b))
	}
	err := last.f.Sync()
	if err == nil {
		err = s.fs.SyncDir(s.journalDir()) // the segment's name too
	}
	if err != nil {
		return ioError("sync the journal", last.path, err)
	}
	s.journal.mark.set(last.info.Segment, last.end)
	// Which schemas the segment holds is not known without reading all of it;
	// one written twice does no harm.
	return nil
}

// removeOrphans removes what no commit and no manifest names: files that were
// moved in or written just before a crash.
func (s *Store) removeOrphans() error {
	named := map[string]bool{}
	for _, f := range s.allFiles() { // nobody else has the store yet
		for _, p := range f.parts() {
			named[p.name] = true
			// A file that is missing is damage that only its readers meet.
			if st, err := s.fs.Stat(s.filePath(p.name)); err != nil || st.Size() != p.bytes {
				_ = s.guard.check(context.Background(), f)
			}
		}
	}
	es, err := s.fs.ReadDir(s.filesDir())
	if err != nil {
		return ioError("list the files", s.filesDir(), err)
	}
	var orphans []string
	for _, e := range es {
		if of, ok := strings.CutSuffix(e.Name(), keysSuffix); ok && named[of] {
			s.adoptSeed(s.filePath(e.Name()))
			continue
		}
		if !named[e.Name()] && (strings.HasSuffix(e.Name(), ".parquet") || strings.HasSuffix(e.Name(), ".tmp") || strings.HasSuffix(e.Name(), keysSuffix)) {
			orphans = append(orphans, s.filePath(e.Name()))
		}
	}
	if len(orphans) == 0 {
		return nil
	}
	// A sync that failed may have left this manifest in memory only, and the one
	// before on the disk: that one's files are orphans as soon as this one is
	// there to stay.
	if err := s.writeManifest(s.manifest); err != nil {
		return err
	}
	for _, path := range orphans {
		if err := s.fs.Remove(path); err != nil {
			return ioError("remove a file that nothing names", path, err)
		}
	}
	return nil
}
