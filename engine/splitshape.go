package engine

import (
	"slices"
	"strings"
)

// maxSplitTree bounds how large a question may become by copies of its WITH parts.
const maxSplitTree = 20_000

func treeSize(v any) (n int) {
	each(v, func(object) { n++ })
	return n
}

// inlineParts writes WITH parts where they are named, where that lets more of them run
// at their sites: those that are named once, that only choose, or that belong to
// one site and aggregate nothing. What nobody names goes.
func (s *splitter) inlineParts(root object) {
	for range 1000 {
		if treeSize(root) > maxSplitTree || !s.inlineOne(s.model(root)) {
			return
		}
	}
}

func (s *splitter) inlineOne(m *smodel) bool {
	uses := map[*spart][]*srel{}
	for _, q := range m.all {
		for _, r := range q.rels {
			if r.part != nil {
				uses[r.part] = append(uses[r.part], r)
			}
		}
	}
	for _, q := range m.all {
		for i, p := range q.parts {
			list := listOf(asObject(q.o["cte_map"]), "map")
			info := asObject(asObject(list[i])["value"])
			if p.q == nil || len(uses[p]) > 0 && !m.inlines(p, uses[p], info) || len(list) == 1 && m.apart(q) {
				continue
			}
			for n, r := range uses[p] {
				s.inline(r, p, info, n > 0)
			}
			asObject(q.o["cte_map"])["map"] = slices.Delete(slices.Clone(list), i, i+1)
			return true
		}
	}
	return false
}

// apart says whether only its WITH keeps a union from being one with the union around it: the
// engine reads (A UNION B) UNION C as A UNION (B UNION C), which is another one where their
// types differ.
func (m *smodel) apart(q *squery) bool {
	return q.left != nil && q.o["setop_type"] == "UNION" && isEmpty(q.o["modifiers"]) && slices.ContainsFunc(m.all, func(x *squery) bool {
		return x.left == q && x.o["setop_type"] == "UNION" && x.o["setop_all"] == q.o["setop_all"]
	})
}

func (m *smodel) inlines(p *spart, uses []*srel, info object) bool {
	if p.open || info["materialized"] == "CTE_MATERIALIZE_ALWAYS" {
		return false
	}
	if len(uses) == 1 || choosesOnly(p.q) {
		return true
	}
	return remoteSite(p.q) != "" && !p.q.outer && (!aggregates(p.q) || m.narrowed(uses))
}

// narrowed says whether anything is chosen by a condition where relations are read: then less
// of each of them may do. Else what aggregates is made once, and not for each name of it.
func (m *smodel) narrowed(rels []*srel) bool {
	for _, r := range rels {
		for _, c := range r.q.conds {
			if _, ok := m.single(r.q, c.expr); ok {
				return true
			}
		}
	}
	return false
}

// remoteSite is the one site of a query's tables; "" where there is none.
func remoteSite(q *squery) string {
	if len(q.sites) != 1 {
		return ""
	}
	for site := range q.sites {
		return site
	}
	return ""
}

// choosesOnly says that each row of the query is a row of one relation in it.
func choosesOnly(q *squery) bool {
	if !isEmpty(q.o["modifiers"]) || len(q.parts) > 0 {
		return false
	}
	if q.left != nil {
		return q.o["setop_type"] == "UNION" && q.o["setop_all"] == true && choosesOnly(q.left) && choosesOnly(q.right)
	}
	if len(q.rels) != 1 || len(q.subs) > 0 || aggregates(q) {
		return false
	}
	r := q.rels[0]
	return r.table != nil || r.part != nil || r.sub != nil && choosesOnly(r.sub)
}

// aggregates says that a SELECT's rows are not its FROM's.
func aggregates(q *squery) bool {
	return !isEmpty(q.o["group_expressions"]) || q.o["aggregate_handling"] != "STANDARD_HANDLING" || q.o["having"] != nil || q.o["qualify"] != nil ||
		hasAggregate(q.o["select_list"]) || hasWindow(q.o["select_list"]) || q.o["sample"] != nil || hasStar(q.o["select_list"]) && q.open
}

