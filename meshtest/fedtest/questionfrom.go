package fedtest

import (
	"fmt"
	"slices"
	"strings"
)

// most is how many relations a question joins at most.
const most = 7

// from makes a FROM of one to four relations.
func (g *asking) from(depth int, outer []relation) (string, []relation) {
	sql, r := g.relation(depth, outer)
	in := []relation{r}
	for n := g.IntN(min(depth, 2) + 2); n > 0 && g.joined < most; n-- {
		sql, in = g.join(depth, sql, in, outer)
	}
	return sql, in
}

// join adds a relation to what is joined so far.
func (g *asking) join(depth int, left string, in, outer []relation) (string, []relation) {
	if depth > 0 && g.chance(8) {
		lat := relation{name: g.name("v")}
		part, out := g.query(depth-1, in, nil)
		lat.columns = out
		return fmt.Sprintf("%s %s LATERAL (%s) AS %s", left, g.pick("CROSS JOIN", ","), part, lat.name), append(in, lat)
	}
	if c, ok := g.column(kList, in); ok && g.chance(5) {
		u := relation{g.name("u"), []column{{g.name("e"), kInt}}}
		return fmt.Sprintf("%s, unnest(%s) AS %s(%s)", left, c, u.name, u.columns[0].name), append(in, u)
	}
	right, r := g.relation(max(depth-1, 0), nil)
	both := append(slices.Clone(in), r)
	common := shared(in, r)
	switch g.IntN(10) {
	case 0:
		return fmt.Sprintf("%s %s JOIN %s ON %s", left, g.pick("SEMI", "ANTI"), right, g.on(depth, in, r)), in
	case 1:
		if len(common) > 0 {
			using := common[g.IntN(len(common))]
			if g.chance(2) {
				return fmt.Sprintf("%s %s JOIN %s USING (%s)", left, g.pick("SEMI", "ANTI"), right, using), in
			}
			return fmt.Sprintf("%s %sJOIN %s USING (%s)", left, g.pick("", "LEFT "), right, using), both
		}
	case 2:
		if len(common) > 0 && len(in) == 1 {
			return fmt.Sprintf("%s NATURAL %sJOIN %s", left, g.pick("", "LEFT ", "RIGHT "), right), in
		}
	case 3:
		if !g.large && len(in) < 3 {
			return left + g.pick(", ", " CROSS JOIN ") + right, both
		}
	}
	return fmt.Sprintf("%s %sJOIN %s ON %s", left, g.pick("", "", "LEFT ", "LEFT ", "RIGHT ", "FULL "), right, g.on(depth, in, r)), both
}

// shared are names of columns that stand once in what is joined and in r.
func shared(in []relation, r relation) (out []string) {
	for _, c := range r.columns {
		n := 0
		for _, l := range in {
			for _, x := range l.columns {
				if x == c {
					n++
				}
			}
		}
		if n == 1 && c.kind < kBool {
			out = append(out, c.name)
		}
	}
	return out
}

// on is what joins, an equality where there is one, and at times more.
func (g *asking) on(depth int, in []relation, r relation) string {
	cond := ""
	for range 8 {
		k := kind(g.IntN(int(kList)))
		a, ok := g.qualified(k, in)
		b, ok2 := g.qualified(k, []relation{r})
		if ok && ok2 {
			cond = a + " " + g.pick("=", "=", "=", "IS NOT DISTINCT FROM") + " " + b
			break
		}
	}
	both := append(slices.Clone(in), r)
	switch {
	case cond == "":
		return g.condition(0, both)
	case g.chance(3):
		return cond + " AND " + g.condition(0, both)
	case g.chance(10) && depth > 0:
		return cond + " AND " + g.condition(depth-1, both)
	}
	return cond
}

