package serve

import (
	"strings"
	"time"

	"weft"
)

// atHint says how a state is named.
const atHint = "write a time (2026-03-01T12:00:00Z), a date (its first instant in UTC), " +
	"a commit (sales.orders#12), a cut as an answer prints it (cut2_…), or the name of a saved one"

// atLayouts are the times people write besides RFC 3339; without a zone they
// are UTC.
var atLayouts = []string{
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
}

// ParseAt reads the state that a question is asked at: an RFC 3339 time (also
// with a blank for the T, without seconds, or without a zone, which is UTC), a
// date, which is its first instant in UTC, commits (sales.orders#12, several
// with a comma), a cut's token, or the name of a saved cut. Empty text and "now"
// are now. The error is of KindInvalid.
func ParseAt(s string) (weft.At, error) { return ParseProductAt(weft.Name{}, s) }

// ParseProductAt is ParseAt where the product is known: "#12" and "12" are
// commits of p.
func ParseProductAt(p weft.Name, s string) (weft.At, error) {
	s = strings.TrimSpace(s)
	bad := func(why string) (weft.At, error) {
		return weft.At{}, weft.Errorf(weft.KindInvalid, "read the time", shorten(s, 80), "%s", why).WithHint(atHint)
	}
	switch {
	case s == "" || s == "now":
		return weft.At{}, nil
	case weft.IsCut(s), strings.Contains(strings.TrimPrefix(s, "#"), "#"):
		if h, ok := weft.ParseRef(s); ok {
			return weft.At{Ref: h}, nil
		}
		refs, err := weft.ParseCut(s)
		if err != nil {
			return weft.At{}, hinted(err)
		}
		if len(refs) == 0 {
			return weft.At{}, nil // the cut of a question that read no product
		}
		return weft.At{Cut: refs}, nil
	case s[0] == '#', allDigits(s):
		if p.IsZero() {
			return bad("a number alone does not say which product's commit it is")
		}
		seq, err := weft.ParseSeq(s)
		if err != nil {
			return weft.At{}, hinted(err)
		}
		if seq == 0 {
			return bad("commits are counted from #1")
		}
		return weft.At{Cut: []weft.CutRef{{Product: p, Seq: seq}}}, nil
	}
	if weft.CheckCutName(s) == nil {
		return weft.At{Saved: s}, nil
	}
	// RFC 3339 comes first: it is what programs write.
	t, err := time.Parse(time.RFC3339Nano, s)
	for _, layout := range atLayouts {
		if err == nil {
			break
		}
		t, err = time.Parse(layout, s)
	}
	if err != nil {
		return bad("it is neither a time nor a commit nor a cut")
	}
	if y := t.Year(); y < 1970 || y > 9999 {
		return bad("the year is outside 1970 to 9999")
	}
	return weft.At{Time: t.UTC()}, nil
}

// hinted says how a state is named where err says nothing.
func hinted(err error) error {
	e := *AsError(err)
	e.Subject = shorten(e.Subject, 80)
	if e.Hint == "" {
		e.Hint = atHint
	}
	return &e
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// shorten cuts s to at most n bytes for an error's subject, at a rune's edge.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
