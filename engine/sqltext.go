package engine

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Idents is a list of names as SQL identifiers.
func Idents(names []string) string {
	var w []string
	for _, n := range names {
		w = append(w, QuoteIdent(n))
	}
	return strings.Join(w, ", ")
}

// ScanParquet reads Parquet files of the same columns as one relation; a folder
// called a=b is no column.
func ScanParquet(files ...string) string {
	var w []string
	for _, f := range files {
		w = append(w, QuoteLiteral(f))
	}
	return "read_parquet([" + strings.Join(w, ", ") + "], hive_partitioning = false)"
}

// CopyParquet is the statement that writes the rows of a SELECT to a file: with
// the codec and pages that every file of Weft has.
func CopyParquet(query, file string) string {
	return "COPY (" + query + ") TO " + QuoteLiteral(file) + " (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)"
}

// CopyParquetIDs is CopyParquet with ids of the columns in the file, and groups of
// so many rows; 0 leaves that to the engine.
func CopyParquetIDs(query, file string, ids map[string]int, group int) string {
	var w []string
	for _, n := range slices.Sorted(maps.Keys(ids)) {
		w = append(w, QuoteIdent(n)+": "+strconv.Itoa(ids[n]))
	}
	sql := CopyParquet(query, file)
	sql = strings.TrimSuffix(sql, ")") + ", FIELD_IDS {" + strings.Join(w, ", ") + "}"
	if group > 0 {
		sql += ", ROW_GROUP_SIZE " + strconv.Itoa(group)
	}
	return sql + ")"
}

// Field is one value of a small result, as text.
type Field struct {
	Text string
	Null bool
}

// Int is the value as a whole number; NULL and what is no number read as 0.
func (f Field) Int() int64 {
	n, _ := strconv.ParseInt(f.Text, 10, 64)
	return n
}

// Fields reads a small result whole: every row with its values as text.
func Fields(ctx context.Context, s Session, st Statement) ([][]Field, error) {
	reader, err := s.Query(ctx, st)
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	var out [][]Field
	for reader.Next() {
		b := reader.RecordBatch()
		for i := range int(b.NumRows()) {
			row := make([]Field, b.NumCols())
			for j, c := range b.Columns() {
				if row[j].Null = c.IsNull(i); !row[j].Null {
					row[j].Text = strings.Clone(c.ValueStr(i)) // the batch's memory goes with it
				}
			}
			out = append(out, row)
		}
	}
	return out, reader.Err()
}
