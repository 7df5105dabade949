package engine

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// outline is what the walker knows of the columns that a relation gives.
type outline struct {
	names  []string // in order, "" where the engine makes the name up
	open   bool     // there may be other columns
	growth float64  // how much longer than stored values its values can be
}

// relation is one name in a FROM.
type relation struct {
	outline
	name    string   // what its columns are qualified with, in small letters; "" for none
	table   *Target  // the view it stands for; nil for anything that is no table
	parts   []string // the full name that its columns may be qualified with; nil when it has an alias
	renamed bool     // the view's name is another one: full names are rewritten to name
	given   bool     // the alias is the walker's
}

// scope is where names of columns are looked up: one FROM, or one lambda.
type scope struct {
	parent  *scope
	rels    []*relation
	aliases map[string]float64 // names given in the select list so far, with their growth
	params  map[string]float64 // a lambda's parameters; such a scope has nothing else
}

// from is the innermost scope that is a FROM.
func (s *scope) from() *scope {
	for s != nil && s.params != nil {
		s = s.parent
	}
	return s
}

// alias gives the growth of a select-list name that is visible in s.
func (s *scope) alias(name string) (float64, bool) {
	f := s.from()
	if f == nil {
		return 0, false
	}
	g, ok := f.aliases[strings.ToLower(name)]
	return g, ok
}

// with is the relation's columns renamed by a column list such as t(a, b).
func (sh outline) with(aliases []string) outline {
	if len(aliases) == 0 {
		return sh
	}
	names := slices.Clone(sh.names)
	for i, a := range aliases {
		if i < len(names) {
			names[i] = a
		} else {
			names = append(names, a)
		}
	}
	sh.names = names
	return sh
}

// has reports whether a column is known to be there.
func (sh outline) has(name string) bool {
	return slices.ContainsFunc(sh.names, func(n string) bool { return strings.EqualFold(n, name) })
}

// cte is one WITH part that is visible; they form a list, innermost first.
type cte struct {
	parent  *cte
	name    string // as written
	renamed string // as it is called in the rewritten query
	self    bool   // this is the recursive part's own name, inside it
	outline outline
}

// find returns the WITH part that an unqualified name means.
func (c *cte) find(name string) *cte {
	for ; c != nil; c = c.parent {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	return nil
}

var renamedCTE = regexp.MustCompile(`^_[0-9]+_`)

// renameCTE gives a WITH part a name that no table has and no other part of the
// query, so that the engine cannot take it for anything else, nor anything else
// for it. The same query always gets the same names, and renaming a renamed one
// changes nothing.
func (w *walker) renameCTE(name string) string {
	w.ctes++
	return "_" + strconv.Itoa(w.ctes) + "_" + renamedCTE.ReplaceAllString(name, "")
}