// relation makes one: a table, mostly, a question in brackets, what WITH names, or values.
func (g *asking) relation(depth int, outer []relation) (string, relation) {
	g.joined++
	r := relation{name: g.name("r")}
	if len(g.withs) > 0 && g.chance(2) {
		w := g.withs[g.IntN(len(g.withs))]
		r.columns = w.columns
		return w.name + " AS " + r.name, r
	}
	switch {
	case depth > 0 && g.chance(4):
		bare := g.bare
		g.bare = nil
		sql, out := g.query(depth-1, nil, nil)
		g.bare = bare
		r.columns = out
		return "(" + sql + ") AS " + r.name, r
	case g.chance(8):
		return g.union(r)
	case g.chance(20):
		r.columns = []column{{g.name("c"), kInt}, {g.name("c"), kText}}
		return fmt.Sprintf("(VALUES (1, 'a'), (2, NULL), (%s, %s)) AS %s(%s, %s)", literal(g.Rand, kInt), literal(g.Rand, kText), r.name, r.columns[0].name, r.columns[1].name), r
	}
	return g.table(r)
}

// union makes one of the columns that two or three tables share, as if they were parts
// of one.
func (g *asking) union(r relation) (string, relation) {
	first := &g.w.tables[g.IntN(len(g.w.tables))]
	parts := []*worldTable{first}
	columns := first.columns
	for range 1 + g.IntN(2) {
		t := &g.w.tables[g.IntN(len(g.w.tables))]
		common := slices.DeleteFunc(slices.Clone(columns), func(c column) bool { return !slices.Contains(t.columns, c) })
		if len(common) > 0 && !(t.large && g.large) {
			parts, columns = append(parts, t), common
			g.large = g.large || t.large
		}
	}
	var names, all []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	g.large = g.large || first.large
	for _, t := range parts {
		where := ""
		if g.chance(4) {
			where = " WHERE " + g.condition(0, []relation{{t.Address(), t.columns}})
		}
		all = append(all, "SELECT "+strings.Join(names, ", ")+" FROM "+t.Address()+where)
	}
	r.columns = columns
	return "(" + strings.Join(all, g.pick(" UNION ALL ", " UNION ALL ", " UNION ")) + ") AS " + r.name, r
}

// table takes one of the world's, in one of the ways to name it.
func (g *asking) table(r relation) (string, relation) {
	t := &g.w.tables[g.IntN(len(g.w.tables))]
	for t.large && g.large {
		t = &g.w.tables[g.IntN(len(g.w.tables))]
	}
	g.large = g.large || t.large
	r.columns = t.columns
	at := t.Address()
	switch g.IntN(8) {
	case 0:
		if !slices.Contains(g.bare, t.Name) {
			g.bare = append(g.bare[:len(g.bare):len(g.bare)], t.Name)
			r.name = g.pick(t.Name, at)
			return at, r
		}
	case 1:
		r.columns = nil
		var names []string
		for _, c := range t.columns {
			x := column{g.name("c"), c.kind}
			r.columns, names = append(r.columns, x), append(names, x.name)
		}
		return fmt.Sprintf("%s AS %s(%s)", at, r.name, strings.Join(names, ", ")), r
	case 2:
		return fmt.Sprintf("(FROM %s) %s", at, r.name), r
	case 3:
		return fmt.Sprintf("%s %s", strings.ToUpper(at), strings.ToUpper(r.name)), r
	case 4:
		return fmt.Sprintf("(SELECT * FROM %s WHERE %s) AS %s", at, g.condition(0, []relation{{at, t.columns}}), r.name), r
	}
	return at + " AS " + r.name, r
}

// column picks one of a kind, at times by its bare name.
func (g *asking) column(k kind, in []relation) (string, bool) {
	c, ok := g.qualified(k, in)
	if bare := c[strings.LastIndex(c, ".")+1:]; ok && g.chance(4) && once(in, bare) {
		return bare, true
	}
	return c, ok
}

// qualified picks a column of a kind with the name of its relation.
func (g *asking) qualified(k kind, in []relation) (string, bool) {
	var all []string
	for _, r := range in {
		for _, c := range r.columns {
			if c.kind == k {
				all = append(all, r.name+"."+c.name)
			}
		}
	}
	if len(all) == 0 {
		return "", false
	}
	return all[g.IntN(len(all))], true
}

// once reports whether a name of a column stands for one alone.
func once(in []relation, name string) bool {
	n := 0
	for _, r := range in {
		for _, c := range r.columns {
			if c.name == name {
				n++
			}
		}
	}
	return n == 1
}
