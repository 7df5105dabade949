package contract

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"weft"
)

// compiler turns one table's promises into checks.
type compiler struct {
	*reader
	c    *contractFile
	t    *Table
	used map[string]int // ids
}

// subject is what a check looks at: a column, or a field inside one.
type subject struct {
	col    *Column
	path   string // column, or column.field
	expr   string // SQL of the value
	parent string // SQL of the struct around it; empty for a column
	typ    Type
	node   *yaml.Node
}

// secret reports whether values of the column must not be shown.
func (s subject) secret() bool {
	return s.col != nil && s.col.Classification != "" && s.col.Classification != "public"
}

// compile fills the table's checks from everything it promises.
func (r *reader) compile(c *contractFile, t *Table) {
	x := &compiler{reader: r, c: c, t: t, used: map[string]int{}}
	if len(t.Key) > 0 {
		x.add(Check{Kind: "unique", Columns: t.Key, Text: "the key (" + strings.Join(t.Key, ", ") + ") is unique", Line: c.cols[t.Column(t.Key[0])].Line}, "key")
	}
	for _, col := range t.Columns {
		p := c.cols[col]
		s := subject{col: col, path: col.Name, expr: QuoteIdent(col.Name), typ: col.Type, node: p}
		x.element(s)
		if col.Unique && !(len(t.Key) == 1 && t.Key[0] == col.Name) {
			x.add(Check{Column: col.Name, Kind: "unique", Columns: []string{col.Name}, Text: col.Name + " is unique", Line: keyOf(p, "unique").Line}, "")
		}
	}
	for _, q := range items(field(c.nodes[t], "quality")) {
		x.quality(q, nil)
	}
}

// add completes a check and appends it; suffix replaces the kind in its id.
func (x *compiler) add(k Check, suffix string) {
	k.Table = x.t.Name
	if k.Severity == "" {
		k.Severity = weft.SeverityError
	}
	if suffix == "" {
		suffix = k.Kind
	}
	id := x.t.Name + "." + suffix
	if k.Column != "" {
		id = x.t.Name + "." + k.Column + "." + suffix
	}
	x.used[id]++
	if n := x.used[id]; n > 1 {
		id = fmt.Sprintf("%s.%d", id, n)
	}
	k.ID = id
	x.t.Checks = append(x.t.Checks, k)
}

// row adds a row rule over s: pred is true for a good value, NULL where there is
// no value.
func (x *compiler) row(s subject, kind, pred, what string, n *yaml.Node) {
	suffix := ""
	if s.parent != "" {
		suffix = strings.TrimPrefix(s.path, s.col.Name+".") + "." + kind
	}
	x.add(Check{Column: s.col.Name, Kind: kind, Predicate: pred, Text: s.path + " " + what, Line: n.Line}, suffix)
}

// element compiles what a property and the properties inside it promise.
func (x *compiler) element(s subject) {
	n := s.node
	if truth(n, "required") {
		pred := s.expr + " IS NOT NULL"
		if s.parent != "" {
			pred = s.parent + " IS NULL OR " + pred
		}
		x.row(s, "required", pred, "is there", keyOf(n, "required"))
	}
	if s.typ.Kind == KindString {
		if _, length, err := parseTypeText(text(n, "physicalType"), generic); err == nil && length > 0 {
			x.row(s, "length", fmt.Sprintf("length(%s) <= %d", s.expr, length), fmt.Sprintf("has at most %d characters", length), field(n, "physicalType"))
		}
	}
	if s.parent == "" && s.col.Shard != nil {
		x.row(s, kindShard, s.typ.InShard(s.expr, *s.col.Shard), "is in shard "+s.col.Shard.String(), n)
	}
	x.enum(s)
	if o := field(n, "logicalTypeOptions"); o != nil && s.typ.Kind != KindUnknown {
		x.options(s, o)
	}
	if s.parent == "" {
		for _, q := range items(field(n, "quality")) {
			x.quality(q, &s)
		}
	} else if q := field(n, "quality"); q != nil {
		x.warnf(x.c.where(keyOf(n, "quality")), "check-unsupported", "write the rule at the column, or as SQL", "quality rules of '%s', which is inside a column, are not checked", clip(s.path))
	}
	x.inside(s)
}

// inside compiles the parts of an object; those of an array are not checked.
func (x *compiler) inside(s subject) {
	if s.typ.Kind == KindStruct {
		for _, f := range items(field(s.node, "properties")) {
			name := text(f, "name")
			for _, ft := range s.typ.Fields {
				if ft.Name == name {
					x.element(subject{
						col: s.col, path: s.path + "." + name, expr: s.expr + "." + QuoteIdent(name), parent: s.expr, typ: ft.Type, node: f,
					})
				}
			}
		}
	}
	if i := field(s.node, "items"); i != nil {
		for _, f := range []string{"logicalTypeOptions", "enum", "quality"} {
			if field(i, f) != nil {
				x.warnf(x.c.where(keyOf(i, f)), "check-unsupported", "write the rule as a quality rule of type sql", "'%s' of the items of '%s' is not checked", f, clip(s.path))
			}
		}
	}
}
