package transform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// column is one column of a result: its name and the engine's name of its type.
type column struct {
	name  string
	found string
}

// cast writes the rows of q as the contract's columns and types to file.
func cast(ctx context.Context, s engine.Session, product weft.Name, t *contract.Table, q engine.Statement, file string) (store.Staged, error) {
	found, err := describe(ctx, s, q)
	if err != nil {
		return store.Staged{}, inFile(err, product, t)
	}
	if err := sameColumns(product, t, found); err != nil {
		return store.Staged{}, err
	}
	st := q
	st.SQL = engine.CopyParquet(castSQL(t, found, q.SQL), file)
	rows, err := s.Exec(ctx, st)
	if err != nil {
		if weft.KindOf(err) != weft.KindInvalid {
			return store.Staged{}, inFile(err, product, t)
		}
		return store.Staged{}, diagnose(ctx, s, product, t, q, found, err)
	}
	return store.Staged{Table: t.Name, Files: []string{file}, Rows: rows, Full: true}, nil
}

// describe asks the engine what columns a SELECT gives.
func describe(ctx context.Context, s engine.Session, q engine.Statement) ([]column, error) {
	q.SQL = "SELECT column_name, column_type FROM (DESCRIBE " + q.SQL + ")"
	rows, err := engine.Fields(ctx, s, q)
	if err != nil {
		return nil, err
	}
	var out []column
	for _, r := range rows {
		out = append(out, column{r[0].Text, r[1].Text})
	}
	return out, nil
}

// sameColumns holds the columns of a result against the contract: all that are
// missing and all that are too many, in one error.
func sameColumns(product weft.Name, t *contract.Table, found []column) error {
	var faults []string
	for _, c := range t.Columns {
		if !slices.ContainsFunc(found, func(f column) bool { return strings.EqualFold(f.name, c.Name) }) {
			faults = append(faults, fmt.Sprintf("column %s (%s) is missing", c.Name, c.Type))
		}
	}
	for i, f := range found {
		switch {
		case !promised(t, f.name):
			faults = append(faults, fmt.Sprintf("column %s (%s) is not in the contract", f.name, typeName(f.found)))
		case slices.ContainsFunc(found[:i], func(g column) bool { return strings.EqualFold(g.name, f.name) }):
			faults = append(faults, fmt.Sprintf("column %s is there twice", f.name))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	e := weft.Errorf(weft.KindContract, "make table", product.String()+"."+t.Name, "%s", strings.Join(faults, "; "))
	if t.SQL == "" {
		return e.WithHint("the source must have the contract's columns; correct it, or change the contract")
	}
	return e.WithHint("the contract has the columns %s: name them so in the SELECT, or change the contract", strings.Join(columnsOf(t), ", "))
}

// promised reports whether the contract has the column; SQL does not tell large
// letters from small ones.
func promised(t *contract.Table, name string) bool {
	return slices.ContainsFunc(t.Columns, func(c *contract.Column) bool { return strings.EqualFold(c.Name, name) })
}

// typeName writes the engine's name of a type as the contract would.
func typeName(found string) string {
	if t, err := contract.FromDuckDB(found); err == nil {
		return t.String()
	}
	return strings.ToLower(found)
}

// castSQL casts every column to the contract's type, in the contract's order. A
// value that does not fit is an error; none is rounded.
func castSQL(t *contract.Table, found []column, sql string) string {
	var w []string
	for _, c := range t.Columns {
		q := contract.QuoteIdent(c.Name)
		e := "CAST(" + q + " AS " + c.Type.SQL() + ")"
		if u, err := contract.FromDuckDB(typeOf(found, c.Name)); err == nil {
			e = c.Type.StrictFrom(u, q)
		}
		w = append(w, e+" AS "+q)
	}
	return "SELECT " + strings.Join(w, ", ") + " FROM (" + sql + ") AS result"
}

// diagnose finds out which values did not fit which column, so that the error
// names them and not a position in a statement that nobody wrote.
func diagnose(ctx context.Context, s engine.Session, product weft.Name, t *contract.Table, q engine.Statement, found []column, cause error) error {
	var w []string
	for _, c := range t.Columns {
		n := contract.QuoteIdent(c.Name)
		try := fmt.Sprintf("TRY_CAST(%s AS %s)", n, c.Type.SQL())
		if u, err := contract.FromDuckDB(typeOf(found, c.Name)); err == nil {
			try = c.Type.From(u, n)
		}
		bad := fmt.Sprintf("(%s IS NOT NULL AND (%s) IS NULL)", n, try)
		sample := "NULL"
		if !classified(c) {
			sample = fmt.Sprintf("min(CAST(%s AS VARCHAR)) FILTER (WHERE %s)", n, bad)
		}
		w = append(w, fmt.Sprintf("count(*) FILTER (WHERE %s), %s", bad, sample))
	}
	st := q
	st.SQL = "SELECT " + strings.Join(w, ", ") + " FROM (" + q.SQL + ") AS result"
	rows, err := engine.Fields(ctx, s, st)
	if err != nil || len(rows) != 1 {
		return inFile(cause, product, t) // the SQL itself fails on its input
	}
	var faults []string
	round := ""
	for i, c := range t.Columns {
		n, sample := rows[0][2*i], rows[0][2*i+1]
		if n.Text == "0" {
			continue
		}
		f := fmt.Sprintf("%s: expected %s, found %s that does not fit in %s", c.Name, c.Type, typeName(typeOf(found, c.Name)), rowCount(n.Text))
		if !sample.Null {
			f += fmt.Sprintf(", such as %q", shorten(sample.Text))
		}
		faults = append(faults, f)
		if u, err := contract.FromDuckDB(typeOf(found, c.Name)); err == nil && c.Type.IsNumber() && u.IsNumber() && (u.IsFloat() || u.Scale > c.Type.Scale) {
			round = " (round() says how many digits are wanted)"
		}
	}
	if len(faults) == 0 {
		return inFile(cause, product, t)
	}
	return weft.Errorf(weft.KindContract, "make table", product.String()+"."+t.Name, "%s", strings.Join(faults, "; ")).
		WithHint("correct the SQL%s or the data, or widen the contract's type; nothing was published", round)
}

// rowCount writes a number of rows.
func rowCount(n string) string {
	if n == "1" {
		return "1 row"
	}
	return n + " rows"
}

func columnsOf(t *contract.Table) []string {
	var w []string
	for _, c := range t.Columns {
		w = append(w, c.Name)
	}
	return w
}

func typeOf(found []column, name string) string {
	for _, f := range found {
		if strings.EqualFold(f.name, name) {
			return f.found
		}
	}
	return ""
}

func classified(c *contract.Column) bool {
	return c.Classification != "" && !strings.EqualFold(c.Classification, "public")
}

func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
