package engine

import (
	"strings"

	"weft"
)

// column walks the name of a column: it notes which view it is read of, writes
// full names of renamed tables shorter, and fixes the words that mean a time.
func (w *walker) column(n *treeNode, sc *scope) float64 {
	names := n.strs("column_names")
	if len(names) == 0 {
		w.refuse("a column has no name")
	}
	if g, ok := sc.param(names[0]); ok {
		return g
	}
	if len(names) == 1 && w.valueWord(n, sc, strings.ToLower(names[0])) {
		return 1
	}
	if g, ok := w.qualified(n, names, sc); ok {
		return g
	}
	return w.unqualified(names[0], sc)
}

// param gives the growth of a lambda's parameter.
func (s *scope) param(name string) (float64, bool) {
	for ; s != nil && s.params != nil; s = s.parent {
		if g, ok := s.params[strings.ToLower(name)]; ok {
			return g, true
		}
	}
	return 0, false
}

// qualified handles names whose first words are a table in some scope, inner
// scopes first.
func (w *walker) qualified(n *treeNode, names []string, sc *scope) (float64, bool) {
	crossed := map[string]bool{} // names of relations between here and there
	for s := sc; s != nil; s = s.parent {
		for _, r := range s.rels {
			if k := len(r.parts); k > 1 && len(names) > k && equalFold(names[:k], r.parts) {
				w.uses(*r.table, names[k], true)
				if r.renamed {
					if crossed[r.name] {
						w.fail(weft.KindInvalid, "give the outer table a name: FROM "+strings.Join(r.parts, ".")+" AS a",
							"%s means another table here", r.name)
					}
					short := []any{r.parts[k-1]}
					for _, rest := range names[k:] {
						short = append(short, rest)
					}
					n.o["column_names"] = short
				}
				return r.growth, true
			}
		}
		for _, r := range s.rels {
			if r.name == "" || r.name != strings.ToLower(names[0]) {
				continue
			}
			if r.table != nil {
				if len(names) == 1 { // the whole row, or a column of that name
					w.usageOf(*r.table).all = true
				} else {
					w.uses(*r.table, names[1], true)
				}
			}
			return r.growth, true
		}
		for _, r := range s.rels {
			crossed[r.name] = true
		}
	}
	return 0, false
}

func equalFold(a, b []string) bool {
	for i := range a {
		if !strings.EqualFold(a[i], b[i]) {
			return false
		}
	}
	return true
}

// unqualified handles a bare name: a name from the select list, a column that a
// subquery is known to have, or a column of any table in sight.
func (w *walker) unqualified(name string, sc *scope) float64 {
	g, unknown := 1.0, false
	if a, ok := sc.alias(name); ok {
		if w.ordering {
			return a
		}
		g, unknown = max(g, a), true // a column of that name goes first
	}
	var tables []Target
	for s := sc; s != nil; s = s.parent {
		for _, r := range s.rels {
			g = max(g, r.growth)
			switch {
			case r.table != nil:
				tables = append(tables, *r.table)
			case r.has(name):
				return g
			case r.open:
				unknown = true
			}
		}
	}
	for _, t := range tables {
		w.uses(t, name, len(tables) == 1 && !unknown)
	}
	return g
}

// uses notes a column of a view; sure says that it can be of no other.
func (w *walker) uses(t Target, column string, sure bool) {
	u, k := w.usageOf(t), strings.ToLower(column)
	if _, ok := u.cols[k]; !ok {
		u.cols[k] = column
	}
	u.sure[k] = u.sure[k] || sure
}

// star walks *, t.*, COLUMNS(…) and what they leave out, replace and rename.
func (w *walker) star(n *treeNode, sc *scope, env *cte) float64 {
	rel := strings.ToLower(n.str("relation_name"))
	n.flag("columns")
	n.strs("exclude_list")
	g := 1.0
	if s := sc.from(); s != nil {
		for _, r := range s.rels {
			if rel != "" && r.name != rel {
				continue
			}
			g = max(g, r.growth)
			if r.table != nil {
				w.usageOf(*r.table).all = true
			}
		}
	}
	g = max(g, w.exprOpt(n.get("expr"), sc, env))
	for _, v := range n.list("replace_list") {
		r := w.open(v, "REPLACE")
		r.str("key")
		g = max(g, w.expr(r.get("value"), sc, env))
		r.done()
	}
	for _, v := range n.list("rename_list") {
		r := w.open(v, "RENAME")
		w.starColumn(r.get("key"))
		r.str("value")
		r.done()
	}
	for _, v := range n.list("qualified_exclude_list") {
		w.starColumn(v)
	}
	return g
}

// starColumn reads a column in EXCLUDE or RENAME.
func (w *walker) starColumn(v any) {
	n := w.open(v, "column")
	if n.str("catalog") != "" || n.str("schema") != "" {
		w.fail(weft.KindInvalid, "write the column alone, or the table's name or alias before it", "not supported: a full name in EXCLUDE or RENAME")
	}
	n.str("table")
	n.str("column")
	n.done()
}
