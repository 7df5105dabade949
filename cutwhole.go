package weft

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxWhole is the most bytes of a cut's whole.
const MaxWhole = 2 << 20

// The first line of a cut's whole, and how times are written in it.
const (
	wholeMagic = "weft cut 1\n"
	wholeTime  = "2006-01-02T15:04:05.000000Z"
)

// Whole is everything that the cut says, in the one form that Ref is the digest of:
// a line for each product, ordered by address. ParseWhole reads it.
func (c Cut) Whole() []byte {
	b := []byte(wholeMagic)
	for _, p := range c.Sorted() {
		b = fmt.Appendf(b, "%s %s %d %d %s %s\n", p.Product, p.ID, p.Incarnation, uint64(p.Seq), p.Hash, p.Time.UTC().Format(wholeTime))
	}
	return b
}

// Ref is the digest of the cut's whole: it stands for the cut where it has no token.
func (c Cut) Ref() Hash { return sha256.Sum256(c.Whole()) }

// ParseWhole reads a cut from its whole and holds it against the digest that it was
// asked by: bytes of another node are believed no further than that. The error is of
// KindCorrupt.
func ParseWhole(b []byte, want Hash) (Cut, error) {
	bad := func(why string) (Cut, error) {
		return nil, Errorf(KindCorrupt, "read the cut", want.Short(), "%s", why)
	}
	if len(b) > MaxWhole {
		return bad("it is longer than 2 MB")
	}
	if sha256.Sum256(b) != want {
		return bad("its digest is not the one that it was asked by")
	}
	text, ok := strings.CutPrefix(string(b), wholeMagic)
	if !ok {
		return bad("it does not start as a cut does")
	}
	var c Cut
	for line := range strings.Lines(text) {
		p, err := parsePoint(strings.TrimSuffix(line, "\n"))
		if err != nil || len(c) == maxCutPoints {
			return bad("line " + strconv.Itoa(len(c)+2) + " is no point of a product")
		}
		c = append(c, p)
	}
	if string(c.Whole()) != string(b) || checkRefs(c.Refs()) != nil {
		return bad("it is not written as a cut is")
	}
	return c, nil
}

// parsePoint reads a line of a cut's whole.
func parsePoint(line string) (p Point, err error) {
	w := strings.Split(line, " ")
	if len(w) != 6 || len(w[1]) > 200 {
		return p, strconv.ErrSyntax
	}
	if p.Product, err = ParseName(w[0]); err != nil {
		return p, err
	}
	inc, err := strconv.ParseUint(w[2], 10, 32)
	if err != nil {
		return p, err
	}
	seq, err := strconv.ParseUint(w[3], 10, 63)
	if err != nil {
		return p, err
	}
	if err := p.Hash.UnmarshalText([]byte(w[4])); err != nil {
		return p, err
	}
	p.ID, p.Incarnation, p.Seq = w[1], uint32(inc), Seq(seq)
	p.Time, err = time.Parse(wholeTime, w[5])
	return p, err
}
