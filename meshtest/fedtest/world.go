package fedtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"weft/engine"
)

// kind is what a made-up column or expression is.
type kind int

const (
	kInt kind = iota
	kDec
	kReal // only such as are exact in binary, so that sums do not depend on order
	kText
	kDate
	kTime
	kZoned
	kBool
	kList   // of whole numbers
	kStruct // of a whole number a and a text b
	kNear   // a real number that depends on the order of rows in its last digits
	kOther  // nothing is done with it but to show it
)

// pool are the columns that a made-up table draws its own from: the name says the kind,
// so that natural joins fit.
var pool = []struct {
	name, contract, engine string
	kind                   kind
}{
	{"i0", "bigint", "BIGINT", kInt},
	{"i1", "integer", "INTEGER", kInt},
	{"i2", "bigint", "BIGINT", kInt},
	{"d0", "decimal(9,2)", "DECIMAL(9,2)", kDec},
	{"d1", "decimal(18,4)", "DECIMAL(18,4)", kDec},
	{"f0", "double precision", "DOUBLE", kReal},
	{"s0", "text", "VARCHAR", kText},
	{"s1", "text", "VARCHAR", kText},
	{"a0", "date", "DATE", kDate},
	{"w0", "timestamp", "TIMESTAMP", kTime},
	{"z0", "timestamptz", "TIMESTAMP WITH TIME ZONE", kZoned},
	{"b0", "boolean", "BOOLEAN", kBool},
	{"l0", "bigint[]", "BIGINT[]", kList},
	{"r0", "struct(a bigint, b text)", "STRUCT(a BIGINT, b VARCHAR)", kStruct},
}

// worldTable is a made-up table.
type worldTable struct {
	Product
	columns []column
	sql     string // that makes its rows
	large   bool
}

// column is one of a relation.
type column struct {
	name string
	kind kind
}

// World is some made-up tables, which are laid out over domains. The same seed makes the
// same world.
type World struct {
	Seed   uint64
	tables []worldTable
}

// NewWorld makes up tables of the domains, which the readers may read.
func NewWorld(seed uint64, domains, readers []string) *World {
	r := rand.New(rand.NewPCG(seed, 1))
	w := &World{Seed: seed}
	for i := range 4 + r.IntN(3) {
		t := worldTable{large: i == 1}
		t.Product = Product{Domain: domains[r.IntN(len(domains))], Name: fmt.Sprintf("w%dt%d", seed, i), Readers: readers}
		if i < len(domains) && r.IntN(4) > 0 { // mostly something everywhere
			t.Domain = domains[i]
		}
		t.fill(r)
		w.tables = append(w.tables, t)
	}
	return w
}

// fill gives the table columns and rows.
func (t *worldTable) fill(r *rand.Rand) {
	types := []string{}
	if r.IntN(2) == 0 {
		t.Key = []string{"id"}
		t.add("id", "bigint", kInt)
		types = append(types, "BIGINT")
	}
	for i, p := range pool {
		if r.IntN(5) < 2 || len(t.columns) == 0 && i >= len(pool)-4 || p.name == "i0" {
			t.add(p.name, p.contract, p.kind)
			types = append(types, p.engine)
		}
	}
	var casts, names, rows []string
	for i, c := range t.columns {
		names = append(names, c.name)
		casts = append(casts, fmt.Sprintf("CAST(%s AS %s) AS %[1]s", c.name, types[i]))
	}
	n := 1 + r.IntN(40)
	switch {
	case t.large:
		n = 300 + r.IntN(300)
	case r.IntN(8) == 0:
		n = 0
	}
	for i := range max(n, 1) {
		if i > 0 && t.Key == nil && r.IntN(6) == 0 {
			rows = append(rows, rows[r.IntN(len(rows))]) // the same again
			continue
		}
		rows = append(rows, t.row(r, i))
	}
	t.sql = fmt.Sprintf("SELECT %s FROM (VALUES %s) v(%s) LIMIT %d", strings.Join(casts, ", "), strings.Join(rows, ", "), strings.Join(names, ", "), n)
}

func (t *worldTable) add(name, typ string, k kind) {
	t.Columns = append(t.Columns, Column{Name: name, Type: typ, Required: name == "id"})
	t.columns = append(t.columns, column{name, k})
}

// row makes up the row number i.
func (t *worldTable) row(r *rand.Rand, i int) string {
	var values []string
	for _, c := range t.columns {
		switch {
		case c.name == "id":
			values = append(values, fmt.Sprint(i*3%1999))
		case r.IntN(7) == 0:
			values = append(values, "NULL")
		default:
			values = append(values, literal(r, c.kind))
		}
	}
	return "(" + strings.Join(values, ", ") + ")"
}

var words = []string{"", "a", "b", "ab", "aB", "b%", "é", "x_y", "O''Neil", "zz top"}

// literal makes up a value, of few so that many are equal.
func literal(r *rand.Rand, k kind) string {
	switch k {
	case kInt:
		return fmt.Sprint(r.IntN(24) - 3)
	case kDec:
		return fmt.Sprintf("CAST(%d.%02d AS DECIMAL(9,2))", r.IntN(40)-8, r.IntN(4)*25)
	case kReal:
		return fmt.Sprintf("CAST(%g AS DOUBLE)", float64(r.IntN(64)-16)/4)
	case kText:
		return "'" + words[r.IntN(len(words))] + "'"
	case kDate:
		return fmt.Sprintf("DATE '2024-%02d-%02d'", 1+r.IntN(3), 1+r.IntN(28))
	case kTime:
		return fmt.Sprintf("TIMESTAMP '2024-01-%02d %02d:30:00.%06d'", 1+r.IntN(28), r.IntN(24), r.IntN(3))
	case kZoned:
		return fmt.Sprintf("TIMESTAMPTZ '2024-03-%02d %02d:00:00+0%d:00'", 1+r.IntN(28), r.IntN(24), r.IntN(3))
	case kBool:
		return []string{"true", "false"}[r.IntN(2)]
	case kList:
		return []string{"[]", "[1]", "[1, NULL]", "[2, 1, 2]", "[7, 8]"}[r.IntN(5)] + "::BIGINT[]"
	}
	return fmt.Sprintf("CAST({'a': %s, 'b': %s} AS STRUCT(a BIGINT, b VARCHAR))", []string{"1", "2", "NULL"}[r.IntN(3)], literal(r, kText))
}

// Make writes the tables as Parquet below dir, gives them to an engine as well, and
// returns their products.
func (w *World) Make(ctx context.Context, d *engine.Direct, dir string) ([]Product, error) {
	var out []Product
	for i := range w.tables {
		t := &w.tables[i]
		t.File = filepath.Join(dir, t.Name+".parquet")
		if _, err := d.Exec(ctx, engine.Statement{SQL: fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet)", t.sql, engine.QuoteLiteral(t.File))}); err != nil {
			return nil, fmt.Errorf("%s: %w", t.sql, err)
		}
		if err := Define(ctx, d, t.Domain, t.Name, t.File); err != nil {
			return nil, err
		}
		out = append(out, t.Product)
	}
	return out, nil
}
