package engine

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// joins makes one part of relations of one site that the question joins by a key of
// one of them, so that they are joined where they are: the join has no more rows than
// the other side. Conditions that are about these relations alone, and queries in
// them over tables of that site, go with it.
func (s *splitter) joins(root object) {
	for range MaxNodes {
		m := s.model(root)
		done := true
		for _, q := range m.all {
			if s.joinIn(m, q) {
				done = false
				break
			}
		}
		if done {
			return
		}
	}
}

func (s *splitter) joinIn(m *smodel, q *squery) bool {
	if !q.inner || q.blind || q.open || q.o["sample"] != nil || len(q.rels) == 0 {
		return false
	}
	sites := s.sitesIn(q)
	if len(sites) == 0 {
		return false
	}
	eq := s.equalities(m, q)
	for _, site := range sites {
		for _, c := range s.components(q, eq, site) {
			taken := s.inside(m, q, c, site)
			if len(c) > 1 || s.hasSub(taken) {
				s.merge(m, q, c, append(taken, eq.implied(c)...), eq.twice(c), site)
				return true
			}
		}
	}
	return false
}

// siteOf is where a relation is that is a table; "" is here, or nowhere.
func (s *splitter) siteOf(r *srel) string {
	if r.table == nil {
		return ""
	}
	if l := s.leafOf(*r.table); l != nil {
		return l.site
	}
	return s.places[*r.table].Site
}

