package engine

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"weft"
)

// AnyColumn stands for every column of a table, where a query does not say which:
// a star over a table whose columns are not known.
const AnyColumn = "*"

// LineageSource is a column of a table that a query reads, and what for.
type LineageSource struct {
	Table  Target
	Column string // AnyColumn where it may be any of the table
	How    weft.Derivation
}

// LineageColumn is one column that a query gives.
type LineageColumn struct {
	Name string // "" where the engine makes the name up
	From []LineageSource
}

// Lineage is what the columns and the rows of a query's answer depend on. It is
// sound and not always exact: what is not in it has no influence, what is in it
// may have one.
type Lineage struct {
	Columns []LineageColumn // in the query's order
	// Open says that there may be columns besides, because of a star over a table
	// whose columns are not known, a PIVOT or the like; Rest is what any of them
	// may come from.
	Open bool
	Rest []LineageSource
	// Uses are the columns that decide which rows there are.
	Uses []LineageSource
	// Tables are all tables that the query names, also those of which it uses no
	// column: count(*) depends on the rows alone.
	Tables []Target
}

// Of returns what the column of the name comes from, in the engine's way of
// comparing names, and whether the query can have such a column.
func (l *Lineage) Of(column string) ([]LineageSource, bool) {
	var out []LineageSource
	for _, c := range l.Columns {
		if strings.EqualFold(c.Name, column) {
			return c.From, true
		}
		if c.Name == "" {
			out = append(out, c.From...)
		}
	}
	if len(out) == 0 && !l.Open {
		return nil, false
	}
	for _, s := range l.Rest {
		again := func(o LineageSource) bool { return o.Table == s.Table && o.Column == AnyColumn && o.How != s.How }
		if s.Column == AnyColumn && s.How == weft.DeriveIdentity && !slices.ContainsFunc(l.Rest, again) {
			s.Column = column // a star took it as it is
		}
		out = append(out, s)
	}
	return sortSources(out), true
}

// ColumnsOf says which columns a table has, and whether these are all of them.
type ColumnsOf func(Target) (names []string, whole bool)

// LineageOf traces a query: which columns of which tables each of its columns and
// its rows come from. The text passes the gate's walker under the rules first, so
// what this cannot read is refused as Bind refuses it; tables are named by what
// the rules resolve them to.
func LineageOf(ctx context.Context, s Parser, text string, r Rules, columns ColumnsOf) (*Lineage, error) {
	w, tree, err := walked(ctx, s, text, r)
	if err != nil {
		return nil, err
	}
	t := &tracer{columns: columns}
	l, err := t.run(tree.stmt)
	if err != nil {
		return nil, err
	}
	l.Tables = slices.SortedFunc(maps.Keys(w.use), func(a, b Target) int {
		return cmp.Or(strings.Compare(a.Schema, b.Schema), strings.Compare(a.Table, b.Table))
	})
	return l, nil
}

// tracer follows the columns of a walked tree, in which tables are their targets
// and every WITH part has a name of its own. It is used once, by one goroutine.
type tracer struct {
	columns ColumnsOf
	steps   int

	ordering bool     // in an ORDER BY of a query, where names of the select list go first
	star     *sources // the column whose turn it is in an expression over COLUMNS(…)
}

// maxTraced bounds the work: sources that are put into sets, over the whole query.
const maxTraced = 2_000_000

// spend counts work and ends the trace where it is too much.
func (t *tracer) spend(n int) {
	if t.steps += n; t.steps > maxTraced {
		panic(refusal{weft.Errorf(weft.KindLimit, "trace the query", "", "its columns come from too many others").
			WithHint("name the columns instead of *")})
	}
}

func (t *tracer) run(stmt object) (l *Lineage, err error) {
	defer endsWalk(&err)
	out := t.query(stmt["node"], nil, nil)
	l = &Lineage{Open: out.open, Rest: out.rest.list(), Uses: out.rows.list()}
	for _, c := range out.cols {
		l.Columns = append(l.Columns, LineageColumn{Name: c.name, From: c.from.list()})
	}
	return l, nil
}

// ways are the derivations by which a column depends on another, as bits.
type ways uint8

const (
	viaIdentity ways = 1 << iota
	viaTransform
	viaAggregate
	viaConditional
	viaJoin
	viaFilter
	viaGroup
	viaSort

	viaValue = viaIdentity | viaTransform | viaAggregate // the value itself goes in
)

var derivations = []weft.Derivation{
	weft.DeriveIdentity, weft.DeriveTransform, weft.DeriveAggregate, weft.DeriveConditional,
	weft.DeriveJoin, weft.DeriveFilter, weft.DeriveGroup, weft.DeriveSort,
}

// then is what becomes of a dependency when what depends is itself used by how.
func (w ways) then(how ways) ways {
	switch how {
	case viaIdentity:
		return w
	case viaTransform, viaAggregate:
		if w&viaValue == 0 {
			return w
		}
		if w&viaAggregate != 0 {
			how = viaAggregate
		}
		return w&^viaValue | how
	}
	return how
}

// origin is a column of a table.
type origin struct {
	table  Target
	column string
}

// sources is a set of columns with how each is used. It is built once and then
// shared: only the maker of a set adds to it.
type sources map[origin]ways

// add puts a set into another, used by how, and reports whether that changed it.
func (t *tracer) add(to *sources, from sources, how ways) (changed bool) {
	t.spend(len(from) + 1)
	if *to == nil && len(from) > 0 {
		*to = make(sources, len(from))
	}
	for o, w := range from {
		was := (*to)[o]
		if now := was | w.then(how); now != was {
			(*to)[o] = now
			changed = true
		}
	}
	return changed
}

// used is a set as how uses it.
func (t *tracer) used(from sources, how ways) sources {
	var out sources
	t.add(&out, from, how)
	return out
}

// both joins sets.
func (t *tracer) both(sets ...sources) sources {
	var out sources
	for _, s := range sets {
		t.add(&out, s, viaIdentity)
	}
	return out
}

// list writes a set in order: of the ways in which the value goes in the one that
// changes it most.
func (s sources) list() []LineageSource {
	var out []LineageSource
	for o, w := range s {
		for i := len(derivations) - 1; i >= 0; i-- {
			if bit := ways(1) << i; w&bit != 0 {
				out = append(out, LineageSource{Table: o.table, Column: o.column, How: derivations[i]})
				if bit&viaValue != 0 {
					break
				}
			}
		}
	}
	return sortSources(out)
}

func sortSources(l []LineageSource) []LineageSource {
	slices.SortFunc(l, func(a, b LineageSource) int {
		return cmp.Or(strings.Compare(a.Table.Schema, b.Table.Schema), strings.Compare(a.Table.Table, b.Table.Table),
			strings.Compare(a.Column, b.Column), cmp.Compare(slices.Index(derivations, a.How), slices.Index(derivations, b.How)))
	})
	return slices.Compact(l)
}
