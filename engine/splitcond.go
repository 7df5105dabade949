package engine

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"weft"
)

// collect makes a leaf of every table that is read by itself, and notes which
// columns of each the question uses.
func (s *splitter) collect(m *smodel) {
	s.at = map[*srel]*leaf{}
	for _, q := range m.all {
		for _, r := range q.rels {
			if r.table == nil {
				continue
			}
			l := s.leafOf(*r.table)
			if l == nil || l.table != nil && l.site == "" { // here each mention has its own conditions
				l = s.tableLeaf(*r.table, s.places[*r.table])
			}
			s.at[r] = l
			all := !isEmpty(r.o["column_name_alias"]) // names are given by place
			for i, c := range l.cols {
				if all || m.wants(r, i) {
					l.need[strings.ToLower(c)] = true
				}
			}
		}
	}
}

// conditions pushes what the question demands of rows to where they come from.
func (s *splitter) conditions(m *smodel) {
	for _, q := range m.all {
		if q.o["sample"] != nil {
			continue
		}
		for _, c := range q.conds {
			s.condition(m, q, c)
		}
	}
}

func (s *splitter) condition(m *smodel, q *squery, c scond) {
	if r, ok := m.single(q, c.expr); ok {
		if slices.Contains(c.narrows, r) {
			s.push(m, r, m.bare(c.expr))
		}
		return
	}
	if c.expr["type"] == "CONJUNCTION_OR" {
		for _, e := range s.implied(m, q, c.expr) {
			s.condition(m, q, scond{expr: e, narrows: c.narrows, among: c.among})
		}
	}
	if a, b, ok := m.equal(c.expr); ok {
		s.edge(m, q, c, a, b)
		s.edge(m, q, c, b, a)
		return
	}
	if c.expr["class"] == "SUBQUERY" {
		s.subCondition(m, q, c)
	}
}

// single finds the one relation, of the query's own FROM, that an expression is
// about, where that is all it needs.
func (m *smodel) single(q *squery, expr object) (r *srel, ok bool) {
	ok = true
	each(expr, func(o object) {
		switch o["class"] {
		case "COLUMN_REF":
			ref, found := m.refs[identity(o)]
			if !found || ref.rel.q != q || r != nil && r != ref.rel {
				ok = false
				return
			}
			r = ref.rel
		case "SUBQUERY", "STAR", "LAMBDA", "POSITIONAL_REFERENCE", "WINDOW", "PARAMETER":
			ok = false
		}
	})
	return r, ok && r != nil
}

// bare is a copy of an expression about one relation, with its columns by number.
func (m *smodel) bare(expr object) object {
	return m.rewrite(expr, func(ref sref, rest []string) object {
		return columnRef(append([]string{"#" + digits(ref.col)}, rest...)...)
	})
}

// rewrite copies an expression with the names of columns replaced; rest are the words
// behind a column's name.
func (m *smodel) rewrite(expr object, f func(ref sref, rest []string) object) object {
	var walk func(v any) any
	walk = func(v any) any {
		switch x := v.(type) {
		case object:
			if ref, ok := m.refs[identity(x)]; ok && isRef(x) {
				words := textsOf(x, "column_names")
				n := f(ref, words[ref.size:])
				n["alias"] = textOf(x, "alias")
				return n
			}
			c := make(object, len(x))
			for k, v := range x {
				c[k] = walk(v)
			}
			return c
		case []any:
			c := make([]any, len(x))
			for i, v := range x {
				c[i] = walk(v)
			}
			return c
		}
		return v
	}
	return walk(expr).(object)
}

// equal recognises a = b of two columns as they are.
func (m *smodel) equal(expr object) (a, b sref, ok bool) {
	if expr["class"] != "COMPARISON" || expr["type"] != "COMPARE_EQUAL" {
		return a, b, false
	}
	a, okA := m.refs[identity(asObject(expr["left"]))]
	b, okB := m.refs[identity(asObject(expr["right"]))]
	return a, b, okA && okB && !a.part && !b.part
}

