package receipt_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/receipt"
	"weft/sign"
)

// shop is a mesh of two nodes, and the receipt of an answer of the one over products of
// both.
func shop(t testing.TB) (w *world, sales, places sign.Key, raw []byte) {
	w = newWorld(t, "sales", "places")
	sales, places = w.node("sales"), w.node("places")
	raw = w.sign(sales,
		w.part(sales, sales.ID(), "SELECT 1 FROM sales.orders", read("sales.orders", 12)),
		w.part(places, sales.ID(), "SELECT 1 FROM places.stores", read("places.stores", 3)))
	return w, sales, places, raw
}

func TestAReceiptProvesWhatItSays(t *testing.T) {
	w, sales, _, raw := shop(t)
	sql := question
	rep, err := receipt.Verify(raw, receipt.Check{Keys: w.keys(), Result: bytes.NewReader(result), SQL: &sql})
	ok(t, err)
	r := rep.Receipt
	if r.Node != sales.ID() || len(r.Reads) != 2 || r.Reads[0].Product.String() != "places.stores" || r.Reads[1].Seq != 12 {
		t.Fatalf("it says %+v", r)
	}
	if c := r.Cut(); len(c) != 2 || c[1].Hash != point("sales.orders", 12).Hash {
		t.Fatalf("the cut is %v", c)
	}
	var about []string
	for _, s := range rep.Proved {
		about = append(about, s.About)
	}
	want := []string{"the answer", "the result", "the question", "sales.orders", "sales.orders", "places.stores", "places.stores"}
	if !slices.Equal(about, want) {
		t.Fatalf("proved is %v", rep.Proved)
	}
	if len(rep.Unproved) != 1 || !strings.Contains(rep.Unproved[0].Text, "two <states> of one") {
		t.Fatalf("not proved is %v", rep.Unproved)
	}
}

// TestOneChangedByteFails changes every byte of a receipt and of its result, in the ways
// that a reader of text might forgive.
func TestOneChangedByteFails(t *testing.T) {
	w, _, _, raw := shop(t)
	valid := func(raw, result []byte) bool {
		_, err := receipt.Verify(raw, receipt.Check{Keys: w.keys(), Result: bytes.NewReader(result)})
		if err != nil && !receipt.IsInvalid(err) {
			t.Fatalf("it could not be verified: %v", err)
		}
		return err == nil
	}
	if !valid(raw, result) {
		t.Fatal("the whole one is not valid")
	}
	for i := range raw {
		for _, x := range []byte{1, 0x20} { // another letter, the other case
			bad := bytes.Clone(raw)
			bad[i] ^= x
			if valid(bad, result) {
				t.Fatalf("byte %d (%q) was changed by %#x, and it is valid", i, raw[i], x)
			}
		}
		if i%16 == 0 && (valid(slices.Delete(bytes.Clone(raw), i, i+1), result) || valid(slices.Insert(bytes.Clone(raw), i, ' '), result)) {
			t.Fatalf("a byte was taken out or put in at %d, and it is valid", i)
		}
	}
	for i := range result {
		for x := byte(1); x != 0; x <<= 1 {
			bad := bytes.Clone(result)
			bad[i] ^= x
			if valid(raw, bad) {
				t.Fatalf("byte %d of the result was changed by %#x, and it is valid", i, x)
			}
		}
	}
	if valid(raw, result[:len(result)-1]) || valid(raw, append(bytes.Clone(result), '\n')) || valid(append(bytes.Clone(raw), '\n'), result) {
		t.Fatal("a shorter or longer one is valid")
	}
}

func TestOneChangedByteOfAPartFails(t *testing.T) {
	w := newWorld(t, "sales")
	k := w.node("sales")
	raw := w.part(k, k.ID(), question, read("sales.orders", 12))
	for i := range raw {
		for x := byte(1); x != 0; x <<= 1 {
			bad := bytes.Clone(raw)
			bad[i] ^= x
			if p, err := receipt.OpenPart(bad); err == nil {
				t.Fatalf("byte %d (%q) was changed by %#x, and it reads %+v", i, raw[i], x, p)
			}
		}
	}
	// However JSON is laid out on the way, it is the same part.
	var inner bytes.Buffer
	ok(t, json.Indent(&inner, raw, "", "\t"))
	outer, err := json.Marshal(map[string]json.RawMessage{"receipt": inner.Bytes()})
	ok(t, err)
	var got struct{ Receipt json.RawMessage }
	ok(t, json.Unmarshal(outer, &got))
	if _, err := receipt.OpenPart(got.Receipt); err != nil {
		t.Fatal(err)
	}
}

