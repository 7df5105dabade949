package weft

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strings"
)

// What starts the texts of a cut, each with the version of its format.
const (
	cutPrefix    = "cut2_"    // a token
	oldCutPrefix = "cut1_"    // a token of the first format: JSON
	refPrefix    = "cutref1_" // the hash of a cut that has no token
)

// MaxToken is the most characters of a token.
const MaxToken = 199

const (
	maxCutText   = 64 << 10 // bytes of a token, or of a cut as text
	maxCutPoints = 5_000    // as many products as a question can name, and more
	proofBytes   = 8        // of a point's hash in a token that has room for them
	minProof     = 5        // of a point's hash in any token: 40 bits tell two chains apart
	sumBytes     = 2        // of the digest at a token's end: it was copied whole
)

// CutRef is what a cut's token or text says of one product: enough to find the
// point and to notice when it is no longer the same one.
type CutRef struct {
	Product     Name
	Incarnation uint32
	Seq         Seq
	HashPrefix  []byte // empty where the text gave none
}

// Token returns the cut as one word that can be mailed with the question: a
// self-contained token of at most MaxToken characters, which ParseCut reads. A cut
// that does not fit is its Ref with a prefix of its own: the node that answered
// keeps the whole.
func (c Cut) Token() string {
	if t, ok := c.token(); ok {
		return t
	}
	return RefToken(c.Ref())
}

// RefToken is the token of a cut that only its hash stands for.
func RefToken(h Hash) string { return refPrefix + h.String() }

// Fits reports whether the cut has a token that needs no node to be read.
func (c Cut) Fits() bool {
	_, ok := c.token()
	return ok
}

// token gives as much of the hashes as there is room for, up to proofBytes.
func (c Cut) token() (string, bool) {
	c = slices.CompactFunc(c.Sorted(), func(a, b Point) bool { return a.Product == b.Product })
	names, ok := packNames(c)
	if !ok || len(c) > maxCutPoints {
		return "", false
	}
	for proof := proofBytes; proof >= minProof; proof-- {
		b := []byte{byte(proof)}
		b = binary.AppendUvarint(b, uint64(len(c)))
		b = append(b, names...)
		for _, p := range c {
			if p.Seq == 0 || p.Seq > math.MaxInt64 {
				return "", false
			}
			if p.Incarnation == 1 {
				b = binary.AppendUvarint(b, uint64(p.Seq)<<1)
			} else {
				b = binary.AppendUvarint(b, uint64(p.Seq)<<1|1)
				b = binary.AppendUvarint(b, uint64(p.Incarnation))
			}
			b = append(b, p.Hash[:proof]...)
		}
		sum := sha256.Sum256(b)
		t := cutPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:sumBytes]...))
		if len(t) <= MaxToken {
			return t, true
		}
	}
	return "", false
}

// IsCut reports whether s starts as a token does, of whatever version.
func IsCut(s string) bool {
	word, _, ok := strings.Cut(s, "_")
	n := strings.TrimPrefix(strings.TrimPrefix(word, "cut"), "ref")
	return ok && strings.HasPrefix(word, "cut") && n != "" && strings.Trim(n, "0123456789") == ""
}

// ParseRef reads the hash of a cut that has no token (cutref1_…); false where s is
// something else.
func ParseRef(s string) (h Hash, ok bool) {
	rest, ok := strings.CutPrefix(s, refPrefix)
	return h, ok && h.UnmarshalText([]byte(rest)) == nil
}

// ParseCut reads a token, or text such as "sales.orders#12,places.stores#3". A
// token that is a hash is KindNotFound: a node that has the cut can tell it. The
// other errors are KindInvalid.
func ParseCut(s string) ([]CutRef, error) {
	if len(s) > maxCutText {
		return nil, badCut("it is longer than 64 KB")
	}
	if rest, ok := strings.CutPrefix(s, cutPrefix); ok {
		return parseToken(rest)
	}
	if rest, ok := strings.CutPrefix(s, oldCutPrefix); ok {
		return parseOldToken(rest)
	}
	if _, ok := ParseRef(s); ok {
		return nil, Errorf(KindNotFound, "read the cut", "", "the token is the hash of a cut, which only a node can tell").
			WithHint("a node that answered at this cut has it: weft cut show %s", s)
	}
	if IsCut(s) {
		return nil, badCut("the token is not whole, or a newer program made it")
	}
	return parseCutText(s)
}

func badCut(format string, args ...any) *Error {
	return Errorf(KindInvalid, "read the cut", "", format, args...).
		WithHint("a cut is a token (cut2_…) as an answer prints it, or text like sales.orders#12")
}

func parseCutText(s string) ([]CutRef, error) {
	var refs []CutRef
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, q, ok := strings.Cut(w, "#")
		if !ok {
			return nil, badCut("%q names no commit", w)
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
		return nil, badCut("it is empty")
	}
	return refs, checkRefs(refs)
}

// checkRefs refuses what does not fix one state of each product.
func checkRefs(refs []CutRef) error {
	seen := make(map[Name]bool, len(refs))
	for _, r := range refs {
		switch {
		case r.Seq == 0:
			return badCut("commits are counted from #1")
		case seen[r.Product]:
			return badCut("it names %s twice", r.Product)
		}
		seen[r.Product] = true
	}
	return nil
}

