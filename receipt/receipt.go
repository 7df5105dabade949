package receipt

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"weft"
	"weft/sign"
)

// Format is the version of the receipts that this program writes.
const Format = 1

// Facts are what the answering node says of an answer, besides what the parts say.
type Facts struct {
	Request string // the request's id at the answering node
	Mesh    weft.Hash
	Nonce   weft.Hash
	SQL     string // of which the receipt has the digest alone
	Purpose string
	Result  Result
	// Warnings are what the reader was told of the answer, missing parts among them.
	Warnings []Warning
	Parts    []json.RawMessage // as Collect returns them
	// Records prove, from the mesh's identity on, whose keys have signed.
	Records [][]byte
	Time    time.Time
}

// Result is the answer as it went out.
type Result struct {
	Format string    `json:"format"` // csv, parquet and so on
	Rows   int64     `json:"rows"`
	Bytes  int64     `json:"bytes"`
	Hash   weft.Hash `json:"hash"` // SHA-256 of exactly these bytes
}

// Warning is what the reader of an answer was told of it.
type Warning struct {
	Kind    string `json:"kind"`
	Product string `json:"product,omitempty"`
	Message string `json:"message"`
}

// Receipt is the signed proof of an answer.
type Receipt struct {
	Format   int        `json:"format"`
	Request  string     `json:"request"`
	Node     weft.KeyID `json:"node"`          // who answered and signs
	Mesh     weft.Hash  `json:"mesh,omitzero"` // absent where the node was in none
	Time     time.Time  `json:"time"`          // by the node's clock
	Nonce    weft.Hash  `json:"nonce"`         // random
	Question weft.Hash  `json:"question"`      // TextDigest of the question
	Purpose  string     `json:"purpose,omitempty"`
	Reads    []Read     `json:"reads"` // of all parts, by product and commit
	Result   Result     `json:"result"`
	Warnings []Warning  `json:"warnings"`
	// Parts are as the nodes that gave the rows signed them; OpenPart reads one.
	Parts   []json.RawMessage `json:"parts"`
	Records [][]byte          `json:"records"` // in base64, each as nodes hold it
}

// receiptContext is what the signature of a receipt is for.
const receiptContext = "receipt 1"

// A receipt's file is the receipt as indented JSON with one member more, the signature,
// which is of all bytes before it. There is one way alone to write a receipt.
const (
	beforeSignature = ",\n  \"signature\": \""
	afterSignature  = "\"\n}\n"
	signatureHex    = 128
)

// Sign makes the receipt of an answer.
func Sign(key sign.Key, f Facts) ([]byte, error) {
	r := &Receipt{
		Format: Format, Request: f.Request, Node: key.ID(), Mesh: f.Mesh, Time: f.Time.UTC().Truncate(time.Microsecond), Nonce: f.Nonce,
		Question: TextDigest(f.Nonce, f.SQL), Purpose: clip(f.Purpose), Result: f.Result, Warnings: []Warning{}, Parts: f.Parts, Records: f.Records,
	}
	for _, w := range f.Warnings {
		r.Warnings = append(r.Warnings, Warning{clip(w.Kind), clip(w.Product), clip(w.Message)})
	}
	if r.Parts == nil {
		r.Parts = []json.RawMessage{}
	}
	if r.Records == nil {
		r.Records = [][]byte{}
	}
	parts, err := r.openParts()
	if err != nil {
		return nil, err
	}
	r.Reads = readsOf(parts)
	text, err := r.text()
	if err != nil {
		return nil, err
	}
	b := append(bytes.Clone(text), beforeSignature...)
	b = append(append(b, hex.EncodeToString(key.Sign(receiptContext, text))...), afterSignature...)
	if len(b) > MaxReceipt {
		return nil, weft.Errorf(weft.KindLimit, "sign the receipt", "", "it has %d bytes, and %d are the most", len(b), MaxReceipt)
	}
	return b, nil
}

// text is what is signed: the receipt's JSON without its last brace.
func (r *Receipt) text() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, weft.Errorf(weft.KindInternal, "write the receipt", "", "%w", err)
	}
	return bytes.TrimSuffix(b, []byte("\n}")), nil
}

