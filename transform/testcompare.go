package transform

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// diffRows is how many rows a failure shows of each side.
const diffRows = 10

// compare holds what was made against expect.TABLE.csv; a difference is a
// failure of the case, and the error about comparing.
func (t *testCase) compare(ctx context.Context, table *contract.Table, made store.Staged) error {
	file := "expect." + table.Name + ".csv"
	want, err := readCSV(file, t.Expect[table.Name])
	if err != nil {
		return err
	}
	for _, h := range want.header {
		if table.Column(h) == nil {
			return weft.Errorf(weft.KindInvalid, "compare", file, "the output has no column %s", h).
				WithHint("its columns are %s", strings.Join(columnsOf(table), ", "))
		}
	}
	expected, err := t.normalised(ctx, table, want)
	if err != nil {
		return err
	}
	var norm []string
	for _, h := range want.header {
		norm = append(norm, normal(contract.QuoteIdent(h), table.Column(h).Type))
	}
	found, err := engine.Fields(ctx, t.session, engine.Statement{SQL: "SELECT " + strings.Join(norm, ", ") + " FROM " + engine.ScanParquet(made.Files...)})
	if err != nil {
		return err
	}
	missing, extra := difference(expected, texts(found))
	if len(missing)+len(extra) > 0 {
		t.failures = append(t.failures, Failure{Table: table.Name, Text: diffText(want, missing, extra, len(expected), len(found))})
	}
	return nil
}

// normal writes a value of a type so that equal values are equal texts.
func normal(sql string, typ contract.Type) string {
	if typ.IsFloat() {
		return "coalesce(format('{:.12g}', CAST(" + sql + " AS DOUBLE)), '')"
	}
	return "coalesce(CAST(" + sql + " AS VARCHAR), '')"
}

// normalised reads the expected values as the contract's types.
func (t *testCase) normalised(ctx context.Context, table *contract.Table, want *csvRows) ([]expectedRow, error) {
	if len(want.rows) == 0 {
		return nil, nil
	}
	cols := []string{"_line"}
	for _, h := range want.header {
		q := contract.QuoteIdent(h)
		typ := table.Column(h).Type
		cast := "TRY_CAST(nullif(" + q + ", '') AS " + typ.SQL() + ")"
		cols = append(cols, normal(cast, typ), q+" <> '' AND "+cast+" IS NULL")
	}
	src := sourceOf("expected", want)
	rows, err := engine.Fields(ctx, t.session, engine.Statement{
		SQL: "SELECT " + strings.Join(cols, ", ") + " FROM arrow_source('expected') ORDER BY _line", Sources: []engine.Source{src},
	})
	if err != nil {
		return nil, err
	}
	var out []expectedRow
	for i, r := range rows {
		e := expectedRow{line: want.lines[i]}
		for j, h := range want.header {
			if r[2+2*j].Text == "true" {
				return nil, weft.Errorf(weft.KindInvalid, "compare", "expect."+table.Name+".csv", "line %d: %q is no value of column %s, which is %s",
					e.line, want.rows[i][j], h, table.Column(h).Type)
			}
			e.values = append(e.values, r[1+2*j].Text)
		}
		out = append(out, e)
	}
	return out, nil
}

// expectedRow is one row with where it is written.
type expectedRow struct {
	line   int
	values []string
}

// sourceOf hands CSV rows to the engine as text, with the number of each row.
func sourceOf(name string, c *csvRows) engine.Source {
	fields := []arrow.Field{{Name: "_line", Type: arrow.PrimitiveTypes.Int64}}
	for _, h := range c.header {
		fields = append(fields, arrow.Field{Name: h, Type: arrow.BinaryTypes.String})
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, row := range c.rows {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		for j, v := range row {
			b.Field(j + 1).(*array.StringBuilder).Append(v)
		}
	}
	return engine.Source{Name: name, Schema: schema, Batches: []arrow.RecordBatch{b.NewRecordBatch()}}
}

func texts(rows [][]engine.Field) [][]string {
	var out [][]string
	for _, r := range rows {
		var w []string
		for _, v := range r {
			w = append(w, v.Text)
		}
		out = append(out, w)
	}
	return out
}

// difference compares multisets of rows.
func difference(want []expectedRow, got [][]string) (missing []expectedRow, extra [][]string) {
	left := map[string]int{}
	for _, g := range got {
		left[strings.Join(g, "\x00")]++
	}
	for _, w := range want {
		k := strings.Join(w.values, "\x00")
		if left[k] > 0 {
			left[k]--
		} else {
			missing = append(missing, w)
		}
	}
	for _, g := range got {
		if k := strings.Join(g, "\x00"); left[k] > 0 {
			left[k]--
			extra = append(extra, g)
		}
	}
	return missing, extra
}

// diffText shows what is missing and what is too much, aligned by column.
func diffText(want *csvRows, missing []expectedRow, extra [][]string, expected, found int) string {
	grid := [][]string{append([]string{""}, want.header...)}
	for i, m := range missing {
		if i == diffRows {
			grid = append(grid, []string{fmt.Sprintf("- and %d more", len(missing)-diffRows)})
			break
		}
		grid = append(grid, append([]string{fmt.Sprintf("- line %d", m.line)}, m.values...))
	}
	for i, e := range extra {
		if i == diffRows {
			grid = append(grid, []string{fmt.Sprintf("+ and %d more", len(extra)-diffRows)})
			break
		}
		grid = append(grid, append([]string{"+ found"}, e...))
	}
	widths := make([]int, len(grid[0]))
	for _, row := range grid {
		for i, cell := range row {
			row[i] = cellText(cell, i)
			widths[i] = max(widths[i], len([]rune(row[i])))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s expected, %d found: %d missing, %d unexpected", rowCount(fmt.Sprint(expected)), found, len(missing), len(extra))
	for _, row := range grid {
		line := "  "
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-len([]rune(cell))+2)
		}
		b.WriteString("\n" + strings.TrimRight(line, " "))
	}
	return b.String()
}

// cellText shows a value in one line; the empty one is NULL or the empty text.
func cellText(s string, column int) string {
	if s == "" && column > 0 {
		return "·"
	}
	return shorten(strings.Map(func(r rune) rune {
		if r < ' ' {
			return '␤'
		}
		return r
	}, s))
}
