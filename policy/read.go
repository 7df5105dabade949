package policy

import (
	"fmt"
	"slices"
	"strings"

	"weft"
)

// Visibility is how much of a product a subject may see.
type Visibility int

// The visibilities, each with all of the one before.
const (
	Hidden       Visibility = iota // it looks like a product that does not exist
	Discoverable                   // its description may be read, its rows may not
	Readable                       // its rows may be read
)

// String returns the visibility as the design names it.
func (v Visibility) String() string {
	switch v {
	case Readable:
		return "readable"
	case Discoverable:
		return "discoverable"
	}
	return "hidden"
}

// Everybody, among the readers of an output port, lets every domain read it.
const Everybody = "*"

// Decision is how much a subject may see, and why not more.
type Decision struct {
	Visibility Visibility
	Reason     string // one sentence without a full stop; empty where it is readable
}

// MayKnow says whether subjects of the domains in subject may know of a product of
// that life: what is not offered yet is for its own domain only.
func MayKnow(life weft.Life, domain string, subject []string) Decision {
	if owns(domain, subject) || life != weft.LifeDraft && life != weft.LifeProposed {
		return Decision{Visibility: Discoverable}
	}
	return Decision{Visibility: Hidden, Reason: fmt.Sprintf("the product is %s: only its domain may know of it", life)}
}

// MayRead says whether subjects of the domains in subject may read an output port of
// a product in domain that lets the domains in readers read it besides its own. It
// denies where nothing allows. That they may know of the product is asked before.
func MayRead(readers []string, domain string, subject []string) Decision {
	if owns(domain, subject) || slices.Contains(readers, Everybody) ||
		slices.ContainsFunc(subject, func(d string) bool { return d != "" && slices.Contains(readers, d) }) {
		return Decision{Visibility: Readable}
	}
	who := "only its own domain " + domain
	if len(readers) > 0 {
		who = "only " + domain + ", " + strings.Join(readers, ", ")
	}
	as := "a subject of no domain"
	if len(subject) > 0 {
		as = "a subject of " + strings.Join(subject, ", ")
	}
	return Decision{Visibility: Discoverable, Reason: fmt.Sprintf("%s may read it, not %s", who, as)}
}

// owns says whether one of the subject's domains is the product's own.
func owns(domain string, subject []string) bool {
	return domain != "" && (slices.Contains(subject, domain) || slices.Contains(subject, weft.AllDomains))
}

// OfPeer is the subject that another node asks as: it is of exactly the domains
// that the mesh admits the node to. Where the node asks for a product of its own,
// that product is the subject, and its domain must be one of the node's; a zero
// product is the node itself. The error is of KindDenied.
func OfPeer(node weft.KeyID, domains []string, product weft.Name) (weft.Subject, error) {
	const op = "admit the other node's question"
	if node.IsZero() {
		return weft.Subject{}, weft.Errorf(weft.KindDenied, op, "", "the node did not prove who it is")
	}
	of := slices.DeleteFunc(slices.Clone(domains), func(d string) bool { return weft.CheckName(d) != nil })
	if product.IsZero() {
		return weft.Subject{Kind: weft.SubjectService, ID: node.String(), Domains: of}, nil
	}
	if !slices.Contains(of, product.Domain) {
		return weft.Subject{}, weft.Errorf(weft.KindDenied, op, product.String(), "node %s is not of domain %s", node.Short(), product.Domain).
			WithHint("a node asks for products of its own domains; `weft invite --domain %s` at a node of that domain admits it", product.Domain)
	}
	return weft.ProductSubject(product), nil
}
