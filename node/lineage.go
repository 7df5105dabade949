package node

import (
	"context"

	"weft"
	"weft/catalog"
	"weft/openlineage"
	"weft/serve"
)

// lineageDoor tells what is made from what over the whole mesh.
type lineageDoor struct{ n *Node }

// Lineage follows a product, a table or a column.
func (d lineageDoor) Lineage(ctx context.Context, s weft.Subject, r serve.LineageRequest) (*weft.Lineage, error) {
	known := func(name weft.Name) bool { return d.n.mayFind(s, name) }
	of, err := d.n.cat.FindOf(r.Of, known)
	if err != nil {
		return nil, err
	}
	return d.n.cat.Lineage(ctx, catalog.LineageQuery{Of: of, Direction: r.Direction, Depth: r.Depth, Known: known, Outside: d.n.datasets()})
}

// Tell takes what others tell of jobs and datasets outside.
func (d lineageDoor) Tell(ctx context.Context, _ weft.Subject, message []byte) (int, error) {
	events, err := openlineage.Read(message, d.n.env.Clock.Now())
	if err != nil {
		return 0, err
	}
	return len(events), d.n.tell(ctx, events)
}
