package node

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
	"weft/federate"
	"weft/serve"
)

// partRoutes hands the route by which other nodes have this one answer its part of a
// question to handle.
func (n *Node) partRoutes(handle func(pattern string, h http.Handler), from func(context.Context) weft.KeyID) {
	handle("POST "+partsPath, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := n.answerPart(w, r, from(r.Context())); err != nil {
			refusePeer(w, err)
		}
	}))
}

// AttributeNode is the attribute of a subject that says which node asks for it. Only
// this node sets it.
const AttributeNode = "node"

// partSubjectOf is who asks: somebody of the asking node, of no more domains than that
// may speak for.
func (n *Node) partSubjectOf(node weft.KeyID, s partSubject) (weft.Subject, error) {
	if node.IsZero() || n.far == nil {
		return weft.Subject{}, weft.Errorf(weft.KindDenied, "answer another node", "", "the node did not prove who it is")
	}
	switch s.Kind {
	case weft.SubjectPerson, weft.SubjectService, weft.SubjectAgent, weft.SubjectProduct:
	default:
		return weft.Subject{}, weft.Errorf(weft.KindInvalid, "answer another node", "", "it does not say who asks")
	}
	if len(s.ID) == 0 || len(s.ID) > 300 || len(s.Purpose) > 300 {
		return weft.Subject{}, weft.Errorf(weft.KindInvalid, "answer another node", "", "it does not say who asks")
	}
	may := n.far.domainsOf(node)
	domains := slices.DeleteFunc(slices.Clone(s.Domains), func(d string) bool { return d == weft.AllDomains || !slices.Contains(may, d) })
	return weft.Subject{
		Kind: s.Kind, ID: s.ID, Purpose: s.Purpose, Domains: domains, Attributes: map[string]string{AttributeNode: node.String()},
	}, nil
}

// answerPart answers a part of another node's question over this node's products. It
// passes the gate, as everybody's questions do.
func (n *Node) answerPart(w http.ResponseWriter, r *http.Request, node weft.KeyID) error {
	p, with, err := decodePart(r.Body)
	if err != nil {
		return err
	}
	defer with.drop()
	q, err := n.partQuestion(node, p)
	if err != nil {
		return err
	}
	if len(p.Points) > 0 {
		return n.tellPoints(w, r, q, p.Points)
	}
	if p.Quote {
		return n.quotePart(w, r, q)
	}
	head := &partBegun{n: n, w: w}
	defer func() { head.beat.end() }()
	far := federate.FarQuestion{Question: q, Keys: with.keys, Guests: with.guests, Fixed: head.write}
	for _, s := range p.Shards {
		far.Shards = append(far.Shards, federate.TableShard(s))
	}
	ans, err := (questions{n}).Part(r.Context(), far)
	if err != nil {
		return head.fault(err)
	}
	defer func() { _ = ans.Close() }()
	n.sendPart(head.out(), ans, func(rows int64) (json.RawMessage, error) { return n.partReceipt(r.Context(), node, q, ans.Cut, rows) })
	return nil
}

// partBegun is the beginning of a part's answer. It goes out as soon as the states are
// known, as other parts of the question wait for them.
type partBegun struct {
	n    *Node
	w    http.ResponseWriter
	beat *beat // nil before it has begun
}

// out is where the rows go.
func (h *partBegun) out() rowsOut { return rowsOut{h.w, h.beat} }

// rowsOut is where rows go, frame by frame.
type rowsOut struct {
	http.ResponseWriter
	beat *beat // nil for none
}

// write writes something that nothing may come between.
func (o rowsOut) write(f func() error) error {
	if o.beat != nil {
		o.beat.Lock()
		defer o.beat.Unlock()
	}
	return f()
}

func (h *partBegun) write(cut weft.Cut, held int64) error {
	b, err := json.Marshal(partHead{Cut: cut, Held: held})
	if err != nil {
		return err
	}
	h.w.Header().Set("Content-Type", "application/octet-stream")
	if err := writeSection(h.w, b); err != nil {
		return err
	}
	_ = http.NewResponseController(h.w).Flush() // where that cannot be, with the first rows
	h.beat = h.n.startBeat(h.w)
	return nil
}

