package transform

import (
	"context"
	"slices"
	"strings"

	"weft"
	"weft/contract"
	"weft/engine"
)

// TableLineage is what an output table is made from.
type TableLineage struct {
	// From are the columns that each column is made from, by its name in the contract.
	From map[string][]weft.Source
	// Uses are the columns that decide which rows there are.
	Uses []weft.Source
}

// Lineage says of every output table of a folder what its SQL makes it from, or
// what passes through to it. Card gives what is known of another product, nil where
// nothing is, and may be nil itself. A table whose product is not known has the
// name "" where the SQL names only the port; a column "*" is any of its table. Where the
// SQL cannot be traced, everything is said to come from every input. Errors are those
// of a parser that cannot be asked.
func Lineage(ctx context.Context, p engine.Parser, f *contract.Folder, card func(weft.Name) *weft.Card) (map[string]TableLineage, error) {
	l := &lineage{folder: f, card: card}
	out := map[string]TableLineage{}
	for _, t := range f.Tables() {
		if t.SQL == "" {
			out[t.Name] = l.passed(t)
			continue
		}
		traced, err := engine.LineageOf(ctx, p, t.SQL, engine.Rules{Owner: true, Resolve: declared(f)}, l.columns)
		switch weft.KindOf(err) {
		case weft.KindUnavailable, weft.KindCancelled:
			if err != nil {
				return nil, inFile(err, f.Name, t)
			}
		}
		if err != nil {
			out[t.Name] = l.coarse(t)
			continue
		}
		out[t.Name] = l.table(t, traced)
	}
	return out, nil
}

// lineage makes the lineage of one folder.
type lineage struct {
	folder *contract.Folder
	card   func(weft.Name) *weft.Card
}

// input is the port of a name.
func (l *lineage) input(port string) *contract.Input {
	for _, in := range l.folder.Inputs {
		if in.Name == port {
			return in
		}
	}
	return nil
}

// far is the table of another product that a port's table stands for: nil where the
// product is not known.
func (l *lineage) far(in *contract.Input, table string) *weft.CardTable {
	if l.card == nil {
		return nil
	}
	c := l.card(in.Product)
	if c == nil {
		return nil
	}
	for i := range c.Tables {
		if c.Tables[i].Name == table {
			return &c.Tables[i]
		}
	}
	if len(c.Tables) == 1 && table == in.Name {
		return &c.Tables[0]
	}
	return nil
}

// columns is what is known of an input table. A source may have more columns than
// its contract says, another product has what its card says.
func (l *lineage) columns(t engine.Target) (names []string, whole bool) {
	in := l.input(t.Schema)
	switch {
	case in == nil:
		return nil, false
	case !in.Product.IsZero():
		far := l.far(in, t.Table)
		if far == nil {
			return nil, false
		}
		for _, c := range far.Columns {
			names = append(names, c.Name)
		}
		return names, len(names) > 0
	case in.Contract != nil:
		for _, u := range in.Contract.Tables {
			if u.Name == t.Table {
				for _, c := range u.Columns {
					names = append(names, c.Name)
				}
			}
		}
	}
	return names, false
}

// source is a column of an input table as a card names it.
func (l *lineage) source(t engine.Target, column string, how weft.Derivation) weft.Source {
	s := weft.Source{Port: t.Schema, Table: t.Table, Column: column, How: how}
	in := l.input(t.Schema)
	if in == nil || in.Product.IsZero() {
		return s
	}
	name := in.Product
	s.Port, s.Product = "", &name
	if far := l.far(in, t.Table); far != nil {
		s.Table = far.Name
		for _, c := range far.Columns {
			if strings.EqualFold(c.Name, column) {
				s.Column = c.Name
			}
		}
	} else if t.Table == in.Name {
		s.Table = ""
	}
	return s
}

func (l *lineage) sources(from []engine.LineageSource) []weft.Source {
	var out []weft.Source
	for _, s := range from {
		if w := l.source(s.Table, s.Column, s.How); !slices.ContainsFunc(out, w.Equal) {
			out = append(out, w)
		}
	}
	return out
}

// table names what was traced. A column that the SQL does not give is no fault of
// the lineage: it comes from nothing.
func (l *lineage) table(t *contract.Table, traced *engine.Lineage) TableLineage {
	out := TableLineage{From: map[string][]weft.Source{}, Uses: l.sources(traced.Uses)}
	for _, c := range t.Columns {
		if from, ok := traced.Of(c.Name); ok {
			out.From[c.Name] = l.sources(from)
		}
	}
	how := weft.DeriveJoin
	if len(traced.Tables) == 1 {
		how = weft.DeriveAggregate
	}
	for _, target := range traced.Tables {
		if s := l.source(target, "", how); !out.names(s) {
			out.Uses = append(out.Uses, s)
		}
	}
	return out
}

// names reports whether any column comes from the table of s.
func (t *TableLineage) names(s weft.Source) bool {
	same := func(o weft.Source) bool {
		o.Column, o.How = s.Column, s.How
		return s.Equal(o)
	}
	for _, from := range t.From {
		if slices.ContainsFunc(from, same) {
			return true
		}
	}
	return slices.ContainsFunc(t.Uses, same)
}

// passed is the lineage of a table without SQL: every column is that of the same
// name of its input, or the one that the contract says the source calls it.
func (l *lineage) passed(t *contract.Table) TableLineage {
	out := TableLineage{From: map[string][]weft.Source{}}
	in, table, err := l.folder.Source(t)
	if err != nil {
		return out
	}
	if table == "" { // another product: the table of the same name, else its only one
		table = in.Name
		if l.far(in, t.Name) != nil {
			table = t.Name
		}
	}
	target := engine.Target{Schema: in.Name, Table: table}
	known, _ := l.columns(target)
	for _, c := range t.Columns {
		name := c.Name
		if !slices.Contains(known, name) && c.PhysicalName != "" {
			name = c.PhysicalName
		}
		out.From[c.Name] = []weft.Source{l.source(target, name, weft.DeriveIdentity)}
	}
	return out
}

// coarse says of a table that all of it comes from all inputs.
func (l *lineage) coarse(t *contract.Table) TableLineage {
	var all []weft.Source
	for _, in := range l.folder.Inputs {
		tables := []string{in.Name}
		if in.Contract != nil && len(in.Contract.Tables) > 0 {
			tables = nil
			for _, u := range in.Contract.Tables {
				tables = append(tables, u.Name)
			}
		}
		for _, name := range tables {
			all = append(all, l.source(engine.Target{Schema: in.Name, Table: name}, engine.AnyColumn, weft.DeriveTransform))
		}
	}
	out := TableLineage{From: map[string][]weft.Source{}, Uses: slices.Clone(all)}
	for i := range out.Uses {
		out.Uses[i].How = weft.DeriveFilter
	}
	for _, c := range t.Columns {
		out.From[c.Name] = all
	}
	return out
}
