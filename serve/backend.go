package serve

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"weft"
)

// Backend is what the node hands to a door. All parts are safe for concurrent
// use and check themselves what the subject may see and do; the door has only
// checked the scope of the token.
type Backend struct {
	Querier   weft.Querier
	Products  Products
	Owner     Owner
	Lifecycle Lifecycle
	Node      Node
	Tokens    Tokens
	Upkeep    Upkeep
	Mesh      Mesh
	Members   Members
	Handovers Handovers
	Catalog   Catalog
	Lineage   Lineage
	Receipts  Receipts
	Meter     Meter
	Plans     Plans
	Cuts      Cuts
	Replicas  Replicas
	// Metrics is what the node counts; nil where it counts nothing.
	Metrics prometheus.Gatherer
}

// Products tells consumers what there is. A product that s may not know of is
// KindNotFound, the same as one that does not exist.
type Products interface {
	// List gives every product that s may know of, ordered by address.
	List(ctx context.Context, s weft.Subject) ([]ProductSummary, error)
	// Show gives everything known of one product.
	Show(ctx context.Context, s weft.Subject, p weft.Name) (*ProductDetail, error)
	// History gives up to limit commits, newest first, with Seq below before; 0
	// is from the head.
	History(ctx context.Context, s weft.Subject, p weft.Name, before weft.Seq, limit int) ([]CommitInfo, error)
	// Quarantine gives up to limit of the rows that each table holds back, with
	// the reasons. The door calls it for owners only.
	Quarantine(ctx context.Context, s weft.Subject, p weft.Name, limit int, at weft.At) (*Quarantine, error)
}

// Owner changes what a domain owns: folders and their data.
type Owner interface {
	// Apply takes a product folder. Faults of the folder are part of the result
	// and no error. It calls progress, which may be nil, from one goroutine.
	Apply(ctx context.Context, s weft.Subject, r ApplyRequest, progress Progress) (*ApplyResult, error)
	// Refresh reads the product's sources now. With Wait it returns when the
	// commit is made, the candidate refused, or nothing had changed.
	Refresh(ctx context.Context, s weft.Subject, p weft.Name, r RefreshRequest, progress Progress) (*RefreshResult, error)
}

// Lifecycle moves a product through its life. Each call returns the product as
// it is afterwards; one that changes nothing succeeds.
type Lifecycle interface {
	// Pause stops reading the sources; what is published stays readable.
	Pause(ctx context.Context, s weft.Subject, p weft.Name) (*ProductSummary, error)
	// Resume undoes Pause.
	Resume(ctx context.Context, s weft.Subject, p weft.Name) (*ProductSummary, error)
	// Rollback appends a commit that restores rows and folder as of commit to.
	Rollback(ctx context.Context, s weft.Subject, p weft.Name, to weft.Seq) (*CommitInfo, error)
	// Retire ends the product; its history stays readable.
	Retire(ctx context.Context, s weft.Subject, p weft.Name) (*ProductSummary, error)
	// Delete removes the product and its data. confirm repeats the address.
	Delete(ctx context.Context, s weft.Subject, p weft.Name, confirm string) error
}

// Node tells how this node is.
type Node interface {
	// Status gives the node and every product in one table.
	Status(ctx context.Context, s weft.Subject) (*NodeStatus, error)
	// Ready says whether the node takes questions and loads; it is asked without
	// a token, so it names no product.
	Ready(ctx context.Context) Readiness
}

// Tokens says who asks.
type Tokens interface {
	// Authenticate returns whose token it is; KindDenied where it is unknown,
	// expired or revoked. It compares in constant time.
	Authenticate(ctx context.Context, token string) (*Identity, error)
	// CreateToken makes a token; its text is in the result and nowhere else.
	CreateToken(ctx context.Context, s weft.Subject, r TokenRequest) (*NewToken, error)
	// ListTokens gives all tokens without their texts, ordered by name.
	ListTokens(ctx context.Context, s weft.Subject) ([]TokenInfo, error)
	// RevokeToken ends the token of that name at once.
	RevokeToken(ctx context.Context, s weft.Subject, name string) error
}

// Progress is told how far long work is. It returns fast and is called by one
// goroutine at a time, at most a few times a second.
type Progress func(Event)
