package engine

import (
	"encoding/json"
	"slices"
	"strings"
)

// sums has each branch of a union that lies at other sites aggregate its own rows,
// and take no more of them than the question's LIMIT lets through: what comes here is
// put together by the same aggregates.
func (s *splitter) sums(root object) {
	for range MaxNodes {
		m := s.model(root)
		done := true
		for _, q := range m.all {
			if q.left == nil && (s.sumIn(m, q) || s.topIn(m, q) || s.sumBefore(m, q)) {
				done = false
				break
			}
		}
		if done {
			return
		}
	}
}

// branches are the queries whose rows a union in a FROM puts together, where each is a
// part; nil where it is not so.
func (s *splitter) branches(q *squery) []*squery {
	if q.left != nil {
		if q.o["setop_type"] != "UNION" || q.o["setop_all"] != true || !isEmpty(q.o["modifiers"]) || len(q.parts) > 0 {
			return nil
		}
		l, r := s.branches(q.left), s.branches(q.right)
		if l == nil || r == nil {
			return nil
		}
		return append(l, r...)
	}
	if len(q.rels) != 1 || q.rels[0].table == nil || !onlyKeys(q.o, "type", "select_list", "from_table", "aggregate_handling", "cte_map", "group_sets", "query_location") {
		return nil
	}
	list := listOf(q.o, "select_list")
	l := s.leafOf(*q.rels[0].table)
	if l == nil || l.site == "" || len(list) != 1 || asObject(list[0])["class"] != "STAR" || q.o["aggregate_handling"] != "STANDARD_HANDLING" {
		return nil
	}
	if l.block != nil && l.rows == 1 && l.base > 1 {
		return nil // it has one row already
	}
	return []*squery{q}
}

// union finds the one relation of a SELECT where that is a union of parts.
func (s *splitter) union(q *squery) (*srel, []*squery) {
	if len(q.rels) != 1 || q.rels[0].sub == nil || q.open || q.blind || q.o["sample"] != nil || q.o["qualify"] != nil || len(q.subs) > 0 {
		return nil, nil
	}
	r := q.rels[0]
	if r.sub.left == nil || r.o["sample"] != nil || r.open || !isEmpty(r.o["column_name_alias"]) || hasWindow(q.o) {
		return nil, nil
	}
	list := s.branches(r.sub)
	for _, b := range list {
		if l := s.leafOf(*b.rels[0].table); l.partial || len(l.cols) != len(r.cols) {
			return nil, nil
		}
	}
	return r, list
}

// partialSums are the aggregates that can be put together from those of parts.
var partialSums = words("sum count count_star min max avg")

// summing is one SELECT whose aggregates are taken apart.
type summing struct {
	m      *smodel
	q      *squery
	r      *srel
	alias  string
	groups []object // over columns by number
	inner  []any    // what each branch gives: the groups, then the aggregates
	names  int
	failed bool
	filled bool // a row of the others may have none of its own: it counts once
}

func (s *splitter) sumIn(m *smodel, q *squery) bool {
	r, branches := s.union(q)
	if branches == nil || !aggregated(q) {
		return false
	}
	u := &summing{m: m, q: q, r: r, alias: s.name("s")}
	where := q.o["where_clause"]
	if w, is := where.(object); is && !u.own(w) {
		return false
	}
	groups, ok := u.groupList()
	if !ok {
		return false
	}
	for i, g := range groups {
		item := copyTree(g).(object)
		item["alias"] = "g" + digits(i)
		u.inner = append(u.inner, item)
		u.groups = append(u.groups, u.bare(g))
	}
	node := object{}
	for k, v := range q.o {
		node[k] = v
	}
	s.spell(q)
	var list []any
	for _, item := range listOf(q.o, "select_list") {
		list = append(list, u.outer(item))
	}
	node["select_list"] = list
	for _, k := range []string{"having", "modifiers"} {
		node[k] = u.outer(q.o[k])
	}
	if u.failed {
		return false
	}
	var refs, sets []any
	for i := range groups {
		refs = append(refs, columnRef(u.alias, "g"+digits(i)))
		sets = append(sets, json.Number(digits(i)))
	}
	union := unionOf(r.sub, func(x *squery) object { return s.sumBranch(u, x, groups, where) })
	node["from_table"] = subqueryRef(union, u.alias)
	node["where_clause"], node["group_expressions"], node["group_sets"] = nil, orEmpty(refs), []any{}
	if len(refs) > 0 {
		node["group_sets"] = []any{sets}
	}
	node["aggregate_handling"] = "STANDARD_HANDLING"
	become(q.o, node)
	return true
}

