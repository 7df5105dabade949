package weft

import (
	"cmp"
	"encoding/hex"
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
	// AsOf is the time that was asked for, where the product's origin chose the commit
	// by its own clock; zero where the commit itself was asked for, or the newest.
	AsOf time.Time `json:"asOf,omitzero"`
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
	slices.SortStableFunc(d, func(a, b Point) int { return cmp.Compare(a.Product.String(), b.Product.String()) })
	return d
}

// AsOf is the time that the origins were asked for, each of which chose its commit by
// its own clock; zero where no time was asked for, or several were.
func (c Cut) AsOf() (t time.Time) {
	for _, p := range c {
		if !p.AsOf.IsZero() && !t.IsZero() && !p.AsOf.Equal(t) {
			return time.Time{}
		}
		if !p.AsOf.IsZero() {
			t = p.AsOf
		}
	}
	return t
}

// Refs are what names the points of the cut, with whole hashes.
func (c Cut) Refs() []CutRef {
	refs := make([]CutRef, len(c))
	for i, p := range c {
		refs[i] = CutRef{Product: p.Product, Incarnation: p.Incarnation, Seq: p.Seq, HashPrefix: slices.Clone(p.Hash[:])}
	}
	return refs
}

// String prints the cut for people: "sales.orders#12 places.stores#3".
func (c Cut) String() string {
	var w []string
	for _, p := range c {
		w = append(w, p.Product.String()+p.Seq.String())
	}
	return strings.Join(w, " ")
}
