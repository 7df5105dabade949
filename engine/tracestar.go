package engine

import (
	"regexp"
	"slices"
	"strings"
)

// item traces one item of a select list and adds the columns that it gives.
func (t *tracer) item(o object, out *traced, f *field, e *env) {
	star := starIn(o)
	switch {
	case star == nil:
		t.plain(o, out, f, e)
	case o["class"] == "STAR" && o["columns"] != true:
		cols, rest, open := t.expand(o, f, e)
		t.give(out, cols, rest, open)
	default:
		t.repeat(o, star, out, f, e)
	}
}

// plain is an item that is one expression.
func (t *tracer) plain(o object, out *traced, f *field, e *env) {
	from := t.expr(o, f, e)
	name := textOf(o, "alias")
	if name == "" {
		if names := textsOf(o, "column_names"); len(names) > 0 {
			name = names[len(names)-1]
		}
	} else if _, ok := f.aliases[strings.ToLower(name)]; !ok {
		f.aliases[strings.ToLower(name)] = from
	}
	t.give(out, []tracedColumn{{name, from}}, nil, false)
	if textOf(o, "function_name") == "unnest" { // of a struct it gives several columns
		t.give(out, nil, from, true)
	}
}

// give adds columns to what a query gives.
func (t *tracer) give(out *traced, cols []tracedColumn, rest sources, open bool) {
	out.cols = append(out.cols, cols...)
	out.open = out.open || open
	t.add(&out.rest, rest, viaIdentity)
}

// expand gives the columns of * or t.* with what EXCLUDE, REPLACE and RENAME make
// of them.
func (t *tracer) expand(o object, f *field, e *env) (cols []tracedColumn, rest sources, open bool) {
	from := f.from()
	if from == nil {
		return nil, nil, false
	}
	table := strings.ToLower(textOf(o, "relation_name"))
	for _, p := range from.places {
		if table != "" && p.name != table {
			continue
		}
		for _, c := range p.cols {
			low := strings.ToLower(c.name)
			if table == "" && p.hidden[low] || left(o, p.name, c.name) {
				continue
			}
			if s, ok := from.merged[low]; ok && table == "" {
				c.from = s
			}
			cols = append(cols, c)
		}
		if p.open {
			open = true
			t.add(&rest, p.rest, viaIdentity)
		}
	}
	for _, v := range listOf(o, "replace_list") {
		r := asObject(v)
		cols = replaceColumn(cols, textOf(r, "key"), tracedColumn{textOf(r, "key"), t.expr(r["value"], f, e)}, open)
	}
	for _, v := range listOf(o, "rename_list") {
		r := asObject(v)
		was := textOf(asObject(r["key"]), "column")
		to := tracedColumn{textOf(r, "value"), named(rest, was)}
		for _, c := range cols {
			if strings.EqualFold(c.name, was) {
				to.from = c.from
			}
		}
		cols = replaceColumn(cols, was, to, open)
	}
	return cols, rest, open
}

// left reports whether EXCLUDE leaves a column out.
func left(o object, table, column string) bool {
	same := func(v any) bool { s, _ := v.(string); return strings.EqualFold(s, column) }
	if slices.ContainsFunc(listOf(o, "exclude_list"), same) {
		return true
	}
	return slices.ContainsFunc(listOf(o, "qualified_exclude_list"), func(v any) bool {
		x := asObject(v)
		of := textOf(x, "table")
		return same(x["column"]) && (of == "" || strings.EqualFold(of, table))
	})
}

// replaceColumn puts a column in another's place; where the other is not known by
// name, it is one more.
func replaceColumn(cols []tracedColumn, name string, c tracedColumn, open bool) []tracedColumn {
	found := false
	for i := range cols {
		if strings.EqualFold(cols[i].name, name) {
			cols[i], found = c, true
		}
	}
	if !found && open {
		cols = append(cols, c)
	}
	return cols
}

// starIn finds the star in an expression, nil where it has none of its own.
func starIn(v any) object {
	switch x := v.(type) {
	case object:
		switch {
		case x["class"] == "STAR":
			return x
		case x["class"] == "SUBQUERY", x["type"] == "OPERATOR_UNPACK":
			return nil
		}
		for _, c := range x {
			if s := starIn(c); s != nil {
				return s
			}
		}
	case []any:
		for _, c := range x {
			if s := starIn(c); s != nil {
				return s
			}
		}
	}
	return nil
}

