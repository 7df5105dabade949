package catalog

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"weft"
)

// The bounds of one answer.
const (
	MaxLineageDepth = 100
	maxLineageNodes = 1000
	maxLineageCards = 5000 // that are opened for it
)

// Of is what a lineage is asked of: a product, a table of it where Table is set, a
// column of that where Column is.
type Of struct {
	Product weft.Name
	Table   string
	Column  string
}

// LineageQuery says how much of the lineage is wanted, and what may be seen.
type LineageQuery struct {
	Of
	Direction weft.Direction       // both where it is empty
	Depth     int                  // how many steps, all up to MaxLineageDepth where it is 0
	Known     func(weft.Name) bool // nil: every name may be seen
	Outside   Outside              // nil: nothing outside is known
}

// FindOf reads what a lineage is asked of: domain.product, with .table or .column or both
// behind it. A third word is a table where the product has one of this name, else a
// column of its main table. KindNotFound names what there is instead.
func (c *Catalog) FindOf(text string, known func(weft.Name) bool) (Of, error) {
	const op = "find the lineage"
	w := strings.Split(text, ".")
	if len(w) < 2 || len(w) > 4 {
		return Of{}, weft.Errorf(weft.KindInvalid, op, text, "this is no address").
			WithHint("write domain.product, domain.product.column or domain.product.table.column")
	}
	n, err := weft.ParseName(w[0] + "." + w[1])
	if err != nil {
		return Of{}, err
	}
	e, ok := c.Get(n)
	if !ok || known != nil && !known(n) {
		err := weft.Errorf(weft.KindNotFound, op, n.String(), "there is no product of this name")
		var near []string
		for _, o := range c.Near(n.String(), 3) {
			if known == nil || known(o) {
				near = append(near, o.String())
			}
		}
		if len(near) > 0 {
			return Of{}, err.WithHint("did you mean %s?", strings.Join(near, " or "))
		}
		return Of{}, err.WithHint("weft search finds products")
	}
	of := Of{Product: n}
	switch rest := w[2:]; len(rest) {
	case 0:
		return of, nil
	case 1:
		if t := tableOf(e.Card, rest[0]); t != nil && rest[0] != "" {
			of.Table = t.Name
			return of, nil
		}
		of.Table, of.Column = mainTable(e.Card, n), rest[0]
	default:
		of.Table, of.Column = rest[0], rest[1]
	}
	return of.check(op, e.Card)
}

// check holds that a card has the column, and takes its name as the card writes it.
func (of Of) check(op string, card *weft.Card) (Of, error) {
	t := tableOf(card, of.Table)
	if t == nil {
		var have []string
		for _, u := range card.Tables {
			have = append(have, u.Name)
		}
		return of, weft.Errorf(weft.KindNotFound, op, of.Product.String(), "it has no table %s", of.Table).
			WithHint("its tables are %s", strings.Join(have, ", "))
	}
	var have []string
	for _, c := range t.Columns {
		if strings.EqualFold(c.Name, of.Column) {
			of.Column = c.Name
			return of, nil
		}
		have = append(have, c.Name)
	}
	return of, weft.Errorf(weft.KindNotFound, op, of.Product.String()+"."+of.Table, "it has no column %s", of.Column).
		WithHint("its columns are %s", strings.Join(have[:min(len(have), 30)], ", "))
}

// tableOf is a table of a card; the empty name is its main table.
func tableOf(card *weft.Card, name string) *weft.CardTable {
	if card == nil {
		return nil
	}
	if name == "" {
		name = mainTable(card, card.Product)
	}
	for i := range card.Tables {
		if card.Tables[i].Name == name {
			return &card.Tables[i]
		}
	}
	return nil
}

// mainTable is the name of a product's only table, or of the one with its name.
// Without a card it is taken to be the latter.
func mainTable(card *weft.Card, n weft.Name) string {
	if card != nil && len(card.Tables) == 1 {
		return card.Tables[0].Name
	}
	return n.Product
}

// Lineage follows what is made from what, from a product, a table or a column on,
// over the cards of the whole mesh. Of a product the answer has products, of a table
// tables, of a column columns, with tables where a column decides which rows there are.
// What decides the rows of a table that a column is in is shown and not
// followed. Only cards on the way are opened. KindNotFound where the product has no card.
func (c *Catalog) Lineage(ctx context.Context, q LineageQuery) (*weft.Lineage, error) {
	const op = "find the lineage"
	if q.Depth < 0 || q.Depth > MaxLineageDepth {
		return nil, weft.Errorf(weft.KindInvalid, op, "", "the depth is a number from 1 to %d", MaxLineageDepth)
	}
	g := newGraph(c, q)
	if e := g.entry(q.Product); e == nil {
		return nil, weft.Errorf(weft.KindNotFound, op, q.Product.String(), "there is no product of this name").WithHint("weft search finds products")
	}
	start := spot{product: q.Product, table: q.Table, column: q.Column}
	g.out.Of = g.node(start)
	depth := cmp.Or(q.Depth, MaxLineageDepth)
	if q.Direction != weft.Downstream {
		g.follow(ctx, start, depth, g.up)
	}
	if q.Direction != weft.Upstream {
		g.follow(ctx, start, depth, g.down)
	}
	if err := ctx.Err(); err != nil {
		return nil, weft.Errorf(weft.KindCancelled, op, q.Product.String(), "%w", err)
	}
	return g.finish(), nil
}

