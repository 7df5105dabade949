package serve

import (
	"context"

	"weft"
)

// Plans say how questions are answered.
type Plans interface {
	// Explain says how q is answered. With analyze it is answered, and its rows are
	// counted and dropped; else no other node is asked anything.
	Explain(ctx context.Context, q weft.Question, analyze bool) (*weft.Plan, error)
}

// ExplainRequest is a question that is to be explained.
type ExplainRequest struct {
	QueryRequest
	Analyze bool `json:"analyze,omitempty" doc:"run the question as well, and say what was measured; its rows are dropped"`
}
