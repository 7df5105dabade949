package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
)

// lineageTables are the invented tables of the lineage's tests: by column how a
// value is made of a random number, in SQL.
var lineageTables = map[Target][][2]string{
	{Table: "t"}: {
		{"id", "r % 7"},
		{"a", "r % 5"},
		{"b", "nullif(r % 4, 3)"},
		{"g", "'g' || (r % 3)"},
		{"l", "[r % 2, r % 3][:r % 3]"},
		{"s", "{'x': r % 3, 'y': 'y' || r % 4}"},
	},
	{Table: "u"}:                      {{"id", "r % 7"}, {"k", "r % 5"}, {"v", "r % 9"}, {"g", "'g' || (r % 3)"}},
	{Schema: "shop", Table: "lines"}:  {{"id", "r % 7"}, {"qty", "r % 4"}, {"price", "r % 11"}},
	{Schema: "shop", Table: "orders"}: {{"id", "r % 7"}, {"placed", "date '2026-01-01' + r % 9"}, {"open", "r % 2 = 0"}},
}

// lineageRules resolve those tables, and open, a table whose columns are not known.
var lineageRules = Rules{Resolve: func(ref TableRef) (Target, error) {
	t := Target{Table: ref.Parts[len(ref.Parts)-1]}
	if len(ref.Parts) > 1 {
		t.Schema = ref.Parts[0]
	}
	if _, ok := lineageTables[t]; !ok && t.Table != "far" {
		return t, weft.Errorf(weft.KindNotFound, "", "", "there is no table %s", t.Table)
	}
	return t, nil
}}

func lineageColumns(t Target) (names []string, whole bool) {
	for _, c := range lineageTables[t] {
		names = append(names, c[0])
	}
	return names, names != nil
}

func describeLineage(l *Lineage, err error) string {
	if err != nil {
		return describe(nil, err)
	}
	var b strings.Builder
	line := func(name string, from []LineageSource) {
		b.WriteString(name)
		for _, s := range from {
			table := s.Table.Table
			if s.Table.Schema != "" {
				table = s.Table.Schema + "." + table
			}
			fmt.Fprintf(&b, " %s.%s:%s", table, s.Column, s.How)
		}
		b.WriteString("\n")
	}
	for _, c := range l.Columns {
		name := c.Name
		if name == "" {
			name = "?"
		}
		line(name+" ←", c.From)
	}
	if l.Open {
		line("any other ←", l.Rest)
	}
	if len(l.Uses) > 0 {
		line("rows:", l.Uses)
	}
	return b.String()
}

// TestLineage runs the scripts in testdata/lineage: a query, ----, where its
// columns and its rows come from. Whatever can be run is held against the truth.
func TestLineage(t *testing.T) {
	s := testSession(t, func(c *SessionConfig) { c.Threads = 1 })
	files, err := filepath.Glob("testdata/lineage/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	truth := &lineageTruth{s: s, rand: rand.New(rand.NewPCG(4, 7)), draws: 1}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			runScript(t, file, func(query string) string {
				l, err := LineageOf(t.Context(), s, query, lineageRules, lineageColumns)
				if err == nil && !strings.Contains(query, "far") {
					if ran, wrong := truth.check(t, query, l); wrong != "" {
						t.Errorf("%s\n%s\n%s", query, describeLineage(l, nil), wrong)
					} else if !ran {
						t.Errorf("%s cannot be run", query)
					}
				}
				return describeLineage(l, err)
			})
		})
	}
}

// lineageTruth finds out what really depends on what: it changes the values of one
// column and looks which columns of the answer change.
type lineageTruth struct {
	s     Session
	rand  *rand.Rand
	runs  int
	draws int // data sets that each query is tried with
}

// values are the random numbers that the tables are made of.
type values map[Target][][]uint32

func (l *lineageTruth) draw() values {
	v := values{}
	for _, target := range slices.SortedFunc(maps.Keys(lineageTables), func(a, b Target) int {
		return strings.Compare(a.Schema+a.Table, b.Schema+b.Table)
	}) {
		for range 6 + l.rand.IntN(6) {
			row := make([]uint32, len(lineageTables[target]))
			for i := range row {
				row[i] = l.rand.Uint32N(1000)
			}
			v[target] = append(v[target], row)
		}
	}
	return v
}

// views are the tables that a query reads; r is a column's random number.
func (v values) views(read map[Target][]string) (out []View) {
	for target := range read {
		var rows, names, cells []string
		for _, row := range v[target] {
			var w []string
			for _, n := range row {
				w = append(w, fmt.Sprint(n))
			}
			rows = append(rows, "("+strings.Join(w, ", ")+")")
		}
		for i, c := range lineageTables[target] {
			names = append(names, fmt.Sprintf("r%d", i))
			cells = append(cells, randomNumber.ReplaceAllString(c[1], names[i])+" AS "+c[0])
		}
		out = append(out, View{Schema: target.Schema, Name: target.Table, SQL: fmt.Sprintf("SELECT %s FROM (VALUES %s) AS v(%s)",
			strings.Join(cells, ", "), strings.Join(rows, ", "), strings.Join(names, ", "))})
	}
	return out
}

