package fedtest

import "fmt"

// expr makes an expression of a kind.
func (g *asking) expr(k kind, in []relation, depth int) string {
	col, ok := g.column(k, in)
	if ok && (depth <= 0 || g.chance(2)) {
		return col
	}
	if depth <= 0 {
		if k == kBool {
			return g.condition(0, in)
		}
		return g.value(k)
	}
	sub := func(k kind) string { return g.expr(k, in, depth-1) }
	switch g.IntN(9) {
	case 0:
		return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", g.condition(depth-1, in), sub(k), sub(k))
	case 1:
		return fmt.Sprintf("coalesce(%s, %s)", sub(k), sub(k))
	case 2:
		return fmt.Sprintf("nullif(%s, %s)", sub(k), g.value(k))
	case 3:
		if k < kBool {
			return g.scalar(k, depth, in)
		}
	case 4:
		return g.value(k)
	}
	return g.operate(k, sub, depth, in)
}

// value is a literal or, at times, NULL.
func (g *asking) value(k kind) string {
	if !g.chance(12) {
		return literal(g.Rand, k)
	}
	typ := "BIGINT"
	for _, p := range pool {
		if p.kind == k {
			typ = p.engine
		}
	}
	return "CAST(NULL AS " + typ + ")"
}

// operate makes an operation whose result is of the kind.
func (g *asking) operate(k kind, sub func(kind) string, depth int, in []relation) string {
	switch k {
	case kInt:
		return fmt.Sprintf(g.pick("(%s + 1)", "(%s %% 5)", "abs(%s)", "(2 * %s)", "-(%s)"), sub(kInt))
	case kDec:
		return fmt.Sprintf(g.pick("CAST(%s + %s AS DECIMAL(18,4))", "CAST(%s - %s AS DECIMAL(18,4))", "greatest(%s, %s)"), sub(kDec), sub(kDec))
	case kReal:
		return fmt.Sprintf(g.pick("(%s + %s)", "(%s - %s)", "least(%s, %s)"), sub(kReal), sub(kReal))
	case kText:
		return fmt.Sprintf(g.pick("upper(%s)", "(%s || 'x')", "substring(%s, 1, 1)", "lower(%s)", "replace(%s, 'a', 'é')"), sub(kText))
	case kDate:
		if g.chance(2) {
			return fmt.Sprintf("CAST(%s AS DATE)", sub(kTime))
		}
		return fmt.Sprintf(g.pick("(%s + 3)", "CAST(date_trunc('month', %s) AS DATE)", "last_day(%s)"), sub(kDate))
	case kTime:
		return fmt.Sprintf(g.pick("(%s + INTERVAL 36 HOUR)", "date_trunc('day', %s)", "(%s - INTERVAL 1 MONTH)"), sub(kTime))
	case kZoned:
		return fmt.Sprintf(g.pick("(%s + INTERVAL 90 MINUTE)", "date_trunc('week', %s)"), sub(kZoned))
	case kBool:
		return g.condition(depth-1, in)
	case kList:
		return fmt.Sprintf(g.pick("[%s, 1]", "[%s]"), sub(kInt))
	}
	return fmt.Sprintf("CAST({'a': %s, 'b': %s} AS STRUCT(a BIGINT, b VARCHAR))", sub(kInt), sub(kText))
}

// scalar is a question in an expression, which has one row.
func (g *asking) scalar(k kind, depth int, outer []relation) string {
	bare := g.bare
	defer func() { g.bare = bare }()
	from, in := g.from(depth-1, nil)
	all := in
	if g.chance(2) {
		all = append(append([]relation{}, in...), outer...)
	}
	if k == kInt && g.chance(2) {
		return fmt.Sprintf("(SELECT count(%s) FROM %s%s)", g.pick("*", g.expr(kText, in, 0)), from, g.tied(depth-1, in, all))
	}
	return fmt.Sprintf("(SELECT %s(%s) FROM %s%s)", g.pick("min", "max"), g.expr(k, in, 0), from, g.tied(depth-1, in, all))
}

