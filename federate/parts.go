package federate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
)

// landed is a part whose rows are here.
type landed struct {
	schema *arrow.Schema
	shared *engine.Shared
	rows   int64
	bytes  int64
	cut    weft.Cut
	held   int64
	keys   map[string]*keyColumn // columns that other parts are asked with
	huge   []string              // columns that are HUGEINT
}

// columns selects all of it, in the engine's own types.
func (l *landed) columns(source string) string {
	sql := TypedColumns(l.schema, source)
	if len(l.huge) == 0 {
		return sql
	}
	var list []string
	for _, n := range l.huge {
		list = append(list, fmt.Sprintf("CAST(%[1]s AS HUGEINT) AS %[1]s", engine.QuoteIdent(n)))
	}
	return fmt.Sprintf("SELECT * REPLACE (%s) FROM (%s)", strings.Join(list, ", "), sql)
}

// parting runs the parts of one question.
type parting struct {
	a      *asking
	split  *engine.Split
	parser engine.Parser
	plan   []planned

	mu       sync.Mutex               // guards the session, and what follows
	got      []*landed                // by part; nil where it failed and may be missing
	gathered map[string]*gatheredKeys // by where they are from
	uses     []weft.PartUse
	warnings []weft.Warning
	measures []measure                   // by part, and of the last step at another node
	loose    []string                    // tables of keys that are few for many rows
	answers  map[string]Enclosed         // keys that are all the values of a query in the question
	lead     map[weft.Name]int           // by product the part that finds its state out
	known    map[weft.Name]chan struct{} // closed when it has
	told     map[weft.Name]bool
	room     *engine.LandingRoom
}

