package contract

import (
	"fmt"
	"regexp/syntax"
	"strings"

	"go.yaml.in/yaml/v3"
)

// enum compiles the closed list of values of ODCS 3.2.
func (x *compiler) enum(s subject) {
	n := field(s.node, "enum")
	if n == nil {
		return
	}
	var values []*yaml.Node
	for _, i := range items(n) {
		if v := field(i, "value"); v != nil {
			values = append(values, v)
		}
	}
	if list, shown, ok := x.list(s, values, "the enum"); ok && list != "" {
		x.row(s, "enum", s.expr+" IN ("+list+")", "is one of "+shown, keyOf(s.node, "enum"))
	}
}

// list returns values as the SQL of a list and as people read it. NULL is left
// out: no value is never a wrong one.
func (x *compiler) list(s subject, values []*yaml.Node, what string) (sql, shown string, ok bool) {
	var w, v []string
	ok = true
	for _, n := range values {
		if isNull(n) {
			continue
		}
		l, fits := literal(n, s.typ)
		if !fits {
			x.valueFault(s, n, what)
			ok = false
			continue
		}
		w, v = append(w, l), append(v, clip(scalar(n)))
	}
	if len(v) > 10 {
		v = append(v[:10], fmt.Sprintf("… %d values", len(w)))
	}
	shown = strings.Join(v, ", ")
	if s.secret() {
		shown = fmt.Sprintf("%d values", len(w))
	}
	return strings.Join(w, ", "), shown, ok
}

// valueFault reports a value that the column's type cannot hold, without the
// value where it is not for everybody.
func (x *compiler) valueFault(s subject, n *yaml.Node, what string) {
	shown := "'" + clip(scalar(n)) + "'"
	if s.secret() || scalar(n) == "" {
		shown = "a value"
	}
	x.errorf(x.c.where(n), "value-type", "write it like a value of the column", "%s in %s of '%s' is no %s", shown, what, clip(s.path), s.typ)
}

// options compiles logicalTypeOptions.
func (x *compiler) options(s subject, o *yaml.Node) {
	switch {
	case s.typ.IsNumber():
		x.bounds(s, o)
		x.multiple(s, o)
		x.unsigned(s, o)
	case s.typ.IsTemporal():
		x.bounds(s, o)
	case s.typ.Kind == KindList:
		x.count(s, o, "items", "len("+s.expr+")", "minItems", "maxItems")
		if truth(o, "uniqueItems") {
			x.row(s, "uniqueItems", "list_unique("+s.expr+") = list_count("+s.expr+")", "has no item twice", keyOf(o, "uniqueItems"))
		}
	case s.typ.Kind == KindStruct:
		x.structOptions(s, o)
	default:
		x.count(s, o, "length", lengthOf(s), "minLength", "maxLength")
		x.pattern(s, field(o, "pattern"))
		x.format(s, field(o, "format"))
	}
}

func lengthOf(s subject) string {
	if s.typ.Kind == KindBytes {
		return "octet_length(" + s.expr + ")"
	}
	return "length(" + textOf(s) + ")"
}

// textOf is the SQL of the value as text.
func textOf(s subject) string {
	if s.typ.Kind == KindString {
		return s.expr
	}
	return "CAST(" + s.expr + " AS VARCHAR)"
}

// bound is one end of a range.
type bound struct {
	n    *yaml.Node
	op   string
	word string
}

