package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
)

// wideTable is the model of a keyed table whose columns change. A column has a number
// of its own, which a new name or type leaves as it is.
type wideTable struct {
	cols []wideColumn
	rows map[int64]map[int]string // by key; the cells by the column's number
}

type wideColumn struct {
	number  int
	name    string
	sqlType string
	before  string // what rows from before the column have in it; "" is NULL
}

// wideNull is how a cell without a value is written.
const wideNull = "(null)"

func (t *wideTable) clone() *wideTable {
	if t == nil {
		return nil
	}
	c := &wideTable{cols: slices.Clone(t.cols), rows: map[int64]map[int]string{}}
	for k, cells := range t.rows {
		c.rows[k] = maps.Clone(cells)
	}
	return c
}

// cells are the values of a row in the order of the columns.
func (t *wideTable) cells(key int64) []string {
	out := make([]string, len(t.cols))
	for i, c := range t.cols {
		v, ok := t.rows[key][c.number]
		switch {
		case c.number == 0:
			v = itoa(key)
		case !ok && c.before != "":
			v = c.before
		case !ok:
			v = wideNull
		}
		out[i] = v
	}
	return out
}

func (t *wideTable) text() []string {
	out := []string{}
	if t != nil {
		for k := range t.rows {
			out = append(out, strings.Join(t.cells(k), "|"))
		}
	}
	slices.Sort(out)
	return out
}

// columns are the names and types as the store is to give them.
func (t *wideTable) columns() string {
	var out []string
	for _, c := range t.cols {
		out = append(out, c.name+" "+c.sqlType)
	}
	return strings.Join(out, ", ")
}

func columnsText(s *arrow.Schema) string {
	var out []string
	for _, f := range s.Fields() {
		t, err := sqlType(f)
		if err != nil {
			t = err.Error()
		}
		out = append(out, f.Name+" "+t)
	}
	return strings.Join(out, ", ")
}

