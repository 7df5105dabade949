package contract

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"weft"
)

// operators are the comparisons of a quality rule.
var operators = []string{
	"mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo",
	"mustBeLessThan", "mustBeLessOrEqualTo", "mustBeBetween", "mustNotBeBetween",
}

func hasOperator(n *yaml.Node) bool {
	for _, o := range operators {
		if field(n, o) != nil {
			return true
		}
	}
	return false
}

// oldRules maps the names of ODCS 3.0's field rule to metrics.
var oldRules = map[string]string{
	"duplicateCount": "duplicateValues", "unique": "duplicateValues", "nullCheck": "nullValues", "nullCount": "nullValues",
	"nullValues": "nullValues", "missingValues": "missingValues", "validValues": "invalidValues", "invalidValues": "invalidValues",
	"duplicateValues": "duplicateValues", "rowCount": "rowCount",
}

// quality compiles one quality rule; s is nil for a rule of the table.
func (x *compiler) quality(q *yaml.Node, s *subject) {
	if q.Kind != yaml.MappingNode {
		return // said by the standard
	}
	switch qualityType(q) {
	case "library":
		x.library(q, s)
	case "sql":
		x.query(q, s)
	case "custom":
		x.warnf(x.c.where(keyOf(q, "engine")), "quality-custom", "write it as a metric or as SQL to have it checked", "rules of other engines are not run")
	}
}

func (x *compiler) library(q *yaml.Node, s *subject) {
	metric, at := text(q, "metric"), keyOf(q, "metric")
	if metric == "" {
		rule := text(q, "rule")
		if metric = oldRules[rule]; metric == "" {
			x.errorf(x.c.where(q), "quality-metric", "add 'metric:' with nullValues, missingValues, invalidValues, duplicateValues or rowCount", "the quality rule names no metric that Weft knows")
			return
		}
		at = keyOf(q, "rule")
	}
	base := x.base(q, s, metric)
	base.Line = at.Line
	cmp, ok := x.comparison(q)
	if !ok {
		return
	}
	base.Percent = x.percent(q)
	switch metric {
	case "rowCount":
		base.Percent = false
		x.metric(base, "count(*)", cmp, "rows")
	case "duplicateValues":
		x.duplicates(q, s, base, cmp)
	case "nullValues", "missingValues", "invalidValues":
		if s == nil {
			x.errorf(x.c.where(at), "quality-metric", "move the rule to the property", "the metric %s belongs to a property, not to the table", metric)
			return
		}
		if pred, what, ok := x.metricPred(q, *s, metric); ok {
			x.counted(base, pred, what, cmp)
		}
	}
}

// base is what every check of a rule shares.
func (x *compiler) base(q *yaml.Node, s *subject, kind string) Check {
	k := Check{Kind: kind, Text: text(q, "description"), Severity: x.severity(q), Line: q.Line}
	if s != nil {
		k.Column = s.col.Name
	}
	if k.Text == "" {
		k.Text = text(q, "name")
	}
	return k
}

func (x *compiler) severity(q *yaml.Node) weft.Severity {
	n := field(q, "severity")
	switch sev := weft.Severity(strings.ToLower(scalar(n))); sev {
	case "", weft.SeverityError:
	case weft.SeverityWarning, weft.SeverityInfo:
		return sev
	default:
		x.warnf(x.c.where(n), "quality-severity", "write error, warning or info", "the severity '%s' is not known and acts like error", clip(scalar(n)))
	}
	return weft.SeverityError
}

func (x *compiler) percent(q *yaml.Node) bool {
	n := field(q, "unit")
	switch strings.ToLower(scalar(n)) {
	case "", "rows", "row":
		return false
	case "percent", "%":
		return true
	}
	x.errorf(x.c.where(n), "quality-unit", "write rows or percent", "a quality rule cannot count '%s'", clip(scalar(n)))
	return false
}

