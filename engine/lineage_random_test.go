package engine

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var lineageQueries = flag.Int("lineages", 60, "how many made-up queries TestLineageRandom holds against the truth")

// lineageGen makes up queries. Whatever takes some of the rows takes them by an
// order of all columns, so that the same data give the same answer.
type lineageGen struct {
	*rand.Rand
	names int
	withs []string // names of WITH parts with the columns p and q
}

func (g *lineageGen) pick(of ...string) string { return of[g.IntN(len(of))] }

func (g *lineageGen) chance(n int) bool { return g.IntN(n) == 0 }

func (g *lineageGen) name(prefix string) string {
	g.names++
	return fmt.Sprintf("%s%d", prefix, g.names)
}

// shape is a relation in sight: what its columns are qualified with, and they.
type shape struct {
	name    string
	columns []string
}

// query makes a SELECT of two whole numbers, p and q. Outer are the relations that
// it may be correlated with.
func (g *lineageGen) query(depth int, outer []shape) string {
	if depth > 0 && g.chance(5) {
		set := g.pick("UNION ALL", "UNION", "EXCEPT", "INTERSECT", "UNION ALL BY NAME")
		return fmt.Sprintf("(%s) %s (%s)", g.query(depth-1, outer), set, g.query(depth-1, outer))
	}
	if depth > 0 && g.chance(5) {
		return g.with(depth, outer)
	}
	from, in := g.from(depth, outer)
	all := append(append([]shape{}, in...), outer...)
	var b strings.Builder
	p, q := g.expr(depth, all), g.expr(depth, all)
	switch g.IntN(6) {
	case 0:
		fmt.Fprintf(&b, "SELECT %s(%s) AS p, %s AS q FROM %s", g.pick("sum", "count", "min", "max"), p, g.column(in), from)
		b.WriteString(g.where(depth, all) + " GROUP BY " + g.pick("q", "ALL", "2"))
		if g.chance(2) {
			fmt.Fprintf(&b, " HAVING max(%s) > 1", g.column(in))
		}
	case 1:
		fmt.Fprintf(&b, "SELECT %s AS p, sum(%s) OVER (PARTITION BY %s ORDER BY %s) AS q FROM %s", p, g.column(in), g.column(in), g.column(in), from)
		b.WriteString(g.where(depth, all))
		if g.chance(2) {
			fmt.Fprintf(&b, " QUALIFY rank() OVER (PARTITION BY %s ORDER BY %s) < 3", g.column(in), g.column(in))
		}
	case 2:
		fmt.Fprintf(&b, "SELECT DISTINCT %s AS p, %s AS q FROM %s%s", p, q, from, g.where(depth, all))
	case 3:
		fmt.Fprintf(&b, "SELECT p, q FROM (SELECT %s AS p, %s AS q, %s AS o FROM %s%s) AS %s ORDER BY o, p, q LIMIT %d", p, q, g.column(in), from, g.where(depth, all), g.name("s"), 1+g.IntN(4))
	case 4:
		fmt.Fprintf(&b, "SELECT DISTINCT ON (p) %s AS p, %s AS q FROM %s%s ORDER BY p, q", p, q, from, g.where(depth, all))
	default:
		fmt.Fprintf(&b, "SELECT %s AS p, %s AS q FROM %s%s", p, q, from, g.where(depth, all))
	}
	return b.String()
}

func (g *lineageGen) with(depth int, outer []shape) string {
	name := g.name("w")
	part := g.query(depth-1, nil)
	recursive := ""
	if g.chance(3) {
		recursive = "RECURSIVE "
		step := fmt.Sprintf("SELECT p + 1, %s FROM %s JOIN u ON u.id = %s.q WHERE p < 4", g.pick("q", "u.k", "q + u.v"), name, name)
		part = fmt.Sprintf("SELECT p, q FROM (%s) UNION %s", part, step)
		if strings.Contains(step, "q + u.v") { // only so many rows
			part = strings.Replace(part, "q + u.v", "(q + u.v) % 5", 1)
		}
	}
	was := g.withs
	g.withs = append(g.withs[:len(g.withs):len(g.withs)], name)
	out := fmt.Sprintf("WITH %s%s(p, q) AS (%s) %s", recursive, name, part, g.query(depth-1, outer))
	g.withs = was
	return out
}