// bounds compiles minimum and maximum in all their forms into one rule. Until
// ODCS 3.0 the exclusive forms were booleans beside the inclusive ones.
func (x *compiler) bounds(s subject, o *yaml.Node) {
	var bs []bound
	for _, e := range []struct{ name, exclusive, op, strict, word, strictWord string }{
		{"minimum", "exclusiveMinimum", ">=", ">", "at least", "above"},
		{"maximum", "exclusiveMaximum", "<=", "<", "at most", "below"},
	} {
		n, ex := field(o, e.name), field(o, e.exclusive)
		if ex != nil && ex.ShortTag() == "!!bool" {
			if truth(o, e.exclusive) && n != nil {
				bs = append(bs, bound{n, e.strict, e.strictWord})
				continue
			}
			ex = nil
		}
		if n != nil {
			bs = append(bs, bound{n, e.op, e.word})
		}
		if ex != nil {
			bs = append(bs, bound{ex, e.strict, e.strictWord})
		}
	}
	var preds, words []string
	for _, b := range bs {
		l, ok := literal(b.n, s.typ)
		if !ok {
			x.valueFault(s, b.n, "the range")
			return
		}
		preds = append(preds, s.expr+" "+b.op+" "+l)
		words = append(words, b.word+" "+clip(b.n.Value))
	}
	if len(preds) == 0 {
		return
	}
	if x.crossed(s, bs) {
		x.errorf(x.c.where(bs[0].n), "range-empty", "swap the two", "no value of '%s' can be in its range", clip(s.path))
		return
	}
	what := "is " + strings.Join(words, " and ")
	if s.secret() {
		what = "is in its range"
	}
	x.row(s, "range", strings.Join(preds, " AND "), what, bs[0].n)
}

// crossed reports whether a lower bound lies above an upper one.
func (x *compiler) crossed(s subject, bs []bound) bool {
	for _, lo := range bs {
		for _, hi := range bs {
			if lo.op[0] != '>' || hi.op[0] != '<' {
				continue
			}
			if s.typ.IsTemporal() {
				a, _ := parseTime(lo.n.Value, s.typ)
				b, _ := parseTime(hi.n.Value, s.typ)
				if a.After(b) {
					return true
				}
				continue
			}
			a, ok1 := rat(lo.n)
			b, ok2 := rat(hi.n)
			if ok1 && ok2 && a.Cmp(b) > 0 {
				return true
			}
		}
	}
	return false
}

func (x *compiler) multiple(s subject, o *yaml.Node) {
	n := field(o, "multipleOf")
	if n == nil {
		return
	}
	l, ok := literal(n, s.typ)
	if r, _ := rat(n); !ok || r == nil || r.Sign() <= 0 {
		x.errorf(x.c.where(n), "value-type", "write a number above 0", "multipleOf of '%s' is no number above 0", clip(s.path))
		return
	}
	pred := s.expr + " % " + l + " = 0"
	if s.typ.IsFloat() {
		pred = fmt.Sprintf("abs(%s / %s - round(%s / %s)) < 1e-9", s.expr, l, s.expr, l)
	}
	x.row(s, "multipleOf", pred, "is a multiple of "+clip(n.Value), n)
}

// unsignedMax is the largest value of the unsigned formats.
var unsignedMax = map[string]string{
	"u8": "255", "u16": "65535", "u32": "4294967295", "u64": "18446744073709551615",
}

// unsigned compiles the formats whose range is smaller than that of the type
// that holds them.
func (x *compiler) unsigned(s subject, o *yaml.Node) {
	n := field(o, "format")
	f := scalar(n)
	switch most := unsignedMax[f]; {
	case most != "":
		x.row(s, "format", fmt.Sprintf("%s BETWEEN 0 AND %s", s.expr, most), "is "+f, n)
	case f == "u128":
		x.row(s, "format", s.expr+" >= 0", "is "+f, n)
	}
}

// count compiles a least and a most number into one rule over expr.
func (x *compiler) count(s subject, o *yaml.Node, kind, expr, least, most string) {
	lo, hi := field(o, least), field(o, most)
	var preds, words []string
	for _, b := range []bound{{lo, ">=", "at least"}, {hi, "<=", "at most"}} {
		if b.n == nil {
			continue
		}
		r, ok := rat(b.n)
		if !ok || !r.IsInt() || r.Sign() < 0 {
			x.errorf(x.c.where(b.n), "value-type", "write a whole number from 0", "'%s' of '%s' is no whole number from 0", keyName(o, b.n), clip(s.path))
			return
		}
		preds = append(preds, expr+" "+b.op+" "+r.Num().String())
		words = append(words, b.word+" "+r.Num().String())
	}
	if len(preds) == 0 {
		return
	}
	if len(preds) == 2 {
		a, _ := rat(lo)
		b, _ := rat(hi)
		if a.Cmp(b) > 0 {
			x.errorf(x.c.where(lo), "range-empty", "swap the two", "no value of '%s' can have such a %s", clip(s.path), kind)
			return
		}
	}
	unit := map[string]string{"length": " characters", "items": " items", "properties": " properties"}[kind]
	n := lo
	if n == nil {
		n = hi
	}
	x.row(s, kind, strings.Join(preds, " AND "), "has "+strings.Join(words, " and ")+unit, n)
}

