package weft

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Seq numbers the commits of a product from 1; 0 is before the first.
type Seq uint64

// String returns the way a commit is written: "#1842".
func (s Seq) String() string { return "#" + strconv.FormatUint(uint64(s), 10) }

// ParseSeq reads "#1842" or "1842".
func ParseSeq(s string) (Seq, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 10, 63)
	if err != nil {
		return 0, Errorf(KindInvalid, "read the commit", s, "a commit is a number like #12")
	}
	return Seq(n), nil
}

// Hash is a SHA-256 digest.
type Hash [32]byte

// String returns the digest in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Short returns the first eight hexadecimal digits.
func (h Hash) Short() string { return hex.EncodeToString(h[:4]) }

// MarshalText writes the digest in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads a digest in hexadecimal.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != 64 {
		return Errorf(KindInvalid, "read the hash", "", "a SHA-256 digest has 64 hexadecimal digits, this has %d", len(b))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// Point is the state of one product: which chain, how far, and the head's hash
// as proof.
type Point struct {
	Product     Name      `json:"product"`
	ID          string    `json:"id"`          // the product's random, immutable identity
	Incarnation uint32    `json:"incarnation"` // raised by restore, move or re-creation
	Seq         Seq       `json:"seq"`
	Hash        Hash      `json:"hash"`
	Time        time.Time `json:"time"` // the commit's time
}

// Cut is one state of many products, ordered by address. The same cut gives
// the same rows.
type Cut []Point

// Find returns the point of product n.
func (c Cut) Find(n Name) (Point, bool) {
	for _, p := range c {
		if p.Product == n {
			return p, true
		}
	}
	return Point{}, false
}

// Sorted returns a copy of c ordered by address.
func (c Cut) Sorted() Cut {
	d := slices.Clone(c)
	slices.SortFunc(d, func(a, b Point) int { return cmp.Compare(a.Product.String(), b.Product.String()) })
	return d
}

// String prints the cut for people: "sales.orders#12 places.stores#3".
func (c Cut) String() string {
	var w []string
	for _, p := range c {
		w = append(w, p.Product.String()+p.Seq.String())
	}
	return strings.Join(w, " ")
}

// cutPrefix starts every token, with the token's format version.
const cutPrefix = "cut1_"

// Token returns the cut as one self-contained word that can be mailed with the
// question. ParseCut reads it.
func (c Cut) Token() string {
	type short struct {
		P string `json:"p"`
		I uint32 `json:"i,omitempty"`
		S Seq    `json:"s"`
		H string `json:"h"`
	}
	ps := make([]short, 0, len(c))
	for _, p := range c.Sorted() {
		ps = append(ps, short{p.Product.String(), p.Incarnation, p.Seq, hex.EncodeToString(p.Hash[:8])})
	}
	b, _ := json.Marshal(ps) // a slice of strings and numbers always encodes
	return cutPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// CutRef is what a cut's token or text says of one product: enough to find the
// point and to notice when it is no longer the same one.
type CutRef struct {
	Product     Name
	Incarnation uint32
	Seq         Seq
	HashPrefix  []byte // empty where the text gave none
}

// ParseCut reads a token, or text such as "sales.orders#12,places.stores#3".
func ParseCut(s string) ([]CutRef, error) {
	bad := func(why string) ([]CutRef, error) {
		return nil, Errorf(KindInvalid, "read the cut", "", "%s", why).
			WithHint("a cut is a token (cut1_…) as an answer prints it, or text like sales.orders#12")
	}
	if len(s) > 64<<10 {
		return bad("it is longer than 64 KB")
	}
	var refs []CutRef
	if rest, ok := strings.CutPrefix(s, cutPrefix); ok {
		b, err := base64.RawURLEncoding.DecodeString(rest)
		if err != nil {
			return bad("the token is not whole")
		}
		var ps []struct {
			P Name   `json:"p"`
			I uint32 `json:"i"`
			S Seq    `json:"s"`
			H string `json:"h"`
		}
		if err := json.Unmarshal(b, &ps); err != nil {
			return bad("the token is not whole")
		}
		for _, p := range ps {
			h, err := hex.DecodeString(p.H)
			if err != nil || p.P.IsZero() {
				return bad("the token is not whole")
			}
			refs = append(refs, CutRef{p.P, p.I, p.S, h})
		}
		return refs, nil
	}
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, q, ok := strings.Cut(w, "#")
		if !ok {
			return bad(fmt.Sprintf("%q names no commit", w))
		}
		name, err := ParseName(n)
		if err != nil {
			return nil, err
		}
		seq, err := ParseSeq(q)
		if err != nil {
			return nil, err
		}
		refs = append(refs, CutRef{Product: name, Seq: seq})
	}
	if len(refs) == 0 {
		return bad("it is empty")
	}
	return refs, nil
}
