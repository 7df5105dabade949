package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/federate"
	"weft/policy"
	"weft/receipt"
	"weft/serve"
)

// partsPath is where a node asks another for its part of a question.
const partsPath = peerPrefix + "/questions"

// partner is the other nodes as the reader asks them.
type partner struct{ n *Node }

// Far gives a product of another node, as its card and head say.
func (p partner) Far(_ weft.Subject, name weft.Name) (*federate.Far, error) {
	if p.n.far == nil || p.n.known(name) != nil {
		return nil, nil
	}
	f, err := p.n.far.find(name)
	if f == nil || err != nil {
		return nil, err
	}
	out := &federate.Far{Name: name, Node: f.origin}
	if f.card == nil {
		return nil, nil
	}
	for _, t := range f.card.Tables {
		ft := federate.FarTable{Name: t.Name, Key: t.Key}
		for _, c := range t.Columns {
			typ, err := contract.FromDuckDB(c.Type)
			if err != nil {
				typ = contract.Type{}
			}
			col := federate.FarColumn{Name: c.Name, Type: typ, Unique: c.Unique && c.Required}
			if c.Shard != nil && c.Required && c.Shard.Valid() {
				col.Shard = c.Shard
			}
			ft.Columns = append(ft.Columns, col)
		}
		if f.head != nil {
			for _, h := range f.head.Tables {
				if h.Name == t.Name {
					ft.Rows = h.Rows
				}
			}
		}
		out.Tables = append(out.Tables, ft)
	}
	return out, nil
}

// Near finds the product that a word is nearest to among those of other nodes.
func (p partner) Near(s weft.Subject, word string) (weft.Name, bool) {
	if p.n.cat == nil || !p.n.joined() {
		return weft.Name{}, false
	}
	for _, name := range p.n.cat.Near(word, 3) {
		if p.n.known(name) == nil && p.n.mayFind(s, name) {
			return name, true
		}
	}
	return weft.Name{}, false
}

// MayRead says whether a node could read a table itself.
func (p partner) MayRead(node weft.KeyID, f *federate.Far, table string) bool {
	domains := p.n.far.domainsOf(node)
	if own := p.n.known(f.Name); own != nil {
		return own.deny(weft.Subject{Kind: weft.SubjectService, ID: node.String(), Domains: domains}, table) == nil
	}
	x, err := p.n.far.find(f.Name)
	if err != nil || x == nil || x.card == nil {
		return false
	}
	for _, t := range x.card.Tables {
		if t.Name != table {
			continue
		}
		for _, port := range x.card.Ports {
			if port.Name == t.Port && port.Kind == string(serve.PortOutput) && policy.MayRead(port.Readers, f.Name.Domain, domains).Visibility == policy.Readable {
				return true
			}
		}
	}
	return false
}

// Called is what people call a node.
func (p partner) Called(node weft.KeyID) string {
	if p.n.mesh != nil {
		if _, nodes := p.n.members(); nodes[node].Name != "" {
			return nodes[node].Name
		}
	}
	return node.Short()
}

// Points asks a node for the states of its products.
func (p partner) Points(ctx context.Context, node weft.KeyID, s weft.Subject, products []weft.Name, at weft.At) (weft.Cut, error) {
	r := p.request(ctx, weft.Question{Subject: s, At: at})
	r.Points = products
	body, watch, err := p.post(ctx, node, r, enclosed{})
	if err != nil {
		return nil, err
	}
	defer watch.end()
	defer func() { _ = body.Close() }()
	head, err := readHead(body)
	if err != nil {
		return nil, partFault(watch.why(err))
	}
	return head.Cut, p.honest(node, head.Cut)
}

// Ask has a node answer a part.
func (p partner) Ask(ctx context.Context, node weft.KeyID, q federate.FarQuestion) (*weft.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := p.request(ctx, q.Question)
	for _, s := range q.Shards {
		r.Shards = append(r.Shards, partShard(s))
	}
	raw, watch, err := p.post(ctx, node, r, enclosed{q.Keys, q.Guests})
	if err != nil {
		cancel()
		return nil, err
	}
	body := &countedBody{ReadCloser: raw}
	end := sync.OnceValue(func() error {
		cancel()
		watch.end()
		_ = body.Close()
		return nil
	})
	head, err := readHead(body)
	var rows *engine.RowReader
	if err == nil {
		err = p.honest(node, head.Cut)
	}
	if err == nil && q.Fixed != nil {
		err = q.Fixed(head.Cut, head.Held)
	}
	if err == nil {
		rows, err = engine.NewWaitingRowReader(body, watch.works)
	}
	if err == nil && rows.Schema().NumFields() == 0 {
		err = noRows(rows)
	}
	if err != nil {
		err = partFault(watch.why(err))
		_ = end()
		return nil, err
	}
	watch.hold()
	in := &farRows{in: rows, watch: watch}
	return &weft.Answer{
		Schema: rows.Schema(), Cut: head.Cut, Held: head.Held, Rows: in,
		Close: func() error {
			in.forget()
			return end()
		},
		Parts: func() []weft.PartUse {
			return []weft.PartUse{{
				Node: node, Name: p.Called(node), Cut: head.Cut, Rows: in.rows, Bytes: body.n.Load(), Text: receipt.TextDigest(q.Nonce, q.SQL), Receipt: in.end.Receipt,
			}}
		},
	}, nil
}