// from makes a FROM of one or two relations.
func (g *lineageGen) from(depth int, outer []shape) (string, []shape) {
	left, l := g.relation(depth, outer)
	if depth == 0 || g.chance(2) {
		return left, []shape{l}
	}
	right, r := g.relation(depth-1, outer)
	both := []shape{l, r}
	switch g.IntN(6) {
	case 0:
		kind := g.pick("SEMI", "ANTI")
		return fmt.Sprintf("%s %s JOIN %s ON %s = %s", left, kind, right, g.column(both[:1]), g.column(both[1:])), both[:1]
	case 1:
		lat := g.name("l")
		return fmt.Sprintf("%s, LATERAL (%s) AS %s", left, g.query(0, both[:1]), lat), []shape{l, {lat, []string{"p", "q"}}}
	case 2:
		return fmt.Sprintf("(SELECT %s AS j, %s.* FROM %s) AS %[2]s %s JOIN (SELECT %s AS j, %s.* FROM %s) AS %[6]s USING (j)",
			g.column(both[:1]), l.name, left, g.pick("", "LEFT", "RIGHT", "FULL"), g.column(both[1:]), r.name, right), append(both, shape{"", []string{"j"}})
	}
	return fmt.Sprintf("%s %s JOIN %s ON %s %s %s", left, g.pick("", "LEFT", "FULL"), right, g.column(both[:1]), "=", g.column(both[1:])), both
}

func (g *lineageGen) relation(depth int, outer []shape) (string, shape) {
	name := g.name("r")
	if depth > 0 && g.chance(3) {
		return fmt.Sprintf("(%s) AS %s", g.query(depth-1, nil), name), shape{name, []string{"p", "q"}}
	}
	if len(g.withs) > 0 && g.chance(2) {
		return g.withs[len(g.withs)-1] + " AS " + name, shape{name, []string{"p", "q"}}
	}
	switch g.IntN(4) {
	case 0:
		return "shop.lines AS " + name, shape{name, []string{"id", "qty", "price"}}
	case 1:
		return "u AS " + name, shape{name, []string{"id", "k", "v"}}
	case 2:
		return fmt.Sprintf("(SELECT * EXCLUDE (l, s, g) %s FROM t) AS %s", g.pick("", "REPLACE (a + b AS a)", "REPLACE (len(l) AS b)"), name), shape{name, []string{"id", "a", "b"}}
	}
	return "t AS " + name, shape{name, []string{"id", "a", "b", "s.x"}}
}

func (g *lineageGen) column(in []shape) string {
	r := in[g.IntN(len(in))]
	c := r.columns[g.IntN(len(r.columns))]
	if r.name != "" {
		c = r.name + "." + c
	}
	return c
}

func (g *lineageGen) where(depth int, in []shape) string {
	if g.chance(2) {
		return ""
	}
	return " WHERE " + g.condition(depth, in)
}

func (g *lineageGen) condition(depth int, in []shape) string {
	if depth > 0 && g.chance(4) {
		return fmt.Sprintf("%sEXISTS (%s)", g.pick("", "NOT "), g.query(depth-1, in[:1]))
	}
	if depth > 0 && g.chance(4) {
		return fmt.Sprintf("%s %sIN (SELECT p FROM (%s))", g.column(in), g.pick("", "NOT "), g.query(depth-1, nil))
	}
	return fmt.Sprintf("%s %s %s", g.expr(0, in), g.pick("=", "<", ">=", "IS DISTINCT FROM"), g.pick("1", "2", g.column(in)))
}

func (g *lineageGen) expr(depth int, in []shape) string {
	if depth > 0 && g.chance(4) {
		return fmt.Sprintf("(SELECT %s(%s) FROM (%s))", g.pick("max", "count"), g.pick("p", "q"), g.query(depth-1, nil))
	}
	switch g.IntN(6) {
	case 0:
		return fmt.Sprintf("%s + %s", g.column(in), g.column(in))
	case 1:
		return fmt.Sprintf("CASE WHEN %s > 2 THEN %s ELSE %s END", g.column(in), g.column(in), g.pick("0", g.column(in)))
	case 2:
		return fmt.Sprintf("coalesce(%s, 7)", g.column(in))
	case 3:
		return g.pick("1", "2")
	}
	return g.column(in)
}

