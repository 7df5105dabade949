package serve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"weft"
)

func TestParseAt(t *testing.T) {
	orders := weft.Name{Domain: "sales", Product: "orders"}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		product weft.Name
		in      string
		time    time.Time
		cut     string // as CutRefs print: product#seq, …
		saved   string
		ref     weft.Hash
		bad     bool
	}{
		{in: ""},
		{in: "now"},
		{in: "  now "},
		{in: "2026-03-01T12:00:00Z", time: noon},
		{in: "2026-03-01T14:00:00+02:00", time: noon},
		{in: "2026-03-01T12:00:00.000001Z", time: noon.Add(time.Microsecond)},
		{in: "2026-03-01T12:00:00", time: noon},
		{in: "2026-03-01 12:00:00", time: noon},
		{in: "2026-03-01 12:00:00+00:00", time: noon},
		{in: "2026-03-01T12:00", time: noon},
		{in: "2026-03-01 12:00", time: noon},
		{in: "2026-03-01", time: noon.Add(-12 * time.Hour)},
		{in: "sales.orders#12", cut: "sales.orders#12"},
		{in: "sales.orders#12, places.stores#3", cut: "sales.orders#12 places.stores#3"},
		{in: testCut().Token(), cut: "sales.orders#12"},
		{in: weft.Cut{}.Token()},
		{in: "#12", bad: true},
		{in: "12", bad: true},
		{product: orders, in: "#12", cut: "sales.orders#12"},
		{product: orders, in: "12", cut: "sales.orders#12"},
		{product: orders, in: "places.stores#3", cut: "places.stores#3"},
		{product: orders, in: "#0", bad: true},
		{product: orders, in: "#-1", bad: true},
		{product: orders, in: "#99999999999999999999", bad: true},
		{in: "month-end_3", saved: "month-end_3"},
		{in: "soon", saved: "soon"},
		{in: weft.RefToken(weft.Hash{1}), ref: weft.Hash{1}},
		{in: "cutref1_12", bad: true},
		{in: "Soon", bad: true},
		{in: "so on", bad: true},
		{in: "2026-02-30", bad: true},
		{in: "2026-13-01T00:00:00Z", bad: true},
		{in: "0001-01-01", bad: true},
		{in: "cut1_", bad: true},
		{in: "cut1_!!", bad: true},
		{in: "cut2_AAAA", bad: true},
		{in: "Sales.orders#1", bad: true},
		{in: "sales.orders#", bad: true},
		{in: "##", bad: true},
		{in: strings.Repeat("x", 1<<20), bad: true},
	} {
		at, err := ParseProductAt(c.product, c.in)
		if c.bad {
			if weft.KindOf(err) != weft.KindInvalid || weft.HintOf(err) == "" || len(err.Error()) > 400 {
				t.Errorf("%.40q: %v", c.in, err)
			}
			continue
		}
		var refs []string
		for _, r := range at.Cut {
			refs = append(refs, r.Product.String()+r.Seq.String())
		}
		if err != nil || !at.Time.Equal(c.time) || strings.Join(refs, " ") != c.cut || at.Saved != c.saved || at.Ref != c.ref {
			t.Errorf("%q: %+v, %v", c.in, at, err)
		}
	}
}

func FuzzParseAt(f *testing.F) {
	for _, s := range []string{"", "now", "2026-03-01", "#12", "sales.orders#12,a.b#1", testCut().Token(), "cut1_W10", "12:00", "2026-03-01T12:00:00+25:00", "month-end", weft.RefToken(weft.Hash{1})} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := ParseProductAt(weft.Name{Domain: "sales", Product: "orders"}, s)
		if err != nil {
			if weft.KindOf(err) != weft.KindInvalid {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if ways := fmt.Sprint(!at.Time.IsZero(), len(at.Cut) > 0, at.Saved != "", at.Ref != weft.Hash{}); strings.Count(ways, "true") > 1 {
			t.Fatalf("%q is several things at once: %s", s, ways)
		}
		for _, r := range at.Cut {
			if r.Product.IsZero() {
				t.Fatalf("%q: a commit of no product", s)
			}
		}
		if !at.Time.IsZero() {
			again, err := ParseAt(at.Time.Format(time.RFC3339Nano))
			if err != nil || !again.Time.Equal(at.Time) {
				t.Fatalf("%q does not read back: %v, %v", s, again, err)
			}
		}
	})
}

func FuzzQueryRequest(f *testing.F) {
	f.Add([]byte(`{"sql":"SELECT 1","at":"#3","purpose":"x","limits":{"deadline":1.5,"memory":1,"threads":2}}`))
	f.Add([]byte(`{"sql":"","limits":{"deadline":-1e308}}`))
	f.Add([]byte(`{"limits":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r QueryRequest
		if json.Unmarshal(b, &r) != nil {
			return
		}
		q, err := r.Question(weft.Subject{ID: "x", Purpose: "own"})
		if err != nil {
			if weft.KindOf(err) != weft.KindInvalid {
				t.Fatal(err)
			}
			return
		}
		if q.Subject.ID != "x" || q.Subject.Purpose == "" || q.Limits.Deadline < 0 {
			t.Fatalf("%+v", q)
		}
	})
}
