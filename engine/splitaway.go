package engine

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
)

// GuestsSchema is the schema under which a question names the rows of other sites that come
// with it.
const GuestsSchema = "weft_guests"

// Guest is what stands for the rows of a part where the last step of a question runs at
// another site.
type Guest struct {
	Name string   // the table in GuestsSchema
	Huge []string // columns that are HUGEINT, which travel as decimals
}

// Away is the question over the parts for the site at which it is to run: its own tables, which
// the rules said were at the site "", are called as that site calls them, and the rows of
// parts, by their views, as they come with it. own are those tables, each once.
func (s *Split) Away(ctx context.Context, p Parser, guests map[Target]Guest) (sql string, own []Target, err error) {
	t := &syntax{root: copyTree(s.tree.root).(object)}
	t.stmt = asObject(listOf(t.root, "statements")[0])
	var tables []object // first all of them: what a guest becomes has a table in it
	mentions := map[Target]int{}
	each(t.stmt, func(o object) {
		if o["type"] == "BASE_TABLE" && textOf(o, "schema_name") != "" {
			tables = append(tables, o)
			mentions[mentioned(o)]++
		}
	})
	for _, o := range tables {
		at := mentioned(o)
		if g, ok := guests[at]; ok {
			s.comes(o, at, g)
			continue
		}
		place, ok := s.places[at]
		if !ok || place.Site != "" {
			continue
		}
		if !slices.Contains(own, at) {
			own = append(own, at)
		}
		place.call(o)
		if preds := s.narrowed(at, guests); len(preds) > 0 && mentions[at] == 1 && o["sample"] == nil {
			narrow(o, preds)
		}
	}
	sql, err = writeBack(ctx, p, t)
	return sql, own, err
}

// narrow puts the table's rows that fit conditions in its place.
func narrow(o object, preds []object) {
	table := copyTree(o).(object)
	ref := subqueryRef(selectNode([]any{star()}, table, and(preds)), textOf(o, "alias"))
	ref["column_name_alias"], table["column_name_alias"] = o["column_name_alias"], []any{}
	become(o, ref)
}

// narrowed are conditions on the rows of an own table: to have values that guests have. The engine
// knows too little of guests to begin a join with the few that they leave.
func (s *Split) narrowed(table Target, guests map[Target]Guest) (preds []object) {
	for _, p := range s.Own {
		if p.View != table || p.leaf.table == nil {
			continue
		}
		for _, k := range p.Keys {
			if len(k.From) != 1 || k.From[0].SQL != "" {
				continue
			}
			g, ok := guests[s.Parts[k.From[0].Part].View]
			if !ok || slices.Contains(g.Huge, k.From[0].Column) {
				continue
			}
			pred := copyTree(k.pred).(object)
			asObject(pred["subquery"])["node"] = selectNode([]any{columnRef(k.From[0].Column)}, baseTable(Target{GuestsSchema, g.Name}, ""), nil)
			preds = append(preds, pred)
		}
	}
	return preds
}

// comes puts a guest in the place of a part's view.
func (s *Split) comes(o object, view Target, g Guest) {
	alias := textOf(o, "alias")
	if alias == "" {
		alias = view.Table
	}
	table := baseTable(Target{GuestsSchema, g.Name}, alias)
	table["column_name_alias"], table["sample"] = o["column_name_alias"], o["sample"]
	if len(g.Huge) == 0 {
		become(o, table)
		return
	}
	var items []any
	for _, part := range s.Parts {
		if part.View != view {
			continue
		}
		for _, c := range part.Columns {
			item := columnRef(c)
			if slices.Contains(g.Huge, c) {
				item = object{
					"class": "CAST", "type": "OPERATOR_CAST", "alias": c, "query_location": noPlace, "child": item,
					"cast_type": object{"id": "HUGEINT", "type_info": nil}, "try_cast": false,
				}
			}
			items = append(items, item)
		}
	}
	ref := subqueryRef(selectNode(items, baseTable(Target{GuestsSchema, g.Name}, ""), nil), alias)
	ref["column_name_alias"], ref["sample"] = o["column_name_alias"], o["sample"]
	become(o, ref)
}

// Gives guesses how many rows the question has: a share of the rows that it puts together, and
// at most so many, where that is known (otherwise most is negative).
func (s *Split) Gives() (share float64, most int64) {
	if s.tree == nil {
		return 1, -1
	}
	node := asObject(s.tree.stmt["node"])
	share, most = 1, -1
	for _, m := range listOf(node, "modifiers") {
		switch m := asObject(m); m["type"] {
		case "DISTINCT_MODIFIER":
			share = shareOfGroups
		case "LIMIT_MODIFIER":
			if n, ok := constantOf(m["limit"]); ok {
				most = n
			}
		}
	}
	if node["type"] != "SELECT_NODE" {
		return share, most
	}
	grouped := !isEmpty(node["group_expressions"]) || node["aggregate_handling"] != "STANDARD_HANDLING"
	switch {
	case grouped:
		share = shareOfGroups
	case hasAggregate(node["select_list"]):
		most = 1
	}
	return share, most
}

// shareOfGroups is a guess at how many groups there are of so many rows.
const shareOfGroups = 0.1

// constantOf is a whole number that a text has.
func constantOf(v any) (int64, bool) {
	o, ok := v.(object)
	if !ok || o["class"] != "CONSTANT" {
		return 0, false
	}
	n, ok := asObject(o["value"])["value"].(json.Number)
	if !ok || strings.ContainsAny(n.String(), ".eE") {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}
