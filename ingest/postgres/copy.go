package postgres

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zeebo/xxh3"

	"weft/contract"
	"weft/engine"
	"weft/ingest"
)

const (
	defaultChunkRows  = 500_000
	defaultChunkBytes = 64 << 20
	batchRows         = 65_536
	// reasonColumn says why a row cannot be kept; NULL for a good one.
	reasonColumn = "_weft_reason"
)

// copyTable streams the table into parts and returns the digest of its rows. One
// chunk is decoded while the one before is written.
func (d Driver) copyTable(ctx context.Context, t *read) (string, error) {
	c := newDecoding(t, d.ChunkRows, d.ChunkBytes)
	rejects := ingest.NewRejects(t.r.Where(), t.out.Table)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	chunks, written := make(chan []arrow.RecordBatch), make(chan error, 1)
	go func() {
		var err error
		for batches := range chunks {
			if err == nil {
				if err = t.stage(ctx, c.schema, batches, rejects); err != nil {
					cancel(err) // ends the COPY
				}
			}
			release(batches)
		}
		written <- err
	}()
	c.send = func(b []arrow.RecordBatch) error {
		select {
		case chunks <- b:
			return nil
		case <-ctx.Done():
			release(b)
			return context.Cause(ctx)
		}
	}
	_, err := t.conn.PgConn().CopyTo(ctx, c, "COPY ("+t.query()+") TO STDOUT (FORMAT binary)")
	if err == nil {
		err = c.end()
	}
	close(chunks)
	if werr := <-written; werr != nil {
		return "", werr
	}
	if err != nil {
		return "", fault(ctx, t.r, "read table "+t.name, err)
	}
	t.out.Bytes = c.bytes
	c.meter.Done()
	return fmt.Sprintf("%x", c.digest.Sum128().Bytes()), rejects.Stage(ctx, t.r, &t.out)
}

func release(bs []arrow.RecordBatch) {
	for _, b := range bs {
		b.Release()
	}
}

// decoding turns CopyData messages into batches. It is the io.Writer of a COPY.
type decoding struct {
	schema   *arrow.Schema
	builder  *array.RecordBuilder
	fields   []array.Builder
	decode   []appendFunc
	names    []string
	reason   *array.StringBuilder
	header   bool
	ended    bool
	rest     []byte // of a message that ended within a row
	rows     int    // of the batch
	size     int    // of the chunk, in bytes as they came
	total    int    // rows of the chunk
	bytes    int64
	maxRows  int
	maxBytes int
	batches  []arrow.RecordBatch
	digest   *xxh3.Hasher
	meter    *ingest.Meter
	send     func([]arrow.RecordBatch) error
}

func newDecoding(t *read, rows, bytes int) *decoding {
	c := &decoding{maxRows: rows, maxBytes: bytes, digest: xxh3.New(), meter: t.r.Meter(t.out.Table, 0)}
	if c.maxRows == 0 {
		c.maxRows = defaultChunkRows
	}
	if c.maxBytes == 0 {
		c.maxBytes = defaultChunkBytes
	}
	var fs []arrow.Field
	for i, b := range t.bound {
		col := t.columns[b.Index]
		fs = append(fs, arrow.Field{Name: fmt.Sprintf("c%d", i), Type: col.found.Type.Arrow(), Nullable: true})
		c.decode = append(c.decode, decoder(col))
		c.names = append(c.names, col.name)
	}
	fs = append(fs, arrow.Field{Name: reasonColumn, Type: arrow.BinaryTypes.String, Nullable: true})
	c.schema = arrow.NewSchema(fs, nil)
	c.builder = array.NewRecordBuilder(memory.DefaultAllocator, c.schema)
	c.fields = c.builder.Fields()
	c.reason = c.fields[len(fs)-1].(*array.StringBuilder)
	return c
}

// copyHeader is what a binary COPY begins with, before flags and extension.
const copyHeader = "PGCOPY\n\xff\r\n\x00"

// Write takes one message. The server sends a row a message; a proxy may not, so
// what is left of a row waits for the next.
func (c *decoding) Write(p []byte) (int, error) {
	n := len(p)
	c.bytes += int64(n)
	c.size += n
	_, _ = c.digest.Write(p) // a hash takes everything
	if len(c.rest) > 0 {
		c.rest = append(c.rest, p...)
		p = c.rest
	}
	p, err := c.take(p)
	if err != nil {
		return 0, err
	}
	c.rest = append(c.rest[:0:0], p...)
	return n, nil
}

// take decodes every whole row of p and returns what is left.
func (c *decoding) take(p []byte) ([]byte, error) {
	if !c.header {
		if len(p) < 19 {
			return p, nil
		}
		ext := int(binary.BigEndian.Uint32(p[15:]))
		if string(p[:11]) != copyHeader || ext < 0 || ext > 1<<20 {
			return nil, errShort
		}
		if len(p) < 19+ext {
			return p, nil
		}
		p, c.header = p[19+ext:], true
	}
	for len(p) > 0 && !c.ended {
		rest, ok, err := c.row(p)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		p = rest
	}
	return p, nil
}

// row decodes one row; false where p does not hold all of it.
func (c *decoding) row(p []byte) ([]byte, bool, error) {
	size, ok, err := c.rowSize(p)
	if err != nil || !ok || c.ended {
		return p, ok && c.ended, err
	}
	rest := p[size:]
	p = p[2:]
	var reasons []string
	for i, f := range c.decode {
		v, after, null, err := value(p)
		if err != nil {
			return nil, false, err
		}
		p = after
		if null {
			c.fields[i].AppendNull()
			continue
		}
		if err := f(c.fields[i], v); err != nil {
			if !errors.As(err, new(partly)) {
				c.fields[i].AppendNull()
			}
			if errors.Is(err, errShort) {
				return nil, false, err
			}
			reasons = append(reasons, "column "+c.names[i]+": "+err.Error())
		}
	}
	if len(reasons) > 0 {
		c.reason.Append(strings.Join(reasons, ", "))
	} else {
		c.reason.AppendNull()
	}
	return rest, true, c.count()
}