// keyName is the name of the field of o whose value is n.
func keyName(o, n *yaml.Node) string {
	for i := 0; i+1 < len(o.Content); i += 2 {
		if o.Content[i+1] == n {
			return o.Content[i].Value
		}
	}
	return ""
}

// pattern compiles a regular expression, which has to match the whole value.
func (x *compiler) pattern(s subject, n *yaml.Node) {
	if n == nil {
		return
	}
	if pred, ok := x.patternPred(s, n); ok {
		x.row(s, "pattern", pred, "matches "+clip(n.Value), n)
	}
}

// patternPred returns the predicate of a pattern. The engine's expressions are
// RE2, which are Go's.
func (x *compiler) patternPred(s subject, n *yaml.Node) (string, bool) {
	_, err := syntax.Parse(n.Value, syntax.Perl)
	if err != nil || strings.IndexByte(n.Value, 0) >= 0 {
		why := "it holds a zero byte"
		if e, ok := err.(*syntax.Error); ok {
			why = e.Code.String()
		}
		x.errorf(x.c.where(n), "pattern", "patterns are RE2: without look-ahead and back-references; in YAML put them into single quotes", "the pattern of '%s' cannot be used: %s", clip(s.path), why)
		return "", false
	}
	return "regexp_full_match(" + textOf(s) + ", " + QuoteLiteral(n.Value) + ")", true
}

// formats are the string formats that can be checked, as patterns.
var formats = map[string]string{
	"email":    `[^@\s]+@[^@\s]+\.[^@\s]+`,
	"uuid":     `(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"uri":      `[A-Za-z][A-Za-z0-9+.\-]*:\S+`,
	"hostname": `(?i)[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9\-]{0,61}[a-z0-9])?)*\.?`,
	"ipv4":     `((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])`,
	"ipv6":     `(?i)[0-9a-f:]{2,39}(\.[0-9]{1,3}){0,3}(%\w+)?`,
}

func (x *compiler) format(s subject, n *yaml.Node) {
	if p, ok := formats[strings.ToLower(scalar(n))]; ok && s.typ.Kind == KindString {
		x.row(s, "format", "regexp_full_match("+s.expr+", "+QuoteLiteral(p)+")", "is written like "+a(strings.ToLower(n.Value)), n)
	}
}

// structOptions compiles the options of objects: how many and which fields are
// there.
func (x *compiler) structOptions(s subject, o *yaml.Node) {
	var there []string
	for _, f := range s.typ.Fields {
		there = append(there, fmt.Sprintf("CAST(%s.%s IS NOT NULL AS INTEGER)", s.expr, QuoteIdent(f.Name)))
	}
	if len(there) > 0 {
		count := "CASE WHEN " + s.expr + " IS NOT NULL THEN " + strings.Join(there, " + ") + " END"
		x.count(s, o, "properties", count, "minProperties", "maxProperties")
	}
	for _, n := range items(field(o, "required")) {
		found := false
		for _, f := range s.typ.Fields {
			found = found || f.Name == n.Value
		}
		if !found {
			x.errorf(x.c.where(n), "value-type", "name one of its properties", "'%s' has no property '%s'", clip(s.path), clip(n.Value))
			continue
		}
		in := subject{col: s.col, path: s.path + "." + n.Value, expr: s.expr + "." + QuoteIdent(n.Value), parent: s.expr}
		x.row(in, "required", s.expr+" IS NULL OR "+in.expr+" IS NOT NULL", "is there", n)
	}
}