// TestWhoMaySign holds each way in which a receipt can be signed by the wrong one.
func TestWhoMaySign(t *testing.T) {
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		name string
		make func(w *world) ([]byte, receipt.Check)
		want string // in the error; valid where it is empty
	}{
		{"a stranger answers", func(w *world) ([]byte, receipt.Check) {
			k := sign.NewKey()
			return w.sign(k), receipt.Check{}
		}, "ever admitted to the mesh"},
		{"a member of another domain gives the rows", func(w *world) ([]byte, receipt.Check) {
			k := w.node("places")
			return w.sign(k, w.part(k, k.ID(), question, read("sales.orders", 1))), receipt.Check{}
		}, "ever admitted to domain sales"},
		{"it keeps a copy of them, and says so", func(w *world) ([]byte, receipt.Check) {
			k := w.node("places")
			raw, err := receipt.SignPart(k, receipt.PartFacts{
				Asker: k.ID(), Nonce: nonce, Reads: []receipt.Read{read("sales.orders", 1)}, Time: w.now, Copies: []weft.Name{{Domain: "sales", Product: "orders"}},
			})
			ok(w.t, err)
			return w.sign(k, raw), receipt.Check{}
		}, ""},
		{"of another mesh", func(w *world) ([]byte, receipt.Check) {
			return w.sign(w.node("sales")), receipt.Check{Keys: newWorld(w.t).keys()}
		}, "it is of mesh"},
		{"a part for another node", func(w *world) ([]byte, receipt.Check) {
			k, other := w.node("sales"), w.node("sales")
			return w.sign(k, w.part(other, other.ID(), question, read("sales.orders", 1))), receipt.Check{}
		}, "asked by another node"},
		{"the old key of a node that has a new one", func(w *world) ([]byte, receipt.Check) {
			k := w.node("sales")
			raw := w.sign(k, w.part(k, k.ID(), question, read("sales.orders", 1)))
			w.rotate(w.rotate(k))
			return raw, receipt.Check{}
		}, ""},
		{"the new key", func(w *world) ([]byte, receipt.Check) {
			k := w.rotate(w.rotate(w.node("sales")))
			return w.sign(k, w.part(k, k.ID(), question, read("sales.orders", 1))), receipt.Check{}
		}, ""},
		{"the new key, without the record of the change", func(w *world) ([]byte, receipt.Check) {
			k := w.node("sales")
			before := w.keys()
			k = w.rotate(k)
			return w.sign(k, w.part(k, k.ID(), question, read("sales.orders", 1))), receipt.Check{Keys: before}
		}, "ever admitted to the mesh"},
		{"a key that was given up for two", func(w *world) ([]byte, receipt.Check) {
			k := w.node("sales")
			w.rotate(k)
			w.rotate(k)
			return w.sign(k), receipt.Check{}
		}, "given up for two others"},
		{"a revoked key", func(w *world) ([]byte, receipt.Check) {
			k := w.node("sales")
			w.revoke(k, w.now.Add(year))
			return w.sign(k), receipt.Check{}
		}, "it was revoked: stolen"},
		{"a key that was revoked since, taken at its word", func(w *world) ([]byte, receipt.Check) {
			k := w.node("sales")
			w.revoke(k, w.now.Add(year))
			return w.sign(k), receipt.Check{Past: true}
		}, ""},
		{"a key that was revoked before", func(w *world) ([]byte, receipt.Check) {
			k := w.node("sales")
			w.revoke(k, w.now.Add(-year))
			return w.sign(k), receipt.Check{Past: true}
		}, "after it was no longer"},
		{"nobody is trusted", func(w *world) ([]byte, receipt.Check) {
			return w.sign(w.node("sales")), receipt.Check{Keys: receipt.Keys{Format: 1}}
		}, "whom to trust"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "sales", "places")
			raw, err := func() (_ []byte, err error) {
				raw, check := c.make(w)
				if check.Keys.Format == 0 {
					check.Keys = w.keys()
				}
				_, err = receipt.Verify(raw, check)
				return raw, err
			}()
			switch {
			case c.want == "" && err != nil:
				t.Fatalf("%s\n%v", raw, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("it says %v, and not %q", err, c.want)
			}
		})
	}
}

func TestTheRecordsInAReceiptAreEnough(t *testing.T) {
	w := newWorld(t, "sales")
	k := w.rotate(w.node("sales"))
	raw, err := receipt.Sign(k, receipt.Facts{
		Mesh: w.mesh, Nonce: nonce, SQL: question, Parts: []json.RawMessage{w.part(k, k.ID(), question, read("sales.orders", 1))}, Records: w.records, Time: w.now,
	})
	ok(t, err)
	rep, err := receipt.Verify(raw, receipt.Check{Keys: receipt.Keys{Format: 1, Mesh: w.mesh}})
	ok(t, err)
	if !slices.ContainsFunc(rep.Unproved, func(s receipt.Statement) bool { return s.About == "revocations" }) {
		t.Fatalf("it does not say that nothing is known of revocations: %v", rep.Unproved)
	}
}