// unionOf is a union with other branches.
func unionOf(q *squery, branch func(*squery) object) object {
	if q.left == nil {
		return branch(q)
	}
	out := copyTree(q.o).(object)
	out["left"], out["right"] = unionOf(q.left, branch), unionOf(q.right, branch)
	return out
}

func orEmpty(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

func aggregated(q *squery) bool {
	return !isEmpty(q.o["group_expressions"]) || q.o["aggregate_handling"] == "FORCE_AGGREGATES" || hasAggregate(q.o["select_list"])
}

// sumBranch makes a part of a branch that aggregates its rows.
func (s *splitter) sumBranch(u *summing, x *squery, groups []object, where any) object {
	old := s.leafOf(*x.rels[0].table)
	var of []joinColumn
	for _, g := range groups {
		c := joinColumn{-1, ""}
		if ref, ok := u.m.refs[identity(g)]; ok && isRef(g) && !ref.part {
			c = joinColumn{0, u.r.cols[ref.col]}
		}
		of = append(of, c)
	}
	rows := max(old.rows/10, 1)
	if len(groups) == 0 {
		rows = 1
	}
	l := s.sumLeaf(u, old, of, groups, conjuncts(where), rows)
	return selectNode([]any{star()}, baseTable(l.view, ""), nil)
}

// sumLeaf puts a part that aggregates the rows of another one in its place. Of are the
// groups' columns, as conditions on them can be asked where the rows are read.
func (s *splitter) sumLeaf(u *summing, old *leaf, of []joinColumn, groups, where []object, rows int64) *leaf {
	source := subqueryRef(old.node(nil), u.r.called())
	if old.table != nil {
		source = baseTable(old.table.Name, u.r.called())
		source["at_clause"] = old.table.At.tree()
	}
	u.r.rename(source, old)
	j := &joinBlock{items: []object{source}, list: u.inner, of: of, groups: groups}
	for _, c := range slices.Concat(old.preds, where) {
		j.where = append(j.where, copyTree(c).(object))
	}
	for range len(u.inner) - len(of) {
		j.of = append(j.of, joinColumn{-1, ""})
	}
	l := &leaf{
		view: Target{Schema: "~", Table: s.name("q")}, site: old.site, need: map[string]bool{}, join: j, base: old.base, rows: rows,
		of: old.of, chosen: old.chosen || len(j.where) > 0, partial: true, sharded: old.sharded,
	}
	for _, item := range u.inner {
		l.cols = append(l.cols, textOf(asObject(item), "alias"))
	}
	s.leaves = slices.DeleteFunc(s.leaves, func(y *leaf) bool { return y == old })
	s.leaves = append(s.leaves, l)
	return l
}

// rename has what a leaf gives be called as the relation's columns, which are those of the
// first branch of a union: in the others the same names may stand at other places.
func (r *srel) rename(o object, l *leaf) {
	if !slices.EqualFunc(r.cols, l.cols, strings.EqualFold) {
		o["column_name_alias"] = texts(r.cols)
	}
}

// groupList are the expressions that rows are grouped by, with positions and names of the
// select list put in full.
func (u *summing) groupList() (out []object, ok bool) {
	q := u.q
	if len(listOf(q.o, "group_sets")) > 1 {
		return nil, false
	}
	item := func(i int) object {
		if i < 0 || i >= len(q.outs) {
			return nil
		}
		if q.outs[i].expr == nil {
			c := columnRef(q.outs[i].rel.called(), q.outs[i].rel.cols[q.outs[i].col])
			u.m.refs[identity(c)] = sref{rel: q.outs[i].rel, col: q.outs[i].col, size: 2}
			return c
		}
		return q.outs[i].expr
	}
	if q.o["aggregate_handling"] == "FORCE_AGGREGATES" {
		for i := range q.outs {
			if e := item(i); !hasAggregate(e) {
				out = append(out, e)
			}
		}
	}
	for _, g := range listOf(q.o, "group_expressions") {
		g := asObject(g)
		if n, ok := asNumber(asObject(g["value"])["value"]); ok && g["class"] == "CONSTANT" {
			g = item(n - 1)
		} else if _, found := u.m.refs[identity(g)]; isRef(g) && !found {
			name := textsOf(g, "column_names")
			g = nil
			for i, o := range q.outs {
				if len(name) == 1 && o.expr != nil && strings.EqualFold(textOf(o.expr, "alias"), name[0]) {
					g = item(i)
				}
			}
		}
		if g == nil {
			return nil, false
		}
		out = append(out, g)
	}
	var each []object // once: the engine reads GROUP BY a, a as GROUP BY a
	for _, g := range out {
		if !u.own(g) || hasAggregate(g) {
			return nil, false
		}
		b := u.bare(g)
		if !slices.ContainsFunc(each, func(o object) bool { return sameTree(u.bare(o), b) }) {
			each = append(each, g)
		}
	}
	return each, true
}

// asNumber reads a whole number of the tree.
func asNumber(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return int(i), err == nil
}

// own says whether an expression is about columns of the union alone, which may be none.
func (u *summing) own(e object) (ok bool) {
	ok = true
	each(e, func(o object) {
		switch o["class"] {
		case "COLUMN_REF":
			ref, found := u.m.refs[identity(o)]
			ok = ok && found && ref.rel == u.r
		case "SUBQUERY", "STAR", "LAMBDA", "POSITIONAL_REFERENCE", "WINDOW", "PARAMETER":
			ok = false
		}
	})
	return ok
}

// bare is an expression for comparing: without the ways its names are written.
func (u *summing) bare(e object) object {
	b := u.m.bare(e)
	b["alias"] = ""
	return b
}

// outer is an expression of the SELECT over what the branches give.
func (u *summing) outer(v any) any {
	switch x := v.(type) {
	case []any:
		out := make([]any, len(x))
		for i, c := range x {
			out[i] = u.outer(c)
		}
		return out
	case object:
		if x["class"] != nil {
			if i := u.group(x); i >= 0 {
				c := columnRef(u.alias, "g"+digits(i))
				c["alias"] = textOf(x, "alias")
				return c
			}
		}
		if isAggregate(x) {
			return u.aggregate(x)
		}
		if isRef(x) {
			if _, found := u.m.refs[identity(x)]; found || !u.q.aliased(textsOf(x, "column_names")[0]) {
				u.failed = true
			}
			return copyTree(x)
		}
		out := make(object, len(x))
		for k, c := range x {
			out[k] = u.outer(c)
		}
		return out
	}
	return v
}

// group is which of the groups an expression is, -1 for none.
func (u *summing) group(x object) int {
	if !u.own(x) {
		return -1
	}
	b := u.bare(x)
	return slices.IndexFunc(u.groups, func(g object) bool { return sameTree(g, b) })
}

// aggregate takes an aggregate apart: what each branch gives, and what that is put
// together with.
func (u *summing) aggregate(x object) any {
	name := strings.ToLower(textOf(x, "function_name"))
	if !partialSums[name] || x["distinct"] == true || !isEmpty(asObject(x["order_bys"])["orders"]) || !u.own(x) || hasAggregate(x["children"]) {
		u.failed = true
		return x
	}
	part := func(function string) object {
		p := copyTree(x).(object)
		for _, v := range u.inner { // the same again?
			was := asObject(v)
			p["function_name"], p["alias"] = function, was["alias"]
			if sameTree(p, was) {
				return columnRef(u.alias, textOf(was, "alias"))
			}
		}
		p["function_name"], p["alias"] = function, "a"+digits(u.names)
		u.inner = append(u.inner, p)
		u.names++
		return columnRef(u.alias, textOf(p, "alias"))
	}
	alias := textOf(x, "alias")
	var out object
	switch name {
	case "sum", "min", "max":
		out = callOf(name, part(name))
	case "count", "count_star":
		n := part(name)
		if u.filled && name == "count_star" {
			n = coalesce(n, 1)
		}
		out = castTo(coalesce(callOf("sum", n), 0), "BIGINT")
	case "avg":
		if !u.numeric(x) {
			u.failed = true
			return x
		}
		total, count := part("sum"), part("count")
		out = callOf("/", castTo(callOf("sum", total), "DOUBLE"), castTo(callOf("sum", count), "DOUBLE"))
		out["is_operator"] = true
	}
	out["alias"] = alias
	return out
}

// numeric says whether all columns of an aggregate are known to be numbers: the average
// of a time is none of its sum.
func (u *summing) numeric(x object) bool {
	ok, any := true, false
	each(x["children"], func(o object) {
		if isRef(o) {
			any = true
			ok = ok && u.m.s.numberOf(u.r, u.m.refs[identity(o)].col)
		}
	})
	return ok && any
}

// numberOf says whether the i-th column of a relation is known to be of numbers.
func (s *splitter) numberOf(r *srel, i int) bool {
	if r.table == nil {
		return s.isNumber(r.sub, i)
	}
	if p, ok := s.places[*r.table]; ok {
		return has(p.Numbers, p.Columns[i])
	}
	return false
}

// isNumber says whether the i-th column of a query is known to be of numbers.
func (s *splitter) isNumber(q *squery, i int) bool {
	if q.left != nil {
		return s.isNumber(q.left, i) && s.isNumber(q.right, i)
	}
	if i >= len(q.outs) || q.outs[i].rel == nil || q.outs[i].rel.table == nil {
		return false
	}
	l := s.leafOf(*q.outs[i].rel.table)
	if l == nil || l.block == nil {
		return false
	}
	in := s.model(l.block).root // over the names at the site
	if in.left != nil || len(l.of) != 1 || i >= len(in.outs) {
		return false
	}
	e := in.outs[i].expr
	if e == nil || !isRef(e) {
		return false
	}
	w := textsOf(e, "column_names")
	return has(s.places[l.of[0]].Numbers, w[len(w)-1])
}

// coalesce is COALESCE(e, n).
func coalesce(e object, n int64) object {
	return object{
		"class": "OPERATOR", "type": "OPERATOR_COALESCE", "alias": "", "query_location": noPlace, "children": []any{e, constantInt(n)},
	}
}

func callOf(name string, args ...object) object {
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = a
	}
	return object{
		"class": "FUNCTION", "type": "FUNCTION", "alias": "", "query_location": noPlace, "function_name": name, "schema": "", "catalog": "",
		"children": list, "filter": nil, "order_bys": object{"type": "ORDER_MODIFIER", "orders": []any{}}, "distinct": false,
		"is_operator": false, "export_state": false,
	}
}

