package engine

import "strings"

// expr is what the value of an expression comes from. Names of columns are looked
// up in the field; a nil expression comes from nothing.
func (t *tracer) expr(v any, f *field, e *env) sources {
	o := asObject(v)
	if o == nil {
		return nil
	}
	t.spend(1)
	switch o["class"] {
	case "COLUMN_REF":
		return t.column(textsOf(o, "column_names"), f)
	case "CONSTANT":
		return nil
	case "FUNCTION":
		return t.call(o, f, e)
	case "WINDOW":
		return t.window(o, f, e)
	case "CASE":
		return t.caseExpr(o, f, e)
	case "CAST":
		return t.used(t.expr(o["child"], f, e), viaTransform)
	case "COLLATE":
		return t.expr(o["child"], f, e)
	case "SUBQUERY":
		return t.asked(o, f, e)
	case "STAR":
		return t.starValue(o, f, e)
	case "POSITIONAL_REFERENCE":
		return t.positional(o, f)
	}
	return t.used(t.parts(o, f, e), viaTransform)
}

// parts are the expressions that any other expression is made of: operators,
// conjunctions, comparisons, BETWEEN and arrows.
func (t *tracer) parts(o object, f *field, e *env) sources {
	out := t.exprs(listOf(o, "children"), f, e)
	for _, key := range []string{"left", "right", "input", "lower", "upper", "lhs", "expr"} {
		if asObject(o[key]) != nil {
			t.add(&out, t.expr(o[key], f, e), viaIdentity)
		}
	}
	return out
}

func (t *tracer) exprs(list []any, f *field, e *env) sources {
	var out sources
	for _, v := range list {
		t.add(&out, t.expr(v, f, e), viaIdentity)
	}
	return out
}

// column looks up a name as the engine does: as a column, as a column of a table,
// as a field of a struct, as a whole row. A name that nobody has may be anything.
func (t *tracer) column(names []string, f *field) sources {
	if len(names) == 0 {
		return nil
	}
	var out sources
	if len(names) == 1 {
		s, sure := t.unqualified(f, names[0], t.ordering)
		if sure {
			return s
		}
		row, found := t.row(f, names[0])
		if found {
			return row
		}
		out = s
	} else {
		s, sure := t.qualified(f, names)
		if sure {
			return s
		}
		field, known := t.unqualified(f, names[0], t.ordering)
		if known || s == nil {
			t.add(&s, field, viaTransform)
		}
		out = s
	}
	if len(out) == 0 && !t.empty(names, f) {
		return t.everything(f)
	}
	return out
}

// empty reports whether a name is known to be made from no column at all.
func (t *tracer) empty(names []string, f *field) bool {
	if _, sure := t.unqualified(f, names[0], t.ordering); sure {
		return true
	}
	for ; f != nil && len(names) > 1; f = f.parent {
		for _, p := range f.places {
			if rest := p.after(names); rest != nil {
				if _, sure := t.find(p.traced, rest[0]); sure {
					return true
				}
			}
		}
	}
	return false
}

// positional is #n: a column of the FROM by its place.
func (t *tracer) positional(o object, f *field) sources {
	cols, rest, open := t.expand(object{}, f, nil)
	out := &traced{cols: cols, rest: rest, open: open}
	if s, ok := t.position(object{"class": "CONSTANT", "value": object{"value": o["index"]}}, out); ok {
		return s
	}
	return t.everything(f)
}

// steady are the aggregates whose value does not depend on the order of the rows.
var steady = words(`approx_count_distinct avg bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif
	covar_pop covar_samp entropy favg fsum geomean geometric_mean histogram histogram_exact kahan_sum kurtosis kurtosis_pop mad
	max mean median min product quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2
	regr_slope regr_sxx regr_sxy regr_syy sem skewness stddev stddev_pop stddev_samp sum sum_no_overflow sumkahan var_pop
	var_samp variance wavg weighted_avg`)