// TestWithoutAMesh holds that the key of the node alone is trusted, also by a mesh that
// the node has entered since.
func TestWithoutAMesh(t *testing.T) {
	w := newWorld(t, "sales")
	k := w.node("sales")
	mesh := w.mesh
	w.mesh = weft.Hash{}
	raw := w.sign(k, w.part(k, k.ID(), question, read("anything.here", 1)))
	w.mesh = mesh
	for _, keys := range []receipt.Keys{{Format: 1, Node: k.ID()}, w.keys()} {
		_, err := receipt.Verify(raw, receipt.Check{Keys: keys})
		ok(t, err)
	}
	if _, err := receipt.Verify(raw, receipt.Check{Keys: receipt.Keys{Format: 1, Node: sign.NewKey().ID()}}); !receipt.IsInvalid(err) {
		t.Fatalf("of another key it says %v", err)
	}
}

func TestCollect(t *testing.T) {
	w := newWorld(t, "sales", "places")
	self, far := w.node("sales").ID(), w.node("places")
	cut := weft.Cut{point("places.stores", 3)}
	fair := weft.PartUse{
		Node: far.ID(), Cut: cut, Rows: 12, Text: receipt.TextDigest(nonce, "SELECT 1"), Receipt: w.part(far, self, "SELECT 1", read("places.stores", 3)),
	}
	for _, c := range []struct {
		name string
		use  func(u *weft.PartUse)
		want string
	}{
		{"in order", func(*weft.PartUse) {}, ""},
		{"nothing signed", func(u *weft.PartUse) { u.Receipt = nil }, "signed nothing"},
		{"no part", func(u *weft.PartUse) { u.Receipt = json.RawMessage(`{}`) }, "no part of a receipt"},
		{"of another node", func(u *weft.PartUse) { u.Node = self }, "signed by node"},
		{"for another node", func(u *weft.PartUse) { u.Receipt = w.part(far, far.ID(), "SELECT 1", read("places.stores", 3)) }, "for another node"},
		{"of another text", func(u *weft.PartUse) { u.Text = weft.Hash{1} }, "another text"},
		{"of other rows", func(u *weft.PartUse) { u.Rows = 13 }, "another number of rows"},
		{"of other states", func(u *weft.PartUse) { u.Cut = weft.Cut{point("places.stores", 4)} }, "other states"},
	} {
		u := fair
		c.use(&u)
		_, err := receipt.Collect(self, nonce, []weft.PartUse{u})
		if c.want == "" {
			ok(t, err)
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: it says %v, and not %q", c.name, err, c.want)
		}
	}
	if _, err := receipt.Collect(self, weft.Hash{1}, []weft.PartUse{fair}); err == nil || !strings.Contains(err.Error(), "another question") {
		t.Errorf("under another nonce it says %v", err)
	}
}

// TestTimesOfAnyZone holds that a part whose times another program wrote in a zone of its
// own makes a receipt that can be read.
func TestTimesOfAnyZone(t *testing.T) {
	w := newWorld(t, "sales")
	k := w.node("sales")
	x := read("sales.orders", 1)
	x.AsOf = time.Date(2026, 10, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
	text, err := sign.Canonical(receipt.Part{Node: k.ID(), PartFacts: receipt.PartFacts{
		Asker: k.ID(), Nonce: nonce, Reads: []receipt.Read{x}, Restrictions: []receipt.Restriction{}, Time: w.now.In(time.FixedZone("", -7200)),
	}})
	ok(t, err)
	part, err := json.Marshal(map[string]any{"part": json.RawMessage(text), "signature": hex.EncodeToString(k.Sign("receipt part 1", text))})
	ok(t, err)
	rep, err := receipt.Verify(w.sign(k, part, w.part(k, k.ID(), question, x)), receipt.Check{Keys: w.keys()})
	ok(t, err)
	if len(rep.Receipt.Reads) != 1 {
		t.Errorf("it names %+v", rep.Receipt.Reads)
	}
}

func TestReadKeys(t *testing.T) {
	w := newWorld(t, "sales")
	good, err := json.Marshal(w.keys())
	ok(t, err)
	other := w.keys()
	other.Mesh = weft.Hash{1}
	bad, err := json.Marshal(other)
	ok(t, err)
	for text, want := range map[string]string{
		string(good): "", w.founder.ID().String() + "\n": "", string(bad): "no record in it", "{}": "neither", "": "no keys",
		strings.Repeat("x", 64): "no public key", `{"format":2}`: "newer version",
	} {
		_, err := receipt.ReadKeys([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
