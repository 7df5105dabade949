package engine

import (
	"strconv"
	"strings"

	"weft"
)

var ordinality = words("WITHOUT_ORDINALITY WITH_ORDINALITY")

// tableFunction walks one of the few functions that may stand in a FROM.
func (w *walker) tableFunction(n *treeNode, sc *scope, env *cte) {
	numbered := n.word("with_ordinality", ordinality) == "WITH_ORDINALITY"
	f := n.sub("function", "function")
	name := strings.ToLower(f.str("function_name"))
	w.allowTableFunction(f, name)
	g := w.call(f, name, sc, env, inFrom)
	sh := outline{names: []string{name}, growth: max(g, 1), open: name == "unnest"}
	if numbered {
		sh.names = append(sh.names, "ordinality")
	}
	alias := n.str("alias")
	if alias == "" {
		alias = name
	}
	w.add(sc, &relation{name: strings.ToLower(alias), outline: sh.with(n.strs("column_name_alias"))})
}

// values walks a VALUES list.
func (w *walker) values(n *treeNode, sc *scope, env *cte) {
	if len(n.list("expected_types")) > 0 {
		w.refuse("not supported: a VALUES list with types")
	}
	sh := outline{growth: 1, open: true}
	for _, row := range n.list("values") {
		cells, ok := row.([]any)
		if !ok {
			w.refuse("not supported: this VALUES list")
		}
		sh.growth = max(sh.growth, w.exprs(cells, sc, env))
		if sh.names == nil {
			sh.open = false
			for i := range cells {
				sh.names = append(sh.names, "col"+strconv.Itoa(i))
			}
		}
	}
	w.add(sc, &relation{name: strings.ToLower(n.str("alias")), outline: sh.with(n.strs("expected_names"))})
}

// pivot walks a PIVOT with listed values, or an UNPIVOT: both read every column.
func (w *walker) pivot(n *treeNode, sc *scope, env *cte) {
	src := &scope{parent: sc, aliases: map[string]float64{}}
	w.ref(n.get("source"), src, env)
	g := 1.0
	for _, r := range src.rels {
		if r.table != nil {
			w.usageOf(*r.table).all = true
		}
		g = max(g, r.growth)
	}
	g = max(g, w.exprs(n.list("aggregates"), src, env))
	n.strs("unpivot_names")
	n.strs("groups")
	n.flag("include_nulls")
	for _, v := range n.list("pivots") {
		p := w.open(v, "PIVOT")
		if p.str("pivot_enum") != "" {
			w.fail(weft.KindInvalid, pivotHint, "PIVOT takes no type as its values")
		}
		g = max(g, w.exprs(p.list("pivot_expressions"), src, env))
		p.strs("unpivot_names")
		for _, v := range p.list("entries") {
			e := w.open(v, "PIVOT")
			for _, c := range e.list("values") {
				w.literal(w.open(c, "constant"))
			}
			w.exprOpt(e.get("star_expr"), src, env)
			e.str("alias")
			e.done()
		}
		p.done()
	}
	w.add(sc, &relation{name: strings.ToLower(n.str("alias")), outline: outline{names: n.strs("column_name_alias"), open: true, growth: g}})
}

// refuseShow refuses DESCRIBE, SHOW and SUMMARIZE with what to ask instead.
func (w *walker) refuseShow(n *treeNode) {
	what, hint := "SHOW is no SELECT", "weft search lists products, weft show PRODUCT has the columns of one"
	product := "PRODUCT"
	if q, ok := n.o["query"].(object); ok {
		if t := firstTable(q); t != "" {
			product = t
		}
	}
	switch n.str("show_type") {
	case "DESCRIBE":
		what, hint = "DESCRIBE is no SELECT", "weft show "+product+" has the columns; SELECT * FROM "+product+" LIMIT 0 has their types"
	case "SUMMARY":
		what = "SUMMARIZE is no SELECT"
		hint = "weft show " + product + " has the statistics; for one column: SELECT count(*), count(DISTINCT c), min(c), max(c), avg(c) FROM " + product
	}
	w.fail(weft.KindInvalid, hint, "only a SELECT is answered: %s", what)
}

// firstTable is the name of the table that a SELECT * FROM table reads.
func firstTable(q object) string {
	from, _ := q["from_table"].(object)
	var parts []string
	for _, k := range []string{"catalog_name", "schema_name", "table_name"} {
		if s, _ := from[k].(string); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ".")
}

var sampleMethods = words("System Bernoulli Reservoir")

// sample walks TABLESAMPLE and USING SAMPLE, which are chance even with a seed:
// rows reach the sample in the order that threads read them.
func (w *walker) sample(v any) {
	if v == nil {
		return
	}
	n := w.open(v, "sample")
	w.literal(n.sub("sample_size", "constant"))
	n.flag("is_percentage")
	n.word("method", sampleMethods)
	n.skip("seed")
	n.done()
	w.unrepeatable = true
}
