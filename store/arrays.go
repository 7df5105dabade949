package store

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// newStrings makes a text column of n values.
func newStrings(n int, value func(int) string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.Reserve(n)
	for i := range n {
		b.Append(value(i))
	}
	return b.NewArray()
}

// newBigints makes a column of 64-bit numbers.
func newBigints(v []int64) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.AppendValues(v, nil)
	return b.NewArray()
}

// bigints reads a column of 64-bit numbers.
func bigints(c arrow.Array) func(row int) int64 { return c.(*array.Int64).Value }

// newBooleans makes a column of truth values.
func newBooleans(v []bool) arrow.Array {
	b := array.NewBooleanBuilder(memory.DefaultAllocator)
	b.AppendValues(v, nil)
	return b.NewArray()
}

// addColumns puts columns behind those of batches. column is called with the
// number of the batch's first row and of the row after its last.
func addColumns(s *arrow.Schema, recs []arrow.RecordBatch, column func(from, to int) []arrow.Array) []arrow.RecordBatch {
	out := make([]arrow.RecordBatch, len(recs))
	at := 0
	for i, rec := range recs {
		to := at + int(rec.NumRows())
		cols := append(append([]arrow.Array{}, rec.Columns()...), column(at, to)...)
		out[i] = array.NewRecordBatch(s, cols, rec.NumRows())
		at = to
	}
	return out
}

// conform gives a batch the normalised types of a schema that has the same
// columns: names of list items, nullability and metadata are the schema's. The
// data is shared and outlives the batch.
func conform(s *arrow.Schema, rec arrow.RecordBatch) arrow.RecordBatch {
	cols := make([]arrow.Array, rec.NumCols())
	for i, c := range rec.Columns() {
		cols[i] = array.MakeFromData(conformData(s.Field(i).Type, c.Data()))
	}
	return array.NewRecordBatch(s, cols, rec.NumRows())
}

func conformData(t arrow.DataType, d arrow.ArrayData) arrow.ArrayData {
	var children []arrow.ArrayData
	switch t := t.(type) {
	case *arrow.ListType:
		children = []arrow.ArrayData{conformData(t.Elem(), d.Children()[0])}
	case *arrow.StructType:
		for i, f := range t.Fields() {
			children = append(children, conformData(f.Type, d.Children()[i]))
		}
	}
	return array.NewData(t, d.Len(), d.Buffers(), children, d.NullN(), d.Offset())
}

// pick returns the rows of rec that are to be kept.
func pick(rec arrow.RecordBatch, keep []bool) (arrow.RecordBatch, error) {
	if !slices.Contains(keep, false) {
		return rec, nil
	}
	mask := newBooleans(keep)
	defer mask.Release()
	return compute.FilterRecordBatch(context.Background(), rec, mask, compute.DefaultFilterOptions())
}