func (t *wideTable) schema() *arrow.Schema {
	types := map[string]arrow.DataType{
		"INTEGER": arrow.PrimitiveTypes.Int32, "BIGINT": arrow.PrimitiveTypes.Int64, "VARCHAR": arrow.BinaryTypes.String,
	}
	fields := make([]arrow.Field, len(t.cols))
	for i, c := range t.cols {
		fields[i] = arrow.Field{Name: c.name, Type: types[c.sqlType], Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// wideRow is one row of a change; op is "" where there is none.
type wideRow struct {
	op    string
	cells []string
}

func (t *wideTable) batch(rows []wideRow) arrow.RecordBatch {
	schema, first := t.schema(), 0
	if rows[0].op != "" {
		schema, first = withOp(schema), 1
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for _, r := range rows {
		if first > 0 {
			b.Field(0).(*array.StringBuilder).Append(r.op)
		}
		for i, v := range r.cells {
			f := b.Field(first + i)
			if v == wideNull {
				f.AppendNull()
			} else if err := f.AppendValueFromString(v); err != nil {
				panic(err) // the model made the value for this type
			}
		}
	}
	return b.NewRecordBatch()
}

// selected is the rows as a SELECT.
func (t *wideTable) selected(rows []wideRow) string {
	var out []string
	for _, r := range rows {
		var cells []string
		if r.op != "" {
			cells = append(cells, "'"+r.op+"' AS "+ColumnOp)
		}
		for i, v := range r.cells {
			if v == wideNull {
				v = "NULL"
			} else {
				v = "'" + v + "'"
			}
			cells = append(cells, v+"::"+t.cols[i].sqlType+" AS "+t.cols[i].name)
		}
		out = append(out, "SELECT "+strings.Join(cells, ", "))
	}
	return strings.Join(out, " UNION ALL ")
}

// put gives a key new values in all columns.
func (w *world) put(t *wideTable, key int64) {
	cells := map[int]string{}
	for _, c := range t.cols {
		switch {
		case c.number == 0 || w.rnd.IntN(6) == 0: // NULL is a value too
		case c.sqlType == "VARCHAR":
			cells[c.number] = w.name()
		case c.sqlType == "BIGINT" && w.rnd.IntN(3) == 0:
			cells[c.number] = itoa(w.rnd.Int64() - 1<<62)
		default:
			cells[c.number] = itoa(int64(int32(w.rnd.Uint32())))
		}
	}
	for _, c := range t.cols {
		if _, ok := cells[c.number]; !ok && c.number > 0 {
			cells[c.number] = wideNull
		}
	}
	t.rows[key] = cells
}

// wideChange makes a random change of the table wide: of its columns, of its
// rows, or of both at once.
func (w *world) wideChange(next *state) TableData {
	td := TableData{Table: "wide", Key: []string{"id"}, Renamed: map[string]string{}, Defaults: map[string]string{}}
	t := next.wide
	if t == nil {
		t = &wideTable{cols: []wideColumn{{0, "id", "BIGINT", ""}, {w.number(), "a", "INTEGER", ""}}}
		next.wide = t
		td.Op = weft.OpReplace
	}
	changed := td.Op == "" && w.rnd.IntN(2) == 0 && w.reshape(t, &td)
	switch kind := w.rnd.IntN(12); {
	case td.Op != "" || kind == 0:
		td.Op = weft.OpReplace
	case changed && kind < 6:
		td.Op = weft.OpColumns
	case kind < 8:
		td.Op = weft.OpAppend
	default:
		td.Op = weft.OpMerge
	}
	td.Schema = t.schema()
	w.say("  %s wide (%s), renamed %v, defaults %v", td.Op, t.columns(), td.Renamed, td.Defaults)
	if td.Op != weft.OpColumns {
		w.fillWide(&td, t, w.wideRows(&td, t))
	}
	return td
}

// number is one for a new column.
func (w *world) number() int { w.columns++; return w.columns }

// reshape changes the columns; false where what was chosen does not fit.
func (w *world) reshape(t *wideTable, td *TableData) bool {
	free := slices.DeleteFunc([]string{"a", "b", "c", "d", "e", "f"}, func(n string) bool {
		return slices.ContainsFunc(t.cols, func(c wideColumn) bool { return c.name == n })
	})
	at := w.rnd.IntN(len(t.cols))
	switch kind := w.rnd.IntN(5); {
	case kind < 2 && len(free) > 0: // added; a name may be one that another column had
		c := wideColumn{w.number(), free[w.rnd.IntN(len(free))], []string{"INTEGER", "BIGINT", "VARCHAR"}[w.rnd.IntN(3)], ""}
		if w.rnd.IntN(2) == 0 {
			c.before = itoa(w.rnd.Int64N(1000))
			td.Defaults[c.name] = c.before
		}
		t.cols = slices.Insert(t.cols, w.rnd.IntN(len(t.cols)+1), c)
	case t.cols[at].number == 0:
		return false // the key stays
	case kind == 2 && len(free) > 0:
		old := t.cols[at].name
		t.cols[at].name = free[w.rnd.IntN(len(free))]
		td.Renamed[t.cols[at].name] = old
	case kind == 3 && t.cols[at].sqlType == "INTEGER":
		t.cols[at].sqlType = "BIGINT"
	case kind == 4 && len(t.cols) > 2:
		for _, cells := range t.rows {
			delete(cells, t.cols[at].number)
		}
		t.cols = slices.Delete(t.cols, at, at+1)
	default:
		return false
	}
	return true
}

// wideRows are the rows of a change, which the model gets too.
func (w *world) wideRows(td *TableData, t *wideTable) []wideRow {
	var rows []wideRow
	op := func(o string) string {
		if td.Op == weft.OpMerge {
			return o
		}
		return ""
	}
	if td.Op == weft.OpReplace {
		t.rows = map[int64]map[int]string{}
		for i := range t.cols {
			t.cols[i].before = ""
		}
		td.Defaults = nil
	}
	if td.Op == weft.OpMerge {
		for _, k := range slices.Sorted(maps.Keys(t.rows)) {
			switch w.rnd.IntN(4) {
			case 0:
				rows = append(rows, wideRow{"d", t.cells(k)})
				delete(t.rows, k)
				td.Deleted++
			case 1:
				rows = append(rows, wideRow{"b", t.cells(k)})
				w.put(t, k)
				rows = append(rows, wideRow{"u", t.cells(k)})
				td.Updated++
			}
		}
	}
	gone := map[int64]bool{} // a key is in a change once
	for _, r := range rows {
		if r.op == "d" {
			for i, c := range t.cols {
				if c.number == 0 {
					var k int64
					_, _ = fmt.Sscan(r.cells[i], &k)
					gone[k] = true
				}
			}
		}
	}
	for range 1 + w.rnd.IntN(4) {
		k := w.rnd.Int64N(40)
		if _, ok := t.rows[k]; ok || gone[k] {
			continue
		}
		w.put(t, k)
		rows = append(rows, wideRow{op("i"), t.cells(k)})
		td.Inserted++
	}
	return rows
}

// fillWide puts rows into a change, as a batch or as a file.
func (w *world) fillWide(td *TableData, t *wideTable, rows []wideRow) {
	switch {
	case len(rows) == 0:
	case w.e != nil && w.rnd.IntN(5) == 0:
		w.say("    of %d rows in a file", len(rows))
		td.File = w.e.stageFile(w.t, t.selected(rows))
	default:
		w.say("    of %d rows", len(rows))
		td.Batches = []arrow.RecordBatch{t.batch(rows)}
	}
}

// apply is what a follower does with a change: it knows columns by their ids.
func (t *wideTable) apply(tr TableRows) {
	if tr.Op == weft.OpReplace && tr.Part == 0 {
		t.rows = map[int64]map[int]string{}
	}
	t.cols = nil
	key := -1
	for i, f := range tr.Schema.Fields()[1:] {
		typ, _ := sqlType(f)
		c := wideColumn{columnID(tr.Schema, i+1), f.Name, typ, ""}
		if f.Name == "id" {
			c.number, key = 0, i+1
		}
		c.before, _ = f.Metadata.GetValue(DefaultKey)
		t.cols = append(t.cols, c)
	}
	for _, b := range tr.Batches {
		for i := range int(b.NumRows()) {
			var id int64
			_, _ = fmt.Sscan(b.Column(key).ValueStr(i), &id)
			switch b.Column(0).ValueStr(i) {
			case "b":
				continue
			case "d":
				delete(t.rows, id)
				continue
			}
			cells := map[int]string{}
			for k, c := range t.cols {
				if c.number > 0 {
					cells[c.number] = b.Column(k + 1).ValueStr(i)
				}
			}
			t.rows[id] = cells
		}
	}
}
