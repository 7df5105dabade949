package ingest

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/contract"
	"weft/engine"
)

const (
	exactRows = 5_000_000 // up to this many rows distinct values are counted, above it estimated
	enumMost  = 50        // an enumeration has fewer values
	enumShare = 20        // and fewer than one in this many rows
	enumWidth = 80        // and none is longer
)

// Shape looks at a source: it reads r.Tables, which name no columns, with types
// inferred from all rows, and measures what a draft contract needs. No value of
// a column that looks personal is kept anywhere but in the staging folder, which
// the caller removes.
func (ds Drivers) Shape(ctx context.Context, r Request) (*contract.Shape, error) {
	r.Careful = true
	res, err := ds.Read(ctx, r)
	if err != nil {
		return nil, err
	}
	shape := &contract.Shape{Server: *r.Server}
	for i, s := range res.Tables {
		t := r.Tables[i].Table
		if len(s.Files) == 0 {
			return nil, weft.Errorf(weft.KindInvalid, "look at the source", r.Where(), "table %s has no rows to learn from", t.Name).
				WithHint("give a source with at least one row")
		}
		st, err := measure(ctx, r, s)
		if err != nil {
			return nil, err
		}
		st.Name, st.Physical = t.Name, t.PhysicalName
		if declared := res.Keys[t.Name]; len(declared) > 0 {
			st.Key = declared
		} else if st.Key, err = guessKey(ctx, r, s, st); err != nil {
			return nil, err
		}
		shape.Tables = append(shape.Tables, *st)
	}
	return shape, nil
}

// from is the staged table as a relation.
func from(s Staged) string {
	var w []string
	for _, f := range s.Files {
		w = append(w, contract.QuoteLiteral(f))
	}
	return "read_parquet([" + strings.Join(w, ", ") + "], hive_partitioning = false)"
}

// texts runs a SELECT of text columns; NULL is "" .
func (r Request) texts(ctx context.Context, sql string) ([][]string, error) {
	rd, err := r.Session.Query(ctx, engine.Statement{SQL: sql})
	if err != nil {
		return nil, Fault(err, r.Where(), "the staged source")
	}
	defer rd.Release()
	var out [][]string
	for rd.Next() {
		b := rd.RecordBatch()
		for row := range int(b.NumRows()) {
			line := make([]string, b.NumCols())
			for i := range line {
				if c := b.Column(i).(*array.String); c.IsValid(row) {
					line[i] = strings.Clone(c.Value(row)) // the batch's memory goes with the reader
				}
			}
			out = append(out, line)
		}
	}
	if err := rd.Err(); err != nil {
		return nil, Fault(err, r.Where(), "the staged source")
	}
	return out, nil
}

