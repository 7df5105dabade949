package node

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"weft"
	"weft/contract"
	"weft/serve"
)

// cardDetail is what a card and its head say of a product of another node. head is
// nil where none came yet.
func cardDetail(c *weft.Card, head *weft.CardHead) *serve.ProductDetail {
	d := &serve.ProductDetail{
		ProductSummary: serve.ProductSummary{Name: c.Product, Purpose: c.Purpose, Owner: c.Owner, Life: c.Life, Tags: c.Tags, Tables: []string{}},
		ID:             c.ID, DocumentID: c.Document, Version: c.Version,
		Description: contract.Description{Purpose: c.Purpose, Limitations: c.Limits, Usage: c.Usage},
		Team:        contract.Team{Name: c.Owner},
		Ports:       []serve.Port{}, Schema: []serve.TableDetail{}, Query: []serve.Snippet{},
		Readers: c.Readers,
	}
	for _, s := range c.Support {
		d.Support = append(d.Support, contract.Channel{Channel: s.Channel, URL: s.URL})
	}
	for _, p := range c.Ports {
		d.Ports = append(d.Ports, serve.Port{Kind: serve.PortKind(p.Kind), Name: p.Name, Version: p.Version, Source: sourceWord(p), Product: p.Product})
		if p.Product != nil {
			d.Upstream = append(d.Upstream, *p.Product)
		}
	}
	for _, p := range c.Promises {
		d.Promises = append(d.Promises, serve.Promise{Property: p.Property, Promised: p.Promised})
	}
	if x := c.Deprecated; x != nil {
		d.Todo = deprecation(x)
	}
	d.Shortened = c.Shortened
	if head != nil && head.Passed+head.Failed > 0 {
		d.Checks = &serve.CheckCounts{Passed: head.Passed, Failed: head.Failed}
	}
	heads := headOf(&d.ProductSummary, head)
	for _, t := range c.Tables {
		d.Schema = append(d.Schema, cardTable(c.Product, t, heads[t.Name]))
	}
	if head != nil && head.Seq > 0 {
		d.Head = &serve.CommitInfo{Commit: weft.Commit{Header: weft.Header{
			ID: head.ID, Product: c.Product, Incarnation: head.Incarnation, Seq: head.Seq, Time: head.Time,
		}, Hash: head.Hash}}
	}
	return d
}

// closeTables says of each table of a card that subjects of these domains may not read
// why that is, and whom to ask; it reports whether they may read any.
func closeTables(d *serve.ProductDetail, c *weft.Card, domains []string) (open bool) {
	b := cardBrief(c)
	s := weft.Subject{Domains: domains}
	for i, t := range c.Tables {
		if why := b.deny(c.Product, s, t.Name); why != nil {
			d.Schema[i].Closed = closedWords(why)
			continue
		}
		open = true
	}
	return open
}

// cardBrief is what a card says of who may read.
func cardBrief(c *weft.Card) *brief {
	b := &brief{Form: briefForm, Owner: c.Owner, Life: c.Life}
	for _, s := range c.Support {
		b.Ask = or(b.Ask, or(s.URL, s.Channel))
	}
	for _, p := range c.Ports {
		if p.Kind != string(serve.PortOutput) {
			continue
		}
		g := grant{Port: p.Name, Readers: p.Readers, Copies: p.Replicas}
		for _, t := range c.Tables {
			if t.Port == p.Name {
				g.Tables = append(g.Tables, t.Name)
			}
		}
		b.Grants = append(b.Grants, g)
	}
	return b
}

// sourceWord is the kind of an input's source; a card does not say where it is.
func sourceWord(p weft.CardPort) string {
	if p.Product != nil || p.Kind != string(serve.PortInput) {
		return ""
	}
	return p.Type
}

// headOf fills in what the head says, and gives its tables by name.
func headOf(s *serve.ProductSummary, head *weft.CardHead) map[string]weft.TableHead {
	tables := map[string]weft.TableHead{}
	if head == nil {
		return tables
	}
	s.State, s.Seq, s.Held, s.Bytes, s.Rows = head.State, head.Seq, head.Held, head.Bytes, head.Rows()
	if head.Seq > 0 {
		at := head.Time
		s.LastCommit = &at
	}
	for _, t := range head.Tables {
		tables[t.Name] = t
		s.Tables = append(s.Tables, weft.TableName{Name: s.Name, Table: t.Name}.String())
	}
	return tables
}

