package serve

import (
	"context"
	"time"

	"weft"
)

// Meter tells what questions take and what consumers have used.
type Meter interface {
	// Quote says what a question takes and whether it would be let in now; nothing of
	// it runs. It fails as the question would.
	Quote(ctx context.Context, q weft.Question) (*Quote, error)
	// Usage sums what was used, of days. The door sets Owner for owners only.
	Usage(ctx context.Context, s weft.Subject, r UsageRequest) (*UsageReport, error)
}

// Quote is the price of a question, at all nodes that it reads at together.
type Quote struct {
	Cut      string        `json:"cut" doc:"the cut's token: ask with at= and the price is of what is read"`
	CutText  string        `json:"cutText"`
	Rows     int64         `json:"rows" doc:"of the tables that the question names, at the cut"`
	Bytes    int64         `json:"bytes" doc:"that these rows take where they are kept"`
	Seconds  float64       `json:"seconds" doc:"that it is thought to have a worker, from what questions like it have taken"`
	Products []QuoteRead   `json:"products" doc:"what is read of each product"`
	Budgets  []QuoteBudget `json:"budgets" doc:"those that the question comes under, here and at other nodes"`
	Fits     bool          `json:"fits" doc:"it would be let in now"`
	Refusal  *Problem      `json:"refusal,omitempty" doc:"why it would not be let in"`
	// Warnings are of other nodes' parts that have no price, where some may be missing.
	Warnings []weft.Warning `json:"warnings,omitempty" doc:"what is not in the price, where allowPartial is set: parts of nodes that do not answer"`
}

// QuoteNode says whose part of a quote something is.
type QuoteNode struct {
	Node     *weft.KeyID `json:"node,omitempty" doc:"the other node whose it is; absent for this one"`
	NodeName string      `json:"nodeName,omitempty" doc:"what that node is called"`
}

// QuoteRead is what a question reads of a product.
type QuoteRead struct {
	QuoteNode
	Product weft.Name `json:"product"`
	Rows    int64     `json:"rows"`
	Bytes   int64     `json:"bytes"`
}

// QuoteBudget is how the one who asks stands under a budget.
type QuoteBudget struct {
	QuoteNode
	Name    string       `json:"name"`
	For     string       `json:"for" doc:"whom it is for, as weft.yaml says it"`
	Counted string       `json:"counted" doc:"whose use is counted together: a subject, a node's key or a domain"`
	Per     string       `json:"per,omitempty" doc:"the span of time that counts"`
	Limits  []QuoteLimit `json:"limits"`
	Fits    bool         `json:"fits"`
	Free    *time.Time   `json:"free,omitempty" doc:"when it fits; absent where it does, or never will"`
}

// QuoteLimit is one limit of a budget.
type QuoteLimit struct {
	Of    string  `json:"of" enum:"rows,bytes,seconds,concurrent"`
	Limit float64 `json:"limit"`
	Takes float64 `json:"takes" doc:"what the question is thought to take of it"`
	Used  float64 `json:"used" doc:"with what those that run now are thought to take"`
	Left  float64 `json:"left"`
}

// UsageBy says what usage is summed by.
type UsageBy string

// What usage can be summed by.
const (
	UsageByConsumer UsageBy = "consumer"
	UsageByProduct  UsageBy = "product"
	UsageByDay      UsageBy = "day"
)

// UsageRequest says which usage is wanted.
type UsageRequest struct {
	By    UsageBy
	Since *time.Time // the first day, in UTC; nil is 30 days ago
	Limit int        // lines
	Owner bool       // not what the subject itself has used, but what others have of its products
}

// UsageReport is the answer of GET /api/v1/usage.
type UsageReport struct {
	By    UsageBy     `json:"by" enum:"consumer,product,day"`
	Since string      `json:"since" doc:"the first day, in UTC"`
	Usage []UsageLine `json:"usage" doc:"the most seconds first, and days the newest first"`
}

// UsageLine is what was used by one consumer, of one product or on one day.
type UsageLine struct {
	Day        string           `json:"day,omitempty"`
	Node       *weft.KeyID      `json:"node,omitempty" doc:"the node that asked; absent for this one"`
	NodeName   string           `json:"nodeName,omitempty" doc:"what that node calls itself"`
	Kind       weft.SubjectKind `json:"kind,omitempty" doc:"of the subject"`
	Subject    string           `json:"subject,omitempty" doc:"(others) where there were too many to tell apart"`
	Domains    []string         `json:"domains,omitempty" doc:"of the subject"`
	Purpose    string           `json:"purpose,omitempty"`
	Product    string           `json:"product,omitempty" doc:"absent where questions name none"`
	Questions  int64            `json:"questions"`
	Refused    int64            `json:"refused" doc:"by a budget"`
	Rows       int64            `json:"rows" doc:"read"`
	Bytes      int64            `json:"bytes" doc:"read"`
	Seconds    float64          `json:"seconds" doc:"with a worker"`
	GivenRows  int64            `json:"givenRows" doc:"of the answers"`
	GivenBytes int64            `json:"givenBytes" doc:"of the answers"`
}