// metricPred returns what a good value is, by the metric that counts bad ones.
func (x *compiler) metricPred(q *yaml.Node, s subject, metric string) (pred, what string, ok bool) {
	args := field(q, "arguments")
	switch metric {
	case "nullValues":
		return s.expr + " IS NOT NULL", s.path + " is there", true
	case "missingValues":
		return x.missing(s, args)
	}
	values := field(args, "validValues")
	if values == nil {
		values = field(q, "validValues") // ODCS 3.0
	}
	var preds, words []string
	if values != nil {
		list, shown, ok := x.list(s, items(values), "validValues")
		if !ok {
			return "", "", false
		}
		if list == "" {
			x.errorf(x.c.where(values), "quality-arguments", "list the values", "validValues of '%s' has no value", clip(s.path))
			return "", "", false
		}
		preds, words = append(preds, s.expr+" IN ("+list+")"), append(words, "is one of "+shown)
	}
	if n := field(args, "pattern"); n != nil {
		p, ok := x.patternPred(s, n)
		if !ok {
			return "", "", false
		}
		preds, words = append(preds, p), append(words, "matches "+clip(n.Value))
	}
	if len(preds) == 0 {
		x.errorf(x.c.where(q), "quality-arguments", "add 'arguments: {validValues: [ … ]}' or 'arguments: {pattern: …}'", "invalidValues of '%s' does not say what is valid", clip(s.path))
		return "", "", false
	}
	return strings.Join(preds, " AND "), s.path + " " + strings.Join(words, " and "), true
}

// missing compiles missingValues: by default NULL and the empty text. A value
// that the column's type cannot hold is never there.
func (x *compiler) missing(s subject, args *yaml.Node) (pred, what string, ok bool) {
	list := field(args, "missingValues")
	null := list == nil
	var lits []string
	if list == nil && s.typ.Kind == KindString {
		lits = []string{"''"}
	}
	for _, n := range items(list) {
		if isNull(n) {
			null = true
		} else if l, ok := literal(n, s.typ); ok {
			lits = append(lits, l)
		}
	}
	var preds []string
	if null {
		preds = append(preds, s.expr+" IS NOT NULL")
	}
	if len(lits) > 0 {
		preds = append(preds, s.expr+" NOT IN ("+strings.Join(lits, ", ")+")")
	}
	if len(preds) == 0 {
		return "", "", false // nothing that could be missing
	}
	return strings.Join(preds, " AND "), s.path + " is not missing", true
}

// counted adds a rule over the rows that break pred: a row rule where none may,
// so that single rows can be held back, else a metric.
func (x *compiler) counted(k Check, pred, what string, cmp *Comparison) {
	if k.Text == "" {
		k.Text = what
	}
	if cmp.none() {
		k.Predicate, k.Percent = pred, false
		x.add(k, "")
		return
	}
	x.metric(k, "count(*) FILTER (WHERE NOT ("+pred+"))", cmp, "rows that break: "+what)
}

// none reports whether the comparison allows nothing but zero.
func (c *Comparison) none() bool {
	only := Comparison{Be: c.Be, AtMost: c.AtMost}
	return *c == only && (c.Be != nil || c.AtMost != nil) && (c.Be == nil || *c.Be == 0) && (c.AtMost == nil || *c.AtMost == 0)
}

// metric adds a rule over one number of the table.
func (x *compiler) metric(k Check, sql string, cmp *Comparison, what string) {
	k.Metric, k.Compare = sql, cmp
	if k.Percent {
		k.Metric = "CASE WHEN count(*) = 0 THEN 0 ELSE 100.0 * (" + sql + ") / count(*) END"
		what = "percent of " + what
	}
	if k.Text == "" {
		k.Text = what + ": " + cmp.String()
	}
	x.add(k, "")
}

// duplicates compiles duplicateValues: of a column, or of the columns that a
// rule of the table names.
func (x *compiler) duplicates(q *yaml.Node, s *subject, k Check, cmp *Comparison) {
	var cols []string
	if s != nil {
		cols = []string{s.col.Name}
	} else {
		list := field(field(q, "arguments"), "properties")
		for _, n := range items(list) {
			if x.t.Column(n.Value) == nil {
				x.errorf(x.c.where(n), "quality-arguments", didYouMean(n.Value, x.t.columnNames()), "the table has no column '%s'", clip(n.Value))
				return
			}
			cols = append(cols, n.Value)
		}
		if len(cols) == 0 {
			x.errorf(x.c.where(q), "quality-arguments", "add 'arguments: {properties: [ … ]}'", "duplicateValues of a table does not name its columns")
			return
		}
	}
	what := strings.Join(cols, ", ")
	if cmp.none() {
		k.Kind, k.Columns, k.Percent = "unique", cols, false
		if k.Text == "" {
			k.Text = what + " is unique"
		}
		x.add(k, "duplicateValues")
		return
	}
	x.metric(k, duplicateCount(cols), cmp, "duplicates of "+what)
}

