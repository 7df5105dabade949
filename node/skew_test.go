package node

import (
	"strings"
	"testing"

	"weft"
)

// TestSkewOf: what counts is the states that rows were made from, through others too, and
// not the numbers of commits that changed none.
func TestSkewOf(t *testing.T) {
	point := func(s string) weft.Point {
		name, seq, _ := strings.Cut(s, "#")
		q, err := weft.ParseSeq(seq)
		if err != nil {
			t.Fatal(err)
		}
		p := weft.Point{Product: mustName(t, "d."+name), Incarnation: 1, Seq: q}
		copy(p.Hash[:], s)
		return p
	}
	points := func(s string) (out weft.Cut) {
		for _, w := range strings.Fields(s) {
			out = append(out, point(w))
		}
		return out
	}
	for name, x := range map[string]struct {
		cut  string
		made map[string]string // state: those that it was made from
		rows map[string]string // state: the one that it reads like
		want string            // products that are in several states
		says string
	}{
		"nothing shared":             {cut: "a#1 b#1", made: map[string]string{"a#1": "x#1", "b#1": "y#1"}},
		"the same state":             {cut: "a#1 b#1", made: map[string]string{"a#1": "x#1", "b#1": "x#1"}},
		"two states":                 {cut: "a#1 b#1", made: map[string]string{"a#1": "x#1", "b#1": "x#2"}, want: "d.x", says: "d.b was made from it at #2, d.a was made from it at #1"},
		"one of them is read":        {cut: "a#1 x#2", made: map[string]string{"a#1": "x#1"}, want: "d.x", says: "it is read at #2, d.a was made from it at #1"},
		"it is read, and fits":       {cut: "a#1 x#1", made: map[string]string{"a#1": "x#1"}},
		"no rows changed since":      {cut: "a#1 x#3", made: map[string]string{"a#1": "x#1"}, rows: map[string]string{"x#3": "x#1"}},
		"rows changed before":        {cut: "a#1 x#3", made: map[string]string{"a#1": "x#1"}, rows: map[string]string{"x#3": "x#2"}, want: "d.x"},
		"through another one":        {cut: "a#1 b#1", made: map[string]string{"a#1": "m#5", "m#5": "x#1", "b#1": "x#2"}, want: "d.x"},
		"through another, and fits":  {cut: "a#1 b#1", made: map[string]string{"a#1": "m#5", "m#5": "x#1", "b#1": "x#1"}},
		"two in one product's own":   {cut: "a#1", made: map[string]string{"a#1": "x#1 x#2"}, want: "d.x"},
		"two products are skewed":    {cut: "a#1 b#1", made: map[string]string{"a#1": "x#1 y#1", "b#1": "x#2 y#2"}, want: "d.x d.y"},
		"what is not known is none":  {cut: "a#1 b#1 x#9"},
		"a circle of products":       {cut: "a#1 b#1", made: map[string]string{"a#1": "m#1", "m#1": "a#1 m#1", "b#1": "m#1"}},
		"deeper than is looked":      {cut: "a#1 x#2", made: map[string]string{"a#1": "b#1", "b#1": "c#1", "c#1": "d#1", "d#1": "e#1", "e#1": "f#1", "f#1": "g#1", "g#1": "h#1", "h#1": "i#1", "i#1": "x#1"}},
		"as deep as is looked":       {cut: "a#1 x#2", made: map[string]string{"a#1": "b#1", "b#1": "c#1", "c#1": "d#1", "d#1": "e#1", "e#1": "f#1", "f#1": "g#1", "g#1": "x#1"}, want: "d.x"},
		"of one thing twice, in one": {cut: "a#1 b#1", made: map[string]string{"a#1": "m#1 x#1", "m#1": "x#1", "b#1": "x#1"}},
	} {
		text := func(p weft.Point) string { return p.Product.Product + p.Seq.String() }
		got := skewOf(points(x.cut), func(p weft.Point) []weft.Point { return points(x.made[text(p)]) }, func(p weft.Point) weft.Point {
			if r := x.rows[text(p)]; r != "" {
				return point(r)
			}
			return p
		})
		var names []string
		for _, w := range got {
			names = append(names, w.Product.String())
			if w.Kind != weft.WarnSkew || !strings.Contains(w.Message, x.says) || !strings.Contains(w.Hint, "weft cut save NAME d.a") {
				t.Errorf("%s: %+v", name, w)
			}
		}
		if strings.Join(names, " ") != x.want {
			t.Errorf("%s: %q, want %q", name, names, x.want)
		}
	}
}
