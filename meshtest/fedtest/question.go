package fedtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// asking makes up one question. Whatever takes some of the rows takes them by an order
// of all columns, so that the same rows give the same answer.
type asking struct {
	*rand.Rand
	w      *World
	names  int
	withs  []relation // of what WITH names, in sight
	bare   []string   // tables in sight under their own names
	large  bool       // a large table is in it
	joined int        // relations that it has so far
}

// relation is what FROM brings in sight.
type relation struct {
	name    string // it is qualified with
	columns []column
}

// output is a column of an answer.
type output = column

// Question makes up the question number n of a world; the same numbers make the same.
func (w *World) Question(n uint64) string {
	g := &asking{Rand: rand.New(rand.NewPCG(w.Seed, n+2)), w: w}
	depth := int(n / 20) // the first ones are simple
	if depth > 1 {
		depth = g.IntN(4)
	}
	if g.chance(12) {
		return g.unnamed(depth)
	}
	sql, out := g.query(depth, nil, nil)
	switch g.IntN(6) {
	case 0:
		if limited, ok := g.first(sql, out); ok {
			return limited
		}
	case 1:
		return fmt.Sprintf("SELECT count(*) AS n FROM (%s) AS %s", sql, g.name("q"))
	}
	return sql
}

func (g *asking) pick(of ...string) string { return of[g.IntN(len(of))] }

// chance is one in n.
func (g *asking) chance(n int) bool { return g.IntN(n) == 0 }

func (g *asking) name(prefix string) string {
	g.names++
	return fmt.Sprintf("%s%d", prefix, g.names)
}

// query makes a SELECT with the kinds that are wanted where want is not nil. Outer are
// the columns of the questions around it, which it may use.
func (g *asking) query(depth int, outer []relation, want []kind) (string, []output) {
	if depth > 0 && g.chance(6) {
		if g.chance(6) {
			return g.climb(depth, outer, want)
		}
		return g.with(depth, outer, want)
	}
	if depth > 0 && g.chance(6) {
		return g.set(depth, outer, want)
	}
	switch g.IntN(7) {
	case 0, 1:
		return g.grouped(depth, outer, want)
	case 2:
		return g.windowed(depth, outer, want)
	case 3:
		if want == nil {
			return g.star(depth, outer)
		}
	case 4:
		if sql, out := g.plain(depth, outer, want); g.chance(2) {
			if limited, ok := g.first(sql, out); ok {
				return "SELECT * FROM (" + limited + ") AS " + g.name("q"), out
			}
			return sql, out
		}
	}
	return g.plain(depth, outer, want)
}

// kinds are those of the columns that a question gets.
func (g *asking) kinds(want []kind) []kind {
	if want != nil {
		return want
	}
	out := make([]kind, 1+g.IntN(4))
	for i := range out {
		out[i] = kind(g.IntN(int(kNear)))
	}
	return out
}

// plain selects expressions.
func (g *asking) plain(depth int, outer []relation, want []kind) (string, []output) {
	was := g.bare
	from, in := g.from(depth, outer)
	all := append(append([]relation{}, in...), outer...)
	var list []string
	var out []output
	for _, k := range g.kinds(want) {
		o := output{g.name("o"), k}
		list, out = append(list, g.expr(k, all, depth)+" AS "+o.name), append(out, o)
	}
	sql := "SELECT " + g.pick("", "", "DISTINCT ") + strings.Join(list, ", ") + " FROM " + from + g.where(depth, all)
	g.bare = was
	return sql, out
}

