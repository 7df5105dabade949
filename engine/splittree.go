package engine

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// The pieces of the engine's tree that the splitter makes itself.

func digits(n int) string { return strconv.Itoa(n) }

const noPlace = json.Number("0")

func columnRef(names ...string) object {
	return object{"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": noPlace, "column_names": texts(names)}
}

// constantInt is a number as the parser reads it: of the smallest type that has it.
func constantInt(n int64) object {
	id := "INTEGER"
	if n != int64(int32(n)) {
		id = "BIGINT"
	}
	return object{
		"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "query_location": noPlace,
		"value": object{"type": object{"id": id, "type_info": nil}, "is_null": false, "value": json.Number(strconv.FormatInt(n, 10))},
	}
}

func constantString(s string) object {
	return object{
		"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": "", "query_location": noPlace,
		"value": object{"type": object{"id": "VARCHAR", "type_info": nil}, "is_null": false, "value": s},
	}
}

func star() object {
	return object{
		"class": "STAR", "type": "STAR", "alias": "", "query_location": noPlace, "relation_name": "", "columns": false, "expr": nil,
		"exclude_list": []any{}, "qualified_exclude_list": []any{}, "rename_list": []any{}, "replace_list": []any{},
	}
}

func baseTable(t Target, alias string) object {
	return object{
		"type": "BASE_TABLE", "alias": alias, "sample": nil, "query_location": noPlace, "catalog_name": "", "schema_name": t.Schema,
		"table_name": t.Table, "column_name_alias": []any{}, "at_clause": nil,
	}
}

func subqueryRef(node object, alias string) object {
	return object{
		"type": "SUBQUERY", "alias": alias, "sample": nil, "query_location": noPlace, "column_name_alias": []any{},
		"subquery": object{"node": node, "named_param_map": []any{}},
	}
}

func crossJoin(left, right object) object {
	return object{
		"type": "JOIN", "alias": "", "sample": nil, "query_location": noPlace, "left": left, "right": right, "condition": nil,
		"join_type": "INNER", "ref_type": "CROSS", "using_columns": []any{}, "delim_flipped": false, "duplicate_eliminated_columns": []any{},
	}
}

// selectNode is SELECT items FROM from WHERE where; where may be nil.
func selectNode(items []any, from object, where any) object {
	return object{
		"type": "SELECT_NODE", "modifiers": []any{}, "cte_map": object{"map": []any{}}, "select_list": items, "from_table": from,
		"where_clause": where, "group_expressions": []any{}, "group_sets": []any{}, "aggregate_handling": "STANDARD_HANDLING",
		"having": nil, "sample": nil, "qualify": nil,
	}
}

// comparison is left = right, or what typ says, of two expressions that the tree then holds.
func comparison(typ string, left, right object) object {
	return object{"class": "COMPARISON", "type": typ, "alias": "", "query_location": noPlace, "left": left, "right": right}
}

// texts are words as the tree has them.
func texts(list []string) []any {
	out := make([]any, len(list))
	for i, t := range list {
		out[i] = t
	}
	return out
}

// and joins conditions, nil where there are none. They are copied: a tree has each
// of its nodes once.
func and(list []object) any {
	if len(list) == 0 {
		return nil
	}
	copies := make([]object, len(list))
	for i, c := range list {
		copies[i] = copyTree(c).(object)
	}
	return andAsIs(copies)
}

// andAsIs joins conditions without copying: what their names mean goes by identity.
func andAsIs(list []object) object {
	if len(list) == 1 {
		return list[0]
	}
	all := make([]any, len(list))
	for i, c := range list {
		all[i] = c
	}
	return object{"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "query_location": noPlace, "children": all}
}

// inKeys is: e is one of the keys of the name.
func inKeys(e object, name string) object {
	return anyOf(e, selectNode([]any{columnRef("k")}, baseTable(Target{KeysSchema, name}, ""), nil))
}

// anyOf is e = ANY(query).
func anyOf(e, query object) object {
	return object{
		"class": "SUBQUERY", "type": "SUBQUERY", "alias": "", "query_location": noPlace, "subquery_type": "ANY",
		"subquery": object{"node": query, "named_param_map": []any{}}, "child": e, "comparison_type": "COMPARE_EQUAL",
	}
}

func copyTree(v any) any {
	switch x := v.(type) {
	case object:
		c := make(object, len(x))
		for k, v := range x {
			c[k] = copyTree(v)
		}
		return c
	case []any:
		c := make([]any, len(x))
		for i, v := range x {
			c[i] = copyTree(v)
		}
		return c
	}
	return v
}

// each calls f for every object in a tree, those above before those below.
func each(v any, f func(object)) {
	switch x := v.(type) {
	case object:
		f(x)
		for _, c := range x {
			each(c, f)
		}
	case []any:
		for _, c := range x {
			each(c, f)
		}
	}
}

// become makes a node another one, in its place.
func become(o, other object) {
	clear(o)
	for k, v := range other {
		o[k] = v
	}
}

// identity tells the nodes of a tree apart.
func identity(o object) uintptr { return reflect.ValueOf(o).Pointer() }

// conjuncts are the conditions that AND joins.
func conjuncts(v any) []object {
	o, ok := v.(object)
	if !ok {
		return nil
	}
	if o["type"] != "CONJUNCTION_AND" {
		return []object{o}
	}
	var out []object
	for _, c := range listOf(o, "children") {
		out = append(out, conjuncts(c)...)
	}
	return out
}

func isRef(o object) bool { return o["class"] == "COLUMN_REF" }

func has(list []string, name string) bool { return indexOf(list, name) >= 0 }

func indexOf(list []string, name string) int {
	for i, s := range list {
		if strings.EqualFold(s, name) {
			return i
		}
	}
	return -1
}
