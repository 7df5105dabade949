package engine

import "strings"

// orderless are aggregates that give one value in whatever order the rows come.
var orderless = words(`sum count count_star min max avg mean stddev stddev_pop stddev_samp variance var_pop var_samp bool_and bool_or
	bit_and bit_or bit_xor median quantile_cont quantile_disc`)

// anyOrder reports whether a question gives the same answer in whatever order its tables give
// their rows: it sorts or aggregates them at the end, and nothing in it takes the first of
// several. What it is not sure of it denies.
func anyOrder(stmt object) bool {
	node := asObject(stmt["node"])
	for node["type"] == "CTE_NODE" {
		node = asObject(node["child"])
	}
	sorts, _ := ordersAndLimits(node)
	if node["type"] != "SELECT_NODE" || !sorts && isEmpty(node["group_expressions"]) && !hasAggregate(node["select_list"]) {
		return false
	}
	any := true
	each(stmt, func(o object) {
		sorts, limits := ordersAndLimits(o)
		switch {
		case limits && !sorts, o["class"] == "WINDOW", !isEmpty(o["sample"]), !isEmpty(o["distinct_on_targets"]):
			any = false
		case o["type"] == "PIVOT", o["type"] == "RECURSIVE_CTE_NODE", o["ref_type"] == "ASOF", o["ref_type"] == "POSITIONAL":
			any = false
		case isAggregate(o):
			any = any && orderless[strings.ToLower(textOf(o, "function_name"))]
		}
	})
	return any
}

// ordersAndLimits says what a SELECT does with its rows at the end.
func ordersAndLimits(node object) (sorts, limits bool) {
	for _, m := range listOf(node, "modifiers") {
		switch asObject(m)["type"] {
		case "ORDER_MODIFIER":
			sorts = true
		case "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER":
			limits = true
		}
	}
	return sorts, limits
}
