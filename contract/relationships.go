package contract

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	shortRef = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)+$`)
	fullRef  = regexp.MustCompile(`^/?schema/[A-Za-z0-9_-]+(/properties/[A-Za-z0-9_-]+)+$`)
)

// relationships checks every reference of a contract that can be checked inside
// the folder: of columns, and of tables between lists of columns.
func (r *reader) relationships(c *contractFile) {
	for _, t := range c.Tables {
		n := c.nodes[t]
		for _, rel := range items(field(n, "relationships")) {
			r.tableRelationship(c, rel)
		}
		for _, col := range t.Columns {
			for i, rel := range items(field(c.cols[col], "relationships")) {
				to := field(rel, "to")
				if to == nil || to.Kind != yaml.ScalarNode {
					continue
				}
				if table, column := r.resolve(c, to); table != nil && column != "" {
					to := table.Name + "." + column
					if i < len(col.Relationships) && col.Relationships[i].To != to {
						col.Relationships[i].To = to
					}
				}
			}
		}
	}
}

func (r *reader) tableRelationship(c *contractFile, rel *yaml.Node) {
	from, to := field(rel, "from"), field(rel, "to")
	if from == nil || to == nil {
		return // said by the standard
	}
	if from.Kind != to.Kind || len(from.Content) != len(to.Content) {
		r.errorf(c.where(rel), "relationship", "write two columns, or two lists of the same length", "'from' and 'to' of a relationship do not match")
		return
	}
	for _, n := range []*yaml.Node{from, to} {
		if n.Kind == yaml.ScalarNode {
			r.resolve(c, n)
		}
		for _, i := range items(n) {
			r.resolve(c, i)
		}
	}
}

// resolve finds the column that a reference names: in this contract, else among
// the output tables of the folder. A reference to another product gives nil, as
// does one that is wrong, which is reported.
func (r *reader) resolve(c *contractFile, n *yaml.Node) (*Table, string) {
	ref := n.Value
	if full, ok := strings.CutPrefix(ref, "#"); ok {
		ref = full
	}
	switch {
	case strings.Contains(ref, "#"):
		return nil, "" // another contract's file
	case fullRef.MatchString(ref):
		return r.resolveFull(c, n, strings.Split(strings.TrimPrefix(ref, "/"), "/"))
	case !shortRef.MatchString(ref):
		r.errorf(c.where(n), "relationship", "write table.column", "'%s' is no reference to a column", clip(ref))
		return nil, ""
	}
	table, col, _ := strings.Cut(ref, ".")
	t := tableOf(c.Contract, table)
	if t == nil {
		t = r.folder.Table(table)
	}
	if t == nil {
		var names []string
		for _, u := range c.Tables {
			names = append(names, u.Name)
		}
		if near := nearest(table, names); near != "" {
			r.errorf(c.where(n), "relationship", "did you mean '"+near+"."+col+"'?", "the relationship names the table '%s', and the product has none", clip(table))
		}
		return nil, ""
	}
	top, _, _ := strings.Cut(col, ".")
	if len(t.Columns) > 0 && t.Column(top) == nil {
		r.errorf(c.where(n), "relationship", didYouMean(top, t.columnNames()), "the relationship names the column '%s', and table '%s' has none", clip(top), clip(t.Name))
		return nil, ""
	}
	return t, col
}

// resolveFull follows schema/ID/properties/ID by the ids of the elements.
func (r *reader) resolveFull(c *contractFile, n *yaml.Node, path []string) (*Table, string) {
	list := items(field(c.doc.root, "schema"))
	var names, ids []string
	for i := 1; i < len(path); i += 2 {
		ids = ids[:0]
		k := slices.IndexFunc(list, func(e *yaml.Node) bool {
			ids = append(ids, text(e, "id"))
			return text(e, "id") == path[i]
		})
		if k < 0 {
			r.errorf(c.where(n), "relationship", didYouMean(path[i], slices.DeleteFunc(ids, func(s string) bool { return s == "" })), "nothing in this contract has the id '%s'", clip(path[i]))
			return nil, ""
		}
		names = append(names, text(list[k], "name"))
		list = items(field(list[k], "properties"))
	}
	return tableOf(c.Contract, names[0]), strings.Join(names[1:], ".")
}
