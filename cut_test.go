package weft_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"weft"
)

// cutOf makes a cut of products; each name has a hash of its own.
func cutOf(seq weft.Seq, names ...string) weft.Cut {
	var c weft.Cut
	for i, n := range names {
		name, err := weft.ParseName(n)
		if err != nil {
			panic(err)
		}
		c = append(c, weft.Point{
			Product: name, ID: fmt.Sprintf("id%d", i), Incarnation: 1, Seq: seq, Hash: sha256.Sum256([]byte(n)),
			Time: time.Date(2026, 3, 1, 12, 0, i, 1000, time.UTC),
		})
	}
	return c
}

func TestTokenRoundTrip(t *testing.T) {
	restored := cutOf(7, "sales.orders", "places.stores")
	restored[0].Incarnation = 4_000_000_000
	for name, c := range map[string]weft.Cut{
		"none":         nil,
		"one":          cutOf(12, "sales.orders"),
		"unsorted":     cutOf(1842, "sales.orders", "places.stores", "sales.lines", "a.z9_"),
		"restored":     restored,
		"great Seq":    cutOf(math.MaxInt64, "sales.orders"),
		"long names":   cutOf(3, strings.Repeat("d", 63)+"."+strings.Repeat("p", 63)),
		"five domains": cutOf(123_456, "operations.flights", "operations.carriers", "airports.airports", "weather.observations", "fleet.aircraft", "insights.delays"),
	} {
		tok := c.Token()
		if len(tok) > weft.MaxToken || !c.Fits() || !weft.IsCut(tok) {
			t.Errorf("%s: token %s has %d characters", name, tok, len(tok))
		}
		refs, err := weft.ParseCut(tok)
		if err != nil || len(refs) != len(c) {
			t.Fatalf("%s: %v: %v", name, refs, err)
		}
		for i, p := range c.Sorted() {
			r := refs[i]
			if r.Product != p.Product || r.Seq != p.Seq || r.Incarnation != p.Incarnation || len(r.HashPrefix) < 5 || !bytes.HasPrefix(p.Hash[:], r.HashPrefix) {
				t.Errorf("%s: point %d is %+v, was %+v", name, i, r, p)
			}
		}
	}
}

// TestTokenFits holds how many products a token has room for.
func TestTokenFits(t *testing.T) {
	var names []string
	for i := range 26 {
		names = append(names, fmt.Sprintf("domain_%d.product_%c", i/3, 'a'+i))
	}
	fits := 0
	for n := range names {
		c := cutOf(100_000, names[:n+1]...)
		if c.Fits() {
			fits = n + 1
			continue
		}
		tok := c.Token()
		h, ok := weft.ParseRef(tok)
		if !ok || h != c.Ref() || !weft.IsCut(tok) || len(tok) > weft.MaxToken {
			t.Fatalf("%d products: %s", n+1, tok)
		}
		if _, err := weft.ParseCut(tok); weft.KindOf(err) != weft.KindNotFound {
			t.Fatalf("a hash was read as a cut: %v", err)
		}
	}
	if fits < 7 {
		t.Errorf("only %d products fit", fits)
	}
}

func TestParseCut(t *testing.T) {
	const old = "cut1_W3sicCI6InNhbGVzLm9yZGVycyIsImkiOjEsInMiOjEyLCJoIjoiMDEwMjAwMDAwMDAwMDAwMCJ9XQ" // as version 1 wrote it
	refs, err := weft.ParseCut(old)
	if err != nil || len(refs) != 1 || refs[0].Seq != 12 || refs[0].Incarnation != 1 || refs[0].HashPrefix[1] != 2 {
		t.Errorf("old token: %+v: %v", refs, err)
	}
	if refs, err = weft.ParseCut("sales.orders#12, places.stores#3"); err != nil || len(refs) != 2 || refs[1].Seq != 3 {
		t.Errorf("text: %+v: %v", refs, err)
	}
	tok := cutOf(12, "sales.orders", "places.stores").Token()
	swapped := []byte(tok)
	swapped[len(swapped)/2] ^= 1
	newer := base64.RawURLEncoding.EncodeToString([]byte{1, 2, 3})
	for _, s := range []string{
		"", "cut2_", "cut2_!!", tok[:len(tok)-1], tok[:20], tok + "AA", string(swapped), "cut3_" + newer, "cutref1_00", "cutref2_" + strings.Repeat("0", 64),
		"sales.orders#0", "sales.orders", "sales.orders#1,sales.orders#2", "cut1_bnVsbA==", strings.Repeat("x", 70_000),
	} {
		if _, err := weft.ParseCut(s); weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("%.80q: %v", s, err)
		}
	}
}

