package engine

import (
	"fmt"
	"strings"
	"time"

	"weft"
)

// place of a call: an expression, or a FROM.
type callPlace bool

const (
	inExpr callPlace = false
	inFrom callPlace = true
)

// call walks a function call: by the table it is refused, capped, pinned to the
// time of the cut, marked or let through.
func (w *walker) call(n *treeNode, name string, sc *scope, env *cte, where callPlace) float64 {
	if where == inFrom {
		n.skip("query_location")
		if n.class() != "FUNCTION" || n.str("alias") != "" {
			w.refuse("not supported: this in a FROM")
		}
	}
	w.functionSchema(n, name, where)
	f := w.permit(name, where)
	if n.flag("export_state") {
		w.refuse("not supported: EXPORT_STATE")
	}
	n.flag("distinct")
	n.flag("is_operator")
	args := n.list("children")
	if where == inExpr && f.group.class == pinned {
		w.noArguments(name, args)
		n.skip("filter", "order_bys", "schema")
		w.fixTime(n.o, timeFunctions[name])
		n.skip("child", "cast_type", "try_cast")
		return 1
	}
	g := w.arguments(n, f, args, sc, env, where)
	w.exprOpt(n.get("filter"), sc, env)
	if v := n.get("order_bys"); v != nil {
		o := w.open(v, "ORDER BY")
		o.word("type", orderModifier)
		w.orders(o.list("orders"), sc, env)
		o.done()
	}
	if where == inFrom {
		n.done()
	}
	return g
}

// functionSchema reads a.lower() as lower(a), which the parser takes for a
// function of the schema a; there are no functions in schemas but the parser's own main.
func (w *walker) functionSchema(n *treeNode, name string, where callPlace) {
	c, s := n.str("catalog"), n.str("schema")
	if c == "" && (s == "" || s == "main") {
		return
	}
	if where == inFrom || n.o["class"] == "WINDOW" {
		w.fail(weft.KindInvalid, "write "+name+"(…)", "not supported: the call %s.%s(…)", s, name)
	}
	names := []any{s}
	if c != "" {
		names = []any{c, s}
	}
	column := object{
		"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": n.o["query_location"], "column_names": names,
	}
	n.o["children"] = append([]any{column}, n.list("children")...)
	n.o["catalog"], n.o["schema"] = "", ""
}

// permit finds the function in the table and refuses what the table refuses.
func (w *walker) permit(name string, where callPlace) function {
	table := functionTable
	if where == inFrom {
		table = tableFunctionTable
	}
	f, ok := lookUp(table, name)
	switch {
	case !ok && where == inFrom:
		w.fail(weft.KindInvalid, "in a FROM stand products, (SELECT …), range, generate_series and unnest", "not supported: FROM %s(…)", name)
	case !ok:
		hint := "the functions are in docs/functions.md"
		if tf, isTable := tableFunctionTable[name]; isTable && tf.group.class == barred {
			w.fail(weft.KindInvalid, tf.group.why, "the function %s is not allowed", name)
		} else if isTable {
			hint = "it stands in a FROM"
		} else if near := similar(table, name); len(near) > 0 {
			hint = "did you mean " + strings.Join(near, " or ") + "?"
		}
		w.fail(weft.KindInvalid, hint, "there is no function %s", name)
	case f.group.class == barred:
		w.fail(weft.KindInvalid, f.group.why, "the function %s is not allowed", name)
	case f.group.class == chance:
		w.unrepeatable = true
	}
	return f
}

// allowTableFunction refuses, before its arguments are looked at, what may not
// stand in a FROM.
func (w *walker) allowTableFunction(n *treeNode, name string) {
	w.functionSchema(n, name, inFrom)
	w.permit(name, inFrom)
}

func (w *walker) noArguments(name string, args []any) {
	if len(args) > 0 {
		w.refuse("%s takes no arguments", name)
	}
}

