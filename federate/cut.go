package federate

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"weft"
	"weft/engine"
	"weft/store"
)

// cutter fixes the state of every product that a question names, once each, and
// keeps the snapshots until the answer is read.
type cutter struct {
	f     *Federation
	q     weft.Question
	snaps map[string]*store.Snapshot // by product and state
	cut   weft.Cut
	views map[engine.Target]view
	read  map[view]work         // what there is to read of each
	found map[weft.Name]Product // what is released in the end

	warnings  []weft.Warning
	elsewhere Elsewhere // nil where only what is here counts
	given     *given
	fars      map[engine.Target]farTable
	fixed     map[weft.Name]weft.Point // of products of other nodes, where that is known already
	failed    error                    // why that could not be found out
	quiet     bool                     // no other node is asked anything
	plain     bool                     // tables are read by themselves
	last      string                   // the site at which the last step runs; "" is here
	stays     bool                     // which it is whatever that takes
	unsharded bool                     // tables are not taken to be shards
}

type view struct {
	snap  *store.Snapshot
	table string
}

func newCutter(f *Federation, q weft.Question) *cutter {
	return &cutter{f: f, q: q, snaps: map[string]*store.Snapshot{}, views: map[engine.Target]view{}, read: map[view]work{}, found: map[weft.Name]Product{}, fars: map[engine.Target]farTable{}, fixed: map[weft.Name]weft.Point{}}
}

// resolve finds the product and table that a name in SQL means, and fixes its
// state. What the subject may not know of looks the same as what is not there.
func (c *cutter) resolve(ctx context.Context, ref engine.TableRef) (engine.Target, error) {
	if t, ok := c.given.view(ref.Parts); ok {
		return t, nil
	}
	tn, err := c.table(ref.Parts)
	if err != nil {
		return engine.Target{}, err
	}
	p, ok := c.product(tn.Name)
	if !ok && ref.At == nil {
		p, ok = c.copied(tn.Name)
	}
	if !ok {
		if t, found, err := c.far(tn, ref.At); found || err != nil {
			return t, err
		}
		return engine.Target{}, c.unknown(tn.Name)
	}
	if err := p.denied(""); err != nil {
		return engine.Target{}, err
	}
	seq, mark, err := c.state(p, ref.At)
	if err != nil {
		return engine.Target{}, err
	}
	snap, err := c.snapshot(ctx, p, seq)
	if err != nil {
		return engine.Target{}, err
	}
	point := snap.Point()
	point.AsOf = c.asOf(ref.At)
	c.add(point, mark == "")
	if tn.Table, err = visible(p, snap, tn.Table); err != nil {
		return engine.Target{}, err
	}
	if err := p.denied(tn.Table); err != nil {
		return engine.Target{}, err
	}
	name := tn.Product
	if tn.Table != tn.Product {
		name += "." + tn.Table
	}
	t := engine.Target{Schema: tn.Domain, Table: name + mark}
	if c.last != "" { // each mention is a part of its own
		t.Table = c.mention(t.Table)
	}
	c.views[t] = view{snap, tn.Table}
	return t, nil
}

// product finds a product, once for a question.
func (c *cutter) product(n weft.Name) (Product, bool) {
	p, ok := c.found[n]
	if !ok {
		if p, ok = c.f.products.Product(c.q.Subject, n); ok {
			c.found[n] = p
		}
	}
	return p, ok
}

// table reads a name of 2 or 3 parts; schema "sales", table "orders.lines" is
// the same as sales.orders.lines.
func (c *cutter) table(parts []string) (weft.TableName, error) {
	var words []string
	for _, p := range parts {
		words = append(words, strings.Split(strings.ToLower(p), ".")...)
	}
	bad := &weft.Error{Op: "find the table", Subject: clip(strings.Join(parts, ".")), Kind: weft.KindNotFound}
	if len(words) < 2 || len(words) > 3 {
		bad.Message = "a table is named domain.product, or domain.product.table"
		bad.Hint = c.suggest(words[len(words)-1])
		return weft.TableName{}, bad
	}
	for _, w := range words {
		if weft.CheckName(w) != nil {
			bad.Message = "there is no such product"
			bad.Hint = "a query names products, such as sales.orders; files and other databases cannot be read"
			if n, ok := c.nearest(strings.Join(words[:2], ".")); ok {
				bad.Hint = fmt.Sprintf("did you mean %s?", n)
			}
			return weft.TableName{}, bad
		}
	}
	tn := weft.TableName{Name: weft.Name{Domain: words[0], Product: words[1]}}
	if len(words) == 3 {
		tn.Table = words[2]
		return tn, nil
	}
	return tn, nil
}

