package receipt

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"weft"
	"weft/sign"
)

// Bounds of a receipt; what is larger is refused before it is read.
const (
	MaxReceipt = 8 << 20  // bytes of a receipt
	MaxPart    = 64 << 10 // bytes of a part
	maxParts   = 256
	maxReads   = 1024 // points of one part
	maxText    = 1000 // bytes of any word or sentence
)

// Read is one state of a product that was read, and the contract that held there.
type Read struct {
	weft.Point
	Version  string    `json:"version,omitempty"` // of the contracts, as the owner numbers them
	Contract weft.Hash `json:"contract"`          // hash of the output contracts, as the commit carries it
}

// Restriction is what was left of a table for whoever asked.
type Restriction struct {
	Product weft.Name `json:"product"`
	Table   string    `json:"table"`
	Filter  bool      `json:"filter,omitempty"` // rows were left out
	Masks   []Mask    `json:"masks,omitempty"`
}

// Mask is a column whose values were not given as they are.
type Mask struct {
	Column string `json:"column"`
	Action string `json:"action"` // of the closed vocabulary of read restrictions
}

// PartFacts are what a node says of the rows that it gave to an answer.
type PartFacts struct {
	Asker weft.KeyID `json:"asker"` // the node that asked it; the node itself for its own rows
	// Nonce is the question's, so that the part of another question cannot stand here.
	Nonce weft.Hash `json:"nonce"`
	Text  weft.Hash `json:"text"` // TextDigest of what the node was asked
	Reads []Read    `json:"reads"`
	// Restrictions are what was applied; none were where it is empty.
	Restrictions []Restriction `json:"restrictions"`
	Rows         int64         `json:"rows"`
	// Copies are the products that the node read from a copy that it keeps of them: it
	// is not their origin and speaks for itself alone.
	Copies []weft.Name `json:"copies,omitempty"`
	Time   time.Time   `json:"time"` // by the node's clock
}

// Part is PartFacts as they were signed.
type Part struct {
	Node weft.KeyID `json:"node"` // who gave the rows and signs
	PartFacts
}

// partContext is what the signature of a part is for.
const partContext = "receipt part 1"

// signedPart is a part as it is written: the signature is of the canonical form of part,
// so that the way that JSON is laid out does not matter while it travels.
type signedPart struct {
	Part      json.RawMessage `json:"part"`
	Signature string          `json:"signature"`
}

// TextDigest is the digest of a text that was asked, over the question's nonce: without
// the text nobody sees from two receipts that they are of the same question.
func TextDigest(nonce weft.Hash, sql string) weft.Hash {
	return sign.Digest([]byte("weft question 1\x00"), nonce[:], []byte(sql))
}

// SignPart signs what a node gave to an answer.
func SignPart(key sign.Key, f PartFacts) (json.RawMessage, error) {
	if f.Reads == nil {
		f.Reads = []Read{}
	}
	if f.Restrictions == nil {
		f.Restrictions = []Restriction{}
	}
	f.Reads = slices.Clone(f.Reads)
	for i := range f.Reads {
		f.Reads[i].Time, f.Reads[i].AsOf = f.Reads[i].Time.UTC(), f.Reads[i].AsOf.UTC()
		f.Reads[i].Version = clip(f.Reads[i].Version)
	}
	f.Time = f.Time.UTC().Truncate(time.Microsecond)
	text, err := sign.Canonical(Part{Node: key.ID(), PartFacts: f})
	if err != nil {
		return nil, err
	}
	raw, err := sign.Canonical(signedPart{Part: text, Signature: hex.EncodeToString(key.Sign(partContext, text))})
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxPart || len(f.Reads) > maxReads {
		return nil, weft.Errorf(weft.KindLimit, "sign the part of a receipt", "", "it has %d bytes for %d products, and %d bytes are the most", len(raw), len(f.Reads), MaxPart)
	}
	return raw, nil
}

// OpenPart reads a part and verifies its signature. It says nothing of whether its node
// may speak for the products. Errors are of KindInvalid.
func OpenPart(raw []byte) (*Part, error) {
	if len(raw) > MaxPart {
		return nil, badPart("it has %d bytes, and %d is the most", len(raw), MaxPart)
	}
	var s signedPart
	if err := json.Unmarshal(raw, &s); err != nil || len(s.Part) == 0 {
		return nil, badPart("it is no part of a receipt")
	}
	text, err := sign.Canonical(s.Part)
	if err != nil {
		return nil, badPart("it is not JSON as it should be")
	}
	whole, err := sign.Canonical(json.RawMessage(raw))
	if again, err2 := sign.Canonical(s); err != nil || err2 != nil || !bytes.Equal(whole, again) {
		return nil, badPart("it says more than was signed")
	}
	p := &Part{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, badPart("it does not say what a part says")
	}
	sig, ok := readHex(s.Signature)
	if !ok || !sign.Verify(p.Node, sig, partContext, text) {
		return nil, badPart("its signature is not that of node %s", p.Node.Short())
	}
	return p, p.check()
}

// check holds what a part says against its bounds.
func (p *Part) check() error {
	switch {
	case len(p.Reads) > maxReads:
		return badPart("it names %d states of products, and %d is the most", len(p.Reads), maxReads)
	case p.Rows < 0 || p.Time.IsZero():
		return badPart("it says neither how many rows there were nor when")
	}
	for _, r := range p.Reads {
		if r.Product.IsZero() || len(r.Version) > maxText || len(r.ID) > maxText {
			return badPart("it names a product in no form that there is")
		}
	}
	for _, r := range p.Restrictions {
		if r.Product.IsZero() || weft.CheckName(r.Table) != nil || len(r.Masks) > maxReads {
			return badPart("it restricts what is no table")
		}
	}
	return nil
}

func badPart(format string, args ...any) error {
	return weft.Errorf(weft.KindInvalid, "read the part of a receipt", "", format, args...)
}

// readHex reads a signature: of the ways to write hexadecimal only one counts, so that
// no byte can be another.
func readHex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil && hex.EncodeToString(b) == s
}

// clip bounds a word that an owner chose.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return string(bytes.ToValidUTF8([]byte(s), []byte("?")))
}