// edge notes that rows of a's relation without a partner among b's do not count.
func (s *splitter) edge(m *smodel, q *squery, c scond, a, b sref) {
	if a.rel.q != q || !slices.Contains(c.narrows, a.rel) || b.rel == a.rel {
		return
	}
	if b.rel.q == q && !slices.Contains(c.among, b.rel) {
		return
	}
	if from, ok := s.origins(b.rel, b.col); ok {
		s.narrow(m, a.rel, a.col, from)
		s.links["k"+digits(s.uses)] = link{m, q, c.expr}
	}
}

// narrow pushes that a column has one of the values of others.
func (s *splitter) narrow(m *smodel, r *srel, col int, from []leafColumn) {
	s.narrowBy(m, r, col, &leafKey{from: from})
}

// answered are the keys that a query gives when its parts are here, where it chooses
// among what they give: by aggregates, in the first place.
func (s *splitter) answered(m *smodel, in *squery) *leafKey {
	if in.left != nil || in.outer || in.blind || in.o["having"] == nil || len(in.parts) > 0 {
		return nil
	}
	k := &leafKey{query: map[*leaf]bool{}}
	var gather func(q *squery) bool
	gather = func(q *squery) bool {
		for _, r := range q.rels {
			switch {
			case s.at[r] != nil:
				k.query[s.at[r]] = true
			case r.sub == nil || !gather(r.sub):
				return false
			}
		}
		for _, sub := range q.subs {
			if !gather(sub.q) {
				return false
			}
		}
		return q.left == nil || gather(q.left) && gather(q.right)
	}
	if !gather(in) {
		return nil
	}
	sql, err := writeNode(s.ctx, s.parser, copyTree(in.o).(object))
	if weft.KindOf(err) == weft.KindInvalid {
		return nil // the engine cannot write it: it goes without
	}
	if err != nil {
		panic(refusal{err})
	}
	k.sql = sql
	return k
}

func (s *splitter) narrowBy(m *smodel, r *srel, col int, k *leafKey) {
	s.uses++
	k.name = "k" + digits(s.uses)
	s.pushing = k
	s.push(m, r, inKeys(columnRef("#"+digits(col)), k.name))
	s.pushing = nil
}

// subCondition is for x IN (SELECT …) and EXISTS (SELECT …).
func (s *splitter) subCondition(m *smodel, q *squery, c scond) {
	var in *squery
	for _, sub := range q.subs {
		if identity(sub.o) == identity(c.expr) {
			in = sub.q
		}
	}
	if in == nil {
		return
	}
	switch c.expr["subquery_type"] {
	case "ANY":
		ref, ok := m.refs[identity(asObject(c.expr["child"]))]
		if c.expr["comparison_type"] != "COMPARE_EQUAL" || !ok || ref.part || len(in.outs) != 1 || in.open {
			return
		}
		if ref.rel.q == q && slices.Contains(c.narrows, ref.rel) {
			if k := s.answered(m, in); k != nil {
				s.narrowBy(m, ref.rel, ref.col, k)
				s.given[k.name] = c.expr
			} else if from, ok := s.outOrigins(in, 0); ok {
				s.narrow(m, ref.rel, ref.col, from)
			}
		}
		if from, ok := s.origins(ref.rel, ref.col); ok {
			s.uses++
			k := &leafKey{name: "k" + digits(s.uses), from: from}
			s.pushing = k
			s.pushQuery(m, in, inKeys(columnRef("#0"), k.name))
			s.pushing = nil
		}
	case "EXISTS":
		if in.left != nil || aggregates(in) || !isEmpty(in.o["modifiers"]) {
			return
		}
		for _, ic := range in.conds {
			a, b, ok := m.equal(ic.expr)
			if !ok {
				continue
			}
			for _, x := range [][2]sref{{a, b}, {b, a}} {
				if x[0].rel.q == q && x[1].rel.q == in && slices.Contains(c.narrows, x[0].rel) && slices.Contains(in.solid, x[1].rel) {
					if from, ok := s.origins(x[1].rel, x[1].col); ok {
						s.narrow(m, x[0].rel, x[0].col, from)
					}
				}
			}
		}
	}
}

// looked notes of which leaves it is only asked whether a row is there: those that are read in
// EXISTS (SELECT …), x IN (SELECT …) and the like.
func (s *splitter) looked(m *smodel) {
	for _, q := range m.all {
		for _, sub := range q.subs {
			switch sub.o["subquery_type"] {
			case "EXISTS", "NOT_EXISTS", "ANY":
				s.lookedIn(sub.q)
			}
		}
	}
}

