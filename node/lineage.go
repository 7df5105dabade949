package node

import (
	"context"

	"weft"
	"weft/catalog"
	"weft/serve"
)

// lineageDoor tells what is made from what over the whole mesh.
type lineageDoor struct{ n *Node }

// Lineage follows a product, a table or a column.
func (d lineageDoor) Lineage(ctx context.Context, s weft.Subject, r serve.LineageRequest) (*weft.Lineage, error) {
	known := func(name weft.Name) bool {
		p := d.n.known(name)
		return p == nil || p.knownTo(s) // a card of another node is there for everybody to see
	}
	of, err := d.n.cat.FindOf(r.Of, known)
	if err != nil {
		return nil, err
	}
	return d.n.cat.Lineage(ctx, catalog.LineageQuery{Of: of, Direction: r.Direction, Depth: r.Depth, Known: known})
}
