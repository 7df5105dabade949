package sign

import (
	"bytes"
	"encoding/json"
	"time"

	"weft"
)

// Bounds of a record; one that is larger is refused before anything is read.
const (
	MaxRecord = 256 << 10 // bytes of a whole record
	maxHead   = 4 << 10   // bytes of its first line
	maxSigner = 16        // signatures
	maxKey    = 300       // bytes of Head.Key
)

// RecordFormat is the version of the records that this program writes.
const RecordFormat = 1

// Head is the first line of a record: what it is about. Of two records of one mesh,
// kind and key the one with the greater version holds.
type Head struct {
	Format  int          `json:"format"` // of the record; readers keep and pass on what they do not know
	Mesh    weft.Hash    `json:"mesh"`   // the mesh it belongs to, zero in the charter that founds one
	Kind    string       `json:"kind"`
	Key     string       `json:"key"`     // what of that kind it is about
	Version uint64       `json:"version"` // from 1
	Time    time.Time    `json:"time"`    // by the signer's clock, which may be wrong
	Signers []weft.KeyID `json:"signers"` // whose signatures follow, in order
}

// Record is a signed statement that travels between nodes. Its bytes are two lines of
// canonical JSON, the head and the body, and then 64 bytes of signature for each
// signer: what was signed is what is kept and passed on, byte for byte. A Record is
// never changed and may be shared.
type Record struct {
	Head
	body []byte
	raw  []byte
	hash weft.Hash
}

// Body is the second line; it must not be changed.
func (r *Record) Body() []byte { return r.body }

// Raw are all bytes of the record; they must not be changed.
func (r *Record) Raw() []byte { return r.raw }

// Hash is the digest of Raw, by which a record is known.
func (r *Record) Hash() weft.Hash { return r.hash }

// Decode reads the body into v. Fields that v does not have are ignored: a newer
// program may have written them.
func (r *Record) Decode(v any) error {
	if err := json.Unmarshal(r.body, v); err != nil {
		return weft.Errorf(weft.KindInvalid, "read the record", r.Kind+" "+r.Key, "%w", err)
	}
	return nil
}

// recordContext is what a record's signature is for.
const recordContext = "record 1"

// Seal writes and signs a record with every key. Format and Signers of h are filled.
func Seal(h Head, body any, keys ...Key) (*Record, error) {
	signers := make([]weft.KeyID, len(keys))
	for i, k := range keys {
		signers[i] = k.ID()
	}
	raw, err := Draft(h, body, signers...)
	if err != nil {
		return nil, err
	}
	text := raw[:len(raw):len(raw)]
	for _, k := range keys {
		raw = append(raw, SignDraft(text, k)...)
	}
	return Open(raw)
}

// Draft writes a record without its signatures, for signers that are not in one place:
// each signs it (SignDraft), and behind it the signatures follow in the signers' order.
func Draft(h Head, body any, signers ...weft.KeyID) ([]byte, error) {
	h.Format, h.Signers = RecordFormat, signers
	h.Time = h.Time.UTC().Truncate(time.Microsecond)
	head, err := Canonical(h)
	if err != nil {
		return nil, err
	}
	b, err := Canonical(body)
	if err != nil {
		return nil, err
	}
	return append(append(append(head, '\n'), b...), '\n'), nil
}

// SignDraft is the key's signature of a draft.
func SignDraft(draft []byte, k Key) []byte { return k.Sign(recordContext, draft) }

// Open reads a record and verifies all its signatures; the record keeps raw. It says
// nothing of whether the signers may say what they say. Errors are of KindInvalid.
func Open(raw []byte) (*Record, error) {
	r, err := Peek(raw)
	if err == nil {
		err = r.Verify()
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Verify verifies all signatures of what Peek read.
func (r *Record) Verify() error {
	n := len(r.raw) - 64*len(r.Signers)
	text, sigs := r.raw[:n], r.raw[n:]
	for i, id := range r.Signers {
		if !Verify(id, sigs[64*i:64*i+64], recordContext, text) {
			return invalid("signature %d is not that of %s", i+1, id.Short())
		}
	}
	return nil
}

// Peek reads a record without verifying its signatures: for bytes that were verified
// when they came.
func Peek(raw []byte) (*Record, error) {
	if len(raw) > MaxRecord {
		return nil, invalid("it has %d bytes, and %d is the most", len(raw), MaxRecord)
	}
	return PeekAs(raw, Digest(raw))
}

// PeekAs is Peek for who knows the digest of raw already.
func PeekAs(raw []byte, hash weft.Hash) (*Record, error) {
	if len(raw) > MaxRecord {
		return nil, invalid("it has %d bytes, and %d is the most", len(raw), MaxRecord)
	}
	first := bytes.IndexByte(raw, '\n')
	if first < 0 || first > maxHead {
		return nil, invalid("it has no head")
	}
	r := &Record{raw: raw, hash: hash}
	if err := json.Unmarshal(raw[:first], &r.Head); err != nil {
		return nil, invalid("its head is not JSON as it should be")
	}
	second := bytes.IndexByte(raw[first+1:], '\n')
	switch {
	case second < 0:
		return nil, invalid("it has no body")
	case r.Format < 1:
		return nil, invalid("it has no format")
	case r.Kind == "" || len(r.Kind) > 30 || len(r.Key) > maxKey || r.Version == 0 || r.Version > 1<<62:
		return nil, invalid("its kind, key or version is out of bounds")
	case len(r.Signers) == 0 || len(r.Signers) > maxSigner:
		return nil, invalid("it has %d signers", len(r.Signers))
	}
	r.body = raw[first+1 : first+1+second]
	if len(raw)-(first+1+second+1) != 64*len(r.Signers) {
		return nil, invalid("its signatures are not whole")
	}
	if !json.Valid(r.body) {
		return nil, invalid("its body is no JSON")
	}
	return r, nil
}

// Recall reads a record that this program kept together with its digest, after it had
// verified it: nothing is verified and nothing worked out again.
func Recall(raw []byte, hash weft.Hash) (*Record, error) {
	r := &Record{raw: raw, hash: hash}
	first := bytes.IndexByte(raw, '\n')
	if first < 0 || json.Unmarshal(raw[:first], &r.Head) != nil {
		return nil, invalid("it has no head")
	}
	end := len(raw) - 64*len(r.Signers) - 1
	if end <= first || raw[end] != '\n' {
		return nil, invalid("it is not whole")
	}
	r.body = raw[first+1 : end]
	return r, nil
}

func invalid(format string, args ...any) error {
	return weft.Errorf(weft.KindInvalid, "read the record", "", format, args...)
}
