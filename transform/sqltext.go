package transform

import (
	"context"
	"strings"

	"weft/contract"
	"weft/engine"
)

// scan reads Parquet files as one relation.
func scan(files []string) string {
	var w []string
	for _, f := range files {
		w = append(w, contract.QuoteLiteral(f))
	}
	return "read_parquet([" + strings.Join(w, ", ") + "])"
}

func idents(columns []string) string {
	var w []string
	for _, c := range columns {
		w = append(w, contract.QuoteIdent(c))
	}
	return strings.Join(w, ", ")
}

func copyTo(sql, file string) string {
	return "COPY (" + sql + ") TO " + contract.QuoteLiteral(file) + " (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)"
}

// value is one field of a result, as text.
type value struct {
	text string
	null bool
}

// query reads a small result whole.
func query(ctx context.Context, s engine.Session, st engine.Statement) ([][]value, error) {
	reader, err := s.Query(ctx, st)
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	var out [][]value
	for reader.Next() {
		b := reader.RecordBatch()
		for i := range int(b.NumRows()) {
			row := make([]value, b.NumCols())
			for j, c := range b.Columns() {
				if row[j].null = c.IsNull(i); !row[j].null {
					row[j].text = strings.Clone(c.ValueStr(i))
				}
			}
			out = append(out, row)
		}
	}
	return out, reader.Err()
}
