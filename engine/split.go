package engine

import (
	"context"
	"iter"
	"slices"
	"strings"

	"weft"
)

// Place says where a table of a question is, and what is known of it.
type Place struct {
	// Site names the node that reads the table; "" is where the last step runs.
	Site string
	// Name is what the site calls the table.
	Name Target
	// At is the state that the question asks for of this table, nil for the cut's.
	At *AtClause
	// Columns are all of its columns, in order.
	Columns []string
	// Unique are sets of columns in which no two of its rows are equal.
	Unique [][]string
	// Numbers are columns that are known to be of numbers.
	Numbers []string
	// Types are those of the columns, in SQL's words, "" where one is not known. None may be said.
	Types []string
	// Rows is about how many it has.
	Rows int64
	// Shard, where it is set, says which rows of something larger it has. A part that
	// counts on that says so.
	Shard *Shard
}

// SplitRules say what a question may name, and where that is.
type SplitRules struct {
	Rules
	// Place is asked for every view that Resolve gave. A table that is not here must
	// have a view of its own for every mention.
	Place func(Target) Place
	// Plain has each table of other sites read by itself, as a part of its own: what is left to do
	// when a question is cut so that it cannot be written (CutError) or planned (Unplanned).
	Plain bool
	// Away says that the site "" is another node, to which the rows of parts go for the last step.
	Away bool
	// Travels says whether values of a table may go to a site to narrow down what it
	// sends; nil lets none go.
	Travels func(table Target, site string) bool
}

// KeysSchema is the schema under which a part names the keys that came with it.
const KeysSchema = "weft_keys"

// Split is a question cut into parts that are asked where their tables are.
type Split struct {
	*Bound
	// Site is where the whole question belongs, because all of its tables are there:
	// it is asked there as it was asked here. Then there are no Parts.
	Site string
	// Repeatable says that nothing in the question gives another value each time that it is asked.
	Repeatable bool
	// AnyOrder says that the answer is the same in whatever order the parts give their rows.
	AnyOrder bool
	// Columns is how many it gives, as far as its text has them.
	Columns int
	// Parts are what is asked of the sites. Bound.SQL is the question over their
	// views, and over those of the tables that are here.
	Parts []*Part
	// Own are parts that are read where the last step runs, with the keys that narrow them down
	// there; see Away.
	Own []*Part

	tree   *syntax
	links  map[string]link
	given  map[string]object // the conditions of which keys are all that they ask for, by their table
	places map[Target]Place
}

// link is the equality that a table of keys comes from, in the question.
type link struct {
	m    *smodel
	q    *squery
	expr object
}

// Answered writes the question anew with the named tables of keys, which are all the values
// of queries in it, in the place of these. It reports which of them it has now.
func (s *Split) Answered(ctx context.Context, p Parser, keys []string) (put []string, err error) {
	for _, k := range keys {
		if cond := s.given[k]; cond != nil {
			asObject(cond["subquery"])["node"] = asObject(asObject(inKeys(nil, k)["subquery"])["node"])
			put = append(put, k)
		}
	}
	if len(put) == 0 {
		return nil, nil
	}
	sql, err := writeBack(ctx, p, s.tree)
	if err == nil {
		s.SQL = sql
	}
	return put, err
}

// Loosen writes the question anew with equalities that match many rows with many, which
// those are that the named tables of keys come from: the engine, which does not know how
// many there are, must not begin with them. They are still held against every row. One
// that alone connects its relations stays as it is.
func (s *Split) Loosen(ctx context.Context, p Parser, keys []string) error {
	changed := false
	for _, k := range keys {
		if l, ok := s.links[k]; ok && l.loosen() {
			changed = true
		}
	}
	if !changed {
		return nil
	}
	sql, err := writeBack(ctx, p, s.tree)
	if err == nil {
		s.SQL = sql
	}
	return err
}

