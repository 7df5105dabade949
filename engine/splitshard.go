package engine

import (
	"maps"
	"slices"
	"strings"
)

// Shard says which of the rows of something larger a table has: those whose value in a
// column falls to one part of several. Tables that are divided alike hold rows of one
// value in the same part.
type Shard struct {
	Column string
	// Modulus is into how many parts values are divided, Remainder which of them it is.
	Modulus, Remainder int
	// Kind is how values are told apart: only columns of one kind are divided alike.
	Kind string
}

// shards joins relations that are unions of shards part by part, where the question joins
// them by the column that they are divided by: no row of one part has a partner in
// another. Conditions on them go with it, and so do queries in these that are about
// the same value.
func (s *splitter) shards(root object) {
	for range MaxNodes {
		m := s.model(root)
		if !slices.ContainsFunc(m.all, func(q *squery) bool { return s.shardsIn(m, q) }) {
			return
		}
	}
}

// sharded is a relation that is a union of shards.
type sharded struct {
	col   int // that they are divided by
	of    int
	kind  string
	parts map[int]*squery // the SELECT of each
	sites map[int]string
}

// alike says that rows of one value are in the same part of both, at the same node.
func (x *sharded) alike(y *sharded) bool {
	return x != nil && y != nil && x.of == y.of && x.kind == y.kind && maps.Equal(x.sites, y.sites)
}

// shardedBy looks at a relation: it is sharded where it puts together the rows of shards,
// one of each part, with the column that they are divided by in one place.
func (s *splitter) shardedBy(r *srel) *sharded {
	if r.sub == nil || r.sub.left == nil || r.open || r.name == "" || r.o["sample"] != nil || !distinctNames(r.cols) {
		return nil
	}
	x := &sharded{col: -1, parts: map[int]*squery{}, sites: map[int]string{}}
	if !s.addShards(x, r.sub) || len(slices.Compact(slices.Sorted(maps.Values(x.sites)))) < 2 {
		return nil
	}
	return x
}

func distinctNames(names []string) bool {
	seen := map[string]bool{}
	for _, n := range names {
		n = strings.ToLower(n)
		if n == "" || seen[n] {
			return false
		}
		seen[n] = true
	}
	return true
}

func (s *splitter) addShards(x *sharded, q *squery) bool {
	if q.open || q.blind || q.outer || !isEmpty(q.o["modifiers"]) || len(q.parts) > 0 {
		return false
	}
	if q.left != nil {
		return q.o["setop_type"] == "UNION" && q.o["setop_all"] == true && s.addShards(x, q.left) && s.addShards(x, q.right)
	}
	if len(q.rels) != 1 || q.rels[0].table == nil || q.rels[0].o["sample"] != nil || len(q.subs) > 0 || aggregates(q) {
		return false
	}
	p, ok := s.places[*q.rels[0].table]
	if !ok || p.Shard == nil || !isEmpty(q.rels[0].o["column_name_alias"]) {
		return false
	}
	col := slices.IndexFunc(q.outs, func(o sout) bool { return o.rel != nil && strings.EqualFold(o.rel.cols[o.col], p.Shard.Column) })
	if len(x.parts) == 0 {
		x.col, x.of, x.kind = col, p.Shard.Modulus, p.Shard.Kind
	}
	if col < 0 || col != x.col || p.Shard.Modulus != x.of || p.Shard.Kind != x.kind || x.parts[p.Shard.Remainder] != nil {
		return false
	}
	x.parts[p.Shard.Remainder], x.sites[p.Shard.Remainder] = q, p.Site
	return true
}

// uniqueIn says whether no two rows of a sharded relation are equal in the columns, which
// have the one that it is divided by.
func (s *splitter) uniqueIn(x *sharded, r *srel, cols []string) bool {
	for _, q := range x.parts {
		ok := slices.ContainsFunc(s.places[*q.rels[0].table].Unique, func(key []string) bool {
			return !slices.ContainsFunc(key, func(k string) bool {
				i := slices.IndexFunc(q.outs, func(o sout) bool { return o.rel != nil && strings.EqualFold(o.rel.cols[o.col], k) })
				return i < 0 || !has(cols, r.cols[i])
			})
		})
		if !ok {
			return false
		}
	}
	return true
}

func (s *splitter) shardsIn(m *smodel, q *squery) bool {
	if !q.inner || q.blind || q.open || q.o["sample"] != nil {
		return false
	}
	all := map[*srel]*sharded{}
	for _, r := range q.rels {
		if x := s.shardedBy(r); x != nil {
			all[r] = x
		}
	}
	if len(all) == 0 {
		return false
	}
	eq := s.equalities(m, q)
	for _, c := range s.shardGroups(eq, q, all) {
		taken := s.shardConds(m, q, c, all)
		if len(c) > 1 || s.hasSub(taken) {
			s.partwise(m, q, c, all, append(taken, eq.implied(c)...), eq.twice(c))
			return true
		}
	}
	return false
}

// shardGroups are the relations that are divided alike and joined by what they are divided
// by: around one of them, whose rows they add nothing to, each is found by a key of its own.
func (s *splitter) shardGroups(eq *equals, q *squery, all map[*srel]*sharded) [][]*srel {
	return s.grow(slices.DeleteFunc(slices.Clone(q.rels), func(r *srel) bool { return all[r] == nil }), q, func(r *srel, c []*srel) bool {
		beside := slices.ContainsFunc(c, func(o *srel) bool {
			return all[r].alike(all[o]) && eq.equal(columnOf{r, all[r].col}, columnOf{o, all[o].col})
		})
		return beside && s.uniqueIn(all[r], r, eq.found(r, c))
	})
}

