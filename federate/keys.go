package federate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
)

// planned is what a part waits for before it is asked.
type planned struct {
	waits []int // parts that come first
	uses  []int // of its keys, those that are worth it
}

// A part of fewer rows than this is asked at once: to wait for keys would cost more
// than they save.
const fewRows = 5_000

// manyRows is how many rows a table has of which that is not believed: that few of them fit
// the conditions is a guess, and where it is wrong what comes takes longer than a wait of
// some ten milliseconds, in which about so many rows are read.
const manyRows = 1_000_000

// manyToMany is how many rows have one value where an equality of it is no way to begin a
// join.
const manyToMany = 20

// rowsOf is how many rows the parts have that keys come from.
func (p *parting) rowsOf(k engine.KeyUse) (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range k.Sources() {
		if p.got[i] != nil {
			n += p.got[i].rows
		}
	}
	return n
}

// most keys that go to another node.
const maxKeys = 1_000_000

// planParts orders parts from small to large: a large one waits for the values that
// small ones have, where conditions have made these few.
func planParts(parts []*engine.Part) []planned {
	plan := make([]planned, len(parts))
	size := make([]float64, len(parts))
	chosen := make([]bool, len(parts)) // by conditions, of its own or of others
	done := make([]bool, len(parts))
	for i, p := range parts {
		size[i], chosen[i] = float64(p.Rows), p.Narrowed || p.Site == "" || p.Site == hereSite || p.Rows*10 < p.Base
	}
	for range parts {
		next := -1
		for i := range parts {
			if !done[i] && (next < 0 || size[i] < size[next]) {
				next = i
			}
		}
		done[next] = true
		for i, p := range parts {
			if done[i] || p.Rows < fewRows && p.Base < manyRows {
				continue
			}
			for u, k := range p.Keys {
				sources := k.Sources()
				if slices.Contains(plan[i].uses, u) || !slices.Contains(sources, next) ||
					slices.ContainsFunc(sources, func(s int) bool { return !done[s] || !chosen[s] && !k.Chosen() }) {
					continue
				}
				plan[i].uses = append(plan[i].uses, u)
				for _, s := range sources {
					if parts[s].Site != "" && !slices.Contains(plan[i].waits, s) {
						plan[i].waits = append(plan[i].waits, s)
					}
				}
				size[i] *= 0.3
				chosen[i] = true
			}
		}
	}
	return plan
}

// keys gathers the values that narrow a part down, and says which of its uses they
// are for.
func (p *parting) keys(ctx context.Context, i int) (uses []int, keys []Enclosed, err error) {
	part := p.split.Parts[i]
	for _, u := range p.plan[i].uses {
		k := part.Keys[u]
		if p.lost(k) {
			continue
		}
		most := min(maxKeys, max(p.base(k)/2, fewRows))
		got, n, err := p.values(ctx, k, most)
		if err != nil {
			return nil, nil, err
		}
		if n > most {
			got.drop()
			continue
		}
		if rows := p.rowsOf(k); n*manyToMany < rows {
			p.mu.Lock()
			p.loose = append(p.loose, k.Name)
			p.mu.Unlock()
		}
		if len(k.From) == 1 && k.From[0].SQL != "" && plainKey(got.Schema.Field(0).Type) {
			p.keep(k.Name, got)
		}
		uses, keys = append(uses, u), append(keys, got)
	}
	return uses, keys, nil
}

// keep keeps keys that are all the values of a query in the question.
func (p *parting) keep(name string, keys Enclosed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.answers[name]; ok {
		return
	}
	for _, b := range keys.Batches {
		b.Retain()
	}
	p.answers[name] = keys
}

// base is how many rows the parts have together that are asked with the keys of a use, each
// of which has some of these: the branches of a union.
func (p *parting) base(k engine.KeyUse) (n int64) {
	for i, part := range p.split.Parts {
		if slices.ContainsFunc(p.plan[i].uses, func(u int) bool { return reflect.DeepEqual(part.Keys[u].From, k.From) }) {
			n += part.Base
		}
	}
	return n
}

