package weft

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Question is one SELECT that a subject asks.
type Question struct {
	SQL     string
	Subject Subject
	At      At
	Limits  Limits
	// MaxStaleness lets a copy that this node keeps of another node's product answer,
	// where it was known to be current at most this long ago. Zero asks the origin.
	MaxStaleness time.Duration
	// AllowPartial lets an answer do without the parts that could not be read; each
	// is a warning.
	AllowPartial bool
	// AnyOrder lets the rows come in whatever order they are found: of a part, whose rows are
	// sorted or summed behind it.
	AnyOrder bool
	// Nonce is a random word that each part of the answer is signed with; zero where
	// nobody wants a receipt.
	Nonce Hash
}

// At fixes the state that is read: a time, a cut, or neither for now.
type At struct {
	Time time.Time
	Cut  []CutRef
	// Ref and Saved stand for a cut that a node has: one without a token, by its
	// hash, and one that was saved, by its name. The node puts the cut in their place
	// before anything is read.
	Ref   Hash
	Saved string
}

// IsZero reports whether At means now.
func (a At) IsZero() bool { return a.Time.IsZero() && len(a.Cut) == 0 && !a.Named() }

// Named reports whether At stands for a cut that a node has to look up.
func (a At) Named() bool { return a.Ref != Hash{} || a.Saved != "" }

// Limits bounds one question. Zero fields take the node's defaults; a question
// can only lower them.
type Limits struct {
	Deadline time.Duration
	Memory   int64 // bytes
	Threads  int
}

// Answer is a stream of rows and what they were read at. Schema and Cut are
// known before the first row. The caller must Close it.
type Answer struct {
	Schema *arrow.Schema
	Cut    Cut
	// Held is the number of rows that the named tables hold back in quarantine at the cut.
	Held int64
	// Rows yields batches; a batch is valid until the next one and is released
	// by the reader. An error is the last thing Err gives.
	Rows  array.RecordReader
	Close func() error
	// Warnings are what the reader should know of the answer; Parts are what each
	// node gave to it. Both may be nil for none, and are whole after the last row.
	Warnings func() []Warning
	Parts    func() []PartUse
}

// WarningKind says what a warning is about.
type WarningKind string

// The kinds of warnings.
const (
	WarnPartial WarningKind = "partial" // a part of the answer is missing
	WarnStale   WarningKind = "stale"   // a copy answered that may be behind its origin
	WarnSkew    WarningKind = "skew"    // two products were made from different states of a third
)

// Warning is something that the reader of an answer should know.
type Warning struct {
	Kind    WarningKind `json:"kind"`
	Product Name        `json:"product,omitzero"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
}

// PartUse is what one node gave to an answer.
type PartUse struct {
	Node  KeyID  `json:"node"`
	Name  string `json:"name,omitempty"` // what people call the node
	Cut   Cut    `json:"cut"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"` // on the wire
	// Text is the digest of the SQL that the node was asked.
	Text Hash `json:"text"`
	// Receipt is what the node signed of it, as it wrote it; absent where it did not.
	Receipt json.RawMessage `json:"receipt,omitempty"`
}

// Querier answers questions; it is the only way to read. Safe for concurrent use.
type Querier interface {
	Query(ctx context.Context, q Question) (*Answer, error)
}

// Follower gives the commits of a product after from, in order, and waits for
// the next until ctx ends. It is called by readers of changes, one goroutine
// each; an error ends the sequence.
type Follower interface {
	Follow(ctx context.Context, s Subject, p Name, from Seq) iter.Seq2[Commit, error]
}
