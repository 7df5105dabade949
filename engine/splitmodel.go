package engine

import (
	"slices"
	"strings"
)

// squery is what the splitter knows of a query: a SELECT, or a set operation.
type squery struct {
	o           object
	left, right *squery // of a set operation
	rels        []*srel // of a SELECT
	outs        []sout  // what it gives; not known where open
	open        bool
	subs        []*ssub // queries in its expressions
	parts       []*spart
	parent      *squery
	env         *spart // WITH parts in sight
	inner       bool   // its FROM is inner joins alone, without USING
	solid       []*srel
	usings      []susing
	conds       []scond
	outer       bool     // it names columns or WITH parts from outside, or what could not be found
	reaches     bool     // it, or a WITH part of it, names columns from outside or what could not be found
	needs       []*spart // WITH parts from outside that it, or what is in it, names
	blind       bool     // it, or what is in it, uses columns that could not be told
	alias       bool     // it uses names of its own select list, or what could not be found
	sites       map[string]bool
}

// sout is a column that a query gives.
type sout struct {
	name string
	expr object // nil where it comes of a star
	rel  *srel  // a column as it is
	col  int
}

// srel is a relation in a FROM.
type srel struct {
	o      object
	q      *squery // whose FROM it is in
	name   string  // by which its columns are called, in small letters
	schema string
	cols   []string // as they are called here
	inside []string // and inside
	open   bool     // there may be others
	table  *Target
	sub    *squery
	part   *spart
}

// ssub is a query in an expression.
type ssub struct {
	o object // the SUBQUERY expression
	q *squery
}

// spart is a WITH part.
type spart struct {
	parent *spart
	name   string
	q      *squery
	cols   []string
	open   bool
}

// scond is a condition that has to hold for rows, with the relations that may be
// narrowed down by it.
type scond struct {
	expr    object
	narrows []*srel
	among   []*srel // whose columns it may name
	from    object  // the join whose ON it is in; nil for WHERE
}

// susing is a column that a USING names, and the relations whose columns it makes one of.
type susing struct {
	join        object
	name        string
	left, right *srel
}

// sref is what the name of a column means.
type sref struct {
	rel  *srel
	col  int  // of the relation's
	size int  // how many words of the name are the relation and the column
	part bool // more follows: a field of it
}

// model looks at a query: where its relations are and what its names mean.
func (s *splitter) model(node object) *smodel {
	m := &smodel{s: s, refs: map[uintptr]sref{}, wanted: map[*srel]map[int]bool{}}
	m.root = m.query(node, nil, nil)
	return m
}

type smodel struct {
	s      *splitter
	root   *squery
	all    []*squery
	refs   map[uintptr]sref
	wanted map[*srel]map[int]bool // columns that are used of a relation; everything is all
}

func (m *smodel) query(node object, parent *squery, env *spart) *squery {
	q := &squery{o: node, parent: parent, sites: map[string]bool{}}
	m.all = append(m.all, q)
	for _, e := range listOf(asObject(node["cte_map"]), "map") {
		entry := asObject(e)
		info := asObject(entry["value"])
		p := &spart{parent: env, name: textOf(entry, "key")}
		inner := asObject(asObject(info["query"])["node"])
		if inner["type"] == "RECURSIVE_CTE_NODE" {
			p.open = true
			q.blind = true
			m.recursive(inner, q, p)
		} else {
			p.q = m.query(inner, parent, env)
			p.cols, p.open = outNames(p.q.outs), p.q.open
			m.absorb(q, p.q)
			q.reaches = q.reaches || p.q.reaches
		}
		p.cols = renamedBy(p.cols, textsOf(info, "aliases"))
		q.parts = append(q.parts, p)
		env = p
	}
	q.env = env
	if node["type"] == "SET_OPERATION_NODE" {
		m.setOp(q, env)
	} else {
		m.selected(q, env)
	}
	q.needs = slices.DeleteFunc(q.needs, func(p *spart) bool { return slices.Contains(q.parts, p) })
	q.outer = q.outer || q.reaches || len(q.needs) > 0
	return q
}