func hasWindow(v any) (found bool) {
	each(v, func(o object) { found = found || o["class"] == "WINDOW" })
	return found
}

func (s *splitter) inline(r *srel, p *spart, info object, again bool) {
	node := asObject(asObject(info["query"])["node"])
	if again {
		node = copyTree(node).(object)
		s.rename(node)
	}
	cols := textsOf(info, "aliases")
	if own := textsOf(r.o, "column_name_alias"); len(own) > 0 {
		cols = slices.Clone(cols)
		for i, c := range own {
			if i < len(cols) {
				cols[i] = c
			} else {
				cols = append(cols, c)
			}
		}
	}
	alias := textOf(r.o, "alias")
	if alias == "" {
		alias = textOf(r.o, "table_name")
	}
	ref := subqueryRef(node, alias)
	var list []any
	for _, c := range cols {
		list = append(list, c)
	}
	if list != nil {
		ref["column_name_alias"] = list
	}
	become(r.o, ref)
}

// rename gives the tables of other sites in a copy views of their own.
func (s *splitter) rename(node object) {
	each(node, func(o object) {
		if o["type"] != "BASE_TABLE" {
			return
		}
		t := mentioned(o)
		p, ok := s.places[t]
		if !ok || p.Site == "" {
			return
		}
		if textOf(o, "alias") == "" {
			o["alias"] = t.Table
		}
		again := Target{Schema: t.Schema, Table: s.name(t.Table)}
		s.places[again], s.copied[again] = p, s.asked(t)
		o["table_name"] = again.Table
	})
}

// asked is the table as the question had it, before it was copied.
func (s *splitter) asked(t Target) Target {
	if was, ok := s.copied[t]; ok {
		return was
	}
	return t
}

// spellUsing writes USING as ON where that means the same: with names of columns that say
// whose they are, so that a join can be looked at as any other.
func (s *splitter) spellUsing(root object) {
	m := s.model(root)
	for _, q := range m.all {
		if len(q.usings) == 0 || q.blind || q.open || hasStarItem(q) || !plainUsing(q) {
			continue
		}
		for _, u := range q.usings {
			for _, x := range m.all {
				each(x.o, func(o object) {
					words := textsOf(o, "column_names")
					ref, ok := m.refs[identity(o)]
					if ok && isRef(o) && ref.rel.q == q && ref.size == 1 && strings.EqualFold(words[0], u.name) {
						o["column_names"] = texts(append([]string{ref.rel.called()}, words...))
						ref.size = 2
						m.refs[identity(o)] = ref
					}
				})
			}
			on := comparison("COMPARE_EQUAL", columnRef(u.left.called(), u.name), columnRef(u.right.called(), u.name))
			if was, ok := u.join["condition"].(object); ok {
				on = andAsIs([]object{was, on})
			}
			u.join["condition"], u.join["using_columns"] = on, []any{}
		}
	}
}

// plainUsing says whether every USING of a query joins rows of which the left side is
// always there, so that its column is the one that is meant; each names relations that have
// names of their own.
func plainUsing(q *squery) bool {
	ok := q.named()
	for _, r := range q.rels {
		ok = ok && !r.open && isEmpty(r.o["sample"])
	}
	joins := 0
	each(q.o["from_table"], func(o object) {
		if o["type"] == "JOIN" {
			ok = ok && (o["ref_type"] == "REGULAR" || o["ref_type"] == "CROSS") && (o["join_type"] == "INNER" || o["join_type"] == "LEFT")
			joins += len(textsOf(o, "using_columns"))
		}
	})
	own := 0
	for _, u := range q.usings {
		if u.left != nil && u.right != nil {
			own++
		}
	}
	return ok && joins == own
}

