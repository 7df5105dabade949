package engine

import (
	"context"
	"slices"
	"strings"
)

// leaf is a relation that is read in one piece: a table, or a query over tables of
// one site.
type leaf struct {
	view    Target
	site    string
	table   *Place // nil for a query
	block   object // the query's node, where it is one
	join    *joinBlock
	cols    []string
	types   []string        // of these, as far as they are known
	need    map[string]bool // by small letters
	rows    int64
	base    int64
	of      []Target
	chosen  bool     // conditions are in it
	partial bool     // others give the same, to be put together
	sharded bool     // what it leaves out is only left out by the shards of its tables
	looked  bool     // it is only asked whether a row is there, and not how often
	preds   []object // over its own columns, by bare names
	keys    []leafKey
}

type leafKey struct {
	name   string
	column string
	from   []leafColumn
	query  map[*leaf]bool // instead: a query over these, which is sql
	sql    string
	pred   object
}

type leafColumn struct {
	leaf   *leaf
	column string
}

// ordered are the named columns in the leaf's own order, each once.
func (l *leaf) ordered(names []string) []string {
	var out []string
	for _, c := range l.cols {
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, c) }) {
			out = append(out, c)
		}
	}
	return out
}

// typeOf is a column's type, "" where it is not known.
func (l *leaf) typeOf(column string) string {
	if i := indexOf(l.cols, column); i >= 0 && i < len(l.types) {
		return l.types[i]
	}
	return ""
}

// needed are the columns that the question uses.
func (l *leaf) needed() (cols []string) {
	for _, c := range l.cols {
		if l.need[strings.ToLower(c)] {
			cols = append(cols, c)
		}
	}
	return cols
}

func (l *leaf) part() *Part {
	cols := l.needed()
	if len(cols) == 0 && len(l.cols) > 0 { // the number of rows counts
		cols = l.cols[:1]
	}
	rows := float64(l.rows)
	for _, p := range l.preds {
		rows *= selectivity(p)
	}
	return &Part{
		View: l.view, Site: l.site, Columns: cols, Rows: int64(rows), Base: l.base, Tables: l.of, Narrowed: l.chosen || len(l.preds) > 0, Sharded: l.sharded, leaf: l,
	}
}

// selectivity guesses the share of rows for which a condition holds.
func selectivity(p object) float64 {
	switch p["type"] {
	case "COMPARE_EQUAL":
		return 0.05
	case "COMPARE_IN", "FUNCTION", "SUBQUERY":
		return 0.1
	case "COMPARE_BETWEEN":
		return 0.2
	case "COMPARE_LESSTHAN", "COMPARE_GREATERTHAN", "COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHANOREQUALTO":
		return 0.4
	case "CONJUNCTION_AND":
		f := 1.0
		for _, c := range listOf(p, "children") {
			f *= selectivity(asObject(c))
		}
		return f
	case "CONJUNCTION_OR":
		f := 0.0
		for _, c := range listOf(p, "children") {
			f += selectivity(asObject(c))
		}
		return min(f, 1)
	}
	return 0.7
}

// text writes the SELECT of some columns of the leaf.
func (l *leaf) text(ctx context.Context, s Parser, cols []string, extra []object) (string, error) {
	var items []any
	for _, c := range cols {
		items = append(items, columnRef(c))
	}
	var modifiers []any
	if l.looked {
		modifiers = once()
	}
	return l.write(ctx, s, items, modifiers, extra)
}

// once has a query give each row once.
func once() []any {
	return []any{object{"type": "DISTINCT_MODIFIER", "distinct_on_targets": []any{}}}
}

// among writes the SELECT of those keys that are in a column: that is half the work of
// choosing the leaf's rows by the keys and having each of these once.
func (l *leaf) among(ctx context.Context, s Parser, column, keys string) (string, error) {
	k := columnRef("k")
	k["alias"] = column
	node := selectNode([]any{k}, baseTable(Target{KeysSchema, keys}, ""), anyOf(columnRef("k"), l.query([]any{columnRef(column)}, nil, nil)))
	return writeNode(ctx, s, node)
}

func (l *leaf) distinct(ctx context.Context, s Parser, column string) (string, error) {
	return l.write(ctx, s, []any{columnRef(column)}, once(), nil)
}

func (l *leaf) write(ctx context.Context, s Parser, items, modifiers []any, extra []object) (string, error) {
	return writeNode(ctx, s, l.query(items, modifiers, extra))
}

func (l *leaf) query(items, modifiers []any, extra []object) object {
	var from object
	conds := slices.Concat(l.preds, extra)
	if l.site == "" {
		from = baseTable(l.view, "")
	} else if l.table != nil {
		from = baseTable(l.table.Name, "")
		from["at_clause"] = l.table.At.tree()
	} else if l.join != nil {
		from = subqueryRef(l.node(conds), "b")
		conds = nil
	} else {
		from = subqueryRef(l.node(nil), "b")
	}
	node := selectNode(items, from, and(conds))
	node["modifiers"] = append([]any{}, modifiers...)
	return node
}