// repeat traces an expression over COLUMNS(…), which stands for one expression for
// each column that is meant, and * LIKE '…', which is such a choice itself.
func (t *tracer) repeat(o, star object, out *traced, f *field, e *env) {
	cols, rest, open := t.expand(star, f, e)
	choice := asObject(star["expr"])
	plain := o["class"] == "STAR"
	if star["columns"] != true {
		choice, plain = o, true
	}
	wanted, known := chooser(choice)
	if !known {
		every := t.used(rest, viaTransform)
		for _, c := range cols {
			t.add(&every, c.from, viaTransform)
		}
		t.give(out, nil, every, true)
		return
	}
	one := func(from sources) sources {
		if plain {
			return from
		}
		was := t.star
		t.star = &from
		defer func() { t.star = was }()
		return t.expr(o, f, e)
	}
	for _, c := range cols {
		if c.name == "" || wanted(c.name) {
			t.give(out, []tracedColumn{{nameFor(o, choice, c.name), one(c.from)}}, nil, false)
		}
	}
	if open {
		from := one(rest)
		if textOf(o, "alias") != "" {
			from = t.used(from, viaTransform)
		}
		t.give(out, nil, from, true)
	}
}

// nameFor is the name of the column that a repeated expression gives for another:
// the same, or the alias, in which \1 is a part of it; "" where only the engine can tell.
func nameFor(o, choice object, column string) string {
	alias := textOf(o, "alias")
	switch pattern, ok := constantText(choice); {
	case alias == "":
		return column
	case !strings.Contains(alias, `\`):
		return alias
	case ok:
		re, err := regexp.Compile(pattern)
		if err != nil || strings.Contains(alias, "$") {
			return ""
		}
		at := re.FindStringSubmatchIndex(column)
		return string(re.ExpandString(nil, partNumber.ReplaceAllString(alias, `$${$1}`), column, at))
	}
	return ""
}

var partNumber = regexp.MustCompile(`\\([0-9])`)

// starValue is a star inside an expression: the column whose turn it is, or all of
// them together.
func (t *tracer) starValue(o object, f *field, e *env) sources {
	if t.star != nil && o["columns"] == true {
		return *t.star
	}
	cols, out, _ := t.expand(o, f, e)
	out = t.used(out, viaTransform)
	wanted, known := chooser(asObject(o["expr"]))
	for _, c := range cols {
		if c.name == "" || !known || wanted(c.name) {
			t.add(&out, c.from, viaTransform)
		}
	}
	return out
}

// chooser reads which columns COLUMNS(…) or * LIKE '…' means. Known is false where
// only the engine can tell.
func chooser(o object) (wanted func(string) bool, known bool) {
	if o == nil {
		return func(string) bool { return true }, true
	}
	if pattern, ok := constantText(o); ok { // a regular expression, in the engine's own library's syntax
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, false
		}
		return re.MatchString, true
	}
	args := listOf(o, "children")
	switch name := textOf(o, "function_name"); {
	case name == "list_value":
		var names []string
		for _, a := range args {
			s, ok := constantText(asObject(a))
			if !ok {
				return nil, false
			}
			names = append(names, s)
		}
		return func(c string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, c) })
		}, true
	case name == "list_filter" && len(args) == 2 && isLambda(args[1]):
		return nameTest(asObject(asObject(args[1])["expr"]))
	}
	return nameTest(o)
}

// nameTest reads a test of a column's name against a constant pattern.
func nameTest(o object) (wanted func(string) bool, known bool) {
	args := listOf(o, "children")
	if len(args) != 2 {
		return nil, false
	}
	if c := asObject(args[0])["class"]; c != "STAR" && c != "COLUMN_REF" {
		return nil, false
	}
	pattern, ok := constantText(asObject(args[1]))
	if !ok {
		return nil, false
	}
	not := false
	switch textOf(o, "function_name") {
	case "!~~", "!~~*":
		not = true
		fallthrough
	case "~~", "~~*":
		pattern = likePattern(pattern)
		if strings.HasSuffix(textOf(o, "function_name"), "*") {
			pattern = "(?i)" + pattern
		}
	case "regexp_full_match":
		pattern = "^(?:" + pattern + ")$"
	case "regexp_matches":
	case "prefix", "starts_with", "^@":
		pattern = "^" + regexp.QuoteMeta(pattern)
	default:
		return nil, false
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, false
	}
	return func(s string) bool { return re.MatchString(s) != not }, true
}

// likePattern is LIKE's pattern as a regular expression.
func likePattern(p string) string {
	var b strings.Builder
	b.WriteString("(?s)^")
	for _, r := range p {
		switch r {
		case '%':
			b.WriteString(".*")
		case '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return b.String() + "$"
}

func constantText(o object) (string, bool) {
	if o["class"] != "CONSTANT" {
		return "", false
	}
	s, ok := asObject(o["value"])["value"].(string)
	return s, ok
}