// prune takes columns that nobody uses out of queries in a FROM.
func (s *splitter) prune(root object) {
	m := s.model(root)
	for _, q := range m.all {
		for _, sub := range q.subs {
			if t := sub.o["subquery_type"]; (t == "EXISTS" || t == "NOT_EXISTS") && sub.q.left == nil && !aggregates(sub.q) && isEmpty(sub.q.o["modifiers"]) {
				sub.q.o["select_list"] = []any{constantInt(1)} // what it gives is not looked at
			}
		}
	}
	m = s.model(root)
	for range MaxDepth {
		changed := false
		for _, q := range m.all {
			for _, r := range q.rels {
				if r.sub != nil && !m.wanted[r][everything] && !r.open && s.restrict(m, r) {
					changed = true
				}
			}
		}
		if !changed {
			return
		}
		m = s.model(root)
	}
}

func (s *splitter) restrict(m *smodel, r *srel) bool {
	keep := make([]bool, len(r.cols))
	all, none := true, true
	for i := range r.cols {
		keep[i] = m.wanted[r][i]
		all, none = all && keep[i], none && !keep[i]
	}
	if none && len(keep) > 0 {
		keep[0] = true
		all = len(keep) == 1
	}
	if all && !hasStarItem(r.sub) || !canRestrict(r.sub, keep) {
		return false
	}
	restrict(r.sub, keep)
	var list []any
	for i, c := range textsOf(r.o, "column_name_alias") {
		if i < len(keep) && keep[i] {
			list = append(list, c)
		}
	}
	if list == nil {
		list = []any{}
	}
	// Names that were given to the first columns must not slide to others.
	r.o["column_name_alias"] = list
	return true
}

func hasStarItem(q *squery) bool {
	if q.left != nil {
		return hasStarItem(q.left) || hasStarItem(q.right)
	}
	return slices.ContainsFunc(listOf(q.o, "select_list"), func(v any) bool { return asObject(v)["class"] == "STAR" })
}

func canRestrict(q *squery, keep []bool) bool {
	if q.open || len(q.outs) != len(keep) {
		return false
	}
	for _, x := range listOf(q.o, "modifiers") {
		if asObject(x)["type"] != "LIMIT_MODIFIER" {
			return false
		}
	}
	if q.left != nil {
		return q.o["setop_type"] == "UNION" && q.o["setop_all"] == true && canRestrict(q.left, keep) && canRestrict(q.right, keep)
	}
	if q.alias || q.blind || q.o["aggregate_handling"] == "FORCE_AGGREGATES" {
		return false
	}
	for _, g := range listOf(q.o, "group_expressions") {
		if asObject(g)["class"] != "COLUMN_REF" {
			return false
		}
	}
	if isEmpty(q.o["group_expressions"]) && hasAggregate(q.o["select_list"]) { // it has one row because of its aggregates
		for i, out := range q.outs {
			if keep[i] && out.expr != nil && hasAggregate(out.expr) {
				return true
			}
		}
		return false
	}
	return true
}

func restrict(q *squery, keep []bool) {
	if q.left != nil {
		restrict(q.left, keep)
		restrict(q.right, keep)
		return
	}
	var list []any
	for i, out := range q.outs {
		switch {
		case !keep[i]:
		case out.expr != nil:
			list = append(list, out.expr)
		default:
			list = append(list, columnRef(out.rel.called(), out.rel.cols[out.col]))
		}
	}
	q.o["select_list"] = list
}

// called is the name that a relation's columns can be qualified with.
func (r *srel) called() string {
	if n := textOf(r.o, "alias"); n != "" {
		return n
	}
	return textOf(r.o, "table_name")
}

// blocks makes one part of each query in the question that is over tables of one site
// and needs nothing from around it.
func (s *splitter) blocks(root object) {
	s.blockIn(s.model(root).root)
}

func (s *splitter) blockIn(q *squery) {
	for _, p := range q.parts {
		if p.q != nil && !s.block(p.q, nil) {
			s.blockIn(p.q)
		}
	}
	for _, side := range []*squery{q.left, q.right} {
		if side != nil && !s.block(side, nil) {
			s.blockIn(side)
		}
	}
	for _, r := range q.rels {
		if r.sub != nil && !s.block(r.sub, r) {
			s.blockIn(r.sub)
		}
	}
	for _, sub := range q.subs {
		if !s.block(sub.q, nil) {
			s.blockIn(sub.q)
		}
	}
}

