package engine

import (
	"slices"
	"strings"
)

// traced is what is known of a relation: its columns, and what they and its rows
// depend on.
type traced struct {
	cols []tracedColumn
	open bool    // there may be others than cols, and cols at other places
	rest sources // what such another column may be made of
	rows sources // what decides which rows there are
	sort sources // what the rows are ordered by
}

type tracedColumn struct {
	name string // "" where the engine makes it up
	from sources
}

// all is what any column of the relation may come from.
func (t *tracer) all(r *traced) sources {
	var out sources
	for _, c := range r.cols {
		t.add(&out, c.from, viaIdentity)
	}
	t.add(&out, r.rest, viaIdentity)
	return out
}

// find looks a column up. Sure says that the relation has it for certain; where
// it is not, the sources are what it may come from if it has one.
func (t *tracer) find(r *traced, name string) (from sources, sure bool) {
	for _, c := range r.cols {
		if strings.EqualFold(c.name, name) {
			t.add(&from, c.from, viaIdentity)
			sure = true
		}
	}
	if sure {
		return from, true
	}
	for _, c := range r.cols {
		if c.name == "" {
			t.add(&from, c.from, viaIdentity)
		}
	}
	if r.open {
		t.add(&from, named(r.rest, name), viaIdentity)
	}
	return from, false
}

// named narrows what a column not known by name may come from: what a star took
// unchanged from a table keeps its name.
func named(rest sources, name string) sources {
	out := make(sources, len(rest))
	for o, w := range rest {
		if o.column == AnyColumn && w == viaIdentity {
			o.column = name
		}
		out[o] |= w
	}
	return out
}

// renamed is the relation's columns renamed by a list such as t(a, b).
func (t *tracer) renamed(r *traced, names []string) *traced {
	if len(names) == 0 {
		return r
	}
	out := *r
	if r.open { // which column is first is not known
		any := t.used(t.all(r), viaTransform)
		out.rest = any
		out.cols = slices.Clone(r.cols)
		for i, n := range names {
			if c := (tracedColumn{n, any}); i < len(out.cols) {
				out.cols[i] = c
			} else {
				out.cols = append(out.cols, c)
			}
		}
		return &out
	}
	out.cols = slices.Clone(r.cols)
	for i, n := range names[:min(len(names), len(out.cols))] {
		out.cols[i].name = n
	}
	return &out
}

// fromItem is one relation in a FROM.
type fromItem struct {
	*traced
	name   string          // what its columns are qualified with, in small letters; "" for none
	schema string          // of a view without an alias, in small letters
	hidden map[string]bool // columns that a USING merged into those of its left
}

// field is where names of columns are looked up: one FROM, or one lambda.
type field struct {
	parent  *field
	places  []*fromItem
	merged  map[string]sources // columns of USING, in small letters
	aliases map[string]sources // names of the select list so far
	params  map[string]sources // a lambda's parameters; such a field has nothing else
	rows    sources            // what decides which rows the FROM gives
	sort    sources            // what they are ordered by
}

// from is the innermost field that is a FROM.
func (f *field) from() *field {
	for f != nil && f.params != nil {
		f = f.parent
	}
	return f
}

// put adds a relation to a FROM.
func (t *tracer) put(f *field, p *fromItem) {
	f.places = append(f.places, p)
	t.add(&f.rows, p.rows, viaIdentity)
	t.add(&f.sort, p.sort, viaIdentity)
}

// unqualified looks a bare name up, inner fields first. A name of the select list
// goes before the tables in an ORDER BY and after them elsewhere. Where it is not
// sure which column is meant, the sources are those of all that may be.
func (t *tracer) unqualified(f *field, name string, ordering bool) (from sources, sure bool) {
	low := strings.ToLower(name)
	for ; f != nil; f = f.parent {
		if s, ok := f.params[low]; ok {
			return t.both(from, s), true
		}
		alias, isAlias := f.aliases[low]
		if ordering && isAlias {
			return t.both(from, alias), true
		}
		ordering = ordering && f.params != nil
		here, sure := t.here(f, name)
		t.add(&from, here, viaIdentity)
		if sure {
			return from, true
		}
		if isAlias {
			return t.both(from, alias), true
		}
	}
	return from, false
}

// here looks a bare name up in the tables of one FROM.
func (t *tracer) here(f *field, name string) (from sources, sure bool) {
	if s, ok := f.merged[strings.ToLower(name)]; ok {
		return s, true
	}
	var maybe sources
	for _, p := range f.places {
		s, ok := t.find(p.traced, name)
		if ok {
			t.add(&from, s, viaIdentity)
			sure = true
		}
		t.add(&maybe, s, viaIdentity)
	}
	if sure {
		return from, true
	}
	return maybe, false
}

// qualified looks up a name whose first words are a table in some field.
func (t *tracer) qualified(f *field, names []string) (from sources, sure bool) {
	for ; f != nil; f = f.parent {
		for _, p := range f.places {
			rest := p.after(names)
			if rest == nil {
				continue
			}
			s, sure := t.find(p.traced, rest[0])
			if sure || len(s) > 0 {
				return t.used(s, partOf(rest)), sure
			}
		}
	}
	return nil, false
}

// partOf is how a name with what follows it uses its column: the fields of a struct
// are a part of it.
func partOf(names []string) ways {
	if len(names) > 1 {
		return viaTransform
	}
	return viaIdentity
}

// row is the whole row of the table of a name.
func (t *tracer) row(f *field, name string) (from sources, found bool) {
	for ; f != nil; f = f.parent {
		for _, p := range f.places {
			if p.name != "" && strings.EqualFold(p.name, name) {
				return t.used(t.all(p.traced), viaTransform), true
			}
		}
	}
	return nil, false
}

// after is what follows the item's own name in names, nil where it is another's.
func (p *fromItem) after(names []string) []string {
	if p.schema != "" && len(names) > 2 && strings.EqualFold(names[0], p.schema) && strings.EqualFold(names[1], p.name) {
		return names[2:]
	}
	if len(names) > 1 && p.name != "" && strings.EqualFold(names[0], p.name) {
		return names[1:]
	}
	return nil
}

// everything is what any name in sight may come from.
func (t *tracer) everything(f *field) sources {
	var out sources
	for ; f != nil; f = f.parent {
		for _, p := range f.places {
			t.add(&out, t.all(p.traced), viaTransform)
		}
		for _, s := range f.params {
			t.add(&out, s, viaTransform)
		}
		for _, s := range f.aliases {
			t.add(&out, s, viaTransform)
		}
	}
	return out
}