// lost says that a part is missing that has keys: then they are not all there are.
func (p *parting) lost(k engine.KeyUse) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(k.Sources(), func(s int) bool { return p.split.Parts[s].Site != "" && p.got[s] == nil })
}

func (k Enclosed) drop() {
	for _, b := range k.Batches {
		b.Release()
	}
}

// gatheredKeys are values that were read once, for all parts that are asked with them.
type gatheredKeys struct {
	keys  Enclosed // without rows where there are more than limit
	n     int64    // how many, and limit+1 for more
	limit int64
}

// values are the different values that a use names, and how many: more than most where
// there are more. The branches of a union are asked with the same ones.
func (p *parting) values(ctx context.Context, k engine.KeyUse, most int64) (Enclosed, int64, error) {
	of, err := json.Marshal(k.From)
	if err != nil {
		return Enclosed{}, 0, err
	}
	p.mu.Lock() // one statement at a time
	defer p.mu.Unlock()
	g := p.gathered[string(of)]
	if g == nil || g.n > g.limit && most > g.limit {
		keys, n, ok := p.landedKeys(k)
		if !ok {
			if keys, n, err = p.distinct(ctx, k, most+1); err != nil {
				return Enclosed{}, 0, err
			}
		}
		if n > most { // too many for anybody who wants no more: they are not kept
			keys.drop()
			keys.Batches = nil
		}
		g = &gatheredKeys{keys, n, most}
		p.gathered[string(of)] = g
	}
	for _, b := range g.keys.Batches {
		b.Retain()
	}
	out := g.keys
	out.Name = k.Name
	return out, g.n, nil
}

// distinct reads the different values that a use names, at most so many; the lock must
// be held.
func (p *parting) distinct(ctx context.Context, k engine.KeyUse, most int64) (Enclosed, int64, error) {
	var out Enclosed
	st := engine.Statement{}
	var from []string
	for _, s := range k.From {
		if s.SQL != "" {
			if err := p.needs(s, &st); err != nil {
				return out, 0, err
			}
			from = append(from, fmt.Sprintf("SELECT k FROM (%s) AS q(k)", s.SQL))
			continue
		}
		part := p.split.Parts[s.Part]
		column := engine.QuoteIdent(s.Column)
		if part.Site != "" {
			l := p.got[s.Part]
			src := fmt.Sprintf("part%d", s.Part)
			from = append(from, fmt.Sprintf("SELECT %s AS k FROM (%s)", column, l.columns(src)))
			if !slices.ContainsFunc(st.Sources, func(x engine.Source) bool { return x.Name == src }) {
				st.Sources = append(st.Sources, engine.Source{Name: src, Schema: l.schema, Shared: []*engine.Shared{l.shared}})
			}
			continue
		}
		text, err := part.KeysText(ctx, p.parser, s.Column)
		if err != nil {
			return out, 0, err
		}
		from = append(from, fmt.Sprintf("SELECT %s AS k FROM (%s)", column, text))
		if len(st.Views) == 0 {
			if _, err := p.a.cut.relations(&st); err != nil {
				return out, 0, err
			}
		}
	}
	distinct := "DISTINCT "
	if !slices.ContainsFunc(k.From, func(s engine.KeySource) bool { return !s.Unique }) {
		distinct = "" // to look would cost more than one that comes twice
	}
	st.SQL = fmt.Sprintf("SELECT %sk FROM (%s) WHERE k IS NOT NULL LIMIT %d", distinct, strings.Join(from, " UNION ALL "), most)
	s, err := p.a.enter(ctx, engine.LaneLight)
	if err != nil {
		return out, 0, err
	}
	rows, err := s.Query(ctx, st)
	if err != nil {
		return out, 0, err
	}
	defer rows.Release()
	out.Schema = rows.Schema()
	var n int64
	for rows.Next() {
		b := rows.RecordBatch()
		b.Retain()
		out.Batches = append(out.Batches, b)
		n += b.NumRows()
	}
	if err := rows.Err(); err != nil {
		out.drop()
		return out, 0, err
	}
	return out, n, nil
}