// loosen makes the equality a condition like any other.
func (l link) loosen() bool {
	if l.expr["class"] != "COMPARISON" || !l.q.inner || !l.q.named() {
		return false
	}
	group := map[*srel]*srel{} // relations that other equalities connect
	var of func(r *srel) *srel
	of = func(r *srel) *srel {
		if g := group[r]; g != nil && g != r {
			return of(g)
		}
		return r
	}
	for _, c := range l.q.conds {
		a, b, ok := l.m.equal(c.expr)
		if ok && identity(c.expr) != identity(l.expr) && a.rel.q == l.q && b.rel.q == l.q {
			group[of(a.rel)] = of(b.rel)
		}
	}
	a, b, ok := l.m.equal(l.expr)
	if !ok || a.rel.q != l.q || b.rel.q != l.q || of(a.rel) != of(b.rel) {
		return false
	}
	for _, x := range []sref{a, b} {
		if x.rel.table != nil && l.m.s.unique(x.rel, []string{x.rel.cols[x.col]}) {
			return false
		}
	}
	// What names all of the relations can only be looked at when all of them are joined.
	// An ON sees none of those that are joined later, so what was there goes to WHERE.
	list := []any{comparison("COMPARE_EQUAL", a.full(), b.full())}
	for r, x := range l.columns() {
		if r != a.rel && r != b.rel && of(r) == of(a.rel) {
			list = append(list, comparison("COMPARE_NOTEQUAL", x.full(), x.full()))
		}
	}
	all := object{"class": "OPERATOR", "type": "OPERATOR_COALESCE", "alias": "", "query_location": noPlace, "children": list}
	if !containsObject(l.q.o["from_table"], l.expr) {
		become(l.expr, all)
		return true
	}
	become(l.expr, castOf("t", object{"id": "BOOLEAN", "type_info": nil}))
	if w, ok := l.q.o["where_clause"].(object); ok {
		all = andAsIs([]object{w, all})
	}
	l.q.o["where_clause"] = all
	return true
}

// full is the name of a column that says whose it is.
func (r sref) full() object { return columnRef(r.rel.called(), r.rel.cols[r.col]) }

// named says whether each relation of a FROM has a name, and one of its own.
func (q *squery) named() bool {
	seen := map[string]bool{}
	for _, r := range q.rels {
		if r.name == "" || seen[r.name] {
			return false
		}
		seen[r.name] = true
	}
	return true
}

// columns are a column of each relation that equalities name, in the query's order.
func (l link) columns() iter.Seq2[*srel, sref] {
	return func(yield func(*srel, sref) bool) {
		for _, r := range l.q.rels {
			for _, c := range l.q.conds {
				a, b, ok := l.m.equal(c.expr)
				if !ok || a.rel != r && b.rel != r {
					continue
				}
				if a.rel != r {
					a = b
				}
				if !yield(r, a) {
					return
				}
				break
			}
		}
	}
}

// Part is a SELECT over tables of one site.
type Part struct {
	View    Target // what stands for its rows in the question
	Site    string // "" for a table that is where the last step runs: it is only asked for keys
	Columns []string
	Rows    int64 // about how many rows it gives where no keys narrow it down
	Base    int64 // about how many rows its largest table has
	Tables  []Target
	// Narrowed says that conditions of the question are part of it.
	Narrowed bool
	// Sharded says that it is only the whole of what is asked while its tables are the
	// shards that their places say.
	Sharded bool
	// Keys are what could narrow it down further.
	Keys []KeyUse

	leaf *leaf
}

// KeyUse is a condition that a part may be asked with: a column of it has one of the
// values that columns of other parts have.
type KeyUse struct {
	Name   string // the table in KeysSchema that the part's text has for it
	Column string // for people
	Unique bool   // no two rows of the part are likely to have one value
	From   []KeySource
	pred   object
	alike  bool // the values are of the column's own type
}

// KeySource is a column of another part, all of whose values count; or, where SQL is
// set, the one column of a query over the views of parts, which are all that it needs.
type KeySource struct {
	Part   int
	Column string
	SQL    string
	Needs  []int
	// Unique says that no value is likely to come twice.
	Unique bool
}

// Parts are the parts that the keys come from.
func (k KeySource) Parts() []int {
	if k.SQL != "" {
		return k.Needs
	}
	return []int{k.Part}
}

// Sources are the parts that the keys come from, each once.
func (k KeyUse) Sources() (all []int) {
	for _, s := range k.From {
		for _, i := range s.Parts() {
			if !slices.Contains(all, i) {
				all = append(all, i)
			}
		}
	}
	return all
}

// Chosen says that the keys are few whatever the parts give: a query chooses among them.
func (k KeyUse) Chosen() bool {
	return !slices.ContainsFunc(k.From, func(s KeySource) bool { return s.SQL == "" })
}

// CutError says that a question was cut so that the engine cannot write it as it would be read.
// It is none of whoever asked: the question can be cut plainly.
type CutError struct{ Err error }

func (e *CutError) Error() string { return "cut the question: " + e.Err.Error() }

// Unwrap returns what the engine says.
func (e *CutError) Unwrap() error { return e.Err }

