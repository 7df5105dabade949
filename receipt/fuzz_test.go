package receipt_test

import (
	"bytes"
	"testing"

	"weft/receipt"
)

// FuzzReceipt reads bytes of anybody: it never fails otherwise than by an error, and
// what it takes it has taken whole.
func FuzzReceipt(f *testing.F) {
	w, sales, _, raw := shop(f)
	f.Add(raw)
	other := w.sign(sales)
	f.Add(other)
	f.Add([]byte(w.part(sales, sales.ID(), question, read("sales.orders", 1))))
	f.Add([]byte(`{"format":1,"mesh":"` + w.mesh.String() + `","records":["e30K"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := receipt.Open(b); err == nil && r.Format != receipt.Format {
			t.Fatalf("it is of format %d", r.Format)
		}
		if rep, err := receipt.Verify(b, receipt.Check{Keys: w.keys(), Result: bytes.NewReader(result)}); err == nil && !bytes.Equal(b, raw) && !bytes.Equal(b, other) {
			t.Fatalf("it is valid: %+v", rep)
		}
		if p, err := receipt.OpenPart(b); err == nil && p.Node.IsZero() {
			t.Fatal("nobody signed it")
		}
		if k, err := receipt.ReadKeys(b); err == nil && k.IsZero() {
			t.Fatal("there are no keys in it")
		}
	})
}
