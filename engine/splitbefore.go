package engine

import (
	"slices"
	"strings"
)

// leastBefore is how many rows a relation has that is worth aggregating before a join;
// fewerBefore is how much fewer its groups have to be.
const (
	leastBefore = 20_000
	fewerBefore = 4
)

// sumBefore aggregates a relation of other sites before the question joins it: it gives
// one row for each value that it is joined by, where these are few against its rows. That
// is sound where all aggregates that count rows are about it alone: rows of one group meet
// the same rows of the others.
func (s *splitter) sumBefore(m *smodel, q *squery) bool {
	if !aggregated(q) || len(q.rels) < 2 || len(q.subs) > 0 || q.open || q.blind || q.o["sample"] != nil || q.o["qualify"] != nil || hasWindow(q.o) {
		return false
	}
	if slices.ContainsFunc(q.outs, func(o sout) bool { return o.expr == nil }) {
		return false // of a star
	}
	for _, r := range q.rels {
		filled, ok := placeOf(asObject(q.o["from_table"]), r)
		if !ok || r.name == "" || r.o["sample"] != nil || !isEmpty(r.o["column_name_alias"]) {
			continue
		}
		if s.sumOne(m, q, &summing{m: m, q: q, r: r, filled: filled}) {
			return true
		}
	}
	return false
}

// placeOf says how a FROM joins a relation: ok where all joins are inner ones, but for
// one whose right side is the relation itself and whose rows are filled with NULLs.
func placeOf(from object, r *srel) (filled, ok bool) {
	if from["type"] != "JOIN" {
		return false, true
	}
	if ref := textOf(from, "ref_type"); ref != "REGULAR" && ref != "CROSS" || !isEmpty(from["using_columns"]) || from["sample"] != nil {
		return false, false
	}
	left, ok := placeOf(asObject(from["left"]), r)
	if !ok {
		return false, false
	}
	switch from["join_type"] {
	case "INNER":
		right, ok := placeOf(asObject(from["right"]), r)
		return left || right, ok
	case "LEFT":
		return true, identity(asObject(from["right"])) == identity(r.o)
	}
	return false, false
}

func (s *splitter) sumOne(m *smodel, q *squery, u *summing) bool {
	rows, known := s.rowsOf(u.r)
	if !known || rows < leastBefore {
		return false
	}
	skip := map[uintptr]bool{} // conditions on the relation alone, which go with it
	var own []object
	meets := map[int]int64{} // columns that are joined by: how many rows the other side has
	for _, c := range q.conds {
		if r, ok := m.single(q, c.expr); ok && r == u.r && slices.Contains(c.narrows, r) {
			skip[identity(c.expr)] = true
			own = append(own, c.expr)
		}
		a, b, ok := m.equal(c.expr)
		if !ok || !slices.Contains(c.narrows, u.r) {
			continue
		}
		for _, x := range [][2]sref{{a, b}, {b, a}} {
			if n, known := s.rowsOf(x[1].rel); x[0].rel == u.r && x[1].rel.q == q && x[1].rel != u.r && known {
				if was, ok := meets[x[0].col]; !ok || n < was {
					meets[x[0].col] = n
				}
			}
		}
	}
	groups := u.columns(skip)
	few := int64(1)
	for _, col := range groups {
		n, ok := meets[col]
		if !ok || n <= 0 || few > rows/n { // more than there are rows, or not known
			return false
		}
		few *= n
	}
	if u.failed || len(groups) == 0 || few*fewerBefore > rows {
		return false
	}
	leaves := s.servants(u.r)
	if leaves == nil || slices.ContainsFunc(leaves, func(l *leaf) bool { return l.join != nil || l.rows == 1 }) {
		return false
	}
	s.putBefore(u, leaves, groups, own, skip, few)
	return true
}

// rowsOf is about how many rows a relation has, where that is known.
func (s *splitter) rowsOf(r *srel) (int64, bool) {
	if r.table != nil {
		if l := s.leafOf(*r.table); l != nil {
			return l.rows, true
		}
		p, ok := s.places[*r.table]
		return p.Rows, ok
	}
	if r.sub == nil {
		return 0, false
	}
	var n int64
	list := s.branches(r.sub)
	for _, b := range list {
		n += s.leafOf(*b.rels[0].table).rows
	}
	return n, list != nil
}

// columns are those of the relation that are used outside of aggregates that are about it
// alone and of what is skipped; failed is set where an aggregate does not allow it.
func (u *summing) columns(skip map[uintptr]bool) (out []int) {
	var walk func(v any, inside bool)
	walk = func(v any, inside bool) { // inside of another query
		switch x := v.(type) {
		case []any:
			for _, c := range x {
				walk(c, inside)
			}
		case object:
			if skip[identity(x)] || identity(x) == identity(u.r.o) {
				return
			}
			inside = inside || isQuery(x)
			if isAggregate(x) && inside && u.namedIn(x) {
				u.failed = true
			}
			if isAggregate(x) && !inside && u.takes(x) {
				return
			}
			if ref, ok := u.m.refs[identity(x)]; ok && isRef(x) && ref.rel == u.r && !slices.Contains(out, ref.col) {
				out = append(out, ref.col)
			}
			for _, c := range x {
				walk(c, inside)
			}
		}
	}
	for _, k := range []string{"select_list", "from_table", "where_clause", "group_expressions", "having", "modifiers"} {
		walk(u.q.o[k], false)
	}
	slices.Sort(out)
	return out
}

