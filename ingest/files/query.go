package files

import (
	"context"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"weft/engine"
	"weft/ingest"
)

// rows runs a SELECT of text columns and hands each row to f; NULL is "" with
// false in valid.
func rows(ctx context.Context, r ingest.Request, sql string, f func(text []string, valid []bool) error) error {
	rd, err := r.Session.Query(ctx, engine.Statement{SQL: sql})
	if err != nil {
		return err
	}
	defer rd.Release()
	for rd.Next() {
		b := rd.RecordBatch()
		n := int(b.NumCols())
		cols := make([]*array.String, n)
		for i := range n {
			cols[i] = b.Column(i).(*array.String)
		}
		text, valid := make([]string, n), make([]bool, n)
		for row := range int(b.NumRows()) {
			for i, c := range cols {
				valid[i] = c.IsValid(row)
				text[i] = ""
				if valid[i] {
					text[i] = strings.Clone(c.Value(row)) // the batch's memory goes with the reader
				}
			}
			if err := f(text, valid); err != nil {
				return err
			}
		}
	}
	return rd.Err()
}

// describe returns the columns of a relation as the engine names their types.
func describe(ctx context.Context, r ingest.Request, relation string) ([]ingest.Found, error) {
	var found []ingest.Found
	err := rows(ctx, r, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+relation+")", func(t []string, _ []bool) error {
		found = append(found, ingest.FoundSQL(t[0], t[1]))
		return nil
	})
	return found, err
}
