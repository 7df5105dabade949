package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"weft"
	"weft/meter"
	"weft/records"
	"weft/serve"
)

// meterDoor tells of prices and of what was used.
type meterDoor struct{ n *Node }

// Quote says what a question takes, and whether it would be let in now.
func (d meterDoor) Quote(ctx context.Context, q weft.Question) (*serve.Quote, error) {
	q.Subject = withoutNode(q.Subject)
	return d.n.quote(ctx, q)
}

// quote is Quote for whoever asks, other nodes too.
func (n *Node) quote(ctx context.Context, q weft.Question) (*serve.Quote, error) {
	end, err := n.work.begin("quote the question", "")
	if err != nil {
		return nil, err
	}
	defer end()
	e, cut, err := n.reader.Estimate(ctx, q)
	if err != nil {
		return nil, err
	}
	ask, err := n.askOf(q, e)
	if err != nil {
		return nil, err
	}
	m := n.meter.Quote(ask)
	out := &serve.Quote{
		Cut: cut.Token(), CutText: cut.String(), Rows: m.Rows, Bytes: m.Bytes, Seconds: m.Seconds,
		Products: []serve.QuoteRead{}, Budgets: []serve.QuoteBudget{}, Fits: m.Refusal == nil,
	}
	for _, r := range ask.Reads {
		out.Products = append(out.Products, serve.QuoteRead(r))
	}
	for i := range m.Rules {
		out.Budgets = append(out.Budgets, budgetOf(&m.Rules[i]))
	}
	if m.Refusal != nil {
		out.Refusal = serve.ProblemOf(m.Refusal, "")
	}
	return out, nil
}

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
	add("rows", float64(r.Rows), float64(s.Price.Rows), float64(s.Used.Rows), float64(s.Left.Rows))
	add("bytes", float64(r.Bytes), float64(s.Price.Bytes), float64(s.Used.Bytes), float64(s.Left.Bytes))
	add("seconds", r.Seconds, s.Price.Seconds, s.Used.Seconds, s.Left.Seconds)
	add("concurrent", float64(r.Concurrent), 1, float64(s.Running), float64(max(r.Concurrent-s.Running, 0)))
	return b
}

// usageFor is how far back usage is shown where nothing is said.
const usageFor = 30 * 24 * time.Hour

// Usage sums what was used: for an owner, of the products of the domains that the
// subject is of; else what the subject itself used.
func (d meterDoor) Usage(ctx context.Context, s weft.Subject, r serve.UsageRequest) (*serve.UsageReport, error) {
	n := d.n
	since := n.env.Clock.Now().Add(-usageFor)
	if r.Since != nil {
		since = *r.Since
	}
	q := records.UsageQuery{By: records.UsageBy(r.By), Since: records.DayOf(since), Limit: r.Limit}
	switch {
	case !r.Owner:
		q.Some, q.Kind, q.Subject = true, string(s.Kind), s.ID
	case !n.ofAll(s):
		q.Some, q.Domains = true, s.Domains
	}
	if err := n.meter.Flush(ctx); err != nil {
		return nil, err
	}
	list, err := n.books.Usage(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &serve.UsageReport{By: r.By, Since: dayText(q.Since), Usage: []serve.UsageLine{}}
	for i := range list {
		line, err := usageLine(r.By, &list[i])
		if err != nil {
			return nil, err
		}
		out.Usage = append(out.Usage, line)
	}
	return out, nil
}

// usageLine is usage as doors show it.
func usageLine(by serve.UsageBy, u *records.Usage) (serve.UsageLine, error) {
	l := serve.UsageLine{
		Subject: u.Subject, Kind: weft.SubjectKind(u.Kind), Purpose: u.Purpose, Product: u.Product, NodeName: u.NodeName, Domains: strings.Fields(u.Domains),
		Questions: u.Questions, Refused: u.Refused, Rows: u.Rows, Bytes: u.Bytes, Seconds: u.Seconds, GivenRows: u.GivenRows, GivenBytes: u.GivenBytes,
	}
	if by == serve.UsageByDay {
		l.Day = dayText(u.Day)
	}
	if u.Node == "" {
		return l, nil
	}
	l.Node = new(weft.KeyID)
	return l, l.Node.UnmarshalText([]byte(u.Node))
}

func dayText(day int64) string { return time.Unix(day*24*60*60, 0).UTC().Format(time.DateOnly) }

// ofAll says whether the subject is whoever runs the node as a whole.
func (n *Node) ofAll(s weft.Subject) bool {
	return slices.Contains(s.Domains, weft.AllDomains) || slices.Equal(s.Domains, n.speaksFor())
}