func (c *cutter) unknown(n weft.Name) error {
	return weft.Errorf(weft.KindNotFound, "find the product", n.String(), "there is no such product, or none that you may know of").
		WithHint("%s", c.suggest(n.String()))
}

// suggest says what to do where w names nothing.
func (c *cutter) suggest(w string) string {
	n, ok := c.nearest(w)
	if !ok && c.elsewhere != nil {
		n, ok = c.elsewhere.Near(c.q.Subject, w)
	}
	switch {
	case ok:
		return fmt.Sprintf("did you mean %s?", n)
	case len(c.f.products.Names(c.q.Subject)) == 0:
		return "the node has no products yet: `weft apply FOLDER` brings one"
	case c.elsewhere == nil:
		return "`weft status` lists the products of this node"
	}
	return "`weft status` lists the products of this node, `weft search WORDS` finds those of others"
}

// nearest finds the product whose address or name is w but for a few letters.
func (c *cutter) nearest(w string) (weft.Name, bool) {
	var best weft.Name
	score := min(3, len(w)/2) + 1
	for _, n := range c.f.products.Names(c.q.Subject) {
		for _, s := range []string{n.String(), n.Product} {
			if d := distance(w, s); d < score {
				best, score = n, d
			}
		}
	}
	return best, !best.IsZero()
}

// state finds the Seq that is meant: by the table's own AT, or the question's.
// mark is what tells apart two states of one table in one question.
func (c *cutter) state(p Product, at *engine.AtClause) (weft.Seq, string, error) {
	switch {
	case at != nil && at.Seq != nil:
		return *at.Seq, "@" + at.Seq.String(), nil
	case at != nil && at.Time != nil:
		seq, err := p.Store.SeqAt(*at.Time)
		return seq, "@" + seq.String(), err
	case len(c.q.At.Cut) > 0:
		i := slices.IndexFunc(c.q.At.Cut, func(r weft.CutRef) bool { return r.Product == p.Name })
		if i < 0 && c.given != nil {
			return 0, "", nil // the node that asks has looked; it wants what it does not name as it is now
		}
		if i < 0 {
			return 0, "", notInCut(p.Name)
		}
		return c.q.At.Cut[i].Seq, "", c.same(p, c.q.At.Cut[i])
	case !c.q.At.Time.IsZero():
		seq, err := p.Store.SeqAt(c.q.At.Time)
		return seq, "", err
	default:
		return 0, "", nil
	}
}

func notInCut(n weft.Name) error {
	return weft.Errorf(weft.KindInvalid, "read at the cut", n.String(), "the cut does not name this product").
		WithHint("use the cut of an answer to the same question")
}

// asOf is the time by which a state is chosen: by this node's clock, which made the
// times of the commits.
func (c *cutter) asOf(at *engine.AtClause) time.Time {
	switch {
	case at != nil && at.Seq == nil && at.Time != nil:
		return *at.Time
	case at == nil && len(c.q.At.Cut) == 0:
		return c.q.At.Time
	}
	return time.Time{}
}

// same holds a cut's proof against the product's chain.
func (c *cutter) same(p Product, ref weft.CutRef) error {
	if len(ref.HashPrefix) == 0 {
		return nil
	}
	return p.Store.Same(ref.Incarnation, ref.Seq, ref.HashPrefix)
}

func (c *cutter) snapshot(ctx context.Context, p Product, seq weft.Seq) (*store.Snapshot, error) {
	key := p.ID + seq.String()
	if s, ok := c.snaps[key]; ok {
		return s, nil
	}
	if seq == 0 && p.Retired {
		return nil, weft.Errorf(weft.KindGone, "read the product", p.Name.String(), "it is retired: only its history can be read").
			WithHint("ask with --at %s, or a time before it was retired", p.Store.Head().Seq)
	}
	s, err := p.Store.Snapshot(ctx, seq)
	if err != nil {
		return nil, err
	}
	c.snaps[key] = s
	return s, nil
}

