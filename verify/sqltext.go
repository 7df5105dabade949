package verify

import (
	"context"
	"strconv"
	"strings"

	"weft"
	"weft/contract"
	"weft/engine"
)

// present is true where every one of the columns has a value.
func present(columns []string) string {
	var w []string
	for _, c := range columns {
		w = append(w, contract.QuoteIdent(c)+" IS NOT NULL")
	}
	return strings.Join(w, " AND ")
}

func idents(columns []string) string {
	var w []string
	for _, c := range columns {
		w = append(w, contract.QuoteIdent(c))
	}
	return strings.Join(w, ", ")
}

// matches joins two relations on columns.
func matches(a, b string, columns []string) string {
	var w []string
	for _, c := range columns {
		q := contract.QuoteIdent(c)
		w = append(w, a+"."+q+" = "+b+"."+q)
	}
	return strings.Join(w, " AND ")
}

// scan reads Parquet files as one relation.
func scan(files []string) string {
	var w []string
	for _, f := range files {
		w = append(w, contract.QuoteLiteral(f))
	}
	return "read_parquet([" + strings.Join(w, ", ") + "])"
}

// value is one field of a result, as text.
type value struct {
	text string
	null bool
}

func (v value) int() int64 {
	n, _ := strconv.ParseInt(v.text, 10, 64) // NULL and what is no number read as 0
	return n
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

// fatal says that an error is not about the statement but about the session.
func fatal(err error) bool {
	if err == nil {
		return false
	}
	switch weft.KindOf(err) {
	case weft.KindUnavailable, weft.KindCancelled, weft.KindLimit, weft.KindInternal, weft.KindCorrupt:
		return true
	}
	return false
}

func fault(subject, format string, args ...any) error {
	return weft.Errorf(weft.KindInternal, "check the contract of", subject, format, args...)
}