func (s *splitter) lookedIn(q *squery) {
	for _, x := range listOf(q.o, "modifiers") {
		if t := asObject(x)["type"]; t != "ORDER_MODIFIER" && t != "DISTINCT_MODIFIER" || len(listOf(asObject(x), "distinct_on_targets")) > 0 {
			return
		}
	}
	if len(q.parts) > 0 {
		return
	}
	if q.left != nil {
		if q.o["setop_type"] == "UNION" { // of others it counts how often a row comes
			s.lookedIn(q.left)
			s.lookedIn(q.right)
		}
		return
	}
	if aggregates(q) || positional(q.o["from_table"]) {
		return
	}
	for _, r := range q.rels {
		if r.o["sample"] != nil {
			continue
		}
		if l := s.at[r]; l != nil {
			l.looked = true
		} else if r.sub != nil {
			s.lookedIn(r.sub)
		}
	}
}

// positional says whether rows are joined by where they stand.
func positional(v any) (found bool) {
	each(v, func(o object) { found = found || o["ref_type"] == "POSITIONAL" })
	return found
}

// origins are the columns of leaves that all values of a column come from as they are.
func (s *splitter) origins(r *srel, col int) ([]leafColumn, bool) {
	if col >= len(r.inside) {
		return nil, false
	}
	switch {
	case s.at[r] != nil:
		return []leafColumn{{s.at[r], s.at[r].cols[col]}}, true
	case r.sub != nil:
		return s.outOrigins(r.sub, col)
	case r.part != nil && r.part.q != nil:
		return s.outOrigins(r.part.q, col)
	}
	return nil, false
}

func (s *splitter) outOrigins(q *squery, i int) ([]leafColumn, bool) {
	if q.open || i >= len(q.outs) {
		return nil, false
	}
	if q.left != nil {
		l, ok := s.outOrigins(q.left, i)
		if q.o["setop_type"] != "UNION" || !ok {
			return l, ok && q.o["setop_type"] != "UNION_BY_NAME"
		}
		r, ok := s.outOrigins(q.right, i)
		return slices.Concat(l, r), ok
	}
	if out := q.outs[i]; out.rel != nil {
		return s.origins(out.rel, out.col)
	}
	return nil, false
}

// push gives a condition, over columns by number, to what a relation reads.
func (s *splitter) push(m *smodel, r *srel, e object) {
	if r.o["sample"] != nil {
		return
	}
	switch {
	case s.at[r] != nil:
		s.pushLeaf(s.at[r], e)
	case r.sub != nil && !r.open:
		s.pushQuery(m, r.sub, e)
	}
}

// pushLeaf keeps the condition where it is sure that it can be asked.
func (s *splitter) pushLeaf(l *leaf, e object) {
	column := ""
	e = renumber(e, func(i int) object {
		column = l.cols[i]
		return columnRef(l.cols[i])
	})
	if k := s.pushing; k != nil {
		if s.mayTravel(k, l) {
			l.keys = append(l.keys, leafKey{name: k.name, column: column, from: k.from, query: k.query, sql: k.sql, pred: e})
		}
		return
	}
	if !slices.ContainsFunc(l.preds, func(p object) bool { return sameTree(p, e) }) {
		l.preds = append(l.preds, e)
	}
}

// mayTravel says whether the values of all sources may go to the leaf's site.
func (s *splitter) mayTravel(k *leafKey, l *leaf) bool {
	if l.site == "" && !s.rules.Away {
		return false // what is here is not sent
	}
	from := maps.Clone(k.query)
	if from == nil {
		from = map[*leaf]bool{}
	}
	for _, f := range k.from {
		from[f.leaf] = true
	}
	for f := range from {
		if f == l || f.site == "" && l.site == "" {
			return false
		}
		for _, t := range f.of {
			if f.site != l.site && l.site != "" && (s.rules.Travels == nil || !s.rules.Travels(t, l.site)) {
				return false
			}
		}
	}
	return true
}

