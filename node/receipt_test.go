package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"weft"
	"weft/peer"
	"weft/receipt"
	"weft/serve"
	"weft/sign"
)

// asksSigned asks for a signed answer and returns its body and the receipt.
func (r *rig) asksSigned(sql, at string) (body, raw []byte) {
	r.t.Helper()
	status, text, head := r.do(http.MethodPost, "/api/v1/query?format=csv", fmt.Sprintf(`{"sql":%q,"at":%q,"receipt":true}`, sql, at), r.node.Token())
	if status != 200 {
		r.t.Fatal(status, text)
	}
	status, signed, _ := r.get("/api/v1/receipts/" + head.Get(serve.HeaderRequest))
	if status != 200 {
		r.t.Fatal(status, signed)
	}
	return []byte(text), []byte(signed)
}

// keys are what the node's receipts are verified with.
func (r *rig) keys() receipt.Keys {
	r.t.Helper()
	status, text, _ := r.get("/api/v1/mesh/keys")
	if status != 200 {
		r.t.Fatal(status, text)
	}
	k, err := receipt.ReadKeys([]byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

func (r *rig) proves(raw, body []byte, k receipt.Keys) *receipt.Report {
	r.t.Helper()
	rep, err := receipt.Verify(raw, receipt.Check{Keys: k, Result: bytes.NewReader(body)})
	if err != nil {
		r.t.Fatalf("%v\n%s", err, raw)
	}
	return rep
}

// TestAReceiptOutlivesWhatItIsOf holds that a receipt names the states and contracts that
// were read, now and in the past, and is valid after a restart, in a mesh that the node
// enters later, and after the node has taken a new key.
func TestAReceiptOutlivesWhatItIsOf(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	const sql = "SELECT count(*) AS n FROM sales.shop"
	body, first := r.asksSigned(sql, "")
	rep := r.proves(first, body, r.keys())
	old := rep.Receipt.Reads[0]
	if old.Product != mustName(t, "sales.shop") || old.Contract == (weft.Hash{}) || old.Version != "1.0.0" || rep.Receipt.Mesh != (weft.Hash{}) {
		t.Fatalf("it names %+v", old)
	}

	// Another version of the contract: the old state was read under the old one.
	r.write(strings.ReplaceAll(shop, "version: 1.0.0", "version: 1.1.0"))
	r.apply("shop", serve.OutcomeApplied)
	newer, raw := r.asksSigned(sql, "")
	if now := r.proves(raw, newer, r.keys()).Receipt.Reads[0]; now.Version != "1.1.0" || now.Contract == old.Contract || now.Seq == old.Seq {
		t.Errorf("under the new contract it names %+v", now)
	}
	again, raw := r.asksSigned(sql, rep.Receipt.Cut().Token())
	if then := r.proves(raw, again, r.keys()).Receipt; then.Reads[0] != old || then.Result.Hash != rep.Receipt.Result.Hash {
		t.Errorf("at the cut of the first it names %+v", then.Reads[0])
	}

	r.restart()
	r.proves(first, body, r.keys())
	if err := r.node.mesh.Found(t.Context(), peer.Founding{Name: "test", Domains: []string{"sales"}}); err != nil {
		t.Fatal(err)
	}
	r.proves(first, body, r.keys())
	body, second := r.asksSigned(sql, "")
	if rep := r.proves(second, body, receipt.Keys{Format: 1, Mesh: r.node.mesh.ID()}); len(rep.Receipt.Records) != 3 { // charter, domain, admission
		t.Errorf("it brings %d records", len(rep.Receipt.Records))
	}
	if err := r.node.mesh.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.proves(second, body, r.keys())
	body, third := r.asksSigned(sql, "")
	r.proves(third, body, r.keys())
	if _, err := receipt.Verify(third, receipt.Check{Keys: newRig(t).keys()}); !receipt.IsInvalid(err) {
		t.Errorf("with the keys of another node it says %v", err)
	}
}

// TestAReceiptOfSeveralNodes makes a receipt of what two nodes gave, as a federated
// answer says it.
func TestAReceiptOfSeveralNodes(t *testing.T) {
	p := newPair(t, nil)
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	there, _ := p.origin.node.find(mustName(t, "sales.shop"))
	release, err := there.hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	q := weft.Question{SQL: "SELECT 1 FROM sales.shop", Nonce: sign.Digest([]byte("n"))}
	body := []byte("x\n")
	use := weft.PartUse{Node: p.origin.node.mesh.Self(), Cut: weft.Cut{there.store.Head()}, Rows: 3, Text: receipt.TextDigest(q.Nonce, "SELECT 1")}
	asker := p.asker.node.mesh.Self()
	signs := func(u weft.PartUse) ([]byte, error) {
		a := &weft.Answer{
			Cut:   u.Cut,
			Parts: func() []weft.PartUse { return []weft.PartUse{u} },
			Warnings: func() []weft.Warning {
				return []weft.Warning{{Kind: weft.WarnSkew, Message: "different states"}}
			},
		}
		return receiptDoor{p.asker.node}.Receipt(t.Context(), q, a, serve.Sent{Request: "r", Format: serve.FormatCSV, Rows: 3, Bytes: 2, Hash: sign.Digest(body)})
	}
	if _, err := signs(use); weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "signed nothing") {
		t.Fatalf("without the origin's part it says %v", err)
	}
	key, err := p.origin.node.mesh.SigningKey()
	if err != nil {
		t.Fatal(err)
	}
	if use.Receipt, err = p.origin.node.signPart(t.Context(), key, asker, q.Nonce, use); err != nil {
		t.Fatal(err)
	}
	raw, err := signs(use)
	if err != nil {
		t.Fatal(err)
	}
	rep := p.asker.proves(raw, body, receipt.Keys{Format: 1, Mesh: p.origin.node.mesh.ID()})
	if r := rep.Receipt; r.Node != asker || len(r.Parts) != 1 || r.Reads[0].Version != "1.0.0" || r.Warnings[0].Kind != "skew" {
		t.Errorf("it says %+v", r)
	}
	if !slices.ContainsFunc(rep.Proved, func(s receipt.Statement) bool { return strings.Contains(s.Text, "which domain sales admitted") }) {
		t.Errorf("proved is %+v", rep.Proved)
	}
	// The asker cannot say it of itself.
	own, err := p.asker.node.mesh.SigningKey()
	if err != nil {
		t.Fatal(err)
	}
	part, err := receipt.OpenPart(use.Receipt)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := receipt.SignPart(own, part.PartFacts)
	if err != nil {
		t.Fatal(err)
	}
	raw, err = receipt.Sign(own, receipt.Facts{
		Mesh: p.asker.node.mesh.ID(), Nonce: q.Nonce, SQL: q.SQL, Parts: []json.RawMessage{forged}, Records: p.asker.node.mesh.Set().Testimony(), Time: part.Time,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := receipt.Verify(raw, receipt.Check{Keys: p.asker.keys()}); err == nil || !strings.Contains(err.Error(), "admitted to domain sales") {
		t.Errorf("a part that the asker signed in the origin's place: %v", err)
	}
}

// TestFederatedReceipts asks two nodes in one question and has both sign: the one that
// has all of it, and the one that has a part.
func TestFederatedReceipts(t *testing.T) {
	p := newPair(t, nil)
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.asker.write(notes)
	p.asker.apply("notes", serve.OutcomeCommitted)
	p.heard("sales.shop")
	origin, asker := p.origin.node.mesh.Self(), p.asker.node.mesh.Self()
	for sql, want := range map[string][]weft.KeyID{
		wholeQuestion: {origin}, partQuestion: {origin, asker}, "SELECT count(*) FROM insights.notes": {asker},
		partQuestion + " -- away": {origin, asker},
	} {
		p.asker.lastStepAway(strings.HasSuffix(sql, "away"))
		body, raw := p.asker.asksSigned(sql, "")
		rep := p.asker.proves(raw, body, receipt.Keys{Format: 1, Mesh: p.origin.node.mesh.ID()})
		var signed []weft.KeyID
		for _, raw := range rep.Receipt.Parts {
			part, err := receipt.OpenPart(raw)
			if err != nil {
				t.Fatal(err)
			}
			signed = append(signed, part.Node)
			for _, r := range part.Reads {
				if r.Contract == (weft.Hash{}) || r.Version == "" || (r.Product.Domain == "sales") != (part.Node == origin) {
					t.Errorf("%s: node %s says that it read %+v", sql, part.Node.Short(), r)
				}
			}
		}
		if !slices.Equal(signed, want) || len(rep.Receipt.Warnings) != 0 {
			t.Errorf("%s: signed by %v, want %v\n%s", sql, signed, want, raw)
		}
		if cut := rep.Receipt.Cut().Token(); p.asker.ask(sql, cut) != p.asker.ask(sql) {
			t.Errorf("%s: at its cut there is another answer", sql)
		}
	}
}