// add puts a state into the answer's cut, which has one of each product: the one that
// the product is read at where its table says nothing of its own.
func (c *cutter) add(at weft.Point, inCut bool) {
	i := slices.IndexFunc(c.cut, func(x weft.Point) bool { return x.Product == at.Product })
	switch {
	case i < 0:
		c.cut = append(c.cut, at)
	case inCut:
		c.cut[i] = at
	}
}

// work is about how much there is to read for a question.
type work struct {
	rows  int64
	bytes int64 // of files
	tail  int64 // bytes of rows that are in no file yet
}

// relations adds what each named table is to the statement, and says how much
// that is.
func (c *cutter) relations(st *engine.Statement) (w work, err error) {
	for t, v := range c.views {
		r, err := v.snap.Relation(v.table)
		if err != nil {
			return w, err
		}
		st.Views = append(st.Views, engine.View{Schema: t.Schema, Name: t.Table, SQL: r.SQL})
		st.Sources = append(st.Sources, r.Sources...)
		st.Files = append(st.Files, r.Files...)
		one := work{rows: r.Rows, tail: tailBytes(r)}
		for _, f := range r.Files {
			if fi, err := os.Stat(f); err == nil {
				one.bytes += fi.Size()
			}
		}
		c.read[v] = one
		w.rows += one.rows
		w.bytes += one.bytes
	}
	// In one order, so that a worker knows views that it has made before.
	slices.SortFunc(st.Views, func(x, y engine.View) int {
		return cmp.Or(strings.Compare(x.Schema, y.Schema), strings.Compare(x.Name, y.Name))
	})
	return w, nil
}

// count answers a plain count from the counter that the commits keep: the number
// of rows at the cut is known without reading them, where the counter is known to hold.
func (c *cutter) count(q *engine.CountOf) (int64, bool) {
	if q == nil {
		return 0, false
	}
	v, ok := c.views[q.Table]
	if !ok {
		return 0, false
	}
	for _, t := range v.snap.Tables() {
		if t.Table == v.table {
			return t.Rows, !t.Uncounted
		}
	}
	return 0, false
}

func (c *cutter) points() weft.Cut { return c.cut.Sorted() }

// now is the time of the cut. Where that is for other nodes to say, they are asked.
func (c *cutter) now(ctx context.Context) time.Time {
	cut := c.cut
	if len(c.fars) > 0 && c.failed == nil && !c.quiet {
		if c.failed = c.fix(ctx, c.farProducts()); c.failed == nil {
			cut = slices.Clone(cut)
			for _, p := range c.fixed {
				cut = append(cut, p)
			}
		}
	}
	return moment(cut, c.f.env.Clock.Now())
}

// held counts the rows that the named products hold back at the cut.
func (c *cutter) held() int64 {
	var n int64
	for _, s := range c.snaps {
		for _, t := range s.Tables() {
			if t.Hidden && t.Table == store.QuarantineTable {
				n += t.Rows
			}
		}
	}
	return n
}

func (c *cutter) close() {
	for _, s := range c.snaps {
		_ = s.Close()
	}
	for _, p := range c.found {
		if p.Release != nil {
			p.Release()
		}
	}
}

// visible finds an output table at the state of snap; "" is the only one, or the
// one with the product's name.
func visible(p Product, snap *store.Snapshot, table string) (string, error) {
	var all []string
	for _, t := range snap.Tables() {
		if !t.Hidden {
			all = append(all, t.Table)
		}
	}
	bare := table == ""
	if bare && len(all) == 1 {
		return all[0], nil
	}
	if bare {
		table = p.Name.Product
	}
	if slices.Contains(all, table) {
		return table, nil
	}
	if len(all) == 0 {
		return "", weft.Errorf(weft.KindConflict, "read the product", p.Name.String(), "nothing is published yet").
			WithHint("`weft status` says what its first load is waiting for")
	}
	for i, t := range all {
		all[i] = weft.TableName{Name: p.Name, Table: t}.String()
	}
	return "", weft.Errorf(weft.KindNotFound, "find the table", weft.TableName{Name: p.Name, Table: table}.String(), "the product has no such table").
		WithHint("it has %s", strings.Join(all, ", "))
}

// clip keeps a name from hostile SQL short enough for one screen.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// distance is the number of single-character edits between two short words
// (Levenshtein), at most len+1 rows of memory.
func distance(a, b string) int {
	if len(a) > 130 || len(b) > 130 {
		return 1 << 20
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := prev
			if a[i-1] != b[j-1] {
				cost = 1 + min(prev, row[j], row[j-1])
			}
			prev, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