func (s *splitter) sitesIn(q *squery) []string {
	found := map[string]bool{}
	for _, r := range q.rels {
		if site := s.siteOf(r); site != "" {
			found[site] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// components are the relations of a site, together where they are joined by keys: around one
// of them, whose rows they add nothing to, each is found by a key of its own.
func (s *splitter) components(q *squery, eq *equals, site string) [][]*srel {
	var left []*srel
	for _, r := range q.rels {
		if s.siteOf(r) == site && r.o["sample"] == nil && isEmpty(r.o["column_name_alias"]) && r.name != "" {
			left = append(left, r)
		}
	}
	return s.grow(left, q, func(r *srel, c []*srel) bool { return s.unique(r, eq.found(r, c)) })
}

// grow puts relations together: around each the most that can be added to it, one after the
// other, the largest groups first.
func (s *splitter) grow(left []*srel, q *squery, add func(r *srel, c []*srel) bool) [][]*srel {
	var list [][]*srel
	for len(left) > 0 {
		var best []*srel
		for _, root := range left {
			c := []*srel{root}
			for grown := true; grown; {
				grown = false
				for _, r := range left {
					if !slices.Contains(c, r) && add(r, c) {
						c, grown = append(c, r), true
					}
				}
			}
			if len(c) > len(best) || len(c) == len(best) && s.guessed(c[0]) > s.guessed(best[0]) {
				best = c
			}
		}
		left = slices.DeleteFunc(left, func(r *srel) bool { return slices.Contains(best, r) })
		// In the question's order.
		slices.SortFunc(best, func(a, b *srel) int { return slices.Index(q.rels, a) - slices.Index(q.rels, b) })
		list = append(list, best)
	}
	return list
}

// guessed is about how many rows a relation has, 0 where that is not known.
func (s *splitter) guessed(r *srel) int64 {
	n, _ := s.rowsOf(r)
	return n
}

// unique says whether no two rows of a table are equal in the columns.
func (s *splitter) unique(r *srel, cols []string) bool {
	if len(cols) == 0 {
		return false
	}
	p, ok := s.places[*r.table]
	return ok && slices.ContainsFunc(p.Unique, func(key []string) bool {
		return !slices.ContainsFunc(key, func(k string) bool { return !has(cols, k) })
	})
}

// inside are the conditions that are about the relations alone.
func (s *splitter) inside(m *smodel, q *squery, rels []*srel, site string) (taken []object) {
	for _, c := range q.conds {
		if m.about(q, c.expr, rels, site) {
			taken = append(taken, c.expr)
		}
	}
	return taken
}

// about says whether an expression names nothing but columns of the relations, and what
// is inside queries of its own over tables of the site.
func (m *smodel) about(q *squery, expr object, rels []*srel, site string) bool {
	within := map[*squery]bool{}
	var inner []*squery
	for _, sub := range q.subs {
		if containsObject(expr, sub.o) {
			inner = append(inner, sub.q)
		}
	}
	for len(inner) > 0 {
		x := inner[0]
		inner = inner[1:]
		within[x] = true
		if remoteSite(x) != site || x.blind {
			return false
		}
		for _, p := range x.parts {
			if p.q == nil {
				return false
			}
			inner = append(inner, p.q)
		}
		for _, r := range x.rels {
			if r.part != nil && !slices.ContainsFunc(x.parts, func(p *spart) bool { return p == r.part }) {
				return false // it may be from around
			}
			if r.sub != nil {
				inner = append(inner, r.sub)
			}
		}
		for _, sub := range x.subs {
			inner = append(inner, sub.q)
		}
		for _, side := range []*squery{x.left, x.right} {
			if side != nil {
				inner = append(inner, side)
			}
		}
	}
	return m.names(expr, rels, within)
}

// names says whether an expression names columns of the relations, and none of others but
// those of queries within it.
func (m *smodel) names(expr object, rels []*srel, within map[*squery]bool) bool {
	ok, any := true, false
	each(expr, func(o object) {
		switch o["class"] {
		case "COLUMN_REF":
			ref, found := m.refs[identity(o)]
			switch {
			case found && slices.Contains(rels, ref.rel):
				any = true
			case !found || !within[ref.rel.q] && !m.inUnion(ref.rel, within):
				ok = false
			}
		case "LAMBDA", "POSITIONAL_REFERENCE", "PARAMETER":
			ok = false
		case "STAR":
			ok = ok && len(within) > 0
		}
	})
	return ok && any
}

// inUnion says whether a relation is what a shard of a query within is read from.
func (m *smodel) inUnion(r *srel, within map[*squery]bool) bool {
	for q := r.q; q != nil; q = q.parent {
		if within[q] {
			return true
		}
	}
	return false
}

func containsObject(v any, o object) (found bool) {
	each(v, func(x object) { found = found || identity(x) == identity(o) })
	return found
}

// hasSub says whether a query goes along with the conditions.
func (s *splitter) hasSub(conds []object) bool {
	return slices.ContainsFunc(conds, func(c object) (found bool) {
		each(c, func(o object) { found = found || o["class"] == "SUBQUERY" })
		return found
	})
}

// merge puts a part in the place of relations and of the conditions that go with them, and
// drops those that say what others do.
func (s *splitter) merge(m *smodel, q *squery, rels []*srel, taken, dropped []object, site string) {
	s.spell(q)
	alias := s.name("j")
	used := map[string]sref{}
	s.retarget(m, q, rels, slices.Concat(taken, dropped), alias, used)

	l := &leaf{view: Target{Schema: "~", Table: s.name("q")}, site: site, need: map[string]bool{}, join: &joinBlock{where: taken}}
	l.cols, l.types = s.give(l.join, rels, used)
	for _, r := range rels {
		l.join.items = append(l.join.items, r.o)
	}
	s.guessJoin(l, rels, taken)
	s.leaves = append(s.leaves, l)
	s.instead(q, rels, slices.Concat(taken, dropped), baseTable(l.view, alias))
	for _, o := range slices.Concat(l.join.items, taken) {
		s.embed(l, o)
		s.atSite(o)
	}
}

// instead has a query read something in the place of relations and conditions.
func (s *splitter) instead(q *squery, rels []*srel, taken []object, with object) {
	var from object
	lateral := false // it may look at what stands before it
	for _, r := range q.rels {
		lateral = lateral || r.sub != nil && r.sub.outer
	}
	if lateral {
		from = with
	}
	for _, r := range q.rels {
		if !slices.Contains(rels, r) {
			from = joined(from, r.o)
		}
	}
	if !lateral {
		from = joined(from, with)
	}
	q.o["from_table"] = from
	var rest []object
	for _, c := range q.conds {
		if !slices.ContainsFunc(taken, func(t object) bool { return identity(t) == identity(c.expr) }) {
			rest = append(rest, c.expr)
		}
	}
	q.o["where_clause"] = nil
	if len(rest) > 0 {
		q.o["where_clause"] = andAsIs(rest)
	}
}

func joined(left, right object) object {
	if left == nil {
		return right
	}
	return crossJoin(left, right)
}

// spell writes a star out, and gives columns that have no name the one that they have
// now, before what they are made of is called something else.
func (s *splitter) spell(q *squery) {
	var list []any
	for _, out := range q.outs {
		item := out.expr
		if item == nil {
			item = columnRef(out.rel.called(), out.rel.cols[out.col])
		}
		if textOf(item, "alias") == "" {
			if isRef(item) {
				item["alias"] = out.name
			} else {
				item["alias"] = s.madeUp(item)
			}
		}
		list = append(list, item)
	}
	q.o["select_list"] = list
}

// retarget has names of columns of the relations mean those of the part, everywhere but
// in the conditions that go with it, and notes which columns these are.
func (s *splitter) retarget(m *smodel, q *squery, rels []*srel, taken []object, alias string, used map[string]sref) {
	skip := map[uintptr]bool{}
	for _, c := range taken {
		each(c, func(o object) { skip[identity(o)] = true })
	}
	point := func(o object, ref sref) {
		words := textsOf(o, "column_names")
		name := ref.rel.name + "." + strings.ToLower(ref.rel.cols[ref.col])
		used[name] = ref
		list := []any{alias, name}
		for _, w := range words[ref.size:] {
			list = append(list, w)
		}
		o["column_names"] = list
	}
	fresh := map[uintptr]bool{} // of stars: not in the model
	for i, v := range listOf(q.o, "select_list") {
		item := asObject(v)
		if _, ok := m.refs[identity(item)]; !ok && isRef(item) && q.outs[i].expr == nil && slices.Contains(rels, q.outs[i].rel) {
			point(item, sref{rel: q.outs[i].rel, col: q.outs[i].col, size: 2})
			fresh[identity(item)] = true
		}
	}
	each(q.o, func(o object) {
		ref, ok := m.refs[identity(o)]
		if ok && isRef(o) && !skip[identity(o)] && !fresh[identity(o)] && slices.Contains(rels, ref.rel) {
			point(o, ref)
		}
	})
}

// embed puts queries that were parts of their own into a larger one.
func (s *splitter) embed(into *leaf, v any) {
	each(v, func(o object) {
		if o["type"] != "BASE_TABLE" {
			return
		}
		l := s.leafOf(mentioned(o))
		if l == nil || l == into {
			return
		}
		node := l.node(nil)
		ref := subqueryRef(node, textOf(o, "alias"))
		if ref["alias"] == "" {
			ref["alias"] = l.view.Table
		}
		ref["column_name_alias"] = o["column_name_alias"]
		become(o, ref)
		s.leaves = slices.DeleteFunc(s.leaves, func(x *leaf) bool { return x == l })
		into.of, into.sharded = append(into.of, l.of...), into.sharded || l.sharded
		into.base = max(into.base, l.base)
	})
}

// guessJoin guesses how many rows a join by key has: those of its largest relation, less
// what conditions leave out.
func (s *splitter) guessJoin(l *leaf, rels []*srel, taken []object) {
	for _, r := range rels {
		if p, ok := s.places[*r.table]; ok {
			l.base = max(l.base, p.Rows)
			l.of = append(l.of, s.asked(*r.table))
		} else if x := s.leafOf(*r.table); x != nil {
			l.base = max(l.base, x.rows)
		}
	}
	for _, c := range taken {
		each(c, func(o object) {
			if o["type"] != "BASE_TABLE" {
				return
			}
			t := mentioned(o)
			if _, ok := s.places[t]; ok {
				l.of = append(l.of, s.asked(t))
			}
		})
	}
	l.guess(taken)
}

// guess guesses the rows of a join from those of its largest relation.
func (l *leaf) guess(taken []object) {
	share := 1.0
	for _, c := range taken {
		if namesIn(c) == 1 {
			share *= selectivity(c)
		}
	}
	l.rows = int64(float64(l.base) * share)
	l.chosen = share < 1
}

// joinBlock is a leaf that joins relations of its site, or aggregates what one has.
type joinBlock struct {
	items []object // of its FROM
	where []object
	list  []any
	of    []joinColumn // by column of the leaf: which item it is of
	// groups are what the rows are grouped by, where the list has aggregates.
	groups []object
}

type joinColumn struct {
	item int // -1 for none
	name string
}

// give has a join give columns of its relations, and returns what these are called and their
// types.
func (s *splitter) give(j *joinBlock, rels []*srel, used map[string]sref) (names, types []string) {
	for _, name := range slices.Sorted(maps.Keys(used)) {
		ref := used[name]
		item := columnRef(ref.rel.called(), ref.rel.cols[ref.col])
		item["alias"] = name
		j.list = append(j.list, item)
		j.of = append(j.of, joinColumn{slices.Index(rels, ref.rel), ref.rel.cols[ref.col]})
		names, types = append(names, name), append(types, s.typeOf(ref.rel, ref.col))
	}
	if len(names) == 0 { // only the number of rows counts
		one := constantInt(1)
		one["alias"] = "n"
		j.list, j.of, names = []any{one}, []joinColumn{{-1, ""}}, []string{"n"}
	}
	return names, types
}

// node is the leaf as a query. Conditions on its columns stand where the tables are
// read: the engine takes them no further down when they ask a query of keys.
func (l *leaf) node(conds []object) object {
	if l.join == nil {
		return copyTree(l.block).(object)
	}
	j := l.join
	on := make([][]object, len(j.items))
	var rest []object
	for _, c := range conds {
		if i, e := j.itemOf(l, c); i >= 0 {
			on[i] = append(on[i], e)
		} else {
			rest = append(rest, c)
		}
	}
	var from object
	for i, o := range j.items {
		o := copyTree(o).(object)
		if len(on[i]) > 0 {
			alias := textOf(o, "alias")
			if alias == "" {
				alias = textOf(o, "table_name")
			}
			o = subqueryRef(selectNode([]any{star()}, o, and(on[i])), alias)
		}
		from = joined(from, o)
	}
	node := selectNode(copyTree(j.list).([]any), from, and(j.where))
	if len(j.groups) > 0 {
		var list, set []any
		for i, g := range j.groups {
			g := copyTree(g).(object)
			g["alias"] = ""
			list, set = append(list, g), append(set, json.Number(digits(i)))
		}
		node["group_expressions"], node["group_sets"] = list, []any{set}
	}
	if len(rest) == 0 {
		return node
	}
	return selectNode([]any{star()}, subqueryRef(node, "b"), and(rest))
}

// itemOf finds the one item that a condition on the leaf's columns is about, and says it
// of the item's own.
func (j *joinBlock) itemOf(l *leaf, cond object) (item int, e object) {
	item = -1
	ok := true
	c := copyTree(cond).(object)
	each(c, func(o object) {
		if !isRef(o) {
			return
		}
		words := textsOf(o, "column_names")
		i := indexOf(l.cols, words[0])
		if i < 0 {
			return // of a query in it
		}
		of := j.of[i]
		if of.item < 0 || item >= 0 && item != of.item {
			ok = false
			return
		}
		item = of.item
		list := []any{of.name}
		for _, w := range words[1:] {
			list = append(list, w)
		}
		o["column_names"] = list
	})
	if !ok {
		return -1, nil
	}
	return item, c
}
