package engine

import (
	"strconv"
	"strings"
)

// ref traces one item of a FROM and adds what it names to the field.
func (t *tracer) ref(v any, f *field, e *env) {
	o := asObject(v)
	aliases := textsOf(o, "column_name_alias")
	switch o["type"] {
	case "BASE_TABLE":
		t.table(o, aliases, f, e)
	case "JOIN":
		t.join(o, f, e)
	case "SUBQUERY":
		t.put(f, &fromItem{traced: t.renamed(t.subquery(o["subquery"], f, e), aliases), name: strings.ToLower(textOf(o, "alias"))})
	case "TABLE_FUNCTION":
		t.tableFunction(o, aliases, f, e)
	case "EXPRESSION_LIST":
		t.values(o, f, e)
	case "PIVOT":
		t.pivot(o, aliases, f, e)
	}
}

func (t *tracer) table(o object, aliases []string, f *field, e *env) {
	schema, name, alias := textOf(o, "schema_name"), textOf(o, "table_name"), textOf(o, "alias")
	p := &fromItem{name: strings.ToLower(alias)}
	if alias == "" {
		p.name, p.schema = strings.ToLower(name), strings.ToLower(schema)
	}
	if part := e.find(name); part != nil && schema == "" {
		p.traced = part
	} else {
		p.traced = t.view(Target{Schema: schema, Table: name})
	}
	p.traced = t.renamed(p.traced, aliases)
	t.put(f, p)
}

// view is a table with the columns that are known of it.
func (t *tracer) view(target Target) *traced {
	r := &traced{open: true, rest: sources{{target, AnyColumn}: viaIdentity}}
	if t.columns == nil {
		return r
	}
	names, whole := t.columns(target)
	for _, n := range names {
		r.cols = append(r.cols, tracedColumn{n, sources{{target, n}: viaIdentity}})
	}
	if whole {
		r.open, r.rest = false, nil
	}
	return r
}

// join traces both sides, by what their rows are matched, and what USING makes of
// their columns.
func (t *tracer) join(o object, f *field, e *env) {
	start := len(f.places)
	t.ref(o["left"], f, e)
	mid := len(f.places)
	before := f.merged
	f.merged = map[string]sources{}
	t.ref(o["right"], f, e)
	right := &field{places: f.places[mid:], merged: f.merged}
	left := &field{places: f.places[start:mid], merged: before}
	f.merged = before

	using := textsOf(o, "using_columns")
	if o["ref_type"] == "NATURAL" {
		using = t.common(left, right, f)
	}
	kind := textOf(o, "join_type")
	for _, c := range using {
		t.merge(c, kind, left, right, f)
	}
	t.add(&f.rows, t.expr(o["condition"], f, e), viaJoin)
	if o["ref_type"] == "POSITIONAL" {
		t.add(&f.rows, f.sort, viaSort)
	}
	for name, s := range right.merged { // of a join in parentheses on the right
		if _, ok := f.merged[name]; !ok {
			f.merged[name] = s
		}
	}
	if kind == "SEMI" || kind == "ANTI" {
		f.places = f.places[:mid]
	}
}

// common are the columns that both sides of a NATURAL JOIN have. Where a side may
// have others, everything may match.
func (t *tracer) common(left, right, f *field) (names []string) {
	for _, p := range right.places {
		for _, c := range p.cols {
			if _, sure := t.here(left, c.name); sure && c.name != "" && !p.hidden[strings.ToLower(c.name)] {
				names = append(names, c.name)
			}
		}
	}
	for _, side := range []*field{left, right} {
		for _, p := range side.places {
			if p.open {
				t.add(&f.rows, t.both(t.everything(left), t.everything(right)), viaJoin)
				return names
			}
		}
	}
	return names
}

// merge makes one column of the two that a USING names.
func (t *tracer) merge(name, kind string, left, right, f *field) {
	low := strings.ToLower(name)
	l, _ := t.here(left, name)
	r, _ := t.here(right, name)
	t.add(&f.rows, t.both(l, r), viaJoin)
	if kind == "SEMI" || kind == "ANTI" {
		return
	}
	switch kind {
	case "RIGHT":
		f.merged[low] = r
	case "FULL":
		f.merged[low] = t.used(t.both(l, r), viaTransform)
	default:
		f.merged[low] = l
	}
	for _, p := range right.places {
		if p.hidden == nil {
			p.hidden = map[string]bool{}
		}
		p.hidden[low] = true
	}
}

func (t *tracer) tableFunction(o object, aliases []string, f *field, e *env) {
	call := asObject(o["function"])
	name := strings.ToLower(textOf(call, "function_name"))
	from := t.used(t.exprs(listOf(call, "children"), f, e), viaTransform)
	r := &traced{cols: []tracedColumn{{"", from}}, rows: t.used(from, viaFilter)}
	if len(listOf(call, "children")) > 1 && name == "unnest" { // recursive: of structs it gives several columns
		r.open, r.rest = true, from
	}
	if o["with_ordinality"] == "WITH_ORDINALITY" {
		r.cols = append(r.cols, tracedColumn{"ordinality", from})
	}
	alias := textOf(o, "alias")
	if alias == "" {
		alias = name
	}
	t.put(f, &fromItem{traced: t.renamed(r, aliases), name: strings.ToLower(alias)})
}

func (t *tracer) values(o object, f *field, e *env) {
	r := &traced{}
	for _, row := range listOf(o, "values") {
		cells, _ := row.([]any)
		for i, c := range cells {
			if i == len(r.cols) {
				r.cols = append(r.cols, tracedColumn{name: "col" + strconv.Itoa(i)})
			}
			t.add(&r.cols[i].from, t.expr(c, f, e), viaIdentity)
		}
	}
	t.put(f, &fromItem{traced: t.renamed(r, textsOf(o, "expected_names")), name: strings.ToLower(textOf(o, "alias"))})
}

// pivot takes every column of what is turned for every column that it gives: the
// names of the new ones are values.
func (t *tracer) pivot(o object, aliases []string, f *field, e *env) {
	src := &field{parent: f, merged: map[string]sources{}}
	t.ref(o["source"], src, e)
	var every sources
	for _, p := range src.places {
		t.add(&every, t.all(p.traced), viaIdentity)
	}
	t.add(&every, t.exprs(listOf(o, "aggregates"), src, e), viaIdentity)
	r := &traced{open: true, rest: t.used(every, viaAggregate), rows: t.both(src.rows)}
	t.add(&r.rows, every, viaGroup)
	t.put(f, &fromItem{traced: t.renamed(r, aliases), name: strings.ToLower(textOf(o, "alias"))})
}