// SplitQuery takes a question through the gate, as Bind does, and cuts it by where
// its tables are. What a part leaves out never changes the answer: the question's
// own conditions are all still in what runs over the parts, but for those that are
// wholly inside one or were left to it (serve).
func SplitQuery(ctx context.Context, s Parser, text string, r SplitRules) (*Split, error) {
	w, tree, err := walked(ctx, s, text, r.Rules)
	if err != nil {
		return nil, err
	}
	sp := &splitter{ctx: ctx, parser: s, rules: r, places: map[Target]Place{}, copied: map[Target]Target{}, links: map[string]link{}, given: map[string]object{}, listed: map[uintptr]bool{}, volatile: w.unrepeatable || r.Plain}
	out := &Split{Repeatable: !w.unrepeatable, AnyOrder: anyOrder(tree.stmt), Columns: len(listOf(asObject(tree.stmt["node"]), "select_list"))}
	for t := range w.use {
		sp.places[t] = r.Place(t)
	}
	if site, ok := sp.oneSite(); ok {
		out.Bound, out.Site = w.bound(text), site
		return out, nil
	}
	if sp.anyRemote() {
		if err := sp.run(tree.stmt); err != nil {
			return nil, cutError(err, r)
		}
		out.Parts, out.tree, out.links, out.given, out.places = sp.parts, tree, sp.links, sp.given, sp.places
	}
	sql, err := writeBack(ctx, s, tree)
	if err != nil {
		return nil, cutError(err, r)
	}
	out.Bound = w.bound(sql)
	return out, nil
}

// cutError says of an error whether it may be none where the question is cut plainly.
func cutError(err error, r SplitRules) error {
	if r.Plain || weft.KindOf(err) != weft.KindInvalid {
		return err
	}
	return &CutError{err}
}

// Text is the part as its site is asked: with the conditions of the named uses.
func (p *Part) Text(ctx context.Context, s Parser, uses []int) (string, error) {
	var extra []object
	for _, i := range uses {
		extra = append(extra, p.Keys[i].pred)
	}
	if len(uses) == 1 && p.Keys[uses[0]].asks(p) {
		return p.leaf.among(ctx, s, p.Columns[0], p.Keys[uses[0]].Name)
	}
	return p.leaf.text(ctx, s, p.Columns, extra)
}

// asks says that a part only tells which of the keys it has.
func (k KeyUse) asks(p *Part) bool {
	return k.alike && p.leaf.looked && len(p.Columns) == 1 && strings.EqualFold(p.Columns[0], k.Column)
}

// StatelessText is the part over its tables as they are called at the site, whatever
// states of them the question asks for.
func (p *Part) StatelessText(ctx context.Context, s Parser) (string, error) {
	l := *p.leaf
	if l.table != nil {
		t := *l.table
		t.At, l.table = nil, &t
	} else {
		l.block, l.join = l.node(nil), nil
		each(l.block, func(o object) {
			if o["type"] == "BASE_TABLE" {
				o["at_clause"] = nil
			}
		})
	}
	return l.text(ctx, s, p.Columns, nil)
}

// KeysText asks for the values of the columns alone, each row once: what a part that
// is here has for others.
func (p *Part) KeysText(ctx context.Context, s Parser, column string) (string, error) {
	return p.leaf.distinct(ctx, s, column)
}

// Plain says that the part's columns are those of one table as they are.
func (p *Part) Plain() bool { return p.leaf.table != nil }

// splitter cuts one question. It is used once, by one goroutine.
type splitter struct {
	ctx      context.Context
	parser   Parser
	rules    SplitRules
	places   map[Target]Place
	copied   map[Target]Target // copies of WITH parts: which table of the question they are
	volatile bool

	leaves  []*leaf
	parts   []*Part
	fresh   int
	uses    int
	at      map[*srel]*leaf
	pushing *leafKey
	links   map[string]link
	given   map[string]object // see Split
	listed  map[uintptr]bool  // mentions of parts that name the columns that they read
}

func (s *splitter) oneSite() (string, bool) {
	site, first := "", true
	for _, p := range s.places {
		if p.Site == "" || !first && p.Site != site {
			return "", false
		}
		site, first = p.Site, false
	}
	return site, !first
}

func (s *splitter) anyRemote() bool {
	for _, p := range s.places {
		if p.Site != "" {
			return true
		}
	}
	return false
}

