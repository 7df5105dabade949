package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"weft"
	"weft/sign"
)

// recover brings the store to the last durable commit: the manifest's
// checkpoint, then the commits behind it from the journal.
func (s *Store) recover(ctx context.Context) error {
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
	s.journal.id, s.journal.inc = s.man.ID, s.man.Incarnation
	var markSegment uint32
	var markLength int64
	s.journal.mark, markSegment, markLength, err = openMark(s.fs, filepath.Join(s.journalDir(), "mark"))
	if err != nil {
		return err
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
	return s.removeOrphans()
}

// readManifest reads the manifest, or makes the first one of a new store.
func (s *Store) readManifest(journalExists bool) error {
	path := s.manifestPath()
	b, err := readWhole(s.fs, path, maxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist) && journalExists:
		return weft.Errorf(weft.KindCorrupt, "open the store", path, "the folder has a journal and no manifest").
			WithHint("restore the product from a backup")
	case errors.Is(err, fs.ErrNotExist):
		return s.newManifest()
	case errors.Is(err, errTooLong):
		return corrupt(path, 0, "%v", err)
	case err != nil:
		return ioError("open the store", path, err)
	}
	m, err := decodeManifest(path, b)
	if err != nil {
		return err
	}
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
	if err := writeWhole(s.fs, s.manifestPath(), b); err != nil {
		return ioError("make the store", s.cfg.Dir, err)
	}
	return nil
}

// openSegments opens the journal's files and holds that they are one chain. The
// last one may be torn in its head: then nothing was acknowledged in it.
func (s *Store) openSegments(numbers []uint32, markSegment uint32) error {
	j := s.journal
	for i, n := range numbers {
		seg, err := j.openSegment(n)
		if weft.KindOf(err) == weft.KindCorrupt && i == len(numbers)-1 && n > markSegment && seg.neverUsed() {
			err := errors.Join(seg.close(), j.fs.Remove(seg.path))
			if err != nil {
				return ioError("drop a torn journal segment", seg.path, err)
			}
			break
		}
		if err != nil {
			if seg != nil {
				err = errors.Join(err, seg.close())
			}
			return firstKnown(err)
		}
		j.segments = append(j.segments, seg)
		if seg.info.ID != s.man.ID || seg.info.Incarnation != s.man.Incarnation {
			return corrupt(seg.path, fileHeaderSize, "the segment belongs to another product or incarnation")
		}
		if len(j.segments) == 1 {
			continue
		}
		before := j.segments[len(j.segments)-2]
		if seg.info.Segment != before.info.Segment+1 || seg.info.First < before.info.First {
			return corrupt(seg.path, fileHeaderSize, "the segment does not follow %s", filepath.Base(before.path))
		}
		if seg.info.Length > before.end {
			return corrupt(before.path, before.end, "the file ends before byte %d, where its last commit ended", seg.info.Length)
		}
		before.end = seg.info.Length
	}
	if c := s.man.Checkpoint; c.Seq > 0 && !slices.ContainsFunc(j.segments, func(g *segment) bool { return g.info.Segment == c.Segment }) {
		return weft.Errorf(weft.KindCorrupt, "open the store", filepath.Join(j.dir, segmentName(c.Segment)), "the journal segment is missing").
			WithHint("restore the product from a backup")
	}
	if first := j.segments; len(first) > 0 && first[0].info.First > max(s.man.Oldest, 1) {
		return weft.Errorf(weft.KindCorrupt, "open the store", filepath.Join(j.dir, segmentName(first[0].info.Segment-1)), "the journal segment is missing, commits in it are to be kept").
			WithHint("restore the product from a backup")
	}
	if last := j.segments; len(last) > 0 && last[len(last)-1].info.Segment < markSegment {
		return weft.Errorf(weft.KindCorrupt, "open the store", filepath.Join(j.dir, segmentName(markSegment)), "the journal segment is missing, commits in it were acknowledged").
			WithHint("restore the product from a backup")
	}
	return nil
}

