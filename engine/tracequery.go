package engine

import (
	"encoding/json"
	"strings"
)

// env is a WITH part in sight; they form a list, innermost first. The walker has
// given every part a name of its own.
type env struct {
	parent *env
	name   string
	part   *traced
}

func (e *env) find(name string) *traced {
	for ; e != nil; e = e.parent {
		if e.name == name {
			return e.part
		}
	}
	return nil
}

func textOf(o object, key string) string { s, _ := o[key].(string); return s }

func listOf(o object, key string) []any { l, _ := o[key].([]any); return l }

func textsOf(o object, key string) (out []string) {
	for _, v := range listOf(o, key) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// query traces a SELECT or a set operation.
func (t *tracer) query(v any, parent *field, e *env) *traced {
	defer func(ordering bool, star *sources) { t.ordering, t.star = ordering, star }(t.ordering, t.star)
	t.ordering, t.star = false, nil
	o := asObject(v)
	e = t.with(o["cte_map"], parent, e)
	if o["type"] == "SET_OPERATION_NODE" {
		return t.setOperation(o, parent, e)
	}
	return t.selectNode(o, parent, e)
}

// subquery traces what stands in parentheses.
func (t *tracer) subquery(v any, parent *field, e *env) *traced {
	return t.query(asObject(v)["node"], parent, e)
}

func (t *tracer) with(v any, parent *field, e *env) *env {
	for _, entry := range listOf(asObject(v), "map") {
		part := asObject(entry)
		info := asObject(part["value"])
		node := asObject(asObject(info["query"])["node"])
		c := &env{parent: e, name: textOf(part, "key")}
		aliases := textsOf(info, "aliases")
		if node["type"] == "RECURSIVE_CTE_NODE" {
			c.part = t.recursive(node, c.name, aliases, parent, e)
		} else {
			c.part = t.renamed(t.query(node, parent, e), aliases)
		}
		e = c
	}
	return e
}

// recursive repeats the second half over what is known so far until nothing new
// comes: sets only grow, and there are only so many columns.
func (t *tracer) recursive(o object, name string, aliases []string, parent *field, e *env) *traced {
	e = t.with(o["cte_map"], parent, e)
	if own := textsOf(o, "aliases"); len(own) > 0 {
		aliases = own
	}
	out := t.own(t.renamed(t.query(o["left"], parent, e), aliases))
	for changed := true; changed; {
		step := t.query(o["right"], parent, &env{parent: e, name: name, part: out})
		next := t.own(out)
		changed = t.stack(next, step)
		if o["union_all"] != true {
			changed = t.add(&next.rows, t.all(next), viaGroup) || changed
		}
		out = next
	}
	return out
}

// own is a copy of a relation that may be added to.
func (t *tracer) own(r *traced) *traced {
	out := &traced{open: r.open, rest: t.both(r.rest), rows: t.both(r.rows), sort: t.both(r.sort)}
	for _, c := range r.cols {
		out.cols = append(out.cols, tracedColumn{c.name, t.both(c.from)})
	}
	return out
}

// stack adds to a relation the columns of another by their places, and its rows.
// It reports whether that changed anything.
func (t *tracer) stack(to, from *traced) (changed bool) {
	if to.open || from.open {
		every := t.used(t.all(from), viaTransform)
		changed = !to.open
		to.open = true
		changed = t.add(&to.rest, every, viaIdentity) || changed
		for i := range to.cols {
			changed = t.add(&to.cols[i].from, every, viaIdentity) || changed
		}
	} else {
		for i := range to.cols[:min(len(to.cols), len(from.cols))] {
			changed = t.add(&to.cols[i].from, from.cols[i].from, viaIdentity) || changed
		}
	}
	return t.add(&to.rows, from.rows, viaIdentity) || changed
}

func (t *tracer) setOperation(o object, parent *field, e *env) *traced {
	left, right := t.query(o["left"], parent, e), t.query(o["right"], parent, e)
	out := t.own(left)
	out.sort = nil
	all := o["setop_all"] == true
	switch o["setop_type"] {
	case "UNION":
		t.stack(out, right)
	case "UNION_BY_NAME":
		t.stackByName(out, right)
	default: // EXCEPT and INTERSECT: the right side chooses among the left one's rows
		all = true
		t.add(&out.rows, right.rows, viaIdentity)
		t.add(&out.rows, t.all(left), viaFilter)
		t.add(&out.rows, t.all(right), viaFilter)
	}
	if !all {
		t.add(&out.rows, t.all(out), viaGroup)
	}
	answer := &field{parent: parent}
	t.put(answer, &fromItem{traced: out})
	t.modifiers(o, out, answer, e)
	return out
}

// stackByName adds to a relation the columns of another by their names.
func (t *tracer) stackByName(to, from *traced) {
	to.open = to.open || from.open
	t.add(&to.rest, from.rest, viaIdentity)
	t.add(&to.rows, from.rows, viaIdentity)
	had := len(to.cols)
next:
	for _, c := range from.cols {
		for i := range to.cols[:had] {
			if strings.EqualFold(to.cols[i].name, c.name) {
				t.add(&to.cols[i].from, c.from, viaIdentity)
				if c.name != "" {
					continue next
				}
			}
		}
		to.cols = append(to.cols, tracedColumn{c.name, t.both(c.from, to.rest)})
	}
	for i := range to.cols[:had] {
		t.add(&to.cols[i].from, named(from.rest, to.cols[i].name), viaIdentity)
	}
}

func (t *tracer) selectNode(o object, parent *field, e *env) *traced {
	f := &field{parent: parent, merged: map[string]sources{}, aliases: map[string]sources{}}
	t.ref(o["from_table"], f, e)
	out := &traced{}
	for _, item := range listOf(o, "select_list") {
		t.item(asObject(item), out, f, e)
	}
	for _, key := range []string{"where_clause", "having", "qualify"} {
		t.add(&f.rows, t.expr(o[key], f, e), viaFilter)
	}
	t.groups(o, out, f, e)
	t.add(&out.rows, f.rows, viaIdentity)
	t.modifiers(o, out, f, e)
	return out
}

// groups notes what rows are grouped by.
func (t *tracer) groups(o object, out *traced, f *field, e *env) {
	for _, g := range listOf(o, "group_expressions") {
		if c, ok := t.position(asObject(g), out); ok {
			t.add(&f.rows, c, viaGroup)
		} else {
			t.add(&f.rows, t.expr(g, f, e), viaGroup)
		}
	}
	grouped := len(listOf(o, "group_expressions")) > 0
	if o["aggregate_handling"] == "FORCE_AGGREGATES" { // GROUP BY ALL
		grouped = true
		for _, item := range listOf(o, "select_list") {
			if !hasAggregate(item) {
				t.add(&f.rows, t.expr(item, f, e), viaGroup)
			}
		}
	}
	if grouped {
		f.sort = nil
	}
}

func isAggregate(o object) bool {
	name := strings.ToLower(textOf(o, "function_name"))
	return o["class"] == "FUNCTION" && (aggregateFunctions[name] || strings.HasPrefix(name, "json_group_"))
}

func hasAggregate(v any) bool {
	switch x := v.(type) {
	case object:
		if isAggregate(x) {
			return true
		}
		if x["class"] == "SUBQUERY" {
			return false
		}
		for _, c := range x {
			if hasAggregate(c) {
				return true
			}
		}
	case []any:
		for _, c := range x {
			if hasAggregate(c) {
				return true
			}
		}
	}
	return false
}

// position is the select list's column that a number in GROUP BY or ORDER BY means.
func (t *tracer) position(o object, out *traced) (sources, bool) {
	if o["class"] != "CONSTANT" {
		return nil, false
	}
	n, ok := asObject(o["value"])["value"].(json.Number)
	if !ok {
		return nil, false
	}
	i, err := n.Int64()
	switch {
	case err != nil:
		return nil, false
	case out.open:
		return t.all(out), true
	case i < 1 || i > int64(len(out.cols)):
		return nil, false
	}
	return out.cols[i-1].from, true
}

// modifiers traces ORDER BY, LIMIT and DISTINCT. An order decides which rows
// there are where only some of them are taken.
func (t *tracer) modifiers(o object, out *traced, f *field, e *env) {
	order, taken := f.sort, false
	for _, m := range listOf(o, "modifiers") {
		m := asObject(m)
		switch m["type"] {
		case "ORDER_MODIFIER":
			order = t.orders(m["orders"], out, f, e)
		case "DISTINCT_MODIFIER":
			targets := listOf(m, "distinct_on_targets")
			if len(targets) == 0 {
				t.add(&out.rows, t.all(out), viaGroup)
				continue
			}
			taken = true
			for _, x := range targets {
				c, ok := t.position(asObject(x), out)
				if !ok {
					c = t.expr(x, f, e)
				}
				t.add(&out.rows, c, viaGroup)
			}
		default: // LIMIT
			taken = true
			t.add(&out.rows, t.both(t.expr(m["limit"], f, e), t.expr(m["offset"], f, e)), viaFilter)
		}
	}
	if taken {
		t.add(&out.rows, order, viaSort)
	}
	out.sort = t.used(order, viaSort)
}

// orders is what an ORDER BY sorts by. Out is nil inside calls and windows, where
// a number is no column.
func (t *tracer) orders(v any, out *traced, f *field, e *env) sources {
	var by sources
	list, _ := v.([]any)
	for _, x := range list {
		x := asObject(asObject(x)["expression"])
		switch c, ok := sources(nil), false; {
		case out == nil:
			t.add(&by, t.expr(x, f, e), viaIdentity)
		case x["class"] == "STAR": // ORDER BY ALL
			t.add(&by, t.all(out), viaIdentity)
		default:
			if c, ok = t.position(x, out); !ok {
				t.ordering = true
				c = t.expr(x, f, e)
				t.ordering = false
			}
			t.add(&by, c, viaIdentity)
		}
	}
	return t.used(by, viaSort)
}
