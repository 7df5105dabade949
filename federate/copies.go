package federate

import (
	"fmt"
	"slices"
	"time"

	"weft"
)

// Copies gives copies that this node keeps of other nodes' products. A Products that
// has none need not be one.
type Copies interface {
	// Copy returns the copy of a product of another node, where there is one that may
	// be used now and that s may know of, and when it was last known to be what its
	// origin has. Its Release is called once.
	Copy(s weft.Subject, n weft.Name) (p Product, current time.Time, ok bool)
}

// copied finds a copy that may answer the question: at a cut that it has, which is the
// same at its origin, or where it is fresh enough for who asks. Other nodes are never
// answered from one: they ask the origin.
func (c *cutter) copied(n weft.Name) (Product, bool) {
	copies, ok := c.f.products.(Copies)
	if !ok || c.elsewhere == nil {
		return Product{}, false
	}
	i := slices.IndexFunc(c.q.At.Cut, func(r weft.CutRef) bool { return r.Product == n })
	proven := i >= 0 && len(c.q.At.Cut[i].HashPrefix) > 0
	if !proven && (c.q.MaxStaleness <= 0 || len(c.q.At.Cut) > 0) {
		return Product{}, false
	}
	p, current, ok := copies.Copy(c.q.Subject, n)
	if !ok {
		return Product{}, false
	}
	age := max(c.f.env.Clock.Now().Sub(current), 0)
	switch {
	case p.denied("") != nil:
		ok = false
	case proven:
		ok = c.q.At.Cut[i].Seq >= p.Store.Oldest() && c.same(p, c.q.At.Cut[i]) == nil
	default:
		ok = age <= c.q.MaxStaleness && (c.q.At.Time.IsZero() || !current.Before(c.q.At.Time))
	}
	if !ok {
		if p.Release != nil {
			p.Release()
		}
		return Product{}, false
	}
	if !proven {
		c.warnings = append(c.warnings, weft.Warning{
			Kind: weft.WarnStale, Product: n,
			Message: fmt.Sprintf("rows of %s are those of a copy here, which was last known to be current %s ago", n, age.Round(time.Second)),
			Hint:    "without --max-staleness the product's own node is asked",
		})
	}
	c.found[n] = p
	return p, true
}

// warn adds what the cut has to say of an answer to what else is said of it.
func (c *cutter) warn(ans *weft.Answer) {
	if len(c.warnings) == 0 {
		return
	}
	more := ans.Warnings
	ans.Warnings = func() []weft.Warning {
		out := slices.Clone(c.warnings)
		if more != nil {
			out = append(out, more()...)
		}
		return out
	}
}
