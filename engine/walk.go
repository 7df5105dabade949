package engine

import (
	"slices"
	"strings"
	"time"

	"weft"
)

// walker goes through a query's tree once: it refuses what it does not know,
// resolves tables, fixes times and notes what the query uses. A walker is used
// once, by one goroutine.
type walker struct {
	text  string
	rules Rules

	at      int // where the node last entered stands
	nodes   int
	depth   int
	levels  []int // what leave takes off depth
	chained bool  // the next node continues its parent's chain
	arrows  int   // nested arrows
	ctes    int
	looping int // inside the recursive part of so many WITH parts

	ordering bool // in an ORDER BY of a query, where names of the select list go first

	nowValue     time.Time
	tables       []TableRef
	use          map[Target]*usage
	unrepeatable bool
	ordered      bool
	count        *CountOf
	endless      bool
	exact        []func(keepOne bool) (back func()) // see unjoin
}

// usage is what a query reads of one view.
type usage struct {
	all  bool
	cols map[string]string // small letters → as written
	sure map[string]bool   // the columns that can be of no other table
}

func newWalker(text string, r Rules) *walker {
	if r.Resolve == nil { // a query without tables
		r.Resolve = func(ref TableRef) (Target, error) {
			return Target{}, weft.Errorf(weft.KindNotFound, gateOp, "", "there is no table %s", strings.Join(ref.Parts, ".")).
				WithHint("there are no tables here")
		}
	}
	return &walker{text: text, rules: r, at: -1, use: map[Target]*usage{}}
}

// now is the time of the cut, the same for the whole query.
func (w *walker) now() time.Time {
	if w.nowValue.IsZero() {
		w.nowValue = time.Now()
		if w.rules.Now != nil {
			w.nowValue = w.rules.Now()
		}
		w.nowValue = w.nowValue.UTC().Truncate(time.Microsecond)
	}
	return w.nowValue
}

// walk checks and rewrites the tree in place.
func (w *walker) walk(t *syntax) (err error) {
	defer endsWalk(&err)
	for k, v := range t.root {
		if k != "error" && k != "statements" && !isEmpty(v) {
			w.refuse("not supported: %s of a query", k)
		}
	}
	w.statement(t.stmt, nil, nil)
	if node, ok := t.stmt["node"].(object); ok {
		w.ordered = isOrdered(node)
		w.count = countOf(t.stmt)
	}
	canonical(t.stmt)
	return nil
}

// isOrdered reports whether a query has an ORDER BY of its own.
func isOrdered(node object) bool {
	mods, _ := node["modifiers"].([]any)
	return slices.ContainsFunc(mods, func(m any) bool {
		o, _ := m.(object)
		return o["type"] == "ORDER_MODIFIER"
	})
}

// bound gives the result of the walk.
func (w *walker) bound(sql string) *Bound {
	b := &Bound{
		SQL: sql, Tables: w.tables, Unrepeatable: w.unrepeatable, Ordered: w.ordered, Endless: w.endless,
		Count: w.count, Columns: make(map[Target][]string, len(w.use)), Maybe: map[Target][]string{},
	}
	for t, u := range w.use {
		if u.all {
			b.Columns[t] = nil
			continue
		}
		cols := []string{}
		var maybe []string
		for k, name := range u.cols {
			cols = append(cols, name)
			if !u.sure[k] {
				maybe = append(maybe, name)
			}
		}
		slices.Sort(cols)
		slices.Sort(maybe)
		b.Columns[t] = cols
		if maybe != nil {
			b.Maybe[t] = maybe
		}
	}
	return b
}
