package contract

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"weft"
)

// compileInputs compiles what the contracts of sources promise. A hidden table is
// kept by the key of its input, so the key's columns must be there even where
// the contract does not say required.
func (r *reader) compileInputs() {
	done := map[*Contract]bool{}
	for _, o := range r.folder.Outputs {
		done[o.Contract] = true
	}
	for _, in := range r.folder.Inputs {
		if in.Contract == nil || done[in.Contract] {
			continue
		}
		done[in.Contract] = true
		c := r.fileOf(in.Contract)
		for _, t := range c.Tables {
			if c.nodes[t] == nil {
				continue // made from the port's name, promises nothing
			}
			r.compile(c, t)
			r.keyThere(c, t)
			r.untyped(c, t)
		}
	}
}

func (r *reader) keyThere(c *contractFile, t *Table) {
	for _, k := range t.Key {
		if col := t.Column(k); !col.Required {
			t.Checks = append(t.Checks, Check{
				ID: t.Name + "." + k + ".required", Table: t.Name, Column: k, Kind: "required", Severity: weft.SeverityError,
				Predicate: QuoteIdent(k) + " IS NOT NULL", Text: k + " is there", Line: c.cols[col].Line,
			})
		}
	}
}

// untyped warns of options that need a type which the input leaves to the source.
func (r *reader) untyped(c *contractFile, t *Table) {
	for _, col := range t.Columns {
		if n := c.cols[col]; col.Type.Kind == KindUnknown && field(n, "logicalTypeOptions") != nil {
			r.warnf(c.where(keyOf(n, "logicalTypeOptions")), "check-unsupported", "add 'logicalType:'", "the options of '%s' are not checked, because its type is not said", clip(col.Name))
		}
	}
}

// PassedChecks returns the checks of input table in that hold also for the rows
// as they are staged where the table passes through to out, which reads the
// output's columns in the output's types: those that out does not make itself,
// over columns that it has in the same type. left are the ones over other
// columns, which nothing can be measured for.
func PassedChecks(in, out *Table) (checks, left []Check) {
	for _, k := range in.Checks {
		switch {
		case slices.ContainsFunc(out.Checks, func(o Check) bool { return sameCheck(k, o) }):
		case slices.ContainsFunc(append([]string{k.Column}, k.Columns...), func(c string) bool { return c != "" && !passesAs(in, out, c) }):
			left = append(left, k)
		default:
			checks = append(checks, k)
		}
	}
	return checks, left
}

func sameCheck(a, b Check) bool {
	return a.Kind == b.Kind && a.Predicate == b.Predicate && a.Metric == b.Metric && a.Query == b.Query && a.Severity == b.Severity &&
		sameComparison(a.Compare, b.Compare) && slices.Equal(a.Columns, b.Columns)
}

// passesAs says whether a column keeps its type on the way.
func passesAs(in, out *Table, column string) bool {
	a, b := in.Column(column), out.Column(column)
	return a != nil && b != nil && (a.Type.Kind == KindUnknown || a.Type.Equal(b.Type))
}

// passedOver warns of input rules that a pass-through leaves unchecked.
func (r *reader) passedOver() {
	for _, out := range r.folder.Tables() {
		if out.SQL != "" {
			continue
		}
		port, name, err := r.folder.Source(out)
		if err != nil || port.Contract == nil {
			continue // said elsewhere, or verified by the product that it comes from
		}
		c := r.fileOf(port.Contract)
		for _, t := range port.Contract.Tables {
			if t.Name != name {
				continue
			}
			_, left := PassedChecks(t, out)
			for _, k := range left {
				column := strings.Join(k.Columns, ", ")
				if k.Column != "" {
					column = k.Column
				}
				r.warnf(at{c.shown, &yaml.Node{Line: k.Line, Column: 1}}, "check-unsupported", "write the rule for the output's column, or make the table by SQL",
					"the rule of '%s' is not checked: output table '%s' has no such column, or has it in another type", clip(column), clip(out.Name))
			}
		}
	}
}