// Open reads a receipt and verifies the signature of the node that it names, and that no
// byte of it is other than this program would have written. It says nothing of whether
// that node is one to trust. Errors are of KindContract: the receipt is not valid.
func Open(raw []byte) (*Receipt, error) {
	if len(raw) > MaxReceipt {
		return nil, invalid("it has %d bytes, and %d is the most", len(raw), MaxReceipt)
	}
	n := len(raw) - len(beforeSignature) - signatureHex - len(afterSignature)
	if n < 2 || !bytes.HasSuffix(raw, []byte(afterSignature)) || string(raw[n:n+len(beforeSignature)]) != beforeSignature {
		return nil, invalid("it does not end as a receipt ends").WithHint("the file must be as weft wrote it, to the byte")
	}
	text := raw[:n]
	sig, ok := readHex(string(raw[n+len(beforeSignature) : len(raw)-len(afterSignature)]))
	if !ok {
		return nil, invalid("its signature is none")
	}
	r := &Receipt{}
	if err := json.Unmarshal(append(bytes.Clone(text), "\n}"...), r); err != nil {
		return nil, invalid("it is no receipt")
	}
	if r.Format > Format {
		return nil, invalid("it is of format %d, which a newer version of weft writes", r.Format).WithHint("use that version")
	}
	if !sign.Verify(r.Node, sig, receiptContext, text) {
		return nil, invalid("the signature is not that of node %s over these bytes", r.Node.Short())
	}
	// What is shown must be all that was signed: no member twice, none unknown.
	if again, err := r.text(); err != nil || !bytes.Equal(again, text) {
		return nil, invalid("its node wrote it in another way than there is")
	}
	return r, r.check()
}

// check holds what a receipt says against its bounds, and against its parts.
func (r *Receipt) check() error {
	if r.Format < 1 || r.Time.IsZero() || r.Nonce == (weft.Hash{}) || r.Result.Bytes < 0 || r.Result.Rows < 0 {
		return invalid("it does not say what a receipt says")
	}
	words := []string{r.Request, r.Purpose, r.Result.Format}
	for _, w := range r.Warnings {
		words = append(words, w.Kind, w.Product, w.Message)
	}
	for _, w := range words {
		if len(w) > maxText {
			return invalid("a word in it has more than %d bytes", maxText)
		}
	}
	parts, err := r.openParts()
	if err != nil {
		return err
	}
	for i, p := range parts {
		if why := r.belongs(p); why != "" {
			return invalid("part %d, of node %s, %s", i+1, p.Node.Short(), why)
		}
	}
	if !slices.EqualFunc(readsOf(parts), r.Reads, sameRead) {
		return invalid("the states that it names are not those of its parts")
	}
	return nil
}

// belongs says why a part is none of this receipt.
func (r *Receipt) belongs(p *Part) string {
	switch {
	case p.Asker != r.Node:
		return "was asked by another node"
	case p.Nonce != r.Nonce:
		return "is of another question"
	}
	return ""
}

func (r *Receipt) openParts() (parts []*Part, err error) {
	if len(r.Parts) > maxParts {
		return nil, invalid("it has %d parts, and %d is the most", len(r.Parts), maxParts)
	}
	for i, raw := range r.Parts {
		p, err := OpenPart(raw)
		if err != nil {
			return nil, &weft.Error{Op: "read the receipt", Kind: weft.KindContract, Message: fmt.Sprintf("part %d", i+1), Cause: err}
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// readsOf are the states that the parts have read, each once, in one order.
func readsOf(parts []*Part) []Read {
	reads := []Read{}
	for _, p := range parts {
		reads = append(reads, p.Reads...)
	}
	slices.SortFunc(reads, func(a, b Read) int {
		return cmp.Or(strings.Compare(a.Product.String(), b.Product.String()), cmp.Compare(a.Incarnation, b.Incarnation),
			cmp.Compare(a.Seq, b.Seq), slices.Compare(a.Hash[:], b.Hash[:]), slices.Compare(a.Contract[:], b.Contract[:]), strings.Compare(a.Version, b.Version), a.Time.Compare(b.Time), a.AsOf.Compare(b.AsOf))
	})
	return slices.CompactFunc(reads, sameRead)
}

// sameRead reports whether two reads say the same. A time may be written in any zone.
func sameRead(a, b Read) bool {
	return samePoint(a.Point, b.Point) && a.Time.Equal(b.Time) && a.AsOf.Equal(b.AsOf) && a.Version == b.Version && a.Contract == b.Contract
}

// Cut is the state that was read: asked again at it the question has the same answer.
func (r *Receipt) Cut() weft.Cut {
	c := weft.Cut{}
	for _, x := range r.Reads {
		c = append(c, x.Point)
	}
	return c
}

func invalid(format string, args ...any) *weft.Error {
	return weft.Errorf(weft.KindContract, "verify the receipt", "", format, args...)
}
