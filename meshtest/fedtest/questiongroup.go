package fedtest

import (
	"fmt"
	"strings"
)

// grouped makes a question with aggregates.
func (g *asking) grouped(depth int, outer []relation, want []kind) (string, []output) {
	bare := g.bare
	defer func() { g.bare = bare }()
	from, in := g.from(depth, outer)
	all := append(append([]relation{}, in...), outer...)
	var list, keys []string
	var out []output
	for _, k := range g.kinds(want) {
		o := output{g.name("o"), k}
		if e, got, ok := g.aggregate(k, in, want != nil); ok && !g.chance(3) {
			o.kind = got
			list = append(list, e+" AS "+o.name)
		} else {
			e := g.key(k, in)
			keys = append(keys, e)
			list = append(list, e+" AS "+o.name)
		}
		out = append(out, o)
	}
	sql := "SELECT " + strings.Join(list, ", ") + " FROM " + from + g.where(depth, all)
	if len(keys) == 0 {
		return sql, out
	}
	switch g.IntN(8) {
	case 0:
		sql += " GROUP BY ALL"
	case 1:
		sql += " GROUP BY ROLLUP (" + strings.Join(keys, ", ") + ")"
	case 2:
		sql += " GROUP BY GROUPING SETS ((" + strings.Join(keys, ", ") + "), ())"
	default:
		sql += " GROUP BY " + strings.Join(keys, ", ")
	}
	if g.chance(3) {
		if e, got, ok := g.aggregate(kInt, in, true); ok && got == kInt {
			sql += fmt.Sprintf(" HAVING %s %s %s", e, g.pick(">", "<=", "<>"), literal(g.Rand, kInt))
		}
	}
	return sql, out
}

// key is what is grouped by: a column, where there is one, so that it is no constant.
func (g *asking) key(k kind, in []relation) string {
	c, ok := g.column(k, in)
	switch {
	case !ok:
		return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", g.condition(0, in), literal(g.Rand, k), g.value(k))
	case k == kText && g.chance(3):
		return "lower(" + c + ")"
	case k == kInt && g.chance(3):
		return "(" + c + " % 3)"
	}
	return c
}

// aggregate makes one whose result is of the kind, where there is one. Exactly says that
// it must be of that kind.
func (g *asking) aggregate(k kind, in []relation, exactly bool) (string, kind, bool) {
	if !exactly && g.chance(6) {
		return g.loose(in)
	}
	filter := ""
	if g.chance(4) {
		filter = " FILTER (" + g.pick("", "WHERE ") + g.condition(0, in) + ")"
	}
	switch k {
	case kInt:
		c := g.expr(kind(g.IntN(int(kList))), in, 0)
		n := g.expr(kInt, in, 0)
		return g.pick("count(*)", "count("+c+")", "count(DISTINCT "+c+")", "sum("+n+")", "sum(DISTINCT "+n+")", "min("+n+")", "max("+n+")", "bit_xor("+n+")") + filter, kInt, true
	case kDec, kReal:
		return fmt.Sprintf("%s(%s)", g.pick("sum", "min", "max", "sum"), g.expr(k, in, 0)) + filter, k, true
	case kText:
		if c, ok := g.column(k, in); ok && g.chance(3) {
			return fmt.Sprintf("string_agg(%s, ',' ORDER BY %[1]s)", c) + filter, k, true
		}
		return fmt.Sprintf("%s(%s)", g.pick("min", "max"), g.expr(k, in, 0)) + filter, k, true
	case kDate, kTime, kZoned:
		return fmt.Sprintf("%s(%s)", g.pick("min", "max"), g.expr(k, in, 0)) + filter, k, true
	case kBool:
		return fmt.Sprintf("%s(%s)", g.pick("bool_and", "bool_or"), g.expr(kBool, in, 0)) + filter, k, true
	}
	return "", 0, false
}

// loose makes an aggregate of which nothing further is made.
func (g *asking) loose(in []relation) (string, kind, bool) {
	n := g.expr(kInt, in, 0)
	switch g.IntN(5) {
	case 0:
		return fmt.Sprintf("avg(%s)", g.expr(kind(g.IntN(int(kText))), in, 0)), kNear, true
	case 1:
		return fmt.Sprintf("list(%s ORDER BY %[1]s)", n), kOther, true
	case 2:
		return fmt.Sprintf("%s(%s)", g.pick("stddev_pop", "var_pop", "median"), n), kNear, true
	case 3:
		return fmt.Sprintf("quantile_disc(%s, 0.5)", n), kInt, true
	}
	return fmt.Sprintf("list(DISTINCT upper(%s) ORDER BY upper(%[1]s))", g.expr(kText, in, 0)), kOther, true
}

// windowed makes a question with a window function.
func (g *asking) windowed(depth int, outer []relation, want []kind) (string, []output) {
	bare := g.bare
	defer func() { g.bare = bare }()
	from, in := g.from(min(depth, 1), outer)
	all := append(append([]relation{}, in...), outer...)
	var list []string
	var out []output
	windows := 0
	for i, k := range g.kinds(want) {
		o := output{g.name("o"), k}
		e := ""
		if k < kBool && (i == 0 || g.chance(3)) {
			e = g.window(k, in)
			windows++
		} else {
			e = g.expr(k, in, 0)
		}
		list, out = append(list, e+" AS "+o.name), append(out, o)
	}
	sql := "SELECT " + strings.Join(list, ", ") + " FROM " + from + g.where(depth, all)
	if g.chance(4) {
		sql += fmt.Sprintf(" QUALIFY %s <= %d", g.window(kInt, in), g.IntN(8))
	}
	return sql, out
}

// window makes a window function over the whole of a row's order, where order counts.
func (g *asking) window(k kind, in []relation) string {
	var order []string
	for _, r := range in {
		for _, c := range r.columns {
			if c.kind < kNear && len(order) < 40 {
				order = append(order, r.name+"."+c.name+g.pick("", " DESC", " NULLS FIRST"))
			}
		}
	}
	g.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	by := ""
	if g.chance(2) {
		by = "PARTITION BY " + g.expr(kind(g.IntN(int(kList))), in, 0)
	}
	if len(order) == 0 {
		return fmt.Sprintf("max(%s) OVER (%s)", g.expr(k, in, 0), by)
	}
	total := fmt.Sprintf("(%s ORDER BY %s)", by, strings.Join(order, ", "))
	e := g.expr(k, in, 0)
	switch g.IntN(5) {
	case 0:
		return fmt.Sprintf("%s(%s) OVER %s", g.pick("lag", "lead", "first_value", "last_value"), e, total)
	case 1:
		if k == kInt {
			return fmt.Sprintf("%s() OVER %s", g.pick("row_number", "rank", "dense_rank"), total)
		}
	case 2:
		if k == kInt {
			return fmt.Sprintf("%s OVER (%s ORDER BY %s)", g.pick("rank()", "dense_rank()", "count(*)", "sum("+e+")"), by, order[0])
		}
	case 3:
		return fmt.Sprintf("%s(%s) OVER (%s ORDER BY %s ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)", g.pick("min", "max"), e, by, strings.Join(order, ", "))
	}
	return fmt.Sprintf("%s(%s) OVER (%s)", g.pick("min", "max"), e, by)
}