// TestLineageRandom holds the lineage of made-up queries against what changes
// when one column's values do.
func TestLineageRandom(t *testing.T) {
	s := testSession(t, func(c *SessionConfig) { c.Threads = 1 })
	truth := &lineageTruth{s: s, rand: rand.New(rand.NewPCG(1, 2)), draws: 1}
	g := &lineageGen{Rand: rand.New(rand.NewPCG(3, uint64(*lineageQueries)))}
	ran, open := 0, 0
	for range *lineageQueries {
		g.names, g.withs = 0, nil
		query := g.query(2, nil)
		l, err := LineageOf(t.Context(), s, query, lineageRules, lineageColumns)
		if err != nil {
			if _, bound := Bind(t.Context(), s, query, lineageRules); bound == nil {
				t.Fatalf("%s\n%v", query, err)
			}
			continue
		}
		ok, wrong := truth.check(t, query, l)
		if wrong != "" {
			t.Fatalf("%s\n%s\n%s", query, describeLineage(l, nil), wrong)
		}
		if ok {
			ran++
		}
		if l.Open {
			open++
		}
	}
	if ran < *lineageQueries/2 || open > 0 {
		t.Errorf("of %d queries %d were run, %d have columns that are not known", *lineageQueries, ran, open)
	}
	t.Logf("%d of %d queries were run %d times", ran, *lineageQueries, truth.runs)
}

// TestLineageAnswers holds the lineage of the queries of TestAnswers against what
// changes when the values of one column go one row further, and that whatever passes the
// gate can be traced.
func TestLineageAnswers(t *testing.T) {
	s := testSession(t, func(c *SessionConfig) { c.Threads = 1 })
	all := testViews(t)
	columns := map[Target][]string{}
	for _, v := range all {
		a := lineageRows(t, s, "SELECT * FROM ("+v.SQL+") LIMIT 0", nil)
		columns[Target{v.Schema, v.Name}] = a.names
	}
	known := func(t Target) ([]string, bool) { return columns[t], columns[t] != nil }
	step := 1
	if testing.Short() {
		step = 10
	}
	queries, runs := 0, 0
	list := readBlocks(t, "testdata/gate/answers/answers.txt")
	for i := 0; i < len(list); i += step {
		q := list[i]
		l, err := LineageOf(t.Context(), s, q, testRules, known)
		if err != nil {
			t.Errorf("%s\n%v", q, err)
			continue
		}
		b, err := Bind(t.Context(), s, q, testRules)
		if err != nil {
			t.Fatal(err)
		}
		views := viewsOf(q, all)
		before := lineageRows(t, s, b.SQL, views)
		if before == nil || lineageRows(t, s, b.SQL, views).projection(nil) != before.projection(nil) {
			continue
		}
		if wrong := names(l, before.names); wrong != "" {
			t.Errorf("%s\n%s\n%s", q, describeLineage(l, nil), wrong)
		}
		queries++
		for target := range b.Columns {
			for _, c := range columns[target] {
				if reaches(l.Uses, target, c) {
					continue
				}
				runs++
				after := lineageRows(t, s, b.SQL, further(views, target, c))
				same := untouched(l, before.names, target, c)
				if after != nil && before.projection(same) != after.projection(same) {
					t.Errorf("%s\n%s\n%s.%s changes what it should not: of\n%s\nthe columns %v became\n%s", q, describeLineage(l, nil), target.Table, c,
						before.projection(same), same, after.projection(same))
				}
			}
		}
	}
	t.Logf("%d queries were run %d times", queries, runs)
}

// further is the views with the values of one column in the next row each.
func further(views []View, target Target, column string) []View {
	out := append([]View{}, views...)
	for i, v := range out {
		if v.Schema == target.Schema && v.Name == target.Table {
			c := QuoteIdent(column)
			out[i].SQL = fmt.Sprintf(`WITH rows_ AS (SELECT *, row_number() OVER () AS row_, count(*) OVER () AS rows_n FROM (%s)),
				from_ AS (SELECT row_ %% rows_n + 1 AS to_, %s AS value_ FROM rows_)
				SELECT rows_.* EXCLUDE (row_, rows_n) REPLACE (value_ AS %s) FROM rows_ JOIN from_ ON to_ = row_ ORDER BY row_`, v.SQL, c, c)
		}
	}
	return out
}

// TestLineageOfWhatPasses holds that whatever passes the gate can be traced, also
// where nothing is known of the tables.
func TestLineageOfWhatPasses(t *testing.T) {
	s := newParser(t)
	passed := 0
	for _, q := range seeds(t) {
		if _, err := Bind(t.Context(), s, q, testRules); err != nil {
			continue
		}
		passed++
		if _, err := LineageOf(t.Context(), s, q, testRules, nil); err != nil {
			t.Errorf("%s: %v", q, err)
		}
	}
	if passed < 200 {
		t.Errorf("only %d queries pass the gate", passed)
	}
}
