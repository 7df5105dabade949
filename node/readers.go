package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weft"
	"weft/contract"
	"weft/federate"
	"weft/policy"
)

// errNotReader is the cause of every refusal to let a subject read an output port.
var errNotReader = errors.New("the output port is not for this reader")

// speaksFor are the domains that the node's own tokens are of: those that it is
// told to hold, else all that it holds.
func (n *Node) speaksFor() []string {
	if ds := n.conf().Domains; len(ds) > 0 {
		return ds
	}
	return []string{weft.AllDomains}
}

// mayOwn lets a subject do what a product's owner does: one of its domain, or
// whoever runs the node as a whole.
func (n *Node) mayOwn(s weft.Subject, op string, name weft.Name) error {
	if of(s, name.Domain) || slices.Equal(s.Domains, n.speaksFor()) {
		return nil
	}
	return weft.Errorf(weft.KindDenied, op, name.String(), "only subjects of domain %s may, not %s", name.Domain, domainWords(s)).
		WithHint("use a token of that domain: `weft token create NAME --domain %s`", name.Domain)
}

// of says whether the subject is of the domain.
func of(s weft.Subject, domain string) bool {
	return slices.Contains(s.Domains, domain) || slices.Contains(s.Domains, weft.AllDomains)
}

func domainWords(s weft.Subject) string {
	if len(s.Domains) == 0 {
		return "one of no domain"
	}
	return "one of " + strings.Join(s.Domains, ", ")
}

// seenBy is find for a subject: what it may not know of is not there.
func (n *Node) seenBy(s weft.Subject, name weft.Name) (*product, error) {
	p, err := n.find(name)
	if err == nil && !p.knownTo(s) {
		return nil, notHere(name)
	}
	return p, err
}

// ownedBy is seenBy for what only the product's owner does.
func (n *Node) ownedBy(s weft.Subject, op string, name weft.Name) (*product, error) {
	p, err := n.find(name)
	if err != nil {
		return nil, err
	}
	if err := n.mayOwn(s, op, name); err != nil {
		if !p.knownTo(s) {
			err = notHere(name)
		}
		return nil, err
	}
	return p, nil
}

// knownTo says whether the subject may know of the product.
func (p *product) knownTo(s weft.Subject) bool {
	p.mu.Lock()
	b := p.brief
	p.mu.Unlock()
	life := b.Life
	if b.Form != briefForm {
		life = weft.LifeProposed // its folder could not be read: nobody said that it is offered
	}
	return policy.MayKnow(life, p.name().Domain, s.Domains).Visibility != policy.Hidden
}

// deny says why the subject may not read the table, nil where it may; "" asks
// whether it may read any. A table that no port offers any more is its domain's.
func (p *product) deny(s weft.Subject, table string) error {
	p.mu.Lock()
	b := p.brief
	p.mu.Unlock()
	return b.deny(p.name(), s, table)
}

func (b *brief) deny(name weft.Name, s weft.Subject, table string) error {
	var closed []string
	why := policy.MayRead(nil, name.Domain, s.Domains)
	for _, g := range b.Grants {
		if table != "" && !slices.Contains(g.Tables, table) {
			continue
		}
		if why = policy.MayRead(g.Readers, name.Domain, s.Domains); why.Visibility == policy.Readable {
			return nil
		}
		closed = append(closed, g.Port)
	}
	if why.Visibility == policy.Readable {
		return nil
	}
	what := name.String()
	if table != "" {
		what = weft.TableName{Name: name, Table: table}.String()
	}
	return weft.Errorf(weft.KindDenied, "read the product", what, "%s: %w", why.Reason, errNotReader).WithHint("%s", b.request(name, s, closed))
}

// request says whom to ask for what.
func (b *brief) request(name weft.Name, s weft.Subject, ports []string) string {
	whom := or(b.Owner, "the owner of "+name.String())
	if b.Ask != "" {
		whom += " (" + b.Ask + ")"
	}
	domain := "your domain"
	if i := slices.IndexFunc(s.Domains, func(d string) bool { return d != weft.AllDomains }); i >= 0 {
		domain = s.Domains[i]
	}
	port := "its output port"
	if len(ports) > 0 {
		port = fmt.Sprintf("output port %q of %s", ports[0], name)
	}
	return fmt.Sprintf("ask %s to add %s to weftReaders of %s", whom, domain, port)
}

// visibleProducts is the node as the reader sees it.
type visibleProducts struct{ n *Node }

// Product finds a product that the subject may know of. One of which it may read
// nothing is not taken down for it.
func (v visibleProducts) Product(s weft.Subject, name weft.Name) (federate.Product, bool) {
	p, err := v.n.seenBy(s, name)
	if err != nil {
		return federate.Product{}, false
	}
	out := federate.Product{Name: name, Deny: func(table string) error { return p.deny(s, table) }}
	if out.Deny("") != nil {
		return out, true
	}
	release, err := p.hold(context.Background())
	if err != nil {
		return federate.Product{}, false
	}
	rec := p.record()
	out.ID, out.Retired, out.Store, out.Release, out.Shard = rec.ID, rec.Retired, p.store, release, p.shard
	return out, true
}

// Names lists the products that the subject may know of.
func (v visibleProducts) Names(s weft.Subject) []weft.Name {
	var out []weft.Name
	for _, p := range v.n.all() {
		if p.knownTo(s) {
			out = append(out, p.name())
		}
	}
	return out
}

// cutOff lists the products of other domains, here and wherever the catalogue knows of
// them, that are made from a product and may read less of it once its folder is after
// instead of before.
func (n *Node) cutOff(before, after *contract.Folder) []weft.Name {
	if before == nil {
		return nil
	}
	was, is := briefOf(before, ""), briefOf(after, "")
	loses := func(s weft.Subject) bool {
		return slices.ContainsFunc(after.Tables(), func(t *contract.Table) bool {
			return was.opens(after.Name, s, t.Name) && !is.opens(after.Name, s, t.Name)
		})
	}
	var out []weft.Name
	for _, reader := range n.madeFrom(after.Name) {
		if loses(weft.ProductSubject(reader)) {
			out = append(out, reader)
		}
	}
	return out
}

// opens says whether the subject may know of the product and read the table.
func (b *brief) opens(name weft.Name, s weft.Subject, table string) bool {
	return policy.MayKnow(b.Life, name.Domain, s.Domains).Visibility != policy.Hidden && b.deny(name, s, table) == nil
}

// madeFrom lists the products that are made from the one named, without those that
// are retired.
func (n *Node) madeFrom(name weft.Name) []weft.Name {
	var out []weft.Name
	if n.cat != nil {
		out = n.cat.Consumers(name)
	}
	for _, d := range n.dependents(name) {
		out = append(out, d.name())
	}
	slices.SortFunc(out, compare)
	return slices.DeleteFunc(slices.Compact(out), func(c weft.Name) bool {
		if p := n.known(c); p != nil {
			return p.record().Retired
		}
		card := n.knownCard(c)
		return card == nil || card.Life == weft.LifeRetired
	})
}
