package store

import (
	"fmt"
	"strings"
	"testing"

	"weft"
)

// shapes makes commits of a table whose columns change: added with and without a
// default, renamed, widened, dropped.
type shapes struct {
	t     testing.TB
	e     *testEngine
	cols  []shapeColumn
	rows  int
	made  int  // columns so far
	there bool // the table has rows
}

type shapeColumn struct{ name, sqlType string }

func newShapes(t testing.TB, e *testEngine) *shapes {
	return &shapes{t: t, e: e, cols: []shapeColumn{{"id", "BIGINT"}, {"n", "INTEGER"}}}
}

// shapeSteps is how many kinds of steps there are.
const shapeSteps = 7

// step makes the candidate of one kind of step; the first one makes the table.
func (h *shapes) step(kind int) Candidate {
	td := TableData{Table: "shapes", Op: weft.OpColumns, Key: []string{"id"}, Renamed: map[string]string{}, Defaults: map[string]string{}}
	last := &h.cols[len(h.cols)-1]
	switch {
	case !h.there:
		td.Op, h.there = weft.OpReplace, true
	case kind == 0 && last.sqlType == "INTEGER":
		last.sqlType = "BIGINT"
	case kind == 1 && len(h.cols) < 6:
		h.made++
		name := fmt.Sprintf("c%d", h.made)
		h.cols = append(h.cols, shapeColumn{name, "VARCHAR"})
		td.Defaults[name] = "before " + name
	case kind == 2 && len(h.cols) < 6:
		h.made++
		h.cols = append(h.cols, shapeColumn{fmt.Sprintf("c%d", h.made), "INTEGER"})
	case kind == 3 && len(h.cols) > 1:
		h.made++
		old := last.name
		last.name = fmt.Sprintf("r%d", h.made)
		td.Renamed[last.name] = old
	case kind == 4 && len(h.cols) > 2:
		h.cols = append(h.cols[:1], h.cols[2:]...)
	default:
		td.Op = weft.OpAppend
	}
	var cells []string
	for _, c := range h.cols {
		v := fmt.Sprint(h.rows)
		if c.sqlType == "VARCHAR" {
			v = "'v" + v + "'"
		}
		cells = append(cells, v+"::"+c.sqlType+" AS "+c.name)
	}
	schema, batches := h.e.query(h.t, "SELECT "+strings.Join(cells, ", "))
	td.Schema = schema
	if td.Op != weft.OpColumns {
		td.Batches = batches
		h.rows++
	}
	return Candidate{Cause: weft.CauseCode, Tables: []TableData{td}}
}