// renumber replaces columns by number.
func renumber(e object, f func(i int) object) object {
	c := copyTree(e).(object)
	each(c, func(o object) {
		if !isRef(o) {
			return
		}
		words := textsOf(o, "column_names")
		n, ok := strings.CutPrefix(words[0], "#")
		if !ok {
			return
		}
		i, err := json.Number(n).Int64()
		if err != nil {
			return
		}
		to := f(int(i))
		list := listOf(to, "column_names")
		for _, w := range words[1:] {
			list = append(list, w)
		}
		o["column_names"] = list
	})
	return c
}

// pushQuery takes a condition on what a query gives into it, where its rows can be
// left out before it does what it does.
func (s *splitter) pushQuery(m *smodel, q *squery, e object) {
	for _, x := range listOf(q.o, "modifiers") {
		x := asObject(x)
		if x["type"] != "ORDER_MODIFIER" && (x["type"] != "DISTINCT_MODIFIER" || len(listOf(x, "distinct_on_targets")) > 0) {
			return
		}
	}
	if q.left != nil {
		if t := q.o["setop_type"]; t == "UNION_BY_NAME" || q.open {
			return
		}
		s.pushQuery(m, q.left, e)
		s.pushQuery(m, q.right, e)
		return
	}
	if q.o["sample"] != nil || q.o["qualify"] != nil || q.open || hasWindow(q.o["select_list"]) || hasUnnest(q.o["select_list"]) {
		return
	}
	var to *srel
	ok := true
	inner := renumber(e, func(i int) object {
		if i >= len(q.outs) || q.outs[i].rel == nil || to != nil && to != q.outs[i].rel || !groupedBy(m, q, i) {
			ok = false
			return columnRef("#0")
		}
		to = q.outs[i].rel
		return columnRef("#" + digits(q.outs[i].col))
	})
	if ok && to != nil && slices.Contains(q.solid, to) {
		s.push(m, to, inner)
	}
}

func hasUnnest(v any) (found bool) {
	each(v, func(o object) { found = found || strings.EqualFold(textOf(o, "function_name"), "unnest") })
	return found
}

// groupedBy says whether whole groups go when rows with a value of the column do.
func groupedBy(m *smodel, q *squery, i int) bool {
	groups := listOf(q.o, "group_expressions")
	if q.o["aggregate_handling"] == "FORCE_AGGREGATES" {
		return q.outs[i].rel != nil && len(listOf(q.o, "group_sets")) <= 1
	}
	if len(groups) == 0 {
		return !hasAggregate(q.o["select_list"]) && q.o["having"] == nil
	}
	if len(listOf(q.o, "group_sets")) > 1 {
		return false
	}
	for _, g := range groups {
		g := asObject(g)
		if ref, ok := m.refs[identity(g)]; ok && ref.rel == q.outs[i].rel && ref.col == q.outs[i].col && !ref.part {
			return true
		}
		if v, ok := asObject(g["value"])["value"].(json.Number); ok && g["class"] == "CONSTANT" {
			if n, err := v.Int64(); err == nil && int(n) == i+1 {
				return true
			}
		}
	}
	return false
}

// implied are conditions that hold wherever one of the alternatives does: for each
// relation what all of them say of it, and equalities that all have.
func (s *splitter) implied(m *smodel, q *squery, or object) []object {
	var alternatives [][]object
	for _, a := range listOf(or, "children") {
		alternatives = append(alternatives, conjuncts(a))
	}
	if len(alternatives) < 2 {
		return nil
	}
	var out []object
	for _, e := range alternatives[0] {
		if _, _, ok := m.equal(e); ok && inAll(alternatives[1:], e) {
			out = append(out, e)
		}
	}
	for _, r := range q.rels {
		var each []any
		for _, a := range alternatives {
			var mine []object
			for _, e := range a {
				if x, ok := m.single(q, e); ok && x == r {
					mine = append(mine, e)
				}
			}
			if len(mine) == 0 {
				break
			}
			each = append(each, andAsIs(mine))
		}
		if len(each) == len(alternatives) {
			out = append(out, object{"class": "CONJUNCTION", "type": "CONJUNCTION_OR", "alias": "", "query_location": noPlace, "children": each})
		}
	}
	return out
}

func inAll(alternatives [][]object, e object) bool {
	for _, a := range alternatives {
		if !slices.ContainsFunc(a, func(x object) bool { return sameTree(x, e) }) {
			return false
		}
	}
	return true
}