// parts asks the other nodes for the question's parts, and returns when all are here.
func (a *asking) parts(ctx context.Context, split *engine.Split, parser engine.Parser) (*parting, error) {
	p := &parting{a: a, split: split, parser: parser, gathered: map[string]*gatheredKeys{}, answers: map[string]Enclosed{}, got: make([]*landed, len(split.Parts)), measures: make([]measure, len(split.Parts)+1), plan: planParts(split.Parts)}
	cfg := a.f.cfg.Load()
	p.room = engine.NewLandingRoom(cfg.Temp, lowered(cfg.Memory, a.q.Limits.Memory)/2, cfg.TempBytes)
	p.lead, p.known, p.told = p.leaders(), map[weft.Name]chan struct{}{}, map[weft.Name]bool{}
	for n := range p.lead {
		p.known[n] = make(chan struct{})
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make([]chan struct{}, len(split.Parts))
	for i := range done {
		done[i] = make(chan struct{})
	}
	var wg sync.WaitGroup
	for i, part := range split.Parts {
		if part.Site == "" {
			close(done[i])
			continue
		}
		wg.Go(func() {
			defer close(done[i])
			defer p.found(i, nil)
			if !p.wait(ctx, i, done) {
				return
			}
			if err := p.land(ctx, i); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	for _, g := range p.gathered {
		g.keys.drop()
	}
	if err := context.Cause(ctx); err != nil {
		p.drop()
		return nil, p.unanswered(ctx, err)
	}
	return p, nil
}

// wait waits for the parts whose values a part is asked with; it reports whether the
// question goes on. Where parts may be missing, it is asked without them after a while.
func (p *parting) wait(ctx context.Context, i int, done []chan struct{}) bool {
	var late <-chan time.Time
	if until, ok := ctx.Deadline(); ok && p.a.q.AllowPartial {
		t := time.NewTimer(time.Until(until) * 2 / 5)
		defer t.Stop()
		late = t.C
	}
	for _, w := range p.plan[i].waits {
		select {
		case <-done[w]:
		case <-late:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// patience is how long other nodes are waited for: where parts may be missing, some of
// the time is left to answer without them.
func (a *asking) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	until, ok := ctx.Deadline()
	if !ok || !a.q.AllowPartial {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(until)*4/5)
}

// unanswered names the nodes that were waited for when the deadline passed; err is why
// the question ended.
func (p *parting) unanswered(ctx context.Context, err error) error {
	for i, part := range p.split.Parts {
		if m := &p.measures[i]; m.asked.IsZero() || p.got[i] != nil || !errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		if node, bad := weft.ParseKeyID(part.Site); bad == nil {
			return p.a.cut.ended(ctx, node, p.products(part))
		}
	}
	return err
}

// tables are the tables of other nodes that a part reads.
func (p *parting) tables(part *engine.Part) (out []farTable) {
	for _, t := range part.Tables {
		if ft, ok := p.a.cut.fars[t]; ok {
			out = append(out, ft)
		}
	}
	return out
}

func (p *parting) products(part *engine.Part) (out []weft.Name) {
	for _, ft := range p.tables(part) {
		if !slices.Contains(out, ft.far.Name) {
			out = append(out, ft.far.Name)
		}
	}
	return out
}

// land asks for one part and takes its rows in.
func (p *parting) land(ctx context.Context, i int) error {
	part := p.split.Parts[i]
	if part.Site == hereSite {
		return p.landHere(ctx, i)
	}
	node, err := weft.ParseKeyID(part.Site)
	if err != nil {
		return err
	}
	patient, enough := p.a.patience(ctx)
	defer enough()
	l, use, err := p.take(patient, i, node)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if patient.Err() != nil {
			err = weft.Errorf(weft.KindUnavailable, "", "", "it is late")
		}
		if part.Sharded && weft.KindOf(err) == weft.KindConflict {
			return &shardError{p.a.cut.farFault(node, p.products(part), err)}
		}
		if k := weft.KindOf(err); p.a.q.AllowPartial && k != weft.KindInvalid && !errors.As(err, new(*ownError)) {
			p.measures[i].fault = err
			p.missing(part, node, err)
			return nil
		}
		if o := (*ownError)(nil); errors.As(err, &o) {
			return o.error
		}
		return p.a.cut.farFault(node, p.products(part), err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got[i] = l
	p.uses = append(p.uses, use)
	return nil
}

// ownError is a fault of this node, not of the one that was asked.
type ownError struct{ error }

func (e *ownError) Unwrap() error { return e.error }

// shardError says that a table may not be the shard that the question was cut by.
type shardError struct{ error }

func (e *shardError) Unwrap() error { return e.error }

func (p *parting) missing(part *engine.Part, node weft.KeyID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.products(part) {
		w := weft.Warning{
			Kind: weft.WarnPartial, Product: n, Message: fmt.Sprintf("rows of %s are missing: node %s: %v", n, p.a.cut.elsewhere.Called(node), err), Hint: weft.HintOf(err),
		}
		if w.Hint == "" {
			w.Hint = "`weft peers` says who can be reached"
		}
		if !slices.Contains(p.warnings, w) {
			p.warnings = append(p.warnings, w)
		}
	}
}

func (p *parting) take(ctx context.Context, i int, node weft.KeyID) (_ *landed, use weft.PartUse, err error) {
	part, m := p.split.Parts[i], &p.measures[i]
	uses, keys, err := p.keys(ctx, i)
	if err != nil {
		return nil, use, &ownError{err}
	}
	m.sent = p.sent(i, uses, keys)
	p.mu.Lock()
	text, err := part.Text(ctx, p.parser, uses)
	p.mu.Unlock()
	if weft.KindOf(err) == weft.KindInvalid {
		err = &engine.CutError{Err: err}
	}
	if err != nil {
		return nil, use, &ownError{err}
	}
	if err := p.follow(ctx, i); err != nil {
		return nil, use, err
	}
	q := FarQuestion{Question: p.a.q, Keys: keys, Shards: p.a.cut.shards(part)}
	q.SQL, q.At, q.AnyOrder = text, p.at(part), p.split.AnyOrder
	q.Fixed = func(cut weft.Cut, _ int64) error { // others need not wait for the first row
		p.found(i, cut)
		return nil
	}
	m.text, m.asked = text, time.Now()
	defer func() { m.last, m.bytes = time.Now(), use.Bytes }()
	ans, err := p.a.cut.elsewhere.Ask(ctx, node, q)
	for _, k := range keys {
		for _, b := range k.Batches {
			b.Release()
		}
	}
	if err != nil {
		return nil, use, err
	}
	defer func() { _ = ans.Close() }()
	huge, err := p.fits(ctx, part, ans.Schema)
	if err != nil {
		return nil, use, err
	}
	for _, n := range p.products(part) {
		if _, ok := ans.Cut.Find(n); !ok {
			return nil, use, fmt.Errorf("it does not say at which state of %s its rows are", n)
		}
	}
	l, err := p.rows(ctx, i, ans, m)
	if err != nil {
		return nil, use, err
	}
	l.huge = huge
	for _, u := range ans.Parts() {
		use = u
	}
	return l, use, nil
}

// at is the state that a part is read at: what the question says, or what was fixed.
func (p *parting) at(part *engine.Part) weft.At { return p.atOf(p.products(part)) }

// atOf is at of products.
func (p *parting) atOf(names []weft.Name) weft.At {
	if at := p.a.q.At; !at.IsZero() {
		return weft.At{Time: at.Time, Cut: slices.DeleteFunc(slices.Clone(at.Cut), func(r weft.CutRef) bool { return !slices.Contains(names, r.Product) })}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.a.cut.fixedAt(names)
}

func (t *FarTable) column(name string) FarColumn {
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
	}
	return FarColumn{}
}

// rows takes in what comes.
func (p *parting) rows(ctx context.Context, i int, ans *weft.Answer, m *measure) (*landed, error) {
	in, err := engine.NewLanding(ans.Schema, p.room)
	if err != nil {
		return nil, &ownError{err}
	}
	keys := p.keyColumns(i, ans.Schema)
	for ans.Rows.Next() {
		for _, k := range keys {
			k.add(ans.Rows.RecordBatch())
		}
		m.add(ans.Rows.RecordBatch().NumRows())
		if err := in.Add(ans.Rows.RecordBatch()); err != nil {
			in.Drop()
			return nil, &ownError{err}
		}
	}
	if err := ans.Rows.Err(); err != nil {
		in.Drop()
		return nil, err
	}
	sh, err := in.Done()
	if err != nil {
		return nil, &ownError{err}
	}
	for _, k := range keys {
		k.done()
	}
	return &landed{schema: ans.Schema, shared: sh, rows: in.Rows(), bytes: in.Bytes(), cut: ans.Cut, held: ans.Held, keys: keys}, nil
}

// statement adds what has landed to what runs over it.
func (p *parting) statement(ctx context.Context, st *engine.Statement, w *work) error {
	var missing []*engine.Part
	for i, part := range p.split.Parts {
		l := p.got[i]
		switch {
		case part.Site == "":
		case l == nil:
			missing = append(missing, part)
			text, err := part.StatelessText(ctx, p.parser)
			if err != nil {
				return err
			}
			st.Views = append(st.Views, engine.View{Schema: part.View.Schema, Name: part.View.Table, SQL: text})
		default:
			src := fmt.Sprintf("part%d", i)
			st.Views = append(st.Views, engine.View{Schema: part.View.Schema, Name: part.View.Table, SQL: l.columns(src)})
			st.Sources = append(st.Sources, engine.Source{Name: src, Schema: l.schema, Shared: []*engine.Shared{l.shared}})
			w.rows += l.rows
			w.bytes += l.bytes
		}
	}
	st.Views = append(p.emptyTables(missing...), st.Views...)
	return nil
}

// answered puts keys that are all the values of a query in the question in its place: to
// answer it once more would take as long as it took for the keys.
func (p *parting) answered(ctx context.Context, st *engine.Statement) error {
	put, err := p.split.Answered(ctx, p.parser, slices.Sorted(maps.Keys(p.answers)))
	if err != nil || len(put) == 0 {
		return err
	}
	st.SQL = p.split.SQL
	for _, name := range put {
		e := p.answers[name]
		st.Views = append(st.Views, e.view(engine.KeysSchema))
		st.Sources = append(st.Sources, e.source(engine.KeysSchema))
	}
	return nil
}

// cutOf adds the states that the parts were read at, which must be one for each product.
func (p *parting) cutOf(cut weft.Cut) (weft.Cut, int64, error) {
	var held int64
	counted := map[weft.Name]bool{}
	for _, l := range p.got {
		if l == nil {
			continue
		}
		fresh := false
		for _, x := range l.cut {
			if was, ok := cut.Find(x.Product); !ok {
				cut = append(cut, x)
			} else if was.Hash != x.Hash && !p.pinned(x.Product) {
				return nil, 0, weft.Errorf(weft.KindConflict, "fix the cut", x.Product.String(), "its rows come of two states").WithHint("ask again")
			}
			if !counted[x.Product] {
				counted[x.Product], fresh = true, true
			}
		}
		if fresh {
			held += l.held
		}
	}
	return cut.Sorted(), held, nil
}

// pinned says that the question itself asks for states of a product.
func (p *parting) pinned(n weft.Name) bool {
	for _, ft := range p.a.cut.fars {
		if ft.far.Name == n && ft.at != nil {
			return true
		}
	}
	return false
}

// drop gives up what has landed.
func (p *parting) drop() {
	for _, l := range p.got {
		if l != nil {
			l.shared.Close()
		}
	}
	for _, e := range p.answers {
		e.drop()
	}
	p.answers = nil
}
