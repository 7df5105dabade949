package node

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"weft"
	"weft/contract"
	"weft/records"
	"weft/serve"
	"weft/transform"
)

// maxCard is how many bytes of JSON a card has at most: a record has room for it.
const maxCard = 200 << 10

// cardOf is the card of a product, without its origin. It is made of the folder, of
// what the books say of the product and of where its columns come from, which may be
// nil; of the same it is the same. No value of the data is in it: what a contract
// says of values (enumerations, bounds, examples, defaults, checks) stays at home.
func cardOf(f *contract.Folder, rec records.Product, from map[string]transform.TableLineage) *weft.Card {
	c := &weft.Card{
		ID: rec.ID, Product: f.Name, Document: f.ID, Version: f.Version, Life: f.Life,
		Purpose: f.Description.Purpose, Limits: f.Description.Limitations, Usage: f.Description.Usage,
		Owner: owner(f), Tags: f.Tags, Ports: cardPorts(f, rec.Env),
	}
	if rec.Retired {
		c.Life = weft.LifeRetired
	}
	if c.Life == weft.LifeDeprecated {
		c.Deprecated = cmp.Or(f.Deprecation, &weft.Deprecation{})
	}
	for _, s := range f.Support {
		c.Support = append(c.Support, weft.Contact{Channel: s.Channel, URL: s.URL})
	}
	for _, o := range f.Outputs {
		for _, r := range o.Readers {
			if !slices.Contains(c.Readers, r) {
				c.Readers = append(c.Readers, r)
			}
		}
		for _, t := range o.Contract.Tables {
			c.Tables = append(c.Tables, cardTableOf(f, o, t, from[t.Name]))
		}
	}
	slices.Sort(c.Readers)
	for _, p := range promises(f) {
		c.Promises = append(c.Promises, weft.CardPledge{Property: p.Property, Promised: p.Promised})
	}
	shorten(c)
	return c
}

func cardPorts(f *contract.Folder, env string) []weft.CardPort {
	var out []weft.CardPort
	for _, in := range f.Inputs {
		p := weft.CardPort{Kind: string(serve.PortInput), Name: in.Name, Version: in.Version}
		if !in.Product.IsZero() {
			name := in.Product
			p.Type, p.Product = "product", &name
		} else if s, err := in.Contract.Server(env); err == nil {
			p.Type = s.Type
		}
		out = append(out, p)
	}
	for _, o := range f.Outputs {
		out = append(out, weft.CardPort{
			Kind: string(serve.PortOutput), Name: o.Name, Version: o.Version, Type: "tables", Readers: o.Readers, Replicas: cardReplicas(o.Replicas),
		})
	}
	return out
}

// cardReplicas is a consent to copies as a card says it, nil for none.
func cardReplicas(r *contract.Replicas) *weft.CardReplicas {
	if r == nil {
		return nil
	}
	return &weft.CardReplicas{Domains: r.Domains, Seconds: int64(r.For.Seconds())}
}

func cardTableOf(f *contract.Folder, o *contract.Output, t *contract.Table, from transform.TableLineage) weft.CardTable {
	out := weft.CardTable{
		Name: t.Name, Port: o.Name, Description: t.Description, Granularity: t.Granularity, Key: t.Key, Tags: t.Tags,
		Columns: []weft.CardColumn{}, Uses: from.Uses,
	}
	for _, c := range t.Columns {
		d := columnDetail(t, c)
		out.Columns = append(out.Columns, weft.CardColumn{
			Name: c.Name, Type: d.Type, BusinessName: c.BusinessName, Description: c.Description, Required: c.Required, Unique: d.Unique, Shard: c.Shard,
			Classification: c.Classification, Unit: c.Unit, Tags: c.Tags, References: references(f, c), From: from.From[c.Name],
		})
	}
	return out
}

// references are the columns that a column refers to, as "table.column" of the same
// product or "domain.product.table.column"; what names neither is left out.
func references(f *contract.Folder, c *contract.Column) []string {
	var out []string
	for _, r := range c.Relationships {
		if to := reference4(f, r.To); to != "" && !slices.Contains(out, to) {
			out = append(out, to)
		}
	}
	return out
}

