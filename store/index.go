package store

import (
	"encoding/json"
	"slices"
	"sort"
	"time"

	"weft"
	"weft/sign"
)

// segmentIndex says where a segment's commits are. It is built when the segment
// is first asked for one.
type segmentIndex struct {
	commits []commitAt
	rows    map[string][]rowsAt // rows of a table after the commits that changed it
	schemas map[weft.Hash][]byte
}

type commitAt struct {
	seq   weft.Seq
	time  int64 // microseconds since 1970
	start int64 // offset of its first frame
	at    int64 // offset of its header frame
	end   int64
}

type rowsAt struct {
	seq  weft.Seq
	rows int64
}

func newSegmentIndex() *segmentIndex {
	return &segmentIndex{rows: map[string][]rowsAt{}, schemas: map[weft.Hash][]byte{}}
}

func (x *segmentIndex) add(c scanned) {
	x.commits = append(x.commits, commitAt{c.header.Seq, c.header.Time.UnixMicro(), c.start, c.at, c.end})
	for _, f := range c.frames {
		if f.Kind == frameSchema {
			x.schemas[sign.Digest(f.Payload)] = f.Payload
		}
	}
	for _, t := range c.header.Tables {
		x.rows[t.Table] = append(x.rows[t.Table], rowsAt{c.header.Seq, t.Rows})
	}
}

// withIndex calls do with the segment's index under its lock.
func (s *segment) withIndex(do func(*segmentIndex)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index == nil {
		x := newSegmentIndex()
		previous := s.info.Previous
		end, err := s.scan(s.start, s.end, false, func(c scanned) error {
			if c.header.Previous != previous || c.header.Seq != s.info.First+weft.Seq(len(x.commits)) {
				return corrupt(s.path, c.at, "commit %s does not follow the one before it", c.header.Seq)
			}
			previous = c.hash
			x.add(c)
			return nil
		})
		if err == nil && end != s.end {
			err = &badFrame{end, "the file ends within a commit", true}
		}
		if err != nil {
			return s.named(err)
		}
		s.index = x
	}
	do(s.index)
	return nil
}

// named gives a bad frame the file's name: it is within what was acknowledged.
func (s *segment) named(err error) error {
	if b, ok := err.(*badFrame); ok {
		return corrupt(s.path, b.offset, "%s, within what was acknowledged", b.why)
	}
	if _, ok := err.(*weft.Error); ok {
		return err
	}
	return ioError("read the journal", s.path, err)
}

// find returns the segment that holds a commit and where in it. The segment
// stays readable until it is released.
func (j *journal) find(seq weft.Seq) (*segment, commitAt, error) {
	segs := j.acquire()
	// Segments without a commit start with the same Seq: the last of them has it.
	i := sort.Search(len(segs), func(i int) bool { return segs[i].info.First > seq }) - 1
	if i < 0 {
		j.release(segs...)
		return nil, commitAt{}, noCommit(seq)
	}
	seg := segs[i]
	j.release(slices.Delete(segs, i, i+1)...)
	var at commitAt
	var found bool
	err := seg.withIndex(func(x *segmentIndex) {
		if k := int(seq - seg.info.First); k < len(x.commits) {
			at, found = x.commits[k], true
		}
	})
	if err == nil && !found {
		err = noCommit(seq)
	}
	if err != nil {
		j.release(seg)
		return nil, commitAt{}, err
	}
	return seg, at, nil
}

func noCommit(seq weft.Seq) error {
	return weft.Errorf(weft.KindNotFound, "read the commit", seq.String(), "there is no such commit").
		WithHint("`weft history` lists the commits")
}

// header reads the commit at a place.
func (s *segment) header(at commitAt) (weft.Commit, error) {
	fr, err := readFrame(s.f, at.at, at.end)
	if err != nil {
		return weft.Commit{}, s.named(err)
	}
	c := weft.Commit{Hash: sign.Digest(fr.Payload)}
	if err := json.Unmarshal(fr.Payload, &c.Header); err != nil {
		return weft.Commit{}, corrupt(s.path, at.at, "the commit's header cannot be read: %v", err)
	}
	return c, nil
}

// commit reads one commit's header.
func (j *journal) commit(seq weft.Seq) (weft.Commit, error) {
	s, at, err := j.find(seq)
	if err != nil {
		return weft.Commit{}, err
	}
	defer j.release(s)
	return s.header(at)
}

// seqAt is the last commit at or before t, 0 where there is none.
func (j *journal) seqAt(t time.Time) (weft.Seq, error) {
	us := t.UnixMicro()
	segs := j.acquire()
	defer j.release(segs...)
	i := sort.Search(len(segs), func(i int) bool { return segs[i].info.First > 1 && segs[i].info.Time.UnixMicro() > us }) - 1
	if i < 0 {
		return 0, nil
	}
	var seq weft.Seq
	err := segs[i].withIndex(func(x *segmentIndex) {
		k := sort.Search(len(x.commits), func(k int) bool { return x.commits[k].time > us })
		seq = segs[i].info.First + weft.Seq(k) - 1
	})
	return seq, err
}

// rows is how many rows a table had at a cut, as the last commit that changed it
// says; false where the journal no longer knows.
func (j *journal) rows(table string, cut weft.Seq) (int64, bool, error) {
	segs := j.acquire()
	defer j.release(segs...)
	for i := len(segs) - 1; i >= 0; i-- {
		if segs[i].info.First > cut {
			continue
		}
		var n int64
		var ok bool
		err := segs[i].withIndex(func(x *segmentIndex) {
			rs := x.rows[table]
			if k := sort.Search(len(rs), func(k int) bool { return rs[k].seq > cut }) - 1; k >= 0 {
				n, ok = rs[k].rows, true
			}
		})
		if ok || err != nil {
			return n, ok, err
		}
	}
	return 0, false, nil
}

func closedError() error {
	return weft.Errorf(weft.KindConflict, "use the store", "", "it is closed")
}