func TestWhole(t *testing.T) {
	c := cutOf(12, "sales.orders", "places.stores")
	got, err := weft.ParseWhole(c.Whole(), c.Ref())
	if err != nil || got.String() != "places.stores#12 sales.orders#12" || got.Ref() != c.Ref() || !got[1].Time.Equal(c[0].Time) || got[1].ID != "id0" {
		t.Fatalf("%v: %v", got, err)
	}
	later := cutOf(12, "sales.orders", "places.stores")
	later[0].AsOf = time.Now() // how a point was asked for is not what it is
	if later.Ref() != c.Ref() {
		t.Error("the cut is another one because a time was asked for")
	}
	whole := string(c.Whole())
	for name, s := range map[string]string{
		"nothing": "", "other magic": "weft cut 2\n", "no end": strings.TrimSuffix(whole, "\n"), "blank": whole + "\n",
		"twice":    whole + whole[strings.Index(whole, "sales"):],
		"unsorted": "weft cut 1\n" + whole[strings.Index(whole, "sales"):] + whole[len("weft cut 1\n"):strings.Index(whole, "sales")],
		"zero":     strings.ReplaceAll(whole, " 12 ", " 0 "), "plus": strings.ReplaceAll(whole, " 12 ", " +12 "),
		"case":  strings.ReplaceAll(whole, c[0].Hash.String(), strings.ToUpper(c[0].Hash.String())),
		"large": whole + strings.Repeat("x", weft.MaxWhole),
	} {
		if c, err := weft.ParseWhole([]byte(s), sha256.Sum256([]byte(s))); weft.KindOf(err) != weft.KindCorrupt {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if _, err := weft.ParseWhole([]byte(whole), weft.Hash{1}); weft.KindOf(err) != weft.KindCorrupt {
		t.Errorf("another cut was taken for the one that was asked for: %v", err)
	}
}

// FuzzCut reads any text as a cut: what is taken names each product once, at a
// commit, and can be written again.
func FuzzCut(f *testing.F) {
	for _, s := range []string{
		cutOf(12, "sales.orders", "places.stores", "sales.lines").Token(), cutOf(1, "a.b").Token(), weft.Cut(nil).Token(),
		"cut1_W3sicCI6InNhbGVzLm9yZGVycyIsImkiOjEsInMiOjEyLCJoIjoiMDEwMjAwMDAwMDAwMDAwMCJ9XQ", "sales.orders#12,a.b#1", "cutref1_00",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, seal bool) {
		if rest, ok := strings.CutPrefix(s, "cut2_"); ok && seal { // else the digest keeps the fuzzer out
			if b, err := base64.RawURLEncoding.DecodeString(rest); err == nil && len(b) > 2 {
				sum := sha256.Sum256(b[:len(b)-2])
				s = "cut2_" + base64.RawURLEncoding.EncodeToString(append(b[:len(b)-2:len(b)-2], sum[:2]...))
			}
		}
		refs, err := weft.ParseCut(s)
		if err != nil {
			if k := weft.KindOf(err); k != weft.KindInvalid && k != weft.KindNotFound {
				t.Fatalf("%v has kind %s", err, k)
			}
			return
		}
		var c weft.Cut
		for _, r := range refs {
			if r.Seq == 0 || len(r.HashPrefix) > 32 {
				t.Fatalf("%+v was read", r)
			}
			p := weft.Point{Product: r.Product, Incarnation: r.Incarnation, Seq: r.Seq}
			copy(p.Hash[:], r.HashPrefix)
			c = append(c, p)
		}
		if !c.Fits() {
			return
		}
		again, err := weft.ParseCut(c.Token())
		if err != nil || len(again) != len(refs) {
			t.Fatalf("%v becomes %v: %v", refs, again, err)
		}
	})
}

// FuzzWhole reads any bytes as the whole of a cut: what is taken is written the same.
func FuzzWhole(f *testing.F) {
	f.Add(cutOf(12, "sales.orders", "places.stores").Whole())
	f.Add([]byte("weft cut 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := weft.ParseWhole(b, sha256.Sum256(b))
		if err == nil && !bytes.Equal(c.Whole(), b) {
			t.Fatalf("%q becomes %q", b, c.Whole())
		}
	})
}
