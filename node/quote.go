package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"

	"weft"
	"weft/federate"
	"weft/meter"
	"weft/serve"
)

// quote says what a question takes, here and at the nodes that have parts of it, and
// whether it would be let in everywhere.
func (n *Node) quote(ctx context.Context, q weft.Question) (*serve.Quote, error) {
	end, err := n.work.begin("quote the question", "")
	if err != nil {
		return nil, err
	}
	defer end()
	if q.At, err = n.fixAt(ctx, q.Subject, q.At); err != nil {
		return nil, err
	}
	e, cut, far, err := n.reader.Estimate(ctx, q)
	if err != nil {
		return nil, err
	}
	out, err := n.quoteOf(q, e)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, n.conf().Deadline)
	defer stop()
	quotes, errs := n.farQuotes(ctx, far)
	if err := cmp.Or(errs...); err != nil && (!q.AllowPartial || len(out.Products) == 0 && !slices.Contains(errs, nil)) {
		return nil, err // also where nothing would be left to answer
	}
	for i, h := range quotes {
		if errs[i] != nil {
			for _, p := range far[i].Products {
				out.Warnings = append(out.Warnings, weft.Warning{
					Kind: weft.WarnPartial, Product: p, Hint: weft.HintOf(errs[i]), Message: fmt.Sprintf("%s is not in the price: %v", p, errors.Unwrap(errs[i])),
				})
			}
			continue
		}
		node := far[i].Node
		mergeQuote(out, h.Quote, serve.QuoteNode{Node: &node, NodeName: partner{n}.Called(node)})
		for _, p := range h.Cut {
			if _, ok := cut.Find(p.Product); !ok {
				cut = append(cut, p)
			}
		}
	}
	cut = cut.Sorted()
	n.keepCut(ctx, cut)
	out.Cut, out.CutText = cut.Token(), cut.String()
	return out, nil
}

// quoteOf is what this node asks for a question that reads what is estimated.
func (n *Node) quoteOf(q weft.Question, e federate.Estimate) (*serve.Quote, error) {
	ask, err := n.askOf(q, e)
	if err != nil {
		return nil, err
	}
	m := n.meter.Quote(ask)
	out := &serve.Quote{
		Rows: m.Rows, Bytes: m.Bytes, Seconds: m.Seconds, Products: []serve.QuoteRead{}, Budgets: []serve.QuoteBudget{}, Fits: m.Refusal == nil,
	}
	for _, r := range ask.Reads {
		out.Products = append(out.Products, serve.QuoteRead{Product: r.Product, Rows: r.Rows, Bytes: r.Bytes})
	}
	for i := range m.Rules {
		out.Budgets = append(out.Budgets, budgetOf(&m.Rules[i]))
	}
	if m.Refusal != nil {
		out.Refusal = serve.ProblemOf(m.Refusal, "")
	}
	return out, nil
}

// The limits of a budget, as quotes name them.
const (
	ofRows       = "rows"
	ofBytes      = "bytes"
	ofSeconds    = "seconds"
	ofConcurrent = "concurrent"
)

// budgetOf is how a consumer stands under a rule, as doors show it.
func budgetOf(s *meter.Standing) serve.QuoteBudget {
	r := &s.Rule
	b := serve.QuoteBudget{Name: r.Label(), For: r.For.String(), Counted: s.Account, Fits: s.Fits, Limits: []serve.QuoteLimit{}}
	if r.Per > 0 {
		b.Per = meter.ShowPer(r.Per)
	}
	if !s.Free.IsZero() {
		b.Free = &s.Free
	}
	add := func(of string, limit, takes, used, left float64) {
		if limit > 0 {
			b.Limits = append(b.Limits, serve.QuoteLimit{Of: of, Limit: limit, Takes: takes, Used: used, Left: left})
		}
	}
	add(ofRows, float64(r.Rows), float64(s.Price.Rows), float64(s.Used.Rows), float64(s.Left.Rows))
	add(ofBytes, float64(r.Bytes), float64(s.Price.Bytes), float64(s.Used.Bytes), float64(s.Left.Bytes))
	add(ofSeconds, r.Seconds, s.Price.Seconds, s.Used.Seconds, s.Left.Seconds)
	add(ofConcurrent, float64(r.Concurrent), 1, float64(s.Running), float64(max(r.Concurrent-s.Running, 0)))
	return b
}

// mergeQuote adds what another node asks for its part. Several parts of one node come
// under its budgets together.
func mergeQuote(to *serve.Quote, part *serve.Quote, at serve.QuoteNode) {
	to.Rows, to.Bytes, to.Seconds = to.Rows+part.Rows, to.Bytes+part.Bytes, to.Seconds+part.Seconds
	same := func(o serve.QuoteNode) bool { return o.Node != nil && *o.Node == *at.Node }
	for _, r := range part.Products {
		r.QuoteNode = at
		i := slices.IndexFunc(to.Products, func(o serve.QuoteRead) bool { return same(o.QuoteNode) && o.Product == r.Product })
		if i < 0 {
			to.Products = append(to.Products, r)
			continue
		}
		to.Products[i].Rows, to.Products[i].Bytes = to.Products[i].Rows+r.Rows, to.Products[i].Bytes+r.Bytes
	}
	for _, b := range part.Budgets {
		b.QuoteNode = at
		i := slices.IndexFunc(to.Budgets, func(o serve.QuoteBudget) bool {
			return same(o.QuoteNode) && o.Name == b.Name && o.Counted == b.Counted
		})
		if i < 0 {
			to.Budgets = append(to.Budgets, b)
			continue
		}
		addBudget(to, i, b)
	}
	if to.Fits = to.Fits && part.Fits; to.Refusal == nil {
		to.Refusal = part.Refusal
	}
}

