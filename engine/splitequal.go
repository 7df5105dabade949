package engine

import "slices"

// columnOf is a column of a relation.
type columnOf struct {
	rel *srel
	col int
}

// full is the column's name with whose it is.
func (c columnOf) full() object { return columnRef(c.rel.called(), c.rel.cols[c.col]) }

// all are its columns.
func (r *srel) all() (out []columnOf) {
	for i := range r.cols {
		out = append(out, columnOf{r, i})
	}
	return out
}

// equals are the columns that the conditions of a query have be equal. What is equal to the
// same is equal where all are of one type: then values of others are never made of theirs to
// compare them.
type equals struct {
	pairs []equality
	of    map[columnOf]columnOf // by what is known of types: one for all that are equal
	order []columnOf
}

// equality is one as the query has it.
type equality struct {
	expr object
	a, b columnOf
}

// equalities looks at a query whose FROM is inner joins alone.
func (s *splitter) equalities(m *smodel, q *squery) *equals {
	e := &equals{of: map[columnOf]columnOf{}}
	for _, c := range q.conds {
		a, b, ok := m.equal(c.expr)
		if !ok || a.rel == b.rel || a.rel.q != q || b.rel.q != q {
			continue
		}
		x, y := columnOf{a.rel, a.col}, columnOf{b.rel, b.col}
		e.pairs = append(e.pairs, equality{c.expr, x, y})
		if t := s.typeOf(x.rel, x.col); t == "" || t != s.typeOf(y.rel, y.col) {
			continue
		}
		for _, n := range []columnOf{x, y} {
			if _, ok := e.of[n]; !ok {
				e.of[n] = n
				e.order = append(e.order, n)
			}
		}
		from, to := e.of[x], e.of[y]
		for n, is := range e.of {
			if is == from {
				e.of[n] = to
			}
		}
	}
	return e
}

// same says whether two columns are equal by what others are.
func (e *equals) same(a, b columnOf) bool {
	x, okA := e.of[a]
	y, okB := e.of[b]
	return okA && okB && x == y
}

// equal says whether two columns are equal, as it is written or by what others are.
func (e *equals) equal(a, b columnOf) bool {
	return e.same(a, b) || slices.ContainsFunc(e.pairs, func(p equality) bool { return p.a == a && p.b == b || p.a == b && p.b == a })
}

// found are the columns of a relation that are equal to some of others.
func (e *equals) found(r *srel, others []*srel) (names []string) {
	for i, name := range r.cols {
		n := columnOf{r, i}
		if slices.ContainsFunc(others, func(o *srel) bool {
			return slices.ContainsFunc(o.all(), func(c columnOf) bool { return e.equal(n, c) })
		}) {
			names = append(names, name)
		}
	}
	return names
}

// implied are equalities of columns of the relations that no condition says of these alone,
// but several together with others.
func (e *equals) implied(rels []*srel) (out []object) {
	linked := map[columnOf]columnOf{}
	var of func(n columnOf) columnOf
	of = func(n columnOf) columnOf {
		if to, ok := linked[n]; ok && to != n {
			return of(to)
		}
		return n
	}
	for _, p := range e.pairs {
		if slices.Contains(rels, p.a.rel) && slices.Contains(rels, p.b.rel) {
			linked[of(p.a)] = of(p.b)
		}
	}
	for i, b := range e.order {
		for _, a := range e.order[:i] {
			if slices.Contains(rels, a.rel) && slices.Contains(rels, b.rel) && e.same(a, b) && of(a) != of(b) {
				linked[of(b)] = of(a)
				out = append(out, comparison("COMPARE_EQUAL", a.full(), b.full()))
			}
		}
	}
	return out
}

// twice are conditions that say of a relation outside what another one does: that it is equal to
// a column of the relations that is equal to the other's.
func (e *equals) twice(rels []*srel) (out []object) {
	type said struct{ inside, outside columnOf }
	var all []said
	for _, p := range e.pairs {
		x := said{p.a, p.b}
		if slices.Contains(rels, p.b.rel) {
			x = said{p.b, p.a}
		}
		if !slices.Contains(rels, x.inside.rel) || slices.Contains(rels, x.outside.rel) {
			continue
		}
		if slices.ContainsFunc(all, func(o said) bool {
			return o.outside == x.outside && e.same(o.inside, x.inside) && e.same(x.inside, x.outside)
		}) {
			out = append(out, p.expr)
			continue
		}
		all = append(all, x)
	}
	return out
}

// typeOf is the type of a relation's column, in SQL's words, "" where it is not known.
func (s *splitter) typeOf(r *srel, col int) string {
	if col >= len(r.inside) {
		return ""
	}
	var types []string
	switch {
	case r.table != nil:
		types = s.places[*r.table].Types
		if l := s.leafOf(*r.table); l != nil {
			types = l.types
		}
	case r.sub != nil:
		return s.outType(r.sub, col)
	case r.part != nil && r.part.q != nil:
		return s.outType(r.part.q, col)
	}
	if col >= len(types) {
		return ""
	}
	return types[col]
}

// outType is the type of a column that a query gives, where it is one of a relation's.
func (s *splitter) outType(q *squery, i int) string {
	if q.open || i >= len(q.outs) {
		return ""
	}
	if q.left != nil {
		if t := s.outType(q.left, i); t == s.outType(q.right, i) {
			return t
		}
		return ""
	}
	if out := q.outs[i]; out.rel != nil {
		return s.typeOf(out.rel, out.col)
	}
	return ""
}
