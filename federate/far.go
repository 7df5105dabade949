package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/contract"
	"weft/engine"
)

// farTable is a table of another node as a question mentions it.
type farTable struct {
	far   *Far
	table *FarTable
	at    *engine.AtClause
}

// far finds a table of another node. Each mention has a view of its own.
func (c *cutter) far(tn weft.TableName, at *engine.AtClause) (engine.Target, bool, error) {
	if c.elsewhere == nil {
		return engine.Target{}, false, nil
	}
	f, err := c.elsewhere.Far(c.q.Subject, tn.Name)
	if f == nil || err != nil {
		return engine.Target{}, err != nil, err
	}
	if len(c.q.At.Cut) > 0 && at == nil && !slices.ContainsFunc(c.q.At.Cut, func(r weft.CutRef) bool { return r.Product == tn.Name }) {
		return engine.Target{}, true, notInCut(tn.Name)
	}
	t, err := f.find(tn.Table)
	if err != nil {
		return engine.Target{}, true, err
	}
	target := engine.Target{Schema: tn.Domain, Table: c.mention(tn.Product)}
	c.fars[target] = farTable{f, t, at}
	return target, true, nil
}

// mention is the name of the view that the next mention of a table has for itself: of those
// of other nodes, and of all where the last step runs at one of these.
func (c *cutter) mention(name string) string {
	n := len(c.fars) + 1
	if c.last != "" {
		n += len(c.views)
	}
	return fmt.Sprintf("%s~%d", name, n)
}

// find finds a table by its name; "" is the only one, or the one with the product's name.
func (f *Far) find(table string) (*FarTable, error) {
	if table == "" && len(f.Tables) == 1 {
		return &f.Tables[0], nil
	}
	bare := table == ""
	if bare {
		table = f.Name.Product
	}
	var all []string
	for i, t := range f.Tables {
		if t.Name == table {
			return &f.Tables[i], nil
		}
		all = append(all, weft.TableName{Name: f.Name, Table: t.Name}.String())
	}
	if len(all) == 0 {
		return nil, weft.Errorf(weft.KindConflict, "read the product", f.Name.String(), "its card names no table yet")
	}
	return nil, weft.Errorf(weft.KindNotFound, "find the table", weft.TableName{Name: f.Name, Table: table}.String(), "the product has no such table").
		WithHint("it has %s", strings.Join(all, ", "))
}

// place is where a table is, for the splitter.
func (c *cutter) place(t engine.Target) engine.Place {
	ft, ok := c.fars[t]
	if !ok {
		v := c.views[t]
		p := engine.Place{Name: t}
		if c.last != "" {
			p.Site = hereSite
		}
		for _, x := range v.snap.Tables() {
			if x.Table == v.table {
				p.Rows = x.Rows
				for _, f := range x.Schema.Fields() {
					p.Columns = append(p.Columns, f.Name)
				}
				p.Shard = c.shardHere(v, x.Schema)
			}
		}
		return p
	}
	p := engine.Place{Site: c.siteOf(ft.far.Node), At: ft.at, Rows: ft.table.Rows, Name: engine.Target{Schema: ft.far.Name.Domain, Table: ft.far.Name.Product + "." + ft.table.Name}}
	if ft.table.Name == ft.far.Name.Product {
		p.Name.Table = ft.table.Name
	}
	if len(ft.table.Key) > 0 {
		p.Unique = append(p.Unique, ft.table.Key)
	}
	for _, col := range ft.table.Columns {
		if s := col.Shard; s != nil && ft.at == nil && c.q.At.IsZero() && !c.unsharded && c.last == "" {
			p.Shard = placeShard(col.Name, *s, col.Type)
		}
		p.Columns, p.Types = append(p.Columns, col.Name), append(p.Types, "")
		if col.Type.Kind != contract.KindUnknown {
			p.Types[len(p.Types)-1] = col.Type.SQL()
		}
		if col.Type.IsNumber() {
			p.Numbers = append(p.Numbers, col.Name)
		}
		if col.Unique {
			p.Unique = append(p.Unique, []string{col.Name})
		}
	}
	return p
}

// siteOf is a node as the splitter knows it: "" is where the last step runs.
func (c *cutter) siteOf(node weft.KeyID) string {
	if site := node.String(); site != c.last {
		return site
	}
	return ""
}

// placeShard is a shard as the splitter knows it, nil where rows are not divided by such a type.
func placeShard(column string, s weft.Shard, t contract.Type) *engine.Shard {
	if t.ShardKind() == "" {
		return nil
	}
	return &engine.Shard{Column: column, Modulus: s.Modulus, Remainder: s.Remainder, Kind: t.ShardKind()}
}

// shardHere is the shard that a table of this node is at the state that is read.
func (c *cutter) shardHere(v view, sc *arrow.Schema) *engine.Shard {
	if c.unsharded || c.last != "" {
		return nil
	}
	point := v.snap.Point()
	column, s, ok := c.found[point.Product].shard(v.table, point.Seq)
	if !ok {
		return nil
	}
	for _, f := range sc.Fields() {
		if t, err := contract.FromField(f); err == nil && f.Name == column {
			return placeShard(column, s, t)
		}
	}
	return nil
}

// shards are what a part counts on.
func (c *cutter) shards(part *engine.Part) (out []TableShard) {
	if !part.Sharded {
		return nil
	}
	for _, t := range part.Tables {
		ft := c.fars[t]
		if ft.table == nil {
			continue
		}
		for _, col := range ft.table.Columns {
			if col.Shard != nil {
				out = append(out, TableShard{Product: ft.far.Name, Table: ft.table.Name, Column: col.Name, Shard: *col.Shard})
			}
		}
	}
	return out
}

