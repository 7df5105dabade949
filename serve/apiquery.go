package serve

import (
	"strconv"
	"time"

	"weft"
)

// The headers that an answer carries beside its body. Cut, text and held come
// before the body; rows is a trailer and proves that the body is whole.
const (
	HeaderRequest = "Weft-Request"  // the request's id, on every answer
	HeaderCut     = "Weft-Cut"      // the cut's token: ask with at= and get the same rows
	HeaderCutText = "Weft-Cut-Text" // the cut for people: sales.orders#12
	HeaderHeld    = "Weft-Held"     // rows that the named tables hold back in quarantine
	TrailerRows   = "Weft-Rows"     // rows of the answer, after its last byte

	// TrailerWarnings is what the reader should know of the answer, as JSON; there is none
	// where there is nothing.
	TrailerWarnings = "Weft-Warnings"

	// TrailerParts is what each other node gave to the answer, as JSON; there is none where
	// this node has all of it.
	TrailerParts = "Weft-Parts"
)

// The keys under which an Arrow stream and a Parquet file carry the same.
const (
	MetaCut    = "weft.cut"    // the token
	MetaPoints = "weft.points" // the points of the cut as JSON, with whole hashes
	MetaHeld   = "weft.held"
	// MetaWarnings are the warnings as JSON, in Parquet files that have any: in a stream
	// they come after the last row.
	MetaWarnings = "weft.warnings"
)

// QueryRequest is a question as the API takes it.
type QueryRequest struct {
	SQL     string      `json:"sql" minLength:"1" maxLength:"262144" doc:"one SELECT"`
	At      string      `json:"at,omitempty" maxLength:"65536" doc:"a time, a date, a commit (sales.orders#12), a cut's token or the name of a saved one; now where it is absent"`
	Purpose string      `json:"purpose,omitempty" maxLength:"200" doc:"what the answer is for"`
	Limits  QueryLimits `json:"limits,omitzero" doc:"lower limits than the node's"`
	Receipt bool        `json:"receipt,omitempty" doc:"sign the answer: GET /api/v1/receipts/{id} gives the proof, after the last byte"`
	Quote   bool        `json:"quote,omitempty" doc:"only say what it takes and whether it would be let in: the answer is a Quote, as JSON"`

	AllowPartial bool    `json:"allowPartial,omitempty" doc:"answer without the parts that other nodes do not give, with a warning for each"`
	MaxStaleness float64 `json:"maxStaleness,omitempty" minimum:"0" maximum:"31536000" doc:"seconds: a copy here of another node's product may answer, where it was known to be current at most this long ago"`
}

// QueryLimits bounds one question; it can only lower the node's limits.
type QueryLimits struct {
	Deadline float64 `json:"deadline,omitempty" minimum:"0" maximum:"86400" doc:"seconds"`
	Memory   int64   `json:"memory,omitempty" minimum:"0" doc:"bytes"`
	Threads  int     `json:"threads,omitempty" minimum:"0" maximum:"1024"`
}

// maxDeadline is the longest that a question can ask for, in seconds.
const maxDeadline = 86400

// maxStaleness is the oldest copy that a question can ask for, in seconds.
const maxStaleness = 31_536_000

// Limits gives the limits as the gate takes them; what is out of range is the
// node's default.
func (l QueryLimits) Limits() weft.Limits {
	seconds := min(max(l.Deadline, 0), maxDeadline)
	return weft.Limits{
		Deadline: time.Duration(seconds * float64(time.Second)), Memory: max(l.Memory, 0), Threads: max(l.Threads, 0),
	}
}

// Question makes the question of r for subject s. The error is of KindInvalid.
func (r QueryRequest) Question(s weft.Subject) (weft.Question, error) {
	at, err := ParseAt(r.At)
	if err != nil {
		return weft.Question{}, err
	}
	if r.Purpose != "" {
		s.Purpose = r.Purpose
	}
	return weft.Question{
		SQL: r.SQL, Subject: s, At: at, Limits: r.Limits.Limits(), AllowPartial: r.AllowPartial,
		MaxStaleness: time.Duration(min(max(r.MaxStaleness, 0), maxStaleness) * float64(time.Second)),
	}, nil
}

// DataRequest asks for one whole table.
type DataRequest struct {
	Table  string // domain.product, or domain.product.table
	At     string // as ParseProductAt reads it
	Format Format // empty is JSON
}

// ProductList is the answer of GET /api/v1/products.
type ProductList struct {
	Products []ProductSummary `json:"products"`
}

// CommitList is the answer of GET /api/v1/products/{p}/commits.
type CommitList struct {
	Product weft.Name    `json:"product"`
	Commits []CommitInfo `json:"commits" doc:"newest first"`
	Next    weft.Seq     `json:"next,omitempty" doc:"ask with before= this for older ones; absent where there are none"`
}

// TokenList is the answer of GET /api/v1/tokens.
type TokenList struct {
	Tokens []TokenInfo `json:"tokens"`
}

// RequestOutcome says what became of a request; a reader whose answer broke off
// asks for it to learn why.
type RequestOutcome struct {
	Request string    `json:"request"`
	Status  int       `json:"status" doc:"as it was sent before the body"`
	Rows    int64     `json:"rows" doc:"rows written"`
	Bytes   int64     `json:"bytes" doc:"bytes written"`
	Ended   time.Time `json:"ended"`
	Error   *Problem  `json:"error,omitempty" doc:"why the answer broke off; absent where it is whole"`

	Parts    []Gave         `json:"parts,omitempty" doc:"what each other node gave to the answer"`
	Warnings []weft.Warning `json:"warnings,omitempty" doc:"what the reader of the answer should know"`
}

// Step is one line of a streamed apply or refresh: events, then exactly one
// result or error. A stream without that last line was broken.
type Step[T any] struct {
	Event  *Event   `json:"event,omitempty"`
	Result *T       `json:"result,omitempty"`
	Error  *Problem `json:"error,omitempty"`
}

// FormatHeld writes a number of rows for a header.
func FormatHeld(n int64) string { return strconv.FormatInt(n, 10) }
