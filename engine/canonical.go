package engine

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// canonical rewrites, in place, the few constructs that have two trees for one
// meaning, so that a tree survives being written and read again.
func canonical(v any) {
	switch x := v.(type) {
	case object:
		for _, c := range x {
			canonical(c)
		}
		switch {
		case x["class"] == "CONSTANT":
			canonicalConstant(x)
		case x["type"] == "SUBQUERY" && x["class"] == nil:
			canonicalValues(x)
		case x["type"] == "JOIN":
			canonicalCross(x)
		case x["type"] == "SELECT_NODE":
			canonicalGroups(x)
		}
	case []any:
		for _, c := range x {
			canonical(c)
		}
	}
}

// canonicalConstant writes booleans and floats as the casts they would be read
// back as: true is CAST('t' AS BOOLEAN) to the engine, and 1e-3, written as
// 0.001, would come back as a decimal.
func canonicalConstant(x object) {
	value, _ := x["value"].(object)
	t, _ := value["type"].(object)
	id, _ := t["id"].(string)
	if value["is_null"] != false {
		return
	}
	text := ""
	switch v := value["value"].(type) {
	case bool:
		if id != "BOOLEAN" {
			return
		}
		text = "f"
		if v {
			text = "t"
		}
	case json.Number:
		if id != "DOUBLE" && id != "FLOAT" {
			return
		}
		text = v.String()
	default:
		return
	}
	alias, place := x["alias"], x["query_location"]
	clear(x)
	for k, v := range castOf(text, object{"id": id, "type_info": nil}) {
		x[k] = v
	}
	x["alias"], x["query_location"] = alias, place
}

// castOf is CAST('text' AS type).
func castOf(text string, typ object) object {
	return object{
		"class": "CAST", "type": "OPERATOR_CAST", "alias": "", "query_location": json.Number("0"),
		"child":     constantString(text),
		"cast_type": typ, "try_cast": false,
	}
}

// canonicalValues takes away the SELECT * around a VALUES list that the writer adds.
func canonicalValues(x object) {
	sub, _ := x["subquery"].(object)
	node, _ := sub["node"].(object)
	from, _ := node["from_table"].(object)
	if x["alias"] != "valueslist" || from["type"] != "EXPRESSION_LIST" || from["alias"] != "valueslist" ||
		!isEmpty(x["column_name_alias"]) || !isEmpty(x["sample"]) || !isEmpty(sub["named_param_map"]) {
		return
	}
	star, _ := node["select_list"].([]any)
	if len(star) != 1 {
		return
	}
	if s, ok := star[0].(object); !ok || s["class"] != "STAR" || !onlyKeys(s, "class", "type", "query_location") {
		return
	}
	if !onlyKeys(node, "type", "select_list", "from_table", "aggregate_handling") || node["aggregate_handling"] != "STANDARD_HANDLING" {
		return
	}
	clear(x)
	for k, v := range from {
		x[k] = v
	}
}

// canonicalCross turns a cross join on the right of another one, A × (B × C), into
// (A × B) × C, and writes one inside any other join as an inner join on true: the writer
// puts a comma for it, which binds less tightly than JOIN. The engine has no plan for some
// LATERAL items on the right of an inner join that it plans on the right of a cross join.
func canonicalCross(x object) {
	left, _ := x["left"].(object)
	right, _ := x["right"].(object)
	switch {
	case !isCross(x):
		for _, j := range []object{left, right} {
			if isCross(j) {
				j["ref_type"] = "REGULAR"
				j["condition"] = castOf("t", object{"id": "BOOLEAN", "type_info": nil})
			}
		}
	case isCross(right):
		first := right // the join of B, which is no cross join as what is below is canonical
		for l, _ := first["left"].(object); isCross(l); l, _ = first["left"].(object) {
			first = l
		}
		inner := maps.Clone(x)
		inner["right"], first["left"] = first["left"], inner
		clear(x)
		maps.Copy(x, right)
	}
}

func isCross(x object) bool { return x["type"] == "JOIN" && x["ref_type"] == "CROSS" }

// canonicalGroups orders the grouping expressions by their first use in the
// grouping sets, which is the order that the writer's text has.
func canonicalGroups(x object) {
	exprs, _ := x["group_expressions"].([]any)
	sets, _ := x["group_sets"].([]any)
	if len(exprs) < 2 || len(sets) < 2 {
		return
	}
	to := make(map[int64]int64, len(exprs))
	order := make([]any, 0, len(exprs))
	fresh := make([]any, len(sets))
	for i, s := range sets {
		set, _ := s.([]any)
		var ids []int64
		for _, v := range set {
			n, _ := v.(json.Number)
			id, err := n.Int64()
			if err != nil || id < 0 || id >= int64(len(exprs)) {
				return
			}
			ids = append(ids, id)
		}
		slices.Sort(ids)
		var renamed []int64
		for _, id := range ids {
			if _, ok := to[id]; !ok {
				to[id] = int64(len(order))
				order = append(order, exprs[id])
			}
			renamed = append(renamed, to[id])
		}
		slices.Sort(renamed)
		list := []any{}
		for _, id := range renamed {
			list = append(list, json.Number(strconv.FormatInt(id, 10)))
		}
		fresh[i] = list
	}
	if len(order) == len(exprs) {
		x["group_expressions"], x["group_sets"] = order, fresh
	}
}
