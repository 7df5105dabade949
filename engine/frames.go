package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"weft/framemem"
)

// Rows between nodes travel as the frames that a worker answers with: one of the
// schema, any of batches, and one that ends them (docs/format/rows.md). Whoever
// reads them believes the other side nothing.

// Bounds of rows that come from another node.
const (
	MaxRowFrame = 64 << 20 // bytes of a batch, and so of a row
	maxRowHead  = 4 << 20  // bytes of the schema's frame, and of the one at the end
	rowsTarget  = 12 << 20 // bytes of a batch that is written, where its rows allow it: more than a worker's has
)

// frameWork has nothing in it: whoever sends it is at work on what comes next.
const frameWork = 'W'

// WriteWork tells a reader that waits, between two frames or before the first, that it does
// so for somebody who is at work.
func WriteWork(w io.Writer) error {
	_, err := w.Write([]byte{0, 0, 0, 0, frameWork, 0, 0, 0})
	return err
}

// RowWriter writes rows for another node. One goroutine uses it.
type RowWriter struct{ w io.Writer }

// NewRowWriter begins with the schema, whose types are those of an answer.
func NewRowWriter(w io.Writer, sc *arrow.Schema) (*RowWriter, error) {
	head, err := encodeSchema(sc)
	if err != nil {
		return nil, err
	}
	r := &RowWriter{w: w}
	return r, r.frame(frameSchema, maxRowHead, head)
}

// Write writes a batch, in pieces where it is large. A row of more than MaxRowFrame
// bytes is an error.
func (r *RowWriter) Write(b arrow.RecordBatch) error {
	whole, err := fromZero(b)
	if err != nil {
		return err
	}
	defer whole.Release()
	parts, n := encodeBatch(whole)
	if n <= rowsTarget || n <= MaxRowFrame && b.NumRows() == 1 {
		return r.frame(frameBatch, MaxRowFrame, parts...)
	}
	if b.NumRows() <= 1 {
		return classed("Out of Memory", "one row is larger than the %d MB that go from node to node", MaxRowFrame>>20)
	}
	half := b.NumRows() / 2
	for _, cut := range [][2]int64{{0, half}, {half, b.NumRows()}} {
		s := b.NewSlice(cut[0], cut[1])
		err := r.Write(s)
		s.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// End says that the rows are whole, or what ended them: v as JSON.
func (r *RowWriter) End(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return r.frame(frameEnd, maxRowHead, b)
}

func (r *RowWriter) frame(kind byte, limit int, parts ...[]byte) error {
	h := make([]byte, 8)
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > limit {
		return fmt.Errorf("a frame of %d bytes is too large", n)
	}
	binary.LittleEndian.PutUint32(h, uint32(n))
	h[4] = kind
	for _, p := range append([][]byte{h}, parts...) {
		if _, err := r.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// RowReader reads what a RowWriter wrote, or somebody who means harm. One goroutine
// uses it.
type RowReader struct {
	r    io.Reader
	sc   *arrow.Schema
	end  []byte
	came int    // bytes of the largest frame so far
	work func() // told of work; nil: none may be said
}

// ErrNotWhole is the error where rows break off before their end.
var ErrNotWhole = errors.New("the rows break off before their end")

// NewRowReader reads the schema.
func NewRowReader(r io.Reader) (*RowReader, error) { return newRowReader(&RowReader{r: r}) }

// NewWaitingRowReader is NewRowReader for rows that are worked for: work is called whenever
// the writer says that it is at that.
func NewWaitingRowReader(r io.Reader, work func()) (*RowReader, error) {
	return newRowReader(&RowReader{r: r, work: work})
}

func newRowReader(q *RowReader) (*RowReader, error) {
	kind, b, err := q.frame()
	if err != nil {
		return nil, err
	}
	if kind != frameSchema {
		return nil, fmt.Errorf("frame %q where the schema is due", kind)
	}
	if q.sc, err = decodeSchema(b); err != nil {
		return nil, fmt.Errorf("a schema that cannot be read: %w", err)
	}
	return q, nil
}

// Schema is known before the first row.
func (q *RowReader) Schema() *arrow.Schema { return q.sc }

// Next returns the next batch, to be released, and io.EOF after the last; each has
// at least one row, and all of it was checked. Rows that break off are ErrNotWhole.
func (q *RowReader) Next() (arrow.RecordBatch, error) {
	if q.end != nil {
		return nil, io.EOF
	}
	kind, b, err := q.frame()
	switch {
	case err != nil:
		return nil, err
	case kind == frameEnd:
		if n, err := io.ReadFull(q.r, make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			return nil, errors.New("something follows the end of the rows")
		}
		q.end = b
		return nil, io.EOF
	case kind != frameBatch:
		return nil, fmt.Errorf("frame %q where rows are due", kind)
	}
	rec, err := decodeBatch(q.sc, b)
	if err != nil {
		return nil, errBytes
	}
	if rec.NumRows() == 0 {
		err = errors.New("a batch without rows")
	}
	for i, c := range rec.Columns() { // the rest of CheckRows is in decodeBatch
		if e := checkValues(c); e != nil && err == nil {
			err = fmt.Errorf("column %q: %w", q.sc.Field(i).Name, e)
		}
	}
	if err != nil {
		rec.Release()
		return nil, err
	}
	return rec, nil
}

// End reads what the other side says of the end into v, after Next gave io.EOF.
func (q *RowReader) End(v any) error {
	if q.end == nil {
		return ErrNotWhole
	}
	return json.Unmarshal(q.end, v)
}

// frame reads one frame into memory that may be given back; it is taken as its bytes
// come, not as it says.
func (q *RowReader) frame() (byte, []byte, error) {
	var h [8]byte
	for {
		if _, err := io.ReadFull(q.r, h[:]); err != nil {
			return 0, nil, broken(err)
		}
		if h[4] != frameWork || q.work == nil || h != [8]byte{4: frameWork} {
			break
		}
		q.work()
	}
	n, kind, limit := int(binary.LittleEndian.Uint32(h[:4])), h[4], maxRowHead
	switch kind {
	case frameBatch:
		limit = MaxRowFrame
	case frameSchema, frameEnd:
	default:
		return 0, nil, fmt.Errorf("frame of unknown kind %#x", kind)
	}
	if n > limit || h[5]|h[6]|h[7] != 0 {
		return 0, nil, fmt.Errorf("frame %q of %d bytes is not valid", kind, n)
	}
	// As much as has come before at once, and no more than twice what has come of it.
	b := framemem.New(min(n, max(q.came, 64<<10)))
	for at := 0; ; {
		m, err := io.ReadFull(q.r, b[at:])
		if err != nil {
			framemem.Free(b)
			return 0, nil, broken(err)
		}
		if at += m; at == n {
			break
		}
		more := framemem.New(min(n, 2*at))
		copy(more, b)
		framemem.Free(b)
		b = more
	}
	q.came = max(q.came, n)
	return kind, b, nil
}

// broken gives the end of a connection its own error; others stay what they are.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrNotWhole
	}
	return fmt.Errorf("%w: %w", ErrNotWhole, err)
}
