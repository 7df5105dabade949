package node

import (
	"context"
	"slices"
	"strings"

	"weft/contract"
	"weft/publish"
	"weft/store"
)

// madeBy is the table as the contract said it that made its published rows, nil
// where its columns have the same names still or that contract is not known.
func (l *load) madeBy(ctx context.Context, t *contract.Table) *contract.Table {
	names := l.columns(t.Name)
	if len(names) == 0 || !slices.ContainsFunc(t.Columns, func(c *contract.Column) bool { return !slices.Contains(names, c.Name) }) {
		return nil
	}
	return l.tableBefore(ctx, t.Name, names)
}

// renamed is the published table with its columns called as the contract calls
// them now, nil where there is no such table.
func (l *load) renamed(ctx context.Context, t *contract.Table) *store.Relation {
	r := l.relation(t.Name)
	if r == nil {
		return nil
	}
	var w []string
	before := l.columns(t.Name)
	for name, old := range t.Renamed(l.madeBy(ctx, t)) {
		if slices.Contains(before, old) && !slices.Contains(before, name) {
			w = append(w, contract.QuoteIdent(old)+" AS "+contract.QuoteIdent(name))
		}
	}
	if len(w) == 0 {
		return r
	}
	as := *r
	as.SQL, as.Plain = "SELECT * RENAME ("+strings.Join(w, ", ")+") FROM ("+r.SQL+")", false
	return &as
}

// columns are the names of the published table's columns.
func (l *load) columns(table string) []string {
	var names []string
	for _, p := range l.prior.Tables() {
		if p.Table == table {
			for _, f := range p.Schema.Fields() {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

// maxCommitsBack is how far tableBefore looks: applied folders that never loaded
// stand between a table and the contract that made it.
const maxCommitsBack = 64

// tableBefore finds the latest applied folder in which the table has these
// columns.
func (l *load) tableBefore(ctx context.Context, table string, columns []string) *contract.Table {
	commits, err := l.p.store.Commits(0, maxCommitsBack)
	if err != nil {
		return nil
	}
	last := l.rec.Folder
	for _, c := range commits {
		if c.Folder == last {
			continue
		}
		last = c.Folder
		archive, err := l.p.node.books.Archive(ctx, c.Folder)
		if err != nil {
			return nil // it was before the books remember
		}
		f, _, err := readArchive(archive)
		if err != nil || f == nil {
			return nil
		}
		t := f.Table(table)
		if t != nil && len(t.Columns) == len(columns) && !slices.ContainsFunc(t.Columns, func(c *contract.Column) bool { return !slices.Contains(columns, c.Name) }) {
			return t
		}
	}
	return nil
}

// defaults are what the contract says that rows from before a column have in it.
func defaults(t *contract.Table) map[string]publish.Default {
	out := map[string]publish.Default{}
	for _, c := range t.Columns {
		if c.Default != "" {
			out[c.Name] = publish.Default{Text: c.Default, Type: c.Type}
		}
	}
	return out
}
