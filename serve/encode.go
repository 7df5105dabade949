package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
)

// Options refine an encoding.
type Options struct {
	Table   TableOptions
	Elapsed func() time.Duration // shown below a table; nil shows none
	// Rows, when set, is called with the number of rows after each batch.
	Rows func(int64)
}

// WriteError is an error of the writer that Encode was given: the reader of the
// answer went away, or a disk is full. Other errors of Encode are the answer's.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return "write the answer: " + e.Err.Error() }

// Unwrap returns the writer's error.
func (e *WriteError) Unwrap() error { return e.Err }

// Encode writes a as f and returns the number of rows. It holds one batch at a
// time (Parquet: one row group), and flushes a writer that has Flush or
// FlushError after the first batch and then often. On an error the output is
// visibly incomplete: no format's end has been written. The caller closes a.
func Encode(w io.Writer, f Format, a *weft.Answer) (int64, error) {
	return EncodeWith(w, f, a, Options{})
}

// EncodeWith is Encode with options.
func EncodeWith(w io.Writer, f Format, a *weft.Answer, opt Options) (rows int64, err error) {
	o := newOut(w)
	enc, err := newEncoder(o, f, a, opt)
	if err != nil {
		return 0, err
	}
	defer func() {
		// The Arrow and Parquet libraries panic on data they do not take.
		if p := recover(); p != nil {
			err = weft.Errorf(weft.KindInternal, "write the answer", string(f), "%v", p)
		}
		enc.release()
	}()
	for a.Rows.Next() {
		rec := a.Rows.RecordBatch()
		if rec.NumRows() == 0 {
			continue
		}
		if err := enc.batch(rec); err != nil {
			return rows, err
		}
		rows += rec.NumRows()
		if opt.Rows != nil {
			opt.Rows(rows)
		}
		if err := o.settle(); err != nil {
			return rows, err
		}
	}
	if err := a.Rows.Err(); err != nil {
		return rows, err
	}
	if err := enc.end(rows); err != nil {
		return rows, err
	}
	return rows, o.flush()
}

// encoder writes batches in one format. end completes the output; release gives
// memory back and is called also after errors.
type encoder interface {
	batch(rec arrow.RecordBatch) error
	end(rows int64) error
	release()
}

func newEncoder(o *out, f Format, a *weft.Answer, opt Options) (encoder, error) {
	switch f {
	case FormatArrow:
		return newArrowEncoder(o, a), nil
	case FormatParquet:
		return newParquetEncoder(o, a)
	case FormatJSON:
		return newJSONEncoder(o, a), nil
	case FormatNDJSON:
		return newNDJSONEncoder(o, a), nil
	case FormatCSV:
		return newCSVEncoder(o, a), nil
	case FormatTable:
		return newTableEncoder(o, a, opt), nil
	}
	return nil, weft.Errorf(weft.KindInvalid, "write the answer", string(f), "there is no such format")
}

// bufferSize is how much text is gathered before it is written.
const bufferSize = 128 << 10

// flushEvery is the longest that written rows wait for their reader.
const flushEvery = 50 * time.Millisecond

// out gathers bytes, writes them in large pieces, and flushes what is behind.
type out struct {
	w       io.Writer
	buf     []byte
	flusher func() error
	last    time.Time // of the last flush, zero before the first
	err     error
}

func newOut(w io.Writer) *out {
	o := &out{w: w, buf: make([]byte, 0, bufferSize+8<<10)}
	switch f := w.(type) {
	case interface{ FlushError() error }:
		o.flusher = f.FlushError
	case interface{ Flush() error }:
		o.flusher = f.Flush
	case interface{ Flush() }:
		o.flusher = func() error { f.Flush(); return nil }
	}
	return o
}

// Write takes bytes of a library that writes by itself.
func (o *out) Write(b []byte) (int, error) {
	if len(o.buf)+len(b) > bufferSize {
		if err := o.spill(); err != nil {
			return 0, err
		}
		if len(b) >= bufferSize/2 {
			return o.direct(b)
		}
	}
	o.buf = append(o.buf, b...)
	return len(b), nil
}

func (o *out) direct(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if err != nil {
		o.err = &WriteError{err}
	}
	return n, o.err
}

// full writes the buffer when it is large enough to be worth it.
func (o *out) full() error {
	if len(o.buf) < bufferSize {
		return nil
	}
	return o.spill()
}

// spill writes the buffer.
func (o *out) spill() error {
	if o.err != nil || len(o.buf) == 0 {
		return o.err
	}
	_, err := o.direct(o.buf)
	o.buf = o.buf[:0]
	return err
}

// settle flushes when the last flush is long enough ago.
func (o *out) settle() error {
	if o.flusher == nil {
		return o.err
	}
	now := time.Now()
	if now.Sub(o.last) < flushEvery {
		return o.err
	}
	o.last = now
	return o.flush()
}

func (o *out) flush() error {
	if err := o.spill(); err != nil || o.flusher == nil {
		return err
	}
	if err := o.flusher(); err != nil {
		o.err = &WriteError{err}
	}
	return o.err
}

// cutMetadata is what files carry of the cut they were read at.
func cutMetadata(a *weft.Answer) arrow.Metadata {
	points := a.Cut.Sorted()
	if points == nil {
		points = weft.Cut{}
	}
	b, _ := json.Marshal(points) // names, numbers and times always encode
	keys := []string{MetaCut, MetaPoints, MetaHeld}
	values := []string{a.Cut.Token(), string(b), FormatHeld(a.Held)}
	old := a.Schema.Metadata()
	for i, k := range old.Keys() {
		if !slices.Contains(keys, k) {
			keys, values = append(keys, k), append(values, old.Values()[i])
		}
	}
	return arrow.NewMetadata(keys, values)
}

// columnNames gives every column a name of its own: the second "n" is "n_2".
func columnNames(s *arrow.Schema) []string {
	taken := map[string]bool{}
	for _, f := range s.Fields() {
		taken[f.Name] = true
	}
	used := map[string]bool{}
	names := make([]string, s.NumFields())
	for i, f := range s.Fields() {
		name := f.Name
		for n := 2; used[name]; n++ {
			if try := fmt.Sprintf("%s_%d", f.Name, n); !taken[try] {
				name = try
			}
		}
		used[name] = true
		names[i] = name
	}
	return names
}

// withSchema gives rec's columns under another schema of the same types.
func withSchema(rec arrow.RecordBatch, s *arrow.Schema) arrow.RecordBatch {
	return array.NewRecordBatch(s, rec.Columns(), rec.NumRows())
}