// holds says whether the tables that are here are the shards that an asker counts on.
func (c *cutter) holds(shards []TableShard) error {
	for _, x := range shards {
		at, read := c.points().Find(x.Product)
		column, s, ok := c.found[x.Product].shard(x.Table, at.Seq)
		if !read || !ok || column != x.Column || s != x.Shard {
			return weft.Errorf(weft.KindConflict, "read the shard", weft.TableName{Name: x.Product, Table: x.Table}.String(), "its rows are not known to be those of %s by %s any more", x.Shard, clip(x.Column)).WithHint("ask again")
		}
	}
	return nil
}

// travels says whether values of a table may go to a site.
func (c *cutter) travels(t engine.Target, site string) bool {
	if site == hereSite {
		return true
	}
	node, err := weft.ParseKeyID(site)
	if err != nil {
		return false
	}
	ft, ok := c.fars[t]
	if !ok {
		v := c.views[t]
		return c.elsewhere.MayRead(node, &Far{Name: v.snap.Point().Product}, v.table)
	}
	return c.elsewhere.MayRead(node, ft.far, ft.table.Name)
}

// farProducts are the products of other nodes that the question reads at its cut.
func (c *cutter) farProducts() map[weft.KeyID][]weft.Name {
	out := map[weft.KeyID][]weft.Name{}
	for _, ft := range c.fars {
		if ft.at == nil && !slices.Contains(out[ft.far.Node], ft.far.Name) {
			out[ft.far.Node] = append(out[ft.far.Node], ft.far.Name)
		}
	}
	return out
}

// fix has the nodes say at which states the named products are read, all at once.
func (c *cutter) fix(ctx context.Context, products map[weft.KeyID][]weft.Name) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	left := map[weft.KeyID][]weft.Name{} // before the first answer writes what is read for it
	for node, names := range products {
		names = slices.DeleteFunc(slices.Clone(names), func(n weft.Name) bool { _, ok := c.fixed[n]; return ok })
		if len(names) > 0 {
			left[node] = names
		}
	}
	for node, names := range left {
		wg.Go(func() {
			cut, err := c.elsewhere.Points(ctx, node, c.q.Subject, names, c.q.At)
			mu.Lock()
			defer mu.Unlock()
			for _, n := range names {
				p, ok := cut.Find(n)
				if err == nil && !ok {
					err = weft.Errorf(weft.KindInternal, "fix the cut", n.String(), "node %s does not say where the product is", c.elsewhere.Called(node))
				}
				if err == nil {
					c.fixed[n] = p
				}
			}
			switch {
			case err == nil || first != nil:
			case c.q.AllowPartial && weft.KindOf(err) != weft.KindInvalid: // its parts say so themselves
			case ctx.Err() != nil:
				first = c.ended(ctx, node, names)
			default:
				first = c.farFault(node, names, err)
			}
		})
	}
	wg.Wait()
	return first
}

// listed are products for people.
func listed(products []weft.Name) string {
	var names []string
	for _, n := range products {
		names = append(names, n.String())
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// ended says that the question ended while a node was waited for.
func (c *cutter) ended(ctx context.Context, node weft.KeyID, products []weft.Name) error {
	if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return cancelled(ctx)
	}
	return weft.Errorf(weft.KindLimit, "read", listed(products), "node %s had not answered when the query's deadline passed", c.elsewhere.Called(node)).
		WithHint("narrow it down, ask for a longer --deadline, or take what there is with --allow-partial; `weft explain` says what the node is asked")
}

// farFault says which node failed and what to do.
func (c *cutter) farFault(node weft.KeyID, products []weft.Name, err error) error {
	what := listed(products)
	kind, hint := weft.KindOf(err), weft.HintOf(err)
	if kind == weft.KindInternal || kind == "" {
		kind = weft.KindUnavailable
	}
	if hint == "" && kind == weft.KindUnavailable {
		hint = "`weft peers` says who can be reached; --allow-partial answers without it, --max-staleness 5m from a copy where this node keeps one"
	}
	if hint == "" && len(products) > 0 {
		hint = fmt.Sprintf("`weft show %s` says what is known of it and who owns it", products[0])
	}
	return weft.Errorf(kind, "read", what, "node %s: %w", c.elsewhere.Called(node), err).WithHint("%s", hint)
}

// fixedAt asks for the states of products that were fixed already.
func (c *cutter) fixedAt(products []weft.Name) weft.At {
	var cut weft.Cut
	for _, n := range products {
		if x, ok := c.fixed[n]; ok {
			cut = append(cut, x)
		}
	}
	return weft.At{Cut: refs(cut)}
}

// refs is a cut as a question asks for it.
func refs(cut weft.Cut) []weft.CutRef {
	var out []weft.CutRef
	for _, p := range cut {
		out = append(out, weft.CutRef{Product: p.Product, Incarnation: p.Incarnation, Seq: p.Seq, HashPrefix: p.Hash[:]})
	}
	return out
}

// TypedColumns selects all columns of a source of the schema in their own types: Arrow
// has a uuid as text.
func TypedColumns(sc *arrow.Schema, source string) string {
	var cols []string
	for _, f := range sc.Fields() {
		name := engine.QuoteIdent(f.Name)
		if t, err := contract.FromField(f); err == nil && strings.Contains(t.SQL(), "UUID") {
			name = fmt.Sprintf("CAST(%s AS %s) AS %s", name, t.SQL(), name)
		}
		cols = append(cols, name)
	}
	return fmt.Sprintf("SELECT %s FROM arrow_source('%s')", strings.Join(cols, ", "), source)
}
