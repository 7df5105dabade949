package ingest

import (
	"context"
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
)

// MaxRejects is how many rows of one table may be rejected before the read
// fails: beyond it the source is another thing than the contract describes.
const MaxRejects = 500_000

// Rejects collects the rows of one table that could not be read.
type Rejects struct {
	where, table       string
	reason, place, row *array.StringBuilder
	batch              *array.RecordBuilder
	count, pending     int64
	batches            []arrow.RecordBatch
}

var rejectSchema = arrow.NewSchema([]arrow.Field{
	{Name: "reason", Type: arrow.BinaryTypes.String},
	{Name: "place", Type: arrow.BinaryTypes.String},
	{Name: "row", Type: arrow.BinaryTypes.String},
}, nil)

// NewRejects begins an empty collection for a table of the port named where.
func NewRejects(where, table string) *Rejects {
	b := array.NewRecordBuilder(memory.DefaultAllocator, rejectSchema)
	return &Rejects{
		where: where, table: table, batch: b,
		reason: b.Field(0).(*array.StringBuilder), place: b.Field(1).(*array.StringBuilder), row: b.Field(2).(*array.StringBuilder),
	}
}

// Count is how many rows were added.
func (r *Rejects) Count() int64 { return r.count }

// Add takes one row: why, where it stands ("file:line"), and what was read.
func (r *Rejects) Add(reason, place string, row json.RawMessage) error {
	if r.count >= MaxRejects {
		return r.TooMany()
	}
	r.reason.Append(reason)
	r.place.Append(place)
	r.row.BinaryBuilder.Append(row)
	r.count++
	if r.pending++; r.pending == 10_000 {
		r.flush()
	}
	return nil
}

// TooMany is the error of a source that is mostly unreadable.
func (r *Rejects) TooMany() error {
	return weft.Errorf(weft.KindDrift, "read the source", r.where, "more than %d rows of table %s cannot be read as the contract expects", MaxRejects, r.table).
		WithHint("look at the source's dialect: delimiter, quote, encoding, date format (weftDelimiter, weftQuote, weftEncoding, weftDateFormat)")
}

func (r *Rejects) flush() {
	if r.pending > 0 {
		r.batches = append(r.batches, r.batch.NewRecordBatch())
		r.pending = 0
	}
}

// Stage writes the rows to a Parquet file and names it in s; without rows it
// does nothing.
func (r *Rejects) Stage(ctx context.Context, q Request, s *Staged) error {
	if r.count == 0 {
		return nil
	}
	r.flush()
	file := q.File(r.table, "rejects", 1)
	_, err := q.Copy(ctx, engine.Statement{
		SQL:     "SELECT reason, place, row FROM arrow_source('rejects')",
		Sources: []engine.Source{{Name: "rejects", Schema: rejectSchema, Batches: r.batches}},
	}, file)
	if err != nil {
		return Fault(err, r.where, "the list of rejected rows")
	}
	s.Rejects, s.RejectRows = file, r.count
	return nil
}