// graph is an answer on its way. It is used once, by one goroutine.
type graph struct {
	c       *Catalog
	q       LineageQuery
	out     *weft.Lineage
	entries map[weft.Name]*Entry // nil: not known, or hidden
	at      map[spot]int         // places in out.Nodes
	edges   map[[2]string]int    // places in out.Edges
	hidden  int
}

func newGraph(c *Catalog, q LineageQuery) *graph {
	return &graph{
		c: c, q: q, out: &weft.Lineage{Nodes: []weft.LineageNode{}, Edges: []weft.LineageEdge{}},
		entries: map[weft.Name]*Entry{}, at: map[spot]int{}, edges: map[[2]string]int{},
	}
}

// link is a spot beside another, with how the one is made from the other.
type link struct {
	spot
	how  weft.Derivation
	to   *spot // what the edge goes to where that is not the spot that was followed
	last bool  // it is shown, and not followed
}

// follow walks breadth first, so that what is near is in the answer where not
// everything fits.
func (g *graph) follow(ctx context.Context, start spot, depth int, next func(spot) (links []link, upward bool)) {
	seen := map[spot]bool{start: true}
	level := []spot{start}
	shown := map[spot]bool{}
	for d := 0; len(level) > 0; d++ {
		var after []spot
		for _, s := range level {
			if ctx.Err() != nil {
				return
			}
			links, upward := next(s)
			for _, l := range links {
				other := s
				if l.to != nil {
					other = *l.to
				}
				if d == depth || !g.fits(l.spot) || !g.fits(other) {
					g.out.Nodes[g.at[s]].More = true
					continue
				}
				g.edge(l, other, upward)
				if l.last {
					shown[l.spot] = true
				} else if !seen[l.spot] {
					seen[l.spot] = true
					after = append(after, l.spot)
				}
			}
		}
		level = after
	}
	for s := range shown {
		if links, _ := next(s); !seen[s] && len(links) > 0 {
			g.out.Nodes[g.at[s]].More = true
		}
	}
}

// fits reports whether a spot is in the answer or there is room for it.
func (g *graph) fits(s spot) bool {
	if _, ok := g.at[s]; ok || len(g.out.Nodes) < maxLineageNodes {
		return true
	}
	g.out.Cut = true
	return false
}

// edge puts a dependency into the answer.
func (g *graph) edge(l link, other spot, upward bool) {
	from, to := g.node(l.spot), g.node(other)
	if !upward {
		from, to = to, from
	}
	key := [2]string{from, to}
	i, ok := g.edges[key]
	if !ok {
		i = len(g.out.Edges)
		g.edges[key] = i
		g.out.Edges = append(g.out.Edges, weft.LineageEdge{From: from, To: to})
	}
	if e := &g.out.Edges[i]; l.how != "" && !slices.Contains(e.How, l.how) {
		e.How = append(e.How, l.how)
		slices.Sort(e.How)
	}
}

// entry opens a card, nil where there is none to be seen.
func (g *graph) entry(n weft.Name) *Entry {
	if e, ok := g.entries[n]; ok {
		return e
	}
	if len(g.entries) >= maxLineageCards {
		g.out.Cut = true
		return nil
	}
	var e *Entry
	if g.q.Known == nil || g.q.Known(n) {
		e, _ = g.c.Get(n)
	}
	g.entries[n] = e
	return e
}

// finish names the fields that tell how well the products are.
func (g *graph) finish() *weft.Lineage {
	for i := range g.out.Nodes {
		n := &g.out.Nodes[i]
		if n.Product == nil || n.Kind == weft.LineageUnknown {
			continue
		}
		e := g.entry(*n.Product)
		if e == nil {
			continue
		}
		n.Life, n.Away = e.Card.Life, !e.Reachable
		as := e.Received
		if e.Head != nil {
			as = e.HeadReceived
			n.State = e.Head.State
			if !e.Head.Time.IsZero() {
				n.Changed = &e.Head.Time
			}
		}
		n.AsOf = notZero(as)
	}
	return g.out
}

func notZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
