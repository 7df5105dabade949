package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weft"
)

const segmentSuffix = ".weftj"

// segmentInfo is the first frame of a segment: whose it is and where the chain
// stood when it was started.
type segmentInfo struct {
	ID          string    `json:"id"`
	Product     weft.Name `json:"product"`
	Incarnation uint32    `json:"incarnation"`
	Segment     uint32    `json:"segment"`
	First       weft.Seq  `json:"first"`    // Seq of the first commit in it
	Previous    weft.Hash `json:"previous"` // hash of the commit before
	Time        time.Time `json:"time"`     // time of the commit before
	Length      int64     `json:"length"`   // where the segment before ends; what is behind was never acknowledged

	// From is the head of the incarnation before, in segments that were started
	// before this one had a commit.
	From *weft.Point `json:"from,omitempty"`
}

// segment is one file of the journal.
type segment struct {
	info    segmentInfo
	version uint32 // of the file's format; nothing is added to one of an older version
	path    string
	start   int64 // offset of the first frame after segmentInfo
	end     int64 // offset of the byte after the last commit

	f      file
	closed sync.Once
	users  int  // guarded by the journal's lock
	old    bool // it is dropped when nobody uses it; guarded by the journal's lock

	mu    sync.Mutex // guards index, and end and last where there is a writer
	index *segmentIndex
	last  weft.Hash  // of the last commit in it, zero where that is not known
	found func(hole) // is told of damage
}

// journal is the append-only log of a store. The store's writer lock guards the
// writing side; segments are read concurrently.
type journal struct {
	fs      fileSystem
	dir     string
	id      string
	product weft.Name
	inc     uint32

	mu       sync.Mutex // guards segments
	segments []*segment // by number

	schemas map[weft.Hash]bool // those that the active segment holds
	mark    *mark
	broken  error // why the journal closed itself, nil while it is well
	lost    error // damage that hides segments; set when the store opens
	lostTo  uint32
	uncut   bool  // what the failed write left behind is still there
	max     int64 // bytes above which a new segment is started

	readOnly bool // segments are opened for reading alone
}

func segmentName(n uint32) string { return fmt.Sprintf("%06d%s", n, segmentSuffix) }

// list returns the segments there are, in order, without reading them.
func (j *journal) list() ([]uint32, error) {
	es, err := j.fs.ReadDir(j.dir)
	if err != nil {
		return nil, ioError("list the journal", j.dir, err)
	}
	var ns []uint32
	for _, e := range es {
		base, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(base, 10, 32)
		if err != nil || segmentName(uint32(n)) != e.Name() {
			return nil, corrupt(filepath.Join(j.dir, e.Name()), 0, "the name is no segment's")
		}
		ns = append(ns, uint32(n))
	}
	slices.Sort(ns)
	return ns, nil
}

// openSegment reads a segment's head. The error is KindCorrupt where the bytes
// are not whole, and then the segment is open all the same.
func (j *journal) openSegment(n uint32) (*segment, error) {
	s := &segment{path: filepath.Join(j.dir, segmentName(n))}
	flag := os.O_RDWR
	if j.readOnly {
		flag = os.O_RDONLY
	}
	f, err := j.fs.Open(s.path, flag)
	if err != nil {
		return nil, ioError("open the journal", s.path, err)
	}
	s.f = f
	err = s.readHead(n)
	if b, ok := err.(*badFrame); ok {
		err = corrupt(s.path, b.offset, "%s", b.why)
	}
	return s, err
}

func (s *segment) readHead(n uint32) error {
	size, err := s.size()
	if err != nil {
		return err
	}
	b := make([]byte, fileHeaderSize)
	if size < fileHeaderSize {
		return &badFrame{0, "the file ends within its first bytes", true}
	}
	if _, err := s.f.ReadAt(b, 0); err != nil && err != io.EOF {
		return ioError("read the journal", s.path, err)
	}
	if s.version, err = checkFileHeader(s.path, journalMagic, b); err != nil {
		return err
	}
	fr, err := readFrame(s.f, fileHeaderSize, size)
	if err == io.EOF {
		return &badFrame{fileHeaderSize, "the file ends before its first frame", true}
	}
	if err != nil {
		return err
	}
	if fr.Kind != frameSegment || json.Unmarshal(fr.Payload, &s.info) != nil || s.info.Segment != n {
		return corrupt(s.path, fileHeaderSize, "the first frame does not say which segment this is")
	}
	s.start, s.end = fr.End(), size
	return nil
}

func (s *segment) size() (int64, error) {
	st, err := s.f.Stat()
	if err != nil {
		return 0, ioError("read the journal", s.path, err)
	}
	return st.Size(), nil
}

func (s *segment) close() (err error) {
	s.closed.Do(func() { err = s.f.Close() })
	return err
}

// active is the segment that commits go to, nil before the first.
func (j *journal) active() *segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) == 0 {
		return nil
	}
	return j.segments[len(j.segments)-1]
}

// acquire returns the segments there are now, readable until they are released.
func (j *journal) acquire() []*segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		s.users++
	}
	return slices.Clone(j.segments)
}

// release gives up segments; those that were dropped close with their last user.
func (j *journal) release(segs ...*segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range segs {
		if s.users--; s.users == 0 && s.old {
			_ = s.close() // only ever read
		}
	}
}

// drop removes the segments before number n.
func (j *journal) drop(n uint32) error {
	j.mu.Lock()
	var old []*segment
	for len(j.segments) > 1 && j.segments[0].info.Segment < n {
		old = append(old, j.segments[0])
		j.segments = slices.Clone(j.segments[1:])
	}
	for _, s := range old {
		if s.old = true; s.users == 0 {
			_ = s.close()
		}
	}
	j.mu.Unlock()
	for _, s := range old {
		if err := j.fs.Remove(s.path); err != nil {
			return ioError("remove a journal segment", s.path, err)
		}
	}
	return nil
}