// parseToken reads what follows the prefix of a token.
func parseToken(s string) ([]CutRef, error) {
	notWhole := badCut("the token is not whole")
	all, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(all) < 1+sumBytes {
		return nil, notWhole
	}
	b, sum := all[:len(all)-sumBytes], all[len(all)-sumBytes:]
	if is := sha256.Sum256(b); !bytes.Equal(is[:sumBytes], sum) {
		return nil, notWhole
	}
	proof := int(b[0])
	r := &tokenReader{b: b[1:]}
	count := r.uvarint()
	if proof < minProof || proof > len(Hash{}) || count > maxCutPoints || count > uint64(len(b)) {
		return nil, notWhole
	}
	names, ok := unpackNames(r, int(count))
	if !ok {
		return nil, notWhole
	}
	refs := make([]CutRef, 0, len(names))
	for _, n := range names {
		ref := CutRef{Product: n, Incarnation: 1}
		v := r.uvarint()
		if ref.Seq = Seq(v >> 1); v&1 != 0 {
			inc := r.uvarint()
			r.bad = r.bad || inc > math.MaxUint32
			ref.Incarnation = uint32(inc)
		}
		ref.HashPrefix = slices.Clone(r.take(proof))
		refs = append(refs, ref)
	}
	if r.bad || len(r.b) > 0 || checkRefs(refs) != nil {
		return nil, notWhole
	}
	return refs, nil
}

// parseOldToken reads what follows the prefix of a token of the first format.
func parseOldToken(s string) ([]CutRef, error) {
	notWhole := badCut("the token is not whole")
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, notWhole
	}
	var ps []struct {
		P Name   `json:"p"`
		I uint32 `json:"i"`
		S Seq    `json:"s"`
		H string `json:"h"`
	}
	if err := json.Unmarshal(b, &ps); err != nil {
		return nil, notWhole
	}
	var refs []CutRef
	for _, p := range ps {
		h, err := hex.DecodeString(p.H)
		if err != nil || p.P.IsZero() || len(h) > len(Hash{}) {
			return nil, notWhole
		}
		refs = append(refs, CutRef{p.P, p.I, p.S, h})
	}
	return refs, checkRefs(refs)
}

// tokenReader takes numbers and bytes off a token; bad once it had too few.
type tokenReader struct {
	b   []byte
	bad bool
}

func (r *tokenReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *tokenReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// cutLetters are the characters of names and, last, what separates names; three of
// them fill two bytes, since 40³ is less than 2¹⁶. The 0th fills up.
const (
	cutLetters = "\x00abcdefghijklmnopqrstuvwxyz0123456789_,;"
	lettersIn  = 40
)

// packNames writes the names of a sorted cut: "domain;product,product;domain;product"
// in words of three letters, after the number of the words.
func packNames(c Cut) ([]byte, bool) {
	var text strings.Builder
	for i, p := range c {
		if CheckName(p.Product.Domain) != nil || CheckName(p.Product.Product) != nil {
			return nil, false
		}
		switch {
		case i == 0:
			text.WriteString(p.Product.Domain + ";")
		case c[i-1].Product.Domain == p.Product.Domain:
			text.WriteByte(',')
		default:
			text.WriteString(";" + p.Product.Domain + ";")
		}
		text.WriteString(p.Product.Product)
	}
	s := text.String()
	s += strings.Repeat(cutLetters[:1], (3-len(s)%3)%3)
	out := binary.AppendUvarint(nil, uint64(len(s)/3))
	for i := 0; i < len(s); i += 3 {
		word := 0
		for _, l := range s[i : i+3] {
			word = word*lettersIn + strings.IndexRune(cutLetters, l)
		}
		out = binary.BigEndian.AppendUint16(out, uint16(word))
	}
	return out, true
}

// unpackNames reads what packNames wrote.
func unpackNames(r *tokenReader, count int) ([]Name, bool) {
	words := r.uvarint()
	if words > uint64(len(r.b)/2) {
		return nil, false
	}
	letters := make([]byte, 0, 3*words)
	for range words {
		w := int(binary.BigEndian.Uint16(r.take(2)))
		if w >= lettersIn*lettersIn*lettersIn {
			return nil, false
		}
		letters = append(letters, cutLetters[w/lettersIn/lettersIn], cutLetters[w/lettersIn%lettersIn], cutLetters[w%lettersIn])
	}
	text := strings.TrimRight(string(letters), cutLetters[:1])
	if count == 0 || text == "" {
		return nil, count == 0 && len(letters) == 0
	}
	groups := strings.Split(text, ";")
	if len(groups)%2 != 0 {
		return nil, false
	}
	var out []Name
	for i := 0; i < len(groups); i += 2 {
		for _, p := range strings.Split(groups[i+1], ",") {
			if CheckName(groups[i]) != nil || CheckName(p) != nil {
				return nil, false
			}
			out = append(out, Name{groups[i], p})
		}
	}
	return out, len(out) == count
}

// CheckCutName says whether s may name a saved cut: a small letter, and then at most
// 62 small letters, digits, dashes and underscores; no word that means something else
// where a state is named. The error is of KindInvalid.
func CheckCutName(s string) error {
	for i := range len(s) {
		c := s[i]
		ok := 'a' <= c && c <= 'z' || i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_')
		if !ok || i > 62 {
			s = ""
			break
		}
	}
	if s == "" || s == "now" || IsCut(s) {
		return Errorf(KindInvalid, "name the cut", "", "a saved cut's name starts with a small letter and has at most 63 small letters, digits, - and _").
			WithHint("write it like month-end-2026-03")
	}
	return nil
}