// duplicateCount is the number of rows beyond the first of each value.
func duplicateCount(cols []string) string {
	if len(cols) == 1 {
		c := QuoteIdent(cols[0])
		return "count(" + c + ") - count(DISTINCT " + c + ")"
	}
	var ids, there []string
	for _, c := range cols {
		ids = append(ids, QuoteIdent(c))
		there = append(there, QuoteIdent(c)+" IS NOT NULL")
	}
	where := " FILTER (WHERE " + strings.Join(there, " AND ") + ")"
	return "count(*)" + where + " - count(DISTINCT (" + strings.Join(ids, ", ") + "))" + where
}

var placeholder = regexp.MustCompile(`\$?\{ *(object|table|property|column) *\}`)

// query compiles a rule of type sql; it is the owner's SQL and not read here.
func (x *compiler) query(q *yaml.Node, s *subject) {
	n := field(q, "query")
	if n == nil {
		return // said by the standard
	}
	k := x.base(q, s, "sql")
	cmp, ok := x.comparison(q)
	if !ok {
		return
	}
	named, bad := false, false
	k.Query = placeholder.ReplaceAllStringFunc(scalar(n), func(m string) string {
		switch strings.Trim(m, "${} ") {
		case "object", "table":
			named = true
			return "{object}"
		}
		if s == nil {
			bad = true
			return m
		}
		return QuoteIdent(s.col.Name)
	})
	switch {
	case bad:
		x.errorf(x.c.where(n), "quality-sql", "name the column, or move the rule to the property", "the query of a table's rule names {property}")
		return
	case !named:
		x.errorf(x.c.where(n), "quality-sql", "write FROM {object}", "the query does not read {object}, so it would not check this table")
		return
	}
	k.Compare, k.Percent = cmp, x.percent(q)
	if k.Text == "" {
		k.Text = "the query's number: " + cmp.String()
	}
	x.add(k, "")
}

// comparison reads the operators of a rule.
func (x *compiler) comparison(q *yaml.Node) (*Comparison, bool) {
	c := &Comparison{}
	ok, any := true, false
	for _, p := range []struct {
		name string
		to   **float64
	}{
		{"mustBe", &c.Be},
		{"mustNotBe", &c.NotBe},
		{"mustBeGreaterThan", &c.Above},
		{"mustBeGreaterOrEqualTo", &c.AtLeast},
		{"mustBeLessThan", &c.Below},
		{"mustBeLessOrEqualTo", &c.AtMost},
	} {
		n := field(q, p.name)
		if n == nil {
			continue
		}
		any = true
		v, isNumber := number(n)
		if n.ShortTag() == "!!bool" { // a query may answer with true or false
			v, isNumber = map[bool]float64{true: 1}[strings.EqualFold(n.Value, "true")], true
		}
		if !isNumber {
			x.errorf(x.c.where(n), "quality-operator", "write a number", "the value of %s is no number", p.name)
			ok = false
			continue
		}
		*p.to = &v
	}
	for _, p := range []struct {
		name string
		to   **[2]float64
	}{{"mustBeBetween", &c.Between}, {"mustNotBeBetween", &c.NotBetween}} {
		n := field(q, p.name)
		if n == nil {
			continue
		}
		any = true
		pair, isPair := between(n)
		if !isPair {
			x.errorf(x.c.where(n), "quality-operator", "write [lower, upper]", "%s needs two numbers, the lower one first", p.name)
			ok = false
			continue
		}
		*p.to = &pair
	}
	if !any {
		x.errorf(x.c.where(q), "quality-operator", "add 'mustBe: 0' or another of "+strings.Join(operators[1:], ", "), "the quality rule does not say what the number must be")
	}
	return c, ok && any
}

func between(n *yaml.Node) (pair [2]float64, ok bool) {
	l := items(n)
	if len(l) != 2 {
		return pair, false
	}
	a, ok1 := number(l[0])
	b, ok2 := number(l[1])
	return [2]float64{a, b}, ok1 && ok2 && a <= b
}

// String says the comparison for people: "above 5 and at most 7".
func (c *Comparison) String() string {
	var w []string
	say := func(p *float64, word string) {
		if p != nil {
			w = append(w, word+" "+plain(*p))
		}
	}
	say(c.Be, "is")
	say(c.NotBe, "is not")
	say(c.Above, "above")
	say(c.AtLeast, "at least")
	say(c.Below, "below")
	say(c.AtMost, "at most")
	if c.Between != nil {
		w = append(w, "from "+plain(c.Between[0])+" to "+plain(c.Between[1]))
	}
	if c.NotBetween != nil {
		w = append(w, "not from "+plain(c.NotBetween[0])+" to "+plain(c.NotBetween[1]))
	}
	return strings.Join(w, " and ")
}

func plain(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return fmt.Sprintf("%d", int64(f))
	}
	return fmt.Sprintf("%g", f)
}