// measure describes the columns: types, nulls, distinct values, ranges, enums.
func measure(ctx context.Context, r Request, s Staged) (*contract.ShapeTable, error) {
	st := &contract.ShapeTable{Rows: s.Rows}
	desc, err := r.texts(ctx, "SELECT column_name, column_type FROM (DESCRIBE FROM "+from(s)+")")
	if err != nil {
		return nil, err
	}
	for _, d := range desc {
		st.Columns = append(st.Columns, contract.ShapeColumn{Name: d[0], Type: FoundSQL(d[0], d[1]).Type})
	}
	var w []string
	for _, c := range st.Columns {
		q, distinct := contract.QuoteIdent(c.Name), "count(DISTINCT %s)"
		if s.Rows > exactRows {
			distinct = "approx_count_distinct(%s)"
		}
		lo, hi := "''", "''"
		if c.Type.IsNumber() {
			fine := q
			if c.Type.IsFloat() {
				fine = fmt.Sprintf("CASE WHEN isfinite(%[1]s) THEN %[1]s END", q)
			}
			lo, hi = "CAST(min("+fine+") AS VARCHAR)", "CAST(max("+fine+") AS VARCHAR)"
		}
		w = append(w, fmt.Sprintf("CAST(count(*) - count(%s) AS VARCHAR), CAST("+distinct+" AS VARCHAR), %s, %s", q, q, lo, hi))
	}
	got, err := r.texts(ctx, "SELECT "+strings.Join(w, ", ")+" FROM "+from(s))
	if err != nil {
		return nil, err
	}
	for i := range st.Columns {
		c, v := &st.Columns[i], got[0][4*i:]
		c.Nulls, _ = strconv.ParseInt(v[0], 10, 64)
		c.Distinct, _ = strconv.ParseInt(v[1], 10, 64)
		c.Personal = contract.PersonalName(c.Name)
		if !c.Personal {
			if c.Personal, err = personal(ctx, r, s, *c); err != nil {
				return nil, err
			}
		}
		if c.Personal {
			continue
		}
		c.Min, c.Max = decimal(v[2]), decimal(v[3])
		if c.Enum, err = enum(ctx, r, s, *c); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// decimal writes a number without an exponent; "" where it is none.
func decimal(s string) string {
	if !strings.ContainsAny(s, "eE") {
		return s
	}
	f, ok := new(big.Rat).SetString(s)
	if !ok {
		return ""
	}
	v, _ := f.Float64()
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// enum lists the values of a text column that has few of them.
func enum(ctx context.Context, r Request, s Staged, c contract.ShapeColumn) ([]string, error) {
	if c.Type.Kind != contract.KindString || c.Distinct == 0 || c.Distinct >= enumMost || c.Distinct*enumShare >= s.Rows {
		return nil, nil
	}
	q := contract.QuoteIdent(c.Name)
	got, err := r.texts(ctx, "SELECT DISTINCT "+q+" AS v FROM "+from(s)+" WHERE "+q+" IS NOT NULL ORDER BY v")
	if err != nil || len(got) >= enumMost {
		return nil, err
	}
	var vs []string
	for _, g := range got {
		if len(g[0]) > enumWidth {
			return nil, nil
		}
		vs = append(vs, g[0])
	}
	return vs, nil
}

// fewRows are too few to guess from what differs in them: then only a name tells
// a key.
const fewRows = 20

// guessKey finds a column, or two or three together, that is unique and never
// null; empty where nothing looks like a key.
func guessKey(ctx context.Context, r Request, s Staged, st *contract.ShapeTable) ([]string, error) {
	cs := candidates(st)
	for _, c := range cs {
		if c.rank < 0 || c.rank < byName && st.Rows < fewRows || c.distinct*100 < st.Rows*95 {
			continue
		}
		if ok, err := unique(ctx, r, s, []string{c.name}); err != nil || ok {
			return []string{c.name}, err
		}
	}
	if st.Rows > 2_000_000 || st.Rows < fewRows {
		return nil, nil
	}
	parts := slices.DeleteFunc(slices.Clone(cs), func(c candidate) bool { return !c.part || c.distinct < 2 })
	tries := 0
	for _, set := range combinations(parts, st.Rows) {
		if tries++; tries > 16 || int64(tries)*st.Rows > 20_000_000 {
			return nil, nil
		}
		if ok, err := unique(ctx, r, s, set); err != nil || ok {
			return set, err
		}
	}
	return nil, nil
}

// byName is the rank of a column that is called like a key.
const byName = 50

// candidate is a column that may be a key or part of one.
type candidate struct {
	name     string
	rank     int  // higher is likelier; below 0 never alone
	part     bool // may be part of a composite key
	at       int
	distinct int64
}

// candidates are the columns that are never null, the likeliest keys first.
func candidates(st *contract.ShapeTable) []candidate {
	var cs []candidate
	for i, c := range st.Columns {
		if c.Nulls > 0 || !c.Type.IsKey() || c.Type.Kind == contract.KindDecimal && c.Type.Scale > 0 {
			continue
		}
		n := strings.ToLower(c.Name)
		x := candidate{name: c.Name, at: i, distinct: c.Distinct, rank: -1}
		like := keyLike(n)
		single := strings.TrimSuffix(st.Name, "s")
		switch {
		case n == "id", n == st.Name+"_id", n == single+"_id", n == st.Name+"id", n == single+"id":
			x.rank = 100
		case c.Personal: // a person's address is no name for a row
		case like:
			x.rank = byName
		case i == 0:
			x.rank = 40
		case c.Type.Kind == contract.KindUUID:
			x.rank = 30
		case c.Type.IsInteger() && !st.Columns[0].Type.IsNumber() && i < 3:
			x.rank = 10
		}
		x.part = (like || i < 3 || c.Type.IsTemporal()) && !c.Personal && !c.Type.IsFloat()
		cs = append(cs, x)
	}
	slices.SortStableFunc(cs, func(a, b candidate) int { return cmp.Or(b.rank-a.rank, a.at-b.at) })
	return cs
}

// keyLike reports whether a column is called like a key or a part of one.
func keyLike(n string) bool {
	for _, end := range []string{"id", "key", "code", "no", "nr", "num", "number", "line", "seq", "sequence", "position", "uuid", "guid", "sku", "symbol", "ref"} {
		if n == end || strings.HasSuffix(n, "_"+end) || strings.HasSuffix(n, " "+end) || strings.HasSuffix(n, "-"+end) {
			return true
		}
	}
	return len(n) > 2 && strings.HasSuffix(n, "id") && n[len(n)-3] != 'o' && n[len(n)-3] != 'a' // orderid, not void or paid
}

// combinations are pairs and then triples that could tell all rows apart, in the
// order of the table's columns.
func combinations(parts []candidate, rows int64) [][]string {
	parts = parts[:min(len(parts), 6)]
	slices.SortFunc(parts, func(a, b candidate) int { return a.at - b.at })
	var sets [][]string
	enough := func(ps ...candidate) bool {
		p := int64(1)
		for _, c := range ps {
			if p *= c.distinct; p >= rows {
				return true
			}
		}
		return false
	}
	for i, a := range parts {
		for _, b := range parts[i+1:] {
			if enough(a, b) {
				sets = append(sets, []string{a.name, b.name})
			}
		}
	}
	for i, a := range parts {
		for j, b := range parts[i+1:] {
			for _, c := range parts[i+j+2:] {
				if enough(a, b, c) {
					sets = append(sets, []string{a.name, b.name, c.name})
				}
			}
		}
	}
	return sets
}

// unique counts exactly.
func unique(ctx context.Context, r Request, s Staged, columns []string) (bool, error) {
	var w []string
	for _, c := range columns {
		w = append(w, contract.QuoteIdent(c))
	}
	got, err := r.texts(ctx, "SELECT CAST(count(*) AS VARCHAR) FROM (SELECT DISTINCT "+strings.Join(w, ", ")+" FROM "+from(s)+")")
	if err != nil {
		return false, err
	}
	return got[0][0] == strconv.FormatInt(s.Rows, 10), nil
}