// recursive looks at a recursive part only for what it reads.
func (m *smodel) recursive(o object, q *squery, self *spart) {
	env := self
	inside := []*spart{self}
	for _, e := range listOf(asObject(o["cte_map"]), "map") {
		entry := asObject(e)
		inner := asObject(asObject(asObject(entry["value"])["query"])["node"])
		p := &spart{parent: env, name: textOf(entry, "key"), open: true}
		if inner["type"] != "RECURSIVE_CTE_NODE" {
			in := m.query(inner, q.parent, env)
			m.absorb(q, in)
			q.reaches = q.reaches || in.reaches
		} else {
			m.recursive(inner, q, p)
		}
		env = p
		inside = append(inside, p)
	}
	for _, side := range []string{"left", "right"} {
		n := asObject(o[side])
		r := m.query(n, q.parent, env)
		r.outer = true
		m.useAll(r)
		m.absorb(q, r)
		q.reaches = q.reaches || r.reaches
	}
	q.needs = slices.DeleteFunc(q.needs, func(p *spart) bool { return slices.Contains(inside, p) })
}

func outNames(outs []sout) []string {
	var n []string
	for _, o := range outs {
		n = append(n, o.name)
	}
	return n
}

func renamedBy(cols, aliases []string) []string {
	if len(aliases) == 0 {
		return cols
	}
	cols = slices.Clone(cols)
	for i := range min(len(aliases), len(cols)) {
		cols[i] = aliases[i]
	}
	return cols
}

// absorb takes over what a query inside says of the one around it.
func (m *smodel) absorb(q, in *squery) {
	for site := range in.sites {
		q.sites[site] = true
	}
	if in.blind {
		q.blind = true
	}
	for _, p := range in.needs {
		if !slices.Contains(q.needs, p) {
			q.needs = append(q.needs, p)
		}
	}
}

func (m *smodel) setOp(q *squery, env *spart) {
	q.left = m.query(asObject(q.o["left"]), q.parent, env)
	q.right = m.query(asObject(q.o["right"]), q.parent, env)
	for _, in := range []*squery{q.left, q.right} {
		m.absorb(q, in)
		q.outer, q.reaches = q.outer || in.outer, q.reaches || in.reaches
	}
	q.outs, q.open = q.left.outs, q.left.open || q.right.open
	if q.o["setop_type"] == "UNION_BY_NAME" || len(q.left.outs) != len(q.right.outs) {
		q.open = true
	}
	var outs []sout
	for _, o := range q.outs {
		outs = append(outs, sout{name: o.name})
	}
	q.outs = outs
	m.modifiers(q)
}

func (m *smodel) selected(q *squery, env *spart) {
	q.inner = true
	q.solid, _ = m.from(asObject(q.o["from_table"]), q, env)
	for _, item := range listOf(q.o, "select_list") {
		m.item(asObject(item), q)
	}
	for _, c := range conjuncts(q.o["where_clause"]) {
		q.conds = append(q.conds, scond{expr: c, narrows: q.solid, among: q.rels})
	}
	for _, k := range []string{"where_clause", "having", "qualify", "group_expressions"} {
		m.expr(q.o[k], q)
	}
	if q.o["aggregate_handling"] == "FORCE_AGGREGATES" {
		q.blind = q.blind || slices.ContainsFunc(listOf(q.o, "select_list"), hasStar)
	}
	m.modifiers(q)
}

func (m *smodel) modifiers(q *squery) {
	for _, x := range listOf(q.o, "modifiers") {
		m.expr(x, q)
	}
}

// from looks at an item of a FROM. It returns the relations whose rows are never
// filled up with NULLs by a join, and all of them.
func (m *smodel) from(o object, q *squery, env *spart) (solid, all []*srel) {
	if o["sample"] != nil {
		q.inner = false
	}
	switch o["type"] {
	case "EMPTY":
		return nil, nil
	case "JOIN":
		return m.join(o, q, env)
	}
	r := &srel{o: o, q: q, name: strings.ToLower(textOf(o, "alias"))}
	switch o["type"] {
	case "BASE_TABLE":
		m.table(r, env)
	case "SUBQUERY":
		r.sub = m.query(asObject(asObject(o["subquery"])["node"]), q, env)
		r.inside, r.open = outNames(r.sub.outs), r.sub.open
		m.absorb(q, r.sub)
		q.outer = q.outer || r.sub.outer
	default: // a function or VALUES: its columns are not looked at
		r.open = true
		q.inner = false
		for _, k := range []string{"function", "values", "source", "aggregates", "pivots", "groups", "unpivot_names"} {
			if k == "source" && o[k] != nil {
				m.from(asObject(o[k]), q, env)
				q.blind = true
			} else {
				m.expr(o[k], q)
			}
		}
		if r.name == "" {
			r.name = strings.ToLower(textOf(asObject(o["function"]), "function_name"))
		}
	}
	r.cols = renamedBy(r.inside, textsOf(o, "column_name_alias"))
	q.rels = append(q.rels, r)
	return []*srel{r}, []*srel{r}
}

