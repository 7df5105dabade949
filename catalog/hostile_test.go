package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"weft"
	"weft/catalog/catalogtest"
	"weft/sign"
)

// TestHostileCards applies what a member may sign to do harm: it is left out or
// bounded, and everything else is found as before.
func TestHostileCards(t *testing.T) {
	s := newSigner()
	n := weft.Name{Domain: "evil", Product: "big"}
	wide := &weft.Card{Product: n, Tables: []weft.CardTable{{Name: "big"}}}
	for i := range 10_000 {
		wide.Tables[0].Columns = append(wide.Tables[0].Columns, weft.CardColumn{Name: fmt.Sprintf("c%d", i)})
	}
	for name, body := range map[string]any{
		"10,000 columns":       wide,
		"one long word":        &weft.Card{Product: n, Purpose: strings.Repeat("x", 200_000)},
		"all words different":  &weft.Card{Product: n, Purpose: different(30_000)},
		"one word, all over":   &weft.Card{Product: n, Purpose: strings.Repeat("honest ", 30_000)},
		"capitals":             &weft.Card{Product: n, Purpose: strings.Repeat("aB", 100_000)},
		"marks":                &weft.Card{Product: n, Purpose: "e" + strings.Repeat("\u0301", 80_000)},
		"no letters":           &weft.Card{Product: n, Purpose: strings.Repeat("\x01\u202e", 20_000), Tags: []string{"\x01d:sales", ""}},
		"another one's name":   &weft.Card{Product: weft.Name{Domain: "sales", Product: "honest"}, Purpose: "honest"},
		"no card":              []int{1},
		"tables of no columns": &weft.Card{Product: n, Tables: make([]weft.CardTable, 1000)},
		"unknown words":        &weft.Card{Product: n, Life: "eternal", Tags: []string{strings.Repeat("é", 5000)}},
		"a head of nonsense":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, Config{})
			if err := c.Put(&weft.Card{Product: weft.Name{Domain: "sales", Product: "honest"}, Life: weft.LifeActive, Purpose: "An honest product"}, nil); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if body == wide { // more than a record can hold
				if err := c.Put(wide, nil); err != nil {
					t.Fatal(err)
				}
			} else if body != nil {
				c.Apply(s.record(t, kindCard, n, 1, body))
			} else {
				c.Apply(s.record(t, kindHead, n, 1, &weft.CardHead{Point: weft.Point{Product: n, Time: time.Unix(-1<<30, 0)}, State: "fine", Passed: -5, Failed: -7, Checked: time.Unix(1<<37, 0)}))
				c.Apply(s.record(t, kindCard, n, 1, &weft.Card{Product: n}))
			}
			c.flush()
			if r := search(t, c, "honest product"); r.Total == 0 || r.Hits[0].Entry.Card.Product.Product != "honest" {
				t.Errorf("the honest product is not the first: %+v", r)
			}
			for _, q := range []string{"c9999", "x", "evil", strings.Repeat("x", 400), "w29999", ""} {
				search(t, c, q)
			}
			if r := search(t, c, "c9999"); name == "10,000 columns" && r.Total != 1 {
				t.Error("the last column is not found")
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func different(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "w%d ", i)
	}
	return b.String()
}

