package transform

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"weft"
)

// csvRows is a small CSV that was read whole.
type csvRows struct {
	header []string
	rows   [][]string
	lines  []int // where each row begins
}

// readCSV reads the rows of a test. Every row must have all columns.
func readCSV(file string, data []byte) (*csvRows, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	r.ReuseRecord = false
	out := &csvRows{}
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, weft.Errorf(weft.KindInvalid, "read", file, "%w", err)
		}
		if out.header == nil {
			out.header = rec
			continue
		}
		line, _ := r.FieldPos(0)
		out.rows, out.lines = append(out.rows, rec), append(out.lines, line)
	}
	if out.header == nil {
		return nil, weft.Errorf(weft.KindInvalid, "read", file, "it is empty").WithHint("its first line names the columns")
	}
	for i, h := range out.header {
		out.header[i] = strings.TrimSpace(h)
		if out.header[i] == "" || slices.Contains(out.header[:i], out.header[i]) {
			return nil, weft.Errorf(weft.KindInvalid, "read", file, "column %d has no name of its own", i+1)
		}
	}
	return out, nil
}

// hasValue reports whether any row has something in column i.
func (c *csvRows) hasValue(i int) bool {
	return slices.ContainsFunc(c.rows, func(r []string) bool { return r[i] != "" })
}