// isQuery says whether an object of the tree is a query.
func isQuery(o object) bool { return strings.HasSuffix(textOf(o, "type"), "_NODE") }

// namedIn says whether an expression names a column of the relation.
func (u *summing) namedIn(e object) (found bool) {
	each(e, func(o object) {
		ref, ok := u.m.refs[identity(o)]
		found = found || ok && isRef(o) && ref.rel == u.r
	})
	return found
}

// takes says whether an aggregate is about the relation alone. One about others is left as
// it is, which it may be where it does not matter how often a row comes.
func (u *summing) takes(x object) bool {
	name := strings.ToLower(textOf(x, "function_name"))
	if u.own(x) {
		if !partialSums[name] || x["distinct"] == true || !isEmpty(asObject(x["order_bys"])["orders"]) || name == "avg" && !u.numeric(x) {
			u.failed = true
		}
		if u.filled && !(name == "count_star" && x["filter"] == nil) && !u.plain(x) {
			u.failed = true // it may make something of a row that is filled with NULLs
		}
		return true
	}
	each(x, func(o object) {
		if ref, ok := u.m.refs[identity(o)]; isRef(o) && (!ok || ref.rel == u.r) {
			u.failed = true
		}
	})
	if name != "min" && name != "max" && (x["distinct"] != true || name != "count" && name != "sum") {
		u.failed = true
	}
	return true
}

// plain says whether an aggregate is of one column as it is: of NULL it makes nothing.
func (u *summing) plain(x object) bool {
	args := listOf(x, "children")
	if len(args) != 1 || x["filter"] != nil {
		return false
	}
	ref, ok := u.m.refs[identity(asObject(args[0]))]
	return ok && isRef(asObject(args[0])) && !ref.part
}

// putBefore writes the question over the relation's sums.
func (s *splitter) putBefore(u *summing, leaves []*leaf, groups []int, own []object, skip map[uintptr]bool, rows int64) {
	q := u.q
	s.spell(q)
	u.alias = s.name("s")
	place := map[int]string{}
	var list []object
	var of []joinColumn
	for i, col := range groups {
		c := columnRef(u.r.called(), u.r.cols[col])
		list, of = append(list, c), append(of, joinColumn{0, u.r.cols[col]})
		item := copyTree(c).(object)
		item["alias"] = "g" + digits(i)
		u.inner = append(u.inner, item)
		place[col] = "g" + digits(i)
	}
	var lift func(v any, inside bool) any
	lift = func(v any, inside bool) any {
		switch x := v.(type) {
		case []any:
			out := []any{}
			for _, c := range x {
				out = append(out, lift(c, inside))
			}
			return out
		case object:
			inside = inside || isQuery(x)
			if isAggregate(x) && !inside && u.own(x) {
				return u.aggregate(x)
			}
			if ref, ok := u.m.refs[identity(x)]; ok && isRef(x) && ref.rel == u.r {
				c := columnRef(append([]string{u.alias, place[ref.col]}, textsOf(x, "column_names")[ref.size:]...)...)
				c["alias"] = textOf(x, "alias")
				return c
			}
			for k, c := range x {
				if identity(x) != identity(u.r.o) {
					x[k] = lift(c, inside)
				}
			}
			return x
		}
		return v
	}
	for _, c := range q.conds {
		if skip[identity(c.expr)] {
			drop(q, c)
		}
	}
	for _, k := range []string{"select_list", "from_table", "where_clause", "group_expressions", "having", "modifiers"} {
		q.o[k] = lift(q.o[k], false)
	}
	sums := map[*leaf]*leaf{}
	for _, l := range leaves {
		sums[l] = s.sumLeaf(u, l, of, list, own, min(l.rows, rows))
	}
	if u.r.table != nil {
		become(u.r.o, baseTable(sums[leaves[0]].view, u.alias))
		return
	}
	for _, b := range s.branchesOf(u.r.sub) {
		for old, l := range sums {
			if old.view == *b.rels[0].table {
				become(b.o, selectNode([]any{star()}, baseTable(l.view, ""), nil))
			}
		}
	}
	u.r.o["alias"] = u.alias
}

// branchesOf are the SELECTs that a union puts together.
func (s *splitter) branchesOf(q *squery) []*squery {
	if q.left == nil {
		return []*squery{q}
	}
	return append(s.branchesOf(q.left), s.branchesOf(q.right)...)
}