var randomNumber = regexp.MustCompile(`\br\b`)

// with is v with other values in one column: all of them new, or moved around.
func (l *lineageTruth) with(v values, target Target, column int) values {
	out := maps.Clone(v)
	out[target] = nil
	move := l.rand.IntN(2) == 0
	perm := l.rand.Perm(len(v[target]))
	for i, row := range v[target] {
		row = slices.Clone(row)
		if row[column] = l.rand.Uint32N(1000); move {
			row[column] = v[target][perm[i]][column]
		}
		out[target] = append(out[target], row)
	}
	return out
}

// answer is a query's result: the names of its columns and its rows.
type lineageAnswer struct {
	names []string
	rows  [][]string
}

func (l *lineageTruth) ask(t testing.TB, b *Bound, v values) *lineageAnswer {
	l.runs++
	return lineageRows(t, l.s, b.SQL, v.views(b.Columns))
}

// lineageRows asks; nil where the query fails, as some do on some data.
func lineageRows(t testing.TB, s Session, sql string, views []View) *lineageAnswer {
	r, err := s.Query(t.Context(), Statement{SQL: sql, Views: views})
	if err != nil {
		return nil
	}
	defer r.Release()
	a := &lineageAnswer{}
	for _, f := range r.Schema().Fields() {
		a.names = append(a.names, f.Name)
	}
	for r.Next() {
		a.add(r.RecordBatch())
	}
	if r.Err() != nil {
		return nil
	}
	return a
}

func (a *lineageAnswer) add(rb arrow.RecordBatch) {
	for i := range int(rb.NumRows()) {
		var row []string
		for _, c := range rb.Columns() {
			row = append(row, c.ValueStr(i))
		}
		a.rows = append(a.rows, row)
	}
}

// projection is the multiset of the rows' parts in some columns.
func (a *lineageAnswer) projection(columns []int) string {
	var out []string
	for _, row := range a.rows {
		var w []string
		for _, c := range columns {
			w = append(w, row[c])
		}
		out = append(out, strings.Join(w, "|"))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// check holds a lineage against the truth. Where a column of a table does not
// decide which rows there are, the rows' parts that are not said to come from it
// must stay the same, together, when it changes. Ran is false where the query
// cannot be run.
func (l *lineageTruth) check(t testing.TB, query string, lin *Lineage) (ran bool, wrong string) {
	b, err := Bind(t.Context(), l.s, query, lineageRules)
	if err != nil {
		return false, ""
	}
	for range l.draws {
		v := l.draw()
		before := l.ask(t, b, v)
		if before == nil {
			continue
		}
		ran = true
		if wrong := names(lin, before.names); wrong != "" {
			return true, wrong
		}
		for target := range b.Columns {
			for i, c := range lineageTables[target] {
				if reaches(lin.Uses, target, c[0]) {
					continue
				}
				columns := untouched(lin, before.names, target, c[0])
				for range 2 {
					after := l.ask(t, b, l.with(v, target, i))
					if after != nil && before.projection(columns) != after.projection(columns) {
						return true, fmt.Sprintf("%s.%s changes what it should not: of\n%s\nthe columns %v became\n%s", target.Table, c[0],
							before.projection(columns), columns, after.projection(columns))
					}
				}
			}
		}
	}
	return ran, ""
}

// names holds the columns that are known against those of the answer.
func names(lin *Lineage, found []string) string {
	if lin.Open {
		return ""
	}
	if len(lin.Columns) != len(found) {
		return fmt.Sprintf("the answer has the columns %v", found)
	}
	for i, c := range lin.Columns {
		if c.Name != "" && !strings.EqualFold(c.Name, found[i]) {
			return fmt.Sprintf("column %d is called %s, the lineage says %s", i+1, found[i], c.Name)
		}
	}
	return ""
}

// untouched are the columns of an answer that are not said to come from a column.
func untouched(lin *Lineage, found []string, target Target, column string) (out []int) {
	for i, name := range found {
		var from []LineageSource
		if lin.Open {
			from, _ = lin.Of(name)
		} else {
			from = lin.Columns[i].From
		}
		if !reaches(from, target, column) {
			out = append(out, i)
		}
	}
	return out
}

func reaches(from []LineageSource, target Target, column string) bool {
	return slices.ContainsFunc(from, func(s LineageSource) bool {
		return s.Table == target && (s.Column == AnyColumn || strings.EqualFold(s.Column, column))
	})
}

// BenchmarkLineageOf traces a query of a usual length.
func BenchmarkLineageOf(b *testing.B) {
	p := newParser(b)
	const sql = `SELECT o.id AS order_id, o.placed, CASE WHEN t.g = 'g1' THEN 'a' ELSE 'b' END AS kind, lower(t.g) AS g, sum(l.qty * l.price) AS amount,
		count(*) AS n, (SELECT max(v) FROM u WHERE u.id = o.id) AS most
		FROM shop.orders o JOIN shop.lines l ON l.id = o.id LEFT JOIN t ON t.id = o.id WHERE o.open GROUP BY ALL`
	for b.Loop() {
		if _, err := LineageOf(b.Context(), p, sql, lineageRules, lineageColumns); err != nil {
			b.Fatal(err)
		}
	}
}
