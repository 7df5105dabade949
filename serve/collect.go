package serve

import (
	"encoding/json"

	"weft"
)

// Collect reads up to limit rows of a in the encoding of the JSON format, for
// samples and lists. Values of the columns named in hide are null. It does not
// close a.
func Collect(a *weft.Answer, limit int, hide ...string) (*Rows, error) {
	r := &Rows{Columns: Columns(a.Schema), Rows: [][]json.RawMessage{}}
	hidden := map[string]bool{}
	for _, h := range hide {
		hidden[h] = true
	}
	for len(r.Rows) < limit && a.Rows.Next() {
		rec := a.Rows.RecordBatch()
		cols := bindAll(rec)
		for i := 0; i < int(rec.NumRows()) && len(r.Rows) < limit; i++ {
			row := make([]json.RawMessage, len(cols))
			for c, col := range cols {
				if hidden[r.Columns[c].Name] {
					row[c] = json.RawMessage("null")
				} else {
					row[c] = col.json(nil, i)
				}
			}
			r.Rows = append(r.Rows, row)
		}
	}
	return r, a.Rows.Err()
}
