package engine

import (
	"strings"

	"weft"
)

var (
	comparisons = words(`COMPARE_EQUAL COMPARE_NOTEQUAL COMPARE_LESSTHAN COMPARE_GREATERTHAN
		COMPARE_LESSTHANOREQUALTO COMPARE_GREATERTHANOREQUALTO COMPARE_DISTINCT_FROM COMPARE_NOT_DISTINCT_FROM`)
	conjunctions = words("CONJUNCTION_AND CONJUNCTION_OR")
	operators    = words(`COMPARE_IN COMPARE_NOT_IN OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_COALESCE
		OPERATOR_TRY OPERATOR_UNPACK ARRAY_EXTRACT ARRAY_SLICE ARRAY_CONSTRUCTOR STRUCT_EXTRACT GROUPING_FUNCTION`)
	subqueries = words("SCALAR EXISTS NOT_EXISTS ANY")
)

// typeOf is the one type that an expression of a class has; the other classes
// choose by it.
var typeOf = map[string]string{
	"COLUMN_REF": "COLUMN_REF", "CONSTANT": "VALUE_CONSTANT", "FUNCTION": "FUNCTION", "BETWEEN": "COMPARE_BETWEEN", "CASE": "CASE_EXPR",
	"CAST": "OPERATOR_CAST", "COLLATE": "COLLATE", "LAMBDA": "LAMBDA", "POSITIONAL_REFERENCE": "POSITIONAL_REFERENCE",
	"STAR": "STAR", "SUBQUERY": "SUBQUERY", "PARAMETER": "VALUE_PARAMETER", "DEFAULT": "VALUE_DEFAULT",
}

// class reads what an expression is.
func (n *treeNode) class() string {
	c, t := n.str("class"), n.str("type")
	if want, ok := typeOf[c]; ok && t != want {
		n.w.refuse("not supported: expression %s of type %s", c, t)
	}
	n.what = c
	n.skip("alias")
	return c
}

// expr walks an expression. What it returns bounds how long its values can be,
// in stored values: a column is 1, a || a is 2, repeat(a, 10) is 10.
func (w *walker) expr(v any, sc *scope, env *cte) (growth float64) {
	n := w.open(v, "expression")
	w.enter(n)
	defer w.leave()
	growth = 1
	switch class := n.class(); class {
	case "COLUMN_REF":
		growth = w.column(n, sc)
	case "CONSTANT":
		growth = w.literal(n.sub("value", "constant"))
	case "FUNCTION":
		name := strings.ToLower(n.str("function_name"))
		growth = w.call(n, name, sc, env, inExpr)
	case "WINDOW":
		growth = w.window(n, sc, env)
	case "OPERATOR":
		growth = w.operator(n, sc, env)
	case "CONJUNCTION":
		n.word("type", conjunctions)
		w.exprs(n.list("children"), sc, env)
	case "COMPARISON":
		n.word("type", comparisons)
		w.expr(n.get("left"), sc, env)
		w.expr(n.get("right"), sc, env)
	case "BETWEEN":
		w.expr(n.get("input"), sc, env)
		w.expr(n.get("lower"), sc, env)
		w.expr(n.get("upper"), sc, env)
	case "CASE":
		growth = w.caseExpr(n, sc, env)
	case "CAST":
		growth = w.cast(n, sc, env)
	case "COLLATE":
		growth = w.expr(n.get("child"), sc, env)
		w.collation(n.str("collation"))
	case "LAMBDA": // outside a list function it is JSON's arrow
		w.arrow()
		growth = max(w.expr(n.get("lhs"), sc, env), w.expr(n.get("expr"), sc, env))
		w.arrows--
	case "POSITIONAL_REFERENCE":
		n.skip("index")
	case "STAR":
		growth = w.star(n, sc, env)
	case "SUBQUERY":
		growth = w.subquery(n, sc, env)
	case "PARAMETER":
		w.fail(weft.KindInvalid, "write the value itself", "there is no value for the parameter %s", n.str("identifier"))
	case "DEFAULT":
		w.refuse("DEFAULT has no meaning in a SELECT")
	default:
		w.refuse("not supported: expression %s", class)
	}
	n.done()
	if growth > maxGrowth {
		w.fail(weft.KindLimit, "make the value shorter, or fewer of them",
			"this expression can make values %d times as long as the stored ones", maxGrowth)
	}
	return growth
}

