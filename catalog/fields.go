package catalog

import (
	"strings"

	"weft"
)

// field is a part of a card that counts as one when words are weighed.
type field uint8

const (
	fieldName field = iota
	fieldDomain
	fieldTable
	fieldBusiness
	fieldColumn
	fieldTag
	fieldOwner
	fieldPurpose
	fieldDescription
	fieldNotes
	fieldPort
	fields
)

// weights say how much a word in a field counts; how much of that the field's
// length takes (0: nothing); and what length is usual, in words. They are constants,
// not means of what is there: what a card is worth depends on it alone.
var weights = [fields]struct{ weight, by, usual float32 }{
	fieldName:        {12, 0.5, 3},
	fieldDomain:      {3, 0, 1},
	fieldTable:       {6, 0.5, 4},
	fieldBusiness:    {7, 0.4, 12},
	fieldColumn:      {5, 0.4, 24},
	fieldTag:         {5, 0.3, 4},
	fieldOwner:       {3, 0.3, 3},
	fieldPurpose:     {3.5, 0.4, 16},
	fieldDescription: {2, 0.4, 80},
	fieldNotes:       {1, 0.4, 30},
	fieldPort:        {0.7, 0.4, 4},
}

// maxWeight is what a word cannot come above.
const maxWeight = 48.2

// saturation is how often a word must stand in a field of the usual length to
// count for half of what it could at most.
const saturation = 1.2

// weigh is what a word counts for that stands n times in a field of length words.
func weigh(f field, n, length float32) float32 {
	w := &weights[f]
	long := min(1-w.by+w.by*length/w.usual, 8)
	return w.weight * n / (n + saturation*long)
}

// text is one text of a card.
type text struct {
	field field
	where string // table.column, table, or empty
	text  string
}

// names of the fields, for people.
var fieldNames = [fields]string{
	"name", "domain", "table", "business name", "column", "tag", "owner", "purpose", "description", "notes", "input",
}

// eachText calls f for all texts of a card that are searched, the most telling
// first, until it returns false.
func eachText(c *weft.Card, f func(text) bool) {
	if !f(text{fieldName, "", c.Product.Product}) || !f(text{fieldDomain, "", c.Product.Domain}) || !f(text{fieldOwner, "", c.Owner}) ||
		!eachOf(c.Tags, fieldTag, "", f) || !f(text{fieldPurpose, "", c.Purpose}) {
		return
	}
	if !eachTable(c, f) || !f(text{fieldNotes, "", c.Usage}) || !f(text{fieldNotes, "", c.Limits}) {
		return
	}
	for i := range c.Support {
		if !f(text{fieldOwner, "", c.Support[i].Channel}) {
			return
		}
	}
	for i := range c.Ports {
		if p := &c.Ports[i]; p.Kind == "input" && p.Product != nil && !f(text{fieldPort, "", p.Product.String()}) {
			return
		}
	}
}

func eachOf(texts []string, in field, where string, f func(text) bool) bool {
	for _, t := range texts {
		if !f(text{in, where, t}) {
			return false
		}
	}
	return true
}

// eachTable goes through the names of all tables and columns before it comes to
// what is said of them.
func eachTable(c *weft.Card, f func(text) bool) bool {
	for i := range c.Tables {
		t := &c.Tables[i]
		if t.Name != c.Product.Product && !f(text{fieldTable, t.Name, t.Name}) || !eachOf(t.Tags, fieldTag, t.Name, f) {
			return false
		}
		for j := range t.Columns {
			col := &t.Columns[j]
			where := t.Name + "." + col.Name
			if !f(text{fieldColumn, where, col.Name}) || !f(text{fieldBusiness, where, col.BusinessName}) || !eachOf(col.Tags, fieldTag, where, f) {
				return false
			}
		}
	}
	for i := range c.Tables {
		t := &c.Tables[i]
		if !f(text{fieldDescription, t.Name, t.Description}) || !f(text{fieldDescription, t.Name, t.Granularity}) {
			return false
		}
		for j := range t.Columns {
			col := &t.Columns[j]
			if !f(text{fieldDescription, t.Name + "." + col.Name, col.Description}) || !f(text{fieldDescription, t.Name + "." + col.Name, col.Unit}) {
				return false
			}
		}
	}
	return true
}

// The facets that a search can be narrowed by, besides those in a product's rank.
const (
	facetDomain = "\x01d:"
	facetTag    = "\x01t:"
	facetClass  = "\x01c:"
	facetPort   = "\x01p:"
)

// eachFacet calls f for the facets of a card; the same may come more than once.
func eachFacet(c *weft.Card, f func(string)) {
	f(facet(facetDomain, c.Product.Domain))
	tags := func(ts []string) {
		for _, t := range ts {
			f(facet(facetTag, t))
		}
	}
	tags(c.Tags)
	for i := range c.Ports {
		if c.Ports[i].Type != "" {
			f(facet(facetPort, c.Ports[i].Type))
		}
	}
	for i := range c.Tables {
		t := &c.Tables[i]
		tags(t.Tags)
		for j := range t.Columns {
			tags(t.Columns[j].Tags)
			if t.Columns[j].Classification != "" {
				f(facet(facetClass, t.Columns[j].Classification))
			}
		}
	}
}

func facet(kind, value string) string {
	value = strings.ToLower(strings.TrimSpace(value))
	if len(value) > 200 {
		value = value[:200]
	}
	return kind + value
}