// arguments walks the arguments of a call and returns the growth of its value.
func (w *walker) arguments(n *treeNode, f function, args []any, sc *scope, env *cte, where callPlace) float64 {
	name := f.name
	if f.group.class == capped {
		c := &cappedCall{w: w, name: name, args: args}
		for _, a := range args {
			c.growth = append(c.growth, w.expr(a, sc, env))
		}
		return c.cap(where)
	}
	if lambdaFunctions[name] && len(args) > 1 && isLambda(args[1]) {
		return w.listCall(name, args, sc, env)
	}
	switch {
	case name == "->>":
		w.arrow()
		g := w.exprs(args, sc, env)
		w.arrows--
		return g
	case name == "age" && len(args) == 1: // of today, which is the cut's
		g := w.expr(args[0], sc, env)
		today := castOf(w.now().Format(time.DateOnly), object{"id": "TIMESTAMP", "type_info": nil})
		n.o["children"] = []any{today, args[0]}
		return g
	case sumFunctions[name]:
		return max(w.sum(args, sc, env), 1)
	}
	w.chained = n.o["is_operator"] == true && len(args) == 2 && asObject(args[0])["function_name"] == n.o["function_name"]
	g := w.exprs(args, sc, env)
	if k, ok := longer[name]; ok {
		w.notLooping(name)
		g *= k
	}
	return max(g, 1)
}

// sumFunctions put their arguments into one value.
var sumFunctions = words(`|| concat concat_ws array_append array_cat array_concat array_prepend array_push_back array_push_front array_value
	array_zip list_append list_cat list_concat list_pack list_prepend list_value list_zip map map_concat row struct_concat
	struct_insert struct_pack struct_update json_array json_object json_merge_patch array_to_string
	array_to_string_comma_default list_string_agg string_agg group_concat listagg string_to_array union_value`)

// longer are the functions whose value can be so many times as long as the argument.
var longer = map[string]float64{
	"hex": 2, "to_hex": 2, "bin": 8, "to_binary": 8, "base64": 1.5, "to_base64": 1.5, "url_encode": 3, "json_quote": 2,
	"to_json": 2, "array_to_json": 2, "row_to_json": 2, "regexp_escape": 2, "strftime": 16, "json_pretty": 2,
}

var lambdaFunctions = words(`apply array_apply array_filter array_reduce array_transform filter list_apply list_filter list_reduce
	list_transform reduce`)

func isLambda(v any) bool { return asObject(v)["class"] == "LAMBDA" }

// listCall walks a call with a lambda: the list, the lambda, and what follows.
func (w *walker) listCall(name string, args []any, sc *scope, env *cte) float64 {
	g := max(w.expr(args[0], sc, env), 1)
	reduce := strings.HasSuffix(name, "reduce")
	if reduce { // its value goes into the next step
		w.looping++
	}
	body := w.lambda(args[1], 1, sc, env)
	if reduce {
		w.looping--
	}
	rest := w.exprs(args[2:], sc, env)
	if strings.HasSuffix(name, "filter") {
		return g
	}
	return g*max(body, 1) + rest
}

// doubling refuses, where a value goes into the next round, to put it twice
// into one: forty rounds of a || a are a terabyte.
func (w *walker) doubling(list []any) {
	if w.looping == 0 {
		return
	}
	seen := map[string]bool{}
	for _, e := range list {
		mine := map[string]bool{}
		columnsIn(e, mine)
		for c := range mine {
			if seen[c] {
				w.fail(weft.KindLimit, "use each column once", "%s is put twice into one value at every step", c)
			}
			seen[c] = true
		}
	}
}

// notLooping refuses what makes values longer where they go into the next round.
func (w *walker) notLooping(name string) {
	if w.looping > 0 {
		w.fail(weft.KindLimit, "use it outside the recursive part", "%s makes a value longer at every step", name)
	}
}

// columnsIn collects the last words of the columns in an expression.
func columnsIn(v any, into map[string]bool) {
	switch x := v.(type) {
	case object:
		if names, ok := x["column_names"].([]any); ok && len(names) > 0 {
			into[strings.ToLower(fmt.Sprint(names[len(names)-1]))] = true
		}
		for _, c := range x {
			columnsIn(c, into)
		}
	case []any:
		for _, c := range x {
			columnsIn(c, into)
		}
	}
}
