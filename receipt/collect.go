package receipt

import (
	"encoding/json"
	"slices"

	"weft"
)

// Collect takes what each node signed of its part of an answer, and holds it against
// what the answering node self saw of it: who was asked what under which nonce, which
// states came, and how many rows. A part that is missing or says something else is an
// error that names the node: a receipt that an origin has not signed is none.
func Collect(self weft.KeyID, nonce weft.Hash, uses []weft.PartUse) ([]json.RawMessage, error) {
	const op = "collect the receipt"
	parts := make([]json.RawMessage, 0, len(uses))
	for _, u := range uses {
		if len(u.Receipt) == 0 {
			return nil, weft.Errorf(weft.KindUnavailable, op, "node "+u.Node.Short(), "it gave rows and signed nothing").
				WithHint("its program may be older than receipts: ask its owner to upgrade it, or ask without a receipt")
		}
		p, err := OpenPart(u.Receipt)
		if err != nil {
			return nil, &weft.Error{Op: op, Subject: "node " + u.Node.Short(), Kind: weft.KindInvalid, Cause: err, Hint: "tell its owner"}
		}
		if why := p.differs(self, nonce, u); why != "" {
			return nil, weft.Errorf(weft.KindInvalid, op, "node "+u.Node.Short(), "what it signed %s", why).WithHint("tell its owner")
		}
		parts = append(parts, u.Receipt)
	}
	return parts, nil
}

// differs says in what a part is not what the asking node saw, empty where it is.
func (p *Part) differs(self weft.KeyID, nonce weft.Hash, u weft.PartUse) string {
	switch {
	case p.Node != u.Node:
		return "is signed by node " + p.Node.Short()
	case p.Asker != self:
		return "is for another node"
	case p.Nonce != nonce:
		return "is of another question"
	case p.Text != u.Text:
		return "is of another text than it was asked"
	case p.Rows != u.Rows:
		return "is of another number of rows than came"
	case !slices.EqualFunc(u.Cut.Sorted(), p.cut().Sorted(), samePoint):
		return "is of other states than it said it reads"
	}
	return ""
}

func (p *Part) cut() weft.Cut {
	c := make(weft.Cut, len(p.Reads))
	for i, r := range p.Reads {
		c[i] = r.Point
	}
	return c
}

// samePoint reports whether two points are of the same commit; what they call its time
// may differ in how it is written.
func samePoint(a, b weft.Point) bool {
	return a.Product == b.Product && a.ID == b.ID && a.Incarnation == b.Incarnation && a.Seq == b.Seq && a.Hash == b.Hash
}