// noRows is why an answer has no columns: it failed after it had said its states.
func noRows(rows *engine.RowReader) error {
	if _, err := rows.Next(); err != io.EOF {
		return errors.New("its answer has no columns")
	}
	var end partEnd
	if err := rows.End(&end); err != nil {
		return err
	}
	if end.Fault == nil {
		return errors.New("its answer has no columns")
	}
	return problemOf(end.Fault)
}

// partFault gives words to what goes wrong with an answer that another node has begun.
func partFault(err error) error {
	switch known := (*weft.Error)(nil); {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, errSlowPeer):
		return errors.New("it does not go on with its answer")
	case errors.Is(err, engine.ErrNotWhole):
		return errors.New("it broke off in the middle of its answer")
	}
	return fmt.Errorf("its answer cannot be read: %w", err)
}

func readHead(r io.Reader) (h partHead, err error) {
	b, err := readSection(r, maxPartHead)
	if err == nil {
		err = json.Unmarshal(b, &h)
	}
	return h, err
}

// dialFault is the error without what whoever reads it is told already: the address,
// which is none that people know, and that a node could not be reached.
func dialFault(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if e := (*weft.Error)(nil); errors.As(err, &e) && e.Cause != nil {
		err = e.Cause
	}
	return err
}

// countedBody counts the bytes that come.
type countedBody struct {
	io.ReadCloser
	n atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// honest holds the states that a node says against the signed cards and heads of its
// products: a fork, or a state of something else, is not taken.
func (p partner) honest(node weft.KeyID, cut weft.Cut) error {
	for _, x := range cut {
		f, err := p.n.far.find(x.Product)
		if err != nil {
			return err
		}
		if f == nil || f.origin != node || f.id != x.ID {
			return weft.Errorf(weft.KindConflict, "read the product", x.Product.String(), "the node says something of another product")
		}
		if h := f.head; h != nil && h.ID == x.ID && h.Incarnation == x.Incarnation && h.Seq == x.Seq && h.Hash != x.Hash {
			return weft.Errorf(weft.KindConflict, "read the product", x.Product.String(), "its commit %s is not the one that its signed head names: the history has forked", x.Seq)
		}
	}
	return nil
}

// request is what every question for another node has.
func (p partner) request(ctx context.Context, q weft.Question) partRequest {
	r := partRequest{
		SQL: q.SQL, Memory: q.Limits.Memory, Threads: q.Limits.Threads, AnyOrder: q.AnyOrder, Nonce: q.Nonce,
		Subject: partSubject{Kind: q.Subject.Kind, ID: q.Subject.ID, Purpose: q.Subject.Purpose, Domains: p.domains(q.Subject)},
	}
	if d, ok := ctx.Deadline(); ok {
		r.Deadline = max(time.Until(d), time.Millisecond)
	}
	if !q.At.Time.IsZero() {
		r.At = &q.At.Time
	}
	for _, c := range q.At.Cut {
		r.Cut = append(r.Cut, partRef{Product: c.Product, Incarnation: c.Incarnation, Seq: c.Seq, Hash: c.HashPrefix})
	}
	return r
}

// domains are the subject's that this node may speak for in the mesh.
func (p partner) domains(s weft.Subject) []string {
	mine := p.n.mine()
	if slices.Contains(s.Domains, weft.AllDomains) {
		return mine
	}
	return slices.DeleteFunc(slices.Clone(s.Domains), func(d string) bool { return !slices.Contains(mine, d) })
}

// mine are the domains that this node may speak for.
func (n *Node) mine() []string {
	if n.mesh != nil && n.mesh.Joined() {
		return n.mesh.Domains()
	}
	return nil
}

// post sends a part and returns the body of the answer.
func (p partner) post(ctx context.Context, node weft.KeyID, r partRequest, with enclosed) (io.ReadCloser, *pacing, error) {
	b, err := encodePart(r, with)
	if err != nil {
		return nil, nil, err
	}
	own, watch := p.n.startPace(ctx)
	req, err := http.NewRequestWithContext(own, http.MethodPost, "http://peer"+partsPath, bytes.NewReader(b))
	if err != nil {
		watch.end()
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := p.n.far.client(node).Do(req)
	if err != nil {
		err = watch.why(err)
		watch.end()
		switch {
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case err == errSlowPeer:
			return nil, nil, partFault(err)
		}
		return nil, nil, fmt.Errorf("it cannot be reached: %w", dialFault(err))
	}
	if res.StatusCode == http.StatusOK {
		return &pacedBody{ReadCloser: res.Body, watch: watch}, watch, nil
	}
	defer watch.end()
	defer func() { _ = res.Body.Close() }()
	problem := &serve.Problem{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err == nil && kind == serve.ProblemType {
		_ = json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(problem) // without it, the status says what it can
	}
	return nil, nil, problemOf(problem)
}
