package replicate

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"weft"
)

// A feed is frames (docs/format/feed.md): of each commit what is told of it, the
// columns of its tables and their blocks; pulses; one that ends it. Whoever reads it
// believes the other side nothing.
const (
	frameTold   = 'T'
	frameSchema = 'S'
	frameBlock  = 'K'
	framePulse  = 'P'
	frameEnd    = 'E'
)

// Bounds of what an origin sends. A commit that is larger comes as files.
const (
	maxTold   = 17 << 20
	maxSchema = 4 << 20
	maxBlock  = 256 << 20
	maxWord   = 64 << 10  // of a pulse or an end
	maxCommit = 512 << 20 // all blocks of one, and nothing larger than a frame among them
	maxParts  = 100_000   // blocks of one
	// MaxOffer is the size of an offer as it is sent.
	MaxOffer = 90 << 20
)

// Offer is what a copy is begun from, as the origin answers it.
type Offer struct {
	Point    weft.Point `json:"point"` // of the checkpoint; Seq 0 where the feed has everything
	Head     weft.Point `json:"head"`
	Tables   []string   `json:"tables"`
	Seconds  int64      `json:"seconds"` // for how long the copy may be used while the origin cannot be reached
	Manifest []byte     `json:"manifest"`
}

// Pulse says where the origin's product stands: all commits up to Head were sent
// before it.
type Pulse struct {
	Micros int64      `json:"micros"` // since the origin got the request, by its own steady clock
	Head   weft.Point `json:"head"`
}

// End ends a feed: with a fault where there is one, else because it has run long
// enough.
type End struct {
	Fault json.RawMessage `json:"fault,omitempty"` // a problem document
}

// FeedWriter writes a feed. One goroutine uses it.
type FeedWriter struct{ w io.Writer }

// NewFeedWriter writes to w.
func NewFeedWriter(w io.Writer) *FeedWriter { return &FeedWriter{w} }

// Commit writes one commit.
func (f *FeedWriter) Commit(told []byte, schemas, blocks [][]byte) error {
	total := 0
	for _, b := range blocks {
		total += len(b)
		if len(b) > maxBlock {
			total = maxCommit + 1
		}
	}
	if total > maxCommit || len(blocks) > maxParts {
		return weft.Errorf(weft.KindLimit, "send the commit", "", "it has %d bytes in %d blocks, and at most %d go in one feed", total, len(blocks), maxCommit)
	}
	if err := f.frame(frameTold, maxTold, told); err != nil {
		return err
	}
	for _, b := range schemas {
		if err := f.frame(frameSchema, maxSchema, b); err != nil {
			return err
		}
	}
	for _, b := range blocks {
		if err := f.frame(frameBlock, maxBlock, b); err != nil {
			return err
		}
	}
	return nil
}

// Pulse writes a pulse.
func (f *FeedWriter) Pulse(p Pulse) error { return f.json(framePulse, p) }

// End writes the end; nothing comes behind it.
func (f *FeedWriter) End(e End) error { return f.json(frameEnd, e) }

func (f *FeedWriter) json(kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.frame(kind, maxWord, b)
}

func (f *FeedWriter) frame(kind byte, limit int, b []byte) error {
	if len(b) > limit {
		return weft.Errorf(weft.KindLimit, "send the commit", "", "a part of it has %d bytes, and at most %d go in one frame", len(b), limit)
	}
	var h [8]byte
	binary.LittleEndian.PutUint32(h[:], uint32(len(b)))
	h[4] = kind
	if _, err := f.w.Write(h[:]); err != nil {
		return err
	}
	_, err := f.w.Write(b)
	return err
}

// errNotWhole is the error where a feed or a file breaks off.
var errNotWhole = errors.New("what comes breaks off")

// errMalformed is the error of bytes that no origin sends.
var errMalformed = errors.New("what comes is not as it must be")

// feedReader reads a feed. One goroutine uses it.
type feedReader struct{ r io.Reader }

// frame reads one frame of a kind that allowed has; memory is taken as its bytes
// come, not as it says.
func (f *feedReader) frame(allowed string) (byte, []byte, error) {
	var h [8]byte
	if _, err := io.ReadFull(f.r, h[:]); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errNotWhole, err)
	}
	n, kind, limit := int(binary.LittleEndian.Uint32(h[:4])), h[4], maxWord
	switch kind {
	case frameTold:
		limit = maxTold
	case frameSchema:
		limit = maxSchema
	case frameBlock:
		limit = maxBlock
	case framePulse, frameEnd:
	default:
		return 0, nil, fmt.Errorf("%w: a frame of unknown kind %#x", errMalformed, kind)
	}
	due := false
	for _, k := range []byte(allowed) {
		due = due || k == kind
	}
	if !due || n > limit || h[5]|h[6]|h[7] != 0 {
		return 0, nil, fmt.Errorf("%w: frame %q of %d bytes, where %q is due", errMalformed, kind, n, allowed)
	}
	b := make([]byte, 0, min(n, 64<<10))
	for len(b) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*cap(b))), b...)
		}
		m, err := io.ReadFull(f.r, b[len(b):cap(b)])
		b = b[:len(b)+m]
		if err != nil {
			return 0, nil, fmt.Errorf("%w: %w", errNotWhole, err)
		}
	}
	return kind, b, nil
}

// rest reads the columns and blocks of a commit whose told header names this many.
func (f *feedReader) rest(schemas, blocks int) (ss, bs [][]byte, err error) {
	if schemas > maxParts || blocks > maxParts {
		return nil, nil, fmt.Errorf("%w: a commit of %d blocks", errMalformed, blocks)
	}
	for range schemas {
		_, b, err := f.frame(string(rune(frameSchema)))
		if err != nil {
			return nil, nil, err
		}
		ss = append(ss, b)
	}
	total := 0
	for range blocks {
		_, b, err := f.frame(string(rune(frameBlock)))
		if err != nil {
			return nil, nil, err
		}
		if total += len(b); total > maxCommit {
			return nil, nil, fmt.Errorf("%w: a commit of more than %d bytes", errMalformed, maxCommit)
		}
		bs = append(bs, b)
	}
	return ss, bs, nil
}

// decode reads a pulse or an end.
func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: a word that cannot be read", errMalformed)
	}
	return nil
}