// block makes a part of a query where that can be, which r is of a FROM, if it is.
func (s *splitter) block(q *squery, r *srel) bool {
	if len(q.rels) == 1 && q.rels[0].table != nil && s.leafOf(*q.rels[0].table) != nil {
		return true // it reads one
	}
	site := remoteSite(q)
	if site == "" || q.outer || q.open {
		return false
	}
	seen := map[string]bool{}
	for i, out := range q.outs {
		name := out.name
		if name == "" {
			if name = s.nameItem(q, i); name == "" {
				return false
			}
		}
		if seen[strings.ToLower(name)] {
			return false
		}
		seen[strings.ToLower(name)] = true
	}
	l := s.newBlock(q, site)
	if r != nil {
		ref := baseTable(l.view, r.called())
		ref["column_name_alias"] = r.o["column_name_alias"]
		become(r.o, ref)
	} else {
		become(q.o, selectNode([]any{star()}, baseTable(l.view, ""), nil))
	}
	return true
}

// nameItem gives the i-th column of a query the name that the engine would make up.
func (s *splitter) nameItem(q *squery, i int) string {
	for q.left != nil {
		q = q.left
	}
	if i >= len(q.outs) || q.outs[i].expr == nil {
		return ""
	}
	name := s.madeUp(q.outs[i].expr)
	q.outs[i].expr["alias"] = name
	q.outs[i].name = name
	return name
}

// madeUp is the name that the engine gives to an expression without one.
func (s *splitter) madeUp(expr object) string {
	stmt := object{"node": selectNode([]any{copyTree(expr)}, object{"type": "EMPTY", "alias": "", "sample": nil, "query_location": noPlace}, nil), "named_param_map": []any{}}
	t := &syntax{root: object{"error": false, "statements": []any{stmt}}, stmt: stmt}
	b, err := t.encode()
	if err != nil {
		return ""
	}
	text, err := s.parser.Deparse(s.ctx, b)
	if err != nil {
		panic(refusal{err})
	}
	return strings.TrimPrefix(text, "SELECT ")
}

func (s *splitter) newBlock(q *squery, site string) *leaf {
	l := &leaf{
		view: Target{Schema: "~", Table: s.name("q")}, site: site, need: map[string]bool{}, block: copyTree(q.o).(object),
	}
	l.cols = blockNames(q)
	for i := range l.cols {
		l.types = append(l.types, s.outType(q, i))
	}
	s.measure(l, q)
	s.atSite(l.block)
	s.leaves = append(s.leaves, l)
	return l
}

func blockNames(q *squery) []string {
	n := q
	for n.left != nil {
		n = n.left
	}
	return outNames(n.outs)
}

// measure guesses how many rows a query gives, from those of its tables.
func (s *splitter) measure(l *leaf, q *squery) {
	each(q.o, func(o object) {
		if o["type"] != "BASE_TABLE" {
			return
		}
		t := mentioned(o)
		if p, ok := s.places[t]; ok {
			l.base = max(l.base, p.Rows)
			l.of = append(l.of, s.asked(t))
		}
	})
	share := 1.0
	for _, c := range q.conds {
		if namesIn(c.expr) == 1 {
			share *= selectivity(c.expr)
		}
	}
	switch {
	case q.left == nil && hasAggregate(q.o["select_list"]) && isEmpty(q.o["group_expressions"]) && q.o["aggregate_handling"] == "STANDARD_HANDLING":
		l.rows = 1
		return
	case q.left == nil && aggregates(q):
		share *= 0.1
	}
	l.rows = int64(float64(l.base) * share)
}

// namesIn counts the different names in an expression, which is only good for guesses.
func namesIn(expr object) int {
	found := map[string]bool{}
	each(expr, func(o object) {
		if isRef(o) {
			found[strings.ToLower(strings.Join(textsOf(o, "column_names"), "."))] = true
		}
	})
	return len(found)
}
