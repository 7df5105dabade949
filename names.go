package weft

import (
	"fmt"
	"regexp"
	"strings"
)

// Name is the address of a product: domain.product.
type Name struct {
	Domain  string
	Product string
}

// String returns the address, such as "sales.orders".
func (n Name) String() string { return n.Domain + "." + n.Product }

// IsZero reports whether n names nothing.
func (n Name) IsZero() bool { return n.Domain == "" && n.Product == "" }

// MarshalText writes the address; it makes Name a JSON string and a JSON key.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads an address and validates it.
func (n *Name) UnmarshalText(b []byte) error {
	p, err := ParseName(string(b))
	if err != nil {
		return err
	}
	*n = p
	return nil
}

// ParseName reads "domain.product". The error is of KindInvalid.
func ParseName(s string) (Name, error) {
	d, p, ok := strings.Cut(s, ".")
	if !ok {
		return Name{}, &Error{
			Op: "read the address", Subject: s, Kind: KindInvalid,
			Message: "a product's address is domain.product", Hint: "write it like sales.orders",
		}
	}
	for _, w := range []string{d, p} {
		if err := CheckName(w); err != nil {
			return Name{}, err
		}
	}
	return Name{Domain: d, Product: p}, nil
}

// TableName names one table of a product.
type TableName struct {
	Name
	Table string
}

// String returns "domain.product" for the product's main table (the one with
// the product's name), else "domain.product.table".
func (t TableName) String() string {
	if t.Table == t.Product {
		return t.Name.String()
	}
	return t.Name.String() + "." + t.Table
}

var versionRE = regexp.MustCompile(`_v[0-9]+$`)

// isName reports whether w is [a-z][a-z0-9_]{0,62}. Names are read by the thousand
// with the cards of a mesh, and an expression takes ten times as long.
func isName(w string) bool {
	if w == "" || len(w) > 63 || w[0] < 'a' || w[0] > 'z' {
		return false
	}
	for i := range len(w) {
		if c := w[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// isMajor reports whether w ends in _v and a number.
func isMajor(w string) bool {
	stem := strings.TrimRight(w, "0123456789")
	return stem != w && strings.HasSuffix(stem, "_v")
}

// reserved are the words that neither a domain nor a product nor a table may
// be called, because SQL, the engine's catalogue or the API already means
// something else by them.
var reserved = map[string]bool{
	"all": true, "and": true, "any": true, "api": true, "as": true, "asc": true, "at": true, "between": true,
	"by": true, "case": true, "cast": true, "check": true, "column": true, "create": true, "cross": true,
	"default": true, "delete": true, "desc": true, "describe": true, "distinct": true, "drop": true, "else": true,
	"end": true, "except": true, "exists": true, "false": true, "for": true, "from": true, "full": true,
	"group": true, "having": true, "in": true, "information_schema": true, "inner": true, "insert": true,
	"intersect": true, "into": true, "is": true, "join": true, "lateral": true, "left": true, "like": true,
	"limit": true, "main": true, "memory": true, "natural": true, "not": true, "null": true, "offset": true,
	"on": true, "or": true, "order": true, "outer": true, "pg_catalog": true, "pivot": true, "primary": true,
	"qualify": true, "references": true, "right": true, "select": true, "set": true, "show": true, "some": true,
	"system": true, "table": true, "temp": true, "then": true, "to": true, "true": true, "union": true,
	"unique": true, "unpivot": true, "update": true, "using": true, "values": true, "weft": true, "when": true,
	"where": true, "window": true, "with": true,
}

// CheckName says whether w may name a domain, a product or a table:
// [a-z][a-z0-9_]{0,62}, no reserved word, not ending in _v<n> (a major version
// is addressed that way). The error is of KindInvalid.
func CheckName(w string) error {
	if isName(w) && !isMajor(w) && !reserved[w] {
		return nil
	}
	e := &Error{Op: "check the name", Subject: w, Kind: KindInvalid}
	switch {
	case !isName(w):
		e.Message = "a name starts with a small letter and has at most 63 small letters, digits and _"
		e.Hint = fmt.Sprintf("try %q", suggestName(w))
	case isMajor(w):
		e.Message = "a name does not end in _v<number>: that addresses a major version"
		e.Hint = "put the version into the document's version field"
	default:
		e.Message = "the name is a reserved word of SQL or of Weft"
		e.Hint = fmt.Sprintf("try %q", w+"s")
	}
	return e
}

// suggestName makes a legal name that looks like w.
func suggestName(w string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(w) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0:
			b.WriteByte('_')
		}
	}
	s := strings.Trim(b.String(), "_")
	if len(s) > 60 {
		s = s[:60]
	}
	s = versionRE.ReplaceAllString(s, "")
	if s == "" {
		return "name"
	}
	if reserved[s] {
		s += "s"
	}
	return s
}

// SuggestName returns a legal name close to w, for hints and for inference.
func SuggestName(w string) string { return suggestName(w) }