func castTo(e object, typ string) object {
	return object{
		"class": "CAST", "type": "OPERATOR_CAST", "alias": "", "query_location": noPlace, "child": e,
		"cast_type": object{"id": typ, "type_info": nil}, "try_cast": false,
	}
}

// topIn has branches give no more rows than a LIMIT lets through, in its order.
func (s *splitter) topIn(m *smodel, q *squery) bool {
	mods := listOf(q.o, "modifiers")
	r, branches := s.union(q)
	if branches == nil || aggregated(q) || len(mods) == 0 || len(mods) > 2 {
		return false
	}
	limit := asObject(mods[len(mods)-1])
	if limit["type"] != "LIMIT_MODIFIER" || len(mods) == 2 && asObject(mods[0])["type"] != "ORDER_MODIFIER" {
		return false
	}
	n, ok := asNumber(asObject(asObject(limit["limit"])["value"])["value"])
	skip := 0
	if ok && limit["offset"] != nil {
		skip, ok = asNumber(asObject(asObject(limit["offset"])["value"])["value"])
	}
	u := &summing{m: m, q: q, r: r}
	if !ok || n < 0 || skip < 0 || n+skip > 1_000_000 {
		return false
	}
	var orders []any
	if len(mods) == 2 {
		for _, o := range listOf(asObject(mods[0]), "orders") {
			e := asObject(asObject(o)["expression"])
			if !isRef(e) || !u.own(e) || q.aliased(textsOf(e, "column_names")[0]) {
				return false
			}
			orders = append(orders, o)
		}
	}
	where := q.o["where_clause"]
	if w, ok := where.(object); ok && !u.own(w) {
		return false
	}
	for _, x := range branches {
		old := s.leafOf(*x.rels[0].table)
		source := subqueryRef(old.node(nil), r.called())
		r.rename(source, old)
		node := selectNode([]any{star()}, source, copyTree(where))
		var list []any
		if orders != nil {
			list = append(list, object{"type": "ORDER_MODIFIER", "orders": copyTree(orders)})
		}
		node["modifiers"] = append(list, object{"type": "LIMIT_MODIFIER", "limit": constantInt(int64(n + skip)), "offset": nil})
		old.block, old.join, old.partial, old.cols = node, nil, true, slices.Clone(r.cols)
		old.rows = min(old.rows, int64(n+skip))
	}
	return true
}