// rotate starts a new segment after the commit head. It is durable, name and
// all, before anything is written to it.
func (j *journal) rotate(head weft.Commit) (err error) {
	info := segmentInfo{
		ID: j.id, Product: j.product, Incarnation: j.inc, Segment: 1,
		First: head.Seq + 1, Previous: head.Hash, Time: head.Time, From: j.from(head),
	}
	if a := j.active(); a != nil {
		info.Segment = a.info.Segment + 1
		info.Length = a.end
	}
	b, err := segmentHead(info)
	if err != nil {
		return err
	}
	s := &segment{info: info, version: formatVersion, path: filepath.Join(j.dir, segmentName(info.Segment)), index: newSegmentIndex()}
	s.start, s.end = int64(len(b)), int64(len(b))
	f, err := j.fs.Open(s.path, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return ioError("start a journal segment", s.path, err)
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.fs.SyncDir(j.dir)
	}
	if err != nil {
		_ = f.Close()
		_ = j.fs.Remove(s.path) // what is left of it is dropped when the store opens
		return ioError("start a journal segment", s.path, err)
	}
	s.f = f
	j.mu.Lock()
	j.segments = append(j.segments, s)
	j.mu.Unlock()
	j.schemas = map[weft.Hash]bool{}
	return nil
}

// segmentHead is the first bytes of a segment.
func segmentHead(info segmentInfo) ([]byte, error) {
	payload, err := json.Marshal(info)
	if err != nil {
		return nil, err
	}
	return appendFrame(appendFileHeader(nil, journalMagic), frameSegment, payload), nil
}

// write makes the frames of one commit durable behind the last one. After a
// failure the journal is closed until recover.
func (j *journal) write(frames []byte, c scanned) error {
	s := j.active()
	_, err := s.f.WriteAt(frames, s.end)
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		j.broken = ioError("write the commit", s.path, err)
		j.uncut = s.cut() != nil
		return j.broken
	}
	s.mu.Lock()
	s.end, s.last = c.end, c.hash
	if s.index != nil {
		s.index.add(c)
	}
	s.mu.Unlock()
	// The commit is durable: a mark that could not be written only lags behind.
	j.mark.set(s.info.Segment, s.end)
	return nil
}

// recover makes a journal usable again that closed itself: what was written
// after the last acknowledged commit is cut off, and since nothing is known of
// what a failed sync left of that file, the next commit goes to a new one.
func (j *journal) recover(head weft.Commit) error {
	if j.uncut {
		if err := j.active().cut(); err != nil {
			return err
		}
		j.uncut = false
	}
	if err := j.rotate(head); err != nil {
		return err
	}
	j.broken = nil
	return nil
}

// cut removes what is behind the last acknowledged commit.
func (s *segment) cut() error {
	err := s.f.Truncate(s.end)
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return ioError("cut off an unfinished commit", s.path, err)
	}
	return nil
}

// close closes all segments.
func (j *journal) close() error {
	var err error
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		err = errors.Join(err, s.close())
	}
	return errors.Join(err, j.mark.close())
}

// scanned is one commit as it stands in a segment.
type scanned struct {
	header weft.Header
	hash   weft.Hash
	start  int64 // offset of its first frame
	at     int64 // offset of its header frame
	end    int64
	frames []frame // its schemas and blocks, when they were asked for
	told   []byte  // what the origin told of it, in a copy
}

// scan calls visit with each whole commit of the bytes from..to of a segment,
// in order. Without payloads, blocks are passed over unread. A *badFrame says
// where no further commit could be read; io.EOF is not an error, and end is
// where the last whole commit ends.
func (s *segment) scan(from, to int64, payloads bool, visit func(scanned) error) (end int64, err error) {
	end = from
	var frames []frame
	for at := from; ; {
		h, err := readFrameHead(s.f, at, to)
		if err == io.EOF {
			if at != end {
				return end, &badFrame{end, "the file ends within a commit", true}
			}
			return end, nil
		}
		if err != nil {
			return end, err
		}
		if !payloads && h.kind == frameBlock {
			at = frameEnd(at, h.length)
			continue
		}
		fr, err := readFrame(s.f, at, to)
		if err != nil {
			return end, err
		}
		at = fr.End()
		if !endsCommit(fr.Kind) {
			frames = append(frames, fr)
			continue
		}
		said, err := commitOf(fr)
		if err != nil {
			return end, corrupt(s.path, fr.Offset, "the commit's header cannot be read: %v", err)
		}
		c := scanned{header: said.Header, hash: said.Hash, start: end, at: fr.Offset, end: at, frames: frames}
		if fr.Kind == frameTold {
			c.told = fr.Payload
		}
		frames = nil
		if err := visit(c); err != nil {
			return end, err
		}
		end = at
	}
}

// decodeHeader reads the bytes of a header frame. Fields that are not known are
// of a later version of the same format; the hash holds them all the same.
func decodeHeader(b []byte, h *weft.Header) error {
	if err := json.Unmarshal(b, h); err != nil {
		return err
	}
	if h.Seq == 0 || h.Seq >= weft.Seq(seqForever) {
		return fmt.Errorf("commit %s is out of range", h.Seq)
	}
	for _, t := range h.Tables {
		for _, f := range t.Files {
			if !safeName(f.Name) {
				return fmt.Errorf("a data file has no valid name")
			}
		}
	}
	return nil
}
