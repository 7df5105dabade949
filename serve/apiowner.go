package serve

import (
	"time"

	"weft"
	"weft/contract"
)

// MaxArchive is the most bytes that an applied folder may have as tar.gz.
const MaxArchive = 16 << 20

// ApplyRequest brings a product folder to a node.
type ApplyRequest struct {
	// Archive is the folder as tar.gz; product.odps.yaml is at its top.
	Archive []byte
	// Dir is the folder's absolute path on the node's machine: relative paths of
	// local sources start there. Empty where the folder is elsewhere.
	Dir      string
	Revision string // git revision, empty where there is none
	Dirty    bool   // the folder has changes that the revision does not hold
	Env      string // picks servers[].environment; empty is the node's own
	DryRun   bool   // say what would happen and change nothing
	Breaking bool   // also take a change that breaks readers of the version before
}

// Outcome says how an apply or a refresh ended.
type Outcome string

// The outcomes of an apply or a refresh.
const (
	OutcomeFaults    Outcome = "faults"    // the folder has faults; nothing was changed
	OutcomeBreaks    Outcome = "breaks"    // the change breaks readers of the version before; nothing was changed
	OutcomePlanned   Outcome = "planned"   // a dry run
	OutcomeApplied   Outcome = "applied"   // the folder was taken; a load may be running
	OutcomeCommitted Outcome = "committed" // new rows are published
	OutcomeUnchanged Outcome = "unchanged" // there was nothing to do
	OutcomeRefused   Outcome = "refused"   // the data breaks its contract; the last good commit stays visible
	OutcomeStarted   Outcome = "started"   // the work goes on in the background
)

// ApplyResult says what an apply did.
type ApplyResult struct {
	Product     weft.Name        `json:"product" doc:"empty (.) where the folder does not say"`
	Outcome     Outcome          `json:"outcome"`
	New         bool             `json:"new" doc:"the product was unknown before"`
	Faults      []contract.Fault `json:"faults,omitempty"`
	Differences []Difference     `json:"differences,omitempty" doc:"against the folder that was applied before"`
	Commit      *CommitInfo      `json:"commit,omitempty" doc:"the commit that was made"`
	Verdict     *weft.Verdict    `json:"verdict,omitempty" doc:"the checks' verdict on the data, also where it was refused"`
	Message     string           `json:"message,omitempty" doc:"one sentence for people"`
	Notes       []string         `json:"notes,omitempty" doc:"what is to be known of how the data was read"`
}

// Difference is one thing that two versions of a folder do not have in common.
type Difference struct {
	Where    string `json:"where" doc:"orders.amount, orders.sql, servers.shop, …"`
	What     string `json:"what" doc:"added, removed or changed"`
	Before   string `json:"before,omitempty"`
	After    string `json:"after,omitempty"`
	Breaking bool   `json:"breaking" doc:"a reader of the version before may fail on it"`
	Rewrites bool   `json:"rewrites" doc:"the rows are written again, and followers of changes get all of them"`
	Text     string `json:"text,omitempty" doc:"the difference in one sentence"`
}

// RefreshRequest asks to read the sources now.
type RefreshRequest struct {
	From *time.Time `json:"from,omitempty" doc:"start of a window of an append or upsert source"`
	To   *time.Time `json:"to,omitempty" doc:"end of the window, not included"`
	Wait bool       `json:"wait,omitempty" doc:"answer when it is done instead of when it has started"`
}

// RefreshResult says what a refresh did.
type RefreshResult struct {
	Product weft.Name     `json:"product"`
	Outcome Outcome       `json:"outcome"`
	Commit  *CommitInfo   `json:"commit,omitempty"`
	Verdict *weft.Verdict `json:"verdict,omitempty"`
	Message string        `json:"message,omitempty"`
	Notes   []string      `json:"notes,omitempty" doc:"what is to be known of how the data was read"`
}

// RollbackRequest names the commit to restore.
type RollbackRequest struct {
	To weft.Seq `json:"to" minimum:"1" doc:"number of the commit whose rows and folder come back"`
}