// fault ends the answer with an error: as one without columns, where it has begun.
func (h *partBegun) fault(err error) error {
	if h.beat == nil {
		return err
	}
	bad := h.out().write(func() error {
		out, bad := engine.NewRowWriter(h.w, arrow.NewSchema(nil, nil))
		if bad == nil {
			bad = out.End(partEnd{Fault: serve.ProblemOf(err, "")})
		}
		return bad
	})
	if bad != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// sendPart streams the rows; what ends them early is said at the end, and what is signed
// of them.
func (n *Node) sendPart(w rowsOut, ans *weft.Answer, signed func(rows int64) (json.RawMessage, error)) {
	var end partEnd
	out, rows, err := sendRows(w, ans)
	end.Rows = rows
	if err == nil {
		end.Receipt, err = signed(end.Rows)
	}
	if err != nil {
		end.Fault = serve.ProblemOf(err, "")
	}
	if w.write(func() error { return out.End(end) }) != nil {
		panic(http.ErrAbortHandler)
	}
}

// sendRows streams an answer's rows, and says how many and what ended them early. The
// writer's end is still to come.
func sendRows(w rowsOut, ans *weft.Answer) (out *engine.RowWriter, rows int64, err error) {
	err = w.write(func() (err error) {
		out, err = engine.NewRowWriter(w, ans.Schema)
		return err
	})
	if err != nil {
		panic(http.ErrAbortHandler) // a part of it may be out
	}
	flush := http.NewResponseController(w.ResponseWriter)
	for err == nil && ans.Rows.Next() {
		b := ans.Rows.RecordBatch()
		if b.NumRows() == 0 {
			continue
		}
		rows += b.NumRows()
		err = w.write(func() error {
			err := out.Write(b)
			if err == nil && rows == b.NumRows() {
				_ = flush.Flush() // the first rows go at once; where that cannot be, with the next
			}
			return err
		})
	}
	if err == nil {
		err = ans.Rows.Err()
	}
	return out, rows, err
}

func (n *Node) partQuestion(node weft.KeyID, p partRequest) (weft.Question, error) {
	s, err := n.partSubjectOf(node, p.Subject)
	if err != nil {
		return weft.Question{}, err
	}
	q := weft.Question{
		SQL: p.SQL, Subject: s, Nonce: p.Nonce, AnyOrder: p.AnyOrder,
		Limits: weft.Limits{Deadline: max(p.Deadline, 0), Memory: max(p.Memory, 0), Threads: max(p.Threads, 0)},
	}
	if p.At != nil {
		q.At.Time = *p.At
	}
	if len(p.Cut) > 1000 || len(p.Points) > 1000 || len(p.Shards) > 1000 {
		return q, weft.Errorf(weft.KindInvalid, "answer another node", "", "it names too many products")
	}
	for _, c := range p.Cut {
		if c.Product.IsZero() || c.Seq == 0 || len(c.Hash) > len(weft.Hash{}) {
			return q, weft.Errorf(weft.KindInvalid, "answer another node", "", "it names a state that none can be")
		}
		q.At.Cut = append(q.At.Cut, weft.CutRef{Product: c.Product, Incarnation: c.Incarnation, Seq: c.Seq, HashPrefix: c.Hash})
	}
	return q, nil
}

// tellPoints says at which states products would be read.
func (n *Node) tellPoints(w http.ResponseWriter, r *http.Request, q weft.Question, products []weft.Name) error {
	ctx, stop := context.WithTimeout(r.Context(), time.Minute)
	defer stop()
	cut, err := n.reader.Points(ctx, q.Subject, products, q.At)
	if err != nil {
		return err
	}
	head, err := json.Marshal(partHead{Cut: cut})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	return writeSection(w, head)
}