// call traces a function call: an aggregate with its FILTER and ORDER BY, a list
// function with its lambda, or any other.
func (t *tracer) call(o object, f *field, e *env) sources {
	name := strings.ToLower(textOf(o, "function_name"))
	args := listOf(o, "children")
	if lambdaFunctions[name] && len(args) > 1 && isLambda(args[1]) {
		return t.listCall(args, f, e)
	}
	how := viaTransform
	if isAggregate(o) {
		how = viaAggregate
	}
	out := t.used(t.exprs(args, f, e), how)
	t.add(&out, t.expr(o["filter"], f, e), viaFilter)
	t.add(&out, t.orders(asObject(o["order_bys"])["orders"], nil, f, e), viaSort)
	if how == viaAggregate && !steady[name] {
		t.add(&out, f.from().order(), viaSort)
	}
	if name == "unnest" || name == "regexp_split_to_table" { // as many rows as the list has values
		if from := f.from(); from != nil {
			t.add(&from.rows, out, viaFilter)
		}
	}
	return out
}

// order is what the rows of a FROM are ordered by.
func (f *field) order() sources {
	if f == nil {
		return nil
	}
	return f.sort
}

// listCall traces list_transform and its like: the lambda's parameters are made
// from the list, and from the first value of a reduce.
func (t *tracer) listCall(args []any, f *field, e *env) sources {
	out := t.used(t.exprs(append([]any{args[0]}, args[2:]...), f, e), viaTransform)
	lambda := asObject(args[1])
	inner := &field{parent: f, params: map[string]sources{}}
	for _, name := range parameterNames(lambda["lhs"]) {
		inner.params[strings.ToLower(name)] = t.both(out)
	}
	t.add(&out, t.expr(lambda["expr"], inner, e), viaTransform)
	return out
}

// parameterNames are a lambda's: one name, or a row of them.
func parameterNames(v any) []string {
	o := asObject(v)
	names := textsOf(o, "column_names")
	for _, c := range listOf(o, "children") {
		names = append(names, parameterNames(c)...)
	}
	return names
}

func (t *tracer) window(o object, f *field, e *env) sources {
	out := t.used(t.exprs(listOf(o, "children"), f, e), viaAggregate)
	t.add(&out, t.expr(o["default_expr"], f, e), viaAggregate)
	t.add(&out, t.exprs(listOf(o, "partitions"), f, e), viaGroup)
	t.add(&out, t.expr(o["filter_expr"], f, e), viaFilter)
	orders := listOf(o, "orders")
	t.add(&out, t.orders(orders, nil, f, e), viaSort)
	t.add(&out, t.orders(o["arg_orders"], nil, f, e), viaSort)
	if len(orders) == 0 {
		t.add(&out, f.from().order(), viaSort)
	}
	for _, key := range []string{"start_expr", "end_expr", "offset_expr"} {
		t.add(&out, t.expr(o[key], f, e), viaConditional)
	}
	return out
}

func (t *tracer) caseExpr(o object, f *field, e *env) sources {
	out := t.used(t.expr(o["else_expr"], f, e), viaTransform)
	for _, c := range listOf(o, "case_checks") {
		c := asObject(c)
		t.add(&out, t.expr(c["when_expr"], f, e), viaConditional)
		t.add(&out, t.expr(c["then_expr"], f, e), viaTransform)
	}
	return out
}

// asked is what a subquery's value comes from: for EXISTS the rows alone, else
// the columns too, and what it is compared with.
func (t *tracer) asked(o object, f *field, e *env) sources {
	q := t.subquery(o["subquery"], f, e)
	out := t.both(q.rows)
	switch o["subquery_type"] {
	case "EXISTS", "NOT_EXISTS":
	case "SCALAR":
		t.add(&out, t.all(q), viaIdentity)
		t.add(&out, q.sort, viaSort)
	default: // ANY
		t.add(&out, t.all(q), viaTransform)
		t.add(&out, t.expr(o["child"], f, e), viaTransform)
	}
	return out
}
