package engine

import (
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// sift has a SELECT look at a bit for each row where it asks for the keys that came with the
// question (sieve.c): what cannot be among these is dropped where it is read, and the rest is
// joined with them. The node is one that the walker has passed; what it gives stays the same,
// whatever the sieve says of a value that is there. Where the bits tell all, w remembers that
// they can take the place of the join.
func (w *walker) sift(node object) {
	var beside []object
	sure := false
	for _, c := range conjuncts(node["where_clause"]) {
		if x, keys := amongKeys(c); keys != "" {
			beside = append(beside, mayHave(keys, x))
			sure = sure || w.rules.span(keys).Keys > 0
		} else if x, q := testOf(c); q != nil && keysOf(node) != "" && isKey(x) { // SELECT k FROM keys WHERE k = ANY(SELECT x FROM …)
			if x, ok := oneColumn(q); ok {
				also(q, mayHave(keysOf(node), x))
			}
		}
	}
	if sure {
		conds := conjuncts(node["where_clause"])
		w.exact = append(w.exact, func(keepOne bool) func() { return w.unjoin(node, conds, keepOne) })
	}
	for _, m := range beside {
		also(node, m)
	}
}

// unjoin has bits take the place of joins in a SELECT of some conditions, and returns what
// takes that back, nil where nothing was changed. With keepOne the join that leaves least
// stays: it puts the few rows together that are left of each of the engine's chunks, which
// are sent on as they are where nothing else does that.
func (w *walker) unjoin(node object, conds []object, keepOne bool) (back func()) {
	stays, least := -1, math.Inf(1)
	for i, c := range conds {
		_, keys := amongKeys(c)
		if s := w.rules.span(keys); keepOne && s.Keys > 0 && s.share() < least {
			stays, least = i, s.share()
		}
	}
	var exact []object
	changed := false
	for i, c := range conds {
		x, keys := amongKeys(c)
		s := w.rules.span(keys)
		switch {
		case s.Keys > 0 && i != stays:
			exact, changed = append(exact, s.has(keys, x)...), true
		case keys != "":
			exact = append(exact, c, mayHave(keys, x))
		default:
			exact = append(exact, c)
		}
	}
	if !changed {
		return nil
	}
	joined := node["where_clause"]
	node["where_clause"] = andAsIs(exact)
	return func() { node["where_clause"] = joined }
}

// streams reports whether rows of a query come one by one as they are read.
func streams(node object) bool {
	from := asObject(node["from_table"])
	switch {
	case node["type"] == "SET_OPERATION_NODE":
		return slices.ContainsFunc([]string{"left", "right"}, func(k string) bool { return streams(asObject(node[k])) })
	case node["type"] != "SELECT_NODE", !isEmpty(node["group_expressions"]), hasAggregate(node["select_list"]), hasWindow(node["select_list"]),
		node["qualify"] != nil, !isEmpty(node["modifiers"]):
		return false
	case from["type"] == "SUBQUERY":
		return streams(asObject(asObject(from["subquery"])["node"]))
	}
	return from["type"] == "BASE_TABLE"
}

// Span says how many keys there are and between which numbers they lie.
type Span struct {
	Keys        int // 0 where nothing is known of them
	Least, Most int64
}

// SpanOf is the span of the keys that a column has, in pieces, where there are few enough
// numbers in it that one bit for each of them tells all (sieve.c).
func SpanOf(keys []arrow.Array) Span {
	s := Span{Least: math.MaxInt64, Most: math.MinInt64}
	for _, a := range keys {
		if a.NullN() > 0 || !s.widen(a) {
			return Span{}
		}
		s.Keys += a.Len()
	}
	numbers := uint64(s.Most) - uint64(s.Least) + 1 // 0 for all that there are
	most := uint64(min(s.Keys*64+64<<10, 8<<20))    // bytes, as in sieve.c
	if numbers == 0 || (numbers/64+1)*8 > most {
		return Span{}
	}
	return s
}

// share is how many of the numbers in the span are keys.
func (s Span) share() float64 { return float64(s.Keys) / (float64(s.Most) - float64(s.Least) + 1) }

// widen has the span hold the numbers of an array; false where they are none.
func (s *Span) widen(a arrow.Array) bool {
	switch a := a.(type) {
	case *array.Int8:
		widen(s, a.Int8Values())
	case *array.Int16:
		widen(s, a.Int16Values())
	case *array.Int32:
		widen(s, a.Int32Values())
	case *array.Int64:
		widen(s, a.Int64Values())
	case *array.Uint8:
		widen(s, a.Uint8Values())
	case *array.Uint16:
		widen(s, a.Uint16Values())
	case *array.Uint32:
		widen(s, a.Uint32Values())
	default:
		return false
	}
	return true
}

func widen[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](s *Span, values []T) {
	for _, v := range values {
		s.Least, s.Most = min(s.Least, int64(v)), max(s.Most, int64(v))
	}
}

// has are the conditions that take the place of x being one of the keys: the bounds are
// for what knows them of whole groups of rows.
func (s Span) has(keys string, x object) []object {
	out := []object{sieve("weft_has", keys, x)}
	if s.Least >= 0 { // one with a sign is not written as it is read
		out = append(out, comparison("COMPARE_GREATERTHANOREQUALTO", bare(x), constantInt(s.Least)),
			comparison("COMPARE_LESSTHANOREQUALTO", bare(x), constantInt(s.Most)))
	}
	return out
}

// span is what is known of keys; "" is the name of none.
func (r Rules) span(keys string) Span {
	if r.Keys == nil || keys == "" {
		return Span{}
	}
	return r.Keys(keys)
}

// amongKeys takes apart x = ANY(SELECT k FROM keys) of a column x; "" for anything else.
func amongKeys(c object) (x object, keys string) {
	x, q := testOf(c)
	if q == nil || q["where_clause"] != nil {
		return nil, ""
	}
	return x, keysOf(q)
}

// testOf takes apart x = ANY(SELECT …) of a column x; nil for anything else.
func testOf(c object) (x, query object) {
	x = asObject(c["child"])
	if c["class"] != "SUBQUERY" || c["subquery_type"] != "ANY" || c["comparison_type"] != "COMPARE_EQUAL" || !isColumn(x) {
		return nil, nil
	}
	query = asObject(asObject(c["subquery"])["node"])
	if query["type"] != "SELECT_NODE" {
		return nil, nil
	}
	return x, query
}

// keysOf is the name of the keys that a SELECT reads and nothing else, "" for another one.
func keysOf(node object) string {
	from := asObject(node["from_table"])
	if from["type"] != "BASE_TABLE" || from["schema_name"] != KeysSchema || !isEmpty(from["column_name_alias"]) {
		return ""
	}
	if x, ok := oneColumn(node); !ok || !isKey(x) {
		return ""
	}
	return textOf(from, "table_name")
}

// isKey reports whether a column of a SELECT from keys is theirs: another one would be of
// the query around it.
func isKey(x object) bool { return slices.Equal(textsOf(x, "column_names"), []string{"k"}) }

// oneColumn is the column that a SELECT of rows, each as it is, gives.
func oneColumn(node object) (object, bool) {
	list := listOf(node, "select_list")
	for _, k := range []string{"modifiers", "group_expressions", "group_sets", "having", "qualify", "sample"} {
		if !isEmpty(node[k]) {
			return nil, false
		}
	}
	if len(list) != 1 || node["aggregate_handling"] != "STANDARD_HANDLING" {
		return nil, false
	}
	x := asObject(list[0])
	return x, isColumn(x)
}

// also adds a condition to those of a SELECT. Whoever has noted one of these finds it.
func also(node, cond object) {
	node["where_clause"] = andAsIs(append(conjuncts(node["where_clause"]), cond))
}

// mayHave is whether the keys of a name may have the value of a column.
func mayHave(keys string, x object) object { return sieve("weft_may_have", keys, x) }

func sieve(function, keys string, x object) object {
	return callOf(function, constantString(KeysSchema+"."+keys), bare(x))
}

// bare is a copy of an expression without a name.
func bare(x object) object {
	x = copyTree(x).(object)
	x["alias"] = ""
	return x
}
