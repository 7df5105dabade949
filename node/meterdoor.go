package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"weft"
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
