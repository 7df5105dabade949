package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"weft"
	"weft/catalog"
	"weft/serve"
)

// catalogDoor finds products of the whole mesh.
type catalogDoor struct{ n *Node }

// Search gives the products that fit best, best first.
func (d catalogDoor) Search(ctx context.Context, s weft.Subject, r serve.SearchRequest) (*serve.SearchResult, error) {
	n := d.n
	res, err := n.cat.Search(ctx, catalog.Query{
		Text: r.Text, Domains: r.Domains, Tags: r.Tags, Classifications: r.Classifications, PortTypes: r.Ports,
		States: r.States, Lives: r.Lives, Limit: r.Limit, Offset: r.Offset,
		Known: func(name weft.Name) bool { return n.mayFind(s, name) },
	})
	if err != nil {
		return nil, err
	}
	out := &serve.SearchResult{
		Query: r.Text, Total: res.Total, Searched: n.cat.Len(), Hits: []serve.SearchHit{}, Corrections: res.Corrections,
		Millis: float64(res.Took.Microseconds()) / 1000,
	}
	for _, h := range res.Hits {
		out.Hits = append(out.Hits, n.searchHit(h))
	}
	return out, nil
}

func (n *Node) searchHit(h catalog.Hit) serve.SearchHit {
	c := h.Entry.Card
	hit := serve.SearchHit{
		Product: c.Product, Purpose: c.Purpose, Owner: c.Owner, Tags: c.Tags, Life: c.Life, Origin: n.origin(h.Entry), Score: h.Score,
	}
	if head := h.Entry.Head; head != nil {
		hit.State, hit.Rows = head.State, head.Rows()
		if head.Seq > 0 {
			at := head.Time
			hit.Changed = &at
		}
	}
	for _, m := range h.Why {
		match := serve.Match{Field: m.Field, Where: m.Where, Text: m.Text}
		for _, k := range m.Marks {
			match.Words = append(match.Words, m.Text[k[0]:k[1]])
		}
		hit.Why = append(hit.Why, match)
	}
	return hit
}

// origin says which node holds a product, and how fresh what is known of it is.
func (n *Node) origin(e *catalog.Entry) serve.Origin {
	o := serve.Origin{Node: e.Card.Origin, Signed: e.Signed, AsOf: n.env.Clock.Now()}
	if o.Here = n.known(e.Card.Product) != nil && n.isSelf(e.Card.Origin); o.Here {
		o.Live, o.Link = true, serve.LinkSelf
		return o
	}
	link, last := n.linkTo(e.Card.Origin)
	o.Name, o.Link, o.Live = n.nameOf(e.Card.Origin), link, link == serve.LinkDirect || link == serve.LinkRelay
	if !o.Live {
		o.AsOf = latest(last, e.Received, e.HeadReceived)
	}
	if err := n.resolve(e.Card.Product); err != nil {
		o.Fault = cmp.Or(messageOf(err), err.Error())
	}
	return o
}

func latest(times ...time.Time) (t time.Time) {
	for _, x := range times {
		if x.After(t) {
			t = x
		}
	}
	return t
}

// messageOf is why, without what was being done.
func messageOf(err error) string {
	if e, ok := err.(*weft.Error); ok {
		return e.Message
	}
	return ""
}

// showForeign gives what is known here of a product of another node.
func (n *Node) showForeign(s weft.Subject, name weft.Name) (*serve.ProductDetail, error) {
	e, ok := n.cat.Get(name)
	if !ok {
		return nil, n.noSuchProduct(s, name)
	}
	d := cardDetail(e.Card, e.Head)
	o := n.origin(e)
	d.Origin = &o
	if o.Link == serve.LinkAway && d.Todo == "" {
		d.Todo = fmt.Sprintf("its node %s is away: weft peers", cmp.Or(o.Name, o.Node.Short()))
	}
	d.Downstream = slices.DeleteFunc(n.cat.Consumers(name), func(c weft.Name) bool { return !n.mayFind(s, c) })
	d.Joins = joins(e.Card, n.keyOf)
	if closeTables(d, e.Card, n.abroad(s)) {
		d.Query = remoteSnippets(d, n.addressOf(e.Card.Origin))
	}
	return d, nil
}

// abroad are the domains that other nodes take the subject to be of: who speaks for
// this node as a whole is of the domains that the mesh lets it speak for.
func (n *Node) abroad(s weft.Subject) []string {
	var out []string
	for _, d := range s.Domains {
		if d != weft.AllDomains {
			out = append(out, d)
		} else if n.joined() {
			out = append(out, n.mesh.Domains()...)
		}
	}
	return out
}

// keyOf is the key of a table of any product that is known.
func (n *Node) keyOf(product weft.Name, table string) []string {
	e, ok := n.cat.Get(product)
	if !ok {
		return nil
	}
	for _, t := range e.Card.Tables {
		if t.Name == table {
			return t.Key
		}
	}
	return nil
}

// noSuchProduct says that nobody is known to have a product of that name, and which
// may have been meant.
func (n *Node) noSuchProduct(s weft.Subject, name weft.Name) error {
	e := weft.Errorf(weft.KindNotFound, "find the product", name.String(), "there is no such product here")
	if n.joined() {
		e.Message = "there is no such product in the mesh, as far as this node knows"
		if at, by, ok := n.mesh.Withdrawn(name); ok && n.mayFind(s, name) {
			return weft.Errorf(weft.KindGone, "find the product", name.String(), "its node %s took it back on %s: it is deleted there, or not offered any more",
				or(n.nameOf(by), by.Short()), at.Format("2006-01-02 15:04 MST")).WithHint("weft search lists what there is")
		}
	}
	near := slices.DeleteFunc(n.cat.Near(name.String(), 3), func(c weft.Name) bool { return !n.mayFind(s, c) })
	if len(near) > 0 {
		var words []string
		for _, x := range near {
			words = append(words, x.String())
		}
		return e.WithHint("did you mean %s?", strings.Join(words, " or "))
	}
	return e.WithHint("weft search lists what there is")
}

// mayFind says whether the subject may find a product by search or by name: one of
// another node is in the mesh for all to find.
func (n *Node) mayFind(s weft.Subject, name weft.Name) bool {
	p := n.known(name)
	return p == nil || p.knownTo(s)
}
