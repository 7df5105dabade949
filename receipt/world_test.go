package receipt_test

import (
	"encoding/json"
	"testing"
	"time"

	"weft"
	"weft/peer"
	"weft/receipt"
	"weft/sign"
)

// world is a mesh of keys: what nodes hold of it, without nodes.
type world struct {
	t       testing.TB
	founder sign.Key
	mesh    weft.Hash
	records [][]byte
	domains map[string]sign.Key
	now     time.Time
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t testing.TB, domains ...string) *world {
	w := &world{t: t, founder: sign.NewKey(), domains: map[string]sign.Key{}, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	charter := w.say(peer.KindCharter, "", 1, peer.Charter{Name: "acme", Founders: []weft.KeyID{w.founder.ID()}, Threshold: 1}, w.founder)
	w.mesh = charter.Hash()
	for _, d := range domains {
		w.domains[d] = sign.NewKey()
		w.say(peer.KindDomain, d, 1, peer.Certificate{Domain: d, Key: w.domains[d].ID(), Epoch: 1}, w.founder)
	}
	return w
}

func (w *world) say(kind, key string, version uint64, body any, keys ...sign.Key) *sign.Record {
	w.t.Helper()
	r, err := sign.Seal(sign.Head{Mesh: w.mesh, Kind: kind, Key: key, Version: version, Time: w.now}, body, keys...)
	ok(w.t, err)
	w.records = append(w.records, r.Raw())
	return r
}

// node is a key that the domain admitted.
func (w *world) node(domain string) sign.Key {
	k := sign.NewKey()
	w.say(peer.KindAdmission, peer.NodeKey(k.ID(), domain), 1, peer.Admission{Node: k.ID(), Domain: domain}, w.domains[domain])
	return k
}

func (w *world) rotate(old sign.Key) sign.Key {
	next := sign.NewKey()
	w.say(peer.KindRotation, old.ID().String(), 1, peer.Rotation{Old: old.ID(), New: next.ID()}, old, next)
	return next
}

func (w *world) revoke(k sign.Key, at time.Time) {
	was := w.now
	w.now = at
	w.say(peer.KindRevocation, peer.NodeKey(k.ID(), ""), 1, peer.Revocation{Node: k.ID(), Reason: "stolen"}, w.founder)
	w.now = was
}

func (w *world) keys() receipt.Keys {
	return receipt.Keys{Format: 1, Mesh: w.mesh, Records: w.records, Time: w.now.Add(time.Hour)}
}

const question = "SELECT count(*) FROM sales.orders"

var result = []byte("count\n12\n")

func point(product string, seq weft.Seq) weft.Point {
	n, err := weft.ParseName(product)
	if err != nil {
		panic(err)
	}
	return weft.Point{Product: n, ID: "id of " + product, Incarnation: 1, Seq: seq, Hash: sign.Digest([]byte(product)), Time: time.Date(2026, 10, 1, 0, 0, 0, 1000, time.UTC)}
}

func read(product string, seq weft.Seq) receipt.Read {
	return receipt.Read{Point: point(product, seq), Version: "1.2.0 <&>", Contract: sign.Digest([]byte("contract"))}
}

var nonce = sign.Digest([]byte("a nonce"))

// part is what a node signs of products that it gave to asker.
func (w *world) part(key sign.Key, asker weft.KeyID, sql string, reads ...receipt.Read) json.RawMessage {
	w.t.Helper()
	raw, err := receipt.SignPart(key, receipt.PartFacts{
		Asker: asker, Nonce: nonce, Text: receipt.TextDigest(nonce, sql), Reads: reads, Rows: 12, Time: w.now,
	})
	ok(w.t, err)
	return raw
}

func (w *world) sign(key sign.Key, parts ...json.RawMessage) []byte {
	w.t.Helper()
	raw, err := receipt.Sign(key, receipt.Facts{
		Request: "r1", Mesh: w.mesh, Nonce: nonce, SQL: question, Purpose: "a report",
		Result:   receipt.Result{Format: "csv", Rows: 1, Bytes: int64(len(result)), Hash: sign.Digest(result)},
		Warnings: []receipt.Warning{{Kind: "skew", Message: "two <states> of one"}},
		Parts:    parts, Records: w.records[:1], Time: w.now,
	})
	ok(w.t, err)
	return raw
}