func (m *smodel) table(r *srel, env *spart) {
	schema, name := textOf(r.o, "schema_name"), textOf(r.o, "table_name")
	if r.name == "" {
		r.name, r.schema = strings.ToLower(name), strings.ToLower(schema)
	}
	if schema == "" {
		for p := env; p != nil; p = p.parent {
			if p.name == name {
				r.part, r.inside, r.open = p, p.cols, p.open
				if !slices.Contains(r.q.parts, p) {
					r.q.outer, r.q.needs = true, append(r.q.needs, p)
				}
				if p.q != nil {
					m.absorb(r.q, p.q)
				}
				return
			}
		}
		r.open, r.q.blind = true, true // a recursive part's own name
		return
	}
	t := Target{Schema: schema, Table: name}
	if l := m.s.leafOf(t); l != nil {
		r.table, r.inside = &t, l.cols
		r.q.sites[l.site] = true
		return
	}
	p := m.s.places[t]
	r.table, r.inside = &t, p.Columns
	r.q.sites[p.Site] = true
}

func (s *splitter) leafOf(t Target) *leaf {
	for _, l := range s.leaves {
		if l.view == t {
			return l
		}
	}
	return nil
}

func (m *smodel) join(o object, q *squery, env *spart) (solid, all []*srel) {
	ls, la := m.from(asObject(o["left"]), q, env)
	rs, ra := m.from(asObject(o["right"]), q, env)
	all = slices.Concat(la, ra)
	kind, ref := textOf(o, "join_type"), textOf(o, "ref_type")
	using := textsOf(o, "using_columns")
	var narrows []*srel
	switch {
	case ref == "POSITIONAL" || ref == "ASOF":
		m.expr(o["condition"], q)
		q.inner = false
		return nil, all
	case kind == "INNER":
		solid, narrows = slices.Concat(ls, rs), slices.Concat(ls, rs)
	case kind == "LEFT":
		solid, narrows = ls, rs
	case kind == "RIGHT":
		solid, narrows = rs, ls
	case kind == "SEMI":
		solid, narrows = ls, slices.Concat(ls, rs)
	case kind == "ANTI":
		solid, narrows = ls, rs
	}
	if kind != "INNER" || ref == "NATURAL" || len(using) > 0 {
		q.inner = false
	}
	if ref == "NATURAL" {
		for _, r := range all {
			m.want(r, everything)
		}
	}
	for _, c := range using {
		m.using(o, c, la, ra, narrows, q)
	}
	m.expr(o["condition"], q)
	for _, c := range conjuncts(o["condition"]) {
		q.conds = append(q.conds, scond{expr: c, narrows: narrows, among: all, from: o})
	}
	if kind == "SEMI" || kind == "ANTI" { // the right side is out of sight from here on
		for _, r := range ra {
			r.name, r.schema = "", ""
			r.cols = make([]string, len(r.cols))
		}
	}
	return solid, all
}

// using looks at a column that USING names: each side has it once.
func (m *smodel) using(o object, name string, la, ra, narrows []*srel, q *squery) {
	find := func(rels []*srel) *srel {
		for _, r := range rels {
			if has(r.cols, name) {
				return r
			}
		}
		return nil
	}
	l, r := find(la), find(ra)
	for _, x := range slices.Concat(la, ra) {
		if i := indexOf(x.cols, name); i >= 0 {
			m.want(x, i)
		}
	}
	if l == nil || r == nil {
		return
	}
	q.usings = append(q.usings, susing{o, name, l, r})
	a, b := columnRef(l.name, name), columnRef(r.name, name)
	m.refs[identity(a)], m.refs[identity(b)] = sref{rel: l, col: indexOf(l.cols, name), size: 2}, sref{rel: r, col: indexOf(r.cols, name), size: 2}
	q.conds = append(q.conds, scond{narrows: narrows, among: slices.Concat(la, ra), from: object{}, expr: comparison("COMPARE_EQUAL", a, b)})
}

