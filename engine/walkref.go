package engine

import (
	"slices"
	"strings"
	"time"

	"weft"
)

// ref walks one item of a FROM and adds what it names to the scope.
func (w *walker) ref(v any, sc *scope, env *cte) {
	n := w.open(v, "FROM")
	w.enter(n)
	defer w.leave()
	w.sample(n.get("sample"))
	switch t := n.str("type"); t {
	case "EMPTY":
		n.str("alias")
	case "BASE_TABLE":
		w.table(n, sc, env)
	case "JOIN":
		w.join(n, sc, env)
	case "SUBQUERY":
		sh := w.statement(n.get("subquery"), sc, env)
		w.add(sc, &relation{name: strings.ToLower(n.str("alias")), outline: sh.with(n.strs("column_name_alias"))})
	case "TABLE_FUNCTION":
		w.tableFunction(n, sc, env)
	case "EXPRESSION_LIST":
		w.values(n, sc, env)
	case "PIVOT":
		w.pivot(n, sc, env)
	case "SHOW_REF":
		w.refuseShow(n)
	default:
		w.refuse("not supported: FROM of type %s", t)
	}
	n.done()
}

// add puts a relation into the scope.
func (w *walker) add(sc *scope, r *relation) {
	if r.growth == 0 {
		r.growth = 1
	}
	for _, other := range sc.rels {
		if r.name != "" && r.name == other.name && (r.given || other.given) {
			w.fail(weft.KindInvalid, "give them names: FROM domain.product.table AS a, …",
				"two tables are called %s here", r.name)
		}
	}
	sc.rels = append(sc.rels, r)
}

// table resolves one table name: a WITH part where a bare name means one, else
// what the resolver finds.
func (w *walker) table(n *treeNode, sc *scope, env *cte) {
	ref := TableRef{Offset: w.at}
	for _, k := range []string{"catalog_name", "schema_name", "table_name"} {
		if p := n.str(k); p != "" {
			ref.Parts = append(ref.Parts, p)
		}
	}
	if len(ref.Parts) == 0 {
		w.refuse("a table has no name")
	}
	alias, columns, at := n.str("alias"), n.strs("column_name_alias"), n.get("at_clause")
	last := ref.Parts[len(ref.Parts)-1]
	if c := env.find(last); c != nil && len(ref.Parts) == 1 {
		if at != nil {
			w.refuse("AT stands after the name of a product, %s is a WITH part", last)
		}
		if alias == "" {
			alias = last
			n.o["alias"] = alias
		}
		n.o["table_name"] = c.renamed
		w.add(sc, &relation{name: strings.ToLower(alias), outline: c.outline.with(columns)})
		return
	} else if c != nil && c.self && len(ref.Parts) == 2 && strings.EqualFold(ref.Parts[0], "recurring") {
		w.refuse("not supported: recurring.%s", last)
	}
	ref.At = w.atClause(at)
	target, err := w.rules.Resolve(ref)
	if err != nil {
		panic(refusal{err})
	}
	w.note(ref, target)

	r := &relation{table: &target, outline: outline{open: true, growth: 1}}
	if alias == "" {
		r.parts = ref.Parts
		full := len(ref.Parts) == 2 && strings.EqualFold(ref.Parts[0], target.Schema)
		r.renamed = !full && len(ref.Parts) > 1 || !strings.EqualFold(last, target.Table)
		alias = last
		if !strings.EqualFold(last, target.Table) {
			r.given = true
			n.o["alias"] = alias
		}
	}
	r.name = strings.ToLower(alias)
	n.o["catalog_name"], n.o["schema_name"], n.o["table_name"], n.o["at_clause"] = "", target.Schema, target.Table, nil
	if len(columns) > 0 { // t(a, b) hides which columns a and b are
		w.usageOf(target).all = true
	}
	w.add(sc, r)
}

// note keeps a table that was resolved, once for each name and state.
func (w *walker) note(ref TableRef, target Target) {
	w.usageOf(target)
	same := func(r TableRef) bool {
		return slices.EqualFunc(r.Parts, ref.Parts, strings.EqualFold) && r.At.equal(ref.At)
	}
	if !slices.ContainsFunc(w.tables, same) {
		w.tables = append(w.tables, ref)
	}
}

func (w *walker) usageOf(t Target) *usage {
	u, ok := w.use[t]
	if !ok {
		u = &usage{cols: map[string]string{}, sure: map[string]bool{}}
		w.use[t] = u
	}
	return u
}

func (a *AtClause) equal(b *AtClause) bool {
	switch {
	case a == nil || b == nil:
		return a == b
	case a.Time != nil && b.Time != nil:
		return a.Time.Equal(*b.Time)
	case a.Seq != nil && b.Seq != nil:
		return *a.Seq == *b.Seq
	}
	return false
}

// atClause reads AT (TIMESTAMP => …) or AT (VERSION => …) of constants.
func (w *walker) atClause(v any) *AtClause {
	if v == nil {
		return nil
	}
	n := w.open(v, "AT")
	unit, e := strings.ToUpper(n.str("unit")), n.get("expr")
	n.done()
	const hint = "write AT (TIMESTAMP => TIMESTAMP '2026-01-31 12:00:00') or AT (VERSION => 12)"
	c, ok := w.constant(e)
	switch {
	case unit == "VERSION" && ok:
		if i, isInt := c.(int64); isInt && i > 0 {
			seq := weft.Seq(i)
			return &AtClause{Seq: &seq}
		}
	case unit == "TIMESTAMP" && ok:
		switch c := c.(type) {
		case time.Time:
			return &AtClause{Time: &c}
		case string:
			if t, ok := parseTime(c); ok {
				return &AtClause{Time: &t}
			}
		}
	}
	w.fail(weft.KindInvalid, hint, "AT takes a constant time or the number of a commit")
	return nil
}

var (
	joinTypes = words("INNER LEFT RIGHT FULL SEMI ANTI")
	joinRefs  = words("REGULAR NATURAL CROSS POSITIONAL ASOF")
)

func (w *walker) join(n *treeNode, sc *scope, env *cte) {
	n.str("alias")
	n.word("join_type", joinTypes)
	kind := n.word("ref_type", joinRefs)
	start := len(sc.rels)
	w.chained = isType(n.get("left"), "JOIN")
	w.ref(n.get("left"), sc, env)
	w.ref(n.get("right"), sc, env)
	w.exprOpt(n.get("condition"), sc, env)
	var tables []Target
	for _, r := range sc.rels[start:] {
		if r.table != nil {
			tables = append(tables, *r.table)
		}
	}
	for _, c := range n.strs("using_columns") {
		for _, t := range tables {
			w.uses(t, c, len(sc.rels)-start <= 2)
		}
	}
	if kind == "NATURAL" {
		for _, t := range tables {
			w.usageOf(t).all = true
		}
	}
}