// addBudget has another part of the question take of a budget, too.
func addBudget(to *serve.Quote, i int, b serve.QuoteBudget) {
	was := &to.Budgets[i]
	was.Fits = was.Fits && b.Fits
	for j := range was.Limits {
		l := &was.Limits[j]
		for _, x := range b.Limits {
			if x.Of == l.Of {
				l.Takes += x.Takes
			}
		}
		if l.Takes > l.Left && was.Fits {
			was.Fits, to.Fits = false, false
			e := weft.Errorf(weft.KindLimit, "answer the question", fmt.Sprintf("under the budget %q of node %s", was.Name, was.NodeName),
				"its parts together take more %s than are left", l.Of).WithHint("ask for less at once, or ask the owner for a larger budget")
			if to.Refusal == nil {
				to.Refusal = serve.ProblemOf(e, "")
			}
		}
	}
}

// farQuotes asks other nodes for the prices of their parts, all at once.
func (n *Node) farQuotes(ctx context.Context, far []federate.Asking) (out []partHead, errs []error) {
	out, errs = make([]partHead, len(far)), make([]error, len(far))
	var wg sync.WaitGroup
	for i, a := range far {
		wg.Go(func() {
			var err error
			if out[i], err = (partner{n}).Quote(ctx, a); err == nil {
				return
			}
			var names []string
			for _, p := range a.Products {
				names = append(names, p.String())
			}
			kind := weft.KindOf(err)
			if kind == weft.KindInternal { // of that node, or of the link
				kind = weft.KindUnavailable
			}
			errs[i] = weft.Errorf(kind, "ask the node that holds it", strings.Join(names, ", "), "node %s: %w", partner{n}.Called(a.Node), err).
				WithHint("%s", cmp.Or(weft.HintOf(err), "`weft peers` says who can be reached"))
		})
	}
	wg.Wait()
	return out, errs
}

// Quote asks a node for the price of its part of a question.
func (p partner) Quote(ctx context.Context, a federate.Asking) (h partHead, err error) {
	r := p.request(ctx, a.Question)
	r.Quote = true
	body, watch, err := p.post(ctx, a.Node, r, enclosed{})
	if err != nil {
		return h, err
	}
	defer watch.end()
	defer func() { _ = body.Close() }()
	if h, err = readHead(body); err != nil {
		return h, partFault(watch.why(err))
	}
	if err := checkQuote(h.Quote); err != nil {
		return h, err
	}
	return h, p.honest(a.Node, h.Cut)
}

// What another node's quote may hold.
const (
	maxQuoteProducts = 1000
	maxQuoteBudgets  = 1000
	maxQuoteNumber   = 1 << 53
)

// checkQuote holds what another node says of a price against what a quote can be.
// Texts are made short and put on one line.
func checkQuote(q *serve.Quote) error {
	bad := weft.Errorf(weft.KindUnavailable, "read the quote", "", "the node sends what is no quote").WithHint("it may be of another version than this one")
	if q == nil || !amount(float64(q.Rows)) || !amount(float64(q.Bytes)) || !amount(q.Seconds) || len(q.Products) > maxQuoteProducts || len(q.Budgets) > maxQuoteBudgets {
		return bad
	}
	for _, r := range q.Products {
		if !amount(float64(r.Rows)) || !amount(float64(r.Bytes)) {
			return bad
		}
	}
	for i := range q.Budgets {
		b := &q.Budgets[i]
		b.Name, b.For, b.Counted, b.Per = farText(b.Name), farText(b.For), farText(b.Counted), farText(b.Per)
		if len(b.Limits) > 4 {
			return bad
		}
		for _, l := range b.Limits {
			known := l.Of == ofRows || l.Of == ofBytes || l.Of == ofSeconds || l.Of == ofConcurrent
			if !known || !amount(l.Limit) || !amount(l.Takes) || !amount(l.Used) || !amount(l.Left) {
				return bad
			}
		}
	}
	if q.Fits != (q.Refusal == nil) {
		return bad
	}
	if q.Refusal != nil {
		q.Refusal = serve.ProblemOf(problemOf(q.Refusal), "")
	}
	return nil
}

// amount says that a number can be one of something.
func amount(v float64) bool { return v >= 0 && v <= maxQuoteNumber && !math.IsNaN(v) }

// quotePart answers another node that only wants the price of its part.
func (n *Node) quotePart(w http.ResponseWriter, r *http.Request, q weft.Question) error {
	end, err := n.work.begin("quote the question", "")
	if err != nil {
		return err
	}
	defer end()
	e, cut, err := n.reader.EstimatePart(r.Context(), q)
	if err != nil {
		return err
	}
	out, err := n.quoteOf(q, e)
	if err != nil {
		return err
	}
	n.keepCut(r.Context(), cut)
	out.Cut, out.CutText = cut.Token(), cut.String()
	head, err := json.Marshal(partHead{Cut: cut, Quote: out})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	return writeSection(w, head)
}