// rowSize measures the row at the beginning of p and notes the end mark.
func (c *decoding) rowSize(p []byte) (size int, whole bool, err error) {
	if len(p) < 2 {
		return 0, false, nil
	}
	n := int16(binary.BigEndian.Uint16(p))
	if n == -1 {
		c.ended = true
		return 2, true, nil
	}
	if int(n) != len(c.decode) {
		return 0, false, errShort
	}
	at := 2
	for range n {
		if len(p) < at+4 {
			return 0, false, nil
		}
		l := int32(binary.BigEndian.Uint32(p[at:]))
		at += 4
		if l < -1 {
			return 0, false, errShort
		}
		if l > 0 {
			at += int(l)
		}
		if len(p) < at {
			return 0, false, nil
		}
	}
	return at, true, nil
}

// count closes batches and sends chunks as they fill.
func (c *decoding) count() error {
	c.rows++
	c.total++
	if c.rows < batchRows && c.total < c.maxRows && c.size < c.maxBytes {
		return nil
	}
	c.batch()
	if c.total < c.maxRows && c.size < c.maxBytes {
		return nil
	}
	return c.flush()
}

func (c *decoding) batch() {
	if c.rows > 0 {
		c.meter.Add(int64(c.rows), c.bytes-c.meter.Bytes())
		c.batches = append(c.batches, c.builder.NewRecordBatch())
		c.rows = 0
	}
}

func (c *decoding) flush() error {
	if len(c.batches) == 0 {
		return nil
	}
	b := c.batches
	c.batches, c.total, c.size = nil, 0, 0
	return c.send(b)
}

// end sends the last chunk. A stream without its end mark is not whole.
func (c *decoding) end() error {
	if !c.ended {
		return errShort
	}
	c.batch()
	return c.flush()
}

// stage writes one chunk as a part of the table and collects its rejected rows.
func (t *read) stage(ctx context.Context, schema *arrow.Schema, batches []arrow.RecordBatch, rejects *ingest.Rejects) error {
	src := []engine.Source{{Name: "rows", Schema: schema, Batches: batches}}
	var cols, tries, bad, reasons, pairs []string
	for i, b := range t.bound {
		e, f := fmt.Sprintf("c%d", i), t.columns[b.Index].found
		name := " AS " + contract.QuoteIdent(b.Name)
		f.Raw = "" // the server has made it text
		cols = append(cols, ingest.CastSQL(e, f, b.Type)+name)
		try := ingest.TryCastSQL(e, f, b.Type)
		tries = append(tries, try+name)
		is := fmt.Sprintf("(%s IS NOT NULL AND (%s) IS NULL)", e, try)
		bad = append(bad, is)
		reasons = append(reasons, fmt.Sprintf("CASE WHEN %s THEN %s END", is, contract.QuoteLiteral(fmt.Sprintf("type %s: column %s", b.Type, b.Source))))
		pairs = append(pairs, fmt.Sprintf("%s, CAST(%s AS VARCHAR)", contract.QuoteLiteral(b.Source), e))
	}
	from := " FROM arrow_source('rows')"
	dirty := hasReasons(batches)
	if !dirty {
		err := t.part(ctx, engine.Statement{SQL: "SELECT " + strings.Join(cols, ", ") + from, Sources: src})
		if err == nil || !ingest.Retry(err) {
			return t.engineFault(err)
		}
	}
	wrong := reasonColumn + " IS NOT NULL OR " + strings.Join(bad, " OR ")
	if err := t.part(ctx, engine.Statement{SQL: "SELECT " + strings.Join(tries, ", ") + from + " WHERE NOT (" + wrong + ")", Sources: src}); err != nil {
		return t.engineFault(err)
	}
	sql := fmt.Sprintf("SELECT concat_ws(', ', %s, %s), CAST(json_object(%s) AS VARCHAR)%s WHERE %s", reasonColumn, strings.Join(reasons, ", "), strings.Join(pairs, ", "), from, wrong)
	rd, err := t.r.Session.Query(ctx, engine.Statement{SQL: sql, Sources: src})
	if err != nil {
		return t.engineFault(err)
	}
	defer rd.Release()
	for rd.Next() {
		b := rd.RecordBatch()
		why, row := b.Column(0).(*array.String), b.Column(1).(*array.String)
		for i := range why.Len() {
			if err := rejects.Add(why.Value(i), "table "+t.name, json.RawMessage(row.Value(i))); err != nil {
				return err
			}
		}
	}
	return t.engineFault(rd.Err())
}

func hasReasons(batches []arrow.RecordBatch) bool {
	for _, b := range batches {
		if c := b.Column(int(b.NumCols()) - 1); c.NullN() < c.Len() {
			return true
		}
	}
	return false
}

func (t *read) part(ctx context.Context, st engine.Statement) error {
	file := t.r.File(t.out.Table, "part", len(t.out.Files)+1)
	n, err := t.r.Copy(ctx, st, file)
	if err == nil {
		t.out.Files = append(t.out.Files, file)
		t.out.Rows += n
	}
	return err
}

func (t *read) engineFault(err error) error {
	if err == nil {
		return nil
	}
	return ingest.Fault(err, t.r.Where(), "table "+t.name)
}
