package replicate

import (
	"context"
	"encoding/json"
	"io"
	"net/url"
	"time"

	"weft"
	"weft/run"
	"weft/store"
)

// State says how a copy stands.
type State string

// The states of a copy.
const (
	StateCopying State = "copying" // its first files come
	StateCurrent State = "current" // it has all that its origin has
	StateBehind  State = "behind"  // there are commits that it does not have yet
	StateAway    State = "away"    // its origin cannot be reached; it is used until it expires
	StateExpired State = "expired" // its origin was away for longer than its owner lets a copy be used
	StateRefused State = "refused" // its owner does not let this node keep it, or not any more
	StateFaulty  State = "faulty"  // what came was not in order; nothing of it was taken
	StateStopped State = "stopped" // the origin's chain is another one: somebody has to look
	StateFull    State = "no room" // the disk is full
)

// serves says whether a copy in that state may answer at all.
func (s State) serves() bool {
	switch s {
	case StateExpired, StateRefused, StateFaulty, StateStopped:
		return false
	}
	return true
}

// KeepUnused is how long what may not be used any more is kept: a refusal that was a
// mistake costs no second copy, and after it nothing is left.
const KeepUnused = 24 * time.Hour

// Origin is what the mesh's signed records say of a product that is copied.
type Origin struct {
	Node weft.KeyID
	ID   string         // the product's
	Head *weft.CardHead // as far as it is known
	For  time.Duration  // how long the copy may be used while Node cannot be reached
	// Denied is why this node may keep no copy, nil where it may.
	Denied error
}

// Config is what a Keeper works with.
type Config struct {
	Dir string // the folder of all copies; the Keeper owns it
	// Store completes the configuration of a copy's store: how long the past is kept,
	// where folds run. Dir, ID and Product are set.
	Store func(store.Config) store.Config
	// Look says what is known of a product; nil for one that nobody has. It is asked
	// often.
	Look func(weft.Name) (*Origin, error)
	// Ask asks a node for what is at a path below a product's own, and gives the body
	// of its answer. What the node says against it is an error of its kind; a node
	// that cannot be reached is KindUnavailable.
	Ask func(ctx context.Context, node weft.KeyID, product weft.Name, path string, q url.Values) (io.ReadCloser, error)
	// Fault reads the problem document with which an origin ends a feed.
	Fault func(json.RawMessage) error
	// Room says why no more data may be taken in, nil where it may.
	Room func(product weft.Name) error
	Env  run.Env
}

// Info is how a copy stands, for people.
type Info struct {
	Product weft.Name
	Origin  weft.KeyID
	State   State
	Reason  string // why it is not current, empty where it is
	Todo    string // what to do, empty for nothing
	Added   time.Time
	Point   weft.Point // zero before there is one
	Current time.Time  // when it was last known to be what the origin has
	Behind  uint64     // commits that the origin is known to have made since
	Bytes   int64
	Total   int64     // bytes of files that are coming, 0 while none are
	Done    int64     // of them
	Until   time.Time // to which it may be used if the origin stays away; zero where it may not
	Removed time.Time // when what it holds is removed, where it may not be used any more
	Tables  []string
	Needed  bool // it is there for who needs it, and goes when nobody does: nobody added it
}

// timing is how long a copy waits for what.
type timing struct {
	retry   time.Duration // the first wait after an origin could not be reached
	longest time.Duration // and the longest
	again   time.Duration // after it said no, or what it sent was not in order
	quiet   time.Duration // in which something must come of what was asked for
	keep    time.Duration // between two writes of when it was current

	patience time.Duration // of those who wait for a commit, while nothing comes
}

var usual = timing{retry: time.Second, longest: 30 * time.Second, again: time.Minute, quiet: 30 * time.Second, keep: 10 * time.Second, patience: 30 * time.Second}