func reference4(f *contract.Folder, to string) string {
	w := strings.Split(to, ".")
	if len(w) < 2 || strings.ContainsAny(to, "#/ ") {
		return ""
	}
	if f.Table(w[0]) != nil {
		return w[0] + "." + w[1]
	}
	if len(w) == 2 { // a table of an input, or the input's main table
		if in := inputNamed(f, w[0]); in != nil && !in.Product.IsZero() {
			return in.Product.String() + "." + in.Product.Product + "." + w[1]
		}
		return ""
	}
	if in := inputNamed(f, w[0]); in != nil && !in.Product.IsZero() && len(w) == 3 {
		return in.Product.String() + "." + w[1] + "." + w[2]
	}
	if _, err := weft.ParseName(w[0] + "." + w[1]); err != nil {
		return ""
	}
	switch len(w) {
	case 3: // the product's main table
		return w[0] + "." + w[1] + "." + w[1] + "." + w[2]
	case 4:
		return to
	}
	return ""
}

func inputNamed(f *contract.Folder, name string) *contract.Input {
	for _, in := range f.Inputs {
		if in.Name == name {
			return in
		}
	}
	return nil
}

// shorten makes a card fit: texts first to a length that nobody misses, then step by
// step what it can do without.
func shorten(c *weft.Card) {
	cutTexts(c, 8<<10, 2<<10)
	for _, step := range []func(){
		func() { cutTexts(c, 4<<10, 400) },
		func() { cutTexts(c, 2<<10, 120) },
		func() { dropLineage(c) },
		func() { cutTexts(c, 500, 0) },
		func() { dropDecoration(c) },
	} {
		if cardSize(c) <= maxCard {
			return
		}
		step()
		c.Shortened = true
	}
	for most := 4096; cardSize(c) > maxCard && most > 0; most /= 2 {
		cutLists(c, most)
	}
}

func cardSize(c *weft.Card) int {
	b, _ := json.Marshal(c) // of these types it never fails
	return len(b)
}

// cutTexts cuts the texts of a product to most bytes, and those of tables and columns
// to each.
func cutTexts(c *weft.Card, most, each int) {
	for _, s := range []*string{&c.Purpose, &c.Limits, &c.Usage} {
		c.Shortened = cut(s, most) || c.Shortened
	}
	for _, s := range []*string{&c.Owner, &c.Document, &c.Version} {
		c.Shortened = cut(s, 500) || c.Shortened
	}
	for i := range c.Support {
		c.Shortened = cut(&c.Support[i].Channel, 300) || c.Shortened
		if s := &c.Support[i].URL; len(*s) > 1000 { // half of an address leads nowhere
			*s, c.Shortened = "", true
		}
	}
	c.Tags = cutTags(c, c.Tags)
	for i := range c.Tables {
		t := &c.Tables[i]
		t.Tags = cutTags(c, t.Tags)
		c.Shortened = cut(&t.Description, each) || c.Shortened
		c.Shortened = cut(&t.Granularity, each) || c.Shortened
		for j := range t.Columns {
			k := &t.Columns[j]
			for _, s := range []*string{&k.Description, &k.BusinessName, &k.Unit, &k.Classification} {
				c.Shortened = cut(s, each) || c.Shortened
			}
			c.Shortened = cut(&k.Type, 2000) || c.Shortened
			k.Tags = cutTags(c, k.Tags)
		}
	}
}

// cutTags cuts long tags, in a list of their own.
func cutTags(c *weft.Card, tags []string) []string {
	tags = slices.Clone(tags)
	for i := range tags {
		c.Shortened = cut(&tags[i], 200) || c.Shortened
	}
	return tags
}

// cut cuts a text between characters and says whether it did.
func cut(s *string, most int) bool {
	if len(*s) <= most {
		return false
	}
	if most < len("…") {
		*s = ""
		return true
	}
	end := most - len("…")
	for end > 0 && !utf8.RuneStart((*s)[end]) {
		end--
	}
	*s = (*s)[:end] + "…"
	return true
}

func dropLineage(c *weft.Card) {
	for i := range c.Tables {
		c.Tables[i].Uses = nil
		for j := range c.Tables[i].Columns {
			c.Tables[i].Columns[j].From = nil
		}
	}
}

func dropDecoration(c *weft.Card) {
	for i := range c.Tables {
		t := &c.Tables[i]
		t.Tags = nil
		for j := range t.Columns {
			t.Columns[j].Tags, t.Columns[j].References = nil, nil
		}
	}
}

// cutLists leaves at most so many of everything.
func cutLists(c *weft.Card, most int) {
	c.Tags = c.Tags[:min(len(c.Tags), most)]
	c.Support = c.Support[:min(len(c.Support), most)]
	c.Ports = c.Ports[:min(len(c.Ports), most)]
	c.Tables = c.Tables[:min(len(c.Tables), most)]
	for i := range c.Tables {
		t := &c.Tables[i]
		t.Columns = t.Columns[:min(len(t.Columns), most)]
		t.Key = t.Key[:min(len(t.Key), most)]
	}
}
