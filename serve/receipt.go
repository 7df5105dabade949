package serve

import (
	"context"
	"time"

	"weft"
)

// Receipts signs answers.
type Receipts interface {
	// Receipt makes the receipt of an answer that was read to its end and not closed yet.
	// q is the question as it was asked, with its nonce. It is called once for an answer.
	Receipt(ctx context.Context, q weft.Question, a *weft.Answer, sent Sent) ([]byte, error)
	// Keys are what a receipt is verified with: who may sign what in this node's mesh, or
	// the node's own key where it is in none.
	Keys(ctx context.Context, s weft.Subject) (*MeshKeys, error)
}

// MeshKeys are what receipts are verified with: those of a mesh, or of one node that is in
// none.
type MeshKeys struct {
	Format  int        `json:"format" doc:"1"`
	Mesh    weft.Hash  `json:"mesh,omitzero" doc:"the mesh: the digest of its first charter, from which all else is proved"`
	Name    string     `json:"name,omitempty" doc:"of the mesh"`
	Node    weft.KeyID `json:"node,omitzero" doc:"the node's key, where it is in no mesh"`
	Time    time.Time  `json:"time" doc:"by the node's clock"`
	Records [][]byte   `json:"records" doc:"signed records, each in base64: charter, domains, admissions, new keys, revocations, names"`
}

// Sent is the answer as it went out.
type Sent struct {
	Request string // the request's id
	Format  Format
	Rows    int64
	Bytes   int64
	Hash    weft.Hash // SHA-256 of the bytes
}

// ReceiptKept is how long a door keeps a receipt for whoever asked.
const ReceiptKept = 10 * time.Minute
