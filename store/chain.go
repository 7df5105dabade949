package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"weft"
)

// chain is the verifier's walk over the commits of all segments.
type chain struct {
	v      *verifier
	man    *manifest
	head   weft.Seq
	last   weft.Hash // of commit head
	begun  bool
	broken bool // the place before is not known, the next commit starts anew
}

func (c *chain) rel(s *segment) string { return filepath.Join("journal", filepath.Base(s.path)) }

// segment walks one segment. Up to acknowledged, whatever cannot be read is a
// fault; behind it, it is what a crash left.
func (c *chain) segment(seg *segment, acknowledged int64) {
	if c.man != nil && !c.man.owns(seg.info) {
		c.v.add(c.rel(seg), fileHeaderSize, "the segment belongs to another product or incarnation", "the commits in it cannot be read, and nothing can be committed")
	}
	if c.begun && !c.broken && (seg.info.First != c.head+1 || seg.info.Previous != c.last) {
		c.v.add(c.rel(seg), fileHeaderSize, fmt.Sprintf("the segment does not follow commit %s", c.head), "the chain is broken here")
	}
	if !c.begun || c.broken {
		c.head, c.last = seg.info.First-1, seg.info.Previous
		c.begun, c.broken = true, false
	}
	schemas := map[weft.Hash][]byte{}
	for from := seg.start; ; {
		end, err := seg.scan(from, seg.end, true, func(s scanned) error {
			c.commit(seg, s, schemas)
			return nil
		})
		if err == nil {
			if acknowledged > end {
				c.v.add(c.rel(seg), end, fmt.Sprintf("the file ends before byte %d, up to which it was acknowledged", acknowledged), "the commits at its end are lost")
			}
			return
		}
		at, seq := seg.laterCommit(end, c.head+1)
		if end >= acknowledged && seq == 0 {
			return // an unfinished write, dropped when the store opens
		}
		if seq == 0 {
			c.v.fail(c.rel(seg), end, err, fmt.Sprintf("commits after %s cannot be read", c.head))
			c.broken = true
			return
		}
		c.v.fail(c.rel(seg), end, err, fmt.Sprintf("commits between %s and %s cannot be read", c.head, seq+1))
		fr, err := readFrame(seg.f, at, seg.end)
		if err != nil {
			return
		}
		// On from the commit after the one that was found: where that one starts
		// is not known.
		found, err := commitOf(fr)
		if err != nil {
			return
		}
		c.head, c.last = seq, found.Hash
		from = fr.End()
	}
}

// commit checks one commit: its place in the chain, its blocks, its rows.
func (c *chain) commit(seg *segment, s scanned, schemas map[weft.Hash][]byte) {
	if s.header.Seq != c.head+1 || s.header.Previous != c.last {
		c.v.add(c.rel(seg), s.at, fmt.Sprintf("commit %s does not follow %s", s.header.Seq, c.head), "the chain is broken here")
	}
	if c.man != nil && c.man.Checkpoint.Seq == s.header.Seq && c.man.Checkpoint.Hash != s.hash {
		c.v.add(c.rel(seg), s.at, "the commit is not the one that the manifest names", "nothing can be committed; tables are read from their files")
	}
	c.head, c.last = s.header.Seq, s.hash
	if c.man != nil && c.man.Copy != (s.told != nil) {
		c.v.add(c.rel(seg), s.at, "the commit is not as a folder of this kind has it", "who made it is not known")
	} else if s.told != nil {
		if _, _, err := ReadTold(s.told); err != nil {
			c.v.fail(c.rel(seg), s.at, err, "the origin did not say this of the commit")
		}
	}
	if _, err := changesOf(seg, s, schemas); err != nil {
		var e *weft.Error
		if errors.As(err, &e) {
			c.v.fail(c.rel(seg), s.start, e, fmt.Sprintf("the rows of commit %s cannot be read from the journal", s.header.Seq))
		}
	}
	for _, t := range s.header.Tables {
		for _, f := range t.Files {
			if c.man != nil && s.header.Seq > c.man.Checkpoint.Seq {
				c.v.bulk = append(c.v.bulk, &dataFile{Name: f.Name, Bytes: f.Bytes, Hash: f.Hash, First: s.header.Seq})
			}
		}
	}
}

// end checks that the chain goes as far as the other files say.
func (c *chain) end(markSegment uint32, segs []*segment) {
	if len(segs) > 0 && markSegment > segs[len(segs)-1].info.Segment {
		c.v.add(filepath.Join("journal", segmentName(markSegment)), 0, "the segment is missing", "the commits in it are lost")
	}
	if c.man == nil {
		return
	}
	if cp := c.man.Checkpoint; cp.Seq > c.head {
		c.v.add(filepath.Join("journal", segmentName(cp.Segment)), cp.Header, fmt.Sprintf("commit %s, which the manifest names, is not there", cp.Seq), "the newest state is not known and nothing can be committed; states that are there can be read by their number")
	}
	if len(segs) > 0 && segs[0].info.First > max(c.man.Oldest, 1) {
		c.v.add(filepath.Join("journal", segmentName(segs[0].info.Segment-1)), 0, "the segment is missing", "the commits in it cannot be read")
	}
	for i, s := range segs {
		if i > 0 && s.info.Segment != segs[i-1].info.Segment+1 {
			c.v.add(filepath.Join("journal", segmentName(segs[i-1].info.Segment+1)), 0, "the segment is missing", "the commits in it cannot be read")
		}
	}
}