// unnamed leaves the names of the columns to the engine.
func (g *asking) unnamed(depth int) string {
	from, in := g.from(depth, nil)
	var list []string
	for _, k := range g.kinds(nil) {
		list = append(list, g.expr(k, in, min(depth, 1)))
	}
	if e, _, ok := g.aggregate(kInt, in, true); ok && g.chance(3) {
		return "SELECT " + e + " FROM " + from + g.where(depth, in)
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + from + g.where(depth, in)
}

// star selects whole relations.
func (g *asking) star(depth int, outer []relation) (string, []output) {
	was := g.bare
	defer func() { g.bare = was }()
	name, r := g.relation(depth, outer)
	in := []relation{r}
	where := g.where(depth, append(in, outer...))
	if len(r.columns) == 0 || g.chance(2) {
		return "SELECT * FROM " + name + where, r.columns
	}
	switch c := r.columns[g.IntN(len(r.columns))]; g.IntN(3) {
	case 0:
		if len(r.columns) > 1 {
			var out []output
			for _, x := range r.columns {
				if x.name != c.name {
					out = append(out, x)
				}
			}
			return fmt.Sprintf("SELECT * EXCLUDE (%s) FROM %s%s", c.name, name, where), out
		}
	case 1:
		return fmt.Sprintf("SELECT * REPLACE (%s AS %s) FROM %s%s", g.expr(c.kind, in, depth), c.name, name, where), r.columns
	}
	if strings.Contains(r.name, ".") { // of which SQL takes no star
		return "SELECT * FROM " + name + where, r.columns
	}
	extra := output{g.name("o"), kInt}
	return fmt.Sprintf("SELECT %s.*, %s AS %s FROM %s%s", r.name, g.expr(kInt, in, depth), extra.name, name, where), append(r.columns[:len(r.columns):len(r.columns)], extra)
}

// first takes the first rows of a question by all its columns.
func (g *asking) first(sql string, out []output) (string, bool) {
	var order []string
	for i, o := range out {
		if o.kind >= kNear {
			return "", false // it may come in another order
		}
		order = append(order, fmt.Sprintf("%d%s%s", i+1, g.pick("", " DESC", " ASC"), g.pick("", " NULLS FIRST", " NULLS LAST")))
	}
	limit := fmt.Sprintf(" LIMIT %d", g.IntN(30))
	if g.chance(3) {
		limit += fmt.Sprintf(" OFFSET %d", g.IntN(4))
	}
	if strings.HasPrefix(sql, "(") || strings.HasPrefix(sql, "WITH") {
		sql = "SELECT * FROM (" + sql + ") AS " + g.name("q")
	}
	return sql + " ORDER BY " + strings.Join(order, ", ") + limit, true
}

// set joins two questions of the same kinds of columns.
func (g *asking) set(depth int, outer []relation, want []kind) (string, []output) {
	kinds := g.kinds(want)
	left, out := g.query(depth-1, outer, kinds)
	right, _ := g.query(depth-1, outer, kinds)
	op := g.pick("UNION ALL", "UNION", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL", "UNION ALL")
	return fmt.Sprintf("(%s) %s (%s)", left, op, right), out
}

// with names a question and asks it, mostly more than once.
func (g *asking) with(depth int, outer []relation, want []kind) (string, []output) {
	r := relation{name: g.name("w")}
	bare := g.bare
	g.bare = nil // what it is in is not in its sight
	part, out := g.query(depth-1, nil, nil)
	g.bare = bare
	head := r.name
	r.columns = out
	if g.chance(2) {
		r.columns = nil
		var names []string
		for _, o := range out {
			c := column{g.name("c"), o.kind}
			r.columns, names = append(r.columns, c), append(names, c.name)
		}
		head += "(" + strings.Join(names, ", ") + ")"
	}
	was := g.withs
	g.withs = append(g.withs[:len(g.withs):len(g.withs)], r)
	rest, o := g.query(depth-1, outer, want)
	g.withs = was
	head = fmt.Sprintf("%s AS %s(%s)", head, g.pick("", "", "MATERIALIZED ", "NOT MATERIALIZED "), part)
	for _, with := range []string{"WITH RECURSIVE ", "WITH "} {
		if more, ok := strings.CutPrefix(rest, with); ok {
			return with + head + ", " + more, o
		}
	}
	return "WITH " + head + " " + rest, o
}

// climb names a question that asks itself, and asks it.
func (g *asking) climb(depth int, outer []relation, want []kind) (string, []output) {
	r := relation{name: g.name("w"), columns: []column{{g.name("c"), kInt}, {g.name("c"), kText}}}
	n, s := r.columns[0].name, r.columns[1].name
	bare := g.bare
	g.bare = nil
	from, in := g.relation(0, nil)
	start := fmt.Sprintf("SELECT %s, %s FROM %s", g.expr(kInt, []relation{in}, 0), g.expr(kText, []relation{in}, 0), from)
	g.bare = bare
	was := g.withs
	g.withs = append(g.withs[:len(g.withs):len(g.withs)], r)
	rest, o := g.grouped(depth-1, outer, want)
	g.withs = was
	return fmt.Sprintf("WITH RECURSIVE %s(%s, %s) AS (%s UNION SELECT %[2]s + 1, %[3]s FROM %[1]s WHERE %[2]s < 20) %[5]s", r.name, n, s, start, rest), o
}