// tied is a WHERE that mostly ties a question to the one around it, where all has that.
func (g *asking) tied(depth int, in, all []relation) string {
	if len(all) > len(in) {
		for range 6 {
			k := kind(g.IntN(int(kBool)))
			a, ok := g.qualified(k, in)
			b, ok2 := g.qualified(k, all[len(in):])
			if ok && ok2 {
				cond := fmt.Sprintf(" WHERE %s %s %s", a, g.pick("=", "=", "=", "<", "<>"), b)
				if g.chance(3) {
					cond += " AND " + g.condition(depth, in)
				}
				return cond
			}
		}
	}
	return g.where(depth, all)
}

func (g *asking) where(depth int, in []relation) string {
	if g.chance(2) || depth > 1 && g.chance(3) {
		return ""
	}
	return " WHERE " + g.condition(depth, in)
}

// condition makes what is true, false or NULL.
func (g *asking) condition(depth int, in []relation) string {
	if depth > 0 {
		switch g.IntN(7) {
		case 0:
			return fmt.Sprintf("(%s %s %s)", g.condition(depth-1, in), g.pick("AND", "AND", "OR"), g.condition(depth-1, in))
		case 1:
			return fmt.Sprintf("(NOT %s)", g.condition(depth-1, in))
		case 2, 3:
			return g.subcondition(depth, in)
		}
	}
	k := kind(g.IntN(int(kNear)))
	if _, ok := g.column(k, in); !ok {
		k = kInt
	}
	a := g.expr(k, in, min(depth, 1)-1)
	switch g.IntN(8) {
	case 0:
		return fmt.Sprintf("%s IS %sNULL", a, g.pick("", "NOT ", "NOT "))
	case 1:
		return fmt.Sprintf("%s %sIN (%s, %s, %s)", a, g.pick("", "NOT "), literal(g.Rand, k), literal(g.Rand, k), g.pick("NULL", literal(g.Rand, k)))
	case 2:
		if k >= kList {
			break
		}
		return fmt.Sprintf("%s %sBETWEEN %s AND %s", a, g.pick("", "NOT "), literal(g.Rand, k), literal(g.Rand, k))
	case 3:
		if k == kText {
			return fmt.Sprintf("%s %sLIKE %s", a, g.pick("", "NOT "), g.pick("'a%'", "'%b'", "'_'", "'%'"))
		}
	case 4:
		return fmt.Sprintf("%s IS %sDISTINCT FROM %s", a, g.pick("", "NOT "), g.expr(k, in, 0))
	case 5:
		return fmt.Sprintf("%s %s %s", a, g.pick("=", "<", ">="), g.expr(k, in, 0))
	}
	return fmt.Sprintf("%s %s %s", a, g.pick("=", "<>", "<", "<=", ">", ">=", "<>", "<>"), literal(g.Rand, k))
}

// subcondition is one that asks a question of its own.
func (g *asking) subcondition(depth int, outer []relation) string {
	bare := g.bare
	defer func() { g.bare = bare }()
	from, in := g.from(depth-1, nil)
	all := in
	if g.chance(2) {
		all = append(append([]relation{}, in...), outer...)
	}
	where := g.tied(depth-1, in, all)
	k := kind(g.IntN(int(kBool)))
	if _, ok := g.column(k, outer); !ok {
		k = kInt
	}
	switch g.IntN(4) {
	case 0:
		return fmt.Sprintf("%sEXISTS (SELECT %s FROM %s%s)", g.pick("", "NOT "), g.pick("*", "1"), from, where)
	case 1:
		return fmt.Sprintf("%s %s (SELECT %s FROM %s%s)", g.expr(k, outer, 0), g.pick("= ANY", "> ALL", "<= ANY", "<> ALL"), g.expr(k, in, 0), from, where)
	}
	return fmt.Sprintf("%s %sIN (SELECT %s FROM %s%s)", g.expr(k, outer, 0), g.pick("", "NOT "), g.expr(k, in, 0), from, where)
}
