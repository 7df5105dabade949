package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"weft/serve"
)

// printTable prints one table of a product: its columns, with what the last
// commit says of each.
func printTable(p *printer, t serve.TableDetail, sample bool) {
	facts := []string{p.paint(bold, t.Name), plural(t.Rows, "row")}
	if t.Granularity != "" {
		facts = append(facts, "a row is "+clean(t.Granularity))
	}
	if len(t.Key) > 0 {
		facts = append(facts, "key "+strings.Join(t.Key, ", "))
	}
	printFacts(p, facts)
	if t.Description != "" {
		p.indent("", clean(t.Description), plain)
	}
	if t.Closed != "" {
		p.indent("✗ ", "you may not read it: "+clean(t.Closed), yellow)
	}
	g := &grid{columns: []gridColumn{
		{title: "column"},
		{title: "type"},
		{title: "rules", flex: true, optional: true},
		{title: "nulls", right: true, optional: true, spare: true},
		{title: "distinct", right: true, optional: true, spare: true},
		{title: "range", flex: true, optional: true, spare: true},
		{title: "description", flex: true, optional: true, below: true},
	}}
	for _, c := range t.Columns {
		nulls, distinct, rang := "", "", ""
		if c.NullShare != nil {
			nulls = share(*c.NullShare)
		}
		if s := c.Stats; s != nil {
			nulls, distinct = count(s.Nulls), count(s.Distinct)
			if s.Min != "" || s.Max != "" {
				rang = oneLine(s.Min, 24) + " … " + oneLine(s.Max, 24)
			}
		}
		g.add(styled(bold, c.Name), cell(c.Type), cell(columnRules(c)), cell(nulls), cell(distinct), cell(rang),
			cell(columnText(c)))
	}
	g.print(p)
	if sample && t.Sample != nil {
		p.println("\n" + p.paint(dim, "a few rows"))
		sampleGrid(t.Sample).print(p)
	}
}

// share writes a share that was rounded to a hundredth.
func share(x float64) string {
	if x <= 0 {
		return "0"
	}
	return strconv.FormatFloat(100*x, 'f', -1, 32) + " %"
}

func columnRules(c serve.ColumnDetail) string {
	var w []string
	switch {
	case c.Key:
		w = append(w, "key")
	case c.Required && c.Unique:
		w = append(w, "required, unique")
	case c.Required:
		w = append(w, "required")
	case c.Unique:
		w = append(w, "unique")
	}
	if c.Shard != nil {
		w = append(w, "shard "+c.Shard.String())
	}
	if c.Classification != "" {
		w = append(w, c.Classification)
	}
	for _, r := range c.References {
		w = append(w, "→ "+r)
	}
	return strings.Join(w, ", ")
}

func columnText(c serve.ColumnDetail) string {
	s := c.Description
	if s == "" {
		s = c.BusinessName
	}
	if c.Unit != "" {
		s = strings.TrimSpace(s + " (" + c.Unit + ")")
	}
	return strings.Join(strings.Fields(s), " ")
}

func printPromises(p *printer, promises []serve.Promise) {
	g := &grid{columns: []gridColumn{{title: "property"}, {title: "promised"}, {title: "observed", optional: true}, {title: "kept", optional: true}}}
	for _, pr := range promises {
		kept := cell("")
		if pr.Kept != nil {
			kept = styled(red, "no")
			if *pr.Kept {
				kept = styled(green, "yes")
			}
		}
		g.add(cell(pr.Property), cell(pr.Promised), cell(pr.Observed), kept)
	}
	g.print(p)
}

// sampleGrid shows a few rows as they are.
func sampleGrid(rows *serve.Rows) *grid {
	g := &grid{}
	for _, c := range rows.Columns {
		g.columns = append(g.columns, gridColumn{title: c.Name})
	}
	for _, r := range rows.Rows {
		var cells []gridCell
		for i := range rows.Columns {
			v := ""
			if i < len(r) {
				v = oneLine(jsonText(r[i]), 40)
			}
			cells = append(cells, cell(v))
		}
		g.add(cells...)
	}
	return g
}

// jsonText is a value for people: text without quotes, null as nothing.
func jsonText(v json.RawMessage) string {
	var s string
	switch {
	case len(v) == 0 || string(v) == "null":
		return ""
	case v[0] == '"' && json.Unmarshal(v, &s) == nil:
		return s
	}
	return string(v)
}
