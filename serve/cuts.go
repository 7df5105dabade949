package serve

import (
	"context"
	"time"

	"weft"
)

// Cuts saves cuts under names, tells what became of them, and shows what others hold
// of this node's products. A cut that names a product which s may not know of is
// KindNotFound, the same as one that does not exist.
type Cuts interface {
	// SaveCut fixes a state of the products and keeps it under a name. The points of
	// products of other nodes are asked of their origins.
	SaveCut(ctx context.Context, s weft.Subject, r SaveCutRequest) (*CutDetail, error)
	// Cuts lists the saved cuts by name, without a look at the origins.
	Cuts(ctx context.Context, s weft.Subject) ([]CutDetail, error)
	// Cut tells of a saved cut by its name, or of one by its token or its hash. Where it
	// looks, each origin is asked whether the point can still be read.
	Cut(ctx context.Context, s weft.Subject, what string, look bool) (*CutDetail, error)
	// DropCut forgets a saved cut and lets go of what it holds.
	DropCut(ctx context.Context, s weft.Subject, name string) error
	// Holds lists what is held of the products here that s owns.
	Holds(ctx context.Context, s weft.Subject) ([]HoldInfo, error)
	// DropHold ends a hold on a product here, for its owner.
	DropHold(ctx context.Context, s weft.Subject, p weft.Name, hold string) error
}

// SaveCutRequest asks for a cut to be saved.
type SaveCutRequest struct {
	Name     string      `json:"name" minLength:"1" maxLength:"63" doc:"small letters, digits, - and _, a letter first"`
	Products []weft.Name `json:"products,omitempty" maxItems:"1000" doc:"addresses; with a cut in at they may be absent: then all that it names"`
	At       string      `json:"at,omitempty" maxLength:"65536" doc:"a time, a commit, a cut's token or the name of a saved one; now where it is absent"`
	Hold     bool        `json:"hold,omitempty" doc:"ask the owners to keep the history in place"`
	For      int64       `json:"for,omitempty" minimum:"0" maximum:"315360000" doc:"seconds that the history is to be held; as long as each owner allows where it is absent"`
	Newest   bool        `json:"newest,omitempty" doc:"take the newest commit of each product, also where these were made from different states of a third"`
}

// CutDetail is a cut and what is known of its points.
type CutDetail struct {
	Name     string         `json:"name,omitempty" doc:"absent where it was not saved"`
	Token    string         `json:"token" doc:"the cut as one word: ask with at= and get the same rows"`
	Text     string         `json:"text" doc:"the cut for people"`
	Hash     weft.Hash      `json:"hash" doc:"digest of the cut's whole; zero where the points were not all found with whole hashes"`
	AsOf     *time.Time     `json:"asOf,omitempty" doc:"the time by which each origin chose its commit, by its own clock"`
	Saved    *time.Time     `json:"saved,omitempty"`
	By       string         `json:"by,omitempty" doc:"who saved it"`
	Points   []CutPoint     `json:"points"`
	Notes    []string       `json:"notes,omitempty" doc:"what is to be known of how the points were chosen"`
	Warnings []weft.Warning `json:"warnings,omitempty" doc:"skew: products of the cut that were made from different states of a third"`
}

// PointState says whether a point can be read.
type PointState string

// The states of points.
const (
	PointReadable PointState = "readable"
	PointGone     PointState = "gone"        // retention has ended for it
	PointOther    PointState = "other"       // the product's chain is not the one that the cut was taken from
	PointAway     PointState = "unreachable" // its origin does not answer
	PointDenied   PointState = "denied"
	PointUnknown  PointState = "unknown" // nobody was asked, or there is no such product any more
)

// CutPoint is one product of a cut.
type CutPoint struct {
	weft.Point
	Node    string     `json:"node,omitempty" doc:"the node that holds the product; absent where it is this one"`
	State   PointState `json:"state" doc:"readable, gone, other (restored since, or a fork), unreachable, denied or unknown"`
	Oldest  weft.Seq   `json:"oldest,omitempty" doc:"the oldest commit that the product can be read at; 0 where all are kept"`
	Newest  weft.Seq   `json:"newest,omitempty" doc:"the newest commit"`
	Held    bool       `json:"held,omitempty" doc:"the owner's node holds the history in place for this cut"`
	Until   *time.Time `json:"until,omitempty" doc:"when the hold ends"`
	Problem string     `json:"problem,omitempty" doc:"why it cannot be read, or is not held"`
	Hint    string     `json:"hint,omitempty"`
}

// HoldInfo is what somebody holds of a product here.
type HoldInfo struct {
	Product weft.Name  `json:"product"`
	Hold    string     `json:"hold" doc:"the hold's name: DELETE it with this"`
	Seq     weft.Seq   `json:"seq" doc:"the history is kept from this commit on"`
	Time    time.Time  `json:"time" doc:"the commit's time"`
	By      string     `json:"by" doc:"who asked"`
	Node    string     `json:"node,omitempty" doc:"the node that asked; absent where it is this one"`
	Domains []string   `json:"domains,omitempty" doc:"the domains of whoever asked"`
	For     string     `json:"for,omitempty" doc:"the saved cut it is for"`
	Asked   time.Time  `json:"asked"`
	Expires *time.Time `json:"expires,omitempty" doc:"when it ends; absent where that is when it is dropped"`
}

// CutList is the answer of GET /api/v1/cuts.
type CutList struct {
	Cuts []CutDetail `json:"cuts"`
}

// HoldList is the answer of GET /api/v1/holds.
type HoldList struct {
	Holds []HoldInfo `json:"holds"`
}
