package serve

import (
	"context"

	"weft"
)

// Lineage tells what is made from what, over the whole mesh.
type Lineage interface {
	// Lineage follows a product, a table or a column. Products that s may not know of
	// are KindNotFound, and unknown nodes where others lead to them.
	Lineage(ctx context.Context, s weft.Subject, r LineageRequest) (*weft.Lineage, error)
	// Tell takes one run event of OpenLineage, or a list of them: what jobs outside
	// read and write. It says how many they were; KindInvalid where any is wrong.
	Tell(ctx context.Context, s weft.Subject, message []byte) (int, error)
}

// LineageTold says what was taken.
type LineageTold struct {
	Events int `json:"events" doc:"how many events were taken"`
}

// LineageRequest says what is followed, and how far.
type LineageRequest struct {
	Of        string         // domain.product, with .table or .column or both behind it
	Direction weft.Direction // both where it is empty
	Depth     int            // steps, all where it is 0
}
