package store

import (
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
	holes   []hole
}

// hole is damage within a segment: the headers of the commits from..to cannot be
// read, nor the rows of the one after.
type hole struct {
	from, to weft.Seq
	err      error
}

type commitAt struct {
	seq   weft.Seq
	time  int64 // microseconds since 1970
	start int64 // offset of its first frame, 0 where damage hides it
	at    int64 // offset of its header frame, 0 where damage hides it
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
		x, err := s.buildIndex()
		if err != nil {
			return err
		}
		s.index = x
	}
	do(s.index)
	return nil
}

// buildIndex walks the segment. What is behind damage is taken in only where the
// chain from there on ends in a hash that is known from elsewhere.
func (s *segment) buildIndex() (*segmentIndex, error) {
	x := newSegmentIndex()
	previous := s.info.Previous
	next := func() weft.Seq { return s.info.First + weft.Seq(len(x.commits)) }
	good := 0 // commits before the first damage
	for from := s.start; ; {
		end, err := s.scan(from, s.end, false, func(c scanned) error {
			if c.header.Previous != previous || c.header.Seq != next() {
				return corrupt(s.path, c.at, "commit %s does not follow the one before it", c.header.Seq)
			}
			previous = c.hash
			x.add(c)
			return nil
		})
		if err == nil {
			break
		}
		fault := s.named(err)
		if weft.KindOf(fault) != weft.KindCorrupt {
			return nil, fault
		}
		if len(x.holes) == 0 {
			good = len(x.commits)
		}
		at, seq := int64(0), weft.Seq(0)
		if isBadFrame(err) {
			at, seq = s.laterCommit(end, next()-1)
		}
		x.holes = append(x.holes, hole{next(), seq - 1, fault})
		if seq == 0 || seq-next() > weft.Seq(s.end) {
			previous = weft.Hash{} // nothing proves what may come behind
			break
		}
		if from, previous, err = s.resume(x, at, seq); err != nil {
			return nil, err
		}
	}
	if len(x.holes) > 0 && (s.last == weft.Hash{} || previous != s.last) {
		x.cut(good, s.info.First)
	}
	if s.found != nil {
		for _, h := range x.holes {
			s.found(h)
		}
	}
	return x, nil
}

// resume takes in the commit whose header was found behind damage.
func (s *segment) resume(x *segmentIndex, at int64, seq weft.Seq) (from int64, hash weft.Hash, err error) {
	fr, err := readFrame(s.f, at, s.end)
	if err != nil {
		return 0, hash, s.named(err)
	}
	said, err := commitOf(fr)
	if err != nil {
		return 0, hash, corrupt(s.path, at, "the commit's header cannot be read: %v", err)
	}
	c := scanned{header: said.Header, hash: said.Hash, at: at, end: fr.End()}
	var time int64
	if n := len(x.commits); n > 0 {
		time = x.commits[n-1].time
	}
	for hidden := s.info.First + weft.Seq(len(x.commits)); hidden < seq; hidden++ {
		x.commits = append(x.commits, commitAt{seq: hidden, time: time})
	}
	x.add(c)
	return c.end, c.hash, nil
}

// cut leaves out all from the first damage on.
func (x *segmentIndex) cut(good int, first weft.Seq) {
	x.commits = x.commits[:good]
	x.holes = []hole{{x.holes[0].from, weft.Seq(seqForever), x.holes[0].err}}
	for name, rs := range x.rows {
		for len(rs) > 0 && rs[len(rs)-1].seq >= first+weft.Seq(good) {
			rs = rs[:len(rs)-1]
		}
		x.rows[name] = rs
	}
}

// hides returns the damage that hides a commit between after and upTo, nil for
// none.
func (x *segmentIndex) hides(after, upTo weft.Seq) error {
	for _, h := range x.holes {
		if h.from <= h.to && h.from <= upTo && h.to > after {
			return h.err
		}
	}
	return nil
}

// rowsHidden returns the damage that the rows of a commit were in.
func (x *segmentIndex) rowsHidden(seq weft.Seq) error {
	for _, h := range x.holes {
		if seq >= h.from && seq <= h.to+1 {
			return h.err
		}
	}
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
		return nil, commitAt{}, j.noCommit(seq)
	}
	seg := segs[i]
	j.release(slices.Delete(segs, i, i+1)...)
	var at commitAt
	var fault error
	err := seg.withIndex(func(x *segmentIndex) {
		if k := int(seq - seg.info.First); k < len(x.commits) {
			at = x.commits[k]
		}
		if at.at == 0 {
			fault = x.hides(seq-1, seq)
		}
	})
	if err == nil && at.at == 0 {
		if err = fault; err == nil {
			err = j.noCommit(seq)
		}
	}
	if err != nil {
		j.release(seg)
		return nil, commitAt{}, err
	}
	return seg, at, nil
}

// noCommit says that a commit is not there, or what damage it was in.
func (j *journal) noCommit(seq weft.Seq) error {
	if j.lost != nil {
		return j.lost
	}
	return noCommit(seq)
}

// follows reports whether a segment stands directly before the next one.
func (s *segment) follows(next *segment) bool { return next.info.Segment == s.info.Segment+1 }

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
	c, err := commitOf(fr)
	if err != nil {
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
	var fault error
	err := segs[i].withIndex(func(x *segmentIndex) {
		k := sort.Search(len(x.commits), func(k int) bool { return x.commits[k].time > us })
		seq = segs[i].info.First + weft.Seq(k) - 1
		if k == len(x.commits) || k > 0 && x.commits[k-1].at == 0 {
			fault = x.hides(seq-1, weft.Seq(seqForever)) // a commit that cannot be read may be the one
		}
		if k == len(x.commits) && i+1 < len(segs) && !segs[i].follows(segs[i+1]) {
			fault = j.lost
		}
	})
	if err == nil {
		err = fault
	}
	return seq, err
}

// rows is how many rows a table had at a cut, as the last commit that changed it
// says; false where the segments, which the caller has acquired, do not know.
func (j *journal) rows(segs []*segment, table string, cut weft.Seq) (int64, bool, error) {
	for i := len(segs) - 1; i >= 0; i-- {
		if segs[i].info.First > cut {
			continue
		}
		var n int64
		var ok bool
		var fault error
		err := segs[i].withIndex(func(x *segmentIndex) {
			rs := x.rows[table]
			since := segs[i].info.First - 1
			if k := sort.Search(len(rs), func(k int) bool { return rs[k].seq > cut }) - 1; k >= 0 {
				n, ok, since = rs[k].rows, true, rs[k].seq
			}
			fault = x.hides(since, cut)
		})
		if err == nil {
			err = fault
		}
		if err == nil && !ok && i > 0 && !segs[i-1].follows(segs[i]) {
			err = j.lost
		}
		if ok || err != nil {
			return n, ok, err
		}
	}
	return 0, false, nil
}

func closedError() error {
	return weft.Errorf(weft.KindConflict, "use the store", "", "it is closed")
}