// shardConds are the conditions that mean the same where the relations, and the tables of
// queries in them, are those of one part. What such queries read is added to all.
func (s *splitter) shardConds(m *smodel, q *squery, c []*srel, all map[*srel]*sharded) (taken []object) {
	for _, cond := range q.conds {
		found := map[*srel]*sharded{}
		for _, r := range c {
			found[r] = all[r]
		}
		within := map[*squery]bool{}
		ok := true
		for _, sub := range q.subs {
			if ok && containsObject(cond.expr, sub.o) {
				ok = s.shardSub(m, sub, found, within)
			}
		}
		if ok && m.names(cond.expr, c, within) {
			taken = append(taken, cond.expr)
			maps.Copy(all, found)
		}
	}
	return taken
}

// shardSub says whether a query in an expression gives the same where what it reads are
// shards of the part that a row around it is in: each of its relations is joined, by what
// it is divided by, to one around it or to another of its own. What it reads is added to
// found, and what it names is within.
func (s *splitter) shardSub(m *smodel, sub *ssub, found map[*srel]*sharded, within map[*squery]bool) bool {
	q := sub.q
	if q.left != nil || q.blind || q.open || !q.inner || len(q.parts) > 0 || q.o["sample"] != nil || q.o["qualify"] != nil || hasWindow(q.o) || len(listOf(q.o, "group_sets")) > 1 {
		return false
	}
	for _, x := range listOf(q.o, "modifiers") {
		if x := asObject(x); x["type"] != "DISTINCT_MODIFIER" || len(listOf(x, "distinct_on_targets")) > 0 {
			return false
		}
	}
	own := map[*srel]*sharded{}
	for _, r := range q.rels {
		if own[r] = s.shardedBy(r); own[r] == nil {
			return false
		}
	}
	within[q] = true
	by := func(a, b sref) bool { // a's part is that of b
		x, y := found[a.rel], own[b.rel]
		return x != nil && y != nil && b.rel.q == q && x.col == a.col && y.col == b.col && x.alike(y)
	}
	if child := asObject(sub.o["child"]); sub.o["subquery_type"] == "ANY" && sub.o["comparison_type"] == "COMPARE_EQUAL" && len(q.outs) == 1 && q.outs[0].rel != nil {
		out := sref{rel: q.outs[0].rel, col: q.outs[0].col}
		if ref, ok := m.refs[identity(child)]; ok && isRef(child) && !ref.part && by(ref, out) {
			found[out.rel] = own[out.rel]
		}
	}
	for more := true; more; {
		more = false
		for _, c := range q.conds {
			a, b, ok := m.equal(c.expr)
			if !ok {
				continue
			}
			for _, x := range [][2]sref{{a, b}, {b, a}} {
				if found[x[1].rel] == nil && by(x[0], x[1]) {
					found[x[1].rel], more = own[x[1].rel], true
				}
			}
		}
	}
	for _, r := range q.rels {
		if found[r] == nil {
			return false
		}
	}
	for _, in := range q.subs {
		if !s.shardSub(m, in, found, within) {
			return false
		}
	}
	return true
}

// partwise puts the union of what the parts give in the place of the relations, and of the
// conditions that go with them, and drops conditions that say what others do.
func (s *splitter) partwise(m *smodel, q *squery, rels []*srel, all map[*srel]*sharded, taken, dropped []object) {
	s.spell(q)
	alias := s.name("p")
	used := map[string]sref{}
	s.retarget(m, q, rels, slices.Concat(taken, dropped), alias, used)
	union := unionOf(rels[0].sub, func(x *squery) object {
		for part, p := range all[rels[0]].parts {
			if p == x {
				return s.onePart(part, rels, all, taken, used)
			}
		}
		return nil // which cannot be: the parts are the branches
	})
	s.instead(q, rels, slices.Concat(taken, dropped), subqueryRef(union, alias))
}

// onePart is what one part of the relations gives: a leaf of its node, or a query here.
func (s *splitter) onePart(part int, rels []*srel, all map[*srel]*sharded, taken []object, used map[string]sref) object {
	// What stands for a relation is found again in the copies by a mark.
	const mark = "~shard"
	var marked []*srel
	for r := range all {
		r.o[mark] = len(marked)
		marked = append(marked, r)
	}
	var of []Target
	var base int64
	its := func(o object) object {
		c := copyTree(o).(object)
		each(c, func(o object) {
			i, ok := o[mark].(int)
			if !ok {
				return
			}
			r := marked[i]
			b := all[r].parts[part]
			t := *b.rels[0].table
			of, base = append(of, s.asked(t)), max(base, s.places[t].Rows)
			ref := subqueryRef(copyTree(b.o).(object), r.called())
			if !slices.EqualFunc(r.cols, outNames(b.outs), strings.EqualFold) {
				ref["column_name_alias"] = texts(r.cols)
			}
			become(o, ref)
		})
		return c
	}
	j := &joinBlock{}
	for _, r := range rels {
		j.items = append(j.items, its(r.o))
	}
	for _, c := range taken {
		j.where = append(j.where, its(c))
	}
	for r := range all {
		delete(r.o, mark)
	}
	names, types := s.give(j, rels, used)
	site := all[rels[0]].sites[part]
	if site == "" {
		l := &leaf{join: j}
		return l.node(nil)
	}
	l := &leaf{view: Target{Schema: "~", Table: s.name("q")}, site: site, need: map[string]bool{}, join: j, cols: names, types: types, of: of, base: base, sharded: true}
	l.guess(taken)
	for _, o := range slices.Concat(j.items, j.where) {
		s.atSite(o)
	}
	s.leaves = append(s.leaves, l)
	return selectNode([]any{star()}, baseTable(l.view, ""), nil)
}