func (w *walker) exprOpt(v any, sc *scope, env *cte) float64 {
	if v == nil {
		return 0
	}
	return w.expr(v, sc, env)
}

// exprs walks a list and returns the growth of the longest.
func (w *walker) exprs(list []any, sc *scope, env *cte) float64 {
	g := 0.0
	for _, e := range list {
		g = max(g, w.expr(e, sc, env))
	}
	return g
}

// sum walks a list whose values become one value.
func (w *walker) sum(list []any, sc *scope, env *cte) float64 {
	g := 0.0
	for _, e := range list {
		g += w.expr(e, sc, env)
	}
	w.doubling(list)
	return g
}

func (w *walker) operator(n *treeNode, sc *scope, env *cte) float64 {
	typ := n.word("type", operators)
	children := n.list("children")
	if typ == "ARRAY_CONSTRUCTOR" {
		return max(w.sum(children, sc, env), 1)
	}
	g := w.exprs(children, sc, env)
	switch typ {
	case "OPERATOR_COALESCE", "OPERATOR_TRY", "OPERATOR_UNPACK", "ARRAY_EXTRACT", "ARRAY_SLICE", "STRUCT_EXTRACT":
		return g
	}
	return 1
}

func (w *walker) caseExpr(n *treeNode, sc *scope, env *cte) float64 {
	g := w.exprOpt(n.get("else_expr"), sc, env)
	for _, v := range n.list("case_checks") {
		c := w.open(v, "CASE")
		w.expr(c.get("when_expr"), sc, env)
		g = max(g, w.expr(c.get("then_expr"), sc, env))
		c.done()
	}
	return g
}

func (w *walker) subquery(n *treeNode, sc *scope, env *cte) float64 {
	n.word("subquery_type", subqueries)
	if c := n.str("comparison_type"); c != "INVALID" && !comparisons[c] {
		w.refuse("not supported: a comparison with a subquery by %s", c)
	}
	w.exprOpt(n.get("child"), sc, env)
	return w.statement(n.get("subquery"), sc, env).growth
}

// arrow counts one more arrow inside another; the caller takes it off again.
func (w *walker) arrow() {
	if w.arrows++; w.arrows > MaxArrows {
		w.fail(weft.KindLimit, "use one path: json_extract(j, '$.a.b.c'), or fewer lambdas in lambdas",
			"more than %d arrows or lambdas are inside each other", MaxArrows)
	}
}

// lambda walks x -> … or lambda x: … as an argument of a list function whose
// elements have the growth g.
func (w *walker) lambda(v any, g float64, sc *scope, env *cte) float64 {
	n := w.open(v, "lambda")
	w.enter(n)
	defer w.leave()
	n.class()
	inner := &scope{parent: sc, params: map[string]float64{}}
	for _, name := range w.parameters(n.get("lhs")) {
		inner.params[strings.ToLower(name)] = g
	}
	w.arrow()
	out := w.expr(n.get("expr"), inner, env)
	w.arrows--
	n.done()
	return out
}

// parameters reads the names of a lambda's parameters: one name, or a row of them.
func (w *walker) parameters(v any) []string {
	n := w.open(v, "lambda")
	n.class()
	n.skip("query_location")
	var names []string
	switch {
	case n.o["class"] == "COLUMN_REF":
		if names = n.strs("column_names"); len(names) != 1 {
			w.refuse("a lambda's parameter is one name")
		}
	case n.o["class"] == "FUNCTION" && n.o["function_name"] == "row":
		n.skip("function_name", "schema", "is_operator")
		for _, c := range n.list("children") {
			if !isColumn(c) {
				w.refuse("a lambda's parameter is one name")
			}
			names = append(names, w.parameters(c)...)
		}
	default:
		w.refuse("a lambda's parameter is one name")
	}
	n.done()
	return names
}

func isColumn(v any) bool {
	o, _ := v.(object)
	return o["class"] == "COLUMN_REF"
}