// needs adds what a query over parts needs.
func (p *parting) needs(s engine.KeySource, st *engine.Statement) error {
	local := false
	for _, i := range s.Needs {
		part := p.split.Parts[i]
		if part.Site == "" {
			local = true
			continue
		}
		l := p.got[i]
		src := fmt.Sprintf("part%d", i)
		st.Views = append(st.Views, engine.View{Schema: part.View.Schema, Name: part.View.Table, SQL: l.columns(src)})
		if !slices.ContainsFunc(st.Sources, func(x engine.Source) bool { return x.Name == src }) {
			st.Sources = append(st.Sources, engine.Source{Name: src, Schema: l.schema, Shared: []*engine.Shared{l.shared}})
		}
	}
	if local {
		_, err := p.a.cut.relations(st)
		return err
	}
	return nil
}

// given is what comes with a question of another node.
type given struct {
	keys, guests []Enclosed
	spans        map[string]engine.Span // of keys that were asked for, by their names
}

// view finds a table that came with the question.
func (g *given) view(parts []string) (engine.Target, bool) {
	if g == nil || len(parts) != 2 {
		return engine.Target{}, false
	}
	for schema, tables := range g.all() {
		for _, e := range tables {
			if strings.EqualFold(parts[0], schema) && strings.EqualFold(e.Name, parts[1]) {
				return engine.Target{Schema: schema, Table: e.Name}, true
			}
		}
	}
	return engine.Target{}, false
}

// span is what is known of the keys of a name.
func (g *given) span(name string) engine.Span {
	if g == nil {
		return engine.Span{}
	}
	if s, ok := g.spans[name]; ok {
		return s
	}
	at := slices.IndexFunc(g.keys, func(e Enclosed) bool { return e.Name == name })
	if at < 0 {
		return engine.Span{}
	}
	var of []arrow.Array
	for _, b := range g.keys[at].Batches {
		of = append(of, b.Column(0))
	}
	if g.spans == nil {
		g.spans = map[string]engine.Span{}
	}
	g.spans[name] = engine.SpanOf(of)
	return g.spans[name]
}

// all are the tables by their schema; none of nil.
func (g *given) all() map[string][]Enclosed {
	if g == nil {
		return nil
	}
	return map[string][]Enclosed{engine.KeysSchema: g.keys, engine.GuestsSchema: g.guests}
}

// show adds the tables to what a statement sees.
func (g *given) show(st *engine.Statement) {
	all := g.all()
	for _, schema := range slices.Sorted(maps.Keys(all)) {
		for _, e := range all[schema] {
			st.Views, st.Sources = append(st.Views, e.view(schema)), append(st.Sources, e.source(schema))
		}
	}
}

// Bounds of what comes with a question.
const (
	mostEnclosed = 64    // tables
	mostColumns  = 1_000 // of one
)

// check holds what came from another node against what it may be.
func (g *given) check() error {
	bad := func(why string, args ...any) error {
		return weft.Errorf(weft.KindInvalid, "read what comes with the question", "", why, args...)
	}
	if n := len(g.keys) + len(g.guests); n > mostEnclosed {
		return bad("there are %d tables", n)
	}
	for schema, tables := range g.all() {
		seen := map[string]bool{}
		for _, e := range tables {
			if weft.CheckName(e.Name) != nil || seen[e.Name] {
				return bad("a table has no name of its own")
			}
			seen[e.Name] = true
			if schema == engine.KeysSchema && (e.Schema.NumFields() != 1 || e.Schema.Field(0).Name != "k") {
				return bad("keys are one column, k")
			}
			if wrong := e.columns(); wrong != "" {
				return bad("%s", wrong)
			}
		}
	}
	return nil
}

// columns says what is wrong with the columns of a table, "" where nothing is.
func (e Enclosed) columns() string {
	if n := e.Schema.NumFields(); n == 0 || n > mostColumns {
		return fmt.Sprintf("a table has %d columns", n)
	}
	seen := map[string]bool{}
	for _, f := range e.Schema.Fields() {
		name := strings.ToLower(f.Name)
		if name == "" || seen[name] {
			return "a column of a table has no name of its own"
		}
		seen[name] = true
	}
	return ""
}