// Event says how far long work is.
type Event struct {
	Phase   string  `json:"phase" doc:"read, transform, verify, publish, …"`
	Product string  `json:"product,omitempty"`
	Table   string  `json:"table,omitempty"`
	Rows    int64   `json:"rows,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Total   int64   `json:"total,omitempty" doc:"bytes expected, 0 where that is unknown"`
	Rate    float64 `json:"rate,omitempty" doc:"rows per second"`
	Left    float64 `json:"left,omitempty" doc:"seconds left, 0 where that is unknown"`
	Text    string  `json:"text,omitempty"`
}

// NodeStatus is the node and its products.
type NodeStatus struct {
	Name     string           `json:"name"`
	Domains  []string         `json:"domains"`
	Version  string           `json:"version"`
	Env      string           `json:"env,omitempty"`
	Started  time.Time        `json:"started"`
	Address  string           `json:"address" doc:"URL of the API"`
	Products []ProductSummary `json:"products"`
	Todo     string           `json:"todo,omitempty" doc:"the one thing to do for the node itself"`
	Workers  WorkerStatus     `json:"workers"`
	Memory   int64            `json:"memory" doc:"bytes the node's own process holds"`
	Disk     DiskStatus       `json:"disk"`
	Mesh     *MeshStatus      `json:"mesh,omitempty" doc:"absent where the node is in no mesh"`
}

// MeshStatus is the mesh in one line.
type MeshStatus struct {
	Name      string   `json:"name"`
	Peers     int      `json:"peers" doc:"other nodes"`
	Reachable int      `json:"reachable" doc:"those of them that can be reached now"`
	Conflicts []string `json:"conflicts,omitempty" doc:"domains that are claimed twice"`
}

// WorkerStatus counts the worker processes.
type WorkerStatus struct {
	Running int   `json:"running"`
	Idle    int   `json:"idle"`
	Waiting int   `json:"waiting" doc:"questions waiting for a worker"`
	Memory  int64 `json:"memory" doc:"bytes the workers may use together"`
}

// DiskStatus says what the data folder takes.
type DiskStatus struct {
	Path string `json:"path"`
	Used int64  `json:"used" doc:"bytes of this node's data"`
	Free int64  `json:"free" doc:"bytes free on its file system"`
}

// Scope is what a token may be used for.
type Scope string

// The scopes of tokens.
const (
	ScopeRead    Scope = "read"    // ask and look
	ScopeApply   Scope = "apply"   // apply folders and see the status, nothing else: for CI
	ScopeMetrics Scope = "metrics" // read /metrics, nothing else: for a watching service
	ScopeLineage Scope = "lineage" // tell of lineage outside, nothing else: for other tools
	ScopeAdmin   Scope = "admin"   // everything
)

// Identity is whose token a request brought.
type Identity struct {
	Subject weft.Subject
	Token   string // the token's name, never its text
	Scopes  []Scope
}

// May reports whether the identity holds one of the scopes; admin holds all.
func (i *Identity) May(any ...Scope) bool {
	for _, have := range i.Scopes {
		if have == ScopeAdmin {
			return true
		}
		for _, want := range any {
			if have == want {
				return true
			}
		}
	}
	return false
}

// TokenRequest asks for a token.
type TokenRequest struct {
	Name    string     `json:"name" minLength:"1" maxLength:"64" pattern:"^[a-z0-9][a-z0-9_.-]*$" doc:"how the token is called in lists and logs"`
	Scopes  []Scope    `json:"scopes" minItems:"1" doc:"read, apply, metrics, lineage, admin"`
	Domains []string   `json:"domains,omitempty" maxItems:"16" doc:"the domains that it is for: it reads what they may read, and applies their folders only; those of the node where it is absent"`
	Expires *time.Time `json:"expires,omitempty" doc:"never where it is absent"`
}

// TokenInfo describes a token without its text.
type TokenInfo struct {
	Name     string     `json:"name"`
	Scopes   []Scope    `json:"scopes"`
	Domains  []string   `json:"domains,omitempty" doc:"the domains that it is for; those of the node where it is absent"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"lastUsed,omitempty"`
}

// NewToken is a token just made; this is the only time its text is shown.
type NewToken struct {
	TokenInfo
	Token string `json:"token"`
}