// item looks at an item of the select list.
func (m *smodel) item(o object, q *squery) {
	if o["class"] == "STAR" {
		m.star(o, q)
		return
	}
	m.expr(o, q)
	name := textOf(o, "alias")
	out := sout{name: name, expr: o}
	if isRef(o) {
		if ref, ok := m.refs[identity(o)]; ok && ref.rel.q == q && !ref.part {
			out.rel, out.col = ref.rel, ref.col
		}
		if list := textsOf(o, "column_names"); name == "" {
			out.name = list[len(list)-1]
		}
	}
	if !isRef(o) && hasStar(o) {
		q.open = true
	}
	q.outs = append(q.outs, out)
}

// star looks at a * in the select list: a plain one over relations whose columns are
// known gives these.
func (m *smodel) star(o object, q *squery) {
	rel := strings.ToLower(textOf(o, "relation_name"))
	plain := onlyKeys(o, "class", "type", "query_location", "relation_name")
	joined := false
	each(q.o["from_table"], func(j object) {
		if j["type"] == "JOIN" && (j["ref_type"] == "NATURAL" || !isEmpty(j["using_columns"])) {
			joined = true
		}
	})
	for _, r := range q.rels {
		if rel != "" && r.name != rel {
			continue
		}
		m.want(r, everything)
		if r.open || !plain || joined {
			q.open = true
		}
		for i, c := range r.cols {
			if (c != "" || r.name != "") && !leavesOut(o, c) {
				q.outs = append(q.outs, sout{name: c, rel: r, col: i})
			}
		}
	}
	if !plain {
		m.expr(o["expr"], q)
		m.expr(o["replace_list"], q)
	}
}

// leavesOut says whether a star does not give a column as it is, by its name or at all.
func leavesOut(o object, column string) bool {
	if has(textsOf(o, "exclude_list"), column) {
		return true
	}
	is := func(v any) bool { return strings.EqualFold(textOf(asObject(v), "column"), column) }
	return slices.ContainsFunc(listOf(o, "qualified_exclude_list"), is) ||
		slices.ContainsFunc(listOf(o, "rename_list"), func(v any) bool { return is(asObject(v)["key"]) }) ||
		slices.ContainsFunc(listOf(o, "replace_list"), func(v any) bool { return strings.EqualFold(textOf(asObject(v), "key"), column) })
}

// everything, among the wanted columns of a relation, is all of them.
const everything = -1

// want notes that a column of a relation is used.
func (m *smodel) want(r *srel, col int) {
	w := m.wanted[r]
	if w == nil {
		w = map[int]bool{}
		m.wanted[r] = w
	}
	w[col] = true
}

// wants says whether a column is used.
func (m *smodel) wants(r *srel, col int) bool { return m.wanted[r][col] || m.wanted[r][everything] }

// useAll says that all of what a query gives is used.
func (m *smodel) useAll(q *squery) {
	for _, r := range q.rels {
		m.want(r, everything)
	}
}

// expr looks at what an expression names.
func (m *smodel) expr(v any, q *squery) {
	switch x := v.(type) {
	case []any:
		for _, c := range x {
			m.expr(c, q)
		}
	case object:
		switch {
		case isRef(x):
			m.ref(x, q)
			return
		case x["class"] == "STAR": // COLUMNS(…), count(t.*) and the like
			for _, r := range q.rels {
				m.want(r, everything)
			}
			q.blind = true
		case x["class"] == "LAMBDA":
			q.blind = true
		case x["class"] == "SUBQUERY":
			sub := m.query(asObject(asObject(x["subquery"])["node"]), q, q.env)
			q.subs = append(q.subs, &ssub{x, sub})
			m.absorb(q, sub)
			m.expr(x["child"], q)
			return
		case x["class"] == nil && x["type"] == "SELECT_NODE":
			return
		}
		for _, c := range x {
			m.expr(c, q)
		}
	}
}
