package engine

import (
	"slices"
	"strings"

	"weft"
)

// statement walks a SELECT with its parameters, of which it may have none.
func (w *walker) statement(v any, parent *scope, env *cte) outline {
	n := w.open(v, "query")
	if len(n.list("named_param_map")) > 0 {
		w.fail(weft.KindInvalid, "write the value itself", "there is no value for a parameter")
	}
	sh := w.query(n.get("node"), parent, env)
	n.done()
	return sh
}

// query walks a SELECT or a set operation and returns what it gives.
func (w *walker) query(v any, parent *scope, env *cte) outline {
	n := w.open(v, "query")
	w.enter(n)
	defer w.leave()
	defer func(was bool) { w.ordering = was }(w.ordering)
	w.ordering = false
	switch t := n.str("type"); t {
	case "SELECT_NODE":
		return w.selectNode(n, parent, w.with(n.get("cte_map"), parent, env))
	case "SET_OPERATION_NODE":
		return w.setOperation(n, parent, w.with(n.get("cte_map"), parent, env))
	case "RECURSIVE_CTE_NODE":
		w.refuse("not supported: a recursive part outside WITH")
	default:
		w.refuse("not supported: a query of type %s", t)
	}
	return outline{}
}

// maxGroupSets bounds CUBE, which doubles its sets with every column.
const maxGroupSets = 1000

var setOperations = words("UNION UNION_BY_NAME EXCEPT INTERSECT")

func (w *walker) setOperation(n *treeNode, parent *scope, env *cte) outline {
	kind := n.word("setop_type", setOperations)
	n.flag("setop_all")
	w.chained = isType(n.get("left"), "SET_OPERATION_NODE")
	left := w.query(n.get("left"), parent, env)
	w.chained = isType(n.get("right"), "SET_OPERATION_NODE")
	right := w.query(n.get("right"), parent, env)
	left.growth = max(left.growth, right.growth)
	if kind == "UNION_BY_NAME" {
		left.names = append(slices.Clone(left.names), right.names...)
		left.open = left.open || right.open
	}
	out := &scope{parent: parent, rels: []*relation{{outline: outline{open: true, growth: left.growth}}}}
	w.modifiers(n.list("modifiers"), out, env)
	n.done()
	return left
}

var aggregateHandling = words("STANDARD_HANDLING FORCE_AGGREGATES NO_AGGREGATES_ALLOWED")

func (w *walker) selectNode(n *treeNode, parent *scope, env *cte) outline {
	sc := &scope{parent: parent, aliases: map[string]float64{}}
	w.ref(n.get("from_table"), sc, env)
	out := outline{growth: 1}
	for _, item := range n.list("select_list") {
		w.nameTime(item)
		g := w.expr(item, sc, env)
		out.growth = max(out.growth, g)
		name, open := w.itemName(item, sc, &out)
		out.open = out.open || open
		if o, ok := item.(object); ok && o["alias"] != "" && o["class"] != "STAR" {
			sc.aliases[strings.ToLower(name)] = g
		}
	}
	for _, k := range []string{"where_clause", "having", "qualify"} {
		w.exprOpt(n.get(k), sc, env)
	}
	w.exprs(n.list("group_expressions"), sc, env)
	if sets := n.list("group_sets"); len(sets) > maxGroupSets { // sets of positions in group_expressions
		w.fail(weft.KindLimit, "name the sets: GROUPING SETS ((a, b), (a), ())", "there are %d grouping sets, the most is %d", len(sets), maxGroupSets)
	}
	n.word("aggregate_handling", aggregateHandling)
	w.sample(n.get("sample"))
	w.modifiers(n.list("modifiers"), sc, env)
	n.done()
	w.sift(n.o)
	return out
}

// itemName notes the names of a select item's columns in out. It says that
// there may be others where the item is a star that the walker cannot see through.
func (w *walker) itemName(item any, sc *scope, out *outline) (name string, open bool) {
	o, _ := item.(object)
	if o["class"] == "STAR" {
		if onlyKeys(o, "class", "type", "query_location", "relation_name") {
			rel, _ := o["relation_name"].(string)
			for _, r := range sc.rels {
				if rel == "" || r.name == strings.ToLower(rel) {
					out.names = append(out.names, r.names...)
					open = open || r.open
				}
			}
			return "", open
		}
		return "", true
	}
	name, _ = o["alias"].(string)
	if names, ok := o["column_names"].([]any); ok && name == "" && len(names) > 0 {
		name, _ = names[len(names)-1].(string)
	}
	out.names = append(out.names, name)
	// COLUMNS(…) inside an expression and unnest of a struct give several columns
	return name, o["class"] != "COLUMN_REF" && o["class"] != "CONSTANT" && hasStar(o)
}

// hasStar reports whether an expression has a COLUMNS or an unnest in it.
func hasStar(v any) bool {
	switch x := v.(type) {
	case object:
		if x["class"] == "STAR" || x["function_name"] == "unnest" {
			return true
		}
		if x["class"] == "SUBQUERY" {
			return false
		}
		for _, c := range x {
			if hasStar(c) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(x, hasStar)
	}
	return false
}

// modifiers walks ORDER BY, LIMIT and DISTINCT.
func (w *walker) modifiers(list []any, sc *scope, env *cte) {
	for _, m := range list {
		n := w.open(m, "modifier")
		switch t := n.str("type"); t {
		case "ORDER_MODIFIER":
			w.ordering = true
			w.orders(n.list("orders"), sc, env)
			w.ordering = false
		case "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER":
			w.exprOpt(n.get("limit"), sc, env)
			w.exprOpt(n.get("offset"), sc, env)
		case "DISTINCT_MODIFIER":
			w.exprs(n.list("distinct_on_targets"), sc, env)
		default:
			w.refuse("not supported: modifier %s", t)
		}
		n.done()
	}
}

var (
	orderTypes    = words("ORDER_DEFAULT ASCENDING DESCENDING")
	orderModifier = words("ORDER_MODIFIER")
	nullOrders    = map[string]bool{"ORDER_DEFAULT": true, "NULLS FIRST": true, "NULLS LAST": true}
)

// orders walks the expressions of an ORDER BY; ORDER BY ALL is a star that
// reads no column.
func (w *walker) orders(list []any, sc *scope, env *cte) {
	for _, v := range list {
		n := w.open(v, "ORDER BY")
		n.word("type", orderTypes)
		n.word("null_order", nullOrders)
		e := n.get("expression")
		if o, ok := e.(object); !ok || o["class"] != "STAR" || o["type"] != "STAR" || !onlyKeys(o, "class", "type", "query_location", "columns") {
			w.expr(e, sc, env)
		}
		n.done()
	}
}

func isType(v any, t string) bool {
	o, _ := v.(object)
	return o["type"] == t
}
