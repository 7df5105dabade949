package serve

import (
	"context"
	"time"

	"weft"
)

// Replicas are the copies that the node keeps of other nodes' products. The door calls
// Add and Remove for administrators only.
type Replicas interface {
	// Replicas tells how the copies stand of the products that s may know of, by address.
	Replicas(ctx context.Context, s weft.Subject) ([]Replica, error)
	// AddReplica begins to keep a copy, which comes in the background. KindConflict where
	// there is one or the product is at this node, KindNotFound where no other node is
	// known to have it, and KindDenied where its owner does not let this node.
	AddReplica(ctx context.Context, s weft.Subject, p weft.Name) (*Replica, error)
	// RemoveReplica ends a copy and removes it; KindNotFound where there is none.
	RemoveReplica(ctx context.Context, s weft.Subject, p weft.Name) error
}

// Replica is a copy of another node's product.
type Replica struct {
	Product weft.Name   `json:"product"`
	Origin  weft.KeyID  `json:"origin,omitzero" doc:"the node that holds the product"`
	Node    string      `json:"node,omitempty" doc:"what that node calls itself"`
	State   string      `json:"state" doc:"copying, current, behind, away, expired, refused, faulty, stopped or no room"`
	Reason  string      `json:"reason,omitempty" doc:"why it is not current"`
	Todo    string      `json:"todo,omitempty" doc:"what to do"`
	Added   time.Time   `json:"added"`
	Point   *weft.Point `json:"point,omitempty" doc:"the commit that the copy has; the hash is the origin's"`
	Current *time.Time  `json:"current,omitempty" doc:"when it was last known to be what the origin has"`
	Behind  uint64      `json:"behind" doc:"commits that the origin is known to have besides"`
	Bytes   int64       `json:"bytes" doc:"on this node's disk"`
	Done    int64       `json:"done,omitempty" doc:"bytes of files that have come, while there are any to come"`
	Total   int64       `json:"total,omitempty" doc:"bytes of files that are to come"`
	Until   *time.Time  `json:"until,omitempty" doc:"to when it may be used if the origin stays away; absent where it may not be used"`
	Removed *time.Time  `json:"removed,omitempty" doc:"when what it holds is removed, where it may not be used any more"`
	Tables  []string    `json:"tables,omitempty"`
	Inputs  []weft.Name `json:"inputs,omitempty" doc:"products of this node that read it as an input"`
	Needed  bool        `json:"needed,omitempty" doc:"it is there for these products alone, and goes when they do: nobody added it"`
}

// ReplicaList are the copies of a node.
type ReplicaList struct {
	Replicas []Replica `json:"replicas"`
}

// ReplicaRequest asks to keep a copy.
type ReplicaRequest struct {
	Product weft.Name `json:"product" doc:"the product's address, domain.product" example:"sales.orders"`
}
