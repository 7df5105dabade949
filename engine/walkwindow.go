package engine

import "strings"

var (
	windowTypes = words(`WINDOW_AGGREGATE WINDOW_RANK WINDOW_RANK_DENSE WINDOW_NTILE WINDOW_PERCENT_RANK WINDOW_CUME_DIST
		WINDOW_ROW_NUMBER WINDOW_FIRST_VALUE WINDOW_LAST_VALUE WINDOW_LEAD WINDOW_LAG WINDOW_NTH_VALUE WINDOW_FILL`)
	windowBounds = words(`UNBOUNDED_PRECEDING UNBOUNDED_FOLLOWING CURRENT_ROW_RANGE CURRENT_ROW_ROWS CURRENT_ROW_GROUPS
		EXPR_PRECEDING_ROWS EXPR_FOLLOWING_ROWS EXPR_PRECEDING_RANGE EXPR_FOLLOWING_RANGE EXPR_PRECEDING_GROUPS
		EXPR_FOLLOWING_GROUPS`)
	windowExcludes = words("NO_OTHER CURRENT_ROW GROUP TIES")
)

// window walks f(…) OVER (…).
func (w *walker) window(n *treeNode, sc *scope, env *cte) float64 {
	n.word("type", windowTypes)
	name := strings.ToLower(n.str("function_name"))
	w.functionSchema(n, name, inExpr)
	f := w.permit(name, inExpr)
	if f.group.class == pinned || f.group.class == chance {
		w.refuse("%s is no window function", name)
	}
	g := w.arguments(n, f, n.list("children"), sc, env, inExpr)
	w.exprs(n.list("partitions"), sc, env)
	w.orders(n.list("orders"), sc, env)
	w.orders(n.list("arg_orders"), sc, env)
	n.word("start", windowBounds)
	n.word("end", windowBounds)
	n.word("exclude_clause", windowExcludes)
	n.flag("ignore_nulls")
	n.flag("distinct")
	for _, k := range []string{"start_expr", "end_expr", "offset_expr", "filter_expr"} {
		w.exprOpt(n.get(k), sc, env)
	}
	return max(g, w.exprOpt(n.get("default_expr"), sc, env))
}
