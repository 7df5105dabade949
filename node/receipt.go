package node

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"weft"
	"weft/contract"
	"weft/receipt"
	"weft/serve"
	"weft/sign"
)

// receiptDoor signs answers as doors ask for it.
type receiptDoor struct{ n *Node }

// Receipt signs an answer: what this node gave to it itself, and then the whole.
func (d receiptDoor) Receipt(ctx context.Context, q weft.Question, a *weft.Answer, sent serve.Sent) ([]byte, error) {
	n := d.n
	key, err := n.mesh.SigningKey()
	if err != nil {
		return nil, err
	}
	uses := partsOf(a, q, key.ID(), sent.Rows)
	for i := range uses {
		if u := &uses[i]; u.Node == key.ID() && len(u.Receipt) == 0 {
			if u.Receipt, err = n.signPart(ctx, key, key.ID(), q.Nonce, *u); err != nil {
				return nil, err
			}
		}
	}
	parts, err := receipt.Collect(key.ID(), q.Nonce, uses)
	if err != nil {
		return nil, err
	}
	facts := receipt.Facts{
		Request: sent.Request, Nonce: q.Nonce, SQL: q.SQL, Purpose: q.Subject.Purpose, Parts: parts, Time: n.env.Clock.Now(),
		Result: receipt.Result{Format: string(sent.Format), Rows: sent.Rows, Bytes: sent.Bytes, Hash: sent.Hash},
	}
	if a.Warnings != nil {
		for _, w := range a.Warnings() {
			facts.Warnings = append(facts.Warnings, warningOf(w))
		}
	}
	if n.joined() {
		facts.Mesh, facts.Records = n.mesh.ID(), n.mesh.Set().Vouch(whoGave(key.ID(), uses))
	}
	return receipt.Sign(key, facts)
}

// partsOf says what each node gave to an answer. What no other one gave this node has
// read itself, for the whole question.
func partsOf(a *weft.Answer, q weft.Question, self weft.KeyID, rows int64) []weft.PartUse {
	var uses []weft.PartUse
	if a.Parts != nil {
		uses = slices.Clone(a.Parts())
	}
	own := slices.DeleteFunc(slices.Clone(a.Cut), func(p weft.Point) bool {
		return slices.ContainsFunc(uses, func(u weft.PartUse) bool {
			at, ok := u.Cut.Find(p.Product)
			return ok && at.Hash == p.Hash
		})
	})
	if len(own) > 0 {
		uses = append(uses, weft.PartUse{Node: self, Cut: own, Rows: rows, Text: receipt.TextDigest(q.Nonce, q.SQL)})
	}
	return uses
}

func warningOf(w weft.Warning) receipt.Warning {
	out := receipt.Warning{Kind: string(w.Kind), Message: w.Message}
	if !w.Product.IsZero() {
		out.Product = w.Product.String()
	}
	return out
}

// whoGave are the nodes whose word a receipt rests on, and for which domains.
func whoGave(self weft.KeyID, uses []weft.PartUse) map[weft.KeyID][]string {
	who := map[weft.KeyID][]string{self: nil}
	for _, u := range uses {
		for _, p := range u.Cut {
			who[u.Node] = append(who[u.Node], p.Product.Domain)
		}
	}
	return who
}

// partReceipt signs a part that this node has answered for another one, nil where that
// wants no receipt.
func (n *Node) partReceipt(ctx context.Context, asker weft.KeyID, q weft.Question, cut weft.Cut, rows int64) (json.RawMessage, error) {
	if q.Nonce == (weft.Hash{}) {
		return nil, nil
	}
	key, err := n.mesh.SigningKey()
	if err != nil {
		return nil, err
	}
	return n.signPart(ctx, key, asker, q.Nonce, weft.PartUse{Cut: cut, Rows: rows, Text: receipt.TextDigest(q.Nonce, q.SQL)})
}

// signPart signs what this node gave to the answer of a question that asker answers.
func (n *Node) signPart(ctx context.Context, key sign.Key, asker weft.KeyID, nonce weft.Hash, u weft.PartUse) (json.RawMessage, error) {
	f := receipt.PartFacts{Asker: asker, Nonce: nonce, Text: u.Text, Rows: u.Rows, Time: n.env.Clock.Now()}
	for _, p := range u.Cut {
		r, own, err := n.readOf(ctx, p)
		if err != nil {
			return nil, err
		}
		f.Reads = append(f.Reads, r)
		if !own && !slices.Contains(f.Copies, p.Product) {
			f.Copies = append(f.Copies, p.Product)
		}
	}
	return receipt.SignPart(key, f)
}

// readOf says which contract held at a state. own is false where this node is not the
// product's origin.
func (n *Node) readOf(ctx context.Context, at weft.Point) (_ receipt.Read, own bool, err error) {
	r := receipt.Read{Point: at}
	p := n.known(at.Product)
	if p == nil || p.record().ID != at.ID {
		r.Contract = n.contractOfCopy(at)
		return r, false, nil
	}
	release, err := p.hold(ctx)
	if err != nil {
		return r, true, err
	}
	defer release()
	c, err := p.store.Commit(at.Seq)
	if err != nil {
		return r, true, err
	}
	if c.Hash != at.Hash {
		return r, true, weft.Errorf(weft.KindConflict, "sign the answer", at.Product.String(), "%s is another commit by now than the one that was read", at.Seq)
	}
	r.Contract = c.Contract
	r.Version, err = p.versionAt(ctx, c.Folder)
	return r, true, err
}

// contractOfCopy is the hash of the contracts at a state of a product of which this node
// keeps a copy, zero where it has none: a copy has the origin's chain.
func (n *Node) contractOfCopy(at weft.Point) (none weft.Hash) {
	if n.copies == nil {
		return none
	}
	h, err := n.copies.Hold(at.Product)
	if err != nil {
		return none
	}
	defer h.Release()
	c, err := h.Store.Commit(at.Seq)
	if err != nil || c.Hash != at.Hash {
		return none
	}
	return c.Contract
}

// versionAt is the version of the output contracts in a folder that was applied; empty
// where that folder is no longer kept or cannot be read.
func (p *product) versionAt(ctx context.Context, folder weft.Hash) (string, error) {
	f, rec := p.current()
	if f == nil || rec.Folder != folder {
		archive, err := p.node.books.Archive(ctx, folder)
		if weft.KindOf(err) == weft.KindGone {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if f, _, err = readArchive(archive); err != nil || f == nil {
			return "", nil // the commit's hash of the contracts says which they were
		}
	}
	return contractVersions(f), nil
}

// contractVersions are the versions of the output contracts, each once, in the order of
// the ports.
func contractVersions(f *contract.Folder) string {
	var versions []string
	for _, o := range f.Outputs {
		if o.Contract != nil && o.Contract.Version != "" && !slices.Contains(versions, o.Contract.Version) {
			versions = append(versions, o.Contract.Version)
		}
	}
	return strings.Join(versions, ", ")
}

// Keys are what receipts of this node, and of its mesh, are verified with.
func (d receiptDoor) Keys(context.Context, weft.Subject) (*serve.MeshKeys, error) {
	n := d.n
	k := &serve.MeshKeys{Format: 1, Records: [][]byte{}, Time: n.env.Clock.Now().UTC()}
	if n.joined() {
		k.Mesh, k.Records = n.mesh.ID(), n.mesh.Set().Testimony()
		if c := n.mesh.Charter(); c != nil {
			k.Name = c.Name
		}
		return k, nil
	}
	key, err := n.mesh.SigningKey()
	if err != nil {
		return nil, err
	}
	k.Node = key.ID()
	return k, nil
}
