package weft

import (
	"context"
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
}

// At fixes the state that is read: a time, a cut, or neither for now.
type At struct {
	Time time.Time
	Cut  []CutRef
}

// IsZero reports whether At means now.
func (a At) IsZero() bool { return a.Time.IsZero() && len(a.Cut) == 0 }

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
