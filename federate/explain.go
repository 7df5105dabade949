package federate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/contract"
	"weft/engine"
)

// Explain says how q would be answered. No other node is asked anything, so that it does
// not matter which of them can be reached. What the subject may not read is refused as
// Query does.
func (f *Federation) Explain(ctx context.Context, q weft.Question) (*weft.Plan, error) {
	a, ctx := f.asks(ctx, q)
	defer a.end()
	a.cut.quiet = true
	b, err := a.bind(ctx)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	plan, err := a.plan(ctx, &b)
	return plan, a.failed(ctx, err)
}

// Analyze answers q as Query does. When its rows have been read, and before the answer
// is closed, plan says how it was answered and what was measured.
func (f *Federation) Analyze(ctx context.Context, q weft.Question) (ans *weft.Answer, plan func() *weft.Plan, err error) {
	began := time.Now()
	a, ctx := f.asks(ctx, q)
	var p *weft.Plan
	ans, err = a.answer(ctx, func(b *bound) error {
		p, err = a.plan(ctx, b)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	rows := &measuredRows{RecordReader: ans.Rows, m: measure{asked: began}}
	shown := *ans
	shown.Rows = rows
	return &shown, func() *weft.Plan {
		a.measured(p, rows.m, ans, began)
		return p
	}, nil
}

// measuredRows notes what comes.
type measuredRows struct {
	array.RecordReader
	m measure
}

// Next moves to the next batch.
func (r *measuredRows) Next() bool {
	if !r.RecordReader.Next() {
		if r.m.last.IsZero() {
			r.m.last = time.Now()
		}
		return false
	}
	b := r.RecordBatch()
	r.m.add(b.NumRows())
	for _, c := range b.Columns() {
		r.m.bytes += int64(c.Data().SizeInBytes())
	}
	return true
}

// RecordBatch is the current batch.
func (r *measuredRows) RecordBatch() arrow.RecordBatch { return r.RecordReader.RecordBatch() }

// plan is how the question is answered, as far as that is known before it is.
func (a *asking) plan(ctx context.Context, b *bound) (*weft.Plan, error) {
	p := &weft.Plan{Parts: []weft.PlanPart{}}
	if b.split != nil && b.split.Site != "" {
		p.Whole = true
		part, err := a.wholePart(b.split)
		p.Parts = append(p.Parts, part)
		return p, err
	}
	if a.cut.last != "" {
		return p, a.planAway(ctx, p, b)
	}
	_, counted := a.cut.count(b.Count)
	p.Here = &weft.PlanHere{SQL: b.SQL, Counted: counted}
	for _, r := range a.cut.estimate().Reads {
		if !counted {
			p.Here.Reads = append(p.Here.Reads, weft.PlanRead{Product: r.Product, Rows: r.Rows, Bytes: r.Bytes})
		}
	}
	if b.split == nil {
		return p, nil
	}
	order := planParts(b.split.Parts)
	for i := range b.split.Parts {
		x, err := a.planPart(ctx, b, i, order[i].uses)
		if err != nil {
			return nil, err
		}
		p.Parts = append(p.Parts, x)
	}
	all := slices.Clone(p.Parts)
	p.Parts = slices.DeleteFunc(p.Parts, func(x weft.PlanPart) bool { return x.Here() && !givesKeys(all, x.Number) })
	return p, nil
}

// planAway is how a question is answered whose last step runs at another node, which is the
// plan's last part.
func (a *asking) planAway(ctx context.Context, plan *weft.Plan, b *bound) error {
	node, err := weft.ParseKeyID(a.cut.last)
	if err != nil {
		return err
	}
	order := planParts(b.split.Parts)
	last := weft.PlanPart{Last: true, Home: a.weighed.here, Bytes: a.weighed.there, Number: len(b.split.Parts) + 1, Node: node, Name: a.cut.elsewhere.Called(node), Products: []weft.Name{}}
	guests := map[engine.Target]engine.Guest{}
	for i, part := range b.split.Parts {
		x, err := a.planPart(ctx, b, i, order[i].uses)
		if err != nil {
			return err
		}
		name := guestName(i)
		x.As = targetText(engine.Target{Schema: engine.GuestsSchema, Table: name})
		guests[part.View] = engine.Guest{Name: name}
		last.Guests = append(last.Guests, x.Number)
		plan.Parts = append(plan.Parts, x)
	}
	var own []engine.Target
	last.SQL, own, err = b.split.Away(ctx, b.parser, guests)
	for _, t := range own {
		ft := a.cut.fars[t]
		last.Read = max(last.Read, ft.table.Rows)
		if !slices.Contains(last.Products, ft.far.Name) {
			last.Products = append(last.Products, ft.far.Name)
		}
	}
	slices.SortFunc(last.Products, byName)
	plan.Parts = append(plan.Parts, last)
	return err
}

func byName(a, b weft.Name) int { return strings.Compare(a.String(), b.String()) }

// givesKeys says whether any part waits for values of another.
func givesKeys(parts []weft.PlanPart, number int) bool {
	return slices.ContainsFunc(parts, func(p weft.PlanPart) bool {
		return slices.ContainsFunc(p.Keys, func(k weft.PlanKeys) bool {
			return slices.ContainsFunc(k.From, func(c weft.PlanColumn) bool { return c.Part == number })
		})
	})
}

// wholePart is the question as the one node is asked that has all of its tables.
func (a *asking) wholePart(split *engine.Split) (weft.PlanPart, error) {
	node, err := weft.ParseKeyID(split.Site)
	if err != nil {
		return weft.PlanPart{}, err
	}
	p := weft.PlanPart{Number: 1, Node: node, Name: a.cut.elsewhere.Called(node), SQL: a.q.SQL, Products: []weft.Name{}}
	for _, ft := range a.cut.fars {
		p.Read = max(p.Read, ft.table.Rows)
		if !slices.Contains(p.Products, ft.far.Name) {
			p.Products = append(p.Products, ft.far.Name)
		}
	}
	slices.SortFunc(p.Products, byName)
	return p, nil
}

// planPart is one part as it is asked with the keys of the named uses.
func (a *asking) planPart(ctx context.Context, b *bound, i int, uses []int) (weft.PlanPart, error) {
	part := b.split.Parts[i]
	p := weft.PlanPart{Number: i + 1, Products: []weft.Name{}, Rows: part.Rows, Read: part.Base, As: targetText(part.View)}
	p.Bytes = part.Rows * a.cut.width(part)
	for _, t := range part.Tables {
		if n := a.cut.productOf(t); !n.IsZero() && !slices.Contains(p.Products, n) {
			p.Products = append(p.Products, n)
		}
	}
	slices.SortFunc(p.Products, byName)
	var err error
	switch part.Site {
	case "":
		return p, nil
	case hereSite:
	default:
		if p.Node, err = weft.ParseKeyID(part.Site); err != nil {
			return p, err
		}
		p.Name = a.cut.elsewhere.Called(p.Node)
	}
	for _, s := range a.cut.shards(part) { // all are alike
		p.Shard = &s.Shard
	}
	for _, u := range uses {
		k := weft.PlanKeys{Table: engine.KeysSchema + "." + part.Keys[u].Name, Column: part.Keys[u].Column}
		for _, s := range part.Keys[u].From {
			if s.SQL != "" {
				for _, n := range s.Needs {
					k.From = append(k.From, weft.PlanColumn{Part: n + 1, Column: "its answer"})
				}
				continue
			}
			k.From = append(k.From, weft.PlanColumn{Part: s.Part + 1, Column: s.Column})
		}
		p.Keys = append(p.Keys, k)
	}
	p.SQL, err = part.Text(ctx, b.parser, uses)
	return p, err
}

// targetText is a view as SQL names it.
func targetText(t engine.Target) string {
	return engine.QuoteIdent(t.Schema) + "." + engine.QuoteIdent(t.Table)
}

// productOf is the product that a table of the question is of.
func (c *cutter) productOf(t engine.Target) weft.Name {
	if ft, ok := c.fars[t]; ok {
		return ft.far.Name
	}
	if v, ok := c.views[t]; ok {
		return v.snap.Point().Product
	}
	return weft.Name{}
}

// unknownWidth is what a value takes of which nothing is known.
const unknownWidth = 8

// width is about how many bytes a row of a part takes, by the types of its columns.
func (c *cutter) width(part *engine.Part) (n int64) {
	types := map[string]contract.Type{}
	for _, t := range part.Tables {
		ft, ok := c.fars[t]
		if !ok {
			continue
		}
		for _, col := range ft.table.Columns {
			types[strings.ToLower(col.Name)] = col.Type
		}
	}
	for _, name := range part.Columns {
		if t, ok := types[strings.ToLower(name)]; ok {
			n += widthOf(t)
		} else {
			n += unknownWidth
		}
	}
	return n
}

// widthOf is about how many bytes a value takes as Arrow has it.
func widthOf(t contract.Type) int64 {
	switch t.Kind {
	case contract.KindBool, contract.KindInt8:
		return 1
	case contract.KindInt16:
		return 2
	case contract.KindInt32, contract.KindFloat32, contract.KindDate:
		return 4
	case contract.KindDecimal:
		return 16
	case contract.KindString, contract.KindBytes:
		return 20
	case contract.KindUUID:
		return 40
	case contract.KindList:
		return 4 * widthOf(*t.Elem)
	case contract.KindStruct:
		var n int64
		for _, f := range t.Fields {
			n += widthOf(f.Type)
		}
		return n
	}
	return unknownWidth
}

// measure is what is noted of a part while it is asked.
type measure struct {
	text               string  // as it was asked
	sent               []int64 // of each use of keys that was planned
	rows, bytes        int64
	asked, first, last time.Time
	fault              error
}

// add notes rows as they come.
func (m *measure) add(rows int64) {
	if m.rows += rows; m.first.IsZero() && rows > 0 {
		m.first = time.Now()
	}
}

func (m *measure) times(began time.Time) *weft.PlanTimes {
	since := func(t time.Time) float64 {
		if t.IsZero() {
			t = m.last // it has no rows
		}
		return max(float64(t.Sub(began).Microseconds())/1000, 0)
	}
	return &weft.PlanTimes{Rows: m.rows, Bytes: m.bytes, Began: since(m.asked), First: since(m.first), Last: since(m.last)}
}

// measured adds to the plan what was measured.
func (a *asking) measured(plan *weft.Plan, all measure, ans *weft.Answer, began time.Time) {
	plan.Cut = ans.Cut
	if ans.Warnings != nil {
		plan.Warnings = ans.Warnings()
	}
	plan.Measured = all.times(began)
	if plan.Whole {
		m := *plan.Measured
		if ans.Parts != nil {
			for _, u := range ans.Parts() {
				m.Bytes = u.Bytes
			}
		}
		plan.Parts[0].Measured = &m
		return
	}
	if plan.Here != nil {
		all.asked = a.started
		plan.Here.Measured = all.times(began)
	}
	if a.parting == nil {
		return
	}
	if plan.Here != nil {
		plan.Here.SQL = a.parting.split.SQL // keys may have taken the place of queries in it
	}
	for i := range plan.Parts {
		p := &plan.Parts[i]
		if p.Here() && p.SQL == "" {
			continue
		}
		m := &a.parting.measures[p.Number-1]
		if p.Last { // its rows are the answer's
			m.rows, m.first, m.last = all.rows, all.first, all.last
			for _, u := range ans.Parts() {
				if u.Node == p.Node {
					m.bytes = u.Bytes
				}
			}
		}
		p.SQL, p.Measured = m.text, m.times(began)
		if m.fault != nil {
			p.Fault = m.fault.Error()
		}
		for k := range p.Keys {
			if k < len(m.sent) {
				p.Keys[k].Sent = &m.sent[k]
			}
		}
	}
}

// sent is how many values went with a part for each of its planned uses, 0 where they
// were not worth it.
func (p *parting) sent(i int, uses []int, keys []Enclosed) []int64 {
	n := make([]int64, len(p.plan[i].uses))
	for at, u := range p.plan[i].uses {
		if k := slices.Index(uses, u); k >= 0 {
			for _, b := range keys[k].Batches {
				n[at] += b.NumRows()
			}
		}
	}
	return n
}