func cardTable(name weft.Name, t weft.CardTable, head weft.TableHead) serve.TableDetail {
	d := serve.TableDetail{
		Name: weft.TableName{Name: name, Table: t.Name}.String(), Description: t.Description, Granularity: t.Granularity,
		Key: t.Key, Rows: head.Rows, Columns: []serve.ColumnDetail{},
	}
	for _, c := range t.Columns {
		col := serve.ColumnDetail{
			Name: c.Name, Type: c.Type, BusinessName: c.BusinessName, Description: c.Description, Required: c.Required, Unique: c.Unique,
			Key: slices.Contains(t.Key, c.Name), Classification: c.Classification, Unit: c.Unit, References: c.References, Shard: c.Shard, Tags: c.Tags,
		}
		if head.Nulls != nil {
			share := head.Nulls[c.Name]
			col.NullShare = &share
		}
		d.Columns = append(d.Columns, col)
	}
	return d
}

func deprecation(x *weft.Deprecation) string {
	text := "the product is deprecated"
	if x.Until != nil {
		text += ", served until " + x.Until.Format("2006-01-02")
	}
	if x.Replacement != nil {
		text += "; " + x.Replacement.String() + " takes its place"
	}
	return text
}

// remoteSnippets say how to ask a product of another node, at addr, which is empty
// where it cannot be reached directly.
func remoteSnippets(d *serve.ProductDetail, addr string) []serve.Snippet {
	table := d.Name.String()
	if len(d.Tables) > 0 {
		table = d.Tables[0]
	} else if len(d.Schema) > 0 {
		table = d.Schema[0].Name
	}
	var out []serve.Snippet
	if addr != "" {
		out = append(out, serve.Snippet{Tool: "weft, at its origin", Text: fmt.Sprintf("weft query 'FROM %s LIMIT 10' --node %s", table, nodeURL(addr))})
	}
	port := serve.Snippet{Tool: "as an input of your own product, in product.odps.yaml", Text: fmt.Sprintf(`inputPorts:
  - name: %s
    version: %s
    contractId: %s/%s
    customProperties:
      - {property: weftProduct, value: %s}`, d.Name.Product, or(d.Version, "1.0.0"), d.Name, d.Name.Product, d.Name)}
	return append(out, port)
}

// nodeURL is where the API of a node at addr is: other than on loopback it is never
// in the clear.
func nodeURL(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return "http://" + addr
	}
	return "https://" + addr
}

// joins writes the relationships that a card declares as JOIN lines. keyOf gives the
// key of another product's table, nil where it is not known.
func joins(c *weft.Card, keyOf func(product weft.Name, table string) []string) []serve.Snippet {
	var out []serve.Snippet
	for _, t := range c.Tables {
		from := weft.TableName{Name: c.Product, Table: t.Name}.String()
		for _, j := range tableJoins(c.Product, t, keyOf) {
			out = append(out, serve.Snippet{Tool: from, Text: fmt.Sprintf("FROM %s t JOIN %s r ON %s", from, j.to, strings.Join(j.on, " AND "))})
		}
	}
	return out
}

// join is one JOIN that a table's columns declare.
type join struct {
	to string
	on []string
}

// tableJoins gathers what columns reference: those that together are the whole key
// of a table are one JOIN, any other is its own.
func tableJoins(name weft.Name, t weft.CardTable, keyOf func(weft.Name, string) []string) []join {
	type end struct{ column, target string }
	ends := map[weft.TableName][]end{}
	var order []weft.TableName
	for _, col := range t.Columns {
		for _, r := range col.References {
			to, target, ok := reference(name, r)
			if !ok {
				continue
			}
			if ends[to] == nil {
				order = append(order, to)
			}
			ends[to] = append(ends[to], end{col.Name, target})
		}
	}
	var out []join
	for _, to := range order {
		key := keyOf(to.Name, to.Table)
		whole := len(key) > 1 && len(ends[to]) == len(key)
		var on []string
		for _, e := range ends[to] {
			whole = whole && slices.Contains(key, e.target)
			on = append(on, fmt.Sprintf("t.%s = r.%s", e.column, e.target))
		}
		if whole {
			out = append(out, join{to.String(), on})
			continue
		}
		for _, one := range on {
			out = append(out, join{to.String(), []string{one}})
		}
	}
	return out
}

// reference reads "table.column" of the same product, or
// "domain.product.table.column".
func reference(name weft.Name, r string) (to weft.TableName, column string, ok bool) {
	switch w := strings.Split(r, "."); len(w) {
	case 2:
		return weft.TableName{Name: name, Table: w[0]}, w[1], true
	case 4:
		return weft.TableName{Name: weft.Name{Domain: w[0], Product: w[1]}, Table: w[2]}, w[3], true
	}
	return to, "", false
}
