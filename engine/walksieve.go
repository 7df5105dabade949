package engine

import "slices"

// sift has a SELECT look at each row with a bit before it joins it with the keys that came
// with the question (sieve.c): a value that cannot be among them is dropped where it is
// read. The node is one that the walker has passed; what it gives stays the same, whatever
// the sieve says of a value that is there.
func sift(node object) {
	for _, c := range conjuncts(node["where_clause"]) {
		x, q := testOf(c)
		switch {
		case q == nil:
		case keysOf(q) != "" && q["where_clause"] == nil: // x = ANY(SELECT k FROM keys)
			also(node, mayHave(keysOf(q), x))
		case keysOf(node) != "" && isKey(x): // SELECT k FROM keys WHERE k = ANY(SELECT x FROM …)
			if x, ok := oneColumn(q); ok {
				also(q, mayHave(keysOf(node), x))
			}
		}
	}
}

// testOf takes apart x = ANY(SELECT …) of a column x; nil for anything else.
func testOf(c object) (x, query object) {
	x = asObject(c["child"])
	if c["class"] != "SUBQUERY" || c["subquery_type"] != "ANY" || c["comparison_type"] != "COMPARE_EQUAL" || !isColumn(x) {
		return nil, nil
	}
	query = asObject(asObject(c["subquery"])["node"])
	if query["type"] != "SELECT_NODE" {
		return nil, nil
	}
	return x, query
}

// keysOf is the name of the keys that a SELECT reads and nothing else, "" for another one.
func keysOf(node object) string {
	from := asObject(node["from_table"])
	if from["type"] != "BASE_TABLE" || from["schema_name"] != KeysSchema || !isEmpty(from["column_name_alias"]) {
		return ""
	}
	if x, ok := oneColumn(node); !ok || !isKey(x) {
		return ""
	}
	return textOf(from, "table_name")
}

// isKey reports whether a column of a SELECT from keys is theirs: another one would be of
// the query around it.
func isKey(x object) bool { return slices.Equal(textsOf(x, "column_names"), []string{"k"}) }

// oneColumn is the column that a SELECT of rows, each as it is, gives.
func oneColumn(node object) (object, bool) {
	list := listOf(node, "select_list")
	for _, k := range []string{"modifiers", "group_expressions", "group_sets", "having", "qualify", "sample"} {
		if !isEmpty(node[k]) {
			return nil, false
		}
	}
	if len(list) != 1 || node["aggregate_handling"] != "STANDARD_HANDLING" {
		return nil, false
	}
	x := asObject(list[0])
	return x, isColumn(x)
}

// also adds a condition to those of a SELECT. Whoever has noted one of these finds it.
func also(node, cond object) {
	switch where := asObject(node["where_clause"]); {
	case where == nil:
		node["where_clause"] = cond
	case where["type"] == "CONJUNCTION_AND":
		where["children"] = append(listOf(where, "children"), any(cond))
	default:
		node["where_clause"] = object{
			"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "query_location": noPlace, "children": []any{where, cond},
		}
	}
}

// mayHave is whether the keys of a name may have the value of a column.
func mayHave(name string, x object) object {
	x = copyTree(x).(object)
	x["alias"] = ""
	return callOf("weft_may_have", constantString(KeysSchema+"."+name), x)
}
