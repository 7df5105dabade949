package serve

import (
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"weft"
)

// A row group ends at whichever comes first; it is what the encoder holds.
const (
	rowGroupRows  = 122_880 // what the engine reads best, a multiple of its vector
	rowGroupBytes = 64 << 20
)

// parquetEncoder writes zstd Parquet, row group by row group, with the Arrow
// schema and the cut in its metadata.
type parquetEncoder struct {
	o      *out
	a      *weft.Answer
	schema *arrow.Schema
	w      *pqarrow.FileWriter
}

func newParquetEncoder(o *out, a *weft.Answer) (*parquetEncoder, error) {
	names, fields := columnNames(a.Schema), make([]arrow.Field, a.Schema.NumFields())
	for i, f := range a.Schema.Fields() {
		f.Name = names[i]
		if what := notInParquet(f.Type); what != "" {
			return nil, weft.Errorf(weft.KindInvalid, "write the answer", "column "+f.Name, "Parquet has no type for %s", what).
				WithHint("cast the column in SQL, for example to text, or take another format")
		}
		fields[i] = f
	}
	md := cutMetadata(a)
	e := &parquetEncoder{o: o, a: a, schema: arrow.NewSchema(fields, &md)}
	opts := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
		parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithMaxRowGroupLength(rowGroupRows), parquet.WithCreatedBy("weft"),
	}
	for _, f := range fields {
		// A dictionary of numbers costs more time than zstd needs for the same.
		if _, fixed := f.Type.(arrow.FixedWidthDataType); fixed {
			opts = append(opts, parquet.WithDictionaryFor(f.Name, false))
		}
	}
	props := parquet.NewWriterProperties(opts...)
	var err error
	// The writer would close what it is given: it gets only the Write method.
	e.w, err = pqarrow.NewFileWriter(e.schema, struct{ io.Writer }{o}, props, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, libraryFault(o, FormatParquet, err)
	}
	return e, nil
}

// notInParquet names the first type inside d that Parquet cannot hold.
func notInParquet(d arrow.DataType) string {
	switch d := d.(type) {
	case *arrow.MonthIntervalType, *arrow.DayTimeIntervalType, *arrow.MonthDayNanoIntervalType, *arrow.DurationType:
		return "an interval"
	case *arrow.StructType:
		if d.NumFields() == 0 {
			return "a struct without fields"
		}
		for _, f := range d.Fields() {
			if what := notInParquet(f.Type); what != "" {
				return what
			}
		}
	case *arrow.MapType:
		return notInParquet(d.ItemType())
	case *arrow.ListViewType, *arrow.LargeListViewType, *arrow.StringViewType, *arrow.BinaryViewType, arrow.UnionType, *arrow.RunEndEncodedType:
		return d.Name()
	case arrow.ListLikeType:
		return notInParquet(d.Elem())
	case *arrow.DictionaryType:
		return notInParquet(d.ValueType)
	}
	return ""
}

func (e *parquetEncoder) batch(rec arrow.RecordBatch) error {
	r := withSchema(rec, e.schema)
	defer r.Release()
	if err := e.w.WriteBuffered(r); err != nil {
		return libraryFault(e.o, FormatParquet, err)
	}
	if e.w.RowGroupTotalCompressedBytes() >= rowGroupBytes {
		return libraryFault(e.o, FormatParquet, e.w.NewBufferedRowGroupChecked())
	}
	return nil
}

func (e *parquetEncoder) end(int64) error {
	if text := FormatWarnings(Warnings(e.a)); text != "" {
		if err := e.w.AppendKeyValueMetadata(MetaWarnings, text); err != nil {
			return libraryFault(e.o, FormatParquet, err)
		}
	}
	if err := e.w.Close(); err != nil {
		return libraryFault(e.o, FormatParquet, err)
	}
	return e.o.spill()
}

// release lets an unfinished file go: closing the writer would give it an end.
func (e *parquetEncoder) release() {}
