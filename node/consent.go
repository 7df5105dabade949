package node

import (
	"errors"
	"time"

	"weft"
	"weft/policy"
)

// errNoCopies is the cause of every refusal to let a node keep a copy.
var errNoCopies = errors.New("the product is not to be copied")

// mayCopy says why a node may not keep a copy of the product that b describes, nil
// where it may, and for how long the copy may be used while the origin cannot be
// reached. Everything that the product offers must be open to it: a copy is whole.
func (b *brief) mayCopy(name weft.Name, s weft.Subject) (time.Duration, error) {
	const op = "copy the product"
	if policy.MayKnow(b.Life, name.Domain, s.Domains).Visibility == policy.Hidden {
		return 0, weft.Errorf(weft.KindNotFound, op, name.String(), "there is no such product, or none that may be known of")
	}
	if len(b.Grants) == 0 {
		return 0, weft.Errorf(weft.KindDenied, op, name.String(), "it offers no tables: %w", errNoCopies)
	}
	shortest := time.Duration(-1)
	for _, g := range b.Grants {
		for _, t := range g.Tables {
			if err := b.deny(name, s, t); err != nil {
				return 0, err
			}
		}
		var domains []string
		if g.Copies != nil {
			domains = g.Copies.Domains
		}
		if why := policy.MayCopy(domains, s.Domains); why.Visibility != policy.Readable {
			return 0, weft.Errorf(weft.KindDenied, op, name.String(), "output port %q: %s: %w", g.Port, why.Reason, errNoCopies).
				WithHint("ask %s to name the domain in weftReplicas of output port %q", or(b.Owner, "the owner of "+name.String()), g.Port)
		}
		if d := time.Duration(g.Copies.Seconds) * time.Second; shortest < 0 || d < shortest {
			shortest = d
		}
	}
	return max(shortest, 0), nil
}

// offers says whether a table is one of those that the product's output ports give.
func (b *brief) offers(table string) bool {
	for _, g := range b.Grants {
		for _, t := range g.Tables {
			if t == table {
				return true
			}
		}
	}
	return false
}