// replay applies the commits behind the checkpoint and finds where the journal
// ends.
func (s *Store) replay(ctx context.Context, markSegment uint32, markLength int64) error {
	cp := s.man.Checkpoint
	segs := s.journal.segments
	if len(segs) == 0 {
		if markSegment > 0 {
			return weft.Errorf(weft.KindCorrupt, "open the store", s.journalDir(), "the journal is missing, commits in it were acknowledged").
				WithHint("restore the product from a backup")
		}
		return nil
	}
	if cp.Seq == 0 && segs[0].info.First != 1 {
		return corrupt(segs[0].path, fileHeaderSize, "the journal starts at commit %s and no file holds what was before", segs[0].info.First)
	}
	link := sign.Link{Digest: cp.Hash}
	for i, seg := range segs {
		from := seg.start
		if seg.info.Segment < cp.Segment {
			continue
		}
		if seg.info.Segment == cp.Segment {
			c, err := seg.header(commitAt{at: cp.Header, end: cp.End})
			if err != nil {
				return err
			}
			if c.Hash != cp.Hash {
				return corrupt(seg.path, cp.Header, "commit %s is not the one that the manifest names", cp.Seq)
			}
			s.head, from = c, cp.End
		}
		schemas := map[weft.Hash][]byte{} // the checkpoint starts them anew
		end, err := seg.scan(from, seg.end, true, func(c scanned) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if c.header.Seq != s.head.Seq+1 || !link.Follows(sign.Link{Previous: c.header.Previous}) {
				return corrupt(seg.path, c.at, "commit %s does not follow %s", c.header.Seq, s.head.Seq)
			}
			link.Digest = c.hash
			if err := s.replayCommit(seg, c, schemas); err != nil {
				return err
			}
			s.head = weft.Commit{Header: c.header, Hash: c.hash}
			return nil
		})
		acknowledged := seg.info.Segment < markSegment || seg.info.Segment == markSegment && end < markLength
		switch {
		case err != nil && !isBadFrame(err):
			return seg.named(err)
		case err != nil && (i < len(segs)-1 || acknowledged):
			return seg.named(err)
		case err == nil && acknowledged && i == len(segs)-1:
			return corrupt(seg.path, end, "the file ends before byte %d, up to which it was acknowledged", markLength)
		case err != nil:
			if err := s.cutTorn(seg, end); err != nil {
				return err
			}
		}
		seg.end = end
	}
	last := segs[len(segs)-1]
	from := last.start
	if last.info.Segment == markSegment {
		from = markLength
	}
	return s.settle(last, from)
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
func (s *Store) cutTorn(seg *segment, end int64) error {
	if at, seq := seg.laterCommit(end, s.head.Seq+1); seq > 0 {
		return corrupt(seg.path, end, "a commit is damaged; commit %s at byte %d was written after it", seq, at)
	}
	if err := seg.f.Truncate(end); err != nil {
		return ioError("cut off an unfinished commit", seg.path, err)
	}
	return nil
}

// laterCommit looks behind from for a whole header of a commit after seq.
func (s *segment) laterCommit(from int64, seq weft.Seq) (int64, weft.Seq) {
	b := make([]byte, s.end-from)
	if _, err := s.f.ReadAt(b, from); err != nil {
		return 0, 0
	}
	r := bytes.NewReader(b)
	for at := int64(0); at+frameHeaderSize <= int64(len(b)); at += 8 {
		if b[at+4] != frameHeader {
			continue
		}
		fr, err := readFrame(r, at, int64(len(b)))
		if err != nil {
			continue
		}
		var h weft.Header
		if decodeHeader(fr.Payload, &h) == nil && h.Seq > seq {
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

// replayCommit applies one commit of the journal to the tables.
func (s *Store) replayCommit(seg *segment, c scanned, schemas map[weft.Hash][]byte) error {
	changes, err := changesOf(seg, c, schemas)
	if err != nil {
		return err
	}
	for _, ch := range changes {
		for _, f := range ch.info.Files {
			st, err := s.fs.Stat(s.filePath(f.Name))
			if err != nil || st.Size() != f.Bytes {
				return weft.Errorf(weft.KindCorrupt, "open the store", s.filePath(f.Name), "the data file of commit %s is missing or not of %d bytes", c.header.Seq, f.Bytes).
					WithHint("restore the product from a backup")
			}
		}
	}
	s.apply(c.header.Seq, changes)
	return nil
}

// removeOrphans removes what no commit and no manifest names: files that were
// moved in or written just before a crash.
func (s *Store) removeOrphans() error {
	named := map[string]int64{}
	for _, t := range s.tables {
		for _, sp := range t.spans {
			for _, f := range sp.files() {
				named[f.Name] = f.Bytes
			}
		}
	}
	for _, f := range s.man.History {
		named[f.Name] = f.Bytes
	}
	kept := maps.Clone(named)
	es, err := s.fs.ReadDir(s.filesDir())
	if err != nil {
		return ioError("list the files", s.filesDir(), err)
	}
	var orphans []string
	for _, e := range es {
		if size, ok := named[e.Name()]; ok {
			if i, err := e.Info(); err == nil && i.Size() == size {
				delete(named, e.Name())
			}
			continue
		}
		if of, ok := strings.CutSuffix(e.Name(), keysSuffix); ok && kept[of] > 0 {
			s.adoptSeed(s.filePath(e.Name()))
			continue
		}
		if strings.HasSuffix(e.Name(), ".parquet") || strings.HasSuffix(e.Name(), ".tmp") || strings.HasSuffix(e.Name(), keysSuffix) {
			orphans = append(orphans, s.filePath(e.Name()))
		}
	}
	for n := range named {
		return weft.Errorf(weft.KindCorrupt, "open the store", s.filePath(n), "the data file is missing or has another size than when it was written").
			WithHint("restore the product from a backup")
	}
	if len(orphans) == 0 {
		return nil
	}
	// A sync that failed may have left this manifest in memory only, and the one
	// before on the disk: that one's files are orphans as soon as this one is
	// there to stay.
	b, err := readWhole(s.fs, s.manifestPath(), maxManifest)
	if err == nil {
		err = writeWhole(s.fs, s.manifestPath(), b)
	}
	if err != nil {
		return ioError("write the manifest again", s.manifestPath(), err)
	}
	for _, path := range orphans {
		if err := s.fs.Remove(path); err != nil {
			return ioError("remove a file that nothing names", path, err)
		}
	}
	return nil
}