// TestBounds refuses questions and pages that are too large.
func TestBounds(t *testing.T) {
	c := open(t, Config{})
	for name, q := range map[string]Query{
		"characters": {Text: strings.Repeat("ä", MaxText+1)},
		"words":      {Text: strings.Repeat("ab ", MaxWords+1)},
		"limit":      {Limit: MaxLimit + 1},
		"below":      {Limit: -1},
		"offset":     {Offset: maxOffset + 1},
	} {
		if _, err := c.Search(context.Background(), q); weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Search(context.Background(), Query{Text: strings.Repeat("ä", MaxText), Limit: MaxLimit, Offset: maxOffset}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Search(ctx, Query{Text: "word"}); weft.KindOf(err) != weft.KindCancelled {
		t.Error(err)
	}
}

// sound says what is wrong with an answer, whatever was asked.
func sound(r *Result, q Query) error {
	if len(r.Hits) > q.Limit || r.Total < len(r.Hits) {
		return fmt.Errorf("%d hits of %d", len(r.Hits), r.Total)
	}
	for _, h := range r.Hits {
		if !(h.Score > 0) {
			return fmt.Errorf("score %v", h.Score)
		}
		if len(h.Why) > mostWhy {
			return fmt.Errorf("%d reasons", len(h.Why))
		}
		for _, m := range h.Why {
			if len(m.Text) > 3*around || len(m.Words) == 0 || !utf8.ValidString(m.Text) {
				return fmt.Errorf("a text of %d bytes, words %q", len(m.Text), m.Words)
			}
			end := 0
			for _, k := range m.Marks {
				if k[0] < end || k[1] <= k[0] || k[1] > len(m.Text) || !utf8.ValidString(m.Text[k[0]:k[1]]) {
					return fmt.Errorf("marks %v in %q", m.Marks, m.Text)
				}
				end = k[1]
			}
		}
	}
	return nil
}

func FuzzSearch(f *testing.F) {
	m := catalogtest.NewMesh(1)
	c := open(f, Config{})
	for i := range 30 {
		if err := c.Put(m.Card(i, 1), m.Head(i, 1)); err != nil {
			f.Fatal(err)
		}
	}
	if err := c.Put(&weft.Card{Product: weft.Name{Domain: "a", Product: "b"}, Purpose: "Ünïcode ſtraße 東京 camelCaseHTTPServer \u0301x e\u0301 İstanbul ﬁne"}, nil); err != nil {
		f.Fatal(err)
	}
	c.flush()
	for i := range 10 {
		f.Add(m.Query(i, 1+i%5, i%2 == 0), 5, 0)
	}
	for _, s := range []string{"東京", "e\u0301", "\u0301", "ﬁne İSTANBUL", "\xff\xfe", "\x01d:a", written + "a", "a_b-c d", "strasse"} {
		f.Add(s, 20, 1)
	}
	f.Fuzz(func(t *testing.T, text string, limit, offset int) {
		q := Query{Text: text, Limit: limit, Offset: offset}
		r, err := c.Search(context.Background(), q)
		if err != nil {
			if weft.KindOf(err) != weft.KindInvalid {
				t.Fatal(err)
			}
			return
		}
		if q.Limit == 0 {
			q.Limit = 20
		}
		if err := sound(r, q); err != nil {
			t.Fatal(err)
		}
		again, err := c.Search(context.Background(), q)
		if err != nil || again.Total != r.Total || !reflect.DeepEqual(again.Hits, r.Hits) {
			t.Fatalf("twice the same: %v, then %v, %v", r, again, err)
		}
	})
}

func FuzzApply(f *testing.F) {
	s := newSigner()
	m := catalogtest.NewMesh(1)
	for i := range 3 {
		for _, v := range []any{m.Card(i, 1), m.Head(i, 1)} {
			b, err := json.Marshal(v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(m.Name(i).String(), b, "bacade word")
		}
	}
	f.Add("a.b", []byte(`{"product":"a.b","tables":[{"columns":[{"from":[{"product":"a.b"}]}]}],"ports":[{"kind":"input"}]}`), "a b")
	f.Add("a.b", []byte(`{"gone":true,"id":"1"}`), "")
	f.Fuzz(func(t *testing.T, key string, body []byte, text string) {
		c := open(t, Config{Dir: t.TempDir()})
		for _, kind := range []string{kindCard, kindHead} {
			r, err := sign.Seal(sign.Head{Kind: kind, Key: key, Version: 1, Time: noon}, json.RawMessage(body), s.key)
			if err != nil {
				return
			}
			c.Apply(r)
		}
		c.flush()
		r, err := c.Search(context.Background(), Query{Text: text})
		if err == nil {
			if err := sound(r, Query{Limit: 20}); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		c.All(func(*Entry) bool { n++; return true })
		if n != c.Len() {
			t.Fatalf("%d of %d can be read", n, c.Len())
		}
		if err := c.saveCards(); err != nil {
			t.Fatal(err)
		}
		if err := c.saveHeads(); err != nil {
			t.Fatal(err)
		}
		again := open(t, Config{Dir: c.cfg.Dir})
		if again.Len() != n {
			t.Fatalf("%d after a restart, %d before", again.Len(), n)
		}
	})
}
