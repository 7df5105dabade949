package catalog

import (
	"fmt"
	"strings"

	"weft"
)

// spot is one place of a lineage: a product; a table of it, or of its input port; a
// column of that; a dataset outside, or a column of it.
type spot struct {
	product weft.Name
	port    string // of a source
	table   string
	column  string
	outside Dataset // or a job, where job is set
	job     bool
	hidden  bool // downstream, and nobody may know what it is
}

func (s spot) id() string {
	switch {
	case s.outside != (Dataset{}):
		id := s.outside.String()
		if s.job {
			id = "job " + id
		}
		if s.column != "" {
			id += "#" + s.column
		}
		return id
	case s.port != "":
		return strings.TrimRight(fmt.Sprintf("source %s/%s.%s.%s", s.product, s.port, s.table, s.column), ".")
	case s.table == "":
		return s.product.String()
	case s.column == "":
		return s.product.String() + "." + s.table
	}
	return s.product.String() + "." + s.table + "." + s.column
}

// node puts a spot into the answer and gives its id.
func (g *graph) node(s spot) string {
	if i, ok := g.at[s]; ok {
		return g.out.Nodes[i].ID
	}
	n := weft.LineageNode{ID: s.id(), Port: s.port, Table: s.table, Column: s.column}
	if s.product != (weft.Name{}) {
		name := s.product
		n.Product = &name
	}
	switch {
	case s.hidden:
		g.hidden++
		n = weft.LineageNode{ID: fmt.Sprintf("unknown %d", g.hidden), Kind: weft.LineageUnknown}
	case s.outside != (Dataset{}):
		n.Kind, n.Namespace, n.Name = weft.LineageOutside, s.outside.Namespace, s.outside.Name
		if s.job {
			n.Kind = weft.LineageJob
		}
	case s.port != "":
		n.Kind, n.Type = weft.LineageSource, g.sourceType(s)
		if d, ok := g.datasetOf(s); ok {
			n.Namespace, n.Name = d.Namespace, d.Name
		}
	case g.entry(s.product) == nil:
		n.Kind = weft.LineageUnknown
	case s.table == "":
		n.Kind = weft.LineageProduct
	case s.column == "":
		n.Kind = weft.LineageTable
	default:
		n.Kind, n.Type = weft.LineageColumn, g.columnType(s)
	}
	g.at[s] = len(g.out.Nodes)
	g.out.Nodes = append(g.out.Nodes, n)
	return n.ID
}

func (g *graph) columnType(s spot) string {
	if t := tableOf(g.entry(s.product).Card, s.table); t != nil {
		for _, c := range t.Columns {
			if c.Name == s.column {
				return c.Type
			}
		}
	}
	return ""
}

func (g *graph) sourceType(s spot) string {
	if e := g.entry(s.product); e != nil {
		for _, p := range e.Card.Ports {
			if p.Kind == "input" && p.Name == s.port {
				return p.Type
			}
		}
	}
	return ""
}

// spotOf is where a source of a product is, as fine as is asked for.
func (g *graph) spotOf(reader weft.Name, s weft.Source, like spot) spot {
	out := spot{product: reader, port: s.Port, table: s.Table, column: s.Column}
	if s.Product != nil {
		out.product, out.port = *s.Product, ""
		var card *weft.Card
		if e := g.entry(*s.Product); e != nil {
			card = e.Card
		}
		if out.table == "" {
			out.table = mainTable(card, *s.Product)
		}
		if t := tableOf(card, out.table); t != nil {
			for _, c := range t.Columns {
				if strings.EqualFold(c.Name, out.column) {
					out.column = c.Name
				}
			}
		}
	}
	if out.column == "*" || like.column == "" {
		out.column = ""
	}
	if like.table == "" {
		out.table = ""
	}
	return out
}

// up lists what a spot is made from.
func (g *graph) up(s spot) (links []link, upward bool) {
	switch {
	case s.hidden:
		return nil, true
	case s.outside != (Dataset{}):
		return g.outsideLinks(s, true), true
	case s.port != "":
		return g.outsideLinks(s, true), true
	}
	e := g.entry(s.product)
	if e == nil {
		return nil, true
	}
	if s.table == "" {
		return g.upProduct(e.Card), true
	}
	t := tableOf(e.Card, s.table)
	if t == nil {
		return nil, true
	}
	rows := spot{product: s.product, table: t.Name}
	for _, c := range t.Columns {
		if s.column != "" && c.Name != s.column {
			continue
		}
		for _, from := range c.From {
			links = append(links, link{spot: g.spotOf(s.product, from, s), how: from.How})
		}
	}
	for _, from := range t.Uses {
		l := link{spot: g.spotOf(s.product, from, s), how: from.How}
		if s.column != "" {
			l.to, l.last = &rows, true
		}
		links = append(links, l)
	}
	return links, true
}

// upProduct lists the products and the sources that a product reads.
func (g *graph) upProduct(card *weft.Card) (links []link) {
	for _, n := range inputsOf(card) {
		links = append(links, link{spot: spot{product: n}})
	}
	for _, p := range card.Ports {
		if p.Kind == "input" && p.Product == nil {
			links = append(links, link{spot: spot{product: card.Product, port: p.Name}})
		}
	}
	return links
}

// down lists what is made from a spot.
func (g *graph) down(s spot) (links []link, upward bool) {
	switch {
	case s.hidden:
		return nil, false
	case s.outside != (Dataset{}):
		links = g.outsideLinks(s, false)
		if s.job {
			return links, false
		}
		for _, r := range g.readersOf(s.outside) {
			r.column = s.column
			links = append(links, link{spot: r, how: weft.DeriveIdentity})
		}
		return links, false
	case s.port != "":
		return g.downCard(g.entry(s.product), s), false
	}
	for _, n := range g.c.Consumers(s.product) {
		if g.q.Known != nil && !g.q.Known(n) {
			links = append(links, link{spot: spot{product: n, hidden: true}})
			continue
		}
		links = append(links, g.downCard(g.entry(n), s)...)
	}
	return append(links, g.outsideLinks(s, false)...), false
}

// downCard lists what of a product is made from a spot.
func (g *graph) downCard(e *Entry, s spot) (links []link) {
	if e == nil {
		return nil
	}
	if s.table == "" {
		return []link{{spot: spot{product: e.Card.Product}}}
	}
	reader := e.Card.Product
	for _, t := range e.Card.Tables {
		rows := spot{product: reader, table: t.Name}
		for _, c := range t.Columns {
			to := rows
			if s.column != "" {
				to.column = c.Name
			}
			for _, from := range c.From {
				if g.means(reader, from, s) {
					links = append(links, link{spot: to, how: from.How})
				}
			}
		}
		for _, from := range t.Uses {
			if g.means(reader, from, s) {
				links = append(links, link{spot: rows, how: from.How})
			}
		}
	}
	return links
}

// means reports whether a source of a product is the spot, or may be.
func (g *graph) means(reader weft.Name, from weft.Source, s spot) bool {
	f := g.spotOf(reader, from, spot{table: "-", column: "-"})
	if f.product != s.product || f.port != s.port || f.table != s.table {
		return false
	}
	return s.column == "" || f.column == s.column || from.Column == "*"
}
