package engine

import (
	"fmt"
	"strings"
)

// CountOf is a query that asks for nothing but the number of a table's rows:
// SELECT count(*) FROM table.
type CountOf struct {
	Table Target
	Name  string // of the one column that it gives
}

// SQL is what gives the query's answer from the number itself.
func (c *CountOf) SQL(rows int64) string {
	return fmt.Sprintf("SELECT %d::BIGINT AS %s", rows, QuoteIdent(c.Name))
}

// countOf recognises such a query in its walked tree, nil where it is any other:
// with a condition, a sample, groups, an order or a limit it is.
func countOf(stmt object) *CountOf {
	node, _ := stmt["node"].(object)
	if !isType(node, "SELECT_NODE") || node["aggregate_handling"] != "STANDARD_HANDLING" ||
		!onlyKeys(node, "type", "select_list", "from_table", "aggregate_handling") {
		return nil
	}
	from, _ := node["from_table"].(object)
	if !isType(from, "BASE_TABLE") || !onlyKeys(from, "type", "alias", "schema_name", "table_name", "column_name_alias", "query_location") {
		return nil
	}
	list, _ := node["select_list"].([]any)
	if len(list) != 1 {
		return nil
	}
	item, _ := list[0].(object)
	name, _ := item["function_name"].(string)
	orders, _ := item["order_bys"].(object)
	if item["class"] != "FUNCTION" || !strings.EqualFold(name, "count_star") || !isEmpty(orders["orders"]) ||
		!onlyKeys(item, "class", "type", "alias", "function_name", "order_bys", "query_location") {
		return nil
	}
	schema, _ := from["schema_name"].(string)
	table, _ := from["table_name"].(string)
	c := &CountOf{Table: Target{Schema: schema, Table: table}, Name: "count_star()"}
	if alias, _ := item["alias"].(string); alias != "" {
		c.Name = alias
	}
	return c
}