// run rewrites the statement in place, in steps that each look at it anew.
func (s *splitter) run(stmt object) (err error) {
	defer endsWalk(&err)
	node := asObject(stmt["node"])
	if !s.volatile {
		s.inlineParts(node)
		s.spellUsing(node)
		s.prune(node)
		s.shards(node)
		s.blocks(node)
		s.joins(node)
		s.sums(node)
		s.serve(node)
		s.made(node)
	}
	m := s.model(node)
	s.collect(m)
	if !s.volatile {
		s.conditions(m)
		s.looked(m)
		s.twins(node)
	}
	s.finish()
	return nil
}

// likelyUnique says whether a column is a key of the one table that a leaf reads.
func (s *splitter) likelyUnique(c leafColumn) bool {
	if len(c.leaf.of) != 1 || c.leaf.join != nil && (len(c.leaf.join.items) != 1 || len(c.leaf.join.groups) > 0) || c.leaf.partial {
		return false
	}
	return slices.ContainsFunc(s.places[c.leaf.of[0]].Unique, func(key []string) bool {
		return len(key) == 1 && strings.EqualFold(key[0], c.column)
	})
}

// name gives the splitter's own relations names that no question has.
func (s *splitter) name(prefix string) string {
	s.fresh++
	return "~" + prefix + digits(s.fresh)
}

// finish makes the parts of the leaves.
func (s *splitter) finish() {
	number := map[*leaf]int{}
	for _, l := range s.leaves {
		number[l] = len(s.parts)
		s.parts = append(s.parts, l.part())
	}
	for _, l := range s.leaves {
		p := s.parts[number[l]]
		for _, k := range l.keys {
			use := KeyUse{Name: k.name, Column: k.column, Unique: s.likelyUnique(leafColumn{l, k.column}), pred: k.pred}
			if k.query != nil {
				src := KeySource{Part: -1, SQL: k.sql}
				for _, x := range s.leaves {
					if k.query[x] {
						src.Needs = append(src.Needs, number[x])
					}
				}
				use.From = []KeySource{src}
			}
			for _, o := range k.from {
				src := s.parts[number[o.leaf]]
				if !slices.Contains(src.Columns, o.column) && src.Site != "" {
					src.Columns = o.leaf.ordered(append(src.Columns, o.column))
				}
				use.From = append(use.From, KeySource{Part: number[o.leaf], Column: o.column, Unique: s.likelyUnique(o)})
			}
			use.alike = len(k.from) > 0 && !slices.ContainsFunc(k.from, func(o leafColumn) bool {
				t := o.leaf.typeOf(o.column)
				return t == "" || t != l.typeOf(k.column)
			})
			p.Keys = append(p.Keys, use)
		}
	}
	for _, p := range s.parts { // of several columns few rows are equal, and of a key none
		p.leaf.looked = p.leaf.looked && len(p.Columns) == 1 && !s.likelyUnique(leafColumn{p.leaf, p.Columns[0]})
	}
}

// writeNode writes a query that was made of walked pieces.
func writeNode(ctx context.Context, s Parser, node object) (string, error) {
	stmt := object{"node": node, "named_param_map": []any{}}
	t := &syntax{root: object{"error": false, "statements": []any{stmt}}, stmt: stmt}
	canonical(stmt)
	return writeBack(ctx, s, t)
}

// atSite gives the tables of a query their names at their site.
func (s *splitter) atSite(v any) {
	each(v, func(o object) {
		if o["type"] != "BASE_TABLE" {
			return
		}
		if p, ok := s.places[mentioned(o)]; ok {
			p.call(o)
		}
	})
}

// mentioned is the table that a mention names.
func mentioned(o object) Target {
	return Target{Schema: textOf(o, "schema_name"), Table: textOf(o, "table_name")}
}

// call gives a mention of the table the name that it has at its site.
func (p Place) call(o object) {
	if textOf(o, "alias") == "" {
		o["alias"] = textOf(o, "table_name")
	}
	o["schema_name"], o["table_name"], o["at_clause"] = p.Name.Schema, p.Name.Table, p.At.tree()
}

// tree is the clause as the engine's tree has it, nil for none.
func (a *AtClause) tree() any {
	switch {
	case a == nil:
		return nil
	case a.Seq != nil:
		return object{"unit": "VERSION", "expr": constantInt(int64(*a.Seq))}
	}
	return object{"unit": "TIMESTAMP", "expr": castOf(a.Time.UTC().Format("2006-01-02 15:04:05.999999"), object{"id": "TIMESTAMP", "type_info": nil})}
}
